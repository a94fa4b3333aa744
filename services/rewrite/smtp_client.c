/* SPDX-License-Identifier: Apache-2.0
 *
 * MAIL, RCPT and DATA go out together where the relay offers PIPELINING; replies are read in order.
 * Envelopes of many recipients go in groups: a relay that waits for its replies to be read does not
 * read, and both would wait (RFC 2920 3.1).
 */
#include "services/rewrite/smtp_client.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "services/rewrite/smtp_stuff.h"
#include "services/rewrite/smtp_wire.h"

/* RFC 5321 4.5.3.2 asks for at least these from a client. */
#define CONNECT_MS  30000
#define GREETING_MS 300000
#define COMMAND_MS  300000
#define DATA_MS     120000
#define BLOCK_MS    180000
#define END_MS      600000
#define QUIT_MS     2000
#define CHUNK       65536
#define GROUP       50 /* recipients; their replies fit any socket's buffer */

struct smtp_client {
    char host[256];
    uint16_t port;
    char *helo;
    int cap_ms;
    struct smtp_wire wire;
    bool has_pipelining, has_8bit, has_utf8, has_dsn, has_size;
    uint64_t max_size;
    struct fb_buf out;
};

enum fb_status smtp_client_new(const char *relay, const char *helo, struct smtp_client **client_r,
                               struct fb_error *err)
{
    struct smtp_client *c = fb_xcalloc(1, sizeof *c);
    if (strncmp(relay, "smtp://", 7) != 0 ||
        !fb_host_port(relay + 7, c->host, sizeof c->host, &c->port) || c->host[0] == '\0' ||
        c->port == 0) {
        free(c);
        return fb_error_set(err, FB_CONFIG, "rewrite.relay: \"%s\" is not smtp://host:port", relay);
    }
    c->helo = fb_xstrdup(helo);
    c->cap_ms = INT_MAX;
    smtp_wire_init(&c->wire);
    fb_buf_init(&c->out, 64U << 20);
    *client_r = c;
    return FB_OK;
}

void smtp_client_cap_waits(struct smtp_client *c, int max_ms)
{
    c->cap_ms = max_ms;
}

static int wait_ms(const struct smtp_client *c, int ms)
{
    return ms < c->cap_ms ? ms : c->cap_ms;
}

static void drop(struct smtp_client *c)
{
    smtp_wire_close(&c->wire);
    smtp_wire_init(&c->wire);
}

void smtp_client_free(struct smtp_client **client)
{
    struct smtp_client *c = *client;
    if (c == NULL) {
        return;
    }
    struct smtp_reply r;
    if (smtp_wire_is_idle(&c->wire) &&
        smtp_wire_send(&c->wire, FB_SLICE_LITERAL("QUIT\r\n"), QUIT_MS, NULL) == FB_OK &&
        smtp_wire_reply(&c->wire, QUIT_MS, &r, NULL, NULL, NULL) != FB_OK) {
        r.code = 0; /* we leave anyway */
    }
    smtp_wire_close(&c->wire);
    fb_buf_deinit(&c->out);
    free(c->helo);
    free(c);
    *client = NULL;
}

/* Sends what was gathered in c->out. */
static enum fb_status flush(struct smtp_client *c, int ms, struct fb_error *err)
{
    enum fb_status s = smtp_wire_send(&c->wire, fb_slice_buf(&c->out), wait_ms(c, ms), err);
    fb_buf_clear(&c->out);
    return s;
}

static enum fb_status read_reply(struct smtp_client *c, int ms, struct smtp_reply *reply_r,
                                 struct fb_error *err)
{
    return smtp_wire_reply(&c->wire, wait_ms(c, ms), reply_r, NULL, NULL, err);
}

/* The replies of MAIL, RCPT and the final dot are yes, not now or no. */
static enum fb_status read_verdict(struct smtp_client *c, int ms, const char *what,
                                   struct smtp_reply *reply_r, struct fb_error *err)
{
    enum fb_status s = read_reply(c, ms, reply_r, err);
    if (s == FB_OK && reply_r->code / 100 == 3) {
        s = fb_error_set(err, FB_NETWORK, "the relay answers %d to %s", reply_r->code, what);
    }
    return s;
}

/* ---- greeting ---- */

struct ehlo {
    struct smtp_client *c;
    int line;
};

