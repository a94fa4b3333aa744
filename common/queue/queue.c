/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue's ways in (prepare, enqueue, add), and the promises of all its scripts (scripts.c).
 */
/* clang-format off */
/*
 *                     enqueue                 advance                 advance               finish
 *   (spool replay) -------------> [render 0] ---------> [upload b] -----------> [rewrite b] -----> left = 0: done
 *                                  ^   ^  \______________________________________^    |  |
 *                                  |   |         advance (pass, reject)               |  |
 *                                  |   +--------- restart (derived objects lost) -----+  |
 *                                  |              also from upload b                     |
 *                                  +---- dead_retry, dead_replace ---- [dead] <-- bury --+   (from every stage)
 *
 *   [stage] --retry, defer--> [delayed] --promote--> [stage];  release: back to [stage];  reap: a new owner
 *
 * Invariants.  d:S:b is the field "d:<stage>:<branch>" of the message hash: stage S of branch b was done.
 *
 *  1. A job is at one place: stream (waiting or pending), delayed or dead.  Every move is one script, and every end of
 *     a claim is fenced: XPENDING says that the entry is pending for the caller, else FB_LOST and nothing changes.
 *  2. XACK and XDEL go together, so XLEN = waiting + in flight.
 *  3. As long as d:rewrite:b is not set, some job leads to it: the render job, an upload job of b with d:upload:b not
 *     set, or a rewrite job of b.  (Held counts: the dead letter is the job.)
 *     - advance sets d:S:b in the step that adds the next jobs; so a second advance (FB_EXISTS) may drop its job.
 *       It sets none when a next job is of the same stage and branch (the stage goes on), and never d:rewrite:b,
 *       which finish alone sets.
 *     - restart takes away a job of b and clears d:render:0 in the step that adds a render job.  From rewrite it also
 *       clears d:upload:b: otherwise the upload that runs again would be taken for a repetition and b would lose
 *       its rewrite job.
 *  4. Render may run again while other branches are under way.  Its advance adds jobs only for branches without
 *     d:rewrite:b.  For a branch under way that makes a twin; of two twins the second to end finds the mark and is
 *     dropped with FB_EXISTS, without next jobs.  Twins run in any order: the effects of all stages are idempotent.
 *  5. left is counted anew by each advance of render (branches without d:rewrite:b), and goes down by one in the step
 *     that sets d:rewrite:b, so exactly once a branch.  At 0 the message is done; every later job of it is dropped.
 *  6. Marks hold "<stream id>/<consumer>": a caller whose reply was lost asks again and is told what happened.
 *  7. Crashes and failures are counted apart: deliveries (of Redis) against attempt (in the job).  A release or a
 *     wait for an upgraded worker counts as neither.
 *  8. A branch restarts at most FB_MAX_RESTARTS times; then FB_CORRUPT, and the claim is still the caller's (bury).
 *  9. After FLUSHALL all claims are LOST; groups are made again from id 0, so that jobs added before are seen.
 * 10. Revoke jobs have no marks: recall, restore and expiry may come several times for one branch.
 */
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"

#define PIPELINE 128 /* messages in one flight: bounds the replies that wait */

enum fb_status fb_queue_prepare(struct fb_redis *r, struct fb_error *err)
{
    int shards = fb_redis_shard_count(r);
    for (int shard = 0; shard < shards; shard++) {
        for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
            char key[FB_KEY_SIZE];
            fb_key(key, shard, "%s", fb_stage_name((enum fb_stage)stage));
            struct fb_error own = {.status = FB_OK};
            redisReply *reply = NULL;
            /* From 0 and not from $: jobs that were added before the group existed must be seen. */
            enum fb_status s = fb_redis_call(r, &reply, &own, "XGROUP", "CREATE", key, FB_GROUP,
                                             "0", "MKSTREAM", NULL);
            if (s == FB_OK) {
                freeReplyObject(reply);
            } else if (!fb_redis_error_is(&own, "BUSYGROUP")) {
                return fb_error_set(err, s, "make group of %s: %s", key, own.text);
            }
        }
    }
    return FB_OK;
}

