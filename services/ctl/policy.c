/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy check|show|apply|history */
#include "common/policy/policy.h"

#include <hiredis/hiredis.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/policy/service_source.h"
#include "services/ctl/ctl.h"

#define MAX_POLICY  (4U << 20)
#define MAX_HISTORY "1000"

static json_t *findings_json(const struct fb_policy_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count; i++) {
        (void)json_array_append_new(list,
                                    json_pack("{s:i,s:s,s:o}", "line", f->items[i].line, "severity",
                                              f->items[i].is_error ? "error" : "warning", "text",
                                              ctl_json_text(f->items[i].text)));
    }
    return list;
}

static void print_findings(const char *path, const struct fb_policy_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        (void)fprintf(f->items[i].is_error ? stderr : stdout, "%s:%d: %s: %s\n", path,
                      f->items[i].line, f->items[i].is_error ? "error" : "warning",
                      f->items[i].text);
    }
    if (f->error_count > 0) {
        (void)fprintf(stderr, "%s: %zu error%s: it cannot be put in force\n", path, f->error_count,
                      f->error_count == 1 ? "" : "s");
    }
}

/* Reads and parses.  What the parser found is printed, or with --json kept for the one answer
 * (findings_r, the caller's; NULL when the file could not be read, which was said). */
static int load(struct ctl *c, const char *path, struct fb_buf *document,
                struct fb_policy **policy_r, json_t **findings_r)
{
    struct fb_error err = {0};
    struct fb_policy_findings findings = {0};
    *findings_r = NULL;
    if (fb_read_file(path, MAX_POLICY, document, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    enum fb_status s = fb_policy_parse(fb_slice_buf(document), policy_r, &findings);
    if (c->is_json) {
        *findings_r = findings_json(&findings);
    } else {
        print_findings(path, &findings);
    }
    fb_policy_findings_deinit(&findings);
    return s == FB_OK ? 0 : FB_EXIT_FAILED;
}

int ctl_policy_check(struct ctl *c)
{
    struct fb_buf document = {0};
    struct fb_policy *policy = NULL;
    json_t *findings = NULL;
    int code = load(c, c->words[0], &document, &policy, &findings);
    if (findings != NULL) {
        ctl_print_json(json_pack("{s:b,s:o}", "valid", code == 0, "findings", findings));
    } else if (code == 0) {
        (void)printf("%s: good: %zu rules, %zu storages, version %.12s\n", c->words[0],
                     policy->rule_count, policy->storage_count, policy->version);
    }
    fb_policy_unref(&policy);
    fb_buf_deinit(&document);
    return code;
}

static enum fb_status from_redis(struct ctl *c, struct fb_buf *document, struct fb_error *err)
{
    struct redisReply *reply = NULL;
    enum fb_status s =
        fb_redis_call(c->redis, &reply, err, "HGET", FB_POLICY_KEY, "document", NULL);
    if (s != FB_OK) {
        return s;
    }
    fb_buf_init(document, MAX_POLICY);
    if (reply->type == REDIS_REPLY_STRING) {
        s = fb_buf_add(document, reply->str, reply->len);
        if (s != FB_OK) {
            s = fb_error_set(err, s, "the policy in Redis is larger than any policy");
        }
    } else {
        s = fb_error_set(
            err, FB_NOT_FOUND,
            "no policy is in force: mail is held until one is applied with `fumibako policy "
            "apply FILE`");
    }
    freeReplyObject(reply);
    return s;
}

enum fb_status ctl_policy_read(struct ctl *c, struct fb_buf *document, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    if (strncmp(c->config->policy.source, "file:", 5) == 0) {
        return fb_read_file(c->config->policy.source + 5, MAX_POLICY, document, err);
    }
    if (c->redis == NULL) {
        s = fb_redis_new(c->config, CTL_REDIS_TIMEOUT_MS, &c->redis, err);
    }
    if (s == FB_OK) {
        s = from_redis(c, document, err);
    }
    if (s != FB_OK) {
        fb_buf_deinit(document);
    }
    return s;
}

bool ctl_policy_in_force(struct ctl *c, struct fb_buf *document, int *exit_r)
{
    struct fb_error err = {0};
    if (!ctl_need_config(c, exit_r)) {
        return false;
    }
    if (ctl_policy_read(c, document, &err) != FB_OK) {
        *exit_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

int ctl_policy_show(struct ctl *c)
{
    int code = 0;
    struct fb_buf document = {0};
    if (!ctl_policy_in_force(c, &document, &code)) {
        return code;
    }
    if (c->is_json) {
        uint8_t sha[FB_SHA256_SIZE];
        char version[2 * FB_SHA256_SIZE + 1];
        fb_sha256(document.ptr, document.len, sha);
        fb_hex(sha, sizeof sha, version);
        ctl_print_json(json_pack("{s:s,s:s,s:o}", "version", version, "source",
                                 c->config->policy.source, "document",
                                 json_stringn(fb_buf_str(&document), document.len)));
    } else if (fwrite(document.ptr, 1, document.len, stdout) != document.len) {
        code = FB_EXIT_FAILED;
    }
    fb_buf_deinit(&document);
    return code;
}

static const char *author(void)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *pw = getpwuid(getuid());
    return sudo != NULL ? sudo : pw != NULL ? pw->pw_name : "unknown";
}

static enum fb_status store(struct ctl *c, const struct fb_policy *policy,
                            const struct fb_buf *document, struct fb_error *err)
{
    struct redisReply *reply = NULL;
    char at[32];
    (void)snprintf(at, sizeof at, "%lld", (long long)fb_now_ms());
    const char *comment = c->comment != NULL ? c->comment : "";
    const struct fb_slice argv[] = {fb_slice_str("HSET"),     fb_slice_str(FB_POLICY_KEY),
                                    fb_slice_str("version"),  fb_slice_str(policy->version),
                                    fb_slice_str("document"), fb_slice_buf(document),
                                    fb_slice_str("at"),       fb_slice_str(at),
                                    fb_slice_str("author"),   fb_slice_str(author()),
                                    fb_slice_str("comment"),  fb_slice_str(comment)};
    json_t *entry =
        json_pack("{s:s,s:s%,s:s,s:s,s:s}", "version", policy->version, "document", document->ptr,
                  (size_t)document->len, "at", at, "author", author(), "comment", comment);
    char *text = entry != NULL ? json_dumps(entry, JSON_COMPACT) : NULL;
    json_decref(entry);
    if (text == NULL) {
        return fb_error_set(err, FB_INVALID, "the policy is not UTF-8 text");
    }
    /* History first: what is in force is always in it. */
    enum fb_status s =
        fb_redis_call(c->redis, &reply, err, "LPUSH", FB_POLICY_HISTORY_KEY, text, NULL);
    free(text);
    if (s == FB_OK) {
        freeReplyObject(reply);
        s = fb_redis_call(c->redis, &reply, err, "LTRIM", FB_POLICY_HISTORY_KEY, "0", MAX_HISTORY,
                          NULL);
    }
    if (s == FB_OK) {
        freeReplyObject(reply);
        s = fb_redis_command(c->redis, sizeof argv / sizeof argv[0], argv, &reply, err);
    }
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

/* Takes findings. */
static int apply(struct ctl *c, const struct fb_policy *policy, const struct fb_buf *document,
                 json_t *findings)
{
    struct fb_error err = {0};
    if (store(c, policy, document, &err) != FB_OK) {
        json_decref(findings);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:o}", "version", policy->version, "findings", findings));
    } else {
        (void)printf("in force: version %.12s, %zu rules; services follow within seconds\n",
                     policy->version, policy->rule_count);
    }
    return 0;
}

int ctl_policy_apply(struct ctl *c)
{
    struct fb_buf document = {0};
    struct fb_policy *policy = NULL;
    struct fb_error err = {0};
    json_t *findings = NULL;
    int code = 0;
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (strcmp(c->config->policy.source, "redis") != 0) {
        (void)fb_error_set(&err, FB_DENIED,
                           "policy.source is %s: the services follow that file; change it there",
                           c->config->policy.source);
        return ctl_fail(c, &err);
    }
    code = load(c, c->words[0], &document, &policy, &findings);
    if (code == 0) {
        code = apply(c, policy, &document, findings);
    } else if (findings != NULL) {
        ctl_print_json(json_pack("{s:{s:s,s:s},s:o}", "error", "code", fb_status_name(FB_INVALID),
                                 "message", "the policy has errors; the one in force stays",
                                 "findings", findings));
    }
    fb_policy_unref(&policy);
    fb_buf_deinit(&document);
    return code;
}

int ctl_policy_history(struct ctl *c)
{
    int code = 0;
    struct redisReply *reply = NULL;
    struct fb_error err = {0};
    char last[32];
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    (void)snprintf(last, sizeof last, "%lld", (long long)c->limit - 1);
    if (fb_redis_call(c->redis, &reply, &err, "LRANGE", FB_POLICY_HISTORY_KEY, "0", last, NULL) !=
        FB_OK) {
        return ctl_fail(c, &err);
    }
    json_t *list = json_array();
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        json_t *e = json_loadb(reply->element[i]->str, reply->element[i]->len, 0, NULL);
        const char *at = json_string_value(json_object_get(e, "at"));
        const char *version = json_string_value(json_object_get(e, "version"));
        const char *who = json_string_value(json_object_get(e, "author"));
        const char *comment = json_string_value(json_object_get(e, "comment"));
        if (at != NULL && version != NULL && who != NULL && comment != NULL) {
            int64_t ms = strtoll(at, NULL, 10);
            char when[32];
            ctl_time(ms, when);
            if (c->is_json) {
                (void)json_array_append_new(list, json_pack("{s:s,s:o,s:s,s:s}", "version", version,
                                                            "at", ctl_json_time(ms), "author", who,
                                                            "comment", comment));
            } else {
                (void)printf("%s  %.12s  %-12s %s\n", when, version, who, comment);
            }
        }
        json_decref(e);
    }
    freeReplyObject(reply);
    if (c->is_json) {
        ctl_print_json(list);
    } else {
        json_decref(list);
    }
    return 0;
}
