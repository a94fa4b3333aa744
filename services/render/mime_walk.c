/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure as a mail reader takes it: which texts are the body, which leaves are attachments.
 * Depth is bounded by the scan (FB_MAX_DEPTH), so the recursion is.
 */
#include "services/render/mime_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/render/charset.h"
#include "services/render/html_text.h"
#include "services/render/mime_proof.h"

static bool type_is(GMimeObject *object, const char *type, const char *subtype)
{
    GMimeContentType *t = g_mime_object_get_content_type(object);
    return t != NULL && g_mime_content_type_is_type(t, type, subtype);
}

static void use_lf(struct fb_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] == '\r') {
            /* CRLF to LF; a lone CR (old Macs) is a line end as well */
            if (i + 1 < b->len && b->ptr[i + 1] == '\n') {
                continue;
            }
            b->ptr[n++] = '\n';
        } else {
            b->ptr[n++] = b->ptr[i];
        }
    }
    b->len = n;
    if (b->ptr != NULL) {
        b->ptr[n] = '\0';
    }
}

enum fb_status mime_walk_text(struct mime_walk *w, const struct mime_leaf *leaf, struct fb_buf *out)
{
    struct fb_buf raw = {0};
    struct fb_error ignored = {0};
    char named[64] = "";
    const char *charset = leaf->charset;
    fb_buf_init(&raw, RENDER_BODY_MAX);
    fb_buf_init(out, 3U * RENDER_BODY_MAX + 16);
    enum fb_status status = mime_leaf_decode(leaf, &raw, &ignored);
    if (status != FB_OK && status != FB_TOO_BIG) {
        status = fb_error_set(w->err, status, "%s", ignored.text);
    }
    if (status == FB_OK) {
        bool is_html = strcmp(leaf->type, "text/html") == 0;
        if (is_html && !render_charset_is_known(charset)) {
            html_text_charset(fb_slice_buf(&raw), named, sizeof named);
            charset = named[0] != '\0' ? named : charset;
        }
        w->has_japanese_charset = w->has_japanese_charset || render_charset_is_japanese(charset);
        status = render_charset_to_utf8(fb_slice_buf(&raw), charset, out);
        use_lf(out);
    }
    fb_buf_deinit(&raw);
    if (status == FB_OK && out->len > RENDER_BODY_MAX) {
        status = FB_TOO_BIG;
    }
    if (status != FB_OK) {
        fb_buf_deinit(out);
    }
    return status;
}

enum fb_status mime_walk_add_piece(struct mime_walk *w, const struct mime_piece *like,
                                   struct fb_buf *text, struct fb_buf *plain)
{
    void *grown = realloc(w->pieces, (w->piece_count + 1) * sizeof *w->pieces);
    if (grown == NULL) {
        return fb_error_set(w->err, FB_NO_SPACE, "no memory for the body");
    }
    w->pieces = grown;
    struct mime_piece *p = &w->pieces[w->piece_count++];
    *p = (struct mime_piece){
        .is_html = like->is_html, .is_flowed = like->is_flowed, .is_delsp = like->is_delsp};
    p->text = *text;
    fb_buf_init(text, 0);
    fb_buf_init(&p->plain, 0);
    if (plain != NULL) {
        p->plain = *plain;
        fb_buf_init(plain, 0);
    }
    w->body_bytes += p->text.len + p->plain.len;
    return FB_OK;
}

enum fb_status mime_walk_add_other(struct mime_walk *w, bool is_html, struct fb_slice text)
{
    struct fb_buf plain = {0};
    struct fb_buf *to = &w->mail->other_text;
    enum fb_status status = FB_OK;
    if (to->max == 0) {
        fb_buf_init(to, RENDER_BODY_FACT_MAX);
    }
    fb_buf_init(&plain, 3U * RENDER_BODY_MAX);
    if (is_html) {
        status = html_text_add(text, &plain);
        text = fb_slice_buf(&plain);
    }
    size_t room = to->max - to->len;
    if (status == FB_OK && room > 1) {
        status = fb_buf_add_slice(to, fb_slice_sub(text, 0, room - 1));
    }
    if (status == FB_OK && room > 1) {
        status = fb_buf_add_char(to, '\n');
    }
    fb_buf_deinit(&plain);
    return status == FB_OK ? FB_OK : fb_error_set(w->err, status, "reading an alternative text");
}

