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

/* An entry's job: FB_OK with claim_r filled (but deliveries), FB_AGAIN for a newer version,
 * FB_INVALID. */
static enum fb_status decode_claim(enum fb_stage stage, enum fb_lane lane, int shard,
                                   struct fb_slice id, struct fb_slice job,
                                   struct fb_claim *claim_r, struct fb_error *err)
{
    if (id.len == 0 || id.len >= sizeof(claim_r->id)) {
        return fb_error_set(err, FB_BUG, "stream id of %zu bytes", id.len);
    }
    memset(claim_r, 0, sizeof(*claim_r));
    memcpy(claim_r->id, id.ptr, id.len);
    claim_r->shard = shard;
    claim_r->stage = stage;
    claim_r->lane = lane;
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
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    enum fb_script_id script = FB_SCRIPT_BURY;
    if (reason->status == FB_AGAIN) {
        script = FB_SCRIPT_RETRY;
        fb_call_delayed(&c, claim->shard, claim->stage, claim->lane);
    } else {
        fb_call_key(&c, claim->shard, "dead");
        fb_call_key(&c, claim->shard, "dead:count");
    }
    fb_call_key(&c, claim->shard, "m:-");
    if (script == FB_SCRIPT_BURY) {
        fb_call_stream(&c, claim->shard, FB_STAGE_REWRITE, claim->lane);
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

/* Ends an entry that cannot be decoded: a newer version is put off, anything else is buried as it
 * is. */
static enum fb_status refuse_claim(struct fb_redis *r, const char *consumer,
                                   const struct fb_claim *claim, struct fb_slice job,
                                   const struct fb_error *reason, struct fb_error *err)
{
    if (reason->status == FB_AGAIN) {
        fb_newer_note(r, claim->stage, claim->shard, job);
    }
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

/* Where claims go, and for whom. */
struct taker {
    struct fb_redis *r;
    enum fb_stage stage;
    int shard;
    const char *consumer;
    struct fb_claim *claims;
    size_t count, max;
};

/* More came than was asked for: the answer to a read that waited may hold entries of both lanes. */
static enum fb_status give_back(struct taker *t, const struct fb_claim *claim, struct fb_error *err)
{
    enum fb_status s = fb_queue_release(t->r, t->consumer, claim, err);
    return s == FB_LOST ? FB_OK : s;
}

/* Entries of one stream.  They are owned already: an error in the middle loses nothing, the reaper
 * finds them. */
static enum fb_status take_entries(struct taker *t, enum fb_lane lane, const redisReply *entries,
                                   struct fb_error *err)
{
    struct fb_claim *spare = NULL;
    enum fb_status s = FB_OK;
    for (size_t i = 0; s == FB_OK && entries->type == REDIS_REPLY_ARRAY && i < entries->elements;
         i++) {
        const redisReply *entry = entries->element[i];
        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            entry->element[1]->type != REDIS_REPLY_ARRAY) {
            s = fb_error_set(err, FB_BUG, "XREADGROUP: odd entry");
            break;
        }
        if (t->count >= t->max && spare == NULL) {
            spare = fb_xcalloc(1, sizeof(*spare));
        }
        struct fb_claim *claim = t->count < t->max ? &t->claims[t->count] : spare;
        struct fb_slice id = fb_reply_slice(entry->element[0]);
        struct fb_error reason = {.status = FB_OK};
        s = decode_claim(t->stage, lane, t->shard, id, entry_field(entry->element[1], "j"), claim,
                         &reason);
        if (s == FB_OK && claim == spare) {
            s = give_back(t, claim, err);
        } else if (s == FB_OK) {
            t->count++;
        } else if (s == FB_BUG) {
            (void)fb_error_set(err, s, "%s", reason.text);
        } else {
            s = refuse_claim(t->r, t->consumer, claim, entry_field(entry->element[1], "j"), &reason,
                             err);
        }
    }
    free(spare);
    return s;
}

static bool is_array(const redisReply *reply, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements;
}

/* Waits for what comes in any lane.  COUNT is for each stream, so half is asked for. */
static enum fb_status read_waiting(struct taker *t, int block_ms, size_t count,
                                   struct fb_error *err)
{
    char keys[FB_LANE_COUNT][FB_KEY_SIZE];
    char max[24];
    char block[24];
    int lanes = fb_lanes_of(t->stage);
    (void)snprintf(max, sizeof(max), "%zu", count);
    (void)snprintf(block, sizeof(block), "%d", block_ms);
    struct fb_slice argv[9 + 2 * FB_LANE_COUNT];
    size_t argc = 0;
    argv[argc++] = fb_slice_str("XREADGROUP");
    argv[argc++] = fb_slice_str("GROUP");
    argv[argc++] = fb_slice_str(FB_GROUP);
    argv[argc++] = fb_slice_str(t->consumer);
    argv[argc++] = fb_slice_str("COUNT");
    argv[argc++] = fb_slice_str(max);
    if (block_ms > 0) { /* BLOCK 0 would mean for ever */
        argv[argc++] = fb_slice_str("BLOCK");
        argv[argc++] = fb_slice_str(block);
    }
    argv[argc++] = fb_slice_str("STREAMS");
    /* The second bound is for GCC 14, which sees none in fb_lanes_of. */
    for (int lane = 0; lane < lanes && lane < FB_LANE_COUNT; lane++) {
        fb_stream_key(keys[lane], t->shard, t->stage, (enum fb_lane)lane);
        argv[argc++] = fb_slice_str(keys[lane]);
    }
    for (int lane = 0; lane < lanes; lane++) {
        argv[argc++] = fb_slice_str(">");
    }
    redisReply *reply = NULL;
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = fb_redis_command_blocking(t->r, block_ms, argc, argv, &reply, &own);
    if (s != FB_OK &&
        fb_redis_error_is(&own, "NOGROUP")) { /* wiped: the next call finds the group again */
        return fb_queue_prepare(t->r, err);
    }
    if (s != FB_OK) {
        return fb_error_set(err, s, "read %s: %s", keys[0], own.text);
    }
    /* nil = nothing came within block_ms */
    for (size_t i = 0; s == FB_OK && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *stream = reply->element[i];
        for (int lane = 0; s == FB_OK && lane < lanes && is_array(stream, 2); lane++) {
            if (fb_slice_eq_str(fb_reply_slice(stream->element[0]), keys[lane])) {
                s = take_entries(t, (enum fb_lane)lane, stream->element[1], err);
            }
        }
    }
    freeReplyObject(reply);
    return s;
}

/* What is there now, `share` of it from bulk. */
static enum fb_status read_now(struct taker *t, size_t share, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, t->shard, t->stage, FB_LANE_NORMAL);
    fb_call_stream(&c, t->shard, t->stage, FB_LANE_BULK);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, t->consumer);
    fb_call_arg_int(&c, (int64_t)t->max);
    fb_call_arg_int(&c, (int64_t)share);
    redisReply *reply = NULL;
    enum fb_status s = fb_call_raw(t->r, FB_SCRIPT_TAKE, &c, &reply, err);
    fb_call_deinit(&c);
    if (s != FB_OK) {
        return s == FB_LOST ? FB_OK : s; /* wiped: the groups are there again */
    }
    for (int lane = 0; s == FB_OK && is_array(reply, 2) && lane < FB_LANE_COUNT; lane++) {
        s = take_entries(t, (enum fb_lane)lane, reply->element[lane], err);
    }
    freeReplyObject(reply);
    return s;
}

