/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what a relay answers, and any bytes as the mail that it gets.  Octet 0: recipients and
 * abilities asked for; octet 1: in what pieces the content comes; then the relay's bytes, one octet
 * 0x1e, and the content.
 *
 * Checked against a model that knows only what went over the wire: every command is one of ours and
 * belongs to one reply; a recipient's code is that of the reply that decided about it; the content
 * came as it was given, with its dots doubled; what must not be sent never got its final dot; and
 * the outcome is unknown only between that dot and its reply.
 */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/rewrite/smtp_client.h"
#include "services/rewrite/smtp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fb_status __wrap_smtp_wire_connect(struct smtp_wire *w, const char *host, uint16_t port,
                                        int timeout_ms, struct fb_error *err);

#define MAX_SENT    (512U << 10)
#define MAX_REPLIES 64
#define MAX_PIECES  100 /* of the content: each send takes its place in the socket, however small */

static struct fb_slice relay;
static int far_end = -1;
static bool is_connected;

/* A relay that has said everything before it was asked, and then reads. */
enum fb_status __wrap_smtp_wire_connect(struct smtp_wire *w, const char *host, uint16_t port,
                                        int timeout_ms, struct fb_error *err)
{
    int pair[2];
    (void)timeout_ms;
    FB_ASSERT(strcmp(host, "mx.example") == 0 && port == 25 && w->fd < 0);
    if (is_connected) {
        return fb_error_set(err, FB_NETWORK, "one connection is enough");
    }
    FB_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    ssize_t n = relay.len > 0 ? send(pair[1], relay.ptr, relay.len, MSG_DONTWAIT) : 0;
    FB_ASSERT(n == (ssize_t)relay.len && shutdown(pair[1], SHUT_WR) == 0);
    is_connected = true;
    far_end = pair[1];
    w->fd = pair[0];
    fb_buf_clear(&w->in);
    w->in_at = 0;
    return FB_OK;
}

/* ---- the content ---- */

struct source {
    struct fb_slice bytes;
    size_t at, piece;
};

static enum fb_status read_source(void *ctx, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    struct source *s = ctx;
    struct fb_slice part = fb_slice_sub(s->bytes, s->at, len < s->piece ? len : s->piece);
    (void)err;
    if (part.len > 0) {
        memcpy(out, part.ptr, part.len);
    }
    s->at += part.len;
    *read_r = part.len;
    return FB_OK;
}

