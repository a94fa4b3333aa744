/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/compose.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/trace_header.h"

#define CHUNK 65536

/* Reads the header block (with its empty line, if there is one); bounded: render refused longer
 * ones. */
static enum fb_status read_head(struct fb_spool_msg *msg, struct fb_buf *head, uint64_t *body_r,
                                struct fb_error *err)
{
    fb_buf_init(head, FB_MAX_HEADER_BYTES + CHUNK);
    for (;;) {
        size_t n = 0;
        enum fb_status s = fb_buf_reserve(head, CHUNK);
        if (s == FB_OK) {
            s = fb_spool_msg_read(msg, head->len, head->ptr + head->len, CHUNK, &n, err);
        } else {
            s = fb_error_set(err, FB_TOO_BIG, "the header is larger than %u bytes",
                             FB_MAX_HEADER_BYTES);
        }
        if (s != FB_OK) {
            return s;
        }
        head->len += n;
        /* A mail may begin with its empty line: no header at all. */
        bool is_bare = head->len >= 2 && memcmp(head->ptr, "\r\n", 2) == 0;
        size_t end = is_bare ? 0 : fb_slice_find(fb_slice_buf(head), FB_SLICE_LITERAL("\r\n\r\n"));
        if (end != SIZE_MAX) {
            *body_r = is_bare ? 0 : end + 2; /* the body begins with the empty line here */
            head->len = (size_t)*body_r;
            return FB_OK;
        }
        if (n == 0) {
            *body_r = head->len;
            return FB_OK;
        }
    }
}

static bool is_trace_line(struct fb_slice line)
{
    size_t n = strlen(FB_TRACE_HEADER);
    return fb_slice_istarts(line, FB_TRACE_HEADER) && line.len > n &&
           (line.ptr[n] == ':' || line.ptr[n] == ' ' || line.ptr[n] == '\t');
}

/* The fields of the block in ranges, without trace headers and their continuation lines. */
static void add_kept_fields(struct content *out, struct fb_slice head)
{
    size_t from = 0;
    bool is_skipping = false;
    for (size_t at = 0; at < head.len;) {
        struct fb_slice rest = fb_slice_sub(head, at, SIZE_MAX);
        const uint8_t *lf = memchr(rest.ptr, '\n', rest.len);
        size_t n = lf != NULL ? (size_t)(lf - rest.ptr) + 1 : rest.len;
        bool is_continued = rest.ptr[0] == ' ' || rest.ptr[0] == '\t';
        bool skips = is_continued ? is_skipping : is_trace_line(fb_slice_sub(rest, 0, n));
        if (skips && !is_skipping && at > from) {
            content_add_range(out, from, at - from);
        }
        at += n;
        if (skips) {
            from = at;
        }
        is_skipping = skips;
    }
    if (head.len > from) {
        content_add_range(out, from, head.len - from);
    }
}

static bool is_8bit(const uint8_t *bytes, size_t len)
{
    uint8_t all = 0;
    for (size_t i = 0; i < len; i++) {
        all |= bytes[i];
    }
    return all > 0x7f;
}

enum fb_status compose_sign(struct content *c, const char *key, const char *msg_id, uint32_t branch,
                            struct fb_error *err)
{
    static _Thread_local uint8_t chunk[CHUNK];
    struct fb_body_hash hash;
    uint8_t digest[32];
    uint32_t last4 = 0x0D0A; /* an empty first line ends a header block that has no field */
    bool is_body = false;
    struct fb_buf field;
    fb_buf_init(&field, 4096);
    content_rewind(c);
    c->has_8bit = false;
    enum fb_status s = fb_body_hash_init(&hash);
    for (size_t n = 1; s == FB_OK && n > 0;) {
        size_t i = 0;
        s = content_read(c, chunk, sizeof chunk, &n, err);
        c->has_8bit = c->has_8bit || (s == FB_OK && is_8bit(chunk, n));
        while (s == FB_OK && !is_body && i < n) {
            last4 = last4 << 8 | chunk[i++];
            is_body = last4 == 0x0D0A0D0A;
        }
        if (s == FB_OK) {
            s = fb_body_hash_add(&hash, fb_slice_of(chunk + i, n - i));
        }
    }
    enum fb_status end = fb_body_hash_final(&hash, digest);
    s = s == FB_OK ? end : s;
    if (s == FB_OK) {
        s = fb_buf_add_str(&field, FB_TRACE_HEADER ": ");
    }
    if (s == FB_OK) {
        s = fb_trace_header_make(key, msg_id, branch, digest, &field);
        if (s == FB_CONFIG) {
            s = fb_error_set(
                err, FB_CONFIG,
                "rewrite.key is not set: the trace header cannot be signed; set rewrite.key_file");
        }
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(&field, "\r\n");
    }
    if (s == FB_OK) {
        content_prepend(c, &field);
        content_rewind(c);
    }
    fb_buf_deinit(&field);
    return s;
}

enum fb_status compose_pass(struct fb_spool_msg *msg, const char *key, uint32_t branch,
                            struct content *out, struct fb_error *err)
{
    struct fb_buf head;
    uint64_t body = 0;
    enum fb_status s = read_head(msg, &head, &body, err);
    if (s == FB_OK) {
        add_kept_fields(out, fb_slice_buf(&head));
        if (fb_spool_msg_size(msg) > body) {
            content_add_range(out, body, fb_spool_msg_size(msg) - body);
        }
        s = compose_sign(out, key, fb_spool_msg_id(msg), branch, err);
    }
    fb_buf_deinit(&head);
    return s;
}
