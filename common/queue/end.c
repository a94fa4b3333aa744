/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways a claim ends (queue.c has the picture).  All are fenced; all may be sent again when the
 * reply was lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/queue/internal.h"
#include "common/queue/worker.h"

#define MAX_ATTEMPT 1000000 /* what a job can hold (proto/jobs.md) */

/* fb:{sN}: stream, message hash, open set */
static void message_keys(struct fb_call *c, const struct fb_claim *claim)
{
    fb_call_stream(c, claim->shard, claim->stage, claim->lane);
    fb_call_key(c, claim->shard, "m:%s", claim->job.msg_id);
    fb_call_key(c, claim->shard, "open");
}

enum fb_status fb_queue_check(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claim, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    message_keys(&c, claim);
    fb_call_claim(&c, consumer, claim);
    enum fb_status s = fb_call_run(r, FB_SCRIPT_CHECK, &c, NULL, err);
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_lock(struct fb_redis *r, const char *consumer, const struct fb_claim *claim,
                             const char *name, int64_t ttl_ms, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    fb_call_key(&c, claim->shard, "%s", name);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, claim->id);
    fb_call_arg_int(&c, ttl_ms);
    enum fb_status s = fb_call_run(r, FB_SCRIPT_LOCK, &c, NULL, err);
    fb_call_deinit(&c);
    return s;
}

void fb_queue_unlock(struct fb_ops *ops, const struct fb_claim *claim, const char *name)
{
    char key[FB_KEY_SIZE];
    fb_key(key, claim->shard, "%s", name);
    fb_ops_add(ops, "DELIF", key, claim->id, NULL);
}

static enum fb_status check_next(const struct fb_claim *claim, const struct fb_job *next,
                                 size_t next_count, struct fb_error *err)
{
    for (size_t i = 0; i < next_count; i++) {
        if (strcmp(next[i].msg_id, claim->job.msg_id) != 0) {
            return fb_error_set(err, FB_BUG, "advance to another message");
        }
    }
    return FB_OK;
}

