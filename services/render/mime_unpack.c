/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that hold other files, or the body: winmail.dat, opaque signed S/MIME, uuencoded text.
 */
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/mime_proof.h"
#include "services/render/mime_source.h"
#include "services/render/mime_uu.h"
#include "services/render/mime_walk.h"
#include "services/render/tnef.h"
#include "services/render/charset.h"

#define SIGNED_MAX (20U << 20)

/* ---- winmail.dat ---- */

struct tnef_job {
    struct mime_walk *w;
    struct tnef *tnef;
    EVP_MD_CTX *md;
    char object[32];
    uint64_t size;
    bool is_open;
};

static enum fb_status tnef_begin(void *ctx, struct fb_error *err)
{
    struct tnef_job *j = ctx;
    (void)snprintf(j->object, sizeof j->object, "tnef.%u", ++j->w->tnef_count);
    j->size = 0;
    if (EVP_DigestInit_ex(j->md, EVP_sha1(), NULL) != 1) {
        return fb_error_set(err, FB_BUG, "no SHA-1");
    }
    enum fb_status status = j->w->sink->begin(j->w->sink->ctx, j->object, err);
    j->is_open = status == FB_OK;
    return status;
}

static enum fb_status tnef_take(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct tnef_job *j = ctx;
    j->size += len;
    if (EVP_DigestUpdate(j->md, bytes, len) != 1) {
        return fb_error_set(err, FB_BUG, "SHA-1 failed");
    }
    return j->w->sink->add(j->w->sink->ctx, bytes, len, err);
}

static enum fb_status tnef_finish(void *ctx, const struct tnef_file *file, struct fb_error *err)
{
    struct tnef_job *j = ctx;
    struct fb_part part = {.name = file->name,
                           .type = file->type,
                           .cid = file->cid,
                           .object = j->object,
                           .encoding = FB_ENC_IDENTITY,
                           .size = j->size};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(j->md, part.sha1, &size) != 1) {
        return fb_error_set(err, FB_BUG, "SHA-1 failed");
    }
    enum fb_status status = j->w->sink->commit(j->w->sink->ctx, err);
    j->is_open = false;
    return status == FB_OK ? mime_parts_add_object(j->w, &part) : status;
}

static enum fb_status tnef_feed(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct tnef_job *j = ctx;
    return tnef_add(j->tnef, bytes, len, err);
}

static void drop_parts(struct mime_walk *w, uint32_t count)
{
    while (w->mail->part_count > count) {
        struct fb_part *p = &w->mail->parts[--w->mail->part_count];
        free(p->name);
        free(p->type);
        free(p->cid);
        free(p->object);
        *p = (struct fb_part){0};
    }
}

/* The body of winmail.dat is Outlook's: it is only shown when the mail has no other. */
static enum fb_status take_tnef_body(struct mime_walk *w, const struct tnef *t)
{
    bool is_html = false;
    struct fb_slice body = tnef_get_body(t, &is_html);
    bool has_body = false;
    for (size_t i = 0; i < w->piece_count; i++) {
        has_body = has_body || fb_slice_trim(fb_slice_buf(&w->pieces[i].text)).len > 0;
    }
    if (has_body || fb_slice_trim(body).len == 0 || w->is_listing || body.len > RENDER_BODY_MAX) {
        return FB_OK;
    }
    struct fb_buf text = {0};
    struct mime_piece like = {.is_html = is_html};
    fb_buf_init(&text, 2U * RENDER_BODY_MAX);
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < body.len && status == FB_OK; i++) {
        status = body.ptr[i] == '\r' ? FB_OK : fb_buf_add(&text, body.ptr + i, 1);
    }
    status = status == FB_OK ? mime_walk_add_piece(w, &like, &text, NULL) : status;
    fb_buf_deinit(&text);
    return status;
}

enum fb_status mime_unpack_tnef(struct mime_walk *w, const struct mime_leaf *leaf,
                                bool *is_unpacked_r)
{
    struct tnef_job j = {.w = w, .md = EVP_MD_CTX_new()};
    struct tnef_receiver receiver = {
        .ctx = &j, .begin = tnef_begin, .add = tnef_take, .end = tnef_finish};
    struct fb_error own = {0};
    uint32_t before = w->mail->part_count;
    *is_unpacked_r = false;
    if (j.md == NULL) {
        return fb_error_set(w->err, FB_NO_SPACE, "no memory");
    }
    j.tnef = tnef_new(&receiver);
    enum fb_status status = mime_leaf_stream(leaf, tnef_feed, &j, &own);
    if (status == FB_OK) {
        status = tnef_end(j.tnef, &own);
    }
    if (j.is_open) {
        w->sink->abandon(w->sink->ctx);
    }
    if (status == FB_OK) {
        bool is_html = false;
        bool has_some = w->mail->part_count > before || tnef_get_body(j.tnef, &is_html).len > 0;
        *is_unpacked_r = has_some && !tnef_has_unread(j.tnef);
        status = take_tnef_body(w, j.tnef);
    } else if (status == FB_INVALID || status == FB_TOO_BIG) {
        drop_parts(w, before); /* not what it says: the recipient gets the file as it is */
        status = FB_OK;
    } else {
        status = fb_error_set(w->err, status, "%s", own.text);
    }
    tnef_free(&j.tnef);
    EVP_MD_CTX_free(j.md);
    return status;
}

