/* SPDX-License-Identifier: Apache-2.0
 *
 * The content of one outgoing mail as a list of pieces: composed bytes, ranges of the spooled
 * message that are copied as they are, and derived objects in base64.  Streams: memory does not
 * depend on the size of a range or object. */
#ifndef FB_REWRITE_CONTENT_H
#define FB_REWRITE_CONTENT_H

#include "common/spool/spool.h"

enum content_kind { CONTENT_BYTES, CONTENT_RANGE, CONTENT_OBJECT };

struct content_piece {
    enum content_kind kind;
    struct fb_buf bytes;
    uint64_t offset, length;        /* of a range */
    struct fb_spool_object *object; /* written as base64 in lines of 76 characters */
};

struct content {
    struct fb_spool_msg *msg; /* lent */
    struct content_piece *pieces;
    size_t count;
    size_t at;        /* piece being read */
    uint64_t at_byte; /* within it */
    bool has_8bit;    /* an octet above 127 is in it; known once it was signed (compose_sign) */
    struct fb_buf
        encoded; /* base64 lines of the object being read, from byte encoded_at of its piece on */
    uint64_t encoded_at;
    size_t encoded_piece;
};

void content_init(struct content *c, struct fb_spool_msg *msg);
void content_deinit(struct content *c);
/* The buffer at the end of the list (a fresh one behind a range), to append to; lent until the next
 * call. */
struct fb_buf *content_tail(struct content *c);
void content_add_range(struct content *c, uint64_t offset, uint64_t length);
/* A derived object of the message. FB_NOT_FOUND or FB_CORRUPT: render must run again. */
FB_MUST_USE enum fb_status content_add_object(struct content *c, const char *name,
                                              struct fb_error *err);
/* A piece before all others; takes over b's bytes. */
void content_prepend(struct content *c, struct fb_buf *b);
uint64_t content_size(const struct content *c);
void content_rewind(struct content *c);
/* smtp_content.read */
FB_MUST_USE enum fb_status content_read(void *ctx, void *out, size_t len, size_t *read_r,
                                        struct fb_error *err);

#endif
