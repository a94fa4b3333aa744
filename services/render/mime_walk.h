/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the MIME half: the state of reading one message, shared by the files that walk the
 * structure (mime_walk.c), list parts (mime_parts.c), unpack (mime_unpack.c) and put the body
 * together (mime_body.c).
 */
#ifndef FB_RENDER_MIME_WALK_H
#define FB_RENDER_MIME_WALK_H

#include "services/render/mime_leaf.h"

/* One text of the body, in the mail's order. */
struct mime_piece {
    bool is_html, is_flowed, is_delsp;
    struct fb_buf text;  /* UTF-8, LF */
    struct fb_buf plain; /* an HTML piece's text/plain alternative; empty when there is none */
};

struct mime_walk {
    const struct mime_view *view; /* of the structure at hand */
    const struct render_sink *sink;
    struct render_mail *mail;
    struct fb_error *err;
    struct mime_piece *pieces;
    size_t piece_count;
    size_t body_bytes;
    struct mime_leaf *leaves; /* one for each of mail->parts; empty for derived ones */
    unsigned object_count, tnef_count, uu_count;
    bool has_japanese_charset;
    bool is_alternative;  /* the leaf at hand stands directly in a multipart/alternative */
    bool is_listing;      /* only attachments are wanted: an alternative that was not chosen */
    struct fb_slice hint; /* text/plain alternative of the HTML that comes next */
    /* The content of an opaque signed message; one level is unpacked. */
    struct fb_buf unpacked;
    struct fb_slice unpacked_slice;
    struct render_source unpacked_source;
    bool has_unpacked;
};

/* mime_walk.c: reads the structure below object into pieces and parts. */
FB_MUST_USE enum fb_status mime_walk_object(struct mime_walk *w, GMimeObject *object);
/* Decodes a text leaf to UTF-8 with LF line ends.  FB_TOO_BIG beyond RENDER_BODY_MAX (*err
 * untouched). */
FB_MUST_USE enum fb_status mime_walk_text(struct mime_walk *w, const struct mime_leaf *leaf,
                                          struct fb_buf *out);
/* Adds a piece; text and plain are taken (emptied). */
FB_MUST_USE enum fb_status mime_walk_add_piece(struct mime_walk *w, const struct mime_piece *like,
                                               struct fb_buf *text, struct fb_buf *plain);

/* Adds a text that is not shown for conditions to see; what is beyond RENDER_BODY_FACT_MAX is left
 * out. */
FB_MUST_USE enum fb_status mime_walk_add_other(struct mime_walk *w, bool is_html,
                                               struct fb_slice text);

/* A text that a reader shows: no attachment by disposition, no file by name. The mail's only leaf
 * (is_root) may have a name. */
bool mime_walk_is_body_text(const struct mime_leaf *leaf, bool is_root);

/* mime_nested.c: takes names, types, sizes and texts out of an attached message, for conditions.
 * depth: 0 for one in the mail itself. */
bool mime_nested_is_one(const struct mime_leaf *leaf);
FB_MUST_USE enum fb_status mime_nested_read(struct mime_walk *w, const struct mime_leaf *leaf,
                                            int depth);

/* mime_parts.c: lists a leaf as a part; takes what it owns (the leaf is empty afterwards, also on
 * failure). */
FB_MUST_USE enum fb_status mime_parts_add(struct mime_walk *w, struct mime_leaf *leaf,
                                          bool holds_body);
/* Lists a derived object that is in the sink already. Strings are copied; NULL name and type are
 * filled in. */
FB_MUST_USE enum fb_status mime_parts_add_object(struct mime_walk *w, const struct fb_part *part);
/* Writes bytes as a derived object and lists it. */
FB_MUST_USE enum fb_status mime_parts_add_bytes(struct mime_walk *w, const char *object,
                                                const char *name, struct fb_slice bytes);

/* mime_unpack.c: winmail.dat; *is_unpacked_r false: list the file itself. */
FB_MUST_USE enum fb_status mime_unpack_tnef(struct mime_walk *w, const struct mime_leaf *leaf,
                                            bool *is_unpacked_r);
/* Opaque signed S/MIME (RFC 8551 3.5.2): reads the signed content as if it were in place; the file
 * is listed too. */
FB_MUST_USE enum fb_status mime_unpack_signed(struct mime_walk *w, const struct mime_leaf *leaf,
                                              bool *is_unpacked_r);
/* Takes uuencoded files out of a text, listing them. */
FB_MUST_USE enum fb_status mime_unpack_uu(struct mime_walk *w, struct fb_buf *text);

/* mime_body.c: pieces to the letter's body and its plain version; finds and loads the images of the
 * body. */
FB_MUST_USE enum fb_status mime_body_finish(struct mime_walk *w);

#endif
