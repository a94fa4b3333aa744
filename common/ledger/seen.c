/* SPDX-License-Identifier: Apache-2.0
 *
 * How far each stream of events was read: fb:{s0}:watch:seen, written by the leader alone.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/internal.h"

/* A gap is noted in the same step: what was not looked at for longer than a storage keeps its events
 * may be lost.  "from:<stream>": before this events may be missing.
 * KEYS fence seen  ARGV token stream ms kept_ms ("" = ms is the end of a gap): 0, or 2 where another
 * one is leader */
static const char seen_lua[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 2 end\n"
    "local ms = tonumber(ARGV[3])\n"
    "local from = ms\n"
    "if ARGV[4] ~= '' then\n"
    "  local was = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '0')\n"
    "  from = ms - tonumber(ARGV[4])\n"
    "  if was >= from then from = 0 end\n"
    "  if ms > was then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end\n"
    "end\n"
    "local name = 'from:' .. ARGV[2]\n"
    "if from > tonumber(redis.call('HGET', KEYS[2], name) or '0') then\n"
    "  redis.call('HSET', KEYS[2], name, string.format('%.0f', from))\n"
    "end\n"
    "return 0\n";

static struct fb_script seen_script = {"seen", seen_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&seen_script);
}

static enum fb_status run(struct fb_redis *r, const char *token, const char *stream, int64_t ms,
                          const char *kept_ms, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    fb_call_init(&c);
    fb_call_key(&c, 0, "%s", "watch:fence");
    fb_call_key(&c, 0, "%s", "watch:seen");
    fb_call_arg_str(&c, token);
    fb_call_arg_str(&c, stream);
    fb_call_arg_int(&c, ms);
    fb_call_arg_str(&c, kept_ms);
    enum fb_status s =
        fb_redis_script(r, &seen_script, c.key_count, c.keys, c.arg_count, c.args, &reply, err);
    if (s == FB_OK && fb_reply_int(reply) != 0) {
        s = fb_error_set(err, FB_LOST, "another process is leader now");
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_ledger_seen_set(struct fb_redis *r, const char *token, const char *stream,
                                  int64_t ms, struct fb_error *err)
{
    char kept[24];
    (void)snprintf(kept, sizeof kept, "%" PRId64, FB_EVENTS_KEPT_MS);
    return run(r, token, stream, ms, kept, err);
}

enum fb_status fb_ledger_seen_from(struct fb_redis *r, const char *token, const char *stream,
                                   int64_t ms, struct fb_error *err)
{
    return run(r, token, stream, ms, "", err);
}

enum fb_status fb_ledger_seen(struct fb_redis *r, const char *storage, const char *user,
                              int64_t *ms_r, struct fb_error *err)
{
    int64_t from_ms = 0;
    return fb_ledger_seen_range(r, storage, user, &from_ms, ms_r, err);
}

enum fb_status fb_ledger_seen_range(struct fb_redis *r, const char *storage, const char *user,
                                    int64_t *from_ms_r, int64_t *ms_r, struct fb_error *err)
{
    char own_from[FB_STREAM_NAME + 8];
    char enterprise_from[FB_STREAM_NAME + 8];
    char key[FB_KEY_SIZE];
    char own[FB_STREAM_NAME];
    char enterprise[FB_STREAM_NAME];
    redisReply *reply = NULL;
    fb_key(key, 0, "%s", "watch:seen");
    fb_ledger_stream_name(storage, false, user, own);
    fb_ledger_stream_name(storage, true, "", enterprise);
    (void)snprintf(own_from, sizeof own_from, "from:%s", own);
    (void)snprintf(enterprise_from, sizeof enterprise_from, "from:%s", enterprise);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, own, enterprise, own_from,
                                     enterprise_from, NULL);
    if (s != FB_OK) {
        return s;
    }
    int64_t latest = 0;
    *from_ms_r = 0;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 && i < 2; i++) {
        int64_t ms = fb_reply_int(reply->element[i]);
        if (ms > latest) {
            latest = ms;
            *from_ms_r = fb_reply_int(reply->element[i + 2]);
        }
    }
    *ms_r = latest;
    freeReplyObject(reply);
    return FB_OK;
}

void fb_ledger_stream_name(const char *storage, bool is_enterprise, const char *user,
                           char name_r[FB_STREAM_NAME])
{
    (void)snprintf(name_r, FB_STREAM_NAME, "%.180s %s %.40s", storage,
                   is_enterprise ? "enterprise" : "user", user);
}
