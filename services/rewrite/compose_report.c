/* SPDX-License-Identifier: Apache-2.0
 *
 * A delivery report (RFC 6522, 3464, 3834): words for the sender, the same for machines, and the
 * header of the mail that it is about.  Never the content, whatever RET asked for: a report travels
 * unprotected.  All of it is 7 bit (RFC 6533 3: an address beyond ASCII is written in
 * utf-8-addr-xtext), so that any relay takes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mime_write.h"
#include "proto/limits.h"
#include "services/rewrite/compose.h"

#define MAX_TEXT (8U << 20)

static bool is_ascii(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* ---- words ---- */

struct report_words {
    const char *lead[3], *what_now[3]; /* by enum report_action */
    const char *subject;
};

static const struct report_words ja = {
    .lead = {"お送りになったメールは、次の宛先には届けられませんでした。\n",
             "お送りになったメールは、次の宛先のメールシステムへ引き渡されました。\n"
             "このシステムは配送通知に対応していないため、この先の通知は届きません。\n",
             "お送りになったメールは、次の宛先へまだ届いていません。\n"},
    .what_now = {"これ以上の配送は行われません。宛先を確かめて、もう一度お送りください。\n"
                 "それでも届かない場合は、この通知を添えて管理者へお知らせください。\n",
                 "操作は必要ありません。\n",
                 "配送は自動で繰り返し試みますので、もう一度お送りになる必要はありません。\n"
                 "届けられなかった場合は、あらためてお知らせします。"},
    .subject = "件名",
};
static const struct report_words en = {
    .lead = {"Your mail could not be delivered to these recipients:\n",
             "Your mail was passed on to the mail system of these recipients.  That system does\n"
             "not report on delivery, so no further report will come.\n",
             "Your mail has not been delivered to these recipients yet:\n"},
    .what_now = {"No further attempt will be made.  Please check the addresses and send the mail\n"
                 "again.  If it fails again, show this report to your administrator.\n",
                 "There is nothing to do.\n",
                 "Delivery is tried again by itself: you need not send the mail again.  Should it\n"
                 "not be delivered in the end, you will be told."},
    .subject = "Subject",
};

static enum fb_status add_language(struct fb_buf *text, const struct report_words *w,
                                   const char *subject, const struct report_line *lines,
                                   size_t count)
{
    enum report_action action = lines[0].action;
    enum fb_status s = fb_buf_printf(text, "%s\n", w->lead[action]);
    if (s == FB_OK && subject[0] != '\0') {
        s = fb_buf_printf(text, "%s: %s\n\n", w->subject, subject);
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = fb_buf_printf(text, "  %s\n    %s %s\n", lines[i].address, lines[i].status,
                          lines[i].diagnostic);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(text, "\n%s", w->what_now[action]);
    }
    if (s == FB_OK && action == REPORT_DELAYED) {
        char date[48];
        fb_mime_date(lines[0].retry_until_ms, date);
        s = fb_buf_printf(text, " (%s)\n", date);
    }
    return s;
}

