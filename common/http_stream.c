/* SPDX-License-Identifier: Apache-2.0
 *
 * libmicrohttpd asks for the next bytes when a client has taken the last ones, so that a slow client costs a buffer and
 * no thread.  A stream that may wait is read ahead by a job of the pool, one block at a time. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_internal.h"
#include "common/http_range.h"

#define BLOCK       (128U << 10) /* what is read and handed to the kernel at once */
#define RANGE_BYTES 256          /* of a Range header that we look at */

struct sending {
    struct http_job job; /* first: it is found by it */
    struct fb_http_stream stream;
    struct MHD_Connection *connection;
    struct http_pool *pool;
    uint64_t base; /* where the part begins */
    /* Of a stream that may block: what the job has read.  Never touched by two: while the job has it the connection is
     * suspended. */
    uint8_t *block;
    uint64_t at; /* offset of the block */
    ssize_t len; /* as read said; 0 with has_block: the end */
    size_t want;
    bool has_block;
};

static ssize_t say_end(ssize_t n, const struct sending *s)
{
    return n > 0                                         ? n
           : n == 0 && s->stream.size == FB_HTTP_UNKNOWN ? MHD_CONTENT_READER_END_OF_STREAM
                                                         : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void read_block(struct http_job *job)
{
    struct sending *s = (struct sending *)(void *)job;
    s->len = s->stream.read(s->stream.ctx, s->at, s->block, s->want);
    s->has_block = true;
    MHD_resume_connection(s->connection);
}

static ssize_t read_later(struct sending *s, uint64_t offset, char *out, size_t len)
{
    if (s->has_block && s->len <= 0) {
        return say_end(s->len, s);
    }
    if (s->has_block && offset >= s->at && offset - s->at < (uint64_t)s->len) {
        size_t skip = (size_t)(offset - s->at);
        size_t n = (size_t)s->len - skip < len ? (size_t)s->len - skip : len;
        memcpy(out, s->block + skip, n);
        return (ssize_t)n;
    }
    s->at = offset;
    s->want = len < BLOCK ? len : BLOCK;
    s->has_block = false;
    MHD_suspend_connection(s->connection);
    http_pool_add(s->pool, &s->job);
    return 0;
}

static ssize_t on_read(void *ctx, uint64_t position, char *out, size_t len)
{
    struct sending *s = ctx;
    if (s->stream.may_block) {
        return read_later(s, s->base + position, out, len);
    }
    return say_end(s->stream.read(s->stream.ctx, s->base + position, out, len), s);
}

static void on_free(void *ctx)
{
    struct sending *s = ctx;
    if (s->stream.free != NULL) {
        s->stream.free(s->stream.ctx);
    }
    free(s->block);
    free(s);
}

static const char *etag_of(const struct fb_http_answer *a)
{
    for (size_t i = 0; i < a->header_count; i++) {
        if (strcmp(a->headers[i].name, "ETag") == 0) {
            return a->headers[i].value;
        }
    }
    return NULL;
}

/* The part that is asked for; of GET alone (RFC 9110 14.2). */
static enum fb_http_range range_of(const struct fb_http_request *request,
                                   const struct fb_http_answer *a, uint64_t *first, uint64_t *last)
{
    struct fb_buf value; /* lines of one list: RFC 9110 5.3 */
    enum fb_http_range range = FB_HTTP_RANGE_WHOLE;
    if (!a->stream.is_ranged || a->stream.size == FB_HTTP_UNKNOWN || a->status != MHD_HTTP_OK ||
        strcmp(request->method, "GET") != 0 ||
        !fb_http_range_is_fresh(fb_http_header(request, "If-Range"), etag_of(a))) {
        return range;
    }
    fb_buf_init(&value, RANGE_BYTES);
    if (fb_http_header_list(request, "Range", &value) == FB_OK) {
        range = fb_http_range_parse(fb_buf_str(&value), a->stream.size, first, last);
    }
    fb_buf_deinit(&value);
    return range;
}

struct MHD_Response *http_stream_response(const struct fb_http_request *request,
                                          struct fb_http_answer *a, struct http_pool *pool,
                                          unsigned *status_r)
{
    struct sending *s = fb_xcalloc(1, sizeof *s);
    uint64_t size = a->stream.size, first = 0, last = 0;
    enum fb_http_range range = range_of(request, a, &first, &last);
    s->job.run = read_block;
    s->stream = a->stream;
    s->connection = request->connection;
    s->pool = pool;
    a->stream = (struct fb_http_stream){0};
    *status_r = a->status;
    if (s->stream.is_ranged) {
        fb_http_answer_header(a, "Accept-Ranges", "bytes");
    }
    if (range == FB_HTTP_RANGE_NONE) {
        fb_http_answer_header(a, "Content-Range", "bytes */%llu", (unsigned long long)size);
        *status_r = MHD_HTTP_RANGE_NOT_SATISFIABLE;
        on_free(s);
        return MHD_create_response_from_buffer(0, &(char){0}, MHD_RESPMEM_MUST_COPY);
    }
    if (range == FB_HTTP_RANGE_PART) {
        fb_http_answer_header(a, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)first,
                              (unsigned long long)last, (unsigned long long)size);
        *status_r = MHD_HTTP_PARTIAL_CONTENT;
        s->base = first;
        size = last - first + 1;
    }
    if (s->stream.may_block) {
        s->block = fb_alloc_bounded(BLOCK, BLOCK);
    }
    struct MHD_Response *response =
        s->stream.may_block && s->block == NULL
            ? NULL
            : MHD_create_response_from_callback(size == FB_HTTP_UNKNOWN ? MHD_SIZE_UNKNOWN : size,
                                                BLOCK, on_read, s, on_free);
    if (response == NULL) {
        on_free(s);
    }
    return response;
}

/* ---- the pace ---- */

/* What the client's system has confirmed since the connection began.  The kernel's own buffers hold megabytes, so that
 * what was handed to it says little. */
static bool confirmed(int fd, uint64_t *bytes_r)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) {
        return false;
    }
    *bytes_r = info.tcpi_bytes_acked;
    return true;
}

void http_pace_begin(struct http_pace *p, int fd, int64_t now_ms)
{
    p->since_ms = now_ms;
    p->bytes = 0;
    (void)confirmed(fd, &p->bytes);
}

bool http_pace_is_kept(struct http_pace *p, int fd, int64_t now_ms, const struct fb_http_options *o)
{
    int64_t passed_ms = now_ms - p->since_ms;
    uint64_t bytes = 0;
    if (passed_ms < o->pace_ms) {
        return true;
    }
    if (!confirmed(fd, &bytes)) {
        return false;
    }
    bool is_kept = bytes - p->bytes >= o->least_rate * (uint64_t)passed_ms / 1000;
    p->since_ms = now_ms;
    p->bytes = bytes;
    return is_kept;
}