static enum fb_status enqueue_call(struct fb_redis *r, const struct fb_job *job,
                                   const struct fb_ops *ops, struct fb_call *c,
                                   struct fb_error *err)
{
    int shard = fb_redis_shard(r, job->msg_id);
    fb_call_key(c, shard, "m:%s", job->msg_id);
    fb_call_key(c, shard, "open");
    fb_call_key(c, shard, "%s", fb_stage_name(job->stage));
    fb_call_arg_str(c, job->msg_id);
    enum fb_status s = fb_call_arg_job(c, job, err);
    fb_call_arg_int(c, job->first_ms);
    return s == FB_OK ? fb_call_ops(c, shard, ops, err) : s;
}

/* One message outside the pipeline, after NOSCRIPT. */
static enum fb_status enqueue_one(struct fb_redis *r, const struct fb_job *job,
                                  const struct fb_ops *ops, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    enum fb_status s = enqueue_call(r, job, ops, &c, err);
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_ENQUEUE, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

static enum fb_status fetch_answer(struct fb_redis *r, bool *is_unknown_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = fb_redis_fetch(r, &reply, &own);
    *is_unknown_r = s != FB_OK && fb_redis_error_is(&own, "NOSCRIPT");
    if (s == FB_OK) {
        s = reply->type == REDIS_REPLY_INTEGER && reply->integer == FB_SCRIPT_OK       ? FB_OK
            : reply->type == REDIS_REPLY_INTEGER && reply->integer == FB_SCRIPT_EXISTS ? FB_EXISTS
                                                                                       : FB_BUG;
        freeReplyObject(reply);
    } else if (!*is_unknown_r && err != NULL) {
        *err = own;
    }
    return s;
}

static bool is_connection_status(enum fb_status s)
{
    return s == FB_NETWORK || s == FB_CONFIG;
}

static enum fb_status enqueue_flight(struct fb_redis *r, const struct fb_job *jobs,
                                     const struct fb_ops *const *ops, size_t count,
                                     enum fb_status *status_r, struct fb_error *err)
{
    bool sent[PIPELINE] = {false};
    bool unknown[PIPELINE] = {false};
    enum fb_status connection = FB_OK;
    for (size_t i = 0; i < count; i++) {
        struct fb_call c;
        fb_call_init(&c);
        status_r[i] = connection;
        if (connection == FB_OK) {
            status_r[i] = enqueue_call(r, &jobs[i], ops != NULL ? ops[i] : NULL, &c, err);
        }
        if (connection == FB_OK && status_r[i] == FB_OK) {
            status_r[i] = fb_redis_append_script(r, fb_script_get(FB_SCRIPT_ENQUEUE), false,
                                                 c.key_count, c.keys, c.arg_count, c.args, err);
            sent[i] = status_r[i] == FB_OK;
            if (!sent[i] && is_connection_status(status_r[i])) {
                connection = status_r[i];
            }
        }
        fb_call_deinit(&c);
    }
    for (size_t i = 0; i < count; i++) {
        if (sent[i]) {
            status_r[i] = connection != FB_OK ? connection : fetch_answer(r, &unknown[i], err);
            if (is_connection_status(status_r[i])) {
                connection = status_r[i];
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (unknown[i]) {
            status_r[i] = connection != FB_OK
                              ? connection
                              : enqueue_one(r, &jobs[i], ops != NULL ? ops[i] : NULL, err);
            if (is_connection_status(status_r[i])) {
                connection = status_r[i];
            }
        }
    }
    return connection;
}

enum fb_status fb_queue_enqueue(struct fb_redis *r, const struct fb_job *jobs,
                                const struct fb_ops *const *ops, size_t count,
                                enum fb_status *status_r, struct fb_error *err)
{
    enum fb_status connection = FB_OK;
    for (size_t from = 0; from < count; from += PIPELINE) {
        size_t n = count - from < PIPELINE ? count - from : PIPELINE;
        if (connection == FB_OK) {
            connection = enqueue_flight(r, jobs + from, ops != NULL ? ops + from : NULL, n,
                                        status_r + from, err);
        } else {
            for (size_t i = 0; i < n; i++) {
                status_r[from + i] = connection;
            }
        }
    }
    return connection;
}

enum fb_status fb_queue_add(struct fb_redis *r, const struct fb_job *job, const struct fb_ops *ops,
                            struct fb_error *err)
{
    int shard = fb_redis_shard(r, job->msg_id);
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, shard, "%s", fb_stage_name(job->stage));
    enum fb_status s = fb_call_arg_job(&c, job, err);
    fb_call_arg_int(&c, job->first_ms);
    if (s == FB_OK) {
        s = fb_call_ops(&c, shard, ops, err);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_ADD, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}
