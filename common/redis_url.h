/* SPDX-License-Identifier: Apache-2.0
 *
 * Where Redis is; rediss instead of redis for TLS.  Used by redis*.c only.
 *   redis://[user:password@]host[:port][/db]
 *   redis+sentinel://[user:password@]host[:port],host[:port],.../<name of the primary>[/db]
 *   redis+cluster://[user:password@]host[:port],host[:port],...
 */
#ifndef FB_COMMON_REDIS_URL_H
#define FB_COMMON_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct redisContext; /* hiredis */

#define FB_REDIS_MAX_HOSTS 16
#define FB_REDIS_HOST_SIZE 256

enum fb_redis_mode { FB_REDIS_SINGLE, FB_REDIS_SENTINEL, FB_REDIS_CLUSTER };

struct fb_redis_host {
    char name[FB_REDIS_HOST_SIZE];
    uint16_t port;
};

struct fb_redis_url {
    enum fb_redis_mode mode;
    char *user;                                     /* NULL = the default user */
    char *password;                                 /* NULL = none; wiped by deinit */
    char *primary;                                  /* sentinel: the name they know it by */
    struct fb_redis_host hosts[FB_REDIS_MAX_HOSTS]; /* Redis, the sentinels, nodes of the cluster */
    size_t host_count;
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