static void note_share(struct fb_share *share, const struct taker *t, size_t asked)
{
    uint32_t bulk = 0;
    for (size_t i = 0; i < t->count; i++) {
        bulk += t->claims[i].lane == FB_LANE_BULK;
    }
    uint32_t normal = share->normal + (uint32_t)t->count - bulk;
    uint32_t paid = bulk * (FB_BULK_SHARE - 1);
    share->normal = normal > paid ? normal - paid : 0;
    if (share->normal > FB_BULK_SHARE - 1) { /* nothing waits in bulk: no debt is run up */
        share->normal = FB_BULK_SHARE - 1;
    }
    share->is_dry = t->count < asked;
}

enum fb_status fb_queue_take(struct fb_redis *r, enum fb_stage stage, int shard,
                             const char *consumer, struct fb_share *share, size_t max, int block_ms,
                             struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    max = max < MAX_TAKE ? max : MAX_TAKE;
    if (max == 0) {
        return FB_OK;
    }
    struct taker t = {.r = r,
                      .stage = stage,
                      .shard = shard,
                      .consumer = consumer,
                      .claims = claims_r,
                      .max = max};
    enum fb_status s = FB_OK;
    size_t asked = max;
    if (fb_lanes_of(stage) == 1) {
        s = read_waiting(&t, block_ms, max, err);
    } else if (share->is_dry && block_ms > 0) {
        asked = (max + 1) / 2;
        s = read_waiting(&t, block_ms, asked, err);
    } else {
        s = read_now(&t, (share->normal + max) / FB_BULK_SHARE, err);
    }
    note_share(share, &t, asked);
    *count_r = t.count;
    return s;
}

