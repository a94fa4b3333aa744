/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripts of door.h.  Times come from the caller, so that what is written is the same on every replica. */
#include <pthread.h>
#include <string.h>

#include "common/ledger/door_internal.h"

/* After each fifth failure it takes longer; the last one stays. */
#define LUA_DELAY                                                                                  \
    "local delays = {60000, 300000, 900000, 3600000, 14400000, 86400000}\n"                        \
    "local function delay(n) return delays[n] or delays[#delays] end\n"

static struct fb_script scripts[FB_DOOR_SCRIPT_COUNT] = {
    /* KEYS pc  ARGV now browser to sealed hash code_ms keep_ms: {0 = asked or 1 = too early, until}.
     * The pauses between codes grow with their number. */
    [FB_DOOR_CODE_ASK] =
        {"door code ask",
         "local pauses = {30000, 60000, 120000, 300000, 900000, 1800000, 3600000}\n"
         "local k, now = KEYS[1], tonumber(ARGV[1])\n"
         "local h = redis.call('HMGET', k, 'next', 'sends')\n"
         "local wait = tonumber(h[1] or '0')\n"
         "if wait > now then return {1, wait} end\n"
         "local sends = tonumber(h[2] or '0') + 1\n"
         "local next = now + (pauses[sends] or pauses[#pauses])\n"
         "redis.call('HSET', k, 'browser', ARGV[2], 'to', ARGV[3], 'hash', ARGV[5], 'tries', 0,\n"
         "  'until', now + tonumber(ARGV[6]), 'sends', sends, 'next', next)\n"
         "redis.call('HDEL', k, 'lock', 'code')\n"
         "if ARGV[4] ~= '' then redis.call('HSET', k, 'code', ARGV[4]) end\n"
         "redis.call('PEXPIRE', k, ARGV[7])\n"
         "return {0, next}\n",
         ""},
    /* KEYS pc  ARGV now browser hash tries: {found, left, until, new lock, to} */
    [FB_DOOR_CODE_ENTER] =
        {"door code enter",
         LUA_DELAY "local k, now = KEYS[1], tonumber(ARGV[1])\n"
                   "local h = redis.call('HMGET', k, 'browser', 'hash', 'until', 'tries', 'locks', "
                   "'lock', 'to')\n"
                   "local lock = tonumber(h[6] or '0')\n"
                   "if lock > now and h[1] == ARGV[2] then return {2, 0, lock, 0, ''} end\n"
                   "if not h[2] or h[1] ~= ARGV[2] or tonumber(h[3] or '0') <= now then\n"
                   "  return {3, 0, 0, 0, ''}\n"
                   "end\n"
                   "if h[2] == ARGV[3] then\n"
                   "  redis.call('DEL', k)\n"
                   "  return {0, 0, 0, 0, h[7] or ''}\n"
                   "end\n"
                   "local tries = tonumber(h[4] or '0') + 1\n"
                   "if tries < tonumber(ARGV[4]) then\n"
                   "  redis.call('HSET', k, 'tries', tries)\n"
                   "  return {1, tonumber(ARGV[4]) - tries, 0, 0, ''}\n"
                   "end\n"
                   "local locks = tonumber(h[5] or '0') + 1\n"
                   "lock = now + delay(locks)\n"
                   "redis.call('HDEL', k, 'hash', 'code', 'tries')\n"
                   "redis.call('HSET', k, 'locks', locks, 'lock', lock, 'next', lock)\n"
                   "return {2, 0, lock, 1, ''}\n",
         ""},
    /* KEYS new old  ARGV has_old ttl fields...: {0} */
    [FB_DOOR_SESSION_PUT] = {"door session put",
                             "if ARGV[1] == '1' then redis.call('DEL', KEYS[2]) end\n"
                             "redis.call('DEL', KEYS[1])\n"
                             "redis.call('HSET', KEYS[1], unpack(ARGV, 3))\n"
                             "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                             "return {0}\n",
                             ""},
    /* KEYS ps  ARGV now idle: {1 = there, ttl, field, value, ...} or {0}.  A session that was used a moment ago
     * is not written again. */
    [FB_DOOR_SESSION_GET] = {"door session get",
                             "local k, now, idle = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])\n"
                             "local h = redis.call('HGETALL', k)\n"
                             "local left = tonumber(redis.call('HGET', k, 'until') or '0') - now\n"
                             "if #h == 0 or left <= 0 then return {0} end\n"
                             "local ttl = redis.call('PTTL', k)\n"
                             "local want = math.min(left, idle)\n"
                             "if ttl < want - idle / 30 then\n"
                             "  redis.call('PEXPIRE', k, string.format('%.0f', want))\n"
                             "  ttl = want\n"
                             "end\n"
                             "table.insert(h, 1, ttl)\n"
                             "table.insert(h, 1, 1)\n"
                             "return h\n",
                             ""},
    /* KEYS pd  ARGV ttl owner proof since: {0} */
    [FB_DOOR_DEVICE_PUT] =
        {"door device put",
         "redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'proof', ARGV[3], 'since', "
         "ARGV[4])\n"
         "redis.call('PEXPIRE', KEYS[1], ARGV[1])\n"
         "return {0}\n",
         ""},
    /* KEYS pt  ARGV step keep_ms: {0 = taken, 1 = was taken, 3 = none} */
    [FB_DOOR_TOTP_TAKE] = {"door totp take",
                           "local last = redis.call('HGET', KEYS[1], 'step')\n"
                           "if not last then return {3} end\n"
                           "if tonumber(ARGV[1]) <= tonumber(last) then return {1} end\n"
                           "redis.call('HSET', KEYS[1], 'step', ARGV[1])\n"
                           "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                           "return {0}\n",
                           ""},
    /* KEYS pt  ARGV replaces keep_ms secret step since recovery...: {0}, or {1} where one is enrolled */
    [FB_DOOR_TOTP_ENROL] =
        {"door totp enrol",
         "if ARGV[1] ~= '1' and redis.call('EXISTS', KEYS[1]) == 1 then return {1} end\n"
         "redis.call('DEL', KEYS[1])\n"
         "redis.call('HSET', KEYS[1], 'secret', ARGV[3], 'step', ARGV[4], 'since', ARGV[5], "
         "'left', "
         "#ARGV - 5)\n"
         "for i = 6, #ARGV do redis.call('HSET', KEYS[1], 'r:' .. ARGV[i], '1') end\n"
         "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
         "return {0}\n",
         ""},
    /* KEYS pt  ARGV hash keep_ms: {0, left}, or {3, 0} */
    [FB_DOOR_TOTP_RECOVER] =
        {"door totp recover",
         "if redis.call('HDEL', KEYS[1], 'r:' .. ARGV[1]) == 0 then return {3, 0} end\n"
         "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
         "return {0, redis.call('HINCRBY', KEYS[1], 'left', -1)}\n",
         ""},
    /* KEYS pl  ARGV window most ("" = any) count (0 or 1): {count, wait} */
    [FB_DOOR_COUNT] = {"door count",
                       "local k = KEYS[1]\n"
                       "local n = tonumber(redis.call('HGET', k, 'n') or '0')\n"
                       "if ARGV[2] ~= '' and n >= tonumber(ARGV[2]) then\n"
                       "  return {n, math.max(redis.call('PTTL', k), 1)}\n"
                       "end\n"
                       "if ARGV[3] == '1' then\n"
                       "  n = redis.call('HINCRBY', k, 'n', 1)\n"
                       "  if redis.call('PTTL', k) < 0 then redis.call('PEXPIRE', k, ARGV[1]) end\n"
                       "end\n"
                       "return {n, 0}\n",
                       ""},
    /* KEYS pl  ARGV now tries keep_ms: {until, left} */
    [FB_DOOR_TRY] =
        {"door try",
         LUA_DELAY
         "local k, now, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])\n"
         "local h = redis.call('HMGET', k, 'next', 'tries', 'locks')\n"
         "local next = tonumber(h[1] or '0')\n"
         "if next > now then return {next, 0} end\n"
         "local tries = tonumber(h[2] or '0') + 1\n"
         "if tries >= most then\n"
         "  local locks = tonumber(h[3] or '0') + 1\n"
         "  redis.call('HSET', k, 'tries', 0, 'locks', locks, 'next', now + delay(locks))\n"
         "else\n"
         "  redis.call('HSET', k, 'tries', tries)\n"
         "end\n"
         "redis.call('PEXPIRE', k, ARGV[3])\n"
         "return {0, most - tries}\n",
         ""},
};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (int i = 0; i < FB_DOOR_SCRIPT_COUNT; i++) {
        fb_redis_script_prepare(&scripts[i]);
    }
}

