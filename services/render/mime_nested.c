/* SPDX-License-Identifier: Apache-2.0
 *
 * What conditions must know of attached messages: a mail that is forwarded as an attachment is one
 * file to the recipient, but its text is read and its files are opened there.  Only facts are taken;
 * the file itself is listed and stored as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/mime_source.h"
#include "services/render/mime_walk.h"

#define DECODED_MAX (40U << 20) /* RFC 2046 5.2.1 allows no encoding here; mailers use it */
#define NESTED_MAX  8           /* a message in a message in a message... */

struct range {
    const struct render_source *outer;
    uint64_t offset, length;
};

static enum fb_status range_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                 struct fb_error *err)
{
    const struct range *r = ctx;
    uint64_t left = offset < r->length ? r->length - offset : 0;
    *read_r = 0;
    return left == 0 ? FB_OK
                     : r->outer->read(r->outer->ctx, r->offset + offset, out,
                                      left < len ? (size_t)left : len, read_r, err);
}

bool mime_nested_is_one(const struct mime_leaf *leaf)
{
    return strcmp(leaf->type, "message/rfc822") == 0 || strcmp(leaf->type, "message/global") == 0;
}

/* The name goes from leaf to the fact. */
static enum fb_status add_fact(struct mime_walk *w, struct mime_leaf *leaf)
{
    struct render_mail *m = w->mail;
    if (m->nested_count >= FB_MAX_PARTS) {
        return FB_TOO_BIG;
    }
    void *grown = realloc(m->nested, (m->nested_count + 1) * sizeof *m->nested);
    if (grown == NULL) {
        return FB_NO_SPACE;
    }
    m->nested = grown;
    /* Decoded, base64 is three quarters: not less than what it is. */
    m->nested[m->nested_count++] = (struct fb_policy_attachment_fact){
        .name = leaf->name != NULL ? leaf->name : fb_xstrdup(""),
        .type = fb_xstrdup(leaf->type),
        .size = leaf->encoding == FB_ENC_BASE64 ? leaf->length / 4 * 3 : leaf->length};
    leaf->name = NULL;
    return FB_OK;
}

static enum fb_status add_text(struct mime_walk *w, const struct mime_leaf *leaf)
{
    struct fb_buf text = {0};
    enum fb_status status = mime_walk_text(w, leaf, &text);
    if (status == FB_OK) {
        status = mime_walk_add_other(w, strcmp(leaf->type, "text/plain") != 0, fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return status == FB_TOO_BIG ? FB_OK : status;
}

/* Depth of multiparts is bounded by the scan, that of messages by NESTED_MAX. */
static enum fb_status collect(struct mime_walk *w, GMimeObject *object, bool is_root, int depth)
{
    if (GMIME_IS_MULTIPART(object)) {
        GMimeMultipart *m = (GMimeMultipart *)object;
        enum fb_status status = FB_OK;
        int count = g_mime_multipart_get_count(m);
        for (int i = 0; i < count && status == FB_OK; i++) {
            status = collect(w, g_mime_multipart_get_part(m, i), false, depth);
        }
        return status;
    }
    if (!GMIME_IS_PART(object)) {
        return FB_OK;
    }
    struct mime_leaf leaf = {0};
    enum fb_status status = mime_leaf_read(object, w->view, &leaf, w->err);
    if (status == FB_OK && mime_walk_is_body_text(&leaf, is_root)) {
        status = add_text(w, &leaf);
    } else if (status == FB_OK) {
        status = mime_nested_is_one(&leaf) ? mime_nested_read(w, &leaf, depth + 1) : FB_OK;
        status = status == FB_OK ? add_fact(w, &leaf) : status;
    }
    mime_leaf_deinit(&leaf);
    return status;
}

static enum fb_status read_source(struct mime_walk *w, const struct render_source *source,
                                  int depth)
{
    struct mime_view view;
    const struct mime_view *outer = w->view;
    GMimeObject *object = NULL;
    enum fb_status status = mime_view_open(source, false, &view, w->err);
    if (status != FB_OK) {
        return status;
    }
    w->view = &view;
    status = mime_view_parse(&view, &object, w->err);
    if (status == FB_OK) {
        status = collect(w, object, true, depth);
        g_object_unref(object);
    }
    w->view = outer;
    mime_view_close(&view);
    return status;
}

enum fb_status mime_nested_read(struct mime_walk *w, const struct mime_leaf *leaf, int depth)
{
    struct fb_buf bytes = {0};
    bool had_japanese = w->has_japanese_charset;
    enum fb_status status = FB_OK;
    if (depth >= NESTED_MAX) {
        return FB_OK;
    }
    if (leaf->encoding == FB_ENC_IDENTITY) {
        struct range range = {
            .outer = leaf->source, .offset = leaf->offset, .length = leaf->length};
        struct render_source source = {.ctx = &range, .read = range_read, .size = leaf->length};
        status = read_source(w, &source, depth);
    } else {
        fb_buf_init(&bytes, DECODED_MAX);
        status = mime_leaf_decode(leaf, &bytes, w->err);
        struct fb_slice slice = fb_slice_buf(&bytes);
        struct render_source source = mime_source_memory(&slice);
        status = status == FB_OK ? read_source(w, &source, depth) : status;
    }
    fb_buf_deinit(&bytes);
    w->has_japanese_charset = had_japanese; /* of the letter, not of what is attached to it */
    /* What is no message, or beyond all limits, stays the file that it is. */
    return status == FB_TOO_BIG || status == FB_INVALID ? FB_OK : status;
}