enum fb_status fb_queue_read(struct fb_redis *r, enum fb_stage stage, int shard,
                             const char *consumer, size_t max, int block_ms,
                             struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    struct fb_share share = {.normal = 0};
    enum fb_status s =
        fb_queue_take(r, stage, shard, consumer, &share, max, 0, claims_r, count_r, err);
    if (s == FB_OK && *count_r == 0 && block_ms > 0) {
        share.is_dry = true;
        s = fb_queue_take(r, stage, shard, consumer, &share, max, block_ms, claims_r, count_r, err);
    }
    return s;
}

/* One answer of reap or history.  cursor is moved on. */
static enum fb_status take_listed(struct fb_redis *r, enum fb_script_id script,
                                  const struct fb_call *c, enum fb_stage stage, enum fb_lane lane,
                                  int shard, const char *consumer, size_t max, char cursor[40],
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
        char label[48];
        (void)snprintf(label, sizeof label, "stage=\"%s\"", fb_stage_name(stage));
        fb_metric_add("fumibako_deleted_pending_total", label, (double)deleted);
    }
    if (buried > 0) {
        fb_log(FB_ERROR, "%s: %" PRId64 " jobs buried: crash-loop", fb_stage_name(stage), buried);
    }
    for (size_t i = 3; i + 2 < reply->elements && *count_r < max; i += 3) {
        struct fb_claim *claim = &claims_r[*count_r];
        struct fb_error reason = {.status = FB_OK};
        s = decode_claim(stage, lane, shard, fb_reply_slice(reply->element[i]),
                         fb_reply_slice(reply->element[i + 2]), claim, &reason);
        if (s == FB_OK) {
            claim->deliveries = (uint32_t)fb_reply_int(reply->element[i + 1]);
            (*count_r)++;
        } else {
            s = refuse_claim(r, consumer, claim, fb_reply_slice(reply->element[i + 2]), &reason,
                             err);
        }
        if (s != FB_OK) {
            goto cleanup; /* the rest is pending for us and will be reaped again */
        }
    }
cleanup:
    freeReplyObject(reply);
    return s;
}

static enum fb_status reap_lane(struct taker *t, enum fb_lane lane, int min_idle_ms,
                                uint32_t max_deliveries, struct fb_error *err)
{
    char cursor[40] = "0-0";
    enum fb_status s = FB_OK;
    for (int round = 0; s == FB_OK && t->count < t->max && round < MAX_REAP_ROUNDS; round++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_stream(&c, t->shard, t->stage, lane);
        fb_call_key(&c, t->shard, "dead");
        fb_call_key(&c, t->shard, "dead:count");
        fb_call_stream(&c, t->shard, FB_STAGE_REWRITE, lane);
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_str(&c, t->consumer);
        fb_call_arg_int(&c, min_idle_ms);
        char from[40];
        memcpy(from, cursor, sizeof(from));
        fb_call_arg_str(&c, from);
        fb_call_arg_int(&c, (int64_t)(t->max - t->count));
        fb_call_arg_int(&c, max_deliveries);
        fb_call_arg_str(&c, fb_stage_name(t->stage));
        s = take_listed(t->r, FB_SCRIPT_REAP, &c, t->stage, lane, t->shard, t->consumer, t->max,
                        cursor, t->claims, &t->count, err);
        fb_call_deinit(&c);
        if (strcmp(cursor, "0-0") == 0) {
            break;
        }
    }
    return s == FB_LOST ? FB_OK : s; /* wiped: the groups are there again, nothing is abandoned */
}

enum fb_status fb_queue_reap(struct fb_redis *r, enum fb_stage stage, int shard,
                             const char *consumer, int min_idle_ms, uint32_t max_deliveries,
                             size_t max, struct fb_claim *claims_r, size_t *count_r,
                             struct fb_error *err)
{
    struct taker t = {.r = r,
                      .stage = stage,
                      .shard = shard,
                      .consumer = consumer,
                      .claims = claims_r,
                      .max = max < MAX_TAKE ? max : MAX_TAKE};
    enum fb_status s = FB_OK;
    for (int lane = 0; s == FB_OK && lane < fb_lanes_of(stage); lane++) {
        s = reap_lane(&t, (enum fb_lane)lane, min_idle_ms, max_deliveries, err);
    }
    *count_r = t.count;
    return s;
}

/* A place in the bulk lane is written with this before its id. */
#define BULK_PLACE 'b'

