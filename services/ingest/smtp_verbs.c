/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of SMTP and LMTP: what each may do in which state, and its reply. */
#include "smtp_verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    struct fb_slice arg; /* what follows the verb */
    bool has_more;       /* input follows the line already */
};

/* A line has no NUL, so nothing but want of memory stands in the way; then the process ends with
 * the mail unacknowledged, as with every small allocation. */
static char *dup_text(struct fb_slice s)
{
    char *copy = fb_slice_dup_str(s);
    FB_ASSERT(copy != NULL);
    return copy;
}

static char *dup_or_null(struct fb_slice s)
{
    return s.ptr == NULL ? NULL : dup_text(s);
}

/* ---- greeting ---- */

static bool take_name(struct smtp_session *s, struct fb_slice arg)
{
    arg = fb_slice_trim(arg);
    if (arg.len == 0 || arg.len > SMTP_MAX_HELO || memchr(arg.ptr, ' ', arg.len) != NULL) {
        smtp_reply(s, 501, "5.5.4", "your name is missing or wrong");
        return false;
    }
    smtp_transaction_reset(s);
    memcpy(s->helo, arg.ptr, arg.len);
    s->helo[arg.len] = '\0';
    for (char *c = s->helo; *c != '\0'; c++) {
        if ((unsigned char)*c > 126) {
            *c = '?';
        }
    }
    return true;
}

static void verb_helo(struct smtp_session *s, const struct call *c)
{
    if (take_name(s, c->arg)) {
        s->is_esmtp = false;
        (void)!fb_buf_printf(&s->out, "250 %s\r\n", s->settings->hostname);
    }
}

static void verb_ehlo(struct smtp_session *s, const struct call *c)
{
    if (!take_name(s, c->arg)) {
        return;
    }
    s->is_esmtp = true;
    enum fb_status status = fb_buf_printf(
        &s->out,
        "250-%s\r\n250-PIPELINING\r\n250-SIZE "
        "%llu\r\n%s%s250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
        "250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n",
        s->settings->hostname, (unsigned long long)s->settings->max_message,
        s->settings->has_tls && !s->is_tls ? "250-STARTTLS\r\n" : "",
        s->may_xforward ? "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n" : "");
    if (status != FB_OK) {
        s->state = SMTP_CLOSING;
    }
}

static void verb_starttls(struct smtp_session *s, const struct call *c)
{
    if (fb_slice_trim(c->arg).len > 0) {
        smtp_reply(s, 501, "5.5.4", "STARTTLS takes no argument");
    } else if (s->is_tls) {
        smtp_reply(s, 503, "5.5.1", "TLS is on already");
    } else if (!s->settings->has_tls) {
        smtp_reply(s, 502, "5.5.1", "TLS is not offered");
    } else {
        smtp_transaction_reset(s);
        smtp_reply(s, 220, "2.0.0", "ready to start TLS");
        s->state = SMTP_TLS;
    }
}

static void verb_xforward(struct smtp_session *s, const struct call *c)
{
    struct smtp_refusal r;
    if (!s->may_xforward) {
        smtp_reply(s, 550, "5.7.0", "XFORWARD is not for you");
    } else if (s->has_mail) {
        smtp_reply(s, 503, "5.5.1", "a mail transaction is under way");
    } else if (!smtp_parse_xforward(c->arg, &s->xforward, &r)) {
        smtp_reply_refusal(s, &r);
    } else {
        s->has_xforward = true;
        smtp_reply(s, 250, "2.0.0", "ok");
    }
}

/* ---- transaction ---- */

static void verb_mail(struct smtp_session *s, const struct call *c)
{
    struct smtp_mail mail;
    struct smtp_refusal r;
    if (s->helo[0] == '\0') {
        smtp_reply(s, 503, "5.5.1", s->settings->is_lmtp ? "send LHLO first" : "send EHLO first");
        return;
    }
    if (s->has_mail) {
        smtp_reply(s, 503, "5.5.1", "a mail transaction is under way");
        return;
    }
    if (!smtp_parse_mail(c->arg, &mail, &r)) {
        smtp_reply_refusal(s, &r);
        return;
    }
    if (mail.size > s->settings->max_message) {
        s->host->refused(s->host_ctx, "size");
        smtp_reply(s, 552, "5.3.4", "message is too big");
        return;
    }
    enum fb_status status = s->host->may_accept(s->host_ctx);
    if (status != FB_OK) {
        const char *enhanced;
        int code = fb_status_smtp(status, &enhanced);
        s->host->refused(s->host_ctx, fb_status_name(status));
        char text[128] = "cannot take mail now, try again later";
        if (status == FB_NO_SPACE && s->host->why != NULL) {
            (void)snprintf(text, sizeof text, "cannot take mail now: %s; try again later",
                           s->host->why(s->host_ctx));
        }
        smtp_reply(s, code, enhanced, text);
        return;
    }
    s->has_chunk_failed = false;
    s->has_mail = true;
    s->envelope.reverse_path = dup_text(mail.path);
    s->envelope.is_8bit = mail.is_8bit;
    s->envelope.is_smtputf8 = mail.is_smtputf8;
    s->envelope.dsn_ret = dup_or_null(mail.ret);
    s->envelope.dsn_envid = dup_or_null(mail.envid);
    smtp_reply(s, 250, "2.1.0", "sender ok");
}

