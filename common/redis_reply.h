/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of Redis within limits.  hiredis makes room for as many elements as an array's head
 * announces, and for as long a string as the peer goes on sending.  Used by redis_link.c only.
 */
#ifndef FB_COMMON_REDIS_REPLY_H
#define FB_COMMON_REDIS_REPLY_H

struct redisContext;

/* Of one array.  The longest that we ask for, the ledger's entry of a mail to 10,000, has a tenth. */
#define FB_REDIS_MAX_ELEMENTS (1 << 22)
/* Bytes of one reply.  The longest that we ask for, a page of listings, is some megabytes. */
#define FB_REDIS_MAX_REPLY (64 << 20)

/* For a connection that was just made. */
void fb_redis_reply_bound(struct redisContext *c);

/* redisGetReply of a blocking connection: sends what waits to be sent, and reads one reply, which is
 * the caller's (freeReplyObject).  REDIS_OK, or REDIS_ERR with c->err and c->errstr set: what is too
 * long ends so, too, and the connection cannot be used any more. */
int fb_redis_reply_get(struct redisContext *c, void **reply_r);

#endif
