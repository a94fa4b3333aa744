/* SPDX-License-Identifier: Apache-2.0
 *
 * Structure of a notice:
 *
 *   body secured                    alternative(text, html)
 *   body secured, attachments not   mixed(alternative(text, html), attachments...)
 *   attachments secured only        alternative(kept text, related(kept html, inline images...))
 * with our block in both
 */
#include <stdlib.h>
#include <string.h>

#include "common/mime_write.h"
#include "proto/limits.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/parts.h"

#define MAX_TEXT (24U << 20)

/* ---- header ---- */

/* "Subject:", "subject :" (RFC 5322 4.5.3) */
static bool is_subject_line(struct fb_slice line)
{
    struct fb_slice rest = fb_slice_sub(line, 7, SIZE_MAX);
    if (!fb_slice_istarts(line, "Subject")) {
        return false;
    }
    while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t')) {
        rest = fb_slice_sub(rest, 1, SIZE_MAX);
    }
    return rest.len > 0 && rest.ptr[0] == ':';
}

/* The prepared header block, with another Subject when a tag was stripped. */
static enum fb_status add_head(struct fb_spool_msg *msg, const struct notice_facts *f,
                               struct content *out, struct fb_error *err)
{
    struct fb_buf head;
    enum fb_status s =
        fb_spool_object_get(msg, f->plan->head_object, FB_MAX_HEADER_BYTES * 2, &head, err);
    if (s != FB_OK) {
        return s;
    }
    struct fb_buf *to = content_tail(out);
    struct fb_slice rest = fb_slice_buf(&head);
    bool is_subject = false;
    while (rest.len > 0 && s == FB_OK) {
        const uint8_t *lf = memchr(rest.ptr, '\n', rest.len);
        size_t n = lf != NULL ? (size_t)(lf - rest.ptr) + 1 : rest.len;
        struct fb_slice line = fb_slice_sub(rest, 0, n);
        bool is_continued = line.ptr[0] == ' ' || line.ptr[0] == '\t';
        if (!is_continued) {
            is_subject = f->branch->subject != NULL && is_subject_line(line);
            if (is_subject) {
                s = fb_mime_write_folded(to, "Subject", f->branch->subject);
            }
        }
        if (!is_subject && s == FB_OK) {
            s = fb_buf_add_slice(to, line);
        }
        rest = fb_slice_sub(rest, n, SIZE_MAX);
    }
    fb_buf_deinit(&head);
    return s == FB_OK ? fb_buf_add_str(to, "MIME-Version: 1.0\r\n") : s;
}

/* ---- leaves ---- */

struct writing {
    const struct notice_facts *f;
    const char *kind;
};

static enum fb_status write_notice(const void *ctx, enum notice_form form, bool has_logo,
                                   struct fb_buf *out)
{
    const struct writing *w = ctx;
    struct notice_facts f = *w->f;
    f.has_logo = has_logo;
    return notice_write(&f, w->kind, form, out);
}

static enum fb_status add_alternative(const struct notice_facts *f, const char *kind,
                                      struct content *out)
{
    const struct writing w = {.f = f, .kind = kind};
    return parts_alternative(out, f->policy->notices.logo, write_notice, &w);
}

static const char *encoding_name(enum fb_encoding encoding)
{
    switch (encoding) {
    case FB_ENC_BASE64:
        return "base64";
    case FB_ENC_QP:
        return "quoted-printable";
    case FB_ENC_UUENCODE:
        return "x-uuencode"; /* as it came; those who sent it can read it */
    case FB_ENC_IDENTITY:
    default:
        return "8bit";
    }
}

/* An attachment or inline image that stays in the mail: its encoded bytes are copied as they came.
 */
static enum fb_status add_part(const struct fb_part *part, struct content *out,
                               struct fb_error *err)
{
    struct fb_buf *to = content_tail(out);
    enum fb_status s = fb_buf_printf(to, "Content-Type: %s", part->type);
    if (s == FB_OK) {
        s = fb_mime_write_parameter(to, "name", part->name);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to, "\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: %s",
                          part->object != NULL ? "base64" : encoding_name(part->encoding),
                          part->is_inline ? "inline" : "attachment");
    }
    if (s == FB_OK) {
        s = fb_mime_write_parameter(to, "filename", part->name);
    }
    if (s == FB_OK && part->cid != NULL) {
        s = fb_buf_printf(to, "\r\nContent-ID: <%s>", part->cid);
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(to, "\r\n\r\n");
    }
    if (s == FB_OK && part->object != NULL) {
        return content_add_object(out, part->object, err);
    }
    if (s == FB_OK) {
        content_add_range(out, part->offset, part->length);
        s = fb_buf_add_str(content_tail(out), "\r\n");
    }
    return s;
}

