/* SPDX-License-Identifier: Apache-2.0
 *
 * The body out of its pieces, and which files belong to it.
 */
#include "services/render/mime_walk.h"

#include <stdlib.h>
#include <string.h>

#include "services/render/html_entities.h"
#include "services/render/image_size.h"
#include "services/render/html_text.h"

#define CIDS_MAX 4096 /* more than parts can be */
#define LOCATIONS_MAX                                                                              \
    200 /* images that are looked for by Content-Location: each costs a pass over the HTML */

/* All pieces as plain text. */
static enum fb_status build_text(struct mime_walk *w, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    fb_buf_init(out, 3U * RENDER_BODY_MAX);
    for (size_t i = 0; i < w->piece_count && status == FB_OK; i++) {
        struct mime_piece *p = &w->pieces[i];
        struct fb_slice own = fb_slice_buf(p->is_html && p->plain.len > 0 ? &p->plain : &p->text);
        if (out->len > 0 && out->ptr[out->len - 1] != '\n') {
            status = fb_buf_add_char(out, '\n');
        }
        if (status == FB_OK) {
            status = p->is_html && p->plain.len == 0 ? html_text_add(own, out)
                                                     : fb_buf_add_slice(out, own);
        }
        if (status == FB_OK && p->is_html && p->plain.len > 0) {
            status = mime_walk_add_other(w, true, fb_slice_buf(&p->text));
        }
    }
    return status;
}

/* Several pieces, at least one of them HTML: one document.  Readers take repeated <html> and <body>
 * tags as nothing. */
static enum fb_status join_html(struct mime_walk *w, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < w->piece_count && status == FB_OK; i++) {
        struct mime_piece *p = &w->pieces[i];
        struct fb_slice s = fb_slice_buf(&p->text);
        if (fb_slice_trim(s).len == 0) {
            continue;
        }
        status = p->is_html ? fb_buf_add_slice(out, s) : html_text_from_plain(s, out);
        if (status == FB_OK) {
            status = fb_buf_add_str(out, "\n");
        }
        fb_buf_deinit(&p->text);
    }
    return status;
}

static enum fb_status join_plain(struct mime_walk *w, struct fb_buf *out,
                                 struct render_letter *letter)
{
    enum fb_status status = FB_OK;
    letter->is_flowed = w->piece_count > 0;
    letter->is_delsp = w->piece_count > 0 && w->pieces[0].is_delsp;
    for (size_t i = 0; i < w->piece_count && status == FB_OK; i++) {
        struct mime_piece *p = &w->pieces[i];
        /* Texts that were wrapped by different rules are shown with their lines as they are. */
        letter->is_flowed =
            letter->is_flowed && p->is_flowed && p->is_delsp == w->pieces[0].is_delsp;
        if (out->len > 0 && out->ptr[out->len - 1] != '\n') {
            status = fb_buf_add_char(out, '\n');
        }
        if (status == FB_OK) {
            status = fb_buf_add_slice(out, fb_slice_buf(&p->text));
        }
    }
    letter->is_delsp = letter->is_delsp && letter->is_flowed;
    return status;
}

static enum fb_status build_body(struct mime_walk *w)
{
    struct render_letter *letter = &w->mail->letter;
    bool has_html = false;
    for (size_t i = 0; i < w->piece_count; i++) {
        has_html = has_html || (w->pieces[i].is_html &&
                                fb_slice_trim(fb_slice_buf(&w->pieces[i].text)).len > 0);
    }
    letter->is_html = has_html;
    fb_buf_deinit(&letter->body);
    if (w->piece_count == 1 && w->pieces[0].is_html == has_html) {
        letter->body = w->pieces[0].text;
        letter->is_flowed = w->pieces[0].is_flowed;
        letter->is_delsp = w->pieces[0].is_delsp;
        fb_buf_init(&w->pieces[0].text, 0);
        return FB_OK;
    }
    /* Escaping makes a text up to five times as long ("&amp;"). */
    fb_buf_init(&letter->body, 6U * RENDER_BODY_MAX);
    enum fb_status status =
        has_html ? join_html(w, &letter->body) : join_plain(w, &letter->body, letter);
    return status == FB_OK ? FB_OK : fb_error_set(w->err, status, "putting the body together");
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Content-IDs that the HTML names: cid:<id>, percent-encoded (RFC 2392) and with character
 * references. */
static GHashTable *collect_cids(struct fb_slice html)
{
    GHashTable *cids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i + 4 < html.len && g_hash_table_size(cids) < CIDS_MAX; i++) {
        const uint8_t *colon = memchr(html.ptr + i, ':', html.len - i);
        if (colon == NULL) {
            break;
        }
        i = (size_t)(colon - html.ptr);
        if (i < 3 || !fb_slice_istarts(fb_slice_sub(html, i - 3, 3), "cid")) {
            continue;
        }
        char id[1025];
        size_t n = 0;
        size_t at = i + 1;
        while (at < html.len && n + 4 < sizeof id && html.ptr[at] > 0x20 &&
               strchr("\"'<>)", html.ptr[at]) == NULL) {
            struct fb_slice rest = fb_slice_sub(html, at, html.len);
            uint8_t utf8[8];
            size_t len = 0;
            size_t used = rest.ptr[0] == '&' ? html_entity_read(rest, utf8, &len) : 0;
            if (used > 0) {
                memcpy(id + n, utf8, len);
                n += len;
                at += used;
            } else if (rest.ptr[0] == '%' && rest.len > 2 && hex_digit(rest.ptr[1]) >= 0 &&
                       hex_digit(rest.ptr[2]) >= 0) {
                id[n++] = (char)(hex_digit(rest.ptr[1]) << 4 | hex_digit(rest.ptr[2]));
                at += 3;
            } else {
                id[n++] = (char)rest.ptr[0];
                at++;
            }
        }
        id[n] = '\0';
        g_hash_table_add(cids, g_strdup(id));
        i = at - 1; /* each byte is read once, whatever it says */
    }
    return cids;
}

