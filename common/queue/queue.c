/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue's ways in (prepare, add; the main one is in enqueue.c), and the promises of all its
 * scripts (scripts.c).
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
 * 10. Jobs beside the pipeline (fb_job_is_side: revoke jobs; letters to senders, which lie in the stream of rewrite)
 *     have no marks and are in no count: recall, restore and expiry may come several times for one branch, and a letter
 *     is sent however far its branch is, at least once.
 * 11. Lanes: each of the streams and delayed sets of render, upload and rewrite is there twice, the second one (:bulk)
 *     for what a sender hands in beyond a burst.  Every move but enqueue stays in the lane that it began in; a dead
 *     letter (field l) and the message (field lane) remember it for a retry and for the sweeper.
 * 12. What is held is told: bury, and reap for a crash-loop, add the letter in the step that makes the dead letter.
 * 13. A lock is taken by a claim that is still the caller's, and given back in the step that ends it: no lock is left
 *     with a claim that is none any more, whatever answer was lost.
 */
/* clang-format on */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"
#include "proto/limits.h"

#define MAX_ADD 1000 /* jobs in one step: a recall of 10,000 recipients has fewer */

static enum fb_status make_group(struct fb_redis *r, int shard, enum fb_stage stage,
                                 enum fb_lane lane, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    fb_stream_key(key, shard, stage, lane);
    struct fb_error own = {.status = FB_OK};
    redisReply *reply = NULL;
    /* From 0 and not from $: jobs that were added before the group existed must be seen. */
    enum fb_status s =
        fb_redis_call(r, &reply, &own, "XGROUP", "CREATE", key, FB_GROUP, "0", "MKSTREAM", NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    } else if (fb_redis_error_is(&own, "BUSYGROUP")) {
        s = FB_OK;
    } else {
        s = fb_error_set(err, s, "make group of %s: %s", key, own.text);
    }
    return s;
}

enum fb_status fb_queue_prepare(struct fb_redis *r, struct fb_error *err)
{
    int shards = fb_redis_shard_count(r);
    enum fb_status failed =
        FB_OK; /* of one node: the streams of the others are made all the same */
    for (int shard = 0; shard < shards; shard++) {
        for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
            for (int lane = 0; lane < fb_lanes_of((enum fb_stage)stage); lane++) {
                enum fb_status s =
                    make_group(r, shard, (enum fb_stage)stage, (enum fb_lane)lane, err);
                failed = s != FB_OK ? s : failed;
            }
        }
    }
    return failed;
}

enum fb_status fb_queue_add(struct fb_redis *r, const struct fb_job *job, const struct fb_ops *ops,
                            struct fb_error *err)
{
    return fb_queue_add_many(r, job, 1, ops, err);
}

enum fb_status fb_queue_add_many(struct fb_redis *r, const struct fb_job *jobs, size_t count,
                                 const struct fb_ops *ops, struct fb_error *err)
{
    if (count == 0 || count > MAX_ADD) {
        return fb_error_set(err, FB_BUG, "add: %zu jobs in one step", count);
    }
    int shard = fb_redis_shard(r, jobs[0].msg_id);
    struct fb_call c;
    bool is_used[FB_STAGE_COUNT] = {false};
    for (size_t i = 0; i < count; i++) {
        is_used[jobs[i].stage] = true;
    }
    fb_call_init(&c);
    /* A stream that is not added to is not named: a service need not be let near it (users.acl). */
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        fb_call_key(&c, shard, "%s",
                    fb_stage_name(is_used[stage] ? (enum fb_stage)stage : jobs[0].stage));
    }
    enum fb_status s = fb_call_ops(&c, shard, ops, err);
    for (size_t i = 0; s == FB_OK && i < count; i++) {
        if (fb_redis_shard(r, jobs[i].msg_id) != shard) {
            s = fb_error_set(err, FB_BUG, "add: jobs of different shards");
            break;
        }
        fb_call_arg_int(&c, (int64_t)jobs[i].stage + 1); /* the place of its stream in KEYS */
        s = fb_call_arg_job(&c, &jobs[i], err);
        fb_call_arg_int(&c, jobs[i].first_ms);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_ADD, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_change(struct fb_redis *r, int shard, const struct fb_ops *ops,
                               struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        fb_call_key(&c, shard, "%s", fb_stage_name((enum fb_stage)stage));
    }
    enum fb_status s = fb_call_ops(&c, shard, ops, err);
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_ADD, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

void fb_ops_add_job(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    fb_ops_add_job_in(r, ops, job, FB_LANE_NORMAL);
}

void fb_ops_add_job_in(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                       enum fb_lane lane)
{
    struct fb_error err = {.status = FB_OK};
    struct fb_error why = {.status = FB_OK};
    struct fb_job ignored;
    struct fb_buf bytes;
    fb_buf_init(&bytes, FB_MAX_JOB);
    if (!fb_job_is_side(job)) { /* others are counted by the scripts: an advance adds them */
        (void)fb_error_set(&err, FB_BUG, "a job of stage %s as a ledger change",
                           fb_stage_name(job->stage));
    } else if (fb_job_encode(job, &bytes) != FB_OK ||
               fb_job_decode(fb_slice_buf(&bytes), &ignored, &why) != FB_OK) {
        (void)fb_error_set(&err, FB_BUG, "job of %s is not fit for the queue: %s",
                           fb_stage_name(job->stage), why.text);
    }
    if (err.status == FB_OK) {
        char key[FB_KEY_SIZE];
        char first[24];
        fb_stream_key(key, fb_redis_shard(r, job->msg_id), job->stage, lane);
        (void)snprintf(first, sizeof(first), "%" PRId64, job->first_ms);
        const struct fb_slice args[] = {FB_SLICE_LITERAL("*"), FB_SLICE_LITERAL("j"),
                                        fb_slice_buf(&bytes), FB_SLICE_LITERAL("f"),
                                        fb_slice_str(first)};
        fb_ops_add_slices(ops, "XADD", key, args, sizeof(args) / sizeof(args[0]));
    } else {
        fb_ops_fail(ops, &err);
    }
    fb_buf_deinit(&bytes);
}