enum fb_status fb_queue_advance(struct fb_redis *r, const char *consumer,
                                const struct fb_claim *claim, const struct fb_job *next,
                                size_t next_count, const struct fb_ops *ops, struct fb_error *err)
{
    enum fb_status s = check_next(claim, next, next_count, err);
    if (s != FB_OK) {
        return s;
    }
    if (next_count == 0) { /* nothing leads on: the branch ends here */
        bool ignored = false;
        return fb_queue_finish(r, consumer, claim, ops, &ignored, err);
    }
    struct fb_call c;
    fb_call_init(&c);
    message_keys(&c, claim);
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        fb_call_stream(&c, claim->shard, (enum fb_stage)stage, claim->lane);
    }
    fb_call_claim(&c, consumer, claim);
    fb_call_arg_str(&c, claim->job.msg_id);
    s = fb_call_ops(&c, claim->shard, ops, err);
    fb_call_arg_int(&c, (int64_t)next_count);
    for (size_t i = 0; s == FB_OK && i < next_count; i++) {
        fb_call_arg_str(&c, fb_script_stage(&next[i]));
        fb_call_arg_int(&c, next[i].branch);
        s = fb_call_arg_job(&c, &next[i], err);
        fb_call_arg_int(&c, next[i].first_ms);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_ADVANCE, &c, NULL,
                        err); /* here the duty passes on to the next stage */
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_finish(struct fb_redis *r, const char *consumer,
                               const struct fb_claim *claim, const struct fb_ops *ops,
                               bool *is_last_r, struct fb_error *err)
{
    *is_last_r = false;
    struct fb_call c;
    fb_call_init(&c);
    message_keys(&c, claim);
    fb_call_claim(&c, consumer, claim);
    fb_call_arg_str(&c, claim->job.msg_id);
    enum fb_status s = fb_call_ops(&c, claim->shard, ops, err);
    redisReply *reply = NULL;
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_FINISH, &c, &reply, err);
    }
    if (reply != NULL) {
        *is_last_r = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                     fb_reply_int(reply->element[1]) == 1;
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_restart(struct fb_redis *r, const char *consumer,
                                const struct fb_claim *claim, struct fb_error *err)
{
    if ((claim->stage != FB_STAGE_UPLOAD && claim->stage != FB_STAGE_REWRITE) ||
        fb_job_is_side(&claim->job)) {
        return fb_error_set(err, FB_BUG, "restart of %s", fb_script_stage(&claim->job));
    }
    struct fb_job render;
    fb_job_follow(claim, FB_STAGE_RENDER, 0, &render);
    struct fb_call c;
    fb_call_init(&c);
    message_keys(&c, claim);
    fb_call_stream(&c, claim->shard, FB_STAGE_RENDER, claim->lane);
    fb_call_claim(&c, consumer, claim);
    fb_call_arg_str(&c, claim->job.msg_id);
    enum fb_status s = fb_call_arg_job(&c, &render, err);
    fb_call_arg_int(&c, render.first_ms);
    fb_call_arg_int(&c, FB_MAX_RESTARTS);
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_RESTART, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

static enum fb_status put_off(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claim, uint32_t attempt, int64_t delay_ms,
                              const struct fb_error *reason, const struct fb_ops *ops,
                              struct fb_error *err)
{
    struct fb_job job = claim->job;
    job.attempt = attempt;
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    fb_call_delayed(&c, claim->shard, claim->stage, claim->lane);
    fb_call_key(&c, claim->shard, "m:%s", claim->job.msg_id);
    fb_call_claim(&c, consumer, claim);
    fb_call_arg_int(&c, delay_ms > 0 ? delay_ms : 0);
    enum fb_status s = fb_call_arg_job(&c, &job, err);
    fb_call_arg_int(&c, job.first_ms);
    /* For the operator, beside the message.  What is no part of it has nothing to write there. */
    char text[FB_ERROR_MAX + 64] = "";
    if (reason != NULL && !fb_job_is_side(&claim->job)) {
        (void)snprintf(text, sizeof(text), "%" PRIu32 "|%s|%s", attempt,
                       fb_status_name(reason->status), reason->text);
    }
    fb_call_arg_str(&c, text);
    if (s == FB_OK) {
        s = fb_call_ops(&c, claim->shard, ops, err);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_RETRY, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_retry(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claim, int64_t delay_ms,
                              const struct fb_error *reason, const struct fb_ops *ops,
                              struct fb_error *err)
{
    uint32_t attempt = claim->job.attempt < MAX_ATTEMPT ? claim->job.attempt + 1 : MAX_ATTEMPT;
    return put_off(r, consumer, claim, attempt, delay_ms, reason, ops, err);
}

enum fb_status fb_queue_defer(struct fb_redis *r, const char *consumer,
                              const struct fb_claim *claim, int64_t delay_ms,
                              const struct fb_error *reason, const struct fb_ops *ops,
                              struct fb_error *err)
{
    return put_off(r, consumer, claim, claim->job.attempt, delay_ms, reason, ops, err);
}

/* The sender is told that his mail is held; about what is no mail there is nothing to tell. */
static enum fb_status held_letter(struct fb_call *c, const struct fb_claim *claim,
                                  struct fb_error *err)
{
    if (fb_job_is_side(&claim->job)) {
        fb_call_arg_str(c, "");
        fb_call_arg_str(c, "");
        return FB_OK;
    }
    struct fb_job letter;
    fb_job_letter(FB_LETTER_HELD, &claim->job, claim->job.branch, &letter);
    enum fb_status s = fb_call_arg_job(c, &letter, err);
    fb_call_arg_int(c, letter.first_ms);
    return s;
}

enum fb_status fb_queue_bury(struct fb_redis *r, const char *consumer, const struct fb_claim *claim,
                             const struct fb_error *reason, const struct fb_ops *ops,
                             struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    fb_call_key(&c, claim->shard, "dead");
    fb_call_key(&c, claim->shard, "dead:count");
    fb_call_key(&c, claim->shard, "m:%s", claim->job.msg_id);
    fb_call_stream(&c, claim->shard, FB_STAGE_REWRITE, claim->lane);
    fb_call_claim(&c, consumer, claim);
    enum fb_status s = fb_call_arg_job(&c, &claim->job, err);
    fb_call_arg_int(&c, claim->job.first_ms);
    fb_call_arg_str(&c, fb_status_name(reason->status));
    fb_call_arg_str(&c, reason->text);
    if (s == FB_OK) {
        s = fb_call_ops(&c, claim->shard, ops, err);
    }
    if (s == FB_OK) {
        s = held_letter(&c, claim, err);
    }
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_BURY, &c, NULL, err);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_queue_release(struct fb_redis *r, const char *consumer,
                                const struct fb_claim *claim, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    fb_call_claim(&c, consumer, claim);
    enum fb_status s = fb_call_run(r, FB_SCRIPT_RELEASE, &c, NULL, err);
    fb_call_deinit(&c);
    return s;
}

void fb_job_follow(const struct fb_claim *claim, enum fb_stage stage, uint32_t branch,
                   struct fb_job *job_r)
{
    memset(job_r, 0, sizeof(*job_r));
    job_r->stage = stage;
    job_r->branch = branch;
    job_r->first_ms = claim->job.first_ms;
    memcpy(job_r->msg_id, claim->job.msg_id, sizeof(job_r->msg_id));
    memcpy(job_r->spool_ref, claim->job.spool_ref, sizeof(job_r->spool_ref));
    memcpy(job_r->trace, claim->job.trace, sizeof(job_r->trace));
}

void fb_job_letter(enum fb_letter letter, const struct fb_job *about, uint32_t branch,
                   struct fb_job *job_r)
{
    memset(job_r, 0, sizeof(*job_r));
    job_r->stage = FB_STAGE_REWRITE;
    job_r->letter = letter;
    job_r->branch = branch;
    job_r->first_ms = fb_now_ms();
    memcpy(job_r->msg_id, about->msg_id, sizeof(job_r->msg_id));
    memcpy(job_r->spool_ref, about->spool_ref, sizeof(job_r->spool_ref));
    memcpy(job_r->trace, about->trace, sizeof(job_r->trace));
    if (letter == FB_LETTER_RECALL) {
        memcpy(job_r->recall_id, about->recall_id, sizeof(job_r->recall_id));
    }
}