static bool is_text_type(const char *type)
{
    return strcmp(type, "text/plain") == 0 || strcmp(type, "text/html") == 0 ||
           strcmp(type, "text/enriched") == 0 || strcmp(type, "text/richtext") == 0 ||
           strcmp(type, "text") == 0;
}

bool mime_walk_is_body_text(const struct mime_leaf *leaf, bool is_root)
{
    if (!is_text_type(leaf->type) || leaf->disposition == MIME_ATTACHMENT) {
        return false;
    }
    return leaf->name == NULL || leaf->name[0] == '\0' || is_root;
}

/* text/enriched (RFC 1896) looks enough like HTML for its text to be read as such. */
static enum fb_status read_enriched(struct mime_walk *w, struct fb_buf *text)
{
    struct fb_buf plain = {0};
    fb_buf_init(&plain, 3U * RENDER_BODY_MAX);
    enum fb_status status = html_text_add(fb_slice_buf(text), &plain);
    if (status != FB_OK) {
        fb_buf_deinit(&plain);
        return fb_error_set(w->err, status, "reading enriched text");
    }
    fb_buf_deinit(text);
    *text = plain;
    return FB_OK;
}

/* Takes a body text; *is_body_r false: too long, to be listed as an attachment. */
static enum fb_status take_text(struct mime_walk *w, const struct mime_leaf *leaf, bool *is_body_r)
{
    struct fb_buf text = {0};
    struct fb_buf plain = {0};
    struct mime_piece like = {.is_html = strcmp(leaf->type, "text/html") == 0,
                              .is_flowed = leaf->is_flowed,
                              .is_delsp = leaf->is_delsp};
    *is_body_r = true;
    enum fb_status status = mime_walk_text(w, leaf, &text);
    if (status == FB_TOO_BIG || (status == FB_OK && w->body_bytes + text.len > RENDER_BODY_MAX)) {
        *is_body_r = false;
        fb_buf_deinit(&text);
        return FB_OK;
    }
    if (status != FB_OK) {
        return status;
    }
    bool is_plain = strcmp(leaf->type, "text/plain") == 0 || strcmp(leaf->type, "text") == 0;
    fb_buf_init(&plain, RENDER_BODY_MAX);
    if (is_plain) {
        status = mime_unpack_uu(w, &text);
    } else if (!like.is_html) {
        status = read_enriched(w, &text);
    } else if (w->hint.len > 0) {
        status = fb_buf_add_slice(&plain, w->hint);
        w->hint = (struct fb_slice){0};
    }
    if (status == FB_OK) {
        status = mime_walk_add_piece(w, &like, &text, &plain);
    }
    fb_buf_deinit(&text);
    fb_buf_deinit(&plain);
    return status;
}

