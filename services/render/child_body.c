/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child_body.h"

#include <stdlib.h>

#include "common/log.h"
#include "proto/limits.h"
#include "services/render/pdf_archive.h"
#include "services/render/text_paint.h"

void child_body_warm(void)
{
    const struct render_letter letter = {.is_tagged = true};
    const struct render_pdf_archive a = {.is_tagged = true, .mail = FB_SLICE_LITERAL("\r\n")};
    const char *hindrance = NULL;
    struct fb_error err = {0};
    struct fb_buf pdf;
    struct fb_buf out;
    fb_buf_init(&pdf, FB_MAX_OBJECT);
    fb_buf_init(&out, FB_MAX_OBJECT);
    if (render_text_paint(&letter, "A4", &pdf, &err) != FB_OK ||
        render_pdf_archive(fb_slice_buf(&pdf), &a, &out, &hindrance, &err) != FB_OK) {
        fb_log(FB_WARN, "no PDF for archives can be made: %s", err.text);
    }
    fb_buf_deinit(&out);
    fb_buf_deinit(&pdf);
}

static enum fb_status read_mail(struct child_talk *t, struct fb_buf *out, struct fb_error *err)
{
    struct render_source source = child_source(t);
    enum fb_status s = fb_buf_reserve(out, (size_t)source.size);
    while (s == FB_OK && out->len < source.size) {
        size_t n = 0;
        s = source.read(source.ctx, out->len, out->ptr + out->len, (size_t)source.size - out->len,
                        &n, err);
        if (s == FB_OK && n == 0) {
            return fb_error_set(err, FB_IO, "the mail ends before its end");
        }
        out->len += n;
    }
    return s;
}

static enum fb_status mail_of(struct child_talk *t, struct fb_buf *mail, struct fb_error *err)
{
    struct fb_buf whole;
    fb_buf_init(&whole, (size_t)t->start.size + 1);
    enum fb_status s = read_mail(t, &whole, err);
    if (s == FB_OK) {
        s = render_pdf_mail(fb_slice_buf(&whole), mail);
    }
    fb_buf_deinit(&whole);
    return s;
}

static enum fb_status archive(struct child_talk *t, const struct render_letter *letter,
                              struct fb_slice pdf, struct fb_buf *out, const char **note_r,
                              struct fb_error *err)
{
    bool fits = t->start.size <= t->start.mail_max;
    const char *hindrance = NULL;
    struct fb_buf mail;
    fb_buf_init(&mail, (size_t)t->start.mail_max + 1);
    enum fb_status s = fits ? mail_of(t, &mail, err) : FB_OK;
    if (s == FB_OK) {
        const struct render_pdf_archive a = {.title = letter->subject,
                                             .is_japanese = letter->is_japanese,
                                             .is_tagged = letter->is_tagged,
                                             .date_ms = letter->date_ms,
                                             .mail = fb_slice_buf(&mail)};
        s = render_pdf_archive(pdf, &a, out, &hindrance, err);
    }
    *note_r = hindrance != NULL ? hindrance : fits ? NULL : "the mail is too large to be attached";
    fb_buf_deinit(&mail);
    return s;
}

/* What cannot be packed is stored as it came. */
static enum fb_status store_packed(struct child_talk *t, struct fb_slice pdf,
                                   struct render_rpc_stored *stored_r, struct fb_error *err)
{
    struct fb_buf out;
    struct fb_error why = {0};
    fb_buf_init(&out, FB_MAX_OBJECT);
    bool is_packed = render_pdf_pack(pdf, &out, &why) == FB_OK;
    enum fb_status s =
        child_put(t, "body.pdf", is_packed ? fb_slice_buf(&out) : pdf, stored_r, err);
    fb_buf_deinit(&out);
    return s;
}

enum fb_status child_store_body(struct child_talk *t, const struct render_letter *letter,
                                struct fb_slice pdf, const char **note_r,
                                struct render_rpc_stored *stored_r, struct fb_error *err)
{
    if (!t->start.is_archive) {
        return child_put(t, "body.pdf", pdf, stored_r, err);
    }
    struct fb_buf out;
    fb_buf_init(&out, FB_MAX_OBJECT);
    enum fb_status s = archive(t, letter, pdf, &out, note_r, err);
    if (s == FB_OK) {
        s = child_put(t, "body.pdf", fb_slice_buf(&out), stored_r, err);
    }
    fb_buf_deinit(&out);
    return s;
}

enum fb_status child_print_body(struct child_talk *t, const struct render_letter *letter,
                                struct fb_slice html, const char **note_r,
                                struct render_rpc_stored *stored_r, struct fb_error *err)
{
    size_t count = 0;
    struct render_image *images = render_letter_all_images(letter, &count);
    struct fb_buf pdf;
    fb_buf_init(&pdf, FB_MAX_OBJECT);
    bool comes_back = t->start.is_archive || t->start.is_tagged;
    enum fb_status s = comes_back
                           ? child_print_back(t, html, images, count, letter->date_ms, &pdf, err)
                           : child_print(t, html, images, count, letter->date_ms, stored_r, err);
    if (s == FB_OK && t->start.is_archive) {
        s = child_store_body(t, letter, fb_slice_buf(&pdf), note_r, stored_r, err);
    } else if (s == FB_OK && comes_back) {
        s = store_packed(t, fb_slice_buf(&pdf), stored_r, err);
    }
    fb_buf_deinit(&pdf);
    free(images);
    return s;
}
