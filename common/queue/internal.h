/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sources of common/queue and common/ledger share: keys, calls of scripts, claims out of
 * replies.  Nobody else includes it.
 */
#ifndef FB_COMMON_QUEUE_INTERNAL_H
#define FB_COMMON_QUEUE_INTERNAL_H

#include <hiredis/hiredis.h>

#include "common/queue/queue.h"
#include "common/queue/scripts.h"

#define FB_KEY_SIZE 128

/* fb:{sN}:<rest> */
void fb_key(char key[FB_KEY_SIZE], int shard, const char *fmt, ...) FB_PRINTF(3, 4);
/* fb:{sN}:STAGE or fb:{sN}:STAGE:bulk */
void fb_stream_key(char key[FB_KEY_SIZE], int shard, enum fb_stage stage, enum fb_lane lane);
/* 1 for revoke, else 2: lanes are 0 to this. */
int fb_lanes_of(enum fb_stage stage);
/* "" or ":bulk", how names of keys end. */
const char *fb_lane_suffix(enum fb_stage stage, enum fb_lane lane);

/* Keys and arguments of one call of a script; owns copies of what was printed into it. */
struct fb_call {
    struct fb_slice *keys, *args;
    size_t key_count, key_cap, arg_count, arg_cap;
    char **owned;
    size_t owned_count, owned_cap;
    struct fb_buf packed; /* the ops */
};
void fb_call_init(struct fb_call *c);
void fb_call_deinit(struct fb_call *c);
void fb_call_key(struct fb_call *c, int shard, const char *fmt, ...) FB_PRINTF(3, 4);
void fb_call_stream(struct fb_call *c, int shard, enum fb_stage stage, enum fb_lane lane);
void fb_call_delayed(struct fb_call *c, int shard, enum fb_stage stage, enum fb_lane lane);
void fb_call_key_slice(struct fb_call *c, struct fb_slice key); /* lent until deinit */
void fb_call_arg(struct fb_call *c, struct fb_slice arg);       /* lent until deinit */
void fb_call_arg_str(struct fb_call *c, const char *arg);       /* lent until deinit */
void fb_call_arg_copy(struct fb_call *c, const char *arg);
void fb_call_arg_int(struct fb_call *c, int64_t arg);
/* Bytes of a job: copied. */
FB_MUST_USE enum fb_status fb_call_arg_job(struct fb_call *c, const struct fb_job *job,
                                           struct fb_error *err);
/* The ops' keys behind the others, and their encoding (or "") as next argument.  FB_BUG for a key
 * of another shard. */
FB_MUST_USE enum fb_status fb_call_ops(struct fb_call *c, int shard, const struct fb_ops *ops,
                                       struct fb_error *err);
/* The same for one of several lists of a call: its encoding is added to the end of c->packed, and
 * the caller passes len_r bytes of it (0: "") on when all are there. */
FB_MUST_USE enum fb_status fb_call_ops_pack(struct fb_call *c, int shard, const struct fb_ops *ops,
                                            size_t *len_r, struct fb_error *err);
/* Runs it; the reply's code becomes a status: OK, EXISTS, LOST, NOT_FOUND, AGAIN, CORRUPT (worn).
 * The reply (may be NULL) is only given with FB_OK and FB_EXISTS.  NOGROUP (Redis was wiped) makes
 * the groups again and is FB_LOST. */
FB_MUST_USE enum fb_status fb_call_run(struct fb_redis *r, enum fb_script_id id,
                                       const struct fb_call *c, redisReply **reply_r,
                                       struct fb_error *err);
/* The same for scripts that answer a list or a count. */
FB_MUST_USE enum fb_status fb_call_raw(struct fb_redis *r, enum fb_script_id id,
                                       const struct fb_call *c, redisReply **reply_r,
                                       struct fb_error *err);
/* What the scripts call the stage of a job: its name, or "letter" for a letter, which lies in the
 * stream of rewrite and has no part in a branch. */
const char *fb_script_stage(const struct fb_job *job);
/* group, consumer, id, stage, branch: how all calls that end a claim begin. */
void fb_call_claim(struct fb_call *c, const char *consumer, const struct fb_claim *claim);

/* Remembers, as well as it can, that a job of a newer version waits (newer.c). */
void fb_newer_note(struct fb_redis *r, enum fb_stage stage, int shard, struct fb_slice job);

struct fb_slice fb_reply_slice(const redisReply *reply); /* empty unless a string */
/* Decimal digits of a reply (string or integer); 0 for anything else. */
int64_t fb_reply_int(const redisReply *reply);
int64_t fb_slice_int(struct fb_slice s);

#endif
