/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis, as one thread uses it (hiredis 0.14 or 1.x; all of hiredis stays behind this header): one
 * server, the primary that sentinels name, or all primaries of a cluster.  After any I/O error the
 * connection is thrown away and the next call looks for the primary and connects again (with
 * back-off).  LOADING, READONLY, MASTERDOWN, NOREPLICAS, OOM, MISCONF, BUSY, TRYAGAIN, CLUSTERDOWN
 * and UNBLOCKED come back as FB_AGAIN, a lost connection as FB_NETWORK, a refused user or password
 * (NOAUTH, WRONGPASS, NOPERM) as FB_CONFIG, any other error reply as FB_BUG with Redis' words.
 * MOVED and ASK are followed and never seen.
 *
 * A cluster finds a command's node by its first key; all keys of one command must have the same
 * hash tag.
 *
 * While Redis is away, calls within the back-off (50 ms doubling to 1 s, counted from the last
 * failed attempt) come back with FB_NETWORK at once, so that a caller with other work is never held
 * up; one that waits sleeps itself.
 */
#ifndef FB_COMMON_REDIS_H
#define FB_COMMON_REDIS_H

#include "common/buf.h"
#include "common/config.h"

struct redisReply; /* hiredis */

struct fb_redis;
/* Does not connect yet.  timeout_ms bounds connecting and each command (a blocking read adds its
 * BLOCK time). */
FB_MUST_USE enum fb_status fb_redis_new(const struct fb_config *config, int timeout_ms,
                                        struct fb_redis **redis_r, struct fb_error *err);
void fb_redis_free(struct fb_redis **r);

/* One command by argument vector (binary safe).  The reply is the caller's: freeReplyObject().
 * Never a reply of type ERROR. */
FB_MUST_USE enum fb_status fb_redis_command(struct fb_redis *r, size_t argc,
                                            const struct fb_slice *argv,
                                            struct redisReply **reply_r, struct fb_error *err);
/* The same from C strings, ended by NULL. */
FB_MUST_USE enum fb_status fb_redis_call(struct fb_redis *r, struct redisReply **reply_r,
                                         struct fb_error *err, ...) __attribute__((sentinel));
/* The same for a command without a key, on the node that has the shard. */
FB_MUST_USE enum fb_status fb_redis_call_at(struct fb_redis *r, int shard,
                                            struct redisReply **reply_r, struct fb_error *err, ...)
    __attribute__((sentinel));
/* As fb_redis_command, for commands that block block_ms on the server. */
FB_MUST_USE enum fb_status fb_redis_command_blocking(struct fb_redis *r, int block_ms, size_t argc,
                                                     const struct fb_slice *argv,
                                                     struct redisReply **reply_r,
                                                     struct fb_error *err);

/* Pipelining: append any number, then fetch as many replies in order.  An error reply to one
 * command is returned for that fetch only; FB_NETWORK ends all that went to the same node.  A caller
 * that does not fetch them all calls fb_redis_reset. */
FB_MUST_USE enum fb_status fb_redis_append(struct fb_redis *r, size_t argc,
                                           const struct fb_slice *argv, struct fb_error *err);
FB_MUST_USE enum fb_status fb_redis_fetch(struct fb_redis *r, struct redisReply **reply_r,
                                          struct fb_error *err);

/* A Lua script, sent by EVALSHA with EVAL as the answer to NOSCRIPT. */
struct fb_script {
    const char *name;
    const char *source;
    char sha[41]; /* filled by fb_redis_script_prepare */
};
void fb_redis_script_prepare(struct fb_script *script);
FB_MUST_USE enum fb_status fb_redis_script(struct fb_redis *r, const struct fb_script *script,
                                           size_t key_count, const struct fb_slice *keys,
                                           size_t arg_count, const struct fb_slice *args,
                                           struct redisReply **reply_r, struct fb_error *err);
/* Appends the call of a script to the pipeline; is_eval sends the source (the answer to NOSCRIPT on
 * the fetch). */
FB_MUST_USE enum fb_status fb_redis_append_script(struct fb_redis *r,
                                                  const struct fb_script *script, bool is_eval,
                                                  size_t key_count, const struct fb_slice *keys,
                                                  size_t arg_count, const struct fb_slice *args,
                                                  struct fb_error *err);
/* Whether err came from an error reply that begins with this code word ("NOSCRIPT", "NOGROUP"). */
bool fb_redis_error_is(const struct fb_error *err, const char *code);
/* Throws the connection away; the next call makes a new one at once. */
void fb_redis_reset(struct fb_redis *r);
/* Connections made so far.  A change says that a Redis was restarted or replaced by another, which
 * may have lost the last writes. */
uint64_t fb_redis_connections(const struct fb_redis *r);
/* Server time in ms (TIME). */
FB_MUST_USE enum fb_status fb_redis_time(struct fb_redis *r, int64_t *ms_r, struct fb_error *err);
/* Another node may take over (Sentinel, Cluster), which does not know the last writes. */
bool fb_redis_may_fail_over(const struct fb_redis *r);
int fb_redis_shard_count(const struct fb_redis *r);
/* The shard of a message: CRC-32 of its id modulo shards. */
int fb_redis_shard(const struct fb_redis *r, const char *msg_id);

#endif
