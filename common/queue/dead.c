/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: what could not be done waits here for a person.  Entries of fb:{sN}:dead: j job, f
 * first_ms, g stage, s status, r reason, t time of death, i the id it had, l `bulk` for that lane.
 * The entry is taken out in the step that adds the job again, so two operators cannot release it twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"

#define PAGE "100"

static void copy_text(char *out, size_t size, struct fb_slice s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;
    if (n > 0) {
        memcpy(out, s.ptr, n);
    }
    out[n] = '\0';
}

/* One entry; false when it is not one of ours. */
static bool read_entry(int shard, const redisReply *entry, struct fb_dead *dead,
                       struct fb_slice *id_r)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[1]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    memset(dead, 0, sizeof(*dead));
    *id_r = fb_reply_slice(entry->element[0]);
    (void)snprintf(dead->id, sizeof(dead->id), "s%d-%.*s", shard, (int)id_r->len,
                   (const char *)id_r->ptr);
    const redisReply *fields = entry->element[1];
    char stage[16] = "";
    struct fb_slice job = {NULL, 0};
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        struct fb_slice value = fb_reply_slice(fields->element[i + 1]);
        struct fb_slice name = fb_reply_slice(fields->element[i]);
        if (fb_slice_eq_str(name, "j")) {
            job = value;
        } else if (fb_slice_eq_str(name, "r")) {
            copy_text(dead->reason, sizeof(dead->reason), value);
        } else if (fb_slice_eq_str(name, "s")) {
            copy_text(dead->status, sizeof(dead->status), value);
        } else if (fb_slice_eq_str(name, "t")) {
            dead->died_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "g")) {
            copy_text(stage, sizeof(stage), value);
        } else if (fb_slice_eq_str(name, "l") && fb_slice_eq_str(value, "bulk")) {
            dead->lane = FB_LANE_BULK;
        }
    }
    if (fb_job_decode(job, &dead->job, NULL) != FB_OK) {
        memset(&dead->job, 0, sizeof(dead->job));
        if (!fb_stage_parse(stage, &dead->job.stage)) {
            dead->job.stage = FB_STAGE_RENDER;
        }
    }
    return true;
}

static enum fb_status range(struct fb_redis *r, int shard, const char *from, const char *to,
                            redisReply **reply_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    fb_key(key, shard, "dead");
    enum fb_status s = fb_redis_call(r, reply_r, err, "XRANGE", key, from, to, "COUNT", PAGE, NULL);
    if (s == FB_OK && (*reply_r)->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(*reply_r);
        *reply_r = NULL;
        s = fb_error_set(err, FB_BUG, "XRANGE %s: odd answer", key);
    }
    return s;
}

/* All entries of a shard up to the stream id `to`, page by page. */
static enum fb_status each_of_shard(struct fb_redis *r, int shard, const char *to,
                                    bool (*each)(void *ctx, const struct fb_dead *d), void *ctx,
                                    bool *goes_on, struct fb_error *err)
{
    char from[48] = "-";
    struct fb_dead *dead = fb_xcalloc(1, sizeof(*dead));
    enum fb_status s = FB_OK;
    bool is_end = false;
    while (s == FB_OK && *goes_on && !is_end) {
        redisReply *reply = NULL;
        s = range(r, shard, from, to, &reply, err);
        if (s != FB_OK) {
            break;
        }
        is_end = reply->elements == 0;
        for (size_t i = 0; i < reply->elements && *goes_on; i++) {
            struct fb_slice id = {NULL, 0};
            if (read_entry(shard, reply->element[i], dead, &id)) {
                (void)snprintf(from, sizeof(from), "(%.*s", (int)id.len, (const char *)id.ptr);
                *goes_on = each(ctx, dead);
            } else {
                is_end = true;
            }
        }
        freeReplyObject(reply);
    }
    free(dead);
    return s;
}

enum fb_status fb_dead_list(struct fb_redis *r, bool (*each)(void *ctx, const struct fb_dead *d),
                            void *ctx, struct fb_error *err)
{
    bool goes_on = true;
    enum fb_status s = FB_OK;
    for (int shard = 0; s == FB_OK && goes_on && shard < fb_redis_shard_count(r); shard++) {
        s = each_of_shard(r, shard, "+", each, ctx, &goes_on, err);
    }
    return s;
}

/* "s<shard>-<ms>-<seq>" */
static bool split_id(const struct fb_redis *r, const char *id, int *shard_r,
                     const char **stream_id_r)
{
    size_t digits = id[0] == 's' ? strspn(id + 1, "0123456789") : 0;
    if (digits == 0 || digits > 5 || id[1 + digits] != '-') {
        return false;
    }
    int64_t shard = fb_slice_int(fb_slice_of(id + 1, digits));
    const char *rest = id + digits + 2;
    size_t ms = strspn(rest, "0123456789");
    size_t seq = rest[ms] == '-' ? strspn(rest + ms + 1, "0123456789") : 0;
    if (shard >= fb_redis_shard_count(r) || ms == 0 || ms > 15 || seq == 0 || seq > 20 ||
        rest[ms + 1 + seq] != '\0') {
        return false;
    }
    *shard_r = (int)shard;
    *stream_id_r = rest;
    return true;
}

