/* SPDX-License-Identifier: Apache-2.0
 *
 * In batches: one pipelined question for what Redis knows, which spares reading and decrypting the
 * envelopes of most messages, then one call for the others.
 *
 * What Redis forgot of a message in flight is made again by the pipeline, but for one thing: that a
 * recipient was recalled (recall_again.c).
 */
#include "common/ledger/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/recall_again.h"
#include "common/log.h"
#include "proto/limits.h"

#define BATCH       128
#define DONE_AGE_MS 10000 /* a live rewrite erases it itself */

struct replay {
    const struct fb_replay *to;
    struct fb_spool_entry batch[BATCH];
    size_t count;
    bool is_known[BATCH], is_done[BATCH];
    /* of the unknown ones */
    struct fb_job jobs[BATCH];
    struct fb_ops *ops[BATCH];
    struct fb_pace_sender senders[BATCH];
    size_t job_count;
    struct fb_replay_result *result;
    enum fb_status status;
    struct fb_error *err;
};

void fb_replay_first_job(struct fb_redis *redis, struct fb_ops *ops, const char *msg_id,
                         const char *ref, const struct fb_envelope *envelope, uint64_t size,
                         int64_t ledger_ttl_ms, struct fb_job *job_r)
{
    memset(job_r, 0, sizeof *job_r);
    job_r->stage = FB_STAGE_RENDER;
    job_r->first_ms = envelope->received_ms;
    (void)snprintf(job_r->msg_id, sizeof job_r->msg_id, "%s", msg_id);
    (void)snprintf(job_r->spool_ref, sizeof job_r->spool_ref, "%s", ref);
    memcpy(job_r->trace, envelope->trace, sizeof job_r->trace);
    fb_ledger_accepted(redis, ops, job_r, envelope, size, ledger_ttl_ms);
}

/* ---- what Redis knows ---- */

/* Whether a fail-over would not forget the end any more, by Redis' own clock. */
static bool is_long_ago(const struct replay *r, const redisReply *done_ms, int64_t now)
{
    return !fb_redis_may_fail_over(r->to->redis) || done_ms->type != REDIS_REPLY_STRING ||
           now - fb_reply_int(done_ms) > FB_ENDED_KEEP_MS;
}

/* Which of the batch Redis knows, and which of them have ended.  The same field decides in the
 * enqueue script, and were it wrong here, the script would still say so. */
static enum fb_status ask_known(struct replay *r)
{
    struct fb_redis *redis = r->to->redis;
    int64_t now = 0;
    enum fb_status s = fb_redis_time(redis, &now, r->err);
    for (size_t i = 0; i < r->count && s == FB_OK; i++) {
        const char *id = r->batch[i].msg_id;
        char key[FB_KEY_SIZE];
        fb_key(key, fb_redis_shard(redis, id), "m:%s", id);
        struct fb_slice argv[] = {FB_SLICE_LITERAL("HMGET"), fb_slice_str(key),
                                  FB_SLICE_LITERAL("queued"), FB_SLICE_LITERAL("state"),
                                  FB_SLICE_LITERAL("done_ms")};
        s = fb_redis_append(redis, 5, argv, r->err);
    }
    for (size_t i = 0; i < r->count && s == FB_OK; i++) {
        redisReply *reply = NULL;
        s = fb_redis_fetch(redis, &reply, r->err);
        if (s == FB_OK) {
            bool is_answer = reply->type == REDIS_REPLY_ARRAY && reply->elements == 3;
            r->is_known[i] = is_answer && reply->element[0]->type == REDIS_REPLY_STRING;
            r->is_done[i] = r->is_known[i] && reply->element[1]->type == REDIS_REPLY_STRING &&
                            strcmp(reply->element[1]->str, "done") == 0 &&
                            is_long_ago(r, reply->element[2], now);
            freeReplyObject(reply);
        }
    }
    if (s != FB_OK) {
        fb_redis_reset(redis); /* replies of this pipeline must not be taken for others' */
    }
    return s;
}

/* Rewrite erases a message right behind its end.  One that died in between has left it: nobody else
 * would ever come here, and when the ledger forgets the message, it would be taken for a new one. */
static void erase_done(struct replay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct fb_spool_entry *e = &r->batch[i];
        struct fb_error err = {0};
        if (r->is_done[i] && fb_now_ms() - e->created_ms > DONE_AGE_MS &&
            fb_spool_msg_erase(r->to->spool, e->ref, e->msg_id, &err) != FB_OK) {
            fb_log_fields(FB_WARN, "a delivered message could not be erased from the spool",
                          "msg_id", e->msg_id, "error", err.text, NULL);
        }
    }
}

