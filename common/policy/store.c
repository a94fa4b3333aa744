/* SPDX-License-Identifier: Apache-2.0 */
#include "common/policy/store.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json_words.h"
#include "common/policy/service_source.h"
#include "common/yaml.h"

#define HISTORY_KEPT "1000"
#define HISTORY_PAGE 50                     /* entries hold whole documents */
#define NUMBER_MAX   INT64_C(1000000000000) /* of a version: beyond all that were ever made */
/* A version that is in the history and not in force is about to be, or was given up, or its console died: so long it is
 * waited for. */
#define UNDER_WAY_MS 5000
#define WAIT_MS      20000 /* for those of all others together */
#define LOOK_MS      20
#define UNDER_WAY    "another change of the policy is under way: try again in a moment"

void fb_policy_version_deinit(struct fb_policy_version *v)
{
    fb_buf_deinit(&v->document);
    *v = (struct fb_policy_version){0};
}

static void copy(char *out, size_t size, const char *text, size_t len)
{
    size_t n = len < size - 1 ? len : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

/* ---- in force ---- */

static enum fb_status of_file(const char *path, struct fb_policy_version *v, struct fb_error *err)
{
    enum fb_status s = fb_read_file(path, FB_POLICY_MAX, &v->document, err);
    if (s == FB_OK) {
        fb_policy_version_name(fb_slice_buf(&v->document), v->version);
        copy(v->author, sizeof v->author, "file", 4);
    }
    return s;
}

static void take_text(const redisReply *e, char *out, size_t size)
{
    if (e->type == REDIS_REPLY_STRING) {
        copy(out, size, e->str, e->len);
    }
}

/* What somebody else wrote in its place is none: the next one is counted from the history. */
static int64_t number_of(const char *text)
{
    int64_t value = 0;
    return fb_parse_int(text, &value) && value > 0 && value <= NUMBER_MAX ? value : 0;
}

static int64_t take_number(const redisReply *e)
{
    int64_t value = 0;
    return e->type == REDIS_REPLY_STRING && fb_parse_int(e->str, &value) && value > 0 ? value : 0;
}

static enum fb_status none_in_force(struct fb_error *err)
{
    return fb_error_set(
        err, FB_NOT_FOUND,
        "no policy is in force: mail is held until one is applied with `fumibako policy "
        "apply FILE`, or in the console");
}

static enum fb_status of_redis(struct fb_redis *r, struct fb_policy_version *v,
                               struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", FB_POLICY_KEY, "version", "document",
                                     "at", "author", "comment", "number", NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 6 ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        s = none_in_force(err);
    } else if (fb_buf_add(&v->document, reply->element[1]->str, reply->element[1]->len) != FB_OK) {
        s = fb_error_set(err, FB_TOO_BIG, "the policy in Redis is larger than any policy");
    } else {
        fb_policy_version_name(fb_slice_buf(&v->document), v->version);
        take_text(reply->element[0], v->written, sizeof v->written);
        v->at_ms = take_number(reply->element[2]);
        take_text(reply->element[3], v->author, sizeof v->author);
        take_text(reply->element[4], v->comment, sizeof v->comment);
        v->number =
            reply->element[5]->type == REDIS_REPLY_STRING ? number_of(reply->element[5]->str) : 0;
    }
    freeReplyObject(reply);
    return s;
}

enum fb_status fb_policy_current(const struct fb_config *config, struct fb_redis *r,
                                 struct fb_policy_version *v_r, struct fb_error *err)
{
    const char *source = config->policy.source;
    *v_r = (struct fb_policy_version){0};
    fb_buf_init(&v_r->document, FB_POLICY_MAX);
    enum fb_status s =
        strncmp(source, "file:", 5) == 0 ? of_file(source + 5, v_r, err) : of_redis(r, v_r, err);
    if (s != FB_OK) {
        fb_policy_version_deinit(v_r);
    }
    return s;
}

/* ---- history ---- */

