/* SPDX-License-Identifier: Apache-2.0
 *
 * One leaf of the structure: its fields, its range in the message, its decoded bytes.
 */
#ifndef FB_RENDER_MIME_LEAF_H
#define FB_RENDER_MIME_LEAF_H

#include <gmime/gmime.h>

#include "services/render/mime_source.h"

enum mime_disposition { MIME_UNSAID, MIME_INLINE, MIME_ATTACHMENT };

struct mime_leaf {
    const struct render_source *source; /* what offset and length count in */
    bool is_spooled; /* source is the spooled message itself, not something unpacked */
    char type[128];  /* lower case, "text/plain" by default */
    char smime_type[32];
    char *charset;  /* NULL: not given */
    char *name;     /* decoded and cleaned; NULL: not given, "" : nothing usable */
    char *cid;      /* without < >; NULL */
    char *location; /* Content-Location; NULL */
    enum mime_disposition disposition;
    enum fb_encoding encoding;
    uint64_t offset, length;
    bool is_flowed, is_delsp;
};

/* Reads a leaf (any GMimePart).  FB_NO_SPACE. */
FB_MUST_USE enum fb_status mime_leaf_read(GMimeObject *object, const struct mime_view *view,
                                          struct mime_leaf *leaf_r, struct fb_error *err);
bool mime_leaf_type_is_valid(const char *type);
void mime_leaf_deinit(struct mime_leaf *leaf);

typedef enum fb_status (*mime_leaf_take)(void *ctx, const uint8_t *bytes, size_t len,
                                         struct fb_error *err);
/* Gives the decoded bytes to take, block by block; ends with its first failure. */
FB_MUST_USE enum fb_status mime_leaf_stream(const struct mime_leaf *leaf, mime_leaf_take take,
                                            void *ctx, struct fb_error *err);
/* Adds the decoded bytes to out; FB_TOO_BIG at its maximum. */
FB_MUST_USE enum fb_status mime_leaf_decode(const struct mime_leaf *leaf, struct fb_buf *out,
                                            struct fb_error *err);
/* The first bytes, at most out's maximum. */
FB_MUST_USE enum fb_status mime_leaf_decode_prefix(const struct mime_leaf *leaf, struct fb_buf *out,
                                                   struct fb_error *err);

#endif
