/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/reply.h"

#include <string.h>

#include "common/ledger/internal.h"

#define BUSY_MS "180000"
#define DONE_MS "7200000"

static enum fb_status make_key(int shard, const char *id, char key[FB_LEDGER_KEY],
                               struct fb_error *err)
{
    if (!fb_id_is_valid(id)) {
        return fb_error_set(err, FB_INVALID, "not a reply's id");
    }
    fb_ledger_key(key, shard, "pl:reply", id);
    return FB_OK;
}

enum fb_status fb_ledger_reply_state(struct fb_redis *r, int shard, const char *id,
                                     enum fb_reply_state *state_r, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    enum fb_status s = make_key(shard, id, key, err);
    if (s == FB_OK) {
        s = fb_redis_call(r, &reply, err, "GET", key, NULL);
    }
    if (s == FB_OK) {
        bool is_there = reply->type == REDIS_REPLY_STRING;
        bool is_done = is_there && reply->len == 4 && memcmp(reply->str, "done", 4) == 0;
        *state_r = is_done ? FB_REPLY_DONE : is_there ? FB_REPLY_BUSY : FB_REPLY_NEW;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_ledger_reply_claim(struct fb_redis *r, int shard, const char *id,
                                     enum fb_reply_state *state_r, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    enum fb_status s = make_key(shard, id, key, err);
    if (s == FB_OK) {
        s = fb_redis_call(r, &reply, err, "SET", key, "busy", "NX", "PX", BUSY_MS, NULL);
    }
    if (s != FB_OK) {
        return s;
    }
    bool is_mine = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (is_mine) {
        *state_r = FB_REPLY_NEW;
        return FB_OK;
    }
    s = fb_ledger_reply_state(r, shard, id, state_r, err);
    if (s == FB_OK && *state_r == FB_REPLY_NEW) {
        *state_r = FB_REPLY_BUSY; /* it ended in between: the next try gets it */
    }
    return s;
}

enum fb_status fb_ledger_reply_settle(struct fb_redis *r, int shard, const char *id, bool is_sent,
                                      struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    enum fb_status s = make_key(shard, id, key, err);
    if (s == FB_OK && is_sent) {
        s = fb_redis_call(r, &reply, err, "SET", key, "done", "PX", DONE_MS, NULL);
    } else if (s == FB_OK) {
        s = fb_redis_call(r, &reply, err, "DEL", key, NULL);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s;
}