static void take_size(struct smtp_client *c, struct fb_slice value)
{
    char number[32] = "";
    c->has_size = true;
    if (value.len < sizeof number) {
        memcpy(number, value.ptr, value.len);
        c->max_size = strtoull(number, NULL, 10);
    }
}

static void take_extension(void *ctx, struct fb_slice text)
{
    struct ehlo *e = ctx;
    struct smtp_client *c = e->c;
    if (e->line++ == 0) {
        return; /* the relay's name, whatever it looks like */
    }
    const uint8_t *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    struct fb_slice word =
        fb_slice_sub(text, 0, blank != NULL ? (size_t)(blank - text.ptr) : text.len);
    if (fb_slice_ieq_str(word, "PIPELINING")) {
        c->has_pipelining = true;
    } else if (fb_slice_ieq_str(word, "8BITMIME")) {
        c->has_8bit = true;
    } else if (fb_slice_ieq_str(word, "SMTPUTF8")) {
        c->has_utf8 = true;
    } else if (fb_slice_ieq_str(word, "DSN")) {
        c->has_dsn = true;
    } else if (fb_slice_ieq_str(word, "SIZE")) {
        take_size(c, fb_slice_trim(fb_slice_sub(text, word.len, SIZE_MAX)));
    }
}

static enum fb_status say_hello(struct smtp_client *c, const char *verb, struct smtp_reply *r,
                                struct fb_error *err)
{
    struct ehlo e = {.c = c};
    fb_buf_clear(&c->out);
    enum fb_status s = fb_buf_printf(&c->out, "%s %.255s\r\n", verb, c->helo);
    if (s == FB_OK) {
        s = flush(c, COMMAND_MS, err);
    }
    return s == FB_OK
               ? smtp_wire_reply(&c->wire, wait_ms(c, COMMAND_MS), r, take_extension, &e, err)
               : s;
}

static enum fb_status greet(struct smtp_client *c, struct fb_error *err)
{
    struct smtp_reply r = {0};
    c->has_pipelining = c->has_8bit = c->has_utf8 = c->has_dsn = c->has_size = false;
    c->max_size = 0;
    enum fb_status s = smtp_wire_connect(&c->wire, c->host, c->port, wait_ms(c, CONNECT_MS), err);
    if (s == FB_OK) {
        s = read_reply(c, GREETING_MS, &r, err);
    }
    if (s == FB_OK && r.code != 220) {
        s = fb_error_set(err, FB_NETWORK, "the relay's greeting: %d %s", r.code, r.text);
    }
    if (s == FB_OK) {
        s = say_hello(c, "EHLO", &r, err);
    }
    if (s == FB_OK && r.code / 100 == 5) { /* a relay from before 1993 (RFC 5321 3.2) */
        c->has_pipelining = c->has_8bit = c->has_utf8 = c->has_dsn = c->has_size = false;
        s = say_hello(c, "HELO", &r, err);
    }
    if (s == FB_OK && r.code != 250) {
        s = fb_error_set(err, FB_NETWORK, "the relay refuses EHLO: %d %s", r.code, r.text);
    }
    if (s != FB_OK) {
        drop(c);
    }
    return s;
}

/* ---- what the relay cannot take ---- */

static void answer(struct smtp_recipient *r, int code, const char *enhanced, const char *text)
{
    r->code = code;
    (void)snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
    (void)snprintf(r->reply, sizeof r->reply, "%s", text);
}

static void take_answer(struct smtp_recipient *r, const struct smtp_reply *reply)
{
    answer(r, reply->code, reply->enhanced, reply->text);
}

/* Everybody who has no answer yet. */
static void answer_open(struct smtp_mail *m, int code, const char *enhanced, const char *text)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].code == 0) {
            answer(&m->recipients[i], code, enhanced, text);
        }
    }
}

