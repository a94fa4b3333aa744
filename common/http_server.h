/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 server over libmicrohttpd, for pages and short calls: a request is handed on when its body is
 * whole, and answered in one piece.  Everything is bounded: connections, head, body, idle time, and the time that one
 * request may take (against clients that send or read a byte now and then).  Nothing is logged: URLs may be secrets.
 * TLS is the business of a proxy in front of it.  A request whose length a proxy might read in another way than we do
 * is answered with 400 and is the last of its connection (RFC 9112 6.3): what is behind it could be somebody else's.
 */
#ifndef FB_COMMON_HTTP_SERVER_H
#define FB_COMMON_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/buf.h"

#define FB_HTTP_MAX_HEADERS 24

/* Lent to the handler while it runs. */
struct fb_http_request {
    const char *method;          /* "GET" */
    const char *path;            /* percent-decoded, without the query */
    struct fb_slice body;        /* empty when it was too big */
    bool is_too_big;             /* the body passed max_body */
    const struct sockaddr *peer; /* who connected: a proxy, perhaps */
    void *connection;            /* for the functions below */
};
/* The value of a header, a query parameter ("" when it has none) or a cookie; NULL when it is not there. */
const char *fb_http_header(const struct fb_http_request *r, const char *name);
const char *fb_http_query(const struct fb_http_request *r, const char *name);
const char *fb_http_cookie(const struct fb_http_request *r, const char *name);
/* Appends all values of a header that is a list and may come in several lines, in their order, with ", " between them
 * (RFC 9110 5.3); nothing when it is not there.  FB_TOO_BIG when they do not fit. */
FB_MUST_USE enum fb_status fb_http_header_list(const struct fb_http_request *r, const char *name,
                                               struct fb_buf *out);

/* What the handler fills in. */
struct fb_http_answer {
    unsigned status;
    struct fb_buf body; /* not sent in answer to HEAD */
    struct {
        const char *name; /* kept by reference */
        char *value;
    } headers[FB_HTTP_MAX_HEADERS];
    size_t header_count;
};
/* Adds a header; name is kept by reference.  Values are ours: CR and LF in one are a bug. */
void fb_http_answer_header(struct fb_http_answer *a, const char *name, const char *fmt, ...)
    FB_PRINTF(3, 4);

struct fb_http_options {
    const char *listen;   /* host:port */
    const char *key;      /* its configuration key, for errors */
    unsigned threads;     /* handlers that run at the same time */
    unsigned connections; /* at the same time; at least threads */
    unsigned idle_s;      /* a connection on which nothing happens is closed */
    int64_t
        request_ms;  /* so is one on which a request takes longer than this (fb_http_server_tick) */
    size_t max_head; /* request line and header fields */
    size_t max_body; /* of a request */
    size_t max_answer;
    /* Called in several threads at once.  Leaves 500 and an empty body unless it sets them. */
    void (*handle)(void *ctx, const struct fb_http_request *request, struct fb_http_answer *answer);
    void *ctx;
};

struct fb_http_server;
/* Listens and serves.  FB_CONFIG when it cannot listen there. */
FB_MUST_USE enum fb_status fb_http_server_new(const struct fb_http_options *options,
                                              struct fb_http_server **server_r,
                                              struct fb_error *err);
/* Closes what takes too long; call it every second or so. */
void fb_http_server_tick(struct fb_http_server *s);
/* Takes no more connections, and waits for the requests in hand, for at most timeout_ms. */
void fb_http_server_drain(struct fb_http_server *s, int64_t timeout_ms);
void fb_http_server_free(struct fb_http_server **server);

#endif