/* Room for one more recipient; the count is bounded by max_recipients. */
static void grow_recipients(struct smtp_session *s)
{
    struct fb_envelope *e = &s->envelope;
    if (e->recipient_count == s->recipient_cap) {
        s->recipient_cap = s->recipient_cap == 0 ? 4 : s->recipient_cap * 2;
        e->recipients = realloc(e->recipients, s->recipient_cap * sizeof *e->recipients);
        FB_ASSERT(e->recipients != NULL);
    }
}

static void verb_rcpt(struct smtp_session *s, const struct call *c)
{
    struct smtp_rcpt rcpt;
    struct smtp_refusal r;
    struct fb_envelope *e = &s->envelope;
    if (!s->has_mail || s->is_chunked) {
        smtp_reply(s, 503, "5.5.1", s->has_mail ? "the content has begun" : "send MAIL first");
        return;
    }
    if (!smtp_parse_rcpt(c->arg, e->is_smtputf8, &rcpt, &r)) {
        smtp_reply_refusal(s, &r);
        return;
    }
    if (e->recipient_count >= s->settings->max_recipients) {
        smtp_reply(s, 452, "4.5.3", "too many recipients");
        return;
    }
    grow_recipients(s);
    e->recipients[e->recipient_count++] = (struct fb_recipient){.address = dup_text(rcpt.path),
                                                                .notify = dup_or_null(rcpt.notify),
                                                                .orcpt = dup_or_null(rcpt.orcpt)};
    smtp_reply(s, 250, "2.1.5", "recipient ok");
}

/* Whether content may begin; false: r says why not. */
static bool may_have_content(const struct smtp_session *s, struct smtp_refusal *r)
{
    if (s->has_chunk_failed) {
        *r = (struct smtp_refusal){503, "5.5.1", "a chunk was refused before: send RSET"};
    } else if (!s->has_mail) {
        *r = (struct smtp_refusal){503, "5.5.1", "send MAIL first"};
    } else if (s->envelope.recipient_count == 0) {
        *r = (struct smtp_refusal){554, "5.5.1", "no valid recipients"};
    } else {
        return true;
    }
    return false;
}

static void open_data(struct smtp_session *s)
{
    enum fb_status status = s->host->open(s->host_ctx);
    if (status != FB_OK) {
        const char *enhanced;
        int code = fb_status_smtp(status, &enhanced);
        s->host->refused(s->host_ctx, fb_status_name(status));
        smtp_reply(s, code, enhanced, "cannot store mail now, try again later");
        return;
    }
    smtp_content_begin(s, SCAN_DOT);
    bool is_sent = fb_buf_add_str(&s->out, "354 end with <CR><LF>.<CR><LF>\r\n") == FB_OK;
    s->state = is_sent ? SMTP_DATA : SMTP_CLOSING;
}

static void verb_data(struct smtp_session *s, const struct call *c)
{
    struct smtp_refusal r;
    /* Whoever sends content before our 354 would, were DATA refused, have it taken for commands. */
    if (c->has_more || s->host->has_input(s->host_ctx)) {
        s->host->refused(s->host_ctx, "pipelining");
        smtp_transaction_reset(s);
        smtp_reply(s, 503, "5.5.0", "input before the reply to DATA");
        s->state = SMTP_CLOSING;
        return;
    }
    if (fb_slice_trim(c->arg).len > 0) {
        smtp_reply(s, 501, "5.5.4", "DATA takes no argument");
    } else if (s->is_chunked) {
        smtp_reply(s, 503, "5.5.1", "DATA and BDAT do not mix");
    } else if (!may_have_content(s, &r)) {
        smtp_reply_refusal(s, &r);
    } else {
        open_data(s);
    }
}

