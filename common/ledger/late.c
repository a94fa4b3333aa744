/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail that is late: whether its sender was told (RFC 3461: a delay is told once), and where it
 * waits.  Marks dl:<branch>, or dl:all for what was late before it had branches: 1 when a letter is
 * on its way, 2 when it was sent. */
#include "common/ledger/late.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/internal.h"

enum fb_status fb_ledger_late_told(struct fb_redis *r, const char *msg_id, uint32_t branch,
                                   bool *is_told_r, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    char field[24];
    redisReply *reply = NULL;
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    (void)snprintf(field, sizeof field, "dl:%" PRIu32, branch);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, field, "dl:all", NULL);
    if (s != FB_OK) {
        return s;
    }
    *is_told_r = false;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        *is_told_r = *is_told_r || reply->element[i]->type == REDIS_REPLY_STRING;
    }
    freeReplyObject(reply);
    return FB_OK;
}

void fb_ledger_late_tell(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    char key[FB_LEDGER_KEY];
    char field[24] = "dl:all";
    fb_ledger_key(key, fb_redis_shard(r, job->msg_id), "m", job->msg_id);
    if (job->stage != FB_STAGE_RENDER) {
        (void)snprintf(field, sizeof field, "dl:%" PRIu32, job->branch);
    }
    fb_ops_add(ops, "HSET", key, field, "1", NULL);
}

enum fb_status fb_ledger_late_get(struct fb_redis *r, const char *msg_id, uint32_t branch,
                                  bool *is_late_r, enum fb_stage *stage_r, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    char upload[32];
    char rewrite[32];
    char done[32];
    char held[24];
    char mark[24];
    redisReply *reply = NULL;
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    (void)snprintf(upload, sizeof upload, "e:upload:%" PRIu32, branch);
    (void)snprintf(rewrite, sizeof rewrite, "e:rewrite:%" PRIu32, branch);
    (void)snprintf(done, sizeof done, "d:rewrite:%" PRIu32, branch);
    (void)snprintf(held, sizeof held, "h:%" PRIu32, branch);
    (void)snprintf(mark, sizeof mark, "dl:%" PRIu32, branch);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, "state", done, held, rewrite,
                                     upload, mark, "dl:all", NULL);
    if (s != FB_OK) {
        return s;
    }
    bool has[7] = {false};
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && i < 7; i++) {
        has[i] = reply->element[i]->type == REDIS_REPLY_STRING;
    }
    bool is_done = has[0] && fb_slice_eq_str(fb_reply_slice(reply->element[0]), "done");
    /* "1": he is to be told, and was not yet. */
    bool is_due = has[5] ? fb_slice_eq_str(fb_reply_slice(reply->element[5]), "1") : has[6];
    *is_late_r = has[0] && !is_done && !has[1] && !has[2] && is_due;
    *stage_r = has[3] ? FB_STAGE_REWRITE : has[4] ? FB_STAGE_UPLOAD : FB_STAGE_RENDER;
    freeReplyObject(reply);
    return FB_OK;
}

void fb_ledger_late_sent(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *letter)
{
    char key[FB_LEDGER_KEY];
    char field[24];
    fb_ledger_key(key, fb_redis_shard(r, letter->msg_id), "m", letter->msg_id);
    (void)snprintf(field, sizeof field, "dl:%" PRIu32, letter->branch);
    fb_ops_add(ops, "HSET", key, field, "2", NULL);
}