static enum fb_status add_words(struct fb_buf *to, const struct fb_plan *plan,
                                const struct report_line *lines, size_t count)
{
    struct fb_buf text;
    const char *language = plan != NULL ? plan->language : "both";
    const char *subject = plan != NULL ? plan->subject : "";
    bool has_ja = strcmp(language, "en") != 0;
    bool has_en = strcmp(language, "ja") != 0;
    fb_buf_init(&text, MAX_TEXT);
    enum fb_status s = has_ja ? add_language(&text, &ja, subject, lines, count) : FB_OK;
    if (s == FB_OK && has_ja && has_en) {
        s = fb_buf_add_str(&text, "\n----\n\n");
    }
    if (s == FB_OK && has_en) {
        s = add_language(&text, &en, subject, lines, count);
    }
    if (s == FB_OK) {
        s = fb_mime_write_text(to, "plain", fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return s;
}

/* ---- for machines ---- */

/* xtext (RFC 3461 4) as it came in ENVID and ORCPT; what does not decode to printable text is left
 * out. */
static bool decode_xtext(const char *in, char *out, size_t size)
{
    size_t n = 0;
    for (; *in != '\0'; in++) {
        uint8_t c = (uint8_t)*in;
        if (c == '+') {
            char hex[3] = {in[1], in[1] != '\0' ? in[2] : '\0', '\0'};
            if (!fb_unhex(hex, &c, 1)) {
                return false;
            }
            in += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= size) {
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

static uint32_t next_char(const uint8_t **p)
{
    const uint8_t *at = *p;
    int more = *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : *at >= 0xC0 ? 1 : 0;
    uint32_t c = more == 3 ? *at & 0x07U : more == 2 ? *at & 0x0FU : more == 1 ? *at & 0x1FU : *at;
    for (at++; more > 0 && (*at & 0xC0) == 0x80; more--, at++) {
        c = c << 6 | (*at & 0x3FU);
    }
    *p = at;
    return c;
}

/* "rfc822; a@b", or "utf-8; \x{7530}@b" (RFC 6533 3). */
static enum fb_status add_address(struct fb_buf *to, const char *name, const char *address)
{
    bool is_utf8 = !is_ascii(fb_slice_str(address));
    enum fb_status s = fb_buf_printf(to, "%s: %s; ", name, is_utf8 ? "utf-8" : "rfc822");
    for (const uint8_t *p = (const uint8_t *)address; *p != '\0' && s == FB_OK;) {
        uint32_t c = next_char(&p);
        bool is_plain = !is_utf8 || (c > 0x20 && c < 0x7F && c != '+' && c != '=' && c != '\\');
        s = is_plain ? fb_buf_add_char(to, (char)c) : fb_buf_printf(to, "\\x{%X}", (unsigned)c);
    }
    return s == FB_OK ? fb_buf_add_str(to, "\r\n") : s;
}

static enum fb_status add_original(struct fb_buf *to, const char *orcpt)
{
    char value[1024];
    const char *semicolon = strchr(orcpt, ';');
    if (semicolon == NULL || !decode_xtext(semicolon + 1, value, sizeof value) ||
        !is_ascii(fb_slice_str(value))) {
        return FB_OK; /* an optional field: better none than a wrong one */
    }
    return fb_buf_printf(to, "Original-Recipient: %.*s; %.900s\r\n",
                         (int)(semicolon - orcpt < 40 ? semicolon - orcpt : 40), orcpt, value);
}

static enum fb_status add_recipient(struct fb_buf *to, const struct report_line *line)
{
    enum fb_status s = fb_buf_add_str(to, "\r\n");
    if (s == FB_OK && line->orcpt != NULL) {
        s = add_original(to, line->orcpt);
    }
    if (s == FB_OK) {
        s = add_address(to, "Final-Recipient", line->address);
    }
    if (s == FB_OK) {
        static const char *const actions[] = {"failed", "relayed", "delayed"};
        s = fb_buf_printf(to, "Action: %s\r\nStatus: %s\r\n", actions[line->action], line->status);
    }
    if (s == FB_OK && line->diagnostic[0] != '\0') {
        s = fb_buf_printf(to, "Diagnostic-Code: %s; ", line->is_smtp ? "smtp" : "x-fumibako");
        for (size_t i = 0; line->diagnostic[i] != '\0' && i < 400 && s == FB_OK; i++) {
            uint8_t c = (uint8_t)line->diagnostic[i];
            s = fb_buf_add_char(to, c < 0x20 || c >= 0x7f ? '?' : (char)c);
        }
        if (s == FB_OK) {
            s = fb_buf_add_str(to, "\r\n");
        }
    }
    if (s == FB_OK && line->action == REPORT_DELAYED) {
        char date[48];
        fb_mime_date(line->retry_until_ms, date);
        s = fb_buf_printf(to, "Will-Retry-Until: %s\r\n", date);
    }
    return s;
}

static enum fb_status add_status(struct fb_buf *to, const struct fb_envelope *e, const char *mta,
                                 const struct report_line *lines, size_t count)
{
    char date[48];
    char envid[512];
    fb_mime_date(e->received_ms, date);
    enum fb_status s = fb_buf_printf(
        to, "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; %s\r\n", mta);
    if (s == FB_OK && e->dsn_envid != NULL && decode_xtext(e->dsn_envid, envid, sizeof envid) &&
        is_ascii(fb_slice_str(envid))) {
        s = fb_buf_printf(to, "Original-Envelope-Id: %s\r\n", envid);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to, "Arrival-Date: %s\r\n", date);
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = add_recipient(to, &lines[i]);
    }
    return s;
}

/* The header that render prepared; a mail that was never rendered shows only what the envelope
 * says. */
static enum fb_status add_headers(struct fb_spool_msg *msg, const struct fb_plan *plan,
                                  struct fb_buf *to)
{
    struct fb_buf head = {0};
    struct fb_error ignored = {0};
    bool has_head = plan != NULL && plan->head_object != NULL && plan->head_object[0] != '\0' &&
                    fb_spool_object_get(msg, plan->head_object, FB_MAX_HEADER_BYTES * 2, &head,
                                        &ignored) == FB_OK;
    bool is_7bit = !has_head || is_ascii(fb_slice_buf(&head));
    enum fb_status s = fb_buf_printf(
        to, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: %s\r\n\r\n",
        is_7bit ? "7bit" : "quoted-printable"); /* RFC 6522 4 */
    if (s == FB_OK && has_head) {
        s = is_7bit ? fb_buf_add_slice(to, fb_slice_buf(&head))
                    : fb_mime_write_qp(to, fb_slice_buf(&head));
    }
    fb_buf_deinit(&head);
    return s;
}

/* ---- the whole ---- */

static enum fb_status add_top(struct fb_buf *to, const struct fb_envelope *e,
                              const struct fb_plan *plan, const char *msg_id, uint32_t branch,
                              const char *postmaster, enum report_action action,
                              const char *boundary)
{
    static const char *const subjects[][2] = {
        {"配送できませんでした (Undelivered mail)", "Undelivered mail"},
        {"引き渡しのお知らせ (Mail passed on)", "Mail passed on"},
        {"配送が遅れています (Delayed mail)", "Delayed mail"}};
    char date[48];
    bool is_en = plan != NULL && strcmp(plan->language, "en") == 0;
    const char *at = strrchr(postmaster, '@');
    fb_mime_date(fb_now_ms(), date);
    enum fb_status s = fb_mime_write_mailbox(to, "From", "Mail Delivery System", postmaster);
    if (s == FB_OK) {
        s = fb_buf_printf(to,
                          "To: <%s>\r\nDate: %s\r\nMessage-ID: "
                          "<dsn-%s-%u-%.8s%s>\r\nAuto-Submitted: auto-replied\r\n"
                          "MIME-Version: 1.0\r\n",
                          e->reverse_path, date, msg_id, branch, boundary + 6,
                          at != NULL ? at : "@localhost");
    }
    if (s == FB_OK) {
        s = fb_mime_write_field(to, "Subject", subjects[action][is_en]);
    }
    return s == FB_OK ? fb_buf_printf(to,
                                      "Content-Type: multipart/report; "
                                      "report-type=delivery-status;\r\n boundary=\"%s\"\r\n\r\n",
                                      boundary)
                      : s;
}

enum fb_status compose_report(struct fb_spool_msg *msg, const char *key,
                              const struct fb_envelope *e, const struct fb_plan *plan,
                              uint32_t branch, const char *postmaster, const char *mta,
                              const struct report_line *lines, size_t count, struct content *out,
                              struct fb_error *err)
{
    char boundary[48];
    struct fb_buf *to = content_tail(out);
    fb_mime_boundary(boundary);
    enum fb_status s =
        add_top(to, e, plan, fb_spool_msg_id(msg), branch, postmaster, lines[0].action, boundary);
    if (s == FB_OK) {
        s = fb_buf_printf(to, "--%s\r\n", boundary);
    }
    if (s == FB_OK) {
        s = add_words(to, plan, lines, count);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to, "--%s\r\n", boundary);
    }
    if (s == FB_OK) {
        s = add_status(to, e, mta, lines, count);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to, "\r\n--%s\r\n", boundary);
    }
    if (s == FB_OK) {
        s = add_headers(msg, plan, to);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(to, "\r\n--%s--\r\n", boundary);
    }
    if (s != FB_OK) {
        return fb_error_set(err, s, "the delivery report is larger than its limits");
    }
    return compose_sign(out, key, fb_spool_msg_id(msg), branch, err);
}