enum fb_status fb_queue_history(struct fb_redis *r, enum fb_stage stage, int shard,
                                const char *consumer, char after[FB_CLAIM_ID_SIZE], size_t max,
                                struct fb_claim *claims_r, size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    max = max < MAX_TAKE ? max : MAX_TAKE;
    enum fb_lane lane = after[0] == BULK_PLACE ? FB_LANE_BULK : FB_LANE_NORMAL;
    char from[FB_CLAIM_ID_SIZE], to[FB_CLAIM_ID_SIZE];
    (void)snprintf(from, sizeof(from), "%s", lane == FB_LANE_BULK ? after + 1 : after);
    (void)snprintf(to, sizeof(to), "%s", from);
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, shard, stage, lane);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, from);
    fb_call_arg_int(&c, (int64_t)max);
    enum fb_status s = max == 0 ? FB_OK
                                : take_listed(r, FB_SCRIPT_HISTORY, &c, stage, lane, shard,
                                              consumer, max, to, claims_r, count_r, err);
    fb_call_deinit(&c);
    bool is_end = max > 0 && strcmp(from, to) == 0;
    if (lane == FB_LANE_NORMAL && s == FB_OK && is_end && fb_lanes_of(stage) > 1) {
        (void)snprintf(after, FB_CLAIM_ID_SIZE, "%c0", BULK_PLACE);
    } else if (lane == FB_LANE_BULK) {
        (void)snprintf(after, FB_CLAIM_ID_SIZE, "%c%.*s", BULK_PLACE, FB_CLAIM_ID_SIZE - 2, to);
    } else {
        (void)snprintf(after, FB_CLAIM_ID_SIZE, "%s", to);
    }
    return s == FB_LOST ? FB_OK : s;
}

static enum fb_status touch_stream(struct fb_redis *r, const char *consumer, int shard,
                                   enum fb_stage stage, enum fb_lane lane,
                                   const struct fb_claim *claims, size_t count, int64_t *lost,
                                   struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, shard, stage, lane);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    for (size_t i = 0; i < count; i++) {
        if (claims[i].shard == shard && claims[i].stage == stage && claims[i].lane == lane) {
            fb_call_arg_str(&c, claims[i].id);
        }
    }
    enum fb_status s = FB_OK;
    redisReply *reply = NULL;
    if (c.arg_count > 2) {
        s = fb_call_raw(r, FB_SCRIPT_TOUCH, &c, &reply, err);
    }
    if (s == FB_OK && reply != NULL) {
        *lost += fb_reply_int(reply);
        freeReplyObject(reply);
    } else if (s == FB_LOST) {
        *lost += (int64_t)c.arg_count - 2;
        s = FB_OK;
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_touch(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claims, size_t count, struct fb_error *err)
{
    int64_t lost = 0;
    enum fb_status failed =
        FB_OK; /* of one node: the claims on the others are touched all the same */
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        for (int i = 0; i < FB_STAGE_COUNT * FB_LANE_COUNT; i++) {
            enum fb_status s =
                touch_stream(r, consumer, shard, (enum fb_stage)(i / FB_LANE_COUNT),
                             (enum fb_lane)(i % FB_LANE_COUNT), claims, count, &lost, err);
            failed = s != FB_OK ? s : failed;
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
    enum fb_status s = FB_OK;
    *count_r = 0;
    for (int lane = 0; s == FB_OK && lane < fb_lanes_of(stage); lane++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_delayed(&c, shard, stage, (enum fb_lane)lane);
        fb_call_stream(&c, shard, stage, (enum fb_lane)lane);
        fb_call_arg_int(&c, (int64_t)(max < MAX_TAKE ? max : MAX_TAKE));
        redisReply *reply = NULL;
        s = fb_call_raw(r, FB_SCRIPT_PROMOTE, &c, &reply, err);
        if (s == FB_OK) {
            *count_r += (size_t)fb_reply_int(reply);
            freeReplyObject(reply);
        }
        fb_call_deinit(&c);
    }
    return s;
}

enum fb_status fb_queue_forget(struct fb_redis *r, enum fb_stage stage, const char *consumer,
                               struct fb_error *err)
{
    enum fb_status first = FB_OK;
    int lanes = fb_lanes_of(stage);
    for (int i = 0; i < fb_redis_shard_count(r) * lanes; i++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_stream(&c, i / lanes, stage, (enum fb_lane)(i % lanes));
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
    int lanes = fb_lanes_of(stage);
    for (int i = 0; i < fb_redis_shard_count(r) * lanes; i++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_stream(&c, i / lanes, stage, (enum fb_lane)(i % lanes));
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
