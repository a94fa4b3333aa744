/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking jobs: read, own history, claim of abandoned ones, heartbeat, promotion of due retries, and
 * the tidying of consumers.  Nothing here ends a claim, except of entries that cannot be read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/queue/internal.h"

#define MAX_TAKE       1024
#define NEWER_DELAY_MS 30000 /* until an upgraded worker may have taken it */
#define MAX_REAP_ROUNDS                                                                            \
    64 /* XAUTOCLAIM looks at 10 x COUNT entries a call: an empty answer is not the end */

enum fb_status fb_claim_decode(enum fb_stage stage, int shard, struct fb_slice id,
                               struct fb_slice job, struct fb_claim *claim_r, struct fb_error *err)
{
    if (id.len == 0 || id.len >= sizeof(claim_r->id)) {
        return fb_error_set(err, FB_BUG, "stream id of %zu bytes", id.len);
    }
    memset(claim_r, 0, sizeof(*claim_r));
    memcpy(claim_r->id, id.ptr, id.len);
    claim_r->shard = shard;
    claim_r->stage = stage;
    claim_r->deliveries = 1;
    enum fb_status s = fb_job_decode(job, &claim_r->job, err);
    if (s == FB_OK && claim_r->job.stage != stage) {
        s = fb_error_set(err, FB_INVALID, "job of stage %s in the stream of %s",
                         fb_stage_name(claim_r->job.stage), fb_stage_name(stage));
    }
    return s;
}

/* Says what ends the entry with its bytes as they are; its message is unknown: "-" stands for it.
 */
static enum fb_status refuse_call(struct fb_redis *r, const char *consumer,
                                  const struct fb_claim *claim, const struct fb_error *reason,
                                  struct fb_error *err)
{
    const char *stage = fb_stage_name(claim->stage);
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, claim->shard, "%s", stage);
    enum fb_script_id script = FB_SCRIPT_BURY;
    if (reason->status == FB_AGAIN) {
        script = FB_SCRIPT_RETRY;
        fb_call_key(&c, claim->shard, "delayed:%s", stage);
    } else {
        fb_call_key(&c, claim->shard, "dead");
        fb_call_key(&c, claim->shard, "dead:count");
    }
    fb_call_key(&c, claim->shard, "m:-");
    if (script == FB_SCRIPT_BURY) {
        fb_call_key(&c, claim->shard, "%s", fb_stage_name(FB_STAGE_REWRITE));
    }
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, claim->id);
    fb_call_arg_str(&c, stage);
    fb_call_arg_int(&c, 0);
    if (script == FB_SCRIPT_RETRY) {
        fb_call_arg_int(&c, NEWER_DELAY_MS);
    }
    fb_call_arg_str(&c, ""); /* job, first: as they stand in the stream */
    fb_call_arg_str(&c, "");
    if (script == FB_SCRIPT_RETRY) {
        fb_call_arg_str(&c, "");
    } else {
        fb_call_arg_str(&c, fb_status_name(reason->status));
        fb_call_arg_str(&c, reason->text);
    }
    fb_call_arg_str(&c, ""); /* no changes */
    if (script == FB_SCRIPT_BURY) {
        fb_call_arg_str(&c, ""); /* no letter: whose mail it was cannot be read */
        fb_call_arg_str(&c, "");
    }
    enum fb_status s = fb_call_run(r, script, &c, NULL, err);
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_claim_refuse(struct fb_redis *r, const char *consumer,
                               const struct fb_claim *claim, const struct fb_error *reason,
                               struct fb_error *err)
{
    enum fb_status s = refuse_call(r, consumer, claim, reason, err);
    fb_log(reason->status == FB_AGAIN ? FB_WARN : FB_ERROR, "%s entry %s cannot be read, %s: %s",
           fb_stage_name(claim->stage), claim->id,
           reason->status == FB_AGAIN ? "put off" : "buried", reason->text);
    return s == FB_LOST ? FB_OK : s;
}

static struct fb_slice entry_field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
        if (fb_slice_eq_str(fb_reply_slice(fields->element[i]), name)) {
            return fb_reply_slice(fields->element[i + 1]);
        }
    }
    return fb_slice_of(NULL, 0);
}

/* The entries of one stream's part of an XREADGROUP reply.  Entries are owned already: an error in
 * the middle loses nothing, the reaper finds them. */
static enum fb_status take_entries(struct fb_redis *r, enum fb_stage stage, int shard,
                                   const char *consumer, const redisReply *entries, size_t max,
                                   struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    for (size_t i = 0;
         entries->type == REDIS_REPLY_ARRAY && i < entries->elements && *count_r < max; i++) {
        const redisReply *entry = entries->element[i];
        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            entry->element[1]->type != REDIS_REPLY_ARRAY) {
            return fb_error_set(err, FB_BUG, "XREADGROUP: odd entry");
        }
        struct fb_claim *claim = &claims_r[*count_r];
        struct fb_slice id = fb_reply_slice(entry->element[0]);
        struct fb_error reason = {.status = FB_OK};
        enum fb_status s =
            fb_claim_decode(stage, shard, id, entry_field(entry->element[1], "j"), claim, &reason);
        if (s == FB_OK) {
            (*count_r)++;
            continue;
        }
        if (s == FB_BUG) {
            return fb_error_set(err, s, "%s", reason.text);
        }
        s = fb_claim_refuse(r, consumer, claim, &reason, err);
        if (s != FB_OK) {
            return s;
        }
    }
    return FB_OK;
}

