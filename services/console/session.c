/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/session.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/keys.h"
#include "common/accounts/store.h"

#define BEGIN   ACCOUNTS_PREFIX "begin:"
#define STEP    ACCOUNTS_PREFIX "step:"
#define STEP_MS "180000" /* longer than any code is taken */

enum script { SCRIPT_PUT, SCRIPT_GET, SCRIPT_PENDING, SCRIPT_COUNT };

static struct fb_script scripts[SCRIPT_COUNT] = {
    /* KEYS new old of  ARGV has_old ttl most max_ttl prefix name now old_name fields...: {0} */
    [SCRIPT_PUT] = {"console session put",
                    "if ARGV[1] == '1' then\n"
                    "  redis.call('DEL', KEYS[2])\n"
                    "  redis.call('ZREM', KEYS[3], ARGV[8])\n"
                    "end\n"
                    "redis.call('DEL', KEYS[1])\n"
                    "redis.call('HSET', KEYS[1], unpack(ARGV, 9))\n"
                    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                    "redis.call('ZADD', KEYS[3], ARGV[7], ARGV[6])\n"
                    "redis.call('PEXPIRE', KEYS[3], ARGV[4])\n"
                    "local all = redis.call('ZRANGE', KEYS[3], 0, -1)\n"
                    "local left = #all\n"
                    "for _, h in ipairs(all) do\n"
                    "  local is_there = redis.call('EXISTS', ARGV[5] .. h) == 1\n"
                    "  if not is_there or left > tonumber(ARGV[3]) then\n"
                    "    redis.call('DEL', ARGV[5] .. h)\n"
                    "    redis.call('ZREM', KEYS[3], h)\n"
                    "    left = left - 1\n"
                    "  end\n"
                    "end\n"
                    "return {0}\n",
                    ""},
    /* KEYS session users  ARGV now idle: {account, field, value, ...} or {}.  What was used a moment ago is not
     * written again. */
    [SCRIPT_GET] = {"console session get",
                    "local k, now, idle = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])\n"
                    "local h = redis.call('HGETALL', k)\n"
                    "local u = redis.call('HMGET', k, 'until', 'user', 'seen')\n"
                    "local left = tonumber(u[1] or '0') - now\n"
                    "if #h == 0 or left <= 0 then return {} end\n"
                    "local a = redis.call('HGET', KEYS[2], u[2] or '')\n"
                    "if not a then return {} end\n"
                    "if now - tonumber(u[3] or '0') > idle / 30 then\n"
                    "  redis.call('HSET', k, 'seen', ARGV[1])\n"
                    "  redis.call('PEXPIRE', k, string.format('%.0f', math.min(left, idle)))\n"
                    "end\n"
                    "table.insert(h, 1, a)\n"
                    "return h\n",
                    ""},
    /* KEYS session  ARGV sealed: {1 = written} */
    [SCRIPT_PENDING] = {"console session pending",
                        "if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end\n"
                        "redis.call('HSET', KEYS[1], 'pending', ARGV[1])\n"
                        "return {1}\n",
                        ""}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        fb_redis_script_prepare(&scripts[i]);
    }
}

static const char *const needs[] = {[CONSOLE_NEEDS_NOTHING] = "",
                                    [CONSOLE_NEEDS_TOTP] = "totp",
                                    [CONSOLE_NEEDS_PASSKEY] = "passkey",
                                    [CONSOLE_NEEDS_ENROL] = "enrol",
                                    [CONSOLE_NEEDS_PASSWORD] = "password"};

const char *session_need_name(enum console_need need)
{
    return needs[need];
}

/* ---- writing ---- */

static void number(int64_t value, char out_r[24])
{
    (void)snprintf(out_r, 24, "%lld", (long long)value);
}

