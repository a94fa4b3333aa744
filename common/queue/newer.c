/* SPDX-License-Identifier: Apache-2.0
 *
 * How many jobs of a newer version wait.  Nobody here can read them, so each is known by a hash of
 * its bytes: fb:{sN}:newer:STAGE, a sorted set by the time a worker last put it off.  For operators
 * alone: the job itself lies in the delayed set, whatever becomes of this. */
#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "common/queue/internal.h"

#define WINDOW_MS INT64_C(60000) /* twice as long as one is put off */
#define LIFE_S    "3600"

static void key_of(char key[FB_KEY_SIZE], int shard, enum fb_stage stage)
{
    fb_key(key, shard, "newer:%s", fb_stage_name(stage));
}

/* FNV-1a: it only has to tell some jobs apart. */
static uint64_t hash_of(struct fb_slice job)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < job.len; i++) {
        h = (h ^ job.ptr[i]) * UINT64_C(1099511628211);
    }
    return h;
}

static enum fb_status run(struct fb_redis *r, const char *command, const char *key, const char *a,
                          const char *b, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, command, key, a, b, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

void fb_newer_note(struct fb_redis *r, enum fb_stage stage, int shard, struct fb_slice job)
{
    char key[FB_KEY_SIZE];
    char now[24];
    char old[32];
    char member[24];
    struct fb_error err = {0};
    key_of(key, shard, stage);
    (void)snprintf(now, sizeof now, "%" PRId64, fb_now_ms());
    (void)snprintf(old, sizeof old, "(%" PRId64, fb_now_ms() - WINDOW_MS);
    (void)snprintf(member, sizeof member, "%016" PRIx64, hash_of(job));
    enum fb_status s = run(r, "ZADD", key, now, member, &err);
    s = s == FB_OK ? run(r, "ZREMRANGEBYSCORE", key, "-inf", old, &err) : s;
    s = s == FB_OK ? run(r, "EXPIRE", key, LIFE_S, NULL, &err) : s;
    if (s != FB_OK) {
        fb_log(FB_DEBUG, "a job of a newer version is not counted: %s", err.text);
    }
}

enum fb_status fb_queue_newer(struct fb_redis *r, enum fb_stage stage, int64_t *count_r,
                              struct fb_error *err)
{
    char from[32];
    int64_t sum = 0;
    (void)snprintf(from, sizeof from, "%" PRId64, fb_now_ms() - WINDOW_MS);
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        char key[FB_KEY_SIZE];
        redisReply *reply = NULL;
        key_of(key, shard, stage);
        enum fb_status s = fb_redis_call(r, &reply, err, "ZCOUNT", key, from, "+inf", NULL);
        if (s != FB_OK) {
            return s;
        }
        sum += fb_reply_int(reply);
        freeReplyObject(reply);
    }
    *count_r = sum;
    return FB_OK;
}
