/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/parts.h"

#include "common/log.h"
#include "common/logo.h"
#include "common/mime_write.h"

#define MAX_WORDS (24U << 20)

enum fb_status parts_boundary(struct content *out, const char *boundary, bool is_last)
{
    return fb_buf_printf(content_tail(out), is_last ? "--%s--\r\n" : "--%s\r\n", boundary);
}

enum fb_status parts_open(struct content *out, const char *subtype, const char *extra,
                          char boundary[48])
{
    fb_mime_boundary(boundary);
    return fb_buf_printf(content_tail(out),
                         "Content-Type: multipart/%s%s;\r\n boundary=\"%s\"\r\n\r\n", subtype,
                         extra, boundary);
}

struct alternative {
    parts_write_fn *write;
    const void *ctx;
    struct fb_logo logo;
};

static enum fb_status add_words(const struct alternative *a, enum notice_form form,
                                struct content *out)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_WORDS);
    enum fb_status s = a->write(a->ctx, form, a->logo.bytes.len > 0, &text);
    if (s == FB_OK) {
        s = fb_mime_write_text(content_tail(out), form == NOTICE_TEXT ? "plain" : "html",
                               fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return s;
}

static enum fb_status add_logo(const struct fb_logo *logo, struct content *out)
{
    struct fb_buf *to = content_tail(out);
    enum fb_status s = fb_buf_printf(
        to,
        "Content-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: inline; filename=\"%s\"\r\nContent-ID: <" FB_LOGO_CID ">\r\n\r\n",
        logo->type, logo->name, logo->name);
    return s == FB_OK ? fb_mime_write_base64(to, fb_slice_buf(&logo->bytes)) : s;
}

static enum fb_status add_html(const struct alternative *a, struct content *out)
{
    char boundary[48];
    if (a->logo.bytes.len == 0) {
        return add_words(a, NOTICE_HTML, out);
    }
    enum fb_status s = parts_open(out, "related", "; type=\"text/html\"", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_words(a, NOTICE_HTML, out);
    }
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_logo(&a->logo, out);
    }
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}

enum fb_status parts_alternative(struct content *out, const char *logo, parts_write_fn *write,
                                 const void *ctx)
{
    char boundary[48];
    struct alternative a = {.write = write, .ctx = ctx};
    if (logo != NULL && logo[0] != '\0') {
        struct fb_error err = {0};
        if (fb_logo_load(logo, &a.logo, &err) != FB_OK) {
            fb_log(FB_WARN, "the mail goes without its logo: %s", err.text);
        }
    }
    enum fb_status s = parts_open(out, "alternative", "", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_words(&a, NOTICE_TEXT, out);
    }
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_html(&a, out);
    }
    fb_logo_deinit(&a.logo);
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}
