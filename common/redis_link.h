/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to one Redis (hiredis 0.14 or 1.x), made when it is needed and thrown away after
 * any error of the connection.  Used by redis*.c only.
 */
#ifndef FB_COMMON_REDIS_LINK_H
#define FB_COMMON_REDIS_LINK_H

#include "common/redis_url.h"

struct redisReply;

struct fb_redis_link {
    const struct fb_redis_url *url;      /* user, password, database, TLS: lent */
    const char *own_user, *own_password; /* in place of the URL's, with a password: lent */
    struct fb_redis_host at;
    int timeout_ms;
    bool is_plain;    /* no AUTH, no SELECT: a sentinel that did not ask for a password */
    bool is_database; /* SELECT; a sentinel has none */
    /* Where the address may change: called before each attempt, may set `at`. */
    enum fb_status (*locate)(void *ctx, struct fb_redis_link *l, struct fb_error *err);
    /* Called on the fresh connection: FB_OK, or why it is not the right one. */
    enum fb_status (*check)(void *ctx, struct fb_redis_link *l, struct fb_error *err);
    /* Called before an idle connection is used again; false: another one is wanted. */
    bool (*is_right)(void *ctx, struct fb_redis_link *l);
    void *ctx;
    uint64_t *connections; /* counted up with each connection; NULL: nobody counts */

    struct redisContext *context;
    int current_timeout_ms; /* what the socket is set to */
    size_t outstanding;     /* replies not yet fetched */
    uint32_t generation;    /* counted up when the connection goes: older replies never come */
    bool is_stale;          /* drop the connection once the replies are fetched */
    int64_t retry_at_ms;    /* monotonic; no attempt before it */
    int64_t backoff_ms;
};

/* url is kept. */
void fb_redis_link_init(struct fb_redis_link *l, const struct fb_redis_url *url,
                        const struct fb_redis_host *at, int timeout_ms);
/* Closes the connection; the next use makes a new one, within the back-off. */
void fb_redis_link_drop(struct fb_redis_link *l);
/* The same, and forgets the back-off. */
void fb_redis_link_reset(struct fb_redis_link *l);

/* Connects where needed.  FB_NETWORK at once within the back-off. */
FB_MUST_USE enum fb_status fb_redis_link_open(struct fb_redis_link *l, struct fb_error *err);
/* A formatted command into the pipeline of an open connection.  wait_ms is set for all that are
 * outstanding when it is the first. */
FB_MUST_USE enum fb_status fb_redis_link_send(struct fb_redis_link *l, const char *bytes,
                                              size_t len, int wait_ms, struct fb_error *err);
/* The next reply: never one of type ERROR. */
FB_MUST_USE enum fb_status fb_redis_link_fetch(struct fb_redis_link *l, struct redisReply **reply_r,
                                               struct fb_error *err);
/* One command on an open connection with nothing outstanding. */
FB_MUST_USE enum fb_status fb_redis_link_ask(struct fb_redis_link *l, int argc, const char **argv,
                                             struct redisReply **reply_r, struct fb_error *err);
/* AUTH with what the URL holds; FB_CONFIG when it holds nothing. */
FB_MUST_USE enum fb_status fb_redis_link_auth(struct fb_redis_link *l, struct fb_error *err);

#endif