/* position: from the oldest, which is 1; for entries of before there were numbers. */
static bool read_entry(const redisReply *e, int64_t position, bool has_document,
                       struct fb_policy_version *v)
{
    int64_t number = 0;
    json_t *o = e->type == REDIS_REPLY_STRING ? json_loadb(e->str, e->len, 0, NULL) : NULL;
    const json_t *document = json_object_get(o, "document");
    *v = (struct fb_policy_version){0};
    fb_buf_init(&v->document, FB_POLICY_MAX);
    bool is_good = json_is_string(document) && strlen(fb_json_text_of(o, "version")) == 64;
    if (is_good) {
        copy(v->version, sizeof v->version, fb_json_text_of(o, "version"), 64);
        copy(v->author, sizeof v->author, fb_json_text_of(o, "author"),
             strlen(fb_json_text_of(o, "author")));
        copy(v->comment, sizeof v->comment, fb_json_text_of(o, "comment"),
             strlen(fb_json_text_of(o, "comment")));
        (void)fb_parse_int(fb_json_text_of(o, "at"), &v->at_ms);
        number = number_of(fb_json_text_of(o, "number"));
        v->number = number > 0 ? number : position;
    }
    if (is_good && has_document) {
        is_good = fb_buf_add(&v->document, json_string_value(document),
                             json_string_length(document)) == FB_OK;
    }
    json_decref(o);
    return is_good;
}

static enum fb_status count_entries(struct fb_redis *r, int64_t *count_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "LLEN", FB_POLICY_HISTORY_KEY, NULL);
    if (s == FB_OK) {
        *count_r = reply->type == REDIS_REPLY_INTEGER ? (int64_t)reply->integer : 0;
        freeReplyObject(reply);
    }
    return s;
}

/* Newest first; each owns what it is given for the time of the call. */
static enum fb_status walk(struct fb_redis *r, bool has_document,
                           bool (*each)(void *ctx, struct fb_policy_version *v), void *ctx,
                           struct fb_error *err)
{
    int64_t count = 0;
    bool goes_on = true;
    enum fb_status s = count_entries(r, &count, err);
    for (int64_t at = 0; s == FB_OK && goes_on && at < count; at += HISTORY_PAGE) {
        redisReply *reply = NULL;
        char from[24], to[24];
        (void)snprintf(from, sizeof from, "%" PRId64, at);
        (void)snprintf(to, sizeof to, "%" PRId64, at + HISTORY_PAGE - 1);
        s = fb_redis_call(r, &reply, err, "LRANGE", FB_POLICY_HISTORY_KEY, from, to, NULL);
        for (size_t i = 0; s == FB_OK && goes_on && i < reply->elements; i++) {
            struct fb_policy_version v;
            bool is_good = read_entry(reply->element[i], count - at - (int64_t)i, has_document, &v);
            goes_on = !is_good || each(ctx, &v);
            fb_policy_version_deinit(&v);
        }
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
    }
    return s;
}

struct listing {
    int64_t below;
    size_t left;
    bool (*each)(void *ctx, const struct fb_policy_version *v);
    void *ctx;
};

static bool list_one(void *ctx, struct fb_policy_version *v)
{
    struct listing *l = ctx;
    if (l->below > 0 && v->number >= l->below) {
        return true;
    }
    if (l->left == 0) {
        return false;
    }
    l->left--;
    return l->each(l->ctx, v) && l->left > 0;
}

enum fb_status fb_policy_versions(struct fb_redis *r, int64_t below, size_t limit,
                                  bool (*each)(void *ctx, const struct fb_policy_version *v),
                                  void *ctx, struct fb_error *err)
{
    struct listing l = {.below = below, .left = limit, .each = each, .ctx = ctx};
    return walk(r, false, list_one, &l, err);
}

struct finding {
    const char *name;
    int64_t number; /* 0: by hash */
    struct fb_policy_version *v;
    bool is_found;
};

static bool find_one(void *ctx, struct fb_policy_version *v)
{
    struct finding *f = ctx;
    f->is_found = f->number > 0 ? v->number == f->number : strcmp(v->version, f->name) == 0;
    if (f->is_found) {
        *f->v = *v;
        fb_buf_init(&v->document, 0); /* is the caller's now */
    }
    return !f->is_found;
}

