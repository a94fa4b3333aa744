/* SPDX-License-Identifier: Apache-2.0
 *
 * Marks that tell rewrite to do something else than the plan says: f:<branch>, or f:all for the
 * whole message.  Written by on_failure and by the operator, in the step that adds the rewrite job.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/internal.h"

static void field_name(char field[24], uint32_t branch)
{
    if (branch == UINT32_MAX) {
        (void)snprintf(field, 24, "f:all");
    } else {
        (void)snprintf(field, 24, "f:%" PRIu32, branch);
    }
}

void fb_ledger_force(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                     const char *what)
{
    char key[FB_LEDGER_KEY];
    char field[24];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    field_name(field, branch);
    fb_ops_add(ops, "HSET", key, field, what, NULL);
}

enum fb_status fb_ledger_forced(struct fb_redis *r, const char *msg_id, uint32_t branch,
                                char what_r[16], struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    char field[24];
    fb_key(key, fb_redis_shard(r, msg_id), "m:%s", msg_id);
    field_name(field, branch);
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, field, "f:all", NULL);
    if (s != FB_OK) {
        return s;
    }
    what_r[0] = '\0';
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        struct fb_slice value = fb_reply_slice(reply->element[i]);
        if (value.len > 0 && value.len < 16) {
            memcpy(what_r, value.ptr, value.len);
            what_r[value.len] = '\0';
            break;
        }
        if (value.len >= 16) { /* fail closed: an unknown word is no permission to send */
            s = fb_error_set(err, FB_CORRUPT, "mark of message %s is too long", msg_id);
            break;
        }
    }
    freeReplyObject(reply);
    return s;
}

enum fb_status fb_ledger_decide_held(struct fb_redis *r, const struct fb_dead *dead,
                                     const char *what, struct fb_error *err)
{
    if (dead->job.stage == FB_STAGE_REVOKE) {
        return fb_error_set(err, FB_DENIED,
                            "%s is a recall that failed, not a mail, so there is nothing to send: "
                            "`fumibako dead retry %s` tries it again, `fumibako dead reject %s` "
                            "gives it up",
                            dead->id, dead->id, dead->id);
    }
    if (fb_job_is_side(&dead->job)) {
        return fb_error_set(err, FB_DENIED,
                            "%s is a letter to the sender that failed, not a mail: `fumibako dead "
                            "retry %s` tries it again, `fumibako dead reject %s` gives it up",
                            dead->id, dead->id, dead->id);
    }
    struct fb_job job = dead->job;
    bool is_whole = job.stage == FB_STAGE_RENDER; /* held before there was a plan */
    job.stage = FB_STAGE_REWRITE;
    job.attempt = 0;
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_force(r, ops, job.msg_id, is_whole ? UINT32_MAX : job.branch, what);
    enum fb_status s = fb_dead_replace(r, dead->id, &job, ops, err);
    fb_ops_free(&ops);
    return s;
}

char *fb_ledger_sender_of(struct fb_redis *r, const struct fb_dead *dead)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    char *from = NULL;
    if (dead->job.msg_id[0] == '\0' || fb_job_is_side(&dead->job)) {
        return NULL;
    }
    fb_key(key, fb_redis_shard(r, dead->job.msg_id), "m:%s", dead->job.msg_id);
    if (fb_redis_call(r, &reply, NULL, "HGET", key, "from", NULL) == FB_OK) {
        from = reply->type == REDIS_REPLY_STRING ? fb_slice_dup_str(fb_reply_slice(reply)) : NULL;
        freeReplyObject(reply);
    }
    return from;
}
