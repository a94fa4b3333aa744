/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"

#define BATCH 64

struct replay {
    struct fb_spool *spool;
    struct fb_redis *redis;
    int64_t ttl_ms;
    struct fb_job jobs[BATCH];
    struct fb_ops *ops[BATCH];
    size_t count;
    struct fb_replay_result *result;
    struct fb_error *err;
    enum fb_status status;
};

static enum fb_status flush(struct replay *r)
{
    enum fb_status statuses[BATCH];
    if (r->count == 0) {
        return FB_OK;
    }
    enum fb_status s = fb_queue_enqueue(r->redis, r->jobs, (const struct fb_ops *const *)r->ops,
                                        r->count, statuses, r->err);
    for (size_t i = 0; i < r->count; i++) {
        if (s == FB_OK) {
            r->result->enqueued += statuses[i] == FB_OK;
            r->result->known += statuses[i] == FB_EXISTS;
        }
        fb_ops_free(&r->ops[i]);
    }
    r->count = 0;
    return s;
}

/* A message that cannot be opened is damaged: told, left where it is, and does not stop the others.
 */
static bool take(void *ctx, const struct fb_spool_entry *e)
{
    struct replay *r = ctx;
    struct fb_spool_msg *msg = NULL;
    struct fb_envelope envelope = {0};
    struct fb_error why = {0};
    enum fb_status s = fb_spool_msg_open(r->spool, e->ref, &msg, &why);
    if (s == FB_OK) {
        s = fb_envelope_decode(fb_spool_msg_envelope(msg), &envelope, &why);
    }
    if (s == FB_OK) {
        struct fb_job *job = &r->jobs[r->count];
        *job = (struct fb_job){.stage = FB_STAGE_RENDER, .first_ms = envelope.received_ms};
        (void)snprintf(job->msg_id, sizeof job->msg_id, "%s", e->msg_id);
        (void)snprintf(job->spool_ref, sizeof job->spool_ref, "%s", e->ref);
        memcpy(job->trace, envelope.trace, sizeof job->trace);
        r->ops[r->count] = fb_ops_new();
        fb_ledger_accepted(r->redis, r->ops[r->count], job, &envelope, e->size, r->ttl_ms);
        r->count++;
    } else if (s != FB_NOT_FOUND) {
        r->result->damaged++;
        fb_log(FB_ERROR, "message %s in the spool cannot be read: %s", e->msg_id, why.text);
    }
    fb_envelope_deinit(&envelope);
    fb_spool_msg_close(&msg);
    if (r->count == BATCH) {
        r->status = flush(r);
    }
    return r->status == FB_OK;
}

enum fb_status fb_replay(struct fb_spool *spool, struct fb_redis *redis, int64_t ledger_ttl_ms,
                         struct fb_replay_result *result_r, struct fb_error *err)
{
    struct replay *r = fb_xcalloc(1, sizeof *r);
    uint64_t damaged = 0;
    *r = (struct replay){
        .spool = spool, .redis = redis, .ttl_ms = ledger_ttl_ms, .result = result_r, .err = err};
    enum fb_status s = fb_spool_scan(spool, take, r, &damaged, err);
    if (s == FB_OK) {
        s = r->status;
    }
    if (s == FB_OK) {
        s = flush(r);
    }
    for (size_t i = 0; i < r->count; i++) {
        fb_ops_free(&r->ops[i]);
    }
    result_r->damaged += damaged;
    free(r);
    return s;
}
