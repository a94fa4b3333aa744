/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/door_internal.h"

static void begin(struct fb_redis *r, const char *owner, struct fb_call *c)
{
    fb_call_init(c);
    fb_call_key(c, fb_redis_shard(r, owner), "pt:%.64s", owner);
}

enum fb_status fb_door_totp_get(struct fb_redis *r, const char *owner, struct fb_door_totp *totp_r,
                                struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    fb_ledger_key(key, fb_redis_shard(r, owner), "pt", owner);
    enum fb_status s =
        fb_redis_call(r, &reply, err, "HMGET", key, "secret", "step", "since", "left", NULL);
    if (s != FB_OK) {
        return s;
    }
    *totp_r = (struct fb_door_totp){.sealed = ""};
    bool is_there = reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 &&
                    fb_door_copy(reply->element[0], totp_r->sealed, sizeof totp_r->sealed) &&
                    totp_r->sealed[0] != '\0';
    int64_t left = fb_door_reply_at(reply, 3);
    totp_r->step = fb_door_reply_at(reply, 1);
    totp_r->since_ms = fb_door_reply_at(reply, 2);
    totp_r->recovery_left = left > 0 && left <= FB_DOOR_RECOVERY ? (unsigned)left : 0;
    freeReplyObject(reply);
    return is_there ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "no app is enrolled");
}

enum fb_status fb_door_totp_take(struct fb_redis *r, const char *owner, int64_t step,
                                 struct fb_error *err)
{
    struct fb_call c;
    int64_t code = 0;
    begin(r, owner, &c);
    fb_call_arg_int(&c, step);
    fb_call_arg_int(&c, FB_DOOR_TOTP_MS);
    enum fb_status s = fb_door_run_code(r, FB_DOOR_TOTP_TAKE, &c, &code, err);
    return s != FB_OK                 ? s
           : code == FB_SCRIPT_OK     ? FB_OK
           : code == FB_SCRIPT_EXISTS ? fb_error_set(err, FB_EXISTS, "this code was used before")
                                      : fb_error_set(err, FB_NOT_FOUND, "no app is enrolled");
}

enum fb_status fb_door_totp_enrol(struct fb_redis *r, const char *owner,
                                  const struct fb_door_enrol *e, struct fb_error *err)
{
    struct fb_call c;
    int64_t code = 0;
    begin(r, owner, &c);
    fb_call_arg_str(&c, e->replaces ? "1" : "0");
    fb_call_arg_int(&c, FB_DOOR_TOTP_MS);
    fb_call_arg_str(&c, e->sealed);
    fb_call_arg_int(&c, e->step);
    fb_call_arg_int(&c, e->now_ms);
    for (size_t i = 0; i < FB_DOOR_RECOVERY; i++) {
        fb_call_arg_str(&c, e->recovery[i]);
    }
    enum fb_status s = fb_door_run_code(r, FB_DOOR_TOTP_ENROL, &c, &code, err);
    return s != FB_OK             ? s
           : code == FB_SCRIPT_OK ? FB_OK
                                  : fb_error_set(err, FB_EXISTS, "another app is enrolled");
}

enum fb_status fb_door_totp_recover(struct fb_redis *r, const char *owner, const char *hash,
                                    unsigned *left_r, struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    begin(r, owner, &c);
    fb_call_arg_str(&c, hash);
    fb_call_arg_int(&c, FB_DOOR_TOTP_MS);
    enum fb_status s = fb_door_run(r, FB_DOOR_TOTP_RECOVER, &c, 2, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_taken = fb_door_reply_at(reply, 0) == FB_SCRIPT_OK;
    int64_t left = fb_door_reply_at(reply, 1);
    freeReplyObject(reply);
    *left_r = left > 0 && left <= FB_DOOR_RECOVERY ? (unsigned)left : 0;
    return is_taken ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "no such recovery code");
}

enum fb_status fb_door_totp_forget(struct fb_redis *r, const char *owner, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    fb_ledger_key(key, fb_redis_shard(r, owner), "pt", owner);
    enum fb_status s = fb_redis_call(r, &reply, err, "DEL", key, NULL);
    bool was_there = s == FB_OK && fb_reply_int(reply) > 0;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s != FB_OK || was_there ? s : fb_error_set(err, FB_NOT_FOUND, "no app is enrolled");
}