/* A text of an alternative that is not shown. */
static enum fb_status read_other(struct mime_walk *w, const struct mime_leaf *leaf)
{
    struct fb_buf text = {0};
    enum fb_status status = mime_walk_text(w, leaf, &text);
    if (status == FB_OK) {
        bool is_plain = strcmp(leaf->type, "text/plain") == 0 || strcmp(leaf->type, "text") == 0;
        status = mime_walk_add_other(w, !is_plain, fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return status == FB_TOO_BIG ? FB_OK : status;
}

static bool is_tnef(const struct mime_leaf *leaf)
{
    return strcmp(leaf->type, "application/ms-tnef") == 0 ||
           strcmp(leaf->type, "application/vnd.ms-tnef") == 0 ||
           (leaf->name != NULL && strcasecmp(leaf->name, "winmail.dat") == 0);
}

/* A file that is the body in another form: a calendar or an RTF beside the texts, a text that is
 * too long or of another kind, and what could not be unpacked. */
static bool is_body_again(const struct mime_walk *w, const struct mime_leaf *leaf)
{
    bool is_shown = strncmp(leaf->type, "text/", 5) == 0 && leaf->disposition != MIME_ATTACHMENT &&
                    (leaf->name == NULL || leaf->name[0] == '\0');
    return w->is_alternative || is_shown || is_tnef(leaf);
}

static bool is_pkcs7(const struct mime_leaf *leaf)
{
    return strcmp(leaf->type, "application/pkcs7-mime") == 0 ||
           strcmp(leaf->type, "application/x-pkcs7-mime") == 0;
}

static enum fb_status walk_leaf(struct mime_walk *w, GMimeObject *object, bool is_root)
{
    struct mime_leaf leaf = {0};
    bool is_done = false;
    bool holds_body = false;
    enum fb_status status = mime_leaf_read(object, w->view, &leaf, w->err);
    if (status != FB_OK) {
        return status;
    }
    if (mime_walk_is_body_text(&leaf, is_root)) {
        /* In an alternative that was not chosen a text is the same letter again, unless it was too
         * long to look at. */
        is_done = w->is_listing && leaf.length <= RENDER_BODY_MAX;
        holds_body = true;
        if (!w->is_listing) {
            status = take_text(w, &leaf, &is_done);
        } else if (is_done) {
            status = read_other(w, &leaf);
        }
    } else if (is_tnef(&leaf)) {
        status = mime_unpack_tnef(w, &leaf, &is_done);
    } else if (is_pkcs7(&leaf) && !w->is_listing) {
        bool is_unpacked = false;
        status = mime_unpack_signed(w, &leaf, &is_unpacked);
        w->mail->is_body_unreadable = w->mail->is_body_unreadable || (!is_unpacked && is_root);
        holds_body = is_unpacked || is_root;
    } else if (mime_nested_is_one(&leaf)) {
        status = mime_nested_read(w, &leaf, 0);
    }
    bool is_text = mime_walk_is_body_text(&leaf, is_root);
    w->mail->has_unread_text = w->mail->has_unread_text || (is_text && !is_done);
    if (status == FB_OK && !is_done) {
        return mime_parts_add(w, &leaf, holds_body || is_body_again(w, &leaf));
    }
    mime_leaf_deinit(&leaf);
    return status;
}

static enum fb_status walk(struct mime_walk *w, GMimeObject *object, bool is_root);

static enum fb_status walk_all(struct mime_walk *w, GMimeMultipart *m)
{
    enum fb_status status = FB_OK;
    int count = g_mime_multipart_get_count(m);
    for (int i = 0; i < count && status == FB_OK; i++) {
        status = walk(w, g_mime_multipart_get_part(m, i), false);
    }
    return status;
}

/* The root of multipart/related: the part that start= names, else the first (RFC 2387 3.2). */
static int related_root(GMimeMultipart *m)
{
    const char *start = g_mime_object_get_content_type_parameter((GMimeObject *)m, "start");
    int count = g_mime_multipart_get_count(m);
    if (start == NULL) {
        return 0;
    }
    struct fb_slice want = fb_slice_trim(fb_slice_str(start));
    if (want.len >= 2 && want.ptr[0] == '<') {
        want = fb_slice_sub(want, 1, want.len - 2);
    }
    for (int i = 0; i < count; i++) {
        const char *id = g_mime_object_get_content_id(g_mime_multipart_get_part(m, i));
        if (id != NULL && fb_slice_eq_str(want, id)) {
            return i;
        }
    }
    return 0;
}

static enum fb_status walk_related(struct mime_walk *w, GMimeMultipart *m)
{
    int count = g_mime_multipart_get_count(m);
    int root = related_root(m);
    enum fb_status status = count > 0 ? walk(w, g_mime_multipart_get_part(m, root), false) : FB_OK;
    for (int i = 0; i < count && status == FB_OK; i++) {
        if (i != root) {
            status = walk(w, g_mime_multipart_get_part(m, i), false);
        }
    }
    return status;
}

/* Decodes the first text of that type below object (no attachment) into text; FB_NOT_FOUND when
 * there is none. */
static enum fb_status find_text(struct mime_walk *w, GMimeObject *object, const char *type,
                                struct fb_buf *text)
{
    if (GMIME_IS_MULTIPART(object)) {
        GMimeMultipart *m = (GMimeMultipart *)object;
        int count = g_mime_multipart_get_count(m);
        enum fb_status status = FB_NOT_FOUND;
        for (int i = 0; i < count && status == FB_NOT_FOUND; i++) {
            status = find_text(w, g_mime_multipart_get_part(m, i), type, text);
        }
        return status;
    }
    if (!type_is(object, "text", type)) {
        return FB_NOT_FOUND;
    }
    struct mime_leaf leaf = {0};
    enum fb_status status = mime_leaf_read(object, w->view, &leaf, w->err);
    if (status == FB_OK) {
        status =
            mime_walk_is_body_text(&leaf, false) ? mime_walk_text(w, &leaf, text) : FB_NOT_FOUND;
    }
    mime_leaf_deinit(&leaf);
    return status;
}

/* Which child of multipart/alternative a reader shows: the last HTML with something in it, else the
 * last plain text with something in it, else the first child. *plain gets the plain text that
 * stands for the HTML. */
static enum fb_status choose(struct mime_walk *w, GMimeMultipart *m, struct fb_buf *plain,
                             int *chosen_r)
{
    int count = g_mime_multipart_get_count(m);
    int html = -1;
    int text = -1;
    enum fb_status status = FB_OK;
    for (int i = count - 1; i >= 0 && status == FB_OK; i--) {
        struct fb_buf found = {0};
        GMimeObject *child = g_mime_multipart_get_part(m, i);
        if (html < 0) {
            status = find_text(w, child, "html", &found);
            html = status == FB_OK && html_text_has_content(fb_slice_buf(&found)) ? i : html;
            fb_buf_deinit(&found);
        }
        if (html != i && text < 0 &&
            (status == FB_OK || status == FB_NOT_FOUND || status == FB_TOO_BIG)) {
            status = find_text(w, child, "plain", &found);
            if (status == FB_OK && fb_slice_trim(fb_slice_buf(&found)).len > 0) {
                text = i;
                fb_buf_deinit(plain);
                *plain = found;
            } else {
                fb_buf_deinit(&found);
            }
        }
        /* Too long to look at: it is listed as an attachment by the walk. */
        status = status == FB_NOT_FOUND || status == FB_TOO_BIG ? FB_OK : status;
    }
    *chosen_r = html >= 0 ? html : text >= 0 ? text : 0;
    return status;
}

static enum fb_status walk_alternative(struct mime_walk *w, GMimeMultipart *m)
{
    struct fb_buf plain = {0};
    int chosen = 0;
    bool was_listing = w->is_listing;
    struct fb_slice outer_hint = w->hint;
    fb_buf_init(&plain, 0);
    enum fb_status status = w->is_listing ? FB_OK : choose(w, m, &plain, &chosen);
    int count = g_mime_multipart_get_count(m);
    for (int i = 0; i < count && status == FB_OK; i++) {
        w->is_listing = was_listing || i != chosen;
        w->hint = !w->is_listing ? fb_slice_buf(&plain) : (struct fb_slice){0};
        w->is_alternative = true;
        status = walk(w, g_mime_multipart_get_part(m, i), false);
    }
    w->is_listing = was_listing;
    w->is_alternative = false;
    w->hint = outer_hint;
    fb_buf_deinit(&plain);
    return status;
}

static enum fb_status walk(struct mime_walk *w, GMimeObject *object, bool is_root)
{
    if (!GMIME_IS_MULTIPART(object)) {
        return GMIME_IS_PART(object) ? walk_leaf(w, object, is_root) : FB_OK;
    }
    w->is_alternative = false;
    GMimeMultipart *m = (GMimeMultipart *)object;
    if (type_is(object, "multipart", "alternative")) {
        return walk_alternative(w, m);
    }
    if (type_is(object, "multipart", "related")) {
        return walk_related(w, m);
    }
    /* mixed, signed (its signature is a file), encrypted, report, digest, and what we do not know
     * (RFC 2046 5.1.3) */
    return walk_all(w, m);
}

enum fb_status mime_walk_object(struct mime_walk *w, GMimeObject *object)
{
    return walk(w, object, true);
}