/* Whether it may be sent: nothing but CRLF ends a line, and no NUL. */
static bool is_clean(struct fb_slice c)
{
    for (size_t i = 0; i < c.len; i++) {
        bool is_lf = c.ptr[i] == '\n' && (i == 0 || c.ptr[i - 1] != '\r');
        bool is_cr = c.ptr[i] == '\r' && (i + 1 == c.len || c.ptr[i + 1] != '\n');
        if (is_lf || is_cr || c.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* ---- the model ---- */

struct model {
    int replies[MAX_REPLIES];
    size_t reply_count, next;
    int mail, rcpt[3], data, end; /* 0: not asked, or no reply */
    bool has_end;                 /* the final dot was sent */
    struct fb_buf content;        /* as a server would store it */
};

static void read_replies(struct model *m)
{
    struct fb_slice rest = relay;
    for (size_t lf; m->reply_count < MAX_REPLIES &&
                    (lf = fb_slice_find(rest, FB_SLICE_LITERAL("\n"))) != SIZE_MAX;) {
        struct fb_slice line = fb_slice_trim(fb_slice_sub(rest, 0, lf));
        rest = fb_slice_sub(rest, lf + 1, SIZE_MAX);
        if (line.len < 3 || !isdigit(line.ptr[0]) || !isdigit(line.ptr[1]) ||
            !isdigit(line.ptr[2])) {
            return;
        }
        if (line.len == 3 || line.ptr[3] != '-') {
            m->replies[m->reply_count++] =
                (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + line.ptr[2] - '0';
        }
    }
}

static int take_reply(struct model *m)
{
    return m->next < m->reply_count ? m->replies[m->next++] : 0;
}

/* What a server makes of the bytes behind 354 (RFC 5321 4.5.2); how many of them are the mail. */
static size_t read_content(struct model *m, struct fb_slice in)
{
    for (size_t at = 0; at < in.len;) {
        struct fb_slice rest = fb_slice_sub(in, at, SIZE_MAX);
        size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n"));
        if (end == SIZE_MAX) {
            break; /* cut */
        }
        struct fb_slice line = fb_slice_sub(rest, 0, end + 2);
        at += line.len;
        if (line.len == 3 && line.ptr[0] == '.') {
            m->has_end = true;
            return at;
        }
        line = fb_slice_sub(line, line.ptr[0] == '.' ? 1 : 0, SIZE_MAX);
        FB_ASSERT(fb_buf_add_slice(&m->content, line) == FB_OK);
    }
    return in.len;
}

static void walk(struct model *m, struct fb_slice sent, const struct smtp_recipient *list,
                 size_t count)
{
    size_t asked = 0;
    (void)take_reply(m); /* the greeting */
    while (sent.len > 0) {
        size_t end = fb_slice_find(sent, FB_SLICE_LITERAL("\r\n"));
        FB_ASSERT(end != SIZE_MAX);
        struct fb_slice line = fb_slice_sub(sent, 0, end);
        FB_ASSERT(line.len == 0 || memchr(line.ptr, '\n', line.len) == NULL);
        sent = fb_slice_sub(sent, end + 2, SIZE_MAX);
        int code = take_reply(m);
        if (fb_slice_istarts(line, "MAIL FROM:<")) {
            m->mail = code;
        } else if (fb_slice_istarts(line, "RCPT TO:<")) {
            size_t len = 0;
            for (;; asked++) {
                FB_ASSERT(asked < count);
                len = strlen(list[asked].address);
                if (line.len > len + 9 && line.ptr[len + 9] == '>' &&
                    memcmp(line.ptr + 9, list[asked].address, len) == 0) {
                    break;
                }
            }
            m->rcpt[asked++] = code != 0 ? code : -1;
        } else if (fb_slice_eq(line, FB_SLICE_LITERAL("DATA"))) {
            m->data = code;
            bool is_taken = m->mail / 100 == 2;
            bool has_any = false;
            for (size_t i = 0; i < count; i++) {
                has_any = has_any || m->rcpt[i] / 100 == 2;
            }
            if (code == 354 && (sent.len > 0 || (is_taken && has_any))) {
                sent = fb_slice_sub(sent, read_content(m, sent), SIZE_MAX);
                m->end = m->has_end ? take_reply(m) : 0;
            }
        } else {
            FB_ASSERT(fb_slice_eq(line, FB_SLICE_LITERAL("EHLO fuzz.example")) ||
                      fb_slice_eq(line, FB_SLICE_LITERAL("HELO fuzz.example")) ||
                      fb_slice_eq(line, FB_SLICE_LITERAL("RSET")) ||
                      fb_slice_eq(line, FB_SLICE_LITERAL("QUIT")));
        }
    }
}

static void check_recipient(const struct model *m, size_t i, const struct smtp_recipient *r)
{
    FB_ASSERT(r->code >= 200 && r->code < 600 && memchr(r->reply, '\0', sizeof r->reply) != NULL);
    for (const char *p = r->reply; *p != '\0'; p++) {
        FB_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
    if (m->rcpt[i] == 0) { /* refused by us, or MAIL was */
        FB_ASSERT(r->code == 552 || r->code == 553 || r->code == 554 || r->code == m->mail);
        FB_ASSERT(r->code / 100 != 2);
    } else if (m->mail / 100 != 2) {
        FB_ASSERT(r->code == m->mail);
    } else if (m->rcpt[i] / 100 != 2) {
        FB_ASSERT(r->code == m->rcpt[i]);
    } else {
        FB_ASSERT(r->code == (m->data == 354 ? m->end : m->data));
    }
}

static void check(struct model *m, enum fb_status s, const struct smtp_mail *mail,
                  struct fb_slice content, bool is_unknown)
{
    bool is_any = false;
    for (size_t i = 0; i < mail->recipient_count && s == FB_OK; i++) {
        check_recipient(m, i, &mail->recipients[i]);
        is_any = is_any || mail->recipients[i].code / 100 == 2;
    }
    FB_ASSERT(!is_unknown || (s != FB_OK && m->has_end));
    FB_ASSERT(s != FB_OK || !is_any || m->has_end);
    /* Nobody was accepted, yet 354 came: an empty mail for nobody is the way out. */
    if (m->has_end && m->content.len > 0) {
        FB_ASSERT(is_clean(content));
        struct fb_slice got = fb_slice_buf(&m->content);
        bool has_crlf = content.len >= 2 && content.ptr[content.len - 1] == '\n';
        FB_ASSERT(got.len == content.len + (has_crlf ? 0 : 2));
        FB_ASSERT(content.len == 0 || memcmp(got.ptr, content.ptr, content.len) == 0);
    } else if (is_any) {
        FB_ASSERT(content.len == 0);
    }
}

static void talk(uint8_t flags, size_t piece, struct fb_slice content)
{
    static uint8_t sent[MAX_SENT];
    struct smtp_client *client = NULL;
    struct fb_error err = {0};
    content = fb_slice_sub(content, 0, MAX_PIECES * piece);
    struct source source = {.bytes = content, .piece = piece};
    struct smtp_recipient list[3] = {
        {.address = "hanako@example.com", .notify = "SUCCESS,FAILURE", .orcpt = "rfc822;h@e"},
        {.address = (flags & 4) != 0 ? "\xe8\x8a\xb1@example.com" : "jiro@example.com"},
        {.address = "saburo@example.net"}};
    struct smtp_mail mail = {
        .reverse_path = (flags & 8) != 0 ? "" : "taro@example.jp",
        .dsn_ret = "HDRS",
        .is_8bit = (flags & 16) != 0,
        .is_smtputf8 = (flags & 32) != 0,
        .recipients = list,
        .recipient_count = 1 + (flags & 3) % 3,
        .content = {&source, read_source, (flags & 64) != 0 ? content.len : 0, (flags & 128) != 0}};
    bool is_unknown = false;
    FB_ASSERT(smtp_client_new("smtp://mx.example:25", "fuzz.example", &client, &err) == FB_OK);
    is_connected = false;
    enum fb_status s = smtp_client_send(client, &mail, &is_unknown, &err);
    FB_ASSERT(s == FB_OK || (err.status == s && err.text[0] != '\0'));
    smtp_client_free(&client);
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < sizeof sent;) {
        n = recv(far_end, sent + len, sizeof sent - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
    }
    struct model m = {0};
    fb_buf_init(&m.content, MAX_SENT);
    read_replies(&m);
    walk(&m, fb_slice_of(sent, len), list, mail.recipient_count);
    check(&m, s, &mail, content, is_unknown);
    fb_buf_deinit(&m.content);
    (void)close(far_end);
    far_end = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const uint8_t *mark = size > 2 ? memchr(data + 2, 0x1e, size - 2) : NULL;
    size_t n = mark != NULL ? (size_t)(mark - data) - 2 : size - 2;
    relay = fb_slice_of(data + 2, n);
    talk(data[0], (size_t)data[1] + 1,
         mark != NULL ? fb_slice_of(mark + 1, size - n - 3) : fb_slice_of(data, 0));
    return 0;
}
