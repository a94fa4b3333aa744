/* SPDX-License-Identifier: Apache-2.0 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/accounts/store.h"

#define KEEP_MS "86400000" /* how long failures are held against a name: a day */

enum script { SCRIPT_TAKE, SCRIPT_WINDOW, SCRIPT_COUNT };

static struct fb_script scripts[SCRIPT_COUNT] = {
    /* KEYS try  ARGV now tries keep: {wait, new lock}.  The longest delay stays: whoever fails on purpose cannot keep
     * anybody out for longer. */
    [SCRIPT_TAKE] = {"throttle take",
                     "local delays = {30000, 60000, 120000, 300000, 600000, 900000}\n"
                     "local k, now = KEYS[1], tonumber(ARGV[1])\n"
                     "local h = redis.call('HMGET', k, 'next', 'tries', 'locks')\n"
                     "local next = tonumber(h[1] or '0')\n"
                     "if next > now then return {math.min(next - now, delays[#delays]), 0} end\n"
                     "local tries, is_lock = tonumber(h[2] or '0') + 1, 0\n"
                     "if tries >= tonumber(ARGV[2]) then\n"
                     "  local locks = tonumber(h[3] or '0') + 1\n"
                     "  next = now + (delays[locks] or delays[#delays])\n"
                     "  redis.call('HSET', k, 'tries', 0, 'locks', locks, 'next', "
                     "string.format('%.0f', next))\n"
                     "  is_lock = 1\n"
                     "else\n"
                     "  redis.call('HSET', k, 'tries', tries)\n"
                     "end\n"
                     "redis.call('PEXPIRE', k, ARGV[3])\n"
                     "return {0, is_lock}\n",
                     ""},
    /* KEYS try  ARGV window most: {wait} */
    [SCRIPT_WINDOW] = {"throttle window",
                       "local n = redis.call('INCR', KEYS[1])\n"
                       "if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end\n"
                       "if n <= tonumber(ARGV[2]) then return {0} end\n"
                       "return {math.max(redis.call('PTTL', KEYS[1]), 1000)}\n",
                       ""}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        fb_redis_script_prepare(&scripts[i]);
    }
}

/* Nothing that somebody typed gets into a key's name. */
static void make_key(const char *kind, const char *name, char key_r[ACCOUNTS_KEY])
{
    uint8_t digest[FB_SHA256_SIZE];
    char hex[FB_ACCOUNT_HASH];
    fb_sha256(name, strlen(name), digest);
    fb_hex(digest, sizeof digest, hex);
    (void)snprintf(key_r, ACCOUNTS_KEY, ACCOUNTS_TRY "%.16s:%s", kind, hex);
}

enum fb_status fb_throttle_take(struct fb_redis *r, const char *kind, const char *name,
                                int64_t now_ms, int64_t *wait_ms_r, bool *is_new_lock_r,
                                struct fb_error *err)
{
    char key[ACCOUNTS_KEY], now[24], tries[8];
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    make_key(kind, name, key);
    (void)snprintf(now, sizeof now, "%lld", (long long)now_ms);
    (void)snprintf(tries, sizeof tries, "%d", FB_THROTTLE_TRIES);
    const char *const keys[] = {key};
    const char *const args[] = {now, tries, KEEP_MS};
    enum fb_status s =
        fb_accounts_script(r, &scripts[SCRIPT_TAKE], 1, keys, 3, args, 2, &reply, err);
    if (s == FB_OK) {
        *wait_ms_r = fb_accounts_int(reply, 0);
        *is_new_lock_r = fb_accounts_int(reply, 1) != 0;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_throttle_clear(struct fb_redis *r, const char *kind, const char *name,
                                 struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    make_key(kind, name, key);
    enum fb_status s = fb_redis_call(r, &reply, err, "DEL", key, NULL);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_throttle_window(struct fb_redis *r, const char *kind, const char *name,
                                  int64_t window_ms, int64_t most, int64_t *wait_ms_r,
                                  struct fb_error *err)
{
    char key[ACCOUNTS_KEY], window[24], limit[24];
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    make_key(kind, name, key);
    (void)snprintf(window, sizeof window, "%lld", (long long)window_ms);
    (void)snprintf(limit, sizeof limit, "%lld", (long long)most);
    const char *const keys[] = {key};
    const char *const args[] = {window, limit};
    enum fb_status s =
        fb_accounts_script(r, &scripts[SCRIPT_WINDOW], 1, keys, 2, args, 1, &reply, err);
    if (s == FB_OK) {
        *wait_ms_r = fb_accounts_int(reply, 0);
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_throttle_look(struct fb_redis *r, const char *kind, const char *name,
                                int64_t now_ms, int64_t *until_ms_r, struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    make_key(kind, name, key);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, "next", NULL);
    if (s == FB_OK) {
        int64_t until = fb_accounts_int(reply, 0);
        *until_ms_r = until > now_ms ? until : 0;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_account_unlock(struct fb_redis *r, const char *name, struct fb_error *err)
{
    static const char *const kinds[] = {"password", "totp", "recovery", "passkey"};
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && s == FB_OK; i++) {
        s = fb_throttle_clear(r, kinds[i], name, err);
    }
    return s;
}
