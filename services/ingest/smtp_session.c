/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialogue's engine: cuts input into lines and content, answers at the content's end.  Commands
 * are in smtp_verbs.c, their arguments in smtp_command.c, the content's bytes in smtp_data.c. */
#include "smtp_session.h"

#include <stdio.h>
#include <string.h>

#include "smtp_verbs.h"

#define OUT_MAX (4U << 20) /* 10,000 replies of LMTP */

/* ---- replies ---- */

/* By hand and not by printf: four of these a mail are a tenth of the dialogue's time. */
static void put(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    char line[512];
    size_t enhanced_len = strlen(enhanced), text_len = strlen(text);
    FB_ASSERT(code >= 100 && code <= 999 && enhanced_len + text_len + 8 < sizeof line);
    line[0] = (char)('0' + code / 100);
    line[1] = (char)('0' + code / 10 % 10);
    line[2] = (char)('0' + code % 10);
    line[3] = ' ';
    memcpy(line + 4, enhanced, enhanced_len);
    line[4 + enhanced_len] = ' ';
    memcpy(line + 5 + enhanced_len, text, text_len);
    memcpy(line + 5 + enhanced_len + text_len, "\r\n", 2);
    if (fb_buf_add(&s->out, line, 7 + enhanced_len + text_len) != FB_OK) {
        s->state = SMTP_CLOSING; /* a peer that never reads its replies */
    }
}

void smtp_reply(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    if (code >= 500 && ++s->errors > SMTP_MAX_ERRORS) {
        smtp_session_shutdown(s, "4.7.0", "too many errors");
        return;
    }
    put(s, code, enhanced, text);
}

void smtp_reply_refusal(struct smtp_session *s, const struct smtp_refusal *refusal)
{
    smtp_reply(s, refusal->code, refusal->enhanced, refusal->text);
}

int smtp_refuse_connection(char *out, size_t size, int code, const char *enhanced,
                           const char *hostname, const char *text)
{
    int n = snprintf(out, size, "%d %s %s %s\r\n", code, enhanced, hostname, text);
    return n < 0 || (size_t)n >= size ? 0 : n;
}

/* LMTP answers for each recipient that was accepted (RFC 2033 4.2), SMTP once. */
static void reply_message(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    for (size_t i = 0; i < s->reply_count && s->state != SMTP_CLOSING; i++) {
        put(s, code, enhanced, text);
    }
}

/* ---- life ---- */

void smtp_session_init(struct smtp_session *s, const struct smtp_settings *settings,
                       const struct smtp_host *host, void *host_ctx, const char *client,
                       bool may_xforward)
{
    memset(s, 0, sizeof *s);
    s->settings = settings;
    s->host = host;
    s->host_ctx = host_ctx;
    s->may_xforward = may_xforward;
    (void)snprintf(s->client, sizeof s->client, "%s", client);
    fb_buf_init(&s->out, OUT_MAX);
    if (fb_buf_printf(&s->out, "220 %s %s Fumibako\r\n", settings->hostname,
                      settings->is_lmtp ? "LMTP" : "ESMTP") != FB_OK) {
        s->state = SMTP_CLOSING;
    }
}

void smtp_session_deinit(struct smtp_session *s)
{
    smtp_transaction_reset(s);
    fb_buf_deinit(&s->out);
}

void smtp_transaction_reset(struct smtp_session *s)
{
    if (s->is_open) {
        s->is_open = false;
        s->host->abort(s->host_ctx);
    }
    fb_envelope_deinit(&s->envelope);
    s->envelope = (struct fb_envelope){0};
    s->recipient_cap = 0;
    smtp_xforward_deinit(&s->xforward);
    s->has_xforward = false;
    s->has_mail = false;
    s->is_chunked = false;
    s->has_chunk_failed = false;
    s->content_status = FB_OK;
}

void smtp_session_secured(struct smtp_session *s)
{
    smtp_transaction_reset(s);
    s->is_tls = true;
    s->helo[0] = '\0';
    s->is_esmtp = false;
    s->line_len = 0;
    s->is_line_long = false;
    s->state = SMTP_COMMAND;
}

void smtp_session_shutdown(struct smtp_session *s, const char *enhanced, const char *text)
{
    if (s->state != SMTP_CLOSING) {
        (void)!fb_buf_printf(&s->out, "421 %s %s %s\r\n", enhanced, s->settings->hostname, text);
        s->state = SMTP_CLOSING;
    }
}

bool smtp_session_is_idle(const struct smtp_session *s)
{
    return s->state == SMTP_COMMAND && !s->has_mail;
}

/* ---- content ---- */

