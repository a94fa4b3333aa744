/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/lease.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/internal.h"

/* KEYS lease token  ARGV holder ttl: answers the token, "" when another one holds it.  The time is
 * in the token so that it grows even over a Redis that was wiped. */
static const char keep_lua[] = "local have = redis.call('GET', KEYS[1])\n"
                               "local n, holder\n"
                               "if have then n, holder = string.match(have, '^(%d+) (.*)$') end\n"
                               "if holder and holder ~= ARGV[1] then return '' end\n"
                               "if not holder then\n"
                               "  local t = redis.call('TIME')\n"
                               "  local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
                               "  local last = tonumber(redis.call('GET', KEYS[2]) or '0')\n"
                               "  n = string.format('%.0f', math.max(now, last + 1))\n"
                               "  redis.call('SET', KEYS[2], n)\n"
                               "end\n"
                               "redis.call('SET', KEYS[1], n .. ' ' .. ARGV[1], 'PX', ARGV[2])\n"
                               "return n\n";

/* KEYS fence  ARGV token: 0, or 1 where a later one is in office */
static const char raise_lua[] =
    "if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return 1 end\n"
    "redis.call('SET', KEYS[1], ARGV[1])\n"
    "return 0\n";

/* KEYS lease  ARGV holder */
static const char end_lua[] = "local have = redis.call('GET', KEYS[1])\n"
                              "if have and string.match(have, '^%d+ (.*)$') == ARGV[1] then\n"
                              "  redis.call('DEL', KEYS[1])\n"
                              "end\n"
                              "return 0\n";

static struct fb_script keep_script = {"lease", keep_lua, ""};
static struct fb_script raise_script = {"fence", raise_lua, ""};
static struct fb_script end_script = {"lease_end", end_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&keep_script);
    fb_redis_script_prepare(&raise_script);
    fb_redis_script_prepare(&end_script);
}

static enum fb_status call(struct fb_redis *r, const struct fb_script *script,
                           const struct fb_call *c, redisReply **reply_r, struct fb_error *err)
{
    (void)pthread_once(&once, prepare);
    return fb_redis_script(r, script, c->key_count, c->keys, c->arg_count, c->args, reply_r, err);
}

static enum fb_status raise_fence(struct fb_redis *r, int shard, const char *token,
                                  struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    fb_call_init(&c);
    fb_call_key(&c, shard, "%s", "watch:fence");
    fb_call_arg_str(&c, token);
    enum fb_status s = call(r, &raise_script, &c, &reply, err);
    if (s == FB_OK && fb_reply_int(reply) != 0) {
        s = fb_error_set(err, FB_EXISTS, "another process took the lease meanwhile");
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_lease_keep(struct fb_redis *r, const char *holder, int64_t ttl_ms,
                             char token_r[FB_LEASE_TOKEN], struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    char token[FB_LEASE_TOKEN] = "";
    fb_call_init(&c);
    fb_call_key(&c, 0, "%s", "watch:lease");
    fb_call_key(&c, 0, "%s", "watch:token");
    fb_call_arg_str(&c, holder);
    fb_call_arg_int(&c, ttl_ms);
    enum fb_status s = call(r, &keep_script, &c, &reply, err);
    if (s == FB_OK) {
        struct fb_slice got = fb_reply_slice(reply);
        if (got.len > 0 && got.len < sizeof token) {
            memcpy(token, got.ptr, got.len);
        }
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    if (s == FB_OK && token[0] == '\0') {
        return fb_error_set(err, FB_EXISTS, "another process holds the lease");
    }
    bool is_new = s == FB_OK && strcmp(token, token_r) != 0;
    for (int shard = 0; is_new && s == FB_OK && shard < fb_redis_shard_count(r); shard++) {
        s = raise_fence(r, shard, token, err);
    }
    if (s == FB_OK) {
        (void)snprintf(token_r, FB_LEASE_TOKEN, "%s", token);
    }
    return s;
}

enum fb_status fb_lease_end(struct fb_redis *r, const char *holder, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    fb_call_init(&c);
    fb_call_key(&c, 0, "%s", "watch:lease");
    fb_call_arg_str(&c, holder);
    enum fb_status s = call(r, &end_script, &c, &reply, err);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}
