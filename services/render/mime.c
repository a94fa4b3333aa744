/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of reading: scan for limits, header block, structure, body, facts.
 */
#include "services/render/mime.h"

#include <openssl/cms.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/carrier.h"
#include "services/render/charset.h"
#include "services/render/facts.h"
#include "services/render/headers.h"
#include "services/render/html_text.h"
#include "services/render/mime_proof.h"
#include "services/render/mime_scan.h"
#include "services/render/mime_source.h"
#include "services/render/mime_walk.h"
#include "services/render/section_steps.h"

static void be_silent(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer data)
{
    (void)domain;
    (void)level;
    (void)text;
    (void)data; /* broken mail is no event; texts of the library quote content */
}

/* Where the leak sanitizer is linked in. */
void __lsan_disable(void) __attribute__((weak)); // NOLINT: the sanitizer's own name
void __lsan_enable(void) __attribute__((weak));  // NOLINT: the sanitizer's own name

/* The library forgets its entry of a type that is registered anew: a few bytes, once in the life of
 * a process. */
static void init_library(void)
{
    if (__lsan_disable != NULL) {
        __lsan_disable();
    }
    g_mime_init();
    if (__lsan_enable != NULL) {
        __lsan_enable();
    }
}

/* OpenSSL reads its configuration and GLib its time zone with the first use: here, and not inside
 * of the sandbox. */
static void warm_up(void)
{
    uint8_t sha1[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    FB_ASSERT(EVP_Digest("", 0, sha1, &size, EVP_sha1(), NULL) == 1);
    CMS_ContentInfo *cms = CMS_ContentInfo_new();
    CMS_ContentInfo_free(cms);
    static const char *const dates[] = {"Tue, 02 Sep 2025 10:00:00 +0900",
                                        "Tue, 02 Sep 2025 10:00:00 JST"};
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        GDateTime *date = g_mime_utils_header_decode_date(dates[i]);
        if (date != NULL) {
            g_date_time_unref(date);
        }
    }
}

void render_mime_init(void)
{
    static bool is_done;
    static const char *const messages[] = {"rfc822", "rfc2822",       "global",
                                           "news",   "external-body", "partial"};
    if (is_done) {
        return;
    }
    init_library();
    (void)g_log_set_default_handler(be_silent, NULL);
    /* An attached message is a file: it is not parsed, and its range is that of its content. */
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        g_mime_object_register_type("message", messages[i], GMIME_TYPE_PART);
    }
    render_charset_init();
    render_sections_init();
    warm_up();
    is_done = true;
}

static void walk_deinit(struct mime_walk *w)
{
    for (size_t i = 0; i < w->piece_count; i++) {
        fb_buf_deinit(&w->pieces[i].text);
        fb_buf_deinit(&w->pieces[i].plain);
    }
    free(w->pieces);
    for (uint32_t i = 0; w->leaves != NULL && i < w->mail->part_count; i++) {
        mime_leaf_deinit(&w->leaves[i]);
    }
    free(w->leaves);
    fb_buf_deinit(&w->unpacked);
}

static enum fb_status read_structure(struct mime_walk *w, const struct fb_envelope *envelope)
{
    GMimeObject *root = NULL;
    enum fb_status status = mime_view_parse(w->view, &root, w->err);
    if (status != FB_OK) {
        return status;
    }
    bool is_null_sender = envelope->reverse_path == NULL || envelope->reverse_path[0] == '\0';
    /* A report goes to one: the sender of what it is about (RFC 3464 2). */
    w->mail->is_delivery_report =
        is_null_sender && envelope->recipient_count <= 1 && mime_proof_report(root);
    status = mime_proof_encrypted(root, w->view, &w->mail->is_encrypted, w->err);
    if (status == FB_OK) {
        status = mime_walk_object(w, root);
    }
    g_object_unref(root);
    return status == FB_OK ? mime_body_finish(w) : status;
}

enum fb_status render_mime_parse(const struct render_source *source, const struct render_sink *sink,
                                 const struct fb_envelope *envelope, struct render_mail *mail_r,
                                 struct fb_error *err)
{
    struct mime_view view;
    struct mime_walk w = {.view = &view, .sink = sink, .mail = mail_r, .err = err};
    *mail_r = (struct render_mail){0};
    render_mime_init();
    enum fb_status status = mime_view_open(source, true, &view, err);
    if (status != FB_OK) {
        return status;
    }
    struct render_field from = {0};
    (void)render_field_find(fb_slice_buf(&view.raw_head), "From", &from);
    render_carrier_look(from.value);
    status = facts_read_head(fb_slice_buf(&view.raw_head), mail_r, err);
    if (status == FB_OK) {
        status = read_structure(&w, envelope);
    }
    if (status == FB_OK) {
        status = facts_finish(envelope, source->size, w.has_japanese_charset, mail_r, err);
    }
    if (status == FB_OK) {
        section_extras_collect(&w);
    }
    walk_deinit(&w);
    mime_view_close(&view);
    if (status != FB_OK) {
        render_mail_deinit(mail_r);
    }
    return status;
}

void render_mail_deinit(struct render_mail *m)
{
    facts_deinit(m);
    section_extras_free(m);
    render_letter_deinit(&m->letter);
    for (uint32_t i = 0; i < m->part_count; i++) {
        free(m->parts[i].name);
        free(m->parts[i].type);
        free(m->parts[i].cid);
        free(m->parts[i].object);
    }
    free(m->parts);
    for (uint32_t i = 0; i < m->visible_count; i++) {
        free(m->visible[i]);
    }
    free(m->visible);
    free(m->subject);
    free(m->raw_subject);
    free(m->message_id);
    free(m->references);
    fb_buf_deinit(&m->text);
    fb_buf_deinit(&m->other_text);
    fb_buf_deinit(&m->all_text);
    fb_buf_deinit(&m->head);
    *m = (struct render_mail){0};
}

enum fb_status render_sink_put(const struct render_sink *sink, const char *name,
                               struct fb_slice bytes, struct fb_error *err)
{
    enum fb_status status = sink->begin(sink->ctx, name, err);
    if (status != FB_OK) {
        return status;
    }
    if (bytes.len > 0) {
        status = sink->add(sink->ctx, bytes.ptr, bytes.len, err);
    }
    if (status == FB_OK) {
        return sink->commit(sink->ctx, err);
    }
    sink->abandon(sink->ctx);
    return status;
}

enum fb_status render_mime_keep_head(const struct render_mail *m, const struct render_sink *sink,
                                     struct fb_error *err)
{
    return render_sink_put(sink, RENDER_OBJECT_HEAD, fb_slice_buf(&m->head), err);
}

enum fb_status render_mime_keep_body(const struct render_mail *m, const struct render_sink *sink,
                                     struct fb_error *err)
{
    struct fb_buf html = {0};
    enum fb_status status =
        render_sink_put(sink, RENDER_OBJECT_KEPT_TEXT, fb_slice_buf(&m->text), err);
    if (status != FB_OK || !m->letter.is_html) {
        return status;
    }
    fb_buf_init(&html, m->letter.body.len + 256);
    status = html_keep(fb_slice_buf(&m->letter.body), &html);
    status = status == FB_OK
                 ? render_sink_put(sink, RENDER_OBJECT_KEPT_HTML, fb_slice_buf(&html), err)
                 : fb_error_set(err, status, "keeping the HTML body");
    fb_buf_deinit(&html);
    return status;
}
