/* SPDX-License-Identifier: Apache-2.0
 *
 * Ledger changes that ride in the same script as a queue step, so that queue and ledger cannot disagree: a list of
 * Redis write commands on keys of one shard.  Only HSET HDEL HINCRBY HSETNX ZADD ZREM SADD SREM RPUSH LTRIM XADD
 * EXPIRE PERSIST DEL ZREMRANGEBYSCORE are allowed, on keys that begin with "fb:{s".  HSET, HDEL, ZADD, ZREM, SADD,
 * SREM, UNCLAIM and RPUSH take any number of arguments: long ones are cut into several commands.  More are ours:
 * LISTIN key at member old ttl adds a member to a listing (ZADD); a listing without a time to live, or once a day, gets
 * ttl (in seconds) and loses what is older than old.  ADDRIN key member old ttl: the same for a listing whose members
 * sort by themselves (all of score 0).  HOURIN key member ttl appends a member to a string.  MAPIN key field value ttl
 * day today sets field to "value day" in a hash that lives for ttl at least, and now and then takes out what is of a
 * day before today.  UNCLAIM key index ... takes back that these recipients of a message may be sent (ledger.h,
 * fb_ledger_release_sending).  DELIF key value deletes a string that is this value (fb_queue_lock).
 */
#ifndef FB_COMMON_QUEUE_OPS_H
#define FB_COMMON_QUEUE_OPS_H

#include "common/buf.h"

struct fb_ops;
struct fb_ops *fb_ops_new(void);
void fb_ops_free(struct fb_ops **ops);
/* One command: its name, the key, its arguments; ended by NULL. Errors (too many, too big) are kept and come out
 * of the queue call that uses the list. */
void fb_ops_add(struct fb_ops *ops, const char *command, const char *key, ...)
    __attribute__((sentinel));
void fb_ops_add_slices(struct fb_ops *ops, const char *command, const char *key,
                       const struct fb_slice *args, size_t count);
/* The list is spoiled: the call that uses it fails with this.  The first error stays. */
void fb_ops_fail(struct fb_ops *ops, const struct fb_error *why);
size_t fb_ops_count(const struct fb_ops *ops);
/* The encoded list (msgpack array of arrays, for cmsgpack.unpack in the script) and its distinct keys; lent. */
FB_MUST_USE enum fb_status fb_ops_encode(const struct fb_ops *ops, struct fb_buf *out,
                                         struct fb_error *err);
size_t fb_ops_keys(const struct fb_ops *ops, const char *const **keys_r);

#endif