enum fb_status fb_queue_read(struct fb_redis *r, enum fb_stage stage, int shard,
                             const char *consumer, size_t max, int block_ms,
                             struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    max = max < MAX_TAKE ? max : MAX_TAKE;
    if (max == 0) {
        return FB_OK;
    }
    char key[FB_KEY_SIZE];
    char count[24];
    char block[24];
    fb_key(key, shard, "%s", fb_stage_name(stage));
    (void)snprintf(count, sizeof(count), "%zu", max);
    (void)snprintf(block, sizeof(block), "%d", block_ms);
    struct fb_slice argv[12];
    size_t argc = 0;
    argv[argc++] = fb_slice_str("XREADGROUP");
    argv[argc++] = fb_slice_str("GROUP");
    argv[argc++] = fb_slice_str(FB_GROUP);
    argv[argc++] = fb_slice_str(consumer);
    argv[argc++] = fb_slice_str("COUNT");
    argv[argc++] = fb_slice_str(count);
    if (block_ms > 0) { /* BLOCK 0 would mean for ever */
        argv[argc++] = fb_slice_str("BLOCK");
        argv[argc++] = fb_slice_str(block);
    }
    argv[argc++] = fb_slice_str("STREAMS");
    argv[argc++] = fb_slice_str(key);
    argv[argc++] = fb_slice_str(">");
    redisReply *reply = NULL;
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = fb_redis_command_blocking(r, block_ms, argc, argv, &reply, &own);
    if (s != FB_OK &&
        fb_redis_error_is(&own, "NOGROUP")) { /* wiped: the next call finds the group again */
        return fb_queue_prepare(r, err);
    }
    if (s != FB_OK) {
        return fb_error_set(err, s, "read %s: %s", key, own.text);
    }
    /* nil = nothing came within block_ms */
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2) {
        s = take_entries(r, stage, shard, consumer, reply->element[0]->element[1], max, claims_r,
                         count_r, err);
    }
    freeReplyObject(reply);
    return s;
}

/* One answer of reap or history.  cursor is moved on. */
static enum fb_status take_listed(struct fb_redis *r, enum fb_script_id script,
                                  const struct fb_call *c, enum fb_stage stage, int shard,
                                  const char *consumer, size_t max, char cursor[40],
                                  struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_call_raw(r, script, c, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 || reply->elements % 3 != 0) {
        s = fb_error_set(err, FB_BUG, "%s: odd answer", fb_script_get(script)->name);
        goto cleanup;
    }
    (void)snprintf(cursor, 40, "%.*s", (int)fb_reply_slice(reply->element[0]).len,
                   (const char *)fb_reply_slice(reply->element[0]).ptr);
    int64_t deleted = fb_reply_int(reply->element[1]);
    int64_t buried = fb_reply_int(reply->element[2]);
    if (deleted > 0) { /* somebody used XDEL or MAXLEN on our stream */
        fb_log(FB_ERROR, "%s: %" PRId64 " pending jobs were deleted by somebody else",
               fb_stage_name(stage), deleted);
        fb_metric_add("fumibako_deleted_pending_total", NULL, (double)deleted);
    }
    if (buried > 0) {
        fb_log(FB_ERROR, "%s: %" PRId64 " jobs buried: crash-loop", fb_stage_name(stage), buried);
    }
    for (size_t i = 3; i + 2 < reply->elements && *count_r < max; i += 3) {
        struct fb_claim *claim = &claims_r[*count_r];
        struct fb_error reason = {.status = FB_OK};
        s = fb_claim_decode(stage, shard, fb_reply_slice(reply->element[i]),
                            fb_reply_slice(reply->element[i + 2]), claim, &reason);
        if (s == FB_OK) {
            claim->deliveries = (uint32_t)fb_reply_int(reply->element[i + 1]);
            (*count_r)++;
        } else {
            s = fb_claim_refuse(r, consumer, claim, &reason, err);
        }
        if (s != FB_OK) {
            goto cleanup; /* the rest is pending for us and will be reaped again */
        }
    }
cleanup:
    freeReplyObject(reply);
    return s;
}