/* Images that came as application/octet-stream are known by their first bytes. */
static const char *image_type(const struct mime_leaf *leaf, struct fb_slice bytes)
{
    static const struct {
        const char *magic;
        size_t len;
        const char *type;
    } magics[] = {{"\x89PNG\r\n\x1A\n", 8, "image/png"},
                  {"\xFF\xD8\xFF", 3, "image/jpeg"},
                  {"GIF8", 4, "image/gif"},
                  {"BM", 2, "image/bmp"}};
    if (strncmp(leaf->type, "image/", 6) == 0) {
        return leaf->type;
    }
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        if (bytes.len > magics[i].len && memcmp(bytes.ptr, magics[i].magic, magics[i].len) == 0) {
            return magics[i].type;
        }
    }
    return NULL;
}

/* Loads a referenced image when it fits; *is_loaded_r false: it stays an attachment. */
static enum fb_status load_image(struct mime_walk *w, uint32_t i, const char *cid, size_t *total,
                                 bool *is_loaded_r)
{
    struct mime_leaf *leaf = &w->leaves[i];
    struct render_letter *letter = &w->mail->letter;
    uint64_t size = w->mail->parts[i].size;
    struct fb_buf bytes = {0};
    *is_loaded_r = false;
    if (size == 0 || size > RENDER_IMAGE_MAX || *total + size > RENDER_IMAGES_MAX) {
        return FB_OK;
    }
    fb_buf_init(&bytes, (size_t)size);
    enum fb_status status = mime_leaf_decode(leaf, &bytes, w->err);
    const char *type = status == FB_OK ? image_type(leaf, fb_slice_buf(&bytes)) : NULL;
    /* A file by another name, or a kind that is not painted: as an image of the body it would stay
     * where attachments are taken out, and be missing where the body becomes a PDF. */
    if (type == NULL || !render_image_is_safe(fb_slice_buf(&bytes))) {
        fb_buf_deinit(&bytes);
        return status;
    }
    void *grown = realloc(letter->images, (letter->image_count + 1) * sizeof *letter->images);
    if (grown == NULL) {
        fb_buf_deinit(&bytes);
        return fb_error_set(w->err, FB_NO_SPACE, "no memory for an image");
    }
    letter->images = grown;
    letter->images[letter->image_count++] =
        (struct render_image){.cid = fb_xstrdup(cid), .type = fb_xstrdup(type), .bytes = bytes};
    *total += (size_t)size;
    *is_loaded_r = true;
    return FB_OK;
}

static enum fb_status find_images(struct mime_walk *w)
{
    struct fb_slice html = fb_slice_buf(&w->mail->letter.body);
    GHashTable *cids = collect_cids(html);
    size_t total = 0;
    unsigned locations = 0;
    enum fb_status status = FB_OK;
    for (uint32_t i = 0; i < w->mail->part_count && status == FB_OK; i++) {
        struct mime_leaf *leaf = &w->leaves[i];
        const char *cid =
            leaf->cid != NULL && g_hash_table_contains(cids, leaf->cid) ? leaf->cid : NULL;
        bool is_image = strncmp(leaf->type, "image/", 6) == 0;
        if (cid == NULL && is_image && leaf->location != NULL && locations < LOCATIONS_MAX) {
            locations++;
            bool is_named = fb_slice_find(html, fb_slice_str(leaf->location)) != SIZE_MAX;
            cid = is_named ? leaf->location : NULL;
        }
        if (cid != NULL) {
            bool is_loaded = false;
            status = load_image(w, i, cid, &total, &is_loaded);
            w->mail->parts[i].is_inline = is_loaded;
        }
    }
    g_hash_table_destroy(cids);
    return status;
}

enum fb_status mime_body_finish(struct mime_walk *w)
{
    enum fb_status status = build_text(w, &w->mail->text);
    if (status != FB_OK) {
        return fb_error_set(w->err, status, "reading the body as text");
    }
    status = build_body(w);
    if (status == FB_OK && w->mail->letter.is_html) {
        w->mail->html = fb_slice_buf(&w->mail->letter.body);
        status = find_images(w);
    }
    return status;
}