enum fb_status session_put(struct fb_redis *r, const char *name, const char *old,
                           const struct session *s, int64_t idle_ms, int64_t now_ms,
                           struct fb_error *err)
{
    char key[ACCOUNTS_KEY], old_key[ACCOUNTS_KEY], of[ACCOUNTS_KEY];
    char ttl[24], left[24], now[24], since[24], until[24], proved[24], most[24];
    redisReply *reply = NULL;
    int64_t left_ms = s->until_ms - now_ms;
    bool has_old = old[0] != '\0';
    (void)pthread_once(&once, prepare);
    if (left_ms <= 0) {
        return fb_error_set(err, FB_INVALID, "a session that has ended");
    }
    (void)snprintf(key, sizeof key, ACCOUNTS_SESSION "%.64s", name);
    (void)snprintf(old_key, sizeof old_key, ACCOUNTS_SESSION "%.64s", has_old ? old : name);
    (void)snprintf(of, sizeof of, ACCOUNTS_OF "%.32s", s->handle);
    number(left_ms < idle_ms ? left_ms : idle_ms, ttl);
    number(left_ms, left);
    number(now_ms, now);
    number(s->since_ms, since);
    number(s->until_ms, until);
    number(s->proved_ms, proved);
    number(SESSION_MOST, most);
    const char *const keys[] = {key, old_key, of};
    const char *const args[] = {has_old ? "1" : "0",
                                ttl,
                                most,
                                left,
                                ACCOUNTS_SESSION,
                                name,
                                now,
                                old,
                                "user",
                                s->user,
                                "handle",
                                s->handle,
                                "method",
                                s->method,
                                "need",
                                needs[s->need],
                                "since",
                                since,
                                "until",
                                until,
                                "proved",
                                proved,
                                "seen",
                                now,
                                "address",
                                s->address,
                                "agent",
                                s->agent};
    enum fb_status status = fb_accounts_script(r, &scripts[SCRIPT_PUT], 3, keys,
                                               sizeof args / sizeof args[0], args, 1, &reply, err);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return status;
}

enum fb_status session_set_pending(struct fb_redis *r, const char *name, const char *sealed,
                                   struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    (void)snprintf(key, sizeof key, ACCOUNTS_SESSION "%.64s", name);
    const char *const keys[] = {key};
    const char *const args[] = {sealed};
    enum fb_status s =
        fb_accounts_script(r, &scripts[SCRIPT_PENDING], 1, keys, 1, args, 1, &reply, err);
    if (s == FB_OK) {
        s = fb_accounts_int(reply, 0) == 1 ? FB_OK
                                           : fb_error_set(err, FB_NOT_FOUND, "the session ended");
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status session_end(struct fb_redis *r, const char *handle, const char *name,
                           struct fb_error *err)
{
    char key[ACCOUNTS_KEY], of[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, ACCOUNTS_SESSION "%.64s", name);
    (void)snprintf(of, sizeof of, ACCOUNTS_OF "%.32s", handle);
    enum fb_status s = fb_redis_call(r, &reply, err, "DEL", key, NULL);
    if (reply != NULL) {
        freeReplyObject(reply);
        reply = NULL;
    }
    if (s == FB_OK) {
        s = fb_redis_call(r, &reply, err, "ZREM", of, name, NULL);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s;
}

/* ---- reading ---- */

static void take(const redisReply *value, char *out, size_t size)
{
    if (value->type == REDIS_REPLY_STRING && value->len < size) {
        memcpy(out, value->str, value->len);
        out[value->len] = '\0';
    }
}

static void take_field(struct session *s, const char *name, const redisReply *value)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } texts[] = {
        {"user", s->user, sizeof s->user},          {"handle", s->handle, sizeof s->handle},
        {"method", s->method, sizeof s->method},    {"agent", s->agent, sizeof s->agent},
        {"address", s->address, sizeof s->address}, {"pending", s->pending, sizeof s->pending}};
    const struct {
        const char *name;
        int64_t *out;
    } numbers[] = {{"since", &s->since_ms},
                   {"until", &s->until_ms},
                   {"proved", &s->proved_ms},
                   {"seen", &s->seen_ms}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            take(value, texts[i].out, texts[i].size);
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0 && value->type == REDIS_REPLY_STRING) {
            *numbers[i].out = strtoll(value->str, NULL, 10);
        }
    }
}

/* From the item at `from` on; false: a need that we do not know, which opens nothing. */
static bool take_fields(const redisReply *reply, size_t from, struct session *s)
{
    char need[16] = "?";
    *s = (struct session){.user = ""};
    for (size_t i = from; i + 1 < reply->elements; i += 2) {
        if (reply->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
        if (strcmp(reply->element[i]->str, "need") == 0) {
            take(reply->element[i + 1], need, sizeof need);
        } else {
            take_field(s, reply->element[i]->str, reply->element[i + 1]);
        }
    }
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (strcmp(need, needs[i]) == 0) {
            s->need = (enum console_need)i;
            return s->handle[0] != '\0';
        }
    }
    return false;
}