enum fb_status fb_door_run(struct fb_redis *r, enum fb_door_script script, struct fb_call *c,
                           size_t least, redisReply **reply_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    enum fb_status s = fb_redis_script(r, &scripts[script], c->key_count, c->keys, c->arg_count,
                                       c->args, &reply, err);
    fb_call_deinit(c);
    if (s == FB_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements < least)) {
        freeReplyObject(reply);
        return fb_error_set(err, FB_BUG, "script %s: another answer than expected",
                            scripts[script].name);
    }
    if (s == FB_OK) {
        *reply_r = reply;
    }
    return s;
}

enum fb_status fb_door_run_code(struct fb_redis *r, enum fb_door_script script, struct fb_call *c,
                                int64_t *code_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_door_run(r, script, c, 1, &reply, err);
    if (s == FB_OK) {
        *code_r = fb_door_reply_at(reply, 0);
        freeReplyObject(reply);
    }
    return s;
}

bool fb_door_copy(const redisReply *reply, char *out, size_t size)
{
    struct fb_slice text = fb_reply_slice(reply);
    bool fits = text.len < size && (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL);
    size_t len = fits ? text.len : 0;
    if (len > 0) {
        memcpy(out, text.ptr, len);
    }
    out[len] = '\0';
    return fits;
}

int64_t fb_door_reply_at(const redisReply *reply, size_t i)
{
    return i < reply->elements ? fb_reply_int(reply->element[i]) : 0;
}

enum fb_status fb_door_del(struct fb_redis *r, int shard, const char *kind, const char *name,
                           struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    fb_ledger_key(key, shard, kind, name);
    enum fb_status s = fb_redis_call(r, &reply, err, "DEL", key, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}
