/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "common/ledger/door_internal.h"

static void begin(struct fb_redis *r, const char *kind, const char *name, struct fb_call *c)
{
    fb_call_init(c);
    fb_call_key(c, fb_redis_shard(r, name), "pl:%.16s:%.80s", kind, name);
}

static enum fb_status count(struct fb_redis *r, struct fb_call *c, int64_t *count_r,
                            int64_t *wait_ms_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_door_run(r, FB_DOOR_COUNT, c, 2, &reply, err);
    if (s == FB_OK) {
        *count_r = fb_door_reply_at(reply, 0);
        *wait_ms_r = fb_door_reply_at(reply, 1);
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_door_take(struct fb_redis *r, const char *kind, const char *name,
                            int64_t window_ms, int64_t most, int64_t *wait_ms_r,
                            struct fb_error *err)
{
    struct fb_call c;
    int64_t n = 0;
    begin(r, kind, name, &c);
    fb_call_arg_int(&c, window_ms);
    fb_call_arg_int(&c, most);
    fb_call_arg_str(&c, "1");
    return count(r, &c, &n, wait_ms_r, err);
}

enum fb_status fb_door_look(struct fb_redis *r, const char *kind, const char *name, int64_t most,
                            int64_t *wait_ms_r, struct fb_error *err)
{
    struct fb_call c;
    int64_t n = 0;
    begin(r, kind, name, &c);
    fb_call_arg_int(&c, 0);
    fb_call_arg_int(&c, most);
    fb_call_arg_str(&c, "0");
    return count(r, &c, &n, wait_ms_r, err);
}

enum fb_status fb_door_count(struct fb_redis *r, const char *kind, const char *name,
                             int64_t window_ms, int64_t *count_r, struct fb_error *err)
{
    struct fb_call c;
    int64_t wait_ms = 0;
    begin(r, kind, name, &c);
    fb_call_arg_int(&c, window_ms);
    fb_call_arg_str(&c, "");
    fb_call_arg_str(&c, "1");
    return count(r, &c, count_r, &wait_ms, err);
}

enum fb_status fb_door_try(struct fb_redis *r, const char *kind, const char *name, int64_t now_ms,
                           int64_t *until_ms_r, unsigned *left_r, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    begin(r, kind, name, &c);
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_int(&c, FB_DOOR_TRIES);
    fb_call_arg_int(&c, FB_DOOR_KEEP_MS);
    enum fb_status s = fb_door_run(r, FB_DOOR_TRY, &c, 2, &reply, err);
    if (s == FB_OK) {
        int64_t left = fb_door_reply_at(reply, 1);
        *until_ms_r = fb_door_reply_at(reply, 0);
        *left_r = left > 0 && left <= FB_DOOR_TRIES ? (unsigned)left : 0;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_door_try_clear(struct fb_redis *r, const char *kind, const char *name,
                                 struct fb_error *err)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%.16s:%.80s", kind, name);
    return fb_door_del(r, fb_redis_shard(r, name), "pl", full, err);
}

enum fb_status fb_door_try_look(struct fb_redis *r, const char *kind, const char *name,
                                int64_t now_ms, int64_t *until_ms_r, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    begin(r, kind, name, &c);
    enum fb_status s =
        fb_redis_call(r, &reply, err, "HGET", (const char *)c.keys[0].ptr, "next", NULL);
    fb_call_deinit(&c);
    if (s == FB_OK) {
        int64_t next_ms = fb_reply_int(reply);
        *until_ms_r = next_ms > now_ms ? next_ms : 0;
        freeReplyObject(reply);
    }
    return s;
}