/* ---- kept body ---- */

static enum fb_status get_kept(struct fb_spool_msg *msg, const char *object, struct fb_buf *out,
                               struct fb_error *err)
{
    if (object[0] == '\0') {
        fb_buf_init(out, MAX_TEXT);
        return FB_OK;
    }
    enum fb_status s = fb_spool_object_get(msg, object, MAX_TEXT, out, err);
    out->max = MAX_TEXT;
    return s;
}

static enum fb_status add_kept_text(struct fb_spool_msg *msg, const struct notice_facts *f,
                                    struct content *out, struct fb_error *err)
{
    struct fb_buf text, kept;
    fb_buf_init(&text, MAX_TEXT);
    enum fb_status s = get_kept(msg, f->plan->kept_text_object, &kept, err);
    if (s == FB_OK) {
        s = notice_write_block(f, NOTICE_TEXT, &text);
    }
    if (s == FB_OK) {
        s = fb_buf_add_slice(&text, fb_slice_buf(&kept));
    }
    if (s == FB_OK) {
        s = fb_mime_write_text(content_tail(out), "plain", fb_slice_buf(&text));
    }
    fb_buf_deinit(&kept);
    fb_buf_deinit(&text);
    return s;
}

static enum fb_status add_kept_html(struct fb_spool_msg *msg, const struct notice_facts *f,
                                    struct content *out, struct fb_error *err)
{
    struct fb_buf html, kept;
    fb_buf_init(&html, MAX_TEXT);
    enum fb_status s = get_kept(msg, f->plan->kept_html_object, &kept, err);
    struct fb_slice all = fb_slice_buf(&kept);
    size_t mark = fb_slice_find(all, FB_SLICE_LITERAL(FB_PLAN_MARK));
    size_t behind = mark == SIZE_MAX ? 0 : mark + sizeof FB_PLAN_MARK - 1;
    if (s == FB_OK && mark != SIZE_MAX) {
        s = fb_buf_add_slice(&html, fb_slice_sub(all, 0, mark));
    }
    if (s == FB_OK) {
        s = notice_write_block(f, NOTICE_HTML, &html);
    }
    if (s == FB_OK) {
        s = fb_buf_add_slice(&html, fb_slice_sub(all, behind, SIZE_MAX));
    }
    if (s == FB_OK) {
        s = fb_mime_write_text(content_tail(out), "html", fb_slice_buf(&html));
    }
    fb_buf_deinit(&kept);
    fb_buf_deinit(&html);
    return s;
}

static enum fb_status add_inline_parts(const struct notice_facts *f, struct content *out,
                                       const char *boundary, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < f->plan->part_count && s == FB_OK; i++) {
        if (f->plan->parts[i].is_inline) {
            s = parts_boundary(out, boundary, false);
            if (s == FB_OK) {
                s = add_part(&f->plan->parts[i], out, err);
            }
        }
    }
    return s;
}

static enum fb_status add_related(struct fb_spool_msg *msg, const struct notice_facts *f,
                                  struct content *out, struct fb_error *err)
{
    char boundary[48];
    enum fb_status s = parts_open(out, "related", "; type=\"text/html\"", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_kept_html(msg, f, out, err);
    }
    if (s == FB_OK) {
        s = add_inline_parts(f, out, boundary, err);
    }
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}

static enum fb_status add_kept_alternative(struct fb_spool_msg *msg, const struct notice_facts *f,
                                           struct content *out, struct fb_error *err)
{
    char boundary[48];
    enum fb_status s = parts_open(out, "alternative", "", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_kept_text(msg, f, out, err);
    }
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_related(msg, f, out, err);
    }
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}

/* Inline files of a body that has no HTML to show them stand behind it. */
static enum fb_status add_kept_mixed(struct fb_spool_msg *msg, const struct notice_facts *f,
                                     struct content *out, struct fb_error *err)
{
    char boundary[48];
    enum fb_status s = parts_open(out, "mixed", "", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_kept_text(msg, f, out, err);
    }
    if (s == FB_OK) {
        s = add_inline_parts(f, out, boundary, err);
    }
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}