static bool is_ascii(const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        if ((unsigned char)*s >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Told before anything is sent: RFC 6531 3.2, RFC 6152 3, RFC 1870 6.1 leave only "refuse" where
 * there is no way to convert, and to convert would change the bytes that others have signed. */
static void check_abilities(const struct smtp_client *c, struct smtp_mail *m)
{
    bool has_utf8 =
        c->has_utf8 && c->has_8bit; /* SMTPUTF8 without 8BITMIME is no SMTPUTF8 (RFC 6531 3.1) */
    for (size_t i = 0; i < m->recipient_count; i++) {
        struct smtp_recipient *r = &m->recipients[i];
        r->code = 0;
        if (!has_utf8 && (!is_ascii(r->address) || !is_ascii(r->orcpt))) {
            answer(r, 553, "5.6.7",
                   "the relay offers no SMTPUTF8 (RFC 6531), which this address needs");
        }
    }
    if (!has_utf8 && !is_ascii(m->reverse_path)) {
        answer_open(m, 553, "5.6.7",
                    "the relay offers no SMTPUTF8 (RFC 6531), which the sender's address needs");
    } else if (!has_utf8 && m->is_smtputf8 && m->content.has_8bit) {
        answer_open(m, 554, "5.6.9",
                    "the relay offers no SMTPUTF8 (RFC 6531), which this mail needs");
    } else if (!c->has_8bit && m->content.has_8bit) {
        answer_open(m, 554, "5.6.3",
                    "the relay offers no 8BITMIME (RFC 6152), which this mail needs");
    } else if (c->max_size > 0 && m->content.size > c->max_size) {
        answer_open(m, 552, "5.3.4", "the mail is larger than the relay takes");
    }
}

/* ---- the envelope ---- */

static enum fb_status add_mail_command(struct smtp_client *c, const struct smtp_mail *m)
{
    enum fb_status s = fb_buf_printf(&c->out, "MAIL FROM:<%s>", m->reverse_path);
    if (s == FB_OK && c->has_size && m->content.size > 0) {
        s = fb_buf_printf(&c->out, " SIZE=%llu", (unsigned long long)m->content.size);
    }
    if (s == FB_OK && c->has_8bit && (m->is_8bit || m->content.has_8bit)) {
        s = fb_buf_add_str(&c->out, " BODY=8BITMIME");
    }
    bool needs_utf8 = m->is_smtputf8 || !is_ascii(m->reverse_path);
    for (size_t i = 0; i < m->recipient_count && !needs_utf8; i++) {
        needs_utf8 = !is_ascii(m->recipients[i].address) || !is_ascii(m->recipients[i].orcpt);
    }
    if (s == FB_OK && needs_utf8 && c->has_utf8 && c->has_8bit) {
        s = fb_buf_add_str(&c->out, " SMTPUTF8");
    }
    if (s == FB_OK && c->has_dsn && m->dsn_ret != NULL) {
        s = fb_buf_printf(&c->out, " RET=%s", m->dsn_ret);
    }
    if (s == FB_OK && c->has_dsn && m->dsn_envid != NULL) {
        s = fb_buf_printf(&c->out, " ENVID=%s", m->dsn_envid);
    }
    return s == FB_OK ? fb_buf_add_str(&c->out, "\r\n") : s;
}

static enum fb_status add_rcpt_command(struct smtp_client *c, const struct smtp_recipient *r)
{
    enum fb_status s = fb_buf_printf(&c->out, "RCPT TO:<%s>", r->address);
    if (s == FB_OK && c->has_dsn && r->notify != NULL) {
        s = fb_buf_printf(&c->out, " NOTIFY=%s", r->notify);
    }
    if (s == FB_OK && c->has_dsn && r->orcpt != NULL) {
        s = fb_buf_printf(&c->out, " ORCPT=%s", r->orcpt);
    }
    return s == FB_OK ? fb_buf_add_str(&c->out, "\r\n") : s;
}

/* One transaction's state. */
struct dialogue {
    struct smtp_recipient **asked; /* those that are not answered yet, lent */
    size_t count;
    bool is_mail_read, is_mail_taken;
    struct smtp_reply mail;
    struct smtp_reply data; /* code 0: DATA was not sent */
    size_t accepted;
};

static enum fb_status read_mail_reply(struct smtp_client *c, struct dialogue *d,
                                      struct fb_error *err)
{
    enum fb_status s = read_verdict(c, COMMAND_MS, "MAIL", &d->mail, err);
    d->is_mail_read = s == FB_OK;
    d->is_mail_taken = s == FB_OK && d->mail.code / 100 == 2;
    return s;
}

/* RCPT for asked[from..from+n), with DATA behind the last ones where that may be pipelined. */
static enum fb_status ask_group(struct smtp_client *c, struct dialogue *d, size_t from, size_t n,
                                struct fb_error *err)
{
    struct smtp_reply reply = {0};
    bool has_data = c->has_pipelining && from + n == d->count;
    enum fb_status s = FB_OK;
    for (size_t i = from; i < from + n && s == FB_OK; i++) {
        s = add_rcpt_command(c, d->asked[i]);
    }
    if (s == FB_OK && has_data) {
        s = fb_buf_add_str(&c->out, "DATA\r\n");
    }
    if (s == FB_OK) {
        s = flush(c, COMMAND_MS, err);
    }
    if (s == FB_OK && !d->is_mail_read) {
        s = read_mail_reply(c, d, err);
    }
    for (size_t i = from; i < from + n && s == FB_OK; i++) {
        s = read_verdict(c, COMMAND_MS, "RCPT", &reply, err);
        if (s == FB_OK) {
            take_answer(d->asked[i], d->is_mail_taken ? &reply : &d->mail);
            d->accepted += d->asked[i]->code / 100 == 2;
        }
    }
    if (s == FB_OK && has_data) {
        s = read_reply(c, DATA_MS, &d->data, err);
    }
    return s;
}

/* 354, or a refusal that is everybody's. */
static enum fb_status judge_data(struct dialogue *d, struct fb_error *err)
{
    if (d->accepted == 0 || d->data.code == 354) {
        return FB_OK;
    }
    if (d->data.code / 100 != 4 && d->data.code / 100 != 5) {
        return fb_error_set(err, FB_NETWORK, "the relay answers %d to DATA", d->data.code);
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->asked[i]->code / 100 == 2) {
            take_answer(d->asked[i], &d->data);
        }
    }
    d->accepted = 0;
    return FB_OK;
}

static enum fb_status send_envelope(struct smtp_client *c, struct smtp_mail *m, struct dialogue *d,
                                    struct fb_error *err)
{
    fb_buf_clear(&c->out);
    enum fb_status s = add_mail_command(c, m);
    if (s == FB_OK && !c->has_pipelining) {
        s = flush(c, COMMAND_MS, err);
        if (s == FB_OK) {
            s = read_mail_reply(c, d, err);
        }
    }
    for (size_t at = 0; at < d->count && s == FB_OK && (!d->is_mail_read || d->is_mail_taken);) {
        size_t left = d->count - at;
        size_t most = c->has_pipelining ? GROUP : 1;
        size_t n = left < most ? left : most;
        s = ask_group(c, d, at, n, err);
        at += n;
    }
    if (s == FB_OK && !d->is_mail_taken) {
        answer_open(m, d->mail.code, d->mail.enhanced, d->mail.text);
    }
    if (s == FB_OK && !c->has_pipelining && d->accepted > 0) {
        s = fb_buf_add_str(&c->out, "DATA\r\n");
        if (s == FB_OK) {
            s = flush(c, DATA_MS, err);
        }
        if (s == FB_OK) {
            s = read_reply(c, DATA_MS, &d->data, err);
        }
    }
    return s == FB_OK ? judge_data(d, err) : s;
}

/* ---- the content ---- */

static enum fb_status send_content(struct smtp_client *c, struct smtp_mail *m,
                                   struct smtp_stuff *stuff, struct fb_error *err)
{
    static _Thread_local uint8_t chunk[CHUNK];
    for (;;) {
        size_t n = 0;
        enum fb_status s = m->content.read(m->content.ctx, chunk, sizeof chunk, &n, err);
        if (s != FB_OK || n == 0) {
            return s;
        }
        fb_buf_clear(&c->out);
        s = smtp_stuff_add(stuff, fb_slice_of(chunk, n), &c->out);
        if (s != FB_OK) {
            return fb_error_set(err, s,
                                "the content has a bare CR, a bare LF or a NUL: it is not sent");
        }
        s = flush(c, BLOCK_MS, err);
        if (s != FB_OK) {
            return s;
        }
    }
}

/* From the final dot on until the reply the outcome is unknown. */
static enum fb_status send_end(struct smtp_client *c, struct smtp_stuff *stuff, bool *is_unknown_r,
                               struct smtp_reply *reply_r, struct fb_error *err)
{
    fb_buf_clear(&c->out);
    enum fb_status s = smtp_stuff_end(stuff, &c->out);
    if (s != FB_OK) {
        return fb_error_set(err, s, "the content ends with a bare CR: it is not sent");
    }
    *is_unknown_r = true;
    s = flush(c, BLOCK_MS, err);
    if (s == FB_OK) {
        s = read_verdict(c, END_MS, "the end of the mail", reply_r, err);
    }
    if (s == FB_OK) {
        *is_unknown_r = false;
    }
    return s;
}

/* Nobody was accepted.  Everybody has an answer, so nothing can fail any more; a connection that is
 * out of step is given up, or its late reply would be taken for the next mail's. */
static void leave(struct smtp_client *c, const struct dialogue *d)
{
    struct smtp_reply reply = {0};
    bool is_data = d->data.code == 354; /* an empty mail for nobody (RFC 2920 3.1) */
    struct fb_slice last = is_data ? FB_SLICE_LITERAL(".\r\n") : FB_SLICE_LITERAL("RSET\r\n");
    enum fb_status s = smtp_wire_send(&c->wire, last, wait_ms(c, COMMAND_MS), NULL);
    if (s == FB_OK) {
        s = read_reply(c, is_data ? END_MS : COMMAND_MS, &reply, NULL);
    }
    if (s != FB_OK || (!is_data && reply.code != 250) || reply.code == 421) {
        drop(c);
    }
}

/* has_begun_r: the relay has answered the envelope, it is not to be repeated on another connection.
 */
static enum fb_status transact(struct smtp_client *c, struct smtp_mail *m, struct dialogue *d,
                               bool *has_begun_r, bool *is_unknown_r, struct fb_error *err)
{
    enum fb_status s = send_envelope(c, m, d, err);
    *has_begun_r = s == FB_OK;
    if (s != FB_OK || d->accepted == 0) {
        if (s == FB_OK) {
            leave(c, d);
        }
        return s;
    }
    struct smtp_stuff stuff;
    struct smtp_reply reply = {0};
    smtp_stuff_init(&stuff);
    s = send_content(c, m, &stuff, err);
    if (s == FB_OK) {
        s = send_end(c, &stuff, is_unknown_r, &reply, err);
    }
    for (size_t i = 0; i < d->count && s == FB_OK; i++) {
        if (d->asked[i]->code / 100 == 2) {
            take_answer(d->asked[i], &reply);
        }
    }
    return s;
}

static enum fb_status transact_open(struct smtp_client *c, struct smtp_mail *m, bool *has_begun_r,
                                    bool *is_unknown_r, struct fb_error *err)
{
    struct dialogue d = {.asked =
                             fb_xcalloc(m->recipient_count + 1, sizeof(struct smtp_recipient *))};
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].code == 0) {
            d.asked[d.count++] = &m->recipients[i];
        }
    }
    enum fb_status s = d.count > 0 ? transact(c, m, &d, has_begun_r, is_unknown_r, err) : FB_OK;
    free(d.asked);
    return s;
}