static void verb_bdat(struct smtp_session *s, const struct call *c)
{
    struct smtp_refusal *r = &s->chunk_refusal;
    if (!smtp_parse_bdat(c->arg, &s->chunk_left, &s->is_chunk_last, r)) {
        smtp_reply_refusal(
            s, r); /* how many octets follow is unknown: they must not become commands */
        s->state = SMTP_CLOSING;
        return;
    }
    s->is_chunk_refused = !may_have_content(s, r);
    if (!s->is_chunk_refused && !s->is_chunked) {
        enum fb_status status = s->host->open(s->host_ctx);
        if (status == FB_OK) {
            smtp_content_begin(s, SCAN_RAW);
            s->is_chunked = true;
        } else {
            r->code = fb_status_smtp(status, &r->enhanced);
            r->text = "cannot store mail now";
            s->is_chunk_refused = true;
            smtp_transaction_reset(s);
            s->has_chunk_failed = true;
        }
    }
    s->state = SMTP_CHUNK;
    if (s->chunk_left == 0) {
        smtp_chunk_ended(s);
    }
}

static void verb_rset(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_transaction_reset(s);
    smtp_reply(s, 250, "2.0.0", "ok");
}

/* ---- the rest ---- */

static void verb_noop(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_reply(s, 250, "2.0.0", "ok");
}

static void verb_vrfy(struct smtp_session *s, const struct call *c)
{
    (void)c; /* RFC 5321 7.3: neither yes nor no */
    smtp_reply(s, 252, "2.0.0", "send some mail, it will be tried");
}

static void verb_help(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_reply(s, 214, "2.0.0", "RFC 5321; see fumibako-ingest(8)");
}

static void verb_quit(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_transaction_reset(s);
    smtp_reply(s, 221, "2.0.0", "bye");
    s->has_quit = true;
    s->state = SMTP_CLOSING;
}

static void verb_off(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_reply(s, 502, "5.5.1", "command is not implemented");
}

/* A web browser or another program that was led here to speak SMTP by its request's lines. */
static void verb_stranger(struct smtp_session *s, const struct call *c)
{
    (void)c;
    smtp_reply(s, 554, "5.7.0", "this is not a web server");
    s->state = SMTP_CLOSING;
}

enum dialect { SMTP_ONLY = 1, LMTP_ONLY = 2, BOTH = 3 };

static const struct {
    const char *name;
    enum dialect dialect;
    void (*run)(struct smtp_session *s, const struct call *c);
} verbs[] = {
    {"MAIL", BOTH, verb_mail},         {"RCPT", BOTH, verb_rcpt},
    {"DATA", BOTH, verb_data},         {"BDAT", BOTH, verb_bdat},
    {"QUIT", BOTH, verb_quit},         {"EHLO", SMTP_ONLY, verb_ehlo},
    {"LHLO", LMTP_ONLY, verb_ehlo},    {"RSET", BOTH, verb_rset},
    {"HELO", SMTP_ONLY, verb_helo},    {"NOOP", BOTH, verb_noop},
    {"VRFY", BOTH, verb_vrfy},         {"HELP", BOTH, verb_help},
    {"EXPN", BOTH, verb_off},          {"AUTH", BOTH, verb_off},
    {"ETRN", BOTH, verb_off},          {"TURN", BOTH, verb_off},
    {"STARTTLS", BOTH, verb_starttls}, {"XFORWARD", BOTH, verb_xforward},
    {"GET", BOTH, verb_stranger},      {"POST", BOTH, verb_stranger},
    {"PUT", BOTH, verb_stranger},      {"HEAD", BOTH, verb_stranger},
    {"CONNECT", BOTH, verb_stranger},  {"OPTIONS", BOTH, verb_stranger},
};

void smtp_verb_run(struct smtp_session *s, struct fb_slice line, bool has_more)
{
    size_t n = 0;
    while (n < line.len && line.ptr[n] != ' ' && line.ptr[n] != '\t') {
        n++;
    }
    struct fb_slice verb = fb_slice_sub(line, 0, n);
    struct call call = {fb_slice_sub(line, n, SIZE_MAX), has_more};
    enum dialect mine = s->settings->is_lmtp ? LMTP_ONLY : SMTP_ONLY;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (fb_slice_ieq_str(verb, verbs[i].name) && (verbs[i].dialect & mine) != 0) {
            verbs[i].run(s, &call);
            return;
        }
    }
    smtp_reply(s, 500, "5.5.1", "unknown command");
}