enum fb_status session_get(struct fb_redis *r, const char *name, int64_t idle_ms, int64_t now_ms,
                           struct session *session_r, struct fb_account **account_r,
                           struct fb_error *err)
{
    char key[ACCOUNTS_KEY], now[24], idle[24];
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    (void)snprintf(key, sizeof key, ACCOUNTS_SESSION "%.64s", name);
    number(now_ms, now);
    number(idle_ms, idle);
    const char *const keys[] = {key, ACCOUNTS_USERS};
    const char *const args[] = {now, idle};
    enum fb_status s =
        fb_accounts_script(r, &scripts[SCRIPT_GET], 2, keys, 2, args, 0, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    struct fb_account *a = NULL;
    bool is_there = reply->elements > 1 && reply->element[0]->type == REDIS_REPLY_STRING &&
                    take_fields(reply, 1, session_r);
    if (is_there) {
        s = fb_account_decode(fb_slice_of(reply->element[0]->str, reply->element[0]->len), &a, err);
    }
    freeReplyObject(reply);
    if (s == FB_OK && (a == NULL || a->is_removed || a->is_off || a->role == FB_ROLE_NONE ||
                       strcmp(a->handle, session_r->handle) != 0)) {
        s = fb_error_set(err, FB_NOT_FOUND, "nobody is signed in");
    }
    if (s != FB_OK) {
        fb_account_free(&a);
        return s;
    }
    *account_r = a;
    return FB_OK;
}

static enum fb_status read_one(struct fb_redis *r, const char *name, struct session *s,
                               bool *is_there_r, struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, ACCOUNTS_SESSION "%.64s", name);
    enum fb_status status = fb_redis_call(r, &reply, err, "HGETALL", key, NULL);
    if (status == FB_OK) {
        *is_there_r = reply->type == REDIS_REPLY_ARRAY && take_fields(reply, 0, s);
        freeReplyObject(reply);
    }
    return status;
}

enum fb_status session_list(struct fb_redis *r, const char *handle, struct session_entry *list_r,
                            size_t *count_r, struct fb_error *err)
{
    char of[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    *count_r = 0;
    (void)snprintf(of, sizeof of, ACCOUNTS_OF "%.32s", handle);
    enum fb_status s = fb_redis_call(r, &reply, err, "ZREVRANGE", of, "0", "99", NULL);
    if (s != FB_OK) {
        return s;
    }
    for (size_t i = 0; i < reply->elements && *count_r < SESSION_MOST && s == FB_OK; i++) {
        struct session_entry *e = &list_r[*count_r];
        bool is_there = false;
        *e = (struct session_entry){.name = ""};
        take(reply->element[i], e->name, sizeof e->name);
        s = read_one(r, e->name, &e->session, &is_there, err);
        *count_r += is_there ? 1 : 0;
    }
    freeReplyObject(reply);
    return s;
}

/* ---- what waits for an answer ---- */

enum fb_status begin_put(struct fb_redis *r, const char *name, json_t *what, struct fb_error *err)
{
    char key[ACCOUNTS_KEY], ms[24];
    redisReply *reply = NULL;
    char *text = json_dumps(what, JSON_COMPACT);
    (void)snprintf(key, sizeof key, BEGIN "%.64s", name);
    number(BEGIN_MS, ms);
    enum fb_status s = text != NULL
                           ? fb_redis_call(r, &reply, err, "SET", key, text, "PX", ms, NULL)
                           : fb_error_set(err, FB_NO_SPACE, "no memory");
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    free(text);
    return s;
}

enum fb_status begin_take(struct fb_redis *r, const char *name, json_t **what_r,
                          struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, BEGIN "%.64s", name);
    enum fb_status s = fb_redis_call(r, &reply, err, "GETDEL", key, NULL);
    if (s != FB_OK) {
        return s;
    }
    *what_r = reply->type == REDIS_REPLY_STRING
                  ? json_loadb(reply->str, reply->len, JSON_REJECT_DUPLICATES, NULL)
                  : NULL;
    freeReplyObject(reply);
    if (!json_is_object(*what_r)) {
        json_decref(*what_r);
        *what_r = NULL;
        return fb_error_set(err, FB_NOT_FOUND, "nothing was begun");
    }
    return FB_OK;
}

enum fb_status step_take(struct fb_redis *r, const char *handle, int64_t step, struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, STEP "%.32s:%lld", handle, (long long)step);
    enum fb_status s = fb_redis_call(r, &reply, err, "SET", key, "1", "NX", "PX", STEP_MS, NULL);
    if (s == FB_OK) {
        s = reply->type == REDIS_REPLY_NIL ? fb_error_set(err, FB_EXISTS, "this code was used")
                                           : FB_OK;
        freeReplyObject(reply);
    }
    return s;
}