enum fb_status fb_policy_version_get(struct fb_redis *r, const char *name,
                                     struct fb_policy_version *v_r, struct fb_error *err)
{
    struct finding f = {.name = name, .v = v_r};
    bool is_hash = strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
    if (!is_hash && (!fb_parse_int(name, &f.number) || f.number <= 0)) {
        return fb_error_set(err, FB_NOT_FOUND, "\"%.40s\" is neither a number nor a version", name);
    }
    enum fb_status s = walk(r, true, find_one, &f, err);
    if (s == FB_OK && !f.is_found) {
        s = fb_error_set(err, FB_NOT_FOUND, "version %.64s is not in the history", name);
    }
    return s;
}

/* ---- apply ---- */

/* One step on the key that decides.  (The history is another key, in a cluster on another node.)  ARGV: 1 the version
 * that must be written there, as it is written (by hand it may be anything) 2 version 3 document 4 at 5 author
 * 6 comment 7 number 8 NUMBER_MAX. */
static const struct fb_script put_script = {
    .name = "policy put",
    .source = "local is, n = '', 0\n"
              "if redis.call('HEXISTS', KEYS[1], 'document') == 1 then\n"
              "  is = string.sub(redis.call('HGET', KEYS[1], 'version') or '', 1, 64)\n"
              "  is = string.match(is, '^[^%z]*')\n"
              "  n = tonumber(redis.call('HGET', KEYS[1], 'number') or '0') or 0\n"
              "end\n"
              "if ARGV[1] ~= is then return 0 end\n"
              "if tonumber(ARGV[7]) <= n and n <= tonumber(ARGV[8]) then return 0 end\n"
              "redis.call('HSET', KEYS[1], 'version', ARGV[2], 'document', ARGV[3], 'at', ARGV[4], "
              "'author', ARGV[5], 'comment', ARGV[6], 'number', ARGV[7])\n"
              "return 1\n"};

