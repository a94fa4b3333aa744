/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sources of door.h share.  Nobody else includes it. */
#ifndef FB_COMMON_LEDGER_DOOR_INTERNAL_H
#define FB_COMMON_LEDGER_DOOR_INTERNAL_H

#include "common/ledger/door.h"
#include "common/ledger/internal.h"

enum fb_door_script {
    FB_DOOR_CODE_ASK,
    FB_DOOR_CODE_ENTER,
    FB_DOOR_SESSION_PUT,
    FB_DOOR_SESSION_GET,
    FB_DOOR_DEVICE_PUT,
    FB_DOOR_TOTP_TAKE,
    FB_DOOR_TOTP_ENROL,
    FB_DOOR_TOTP_RECOVER,
    FB_DOOR_COUNT,
    FB_DOOR_TRY,
    FB_DOOR_SCRIPT_COUNT
};

/* Runs it and deinits the call.  The reply is the caller's, and a list of at least `least` items. */
FB_MUST_USE enum fb_status fb_door_run(struct fb_redis *r, enum fb_door_script script,
                                       struct fb_call *c, size_t least, redisReply **reply_r,
                                       struct fb_error *err);
/* The same where only its first number matters. */
FB_MUST_USE enum fb_status fb_door_run_code(struct fb_redis *r, enum fb_door_script script,
                                            struct fb_call *c, int64_t *code_r,
                                            struct fb_error *err);
/* Copies a string out of a reply; false (and "") when it does not fit. */
bool fb_door_copy(const redisReply *reply, char *out, size_t size);
int64_t fb_door_reply_at(const redisReply *reply, size_t i);
/* DEL. */
FB_MUST_USE enum fb_status fb_door_del(struct fb_redis *r, int shard, const char *kind,
                                       const char *name, struct fb_error *err);

#endif
