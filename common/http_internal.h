/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP server share; for nobody else.
 *
 *   http_server.c  connections, requests, answers in one piece
 *   http_stream.c  answers that are read while they are sent, ranges, the pace of their clients
 *   http_pool.c    the threads of the handlers
 *
 * libmicrohttpd's threads never wait: what may wait is a job of the pool, and its connection is suspended meanwhile. */
#ifndef FB_COMMON_HTTP_INTERNAL_H
#define FB_COMMON_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "common/http_server.h"

/* ---- http_pool.c ---- */

struct http_job {
    struct http_job *next;
    void (*run)(struct http_job *job); /* the job may be gone behind it */
};

struct http_pool;
/* FB_NO_SPACE when a thread cannot be started. */
FB_MUST_USE enum fb_status http_pool_new(unsigned threads, struct http_pool **pool_r,
                                         struct fb_error *err);
/* First come, first served.  Once the pool has stopped the job is done at once, in the caller's thread, so that every
 * suspended connection is resumed. */
void http_pool_add(struct http_pool *p, struct http_job *job);
/* Does what is queued, and ends the threads. */
void http_pool_stop(struct http_pool *p);
void http_pool_free(struct http_pool **pool);

/* ---- http_stream.c ---- */

/* Makes the response of an answer that has a stream, which is taken over in any case; sets the status to send.  NULL
 * without memory. */
struct MHD_Response *http_stream_response(const struct fb_http_request *request,
                                          struct fb_http_answer *a, struct http_pool *pool,
                                          unsigned *status_r);
/* Where a client of a stream is: bytes that it has confirmed to have. */
struct http_pace {
    int64_t since_ms; /* 0: no stream is being sent */
    uint64_t bytes;
};
void http_pace_begin(struct http_pace *p, int fd, int64_t now_ms);
/* False when the client took less than it has to. */
bool http_pace_is_kept(struct http_pace *p, int fd, int64_t now_ms,
                       const struct fb_http_options *o);

#endif