/* ---- what Redis does not know ---- */

/* A message that cannot be read is counted, left where it is, and does not stop the others; one
 * that is gone was delivered meanwhile. */
static enum fb_status add_job(struct replay *r, const struct fb_spool_entry *entry)
{
    struct fb_error why = {0};
    struct fb_spool_msg *msg = NULL;
    struct fb_envelope envelope = {0};
    enum fb_status s = fb_spool_msg_open(r->to->spool, entry->ref, &msg, &why);
    if (s == FB_OK) {
        s = fb_envelope_decode(fb_spool_msg_envelope(msg), &envelope, &why);
    }
    if (s == FB_OK) {
        struct fb_job *job = &r->jobs[r->job_count];
        struct fb_ops *ops = fb_ops_new();
        if (r->to->pace != NULL) {
            fb_pace_sender(r->to->pace, envelope.reverse_path, &r->senders[r->job_count]);
        }
        r->ops[r->job_count++] = ops;
        /* First: nothing may stand in their way.  Not known means not enqueued: better a mail that
         * waits than one that was recalled and goes. */
        s = fb_recall_again(r->to->spool, r->to->redis, r->to->journal, msg, &envelope, false, ops,
                            r->err);
        fb_replay_first_job(r->to->redis, ops, entry->msg_id, entry->ref, &envelope, entry->size,
                            r->to->ledger_ttl_ms, job);
    } else {
        if (s != FB_NOT_FOUND) {
            r->result->failed++;
            fb_log_fields(FB_ERROR, "message in the spool cannot be read", "msg_id", entry->msg_id,
                          "status", fb_status_name(s), "error", why.text, NULL);
        }
        s = FB_OK;
    }
    fb_envelope_deinit(&envelope);
    fb_spool_msg_close(&msg);
    return s;
}

static enum fb_status send_jobs(struct replay *r)
{
    enum fb_status status[BATCH];
    if (r->job_count == 0) {
        return FB_OK;
    }
    enum fb_status s =
        fb_queue_enqueue_paced(r->to->redis, r->jobs, (const struct fb_ops *const *)r->ops,
                               r->job_count, r->to->pace, r->senders, status, r->err);
    for (size_t i = 0, n = r->job_count; i < n && s == FB_OK; i++) {
        r->result->enqueued += status[i] == FB_OK;
        r->result->known += status[i] == FB_EXISTS;
        if (status[i] != FB_OK && status[i] != FB_EXISTS) {
            r->result->failed++;
            s = fb_status_class(status[i]) == FB_CLASS_RETRY ? status[i] : FB_OK;
        }
    }
    return s;
}

static enum fb_status enqueue_unknown(struct replay *r)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < r->count && s == FB_OK; i++) {
        r->result->known += r->is_known[i];
        s = r->is_known[i] ? FB_OK : add_job(r, &r->batch[i]);
    }
    if (s == FB_OK) {
        s = send_jobs(r);
    }
    for (size_t i = 0; i < r->job_count; i++) {
        fb_ops_free(&r->ops[i]);
    }
    r->job_count = 0;
    return s;
}

static bool flush(struct replay *r)
{
    r->status = r->count == 0 ? FB_OK : ask_known(r);
    if (r->status == FB_OK) {
        erase_done(r);
        r->status = enqueue_unknown(r);
    }
    r->count = 0;
    if (r->status == FB_OK && r->to->pause != NULL && !r->to->pause(r->to->pause_ctx)) {
        r->status = fb_error_set(r->err, FB_AGAIN, "stopped");
    }
    return r->status == FB_OK;
}

static bool on_entry(void *ctx, const struct fb_spool_entry *entry)
{
    struct replay *r = ctx;
    r->result->seen++;
    r->is_known[r->count] = r->is_done[r->count] = false;
    r->batch[r->count++] = *entry;
    return r->count < BATCH || flush(r);
}

enum fb_status fb_replay(const struct fb_replay *replay, struct fb_replay_result *result_r,
                         struct fb_error *err)
{
    struct replay *r = fb_xcalloc(1, sizeof *r);
    *result_r = (struct fb_replay_result){0};
    r->to = replay;
    r->result = result_r;
    r->err = err;
    enum fb_status s = fb_spool_scan(replay->spool, on_entry, r, &result_r->damaged, err);
    if (s == FB_OK && r->status == FB_OK) {
        (void)flush(r);
    }
    s = s != FB_OK ? s : r->status;
    free(r);
    return s;
}