/* FB_LOST: the script found that it may not. */
static enum fb_status decide(struct fb_redis *r, const struct fb_script *script, const char *key,
                             size_t arg_count, const struct fb_slice *args, struct fb_error *err)
{
    redisReply *reply = NULL;
    struct fb_script prepared = *script;
    fb_redis_script_prepare(&prepared);
    const struct fb_slice keys[] = {fb_slice_str(key)};
    enum fb_status s = fb_redis_script(r, &prepared, 1, keys, arg_count, args, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_done = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return is_done ? FB_OK : fb_error_set(err, FB_LOST, "another policy is in force meanwhile");
}

static enum fb_status put(struct fb_redis *r, const struct fb_policy_change *change,
                          const struct fb_policy_version *v, const char *before,
                          struct fb_error *err)
{
    char at[24], number[24], most[24];
    (void)snprintf(at, sizeof at, "%" PRId64, v->at_ms);
    (void)snprintf(number, sizeof number, "%" PRId64, v->number);
    (void)snprintf(most, sizeof most, "%" PRId64, NUMBER_MAX);
    const struct fb_slice args[] = {fb_slice_str(before),    fb_slice_str(v->version),
                                    change->document,        fb_slice_str(at),
                                    fb_slice_str(v->author), fb_slice_str(v->comment),
                                    fb_slice_str(number),    fb_slice_str(most)};
    return decide(r, &put_script, FB_POLICY_KEY, sizeof args / sizeof args[0], args, err);
}

/* The entry of the history; NULL when a text of it is no UTF-8. */
static char *entry_of(const struct fb_policy_change *change, const struct fb_policy_version *v)
{
    char at[24], number[24];
    (void)snprintf(at, sizeof at, "%" PRId64, v->at_ms);
    (void)snprintf(number, sizeof number, "%" PRId64, v->number);
    json_t *entry = json_pack("{s:s,s:s%,s:s,s:s,s:s,s:s}", "version", v->version, "document",
                              (const char *)change->document.ptr, change->document.len, "at", at,
                              "author", v->author, "comment", v->comment, "number", number);
    char *text = entry != NULL ? json_dumps(entry, JSON_COMPACT) : NULL;
    json_decref(entry);
    return text;
}

/* Only behind all that are there: two changes never have one number.  (By hand, anything may have been written there:
 * what is no entry is in nobody's way.)  ARGV: 1 the entry 2 its number 3 NUMBER_MAX. */
static const struct fb_script remember_script = {
    .name = "policy remember",
    .source = "local head = redis.call('LRANGE', KEYS[1], 0, 0)[1]\n"
              "if head then\n"
              "  local ok, e = pcall(cjson.decode, head)\n"
              "  local n = ok and type(e) == 'table' and tonumber(e.number) or 0\n"
              "  if tonumber(ARGV[2]) <= n and n <= tonumber(ARGV[3]) then return 0 end\n"
              "end\n"
              "redis.call('LPUSH', KEYS[1], ARGV[1])\n"
              "return 1\n"};

/* FB_AGAIN: another change has taken that number. */
static enum fb_status remember(struct fb_redis *r, const char *entry, int64_t n,
                               struct fb_error *err)
{
    char number[24], most[24];
    (void)snprintf(number, sizeof number, "%" PRId64, n);
    (void)snprintf(most, sizeof most, "%" PRId64, NUMBER_MAX);
    const struct fb_slice args[] = {fb_slice_str(entry), fb_slice_str(number), fb_slice_str(most)};
    enum fb_status s =
        decide(r, &remember_script, FB_POLICY_HISTORY_KEY, sizeof args / sizeof args[0], args, err);
    return s == FB_LOST ? fb_error_set(err, FB_AGAIN, UNDER_WAY) : s;
}

/* History first: what is in force is always in it.  What did not come into force is taken out again. */
static enum fb_status remember_and_put(struct fb_redis *r, const struct fb_policy_change *change,
                                       const struct fb_policy_version *v, const char *before,
                                       struct fb_error *err)
{
    char *entry = entry_of(change, v);
    if (entry == NULL) {
        return fb_error_set(err, FB_INVALID, "the policy is not UTF-8 text");
    }
    enum fb_status s = remember(r, entry, v->number, err);
    if (s == FB_OK) {
        redisReply *reply = NULL;
        s = put(r, change, v, before, err);
        struct fb_error ignored = {0};
        enum fb_status t =
            s == FB_OK     ? fb_redis_call(r, &reply, &ignored, "LTRIM", FB_POLICY_HISTORY_KEY, "0",
                                           HISTORY_KEPT, NULL)
            : s == FB_LOST ? fb_redis_call(r, &reply, &ignored, "LREM", FB_POLICY_HISTORY_KEY, "1",
                                           entry, NULL)
                           : FB_BUG; /* not known whether it is in force: the entry stays */
        if (t == FB_OK) {
            freeReplyObject(reply);
        }
    }
    free(entry);
    return s;
}

static bool take_first(void *ctx, const struct fb_policy_version *v)
{
    *(struct fb_policy_version *)ctx = *v;
    return false;
}

static enum fb_status check_texts(const struct fb_policy_change *change, struct fb_error *err)
{
    const char *comment = change->comment != NULL ? change->comment : "";
    if (strlen(comment) > FB_POLICY_MAX_COMMENT) {
        return fb_error_set(err, FB_INVALID, "comment: longer than %d bytes",
                            FB_POLICY_MAX_COMMENT);
    }
    if (strlen(change->author) >= FB_POLICY_MAX_AUTHOR) {
        return fb_error_set(err, FB_INVALID, "author: too long a name");
    }
    json_t *probe = json_pack("[s,s]", comment, change->author);
    bool is_text = probe != NULL;
    json_decref(probe);
    return is_text ? FB_OK : fb_error_set(err, FB_INVALID, "comment: not UTF-8 text");
}

/* What is in force, number 0 where there is nothing, and the newest of the history; both without their documents. */
static enum fb_status look(const struct fb_config *config, struct fb_redis *r,
                           struct fb_policy_version *now_r, struct fb_policy_version *newest_r,
                           struct fb_error *err)
{
    struct fb_error why = {0};
    *newest_r = (struct fb_policy_version){0};
    enum fb_status s = fb_policy_current(config, r, now_r, &why);
    if (s == FB_NOT_FOUND) {
        *now_r = (struct fb_policy_version){0};
        s = FB_OK;
    }
    if (s != FB_OK) {
        *err = why;
        return s;
    }
    fb_buf_deinit(&now_r->document);
    return fb_policy_versions(r, 0, 1, take_first, newest_r, err);
}

/* Whether somebody is just about to put it in force: then neither its number nor whether it will be the one in force is
 * known yet. */
static bool is_under_way(const struct fb_policy_version *newest,
                         const struct fb_policy_version *now)
{
    int64_t age = fb_now_ms() - newest->at_ms;
    return newest->number > now->number && age > -UNDER_WAY_MS && age < UNDER_WAY_MS;
}

/* For who was slower.  What was put there by hand has no number: the newest is told. */
static struct fb_policy_version winner(const struct fb_policy_version *now,
                                       const struct fb_policy_version *newest)
{
    struct fb_policy_version v = *now;
    v.number = v.number > 0 ? v.number : newest->number;
    return v;
}

static enum fb_status replace_once(const struct fb_config *config, struct fb_redis *r,
                                   const struct fb_policy_change *change, const char *version,
                                   struct fb_policy_version *v_r, struct fb_error *err)
{
    struct fb_policy_version now = {0}, newest = {0};
    enum fb_status s = look(config, r, &now, &newest, err);
    if (s != FB_OK) {
        return s;
    }
    if (change->expected != NULL && strcmp(change->expected, now.version) != 0) {
        *v_r = winner(&now, &newest);
        return fb_error_set(err, FB_LOST, "another policy is in force: version %.12s by %s",
                            now.version[0] != '\0' ? now.version : "(none)", now.author);
    }
    if (is_under_way(&newest, &now)) {
        return fb_error_set(err, FB_AGAIN, UNDER_WAY);
    }
    struct fb_policy_version v = {.number =
                                      (newest.number > now.number ? newest.number : now.number) + 1,
                                  .at_ms = fb_now_ms()};
    copy(v.version, sizeof v.version, version, strlen(version));
    copy(v.author, sizeof v.author, change->author, strlen(change->author));
    if (change->comment != NULL) {
        copy(v.comment, sizeof v.comment, change->comment, strlen(change->comment));
    }
    s = remember_and_put(r, change, &v, now.written, err);
    if (s == FB_OK) {
        *v_r = v;
    } else if (s == FB_LOST) {
        struct fb_error why = {0};
        struct fb_policy_version first = now;
        if (look(config, r, &now, &newest, &why) != FB_OK) {
            now = first;
        }
        *v_r = winner(&now, &newest);
    }
    return s;
}

/* Changes go one behind the other, so that their numbers have no gap. */
static enum fb_status replace(const struct fb_config *config, struct fb_redis *r,
                              const struct fb_policy_change *change, const char *version,
                              struct fb_policy_version *v_r, struct fb_error *err)
{
    int64_t until = fb_mono_ms() + WAIT_MS;
    enum fb_status s = replace_once(config, r, change, version, v_r, err);
    while (s == FB_AGAIN && fb_mono_ms() < until) {
        (void)nanosleep(&(struct timespec){0, LOOK_MS * 1000000L}, NULL);
        s = replace_once(config, r, change, version, v_r, err);
    }
    return s;
}

enum fb_status fb_policy_apply(const struct fb_config *config, struct fb_redis *r,
                               const struct fb_policy_change *change, struct fb_policy_version *v_r,
                               struct fb_policy_findings *findings_r, struct fb_error *err)
{
    struct fb_policy *policy = NULL;
    *v_r = (struct fb_policy_version){0};
    *findings_r = (struct fb_policy_findings){0};
    if (strcmp(config->policy.source, "redis") != 0) {
        return fb_error_set(err, FB_DENIED,
                            "policy.source is %s: the services follow that file; change it there",
                            config->policy.source);
    }
    enum fb_status s = check_texts(change, err);
    if (s == FB_OK &&
        fb_policy_parse_in(change->document, change->is_ja, &policy, findings_r) != FB_OK) {
        s = fb_error_set(err, FB_INVALID, "the policy has errors; the one in force stays");
    }
    if (s == FB_OK) {
        s = replace(config, r, change, policy->version, v_r, err);
        /* Without an edited version: whatever is in force, so once more when somebody was faster. */
        for (int again = 0; s == FB_LOST && change->expected == NULL && again < 5; again++) {
            s = replace(config, r, change, policy->version, v_r, err);
        }
    }
    v_r->rule_count = s == FB_OK ? policy->rule_count : 0;
    fb_policy_unref(&policy);
    return s;
}