/* ---- opaque signed S/MIME ---- */

/* Takes the content out of SignedData without judging the signature; FB_INVALID when it is none. */
static enum fb_status signed_content(struct fb_slice der, struct fb_buf *out)
{
    BIO *in = BIO_new_mem_buf(der.ptr, (int)der.len);
    BIO *content = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = in != NULL ? d2i_CMS_bio(in, NULL) : NULL;
    enum fb_status status = FB_INVALID;
    unsigned flags =
        CMS_NO_SIGNER_CERT_VERIFY | CMS_NO_ATTR_VERIFY | CMS_NO_CONTENT_VERIFY | CMS_BINARY;
    if (cms != NULL && content != NULL && OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed &&
        CMS_verify(cms, NULL, NULL, NULL, content, flags) == 1) {
        char *bytes = NULL;
        long len = BIO_get_mem_data(content, &bytes);
        status = len > 0 ? fb_buf_add(out, bytes, (size_t)len) : FB_INVALID;
    }
    CMS_ContentInfo_free(cms);
    BIO_free(content);
    BIO_free(in);
    ERR_clear_error();
    return status;
}

static enum fb_status walk_unpacked(struct mime_walk *w)
{
    struct mime_view view;
    const struct mime_view *outer = w->view;
    GMimeObject *object = NULL;
    w->unpacked_slice = fb_slice_buf(&w->unpacked);
    w->unpacked_source = mime_source_memory(&w->unpacked_slice);
    enum fb_status status = mime_view_open(&w->unpacked_source, false, &view, w->err);
    if (status != FB_OK) {
        return status;
    }
    w->view = &view;
    status = mime_view_parse(&view, &object, w->err);
    if (status == FB_OK) {
        status = mime_walk_object(w, object);
        g_object_unref(object);
    }
    w->view = outer;
    mime_view_close(&view);
    return status;
}

enum fb_status mime_unpack_signed(struct mime_walk *w, const struct mime_leaf *leaf,
                                  bool *is_unpacked_r)
{
    struct fb_buf der = {0};
    struct fb_error own = {0};
    *is_unpacked_r = false;
    if (w->has_unpacked || leaf->length > 2U * SIGNED_MAX) {
        return FB_OK;
    }
    fb_buf_init(&der, SIGNED_MAX);
    fb_buf_init(&w->unpacked, SIGNED_MAX);
    enum fb_status status = mime_leaf_decode(leaf, &der, &own);
    if (status == FB_OK) {
        bool is_signed = mime_proof_cms(fb_slice_buf(&der)) == MIME_CMS_SIGNED;
        status = is_signed ? signed_content(fb_slice_buf(&der), &w->unpacked) : FB_INVALID;
    } else if (status != FB_TOO_BIG) {
        status = fb_error_set(w->err, status, "%s", own.text);
    }
    fb_buf_deinit(&der);
    if (status == FB_OK) {
        w->has_unpacked = true;
        *is_unpacked_r = true;
        return walk_unpacked(w);
    }
    return status == FB_INVALID || status == FB_TOO_BIG ? FB_OK : status;
}

/* ---- uuencode ---- */

enum fb_status mime_unpack_uu(struct mime_walk *w, struct fb_buf *text)
{
    struct mime_uu_block block = {0};
    struct fb_buf rest = {0};
    struct fb_slice s = fb_slice_buf(text);
    size_t from = 0;
    enum fb_status status = FB_OK;
    if (fb_slice_find(s, FB_SLICE_LITERAL("begin ")) == SIZE_MAX) {
        return FB_OK;
    }
    fb_buf_init(&rest, text->len + 1);
    while (status == FB_OK && mime_uu_next(s, from, &block, &status)) {
        struct fb_buf name = {0};
        char object[32];
        (void)snprintf(object, sizeof object, "uu.%u", ++w->uu_count);
        fb_buf_init(&name, block.name.len * 4 + 16);
        status = fb_buf_add_slice(&rest, fb_slice_sub(s, from, block.start - from));
        if (status == FB_OK) {
            status = render_charset_to_utf8(block.name, "utf-8", &name);
        }
        if (status == FB_OK) {
            status = mime_parts_add_bytes(w, object, fb_buf_str(&name), fb_slice_buf(&block.bytes));
        }
        fb_buf_deinit(&name);
        fb_buf_deinit(&block.bytes);
        from = block.end;
    }
    if (status == FB_OK && from > 0) {
        status = fb_buf_add_slice(&rest, fb_slice_sub(s, from, s.len));
    }
    if (status == FB_OK && from > 0) {
        fb_buf_deinit(text);
        *text = rest;
    } else {
        fb_buf_deinit(&rest);
    }
    return status;
}