/* An address must not be able to add a command or parameter: ingest refused such; this is the last
 * door. */
static bool is_safe(const char *text, const char *forbidden)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f || strchr(forbidden, *text) != NULL) {
            return false;
        }
    }
    return true;
}

static enum fb_status check_envelope(const struct smtp_mail *m, struct fb_error *err)
{
    bool is_fit =
        is_safe(m->reverse_path, "<>") && is_safe(m->dsn_ret, " ") && is_safe(m->dsn_envid, " ");
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct smtp_recipient *r = &m->recipients[i];
        is_fit = is_fit && is_safe(r->address, "<>") && is_safe(r->notify, " ") &&
                 is_safe(r->orcpt, " ");
    }
    return is_fit ? FB_OK
                  : fb_error_set(err, FB_INVALID,
                                 "an address of the envelope has a control character or angle "
                                 "bracket, or a DSN parameter "
                                 "a blank");
}

enum fb_status smtp_client_send(struct smtp_client *c, struct smtp_mail *m, bool *is_unknown_r,
                                struct fb_error *err)
{
    *is_unknown_r = false;
    m->relay_has_dsn = false;
    enum fb_status s = check_envelope(m, err);
    if (s != FB_OK) {
        return s;
    }
    /* A kept connection may have been closed by the relay meanwhile: then once more, on a fresh
     * one. */
    bool may_be_stale = smtp_wire_is_idle(&c->wire);
    for (;;) {
        bool has_begun = false;
        if (!may_be_stale) {
            drop(c);
            s = greet(c, err);
        }
        if (s == FB_OK) {
            check_abilities(c, m);
            m->relay_has_dsn = c->has_dsn;
            s = transact_open(c, m, &has_begun, is_unknown_r, err);
        }
        if (s == FB_OK) {
            return FB_OK;
        }
        drop(c); /* in the middle of a dialogue there is no way back; a cut DATA is no mail */
        if (!may_be_stale || has_begun) {
            return s;
        }
        may_be_stale = false;
        s = FB_OK;
    }
}
