/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "enqueue.h"

#define DONE_AGE_MS 10000 /* a live rewrite erases it itself */

struct replay {
    struct fb_spool *spool;
    struct fb_redis *redis;
    int64_t ttl_ms;
    bool (*pause)(void *ctx);
    void *pause_ctx;
    struct replay_result *result;
    struct fb_spool_entry batch[ENQUEUE_BATCH];
    size_t count;
    enum fb_status status;
    struct fb_error *err;
};

/* Which of the batch Redis knows, and which of them have ended.  The same field decides in the
 * enqueue script; this only spares reading and decrypting envelopes of what is known, and were it
 * wrong, the script would still say so. */
static enum fb_status ask_known(struct replay *r, bool *is_known_r, bool *is_done_r)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < r->count && s == FB_OK; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "fb:{s%d}:m:%s",
                       fb_redis_shard(r->redis, r->batch[i].msg_id), r->batch[i].msg_id);
        struct fb_slice argv[] = {FB_SLICE_LITERAL("HMGET"), fb_slice_str(key),
                                  FB_SLICE_LITERAL("queued"), FB_SLICE_LITERAL("state")};
        s = fb_redis_append(r->redis, 4, argv, r->err);
    }
    for (size_t i = 0; i < r->count && s == FB_OK; i++) {
        redisReply *reply = NULL;
        s = fb_redis_fetch(r->redis, &reply, r->err);
        if (s == FB_OK) {
            bool is_pair = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
            is_known_r[i] = is_pair && reply->element[0]->type == REDIS_REPLY_STRING;
            is_done_r[i] = is_known_r[i] && reply->element[1]->type == REDIS_REPLY_STRING &&
                           strcmp(reply->element[1]->str, "done") == 0;
            freeReplyObject(reply);
        }
    }
    if (s != FB_OK) {
        fb_redis_reset(r->redis); /* replies of this pipeline must not be taken for others' */
    }
    return s;
}

/* Rewrite erases a message right behind its end.  One that died in between has left it: nobody else
 * would ever come here, and when the ledger forgets the message, it would be taken for a new one. */
static void erase_done(struct replay *r, const bool *is_done)
{
    for (size_t i = 0; i < r->count; i++) {
        struct fb_error err = {0};
        if (is_done[i] && fb_now_ms() - r->batch[i].created_ms > DONE_AGE_MS &&
            fb_spool_msg_erase(r->spool, r->batch[i].ref, r->batch[i].msg_id, &err) != FB_OK) {
            fb_log_fields(FB_WARN, "a delivered message could not be erased from the spool",
                          "msg_id", r->batch[i].msg_id, "error", err.text, NULL);
        }
    }
}

/* The envelope of a spooled message. NULL: gone meanwhile (delivered), or not readable, which is
 * counted. */
static struct pending *read_entry(struct replay *r, const struct fb_spool_entry *entry)
{
    struct fb_error err = {0};
    struct fb_spool_msg *msg = NULL;
    struct pending *p = fb_xcalloc(1, sizeof *p);
    enum fb_status s = fb_spool_msg_open(r->spool, entry->ref, &msg, &err);
    if (s == FB_OK) {
        s = fb_envelope_decode(fb_spool_msg_envelope(msg), &p->envelope, &err);
    }
    fb_spool_msg_close(&msg);
    if (s != FB_OK) {
        if (s != FB_NOT_FOUND) {
            r->result->failed++;
            fb_log_fields(FB_ERROR, "message in the spool cannot be read", "msg_id", entry->msg_id,
                          "status", fb_status_name(s), "error", err.text, NULL);
        }
        free(p);
        return NULL;
    }
    memcpy(p->msg_id, entry->msg_id, sizeof p->msg_id);
    memcpy(p->ref, entry->ref, sizeof p->ref);
    p->size = entry->size;
    return p;
}

static enum fb_status enqueue_unknown(struct replay *r, const bool *is_known)
{
    struct pending *items[ENQUEUE_BATCH];
    enum fb_status status[ENQUEUE_BATCH];
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct pending *p = is_known[i] ? NULL : read_entry(r, &r->batch[i]);
        if (p != NULL) {
            items[n++] = p;
        }
    }
    enum fb_status s = n == 0 ? FB_OK : enqueue_send(r->redis, items, n, r->ttl_ms, status, r->err);
    for (size_t i = 0; i < n; i++) {
        if (s == FB_OK && status[i] == FB_OK) {
            r->result->enqueued++;
        } else if (s == FB_OK && status[i] != FB_EXISTS) {
            s = fb_status_class(status[i]) == FB_CLASS_RETRY ? status[i] : FB_OK;
            r->result->failed++;
        }
        pending_free(items[i]);
    }
    return s;
}

static bool flush(struct replay *r)
{
    bool is_known[ENQUEUE_BATCH] = {false};
    bool is_done[ENQUEUE_BATCH] = {false};
    r->status = r->count == 0 ? FB_OK : ask_known(r, is_known, is_done);
    if (r->status == FB_OK) {
        erase_done(r, is_done);
        r->status = enqueue_unknown(r, is_known);
    }
    r->count = 0;
    if (r->status == FB_OK && !r->pause(r->pause_ctx)) {
        r->status = fb_error_set(r->err, FB_AGAIN, "stopped");
    }
    return r->status == FB_OK;
}

static bool on_entry(void *ctx, const struct fb_spool_entry *entry)
{
    struct replay *r = ctx;
    r->result->seen++;
    r->batch[r->count++] = *entry;
    return r->count < ENQUEUE_BATCH || flush(r);
}

enum fb_status replay_run(struct fb_spool *spool, struct fb_redis *redis, int64_t ttl_ms,
                          bool (*pause)(void *ctx), void *ctx, struct replay_result *result_r,
                          struct fb_error *err)
{
    struct replay *r = fb_xcalloc(1, sizeof *r);
    *result_r = (struct replay_result){0};
    r->spool = spool;
    r->redis = redis;
    r->ttl_ms = ttl_ms;
    r->pause = pause;
    r->pause_ctx = ctx;
    r->result = result_r;
    r->err = err;
    enum fb_status s = fb_spool_scan(spool, on_entry, r, &result_r->damaged, err);
    if (s == FB_OK && r->status == FB_OK) {
        (void)flush(r);
    }
    s = s != FB_OK ? s : r->status;
    free(r);
    return s;
}
