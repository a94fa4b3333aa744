/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail of a reply.  From a person to a person: no Auto-Submitted, and none of the original's ids. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mime_write.h"
#include "services/portal/reply.h"

static const char octets[] = "application/octet-stream";

void reply_subject(const char *subject, char out_r[REPLY_MAX_SUBJECT])
{
    bool has_it = strncasecmp(subject, "re:", 3) == 0;
    (void)snprintf(out_r, REPLY_MAX_SUBJECT, "%s%s", has_it ? "" : "Re: ", subject);
    size_t n = strlen(out_r);
    if (n == REPLY_MAX_SUBJECT - 1) { /* cut: between characters */
        while (n > 0 && ((unsigned char)out_r[n - 1] & 0xC0U) == 0x80) {
            n--;
        }
        out_r[n > 0 ? n - 1 : 0] = '\0';
    }
}

/* An address that can stand between < and > of a field of plain ASCII. */
static bool fits_in_field(const char *address)
{
    for (const char *p = address; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("<>", *p) != NULL) {
            return false;
        }
    }
    return address[0] != '\0';
}

/* Control characters of a decoded subject would be a field's end. */
static enum fb_status add_subject(const char *subject, struct fb_buf *out)
{
    char text[REPLY_MAX_SUBJECT];
    reply_subject(subject, text);
    for (char *p = text; *p != '\0'; p++) {
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
    }
    return fb_mime_write_field(out, "Subject", text);
}

static enum fb_status add_head(const struct reply_facts *f, struct fb_buf *out)
{
    char date[48];
    const char *at = strrchr(f->postmaster, '@');
    fb_mime_date(f->at_ms, date);
    enum fb_status s = fb_mime_write_mailbox(out, "From", f->reader, f->postmaster);
    if (s == FB_OK && fits_in_field(f->reader)) {
        s = fb_buf_printf(out, "Reply-To: <%s>\r\n", f->reader);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(out, "To: <%s>\r\n", f->to);
    }
    if (s == FB_OK) {
        s = add_subject(f->subject, out);
    }
    return s == FB_OK ? fb_buf_printf(out,
                                      "Date: %s\r\nMessage-ID: <reply-%s%s>\r\n"
                                      "X-Fumibako-Reply: %s\r\nMIME-Version: 1.0\r\n",
                                      date, f->id, at != NULL ? at : "@localhost", f->msg_id)
                      : s;
}

/* Whoever gets the mail must know how far its From can be believed. */
static enum fb_status add_origin(const struct reply_facts *f, struct fb_buf *out)
{
    static const char *const how_ja[] = {
        [READER_PROOF_LINK] = ("メールボックスの確認は行っていません(リンクを知っている人が"
                               "書いたものです)"),
        [READER_PROOF_CODE] = "メールで届く確認コードで本人のメールボックスを確認済みです",
        [READER_PROOF_TOTP] = "認証アプリの確認コードで本人を確認済みです",
    };
    static const char *const how_en[] = {
        [READER_PROOF_LINK] = "the mailbox was not verified: whoever has the link could write",
        [READER_PROOF_CODE] = "the mailbox was verified with a code sent to it",
        [READER_PROOF_TOTP] = "verified with a code of an authenticator app",
    };
    if (f->is_ja) {
        return fb_buf_printf(
            out,
            "\n\n-- \nこのメールは、保護されたメールの閲覧ページから返信されました。\n"
            "返信者: %s\n確認: %s。\n",
            f->reader, how_ja[f->proof]);
    }
    return fb_buf_printf(out,
                         "\n\n-- \nThis reply was written on the page where the protected mail is "
                         "read.\nBy: %s (%s).\n",
                         f->reader, how_en[f->proof]);
}

static enum fb_status add_text(const struct reply_facts *f, struct fb_buf *out)
{
    struct fb_buf text;
    fb_buf_init(&text, REPLY_MAX_TEXT + 2048);
    enum fb_status s = fb_buf_add_str(&text, f->text);
    if (s == FB_OK) {
        s = add_origin(f, &text);
    }
    if (s == FB_OK) {
        s = fb_mime_write_text(out, "plain", fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return s;
}

/* Mails and multiparts may not be base64 (RFC 2046 5.1, 5.2.1); as a file they are bytes. */
static const char *type_of(const struct multipart_part *file)
{
    bool is_structured = strncasecmp(file->type, "multipart/", 10) == 0 ||
                         strncasecmp(file->type, "message/", 8) == 0;
    return file->type[0] == '\0' || is_structured ? octets : file->type;
}

static enum fb_status add_file(const struct multipart_part *file, struct fb_buf *out)
{
    const char *name = file->file_name[0] != '\0' ? file->file_name : "file";
    enum fb_status s = fb_buf_printf(out, "Content-Type: %s", type_of(file));
    if (s == FB_OK) {
        s = fb_mime_write_parameter(out, "name", name);
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(out, "\r\nContent-Transfer-Encoding: base64\r\n"
                                "Content-Disposition: attachment");
    }
    if (s == FB_OK) {
        s = fb_mime_write_parameter(out, "filename", name);
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(out, "\r\n\r\n");
    }
    return s == FB_OK ? fb_mime_write_base64(out, file->content) : s;
}

enum fb_status reply_compose(const struct reply_facts *f, struct fb_buf *out)
{
    char boundary[48];
    enum fb_status s = add_head(f, out);
    if (f->file_count == 0) {
        return s == FB_OK ? add_text(f, out) : s;
    }
    fb_mime_boundary(boundary);
    if (s == FB_OK) {
        s = fb_buf_printf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n",
                          boundary, boundary);
    }
    if (s == FB_OK) {
        s = add_text(f, out);
    }
    for (size_t i = 0; i < f->file_count && s == FB_OK; i++) {
        s = fb_buf_printf(out, "\r\n--%s\r\n", boundary);
        if (s == FB_OK) {
            s = add_file(f->files[i], out);
        }
    }
    return s == FB_OK ? fb_buf_printf(out, "\r\n--%s--\r\n", boundary) : s;
}
