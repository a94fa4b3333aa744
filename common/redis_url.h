/* SPDX-License-Identifier: Apache-2.0
 *
 * Where Redis is: redis://[user:password@]host[:port][/db], rediss:// for TLS.  Used by redis.c
 * only.
 */
#ifndef FB_COMMON_REDIS_URL_H
#define FB_COMMON_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct redisContext; /* hiredis */

struct fb_redis_url {
    char *user;     /* NULL = the default user */
    char *password; /* NULL = none; wiped by deinit */
    char *host;
    uint16_t port;
    uint32_t db;
    bool is_tls;
};

/* Splits url; user and password are percent-decoded (RFC 3986 2.1).  FB_CONFIG with a text that
 * never shows the password. */
FB_MUST_USE enum fb_status fb_redis_url_parse(const char *url, struct fb_redis_url *url_r,
                                              struct fb_error *err);
void fb_redis_url_deinit(struct fb_redis_url *url);

/* Whether this build's hiredis has TLS: FB_OK, or FB_CONFIG with what to do instead. */
FB_MUST_USE enum fb_status fb_redis_tls_check(struct fb_error *err);
/* Starts TLS on a fresh connection and checks the server's certificate for host.  FB_NETWORK,
 * FB_CONFIG. */
FB_MUST_USE enum fb_status fb_redis_tls_start(struct redisContext *ctx, const char *host,
                                              struct fb_error *err);

#endif