enum fb_status fb_dead_get(struct fb_redis *r, const char *id, struct fb_dead *dead_r,
                           struct fb_error *err)
{
    int shard = 0;
    const char *stream_id = NULL;
    if (!split_id(r, id, &shard, &stream_id)) {
        return fb_error_set(err, FB_NOT_FOUND, "no dead letter has such an id");
    }
    redisReply *reply = NULL;
    enum fb_status s = range(r, shard, stream_id, stream_id, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    struct fb_slice ignored;
    if (reply->elements != 1 || !read_entry(shard, reply->element[0], dead_r, &ignored)) {
        s = fb_error_set(err, FB_NOT_FOUND, "dead letter %s is not there (any more)", id);
    }
    freeReplyObject(reply);
    return s;
}

/* Takes the entry out; job (may be NULL: only out) goes into its stage. */
static enum fb_status take_out(struct fb_redis *r, const struct fb_dead *dead,
                               const struct fb_job *job, const struct fb_ops *ops,
                               struct fb_error *err)
{
    int shard = 0;
    const char *stream_id = NULL;
    if (!split_id(r, dead->id, &shard, &stream_id)) {
        return fb_error_set(err, FB_NOT_FOUND, "no dead letter has such an id");
    }
    bool is_known = dead->job.msg_id[0] != '\0';
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, shard, "dead");
    fb_call_key(&c, shard, "dead:count");
    fb_call_key(&c, shard, "m:%s", is_known ? dead->job.msg_id : "-");
    fb_call_key(&c, shard, "open");
    fb_call_stream(&c, shard, job != NULL ? job->stage : dead->job.stage, dead->lane);
    fb_call_arg_str(&c, stream_id);
    fb_call_arg_str(&c, fb_script_stage(&dead->job));
    fb_call_arg_int(&c, dead->job.branch);
    fb_call_arg_str(&c, dead->job.msg_id);
    enum fb_status s = FB_OK;
    if (job != NULL) {
        s = fb_call_arg_job(&c, job, err);
    } else {
        fb_call_arg_str(&c, "");
    }
    fb_call_arg_int(&c, job != NULL ? job->first_ms : 0);
    if (s == FB_OK) {
        s = fb_call_ops(&c, shard, ops, err);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_DEAD_TAKE, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_dead_retry(struct fb_redis *r, const char *id, struct fb_error *err)
{
    struct fb_dead *dead = fb_xcalloc(1, sizeof(*dead));
    enum fb_status s = fb_dead_get(r, id, dead, err);
    if (s == FB_OK && dead->job.msg_id[0] == '\0') {
        s = fb_error_set(err, FB_INVALID, "dead letter %s holds no job that this version can read",
                         id);
    }
    if (s == FB_OK) {
        struct fb_job job = dead->job;
        job.attempt = 0;
        if (job.letter != FB_LETTER_NONE) {
            job.first_ms = fb_now_ms(); /* or it would be given up at once */
        }
        s = take_out(r, dead, &job, NULL, err);
    }
    free(dead);
    return s;
}

enum fb_status fb_dead_replace(struct fb_redis *r, const char *id, const struct fb_job *job,
                               const struct fb_ops *ops, struct fb_error *err)
{
    struct fb_dead *dead = fb_xcalloc(1, sizeof(*dead));
    enum fb_status s = fb_dead_get(r, id, dead, err);
    if (s == FB_OK && dead->job.msg_id[0] != '\0' && strcmp(dead->job.msg_id, job->msg_id) != 0) {
        s = fb_error_set(err, FB_BUG, "dead letter %s is of another message", id);
    }
    if (s == FB_OK) {
        s = take_out(r, dead, job, ops, err);
    }
    free(dead);
    return s;
}

enum fb_status fb_dead_drop(struct fb_redis *r, const char *id, struct fb_error *err)
{
    struct fb_dead *dead = fb_xcalloc(1, sizeof(*dead));
    enum fb_status s = fb_dead_get(r, id, dead, err);
    if (s == FB_OK) {
        s = take_out(r, dead, NULL, NULL, err);
    }
    free(dead);
    return s;
}

struct expiry {
    struct fb_redis *redis;
    struct fb_error *err;
    enum fb_status status;
};

static bool expire_one(void *ctx, const struct fb_dead *dead)
{
    struct expiry *e = ctx;
    enum fb_status s = take_out(e->redis, dead, NULL, NULL, e->err);
    if (s != FB_OK && s != FB_NOT_FOUND) { /* gone: an operator was faster */
        e->status = s;
        return false;
    }
    return true;
}

enum fb_status fb_dead_expire(struct fb_redis *r, int64_t older_than_ms, struct fb_error *err)
{
    int64_t now = 0;
    enum fb_status s = fb_redis_time(r, &now, err);
    if (s != FB_OK || older_than_ms < 0 || older_than_ms >= now) {
        return s;
    }
    char to[48]; /* ids are times of death: all up to this one are old enough */
    (void)snprintf(to, sizeof(to), "%" PRId64, now - older_than_ms);
    struct expiry e = {.redis = r, .err = err, .status = FB_OK};
    bool goes_on = true;
    for (int shard = 0; s == FB_OK && goes_on && shard < fb_redis_shard_count(r); shard++) {
        s = each_of_shard(r, shard, to, expire_one, &e, &goes_on, err);
    }
    return s != FB_OK ? s : e.status;
}
