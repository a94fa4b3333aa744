/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/content.h"

#include <stdlib.h>
#include <string.h>

#include "common/mime_write.h"

#define MAX_COMPOSED (64U << 20) /* notices are kilobytes; kept bodies up to 20 MiB, encoded */
#define LINE_RAW     57          /* bytes in a line of base64 */
#define LINE_TEXT    78          /* their 76 characters and CRLF */
#define WINDOW_LINES 512         /* encoded at a time */

void content_init(struct content *c, struct fb_spool_msg *msg)
{
    *c = (struct content){.msg = msg, .encoded_piece = SIZE_MAX};
    fb_buf_init(&c->encoded, (size_t)LINE_TEXT * WINDOW_LINES);
}

void content_deinit(struct content *c)
{
    for (size_t i = 0; i < c->count; i++) {
        fb_buf_deinit(&c->pieces[i].bytes);
        fb_spool_object_close(&c->pieces[i].object);
    }
    free(c->pieces);
    fb_buf_deinit(&c->encoded);
    *c = (struct content){0};
}

static struct content_piece *grow(struct content *c)
{
    struct content_piece *grown = realloc(c->pieces, (c->count + 1) * sizeof *grown);
    FB_ASSERT(grown != NULL); /* a few thousand pieces at most: parts are limited */
    c->pieces = grown;
    struct content_piece *p = &c->pieces[c->count++];
    *p = (struct content_piece){0};
    fb_buf_init(&p->bytes, MAX_COMPOSED);
    return p;
}

struct fb_buf *content_tail(struct content *c)
{
    if (c->count == 0 || c->pieces[c->count - 1].kind != CONTENT_BYTES) {
        (void)grow(c);
    }
    return &c->pieces[c->count - 1].bytes;
}

void content_add_range(struct content *c, uint64_t offset, uint64_t length)
{
    struct content_piece *p = grow(c);
    p->kind = CONTENT_RANGE;
    p->offset = offset;
    p->length = length;
}

enum fb_status content_add_object(struct content *c, const char *name, struct fb_error *err)
{
    struct fb_spool_object *object = NULL;
    enum fb_status s = fb_spool_object_open(c->msg, name, &object, err);
    if (s == FB_OK) {
        struct content_piece *p = grow(c);
        p->kind = CONTENT_OBJECT;
        p->object = object;
    }
    return s;
}

void content_prepend(struct content *c, struct fb_buf *b)
{
    (void)grow(c);
    memmove(c->pieces + 1, c->pieces, (c->count - 1) * sizeof *c->pieces);
    c->encoded_piece = SIZE_MAX; /* the pieces have new numbers */
    c->pieces[0] = (struct content_piece){.bytes = *b};
    fb_buf_init(b, b->max);
}

static uint64_t encoded_size(uint64_t raw)
{
    uint64_t last = raw % LINE_RAW;
    return raw / LINE_RAW * LINE_TEXT + (last > 0 ? (last + 2) / 3 * 4 + 2 : 0);
}

static uint64_t piece_size(const struct content_piece *p)
{
    switch (p->kind) {
    case CONTENT_RANGE:
        return p->length;
    case CONTENT_OBJECT:
        return encoded_size(fb_spool_object_size(p->object));
    case CONTENT_BYTES:
    default:
        return p->bytes.len;
    }
}

uint64_t content_size(const struct content *c)
{
    uint64_t total = 0;
    for (size_t i = 0; i < c->count; i++) {
        total += piece_size(&c->pieces[i]);
    }
    return total;
}

void content_rewind(struct content *c)
{
    c->at = 0;
    c->at_byte = 0;
}

static enum fb_status read_range(struct content *c, const struct content_piece *p, void *to,
                                 size_t len, size_t *got_r, struct fb_error *err)
{
    enum fb_status s = fb_spool_msg_read(c->msg, p->offset + c->at_byte, to, len, got_r, err);
    if (s == FB_OK && *got_r == 0) {
        s = fb_error_set(err, FB_CORRUPT, "the spooled message ends before the plan says so");
    }
    return s;
}

/* Encodes the lines from the one on that holds at_byte. */
static enum fb_status encode_window(struct content *c, const struct content_piece *p,
                                    struct fb_error *err)
{
    static _Thread_local uint8_t raw[LINE_RAW * WINDOW_LINES];
    uint64_t line = c->at_byte / LINE_TEXT;
    uint64_t from = line * LINE_RAW;
    uint64_t left = fb_spool_object_size(p->object) - from;
    size_t want = left < sizeof raw ? (size_t)left : sizeof raw;
    size_t have = 0;
    enum fb_status s = FB_OK;
    fb_buf_clear(&c->encoded);
    c->encoded_piece = c->at;
    c->encoded_at = line * LINE_TEXT;
    while (have < want && s == FB_OK) {
        size_t got = 0;
        s = fb_spool_object_read(p->object, from + have, raw + have, want - have, &got, err);
        if (s == FB_OK && got == 0) {
            s = fb_error_set(err, FB_CORRUPT, "a derived object ends before its size");
        }
        have += got;
    }
    return s == FB_OK ? fb_mime_write_base64(&c->encoded, fb_slice_of(raw, have)) : s;
}

static enum fb_status read_object(struct content *c, const struct content_piece *p, void *to,
                                  size_t len, size_t *got_r, struct fb_error *err)
{
    bool is_there = c->encoded_piece == c->at && c->at_byte >= c->encoded_at &&
                    c->at_byte < c->encoded_at + c->encoded.len;
    enum fb_status s = is_there ? FB_OK : encode_window(c, p, err);
    if (s == FB_OK) {
        struct fb_slice from =
            fb_slice_sub(fb_slice_buf(&c->encoded), (size_t)(c->at_byte - c->encoded_at), len);
        FB_ASSERT(from.len > 0);
        memcpy(to, from.ptr, from.len);
        *got_r = from.len;
    }
    return s;
}

enum fb_status content_read(void *ctx, void *out, size_t len, size_t *read_r, struct fb_error *err)
{
    struct content *c = ctx;
    uint8_t *to = out;
    size_t done = 0;
    while (done < len && c->at < c->count) {
        const struct content_piece *p = &c->pieces[c->at];
        uint64_t left = piece_size(p) - c->at_byte;
        size_t n = left < len - done ? (size_t)left : len - done;
        enum fb_status s = FB_OK;
        if (n == 0) {
            c->at++;
            c->at_byte = 0;
            continue;
        }
        if (p->kind == CONTENT_RANGE) {
            s = read_range(c, p, to + done, n, &n, err);
        } else if (p->kind == CONTENT_OBJECT) {
            s = read_object(c, p, to + done, n, &n, err);
        } else {
            memcpy(to + done, p->bytes.ptr + c->at_byte, n);
        }
        if (s != FB_OK) {
            return s;
        }
        c->at_byte += n;
        done += n;
    }
    *read_r = done;
    return FB_OK;
}