enum fb_status fb_queue_reap(struct fb_redis *r, enum fb_stage stage, int shard,
                             const char *consumer, int min_idle_ms, uint32_t max_deliveries,
                             size_t max, struct fb_claim *claims_r, size_t *count_r,
                             struct fb_error *err)
{
    *count_r = 0;
    char cursor[40] = "0-0";
    max = max < MAX_TAKE ? max : MAX_TAKE;
    enum fb_status s = FB_OK;
    for (int round = 0; s == FB_OK && *count_r < max && round < MAX_REAP_ROUNDS; round++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_key(&c, shard, "%s", fb_stage_name(stage));
        fb_call_key(&c, shard, "dead");
        fb_call_key(&c, shard, "dead:count");
        fb_call_key(&c, shard, "%s", fb_stage_name(FB_STAGE_REWRITE));
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_str(&c, consumer);
        fb_call_arg_int(&c, min_idle_ms);
        char from[40];
        memcpy(from, cursor, sizeof(from));
        fb_call_arg_str(&c, from);
        fb_call_arg_int(&c, (int64_t)(max - *count_r));
        fb_call_arg_int(&c, max_deliveries);
        fb_call_arg_str(&c, fb_stage_name(stage));
        s = take_listed(r, FB_SCRIPT_REAP, &c, stage, shard, consumer, max, cursor, claims_r,
                        count_r, err);
        fb_call_deinit(&c);
        if (strcmp(cursor, "0-0") == 0) {
            break;
        }
    }
    return s == FB_LOST ? FB_OK : s; /* wiped: the groups are there again, nothing is abandoned */
}

enum fb_status fb_queue_history(struct fb_redis *r, enum fb_stage stage, int shard,
                                const char *consumer, char after[FB_CLAIM_ID_SIZE], size_t max,
                                struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    max = max < MAX_TAKE ? max : MAX_TAKE;
    char from[40];
    memcpy(from, after, sizeof(from));
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, shard, "%s", fb_stage_name(stage));
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, from);
    fb_call_arg_int(&c, (int64_t)max);
    enum fb_status s = max == 0 ? FB_OK
                                : take_listed(r, FB_SCRIPT_HISTORY, &c, stage, shard, consumer, max,
                                              after, claims_r, count_r, err);
    fb_call_deinit(&c);
    return s == FB_LOST ? FB_OK : s;
}

enum fb_status fb_queue_touch(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claims, size_t count, struct fb_error *err)
{
    int64_t lost = 0;
    enum fb_status failed =
        FB_OK; /* of one node: the claims on the others are touched all the same */
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
            struct fb_call c;
            fb_call_init(&c);
            fb_call_key(&c, shard, "%s", fb_stage_name((enum fb_stage)stage));
            fb_call_arg_str(&c, FB_GROUP);
            fb_call_arg_str(&c, consumer);
            for (size_t i = 0; i < count; i++) {
                if (claims[i].shard == shard && (int)claims[i].stage == stage) {
                    fb_call_arg_str(&c, claims[i].id);
                }
            }
            enum fb_status s = FB_OK;
            redisReply *reply = NULL;
            if (c.arg_count > 2) {
                s = fb_call_raw(r, FB_SCRIPT_TOUCH, &c, &reply, err);
            }
            if (s == FB_OK && reply != NULL) {
                lost += fb_reply_int(reply);
                freeReplyObject(reply);
            } else if (s == FB_LOST) {
                lost += (int64_t)c.arg_count - 2;
            }
            fb_call_deinit(&c);
            if (s != FB_OK && s != FB_LOST) {
                failed = s;
            }
        }
    }
    if (failed != FB_OK) {
        return failed;
    }
    return lost == 0 ? FB_OK
                     : fb_error_set(err, FB_LOST,
                                    "heartbeat: %" PRId64 " jobs are not ours any more", lost);
}

enum fb_status fb_queue_promote(struct fb_redis *r, enum fb_stage stage, int shard, size_t max,
                                size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, shard, "delayed:%s", fb_stage_name(stage));
    fb_call_key(&c, shard, "%s", fb_stage_name(stage));
    fb_call_arg_int(&c, (int64_t)(max < MAX_TAKE ? max : MAX_TAKE));
    redisReply *reply = NULL;
    enum fb_status s = fb_call_raw(r, FB_SCRIPT_PROMOTE, &c, &reply, err);
    if (s == FB_OK) {
        *count_r = (size_t)fb_reply_int(reply);
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_forget(struct fb_redis *r, enum fb_stage stage, const char *consumer,
                               struct fb_error *err)
{
    enum fb_status first = FB_OK;
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_key(&c, shard, "%s", fb_stage_name(stage));
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_str(&c, consumer);
        enum fb_status s = fb_call_run(r, FB_SCRIPT_FORGET, &c, NULL, err);
        fb_call_deinit(&c);
        if (s != FB_OK && s != FB_LOST && first == FB_OK) {
            first = s;
        }
    }
    return first;
}

enum fb_status fb_queue_sweep(struct fb_redis *r, enum fb_stage stage, const char *consumer,
                              int64_t idle_ms, struct fb_error *err)
{
    enum fb_status failed = FB_OK;
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_key(&c, shard, "%s", fb_stage_name(stage));
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_int(&c, idle_ms);
        fb_call_arg_str(&c, consumer);
        redisReply *reply = NULL;
        enum fb_status s = fb_call_raw(r, FB_SCRIPT_SWEEP, &c, &reply, err);
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
        fb_call_deinit(&c);
        if (s != FB_OK && s != FB_LOST) {
            failed = s;
        }
    }
    return failed;
}
