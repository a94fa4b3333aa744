/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 server over libmicrohttpd, for pages, short calls and files: a request is handed on when its body is
 * whole, and answered in one piece, or by a stream that is read while it is sent.  Few threads serve all connections;
 * handlers run in threads of their own, so that neither a slow client nor a slow handler holds up anybody else.
 * Everything is bounded: connections, head, body, idle time, the time that one request may take (against clients that
 * send or read a byte now and then), and for streams, which may take hours, the least that a client takes in a minute.
 * Nothing is logged: URLs may be secrets.
 * TLS is the business of a proxy in front of it.  A request whose length a proxy might read in another way than we do
 * is answered with 400 and is the last of its connection (RFC 9112 6.3): what is behind it could be somebody else's.
 */
#ifndef FB_COMMON_HTTP_SERVER_H
#define FB_COMMON_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/buf.h"

#define FB_HTTP_MAX_HEADERS 24
#define FB_HTTP_BODY_RATE   16384 /* bytes of a large body that give its request one second more */
#define FB_HTTP_LEAST_RATE  1024U /* a telephone at the edge of its network is faster */
#define FB_HTTP_PACE_MS     60000 /* a tunnel, a change of the network */

/* Lent to the handler while it runs. */
struct fb_http_request {
    const char *method;   /* "GET" */
    const char *path;     /* percent-decoded, without the query */
    struct fb_slice body; /* empty when it was too big */
    bool is_too_big;      /* the body passed its limit */
    bool is_busy; /* a large body, and as many of them as may be are held: it was not kept */
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

#define FB_HTTP_UNKNOWN UINT64_MAX

/* A body that is made while it is sent. */
struct fb_http_stream {
    /* Writes up to len bytes of the body from offset on; gives how many.  0: there are no more (only where the size is
     * unknown).  Below 0: it failed, and the connection is closed, so that nobody takes a part for the whole.  Calls
     * follow each other without gaps, never two at once; the thread may change. */
    ssize_t (*read)(void *ctx, uint64_t offset, void *out, size_t len);
    void (*free)(void *ctx); /* called once, whatever happens; may be NULL */
    void *ctx;
    uint64_t size; /* FB_HTTP_UNKNOWN: sent in chunks */
    bool
        is_ranged; /* single ranges are answered with 206 (RFC 9110 14), If-Range by the header "ETag" of the answer */
    bool
        may_block; /* read waits for a network, or computes for long: it is then called in a handler's thread */
};

/* What the handler fills in. */
struct fb_http_answer {
    unsigned status;
    struct fb_buf body; /* not sent in answer to HEAD */
    struct fb_http_stream
        stream; /* instead of body where it has a read; only with status 200 is it ranged */
    struct {
        const char *name; /* kept by reference */
        char *value;
    } headers[FB_HTTP_MAX_HEADERS];
    size_t header_count;
};
/* Adds a header; name is kept by reference.  Values are ours: CR and LF in one are a bug. */
void fb_http_answer_header(struct fb_http_answer *a, const char *name, const char *fmt, ...)
    FB_PRINTF(3, 4);
/* The same in place of the one that is there, if it is. */
void fb_http_answer_replace(struct fb_http_answer *a, const char *name, const char *fmt, ...)
    FB_PRINTF(3, 4);

struct fb_http_options {
    const char *listen;   /* host:port */
    const char *key;      /* its configuration key, for errors */
    unsigned threads;     /* handlers that run at the same time */
    unsigned io_threads;  /* that serve connections, read streams and send; 0 = one */
    unsigned connections; /* at the same time; at least io_threads, among which they are divided */
    unsigned idle_s;      /* a connection on which nothing happens is closed */
    int64_t
        request_ms; /* so is one on which a request takes longer than this (fb_http_server_tick) */
    uint64_t
        least_rate; /* bytes a second that the client of a stream takes, else it is closed; 0 = FB_HTTP_LEAST_RATE */
    int64_t pace_ms; /* over so long a time at once; 0 = FB_HTTP_PACE_MS */
    size_t max_head; /* request line and header fields */
    size_t max_body; /* of a request */
    /* NULL, or how large the body of this request may be instead (a form with files; less for strangers), by its head
     * alone; called in the io_threads.  max_large requests at the same time have more than max_body. */
    size_t (*body_limit)(void *ctx, const struct fb_http_request *head);
    unsigned max_large;
    size_t max_answer;
    /* Called in several threads at once, and may wait.  Leaves 500 and an empty body unless it sets them. */
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
