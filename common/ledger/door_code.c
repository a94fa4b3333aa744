/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "common/ledger/door_internal.h"

/* FB_INVALID for what is no parcel's id. */
static enum fb_status begin(struct fb_redis *r, const struct fb_door_grant *grant,
                            struct fb_call *c, struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(grant->parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_INVALID, "not a parcel's id");
    }
    fb_call_init(c);
    fb_call_key(c, fb_redis_shard(r, msg_id), "pc:%.40s.%" PRIu32, grant->parcel_id,
                grant->recipient);
    return FB_OK;
}

enum fb_status fb_door_code_ask(struct fb_redis *r, const struct fb_door_grant *grant,
                                const struct fb_door_ask *ask, int64_t now_ms,
                                int64_t *wait_until_ms_r, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    enum fb_status s = begin(r, grant, &c, err);
    if (s != FB_OK) {
        return s;
    }
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_str(&c, ask->browser);
    fb_call_arg_str(&c, ask->to);
    fb_call_arg_str(&c, ask->sealed != NULL ? ask->sealed : "");
    fb_call_arg_str(&c, ask->hash);
    fb_call_arg_int(&c, FB_DOOR_CODE_MS);
    fb_call_arg_int(&c, FB_DOOR_KEEP_MS);
    s = fb_door_run(r, FB_DOOR_CODE_ASK, &c, 2, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    *wait_until_ms_r = fb_door_reply_at(reply, 1);
    bool is_early = fb_door_reply_at(reply, 0) != 0;
    freeReplyObject(reply);
    return is_early ? fb_error_set(err, FB_AGAIN, "too early for another code") : FB_OK;
}

enum fb_status fb_door_code_enter(struct fb_redis *r, const struct fb_door_grant *grant,
                                  const char *browser, const char *hash, int64_t now_ms,
                                  struct fb_door_check *check_r, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    enum fb_status s = begin(r, grant, &c, err);
    if (s != FB_OK) {
        return s;
    }
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_str(&c, browser);
    fb_call_arg_str(&c, hash);
    fb_call_arg_int(&c, FB_DOOR_TRIES);
    s = fb_door_run(r, FB_DOOR_CODE_ENTER, &c, 5, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    int64_t found = fb_door_reply_at(reply, 0);
    *check_r = (struct fb_door_check){.tries_left = (unsigned)fb_door_reply_at(reply, 1),
                                      .until_ms = fb_door_reply_at(reply, 2),
                                      .is_new_lock = fb_door_reply_at(reply, 3) != 0};
    bool fits = fb_door_copy(reply->element[4], check_r->to, sizeof check_r->to);
    freeReplyObject(reply);
    if (!fits || found < FB_DOOR_RIGHT || found > FB_DOOR_NONE) {
        return fb_error_set(err, FB_BUG, "the record of a code holds something else");
    }
    check_r->found = (enum fb_door_found)found;
    return FB_OK;
}

enum fb_status fb_door_code_get(struct fb_redis *r, const struct fb_door_grant *grant,
                                const char *browser, int64_t now_ms, struct fb_door_code *code_r,
                                struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    enum fb_status s = begin(r, grant, &c, err);
    if (s != FB_OK) {
        return s;
    }
    *code_r = (struct fb_door_code){.to = ""};
    s = fb_redis_call(r, &reply, err, "HMGET", (const char *)c.keys[0].ptr, "browser", "hash",
                      "until", "tries", "next", "lock", "to", NULL);
    fb_call_deinit(&c);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 7) {
        bool is_mine = fb_slice_eq_str(fb_reply_slice(reply->element[0]), browser);
        int64_t tries = fb_door_reply_at(reply, 3);
        int64_t next_ms = fb_door_reply_at(reply, 4);
        int64_t lock_ms = fb_door_reply_at(reply, 5);
        code_r->until_ms = fb_door_reply_at(reply, 2);
        code_r->is_waiting = is_mine && fb_reply_slice(reply->element[1]).len > 0 &&
                             code_r->until_ms > now_ms &&
                             fb_door_copy(reply->element[6], code_r->to, sizeof code_r->to);
        code_r->tries_left =
            tries >= 0 && tries < FB_DOOR_TRIES ? (unsigned)(FB_DOOR_TRIES - tries) : 0;
        code_r->next_ms = next_ms > now_ms ? next_ms : 0;
        code_r->locked_until_ms = lock_ms > now_ms ? lock_ms : 0;
    }
    freeReplyObject(reply);
    return FB_OK;
}