static enum fb_status add_kept_body(struct fb_spool_msg *msg, const struct notice_facts *f,
                                    struct content *out, struct fb_error *err)
{
    bool has_inline = false;
    for (uint32_t i = 0; i < f->plan->part_count; i++) {
        has_inline = has_inline || f->plan->parts[i].is_inline;
    }
    if (f->plan->kept_text_object[0] == '\0') {
        return fb_error_set(err, FB_CORRUPT,
                            "the plan has no kept body"); /* it would be lost, not only left out */
    }
    if (f->plan->kept_html_object[0] != '\0') {
        return add_kept_alternative(msg, f, out, err);
    }
    return has_inline ? add_kept_mixed(msg, f, out, err) : add_kept_text(msg, f, out, err);
}

/* ---- the whole ---- */

static bool is_kept_attachment(const struct notice_facts *f, uint32_t part)
{
    if (f->plan->parts[part].is_inline || f->branch->secures_attachments) {
        return false;
    }
    for (uint32_t i = 0; i < f->branch->part_count; i++) {
        if (f->branch->parts[i] == part) {
            return false; /* the body PDF */
        }
    }
    return f->plan->parts[part].object == NULL ||
           strcmp(f->plan->parts[part].object, "body.pdf") != 0;
}

static enum fb_status add_with_attachments(const struct notice_facts *f, struct content *out,
                                           struct fb_error *err)
{
    char boundary[48];
    enum fb_status s = parts_open(out, "mixed", "", boundary);
    if (s == FB_OK) {
        s = parts_boundary(out, boundary, false);
    }
    if (s == FB_OK) {
        s = add_alternative(f, "notice", out);
    }
    for (uint32_t i = 0; i < f->plan->part_count && s == FB_OK; i++) {
        if (is_kept_attachment(f, i)) {
            s = parts_boundary(out, boundary, false);
            if (s == FB_OK) {
                s = add_part(&f->plan->parts[i], out, err);
            }
        }
    }
    return s == FB_OK ? parts_boundary(out, boundary, true) : s;
}

enum fb_status compose_notice(struct fb_spool_msg *msg, const char *key,
                              const struct notice_facts *f, uint32_t branch, struct content *out,
                              struct fb_error *err)
{
    bool has_kept = false;
    for (uint32_t i = 0; i < f->plan->part_count; i++) {
        has_kept = has_kept || is_kept_attachment(f, i);
    }
    enum fb_status s = add_head(msg, f, out, err);
    if (s == FB_OK && !f->branch->secures_body) {
        s = add_kept_body(msg, f, out, err);
    } else if (s == FB_OK) {
        s = has_kept ? add_with_attachments(f, out, err) : add_alternative(f, "notice", out);
    }
    if (s != FB_OK && err->text[0] == '\0') {
        (void)fb_error_set(err, s, "the notice is larger than its limits");
    }
    return s == FB_OK ? compose_sign(out, key, fb_spool_msg_id(msg), branch, err) : s;
}

enum fb_status compose_password(struct fb_spool_msg *msg, const char *key,
                                const struct notice_facts *f, uint32_t branch,
                                const char *postmaster, struct content *out, struct fb_error *err)
{
    char date[48];
    struct fb_buf subject;
    struct fb_buf *to = content_tail(out);
    const char *at = strrchr(postmaster, '@');
    fb_buf_init(&subject, FB_MAX_SUBJECT + 256);
    fb_mime_date(fb_now_ms(), date);
    enum fb_status s = notice_write_password_subject(f, &subject);
    if (s == FB_OK) {
        s = fb_mime_write_mailbox(to, "From", f->policy->notices.organisation, postmaster);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to,
                          "To: <%s>\r\nDate: %s\r\nMessage-ID: <pw-%s-%u%s>\r\n"
                          "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
                          f->recipient, date, fb_spool_msg_id(msg), branch,
                          at != NULL ? at : "@localhost");
    }
    if (s == FB_OK) {
        s = fb_mime_write_field(to, "Subject", fb_buf_str(&subject));
    }
    if (s == FB_OK) {
        s = add_alternative(f, "password", out);
    }
    fb_buf_deinit(&subject);
    if (s != FB_OK) {
        return fb_error_set(err, s, "the password mail is larger than its limits");
    }
    return compose_sign(out, key, fb_spool_msg_id(msg), branch, err);
}