/* From the scanner.  After the first failure the rest is read and dropped. */
static void on_content(void *ctx, const uint8_t *ptr, size_t len)
{
    struct smtp_session *s = ctx;
    if (s->content_status == FB_OK) {
        if (s->scan.size > s->settings->max_message) {
            s->content_status = FB_TOO_BIG;
        } else if (s->scan.has_bare || s->scan.has_long_line ||
                   s->scan.received > SMTP_MAX_RECEIVED) {
            s->content_status = FB_INVALID;
        } else {
            s->content_status = s->host->add(s->host_ctx, ptr, len);
        }
    }
    if (s->content_status != FB_OK && s->is_open) {
        s->is_open = false;
        s->host->abort(s->host_ctx);
    }
}

void smtp_content_begin(struct smtp_session *s, enum scan_mode mode)
{
    s->is_open = true;
    s->content_status = FB_OK;
    scan_init(&s->scan, mode, on_content, s);
}

/* What is wrong with the content as far as it came; false when nothing is. */
static bool content_refusal(struct smtp_session *s, struct smtp_refusal *r, const char **reason_r)
{
    if (s->scan.has_bare) {
        *r = (struct smtp_refusal){550, "5.6.11", "bare CR, bare LF or NUL in the message"};
        *reason_r = "bare";
    } else if (s->scan.has_long_line) {
        *r = (struct smtp_refusal){550, "5.6.0", "a line of the message is too long"};
        *reason_r = "line";
    } else if (s->content_status == FB_TOO_BIG || s->scan.size > s->settings->max_message) {
        *r = (struct smtp_refusal){552, "5.3.4", "message is too big"};
        *reason_r = "size";
    } else if (s->scan.received > SMTP_MAX_RECEIVED) {
        *r = (struct smtp_refusal){554, "5.4.6", "too many hops, mail loop?"};
        *reason_r = "loop";
    } else if (s->content_status != FB_OK) {
        r->code = fb_status_smtp(s->content_status, &r->enhanced);
        r->text = "message could not be stored";
        *reason_r = fb_status_name(s->content_status);
    } else {
        return false;
    }
    return true;
}

/* What the envelope says about the client: what the relay told where it told something, else what
 * we see. */
static void fill_client(struct smtp_session *s)
{
    struct fb_envelope *e = &s->envelope;
    if (s->has_xforward) {
        e->client_address = s->xforward.addr;
        e->client_name = s->xforward.name;
        e->helo = s->xforward.helo;
        e->protocol = s->xforward.proto;
        e->queue_id = s->xforward.ident;
        s->xforward.addr = s->xforward.name = s->xforward.helo = s->xforward.proto =
            s->xforward.ident = NULL;
        return;
    }
    static const char *const protocols[3][2] = {
        {"SMTP", "SMTP"}, {"ESMTP", "ESMTPS"}, {"LMTP", "LMTPS"}};
    int kind = s->settings->is_lmtp ? 2 : s->is_esmtp ? 1 : 0;
    e->client_address = fb_xstrdup(s->client);
    e->helo = fb_xstrdup(s->helo);
    e->protocol = fb_xstrdup(protocols[kind][s->is_tls]);
}

/* The content is complete: commit it, or say why not. */
static void content_ended(struct smtp_session *s)
{
    struct smtp_refusal r;
    const char *reason = NULL;
    s->reply_count = s->settings->is_lmtp ? s->envelope.recipient_count : 1;
    if (content_refusal(s, &r, &reason)) {
        s->host->refused(s->host_ctx, reason);
        s->errors += r.code >= 500;
        s->state = SMTP_COMMAND;
        bool must_close = s->scan.has_bare && s->scan.mode == SCAN_DOT;
        reply_message(s, r.code, r.enhanced, r.text);
        smtp_transaction_reset(s);
        if (must_close) {
            s->state = SMTP_CLOSING; /* who smuggles has more in the pipe */
        }
        return;
    }
    fill_client(s);
    struct fb_envelope envelope = s->envelope;
    s->envelope = (struct fb_envelope){0};
    s->is_open = false;
    s->state = SMTP_COMMIT;
    s->host->commit(s->host_ctx, &envelope); /* the duty to store passes on here */
}

size_t smtp_session_accepted(char out[SMTP_ACCEPTED_SIZE], const char *msg_id)
{
    static const char before[] = "250 2.0.0 ", after[] = " queued\r\n";
    _Static_assert(sizeof before + sizeof after + FB_ID_SIZE <= SMTP_ACCEPTED_SIZE, "has room");
    size_t len = sizeof before - 1;
    memcpy(out, before, len);
    memcpy(out + len, msg_id, FB_ID_SIZE - 1);
    len += FB_ID_SIZE - 1;
    memcpy(out + len, after, sizeof after - 1);
    return len + sizeof after - 1;
}

void smtp_session_done(struct smtp_session *s, enum fb_status status, const char *msg_id)
{
    FB_ASSERT(s->state == SMTP_COMMIT);
    s->state = SMTP_COMMAND;
    if (status == FB_OK) {
        char line[SMTP_ACCEPTED_SIZE];
        size_t len = smtp_session_accepted(line, msg_id);
        for (size_t i = 0; i < s->reply_count && s->state != SMTP_CLOSING; i++) {
            if (fb_buf_add(&s->out, line, len) != FB_OK) {
                s->state = SMTP_CLOSING; /* a peer that never reads its replies */
            }
        }
    } else {
        const char *enhanced;
        int code = fb_status_smtp(status, &enhanced);
        s->host->refused(s->host_ctx, fb_status_name(status));
        reply_message(s, code, enhanced, "message could not be stored");
    }
    smtp_transaction_reset(s);
}

static size_t data_input(struct smtp_session *s, const uint8_t *p, size_t len)
{
    bool is_end = false;
    size_t n = scan_feed(&s->scan, p, len, &is_end);
    if (!is_end) {
        return n;
    }
    /* Without PIPELINING nothing may follow before our reply: it is somebody else's mail in this
     * mail's coat. */
    if (!s->is_esmtp && (n < len || s->host->has_input(s->host_ctx))) {
        s->host->refused(s->host_ctx, "pipelining");
        smtp_transaction_reset(s);
        smtp_reply(s, 503, "5.5.0", "input before the reply to DATA's end");
        s->state = SMTP_CLOSING;
        return n;
    }
    content_ended(s);
    return n;
}

void smtp_chunk_ended(struct smtp_session *s)
{
    s->state = SMTP_COMMAND;
    if (s->is_chunk_refused) {
        smtp_reply_refusal(s, &s->chunk_refusal);
        return;
    }
    if (s->is_chunk_last) {
        scan_finish(&s->scan);
        content_ended(s);
        return;
    }
    struct smtp_refusal r;
    const char *reason = NULL;
    if (content_refusal(s, &r, &reason)) {
        s->host->refused(s->host_ctx, reason);
        smtp_transaction_reset(s);
        s->has_chunk_failed = true;
        smtp_reply_refusal(s, &r);
        return;
    }
    smtp_reply(s, 250, "2.0.0", "chunk taken");
}

static size_t chunk_input(struct smtp_session *s, const uint8_t *p, size_t len)
{
    size_t n = s->chunk_left < len ? (size_t)s->chunk_left : len;
    if (!s->is_chunk_refused) {
        bool is_end = false;
        n = scan_feed(&s->scan, p, n, &is_end);
    }
    s->chunk_left -= n;
    if (s->chunk_left == 0) {
        smtp_chunk_ended(s);
    }
    return n;
}

/* ---- lines ---- */

static void run_line(struct smtp_session *s, struct fb_slice line, bool is_long, bool has_more)
{
    s->commands++;
    if (is_long) {
        smtp_reply(s, 500, "5.5.2", "line is too long");
        return;
    }
    /* RFC 5321 2.3.8: nothing but CRLF ends a line. */
    if (line.len < 2 || line.ptr[line.len - 2] != '\r') {
        smtp_reply(s, 500, "5.5.2", "a line must end in CR LF");
        return;
    }
    line.len -= 2;
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f) {
            smtp_reply(s, 500, "5.5.2", "control character in a command");
            return;
        }
    }
    smtp_verb_run(s, line, has_more);
}

static size_t line_input(struct smtp_session *s, const uint8_t *p, size_t len)
{
    const uint8_t *lf = memchr(p, '\n', len);
    size_t n = lf == NULL ? len : (size_t)(lf - p) + 1;
    if (lf != NULL && s->line_len == 0 && !s->is_line_long) { /* the common case: no copy */
        run_line(s, fb_slice_of(p, n), n > SMTP_MAX_LINE_COMMAND, n < len);
        return n;
    }
    if (s->is_line_long || n > SMTP_MAX_LINE_COMMAND - s->line_len) {
        s->is_line_long = true;
        s->line_len = 0;
    } else {
        memcpy(s->line + s->line_len, p, n);
        s->line_len += n;
    }
    if (lf != NULL) {
        struct fb_slice line = fb_slice_of(s->line, s->line_len);
        bool is_long = s->is_line_long;
        s->line_len = 0;
        s->is_line_long = false;
        run_line(s, line, is_long, n < len);
    }
    return n;
}

size_t smtp_session_input(struct smtp_session *s, const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at < len && s->out.len < SMTP_OUT_PAUSE) {
        switch (s->state) {
        case SMTP_COMMAND:
            at += line_input(s, p + at, len - at);
            break;
        case SMTP_DATA:
            at += data_input(s, p + at, len - at);
            break;
        case SMTP_CHUNK:
            at += chunk_input(s, p + at, len - at);
            break;
        case SMTP_COMMIT:
            return at;
        case SMTP_TLS: /* plain text behind STARTTLS would be taken for encrypted (CVE-2011-0411) */
        case SMTP_CLOSING: /* the rest concerns nobody */
            return len;
        }
    }
    return at;
}
