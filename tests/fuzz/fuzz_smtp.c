/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes, in any pieces, as what an SMTP or LMTP client sends.  Octet 0 chooses the dialect and
 * what the host does; then pieces: one octet of length (0: answer the commit now) and so many
 * octets.  With bit 6 of octet 0 a client has said everything up to DATA before.
 *
 * Checked: the host's calls come in order, nothing is committed with a bare CR, LF or NUL, every
 * reply is a whole line, a commit has recipients, and the dialogue ends with nothing left open.
 * Behind DATA, against a model that knows CRLF and the dot and nothing else: the mail that is
 * committed is byte for byte what stands before the first CRLF.CRLF, and what has another end of
 * line in it is not committed at all.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/ingest/smtp_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct host {
    bool is_open;
    uint8_t last; /* octet of the content under way */
    bool is_last_cr;
    enum fb_status failing;
    unsigned opened;
    struct fb_buf content;  /* of the message under way */
    struct fb_buf expected; /* of the first one, as the model has it */
    bool is_modelled, is_good, is_committed;
};

static enum fb_status may_accept(void *ctx)
{
    return ((struct host *)ctx)->failing == FB_NO_SPACE ? FB_NO_SPACE : FB_OK;
}

static enum fb_status open_message(void *ctx)
{
    struct host *h = ctx;
    FB_ASSERT(!h->is_open);
    if (h->failing == FB_IO) {
        return FB_IO;
    }
    h->is_open = true;
    h->opened++;
    fb_buf_clear(&h->content);
    h->is_last_cr = false;
    h->last = '\n';
    return FB_OK;
}

static enum fb_status add(void *ctx, const uint8_t *ptr, size_t len)
{
    struct host *h = ctx;
    FB_ASSERT(h->is_open && len > 0);
    for (size_t i = 0; i < len; i++) {
        /* What reached us before the scanner saw the fault may be wrong at its very end only;
         * commit checks that. */
        h->is_last_cr = ptr[i] == '\r';
        h->last = ptr[i];
    }
    FB_ASSERT(fb_buf_add(&h->content, ptr, len) == FB_OK);
    return h->failing == FB_TOO_BIG ? FB_NO_SPACE : FB_OK;
}

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

static void commit(void *ctx, struct fb_envelope *envelope)
{
    struct host *h = ctx;
    FB_ASSERT(h->is_open && !h->is_last_cr && h->last == '\n');
    FB_ASSERT(is_clean(fb_slice_buf(&h->content)));
    if (h->is_modelled && h->opened == 1) {
        FB_ASSERT(h->is_good && fb_slice_eq(fb_slice_buf(&h->content), fb_slice_buf(&h->expected)));
        h->is_committed = true;
    }
    FB_ASSERT(envelope->reverse_path != NULL && envelope->recipient_count > 0);
    FB_ASSERT(envelope->recipient_count <= 5);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        FB_ASSERT(strpbrk(envelope->recipients[i].address, "\r\n") == NULL);
    }
    h->is_open = false;
    fb_envelope_deinit(envelope);
}

static void abort_message(void *ctx)
{
    struct host *h = ctx;
    FB_ASSERT(h->is_open);
    h->is_open = false;
}

static bool has_input(void *ctx)
{
    (void)ctx;
    return false;
}

static void refused(void *ctx, const char *reason)
{
    (void)ctx;
    FB_ASSERT(reason[0] != '\0');
}

static void check_replies(struct smtp_session *s)
{
    const char *p = fb_buf_str(&s->out);
    FB_ASSERT(strlen(p) == s->out.len);
    while (*p != '\0') {
        const char *end = strstr(p, "\r\n");
        FB_ASSERT(end != NULL && end - p > 3 && (p[3] == ' ' || p[3] == '-') && p[0] >= '2' &&
                  p[0] <= '5');
        p = end + 2;
    }
    fb_buf_clear(&s->out);
}

/* The mail behind DATA, with its dots taken off: what stands before the first CRLF.CRLF (or the dot
 * that comes at once).  in: the bytes without their lengths. */
static void model(struct host *h, struct fb_slice in)
{
    struct fb_slice rest = fb_slice_sub(in, 0, 0);
    bool has_end = in.len >= 3 && memcmp(in.ptr, ".\r\n", 3) == 0;
    h->is_good = has_end;
    if (!has_end) {
        size_t end = fb_slice_find(in, FB_SLICE_LITERAL("\r\n.\r\n"));
        has_end = end != SIZE_MAX;
        rest = fb_slice_sub(in, 0, has_end ? end + 2 : 0);
        h->is_good = has_end && is_clean(rest);
    }
    while (h->is_good && rest.len > 0) {
        size_t n = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n")) + 2;
        size_t dot = rest.ptr[0] == '.' ? 1 : 0;
        FB_ASSERT(fb_buf_add_slice(&h->expected, fb_slice_sub(rest, dot, n - dot)) == FB_OK);
        rest = fb_slice_sub(rest, n, SIZE_MAX);
    }
}

static void say(struct smtp_session *s, const char *text)
{
    size_t len = strlen(text);
    for (size_t used = 0; used < len;) {
        used += smtp_session_input(s, (const uint8_t *)text + used, len - used);
        check_replies(s);
    }
}

/* Up to DATA; then what the pieces hold is the mail. */
static void begin_mail(struct smtp_session *s, struct host *h, bool is_lmtp, const uint8_t *data,
                       size_t size)
{
    struct fb_buf all;
    fb_buf_init(&all, size + 1);
    for (size_t at = 0; at < size;) {
        size_t n = data[at++];
        n = n < size - at ? n : size - at;
        FB_ASSERT(fb_buf_add(&all, data + at, n) == FB_OK);
        at += n;
    }
    say(s, is_lmtp ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
    say(s, "MAIL FROM:<a@example.jp>\r\n");
    say(s, "RCPT TO:<b@example.com>\r\n");
    say(s, "DATA\r\n");
    h->is_modelled = h->opened == 1;
    model(h, fb_slice_buf(&all));
    fb_buf_deinit(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct smtp_host host = {may_accept,    open_message, add,     commit,
                                          abort_message, has_input,    refused, NULL};
    static const struct smtp_settings settings[2] = {{"mx.example", false, true, 4096, 5},
                                                     {"mx.example", true, false, 4096, 5}};
    static const enum fb_status failures[8] = {FB_OK, FB_OK,       FB_OK, FB_OK,
                                               FB_OK, FB_NO_SPACE, FB_IO, FB_TOO_BIG};
    if (size == 0) {
        return 0;
    }
    struct host h = {.failing = failures[data[0] >> 1 & 7]};
    struct smtp_session *s = fb_xcalloc(1, sizeof *s);
    fb_buf_init(&h.content, 1U << 20);
    fb_buf_init(&h.expected, 1U << 20);
    smtp_session_init(s, &settings[data[0] & 1], &host, &h, "192.0.2.1", (data[0] & 16) != 0);
    check_replies(s);
    if ((data[0] & 64) != 0) {
        begin_mail(s, &h, (data[0] & 1) != 0, data + 1, size - 1);
    }
    for (size_t at = 1; at < size;) {
        size_t n = data[at++];
        n = n < size - at ? n : size - at;
        for (size_t used = 0; used < n;) {
            used += smtp_session_input(s, data + at + used, n - used);
            check_replies(s);
            if (s->state == SMTP_COMMIT) {
                smtp_session_done(s, (data[0] & 32) != 0 ? FB_IO : FB_OK,
                                  "01HZZZZZZZZZZZZZZZZZZZZZZZ");
            } else if (s->state == SMTP_TLS) {
                smtp_session_secured(s);
            }
        }
        at += n;
    }
    check_replies(s);
    smtp_session_deinit(s);
    FB_ASSERT(!h.is_open);
    /* A short mail without fault is not refused. */
    FB_ASSERT(!h.is_modelled || !h.is_good || h.expected.len > 500 || h.failing != FB_OK ||
              h.is_committed);
    fb_buf_deinit(&h.content);
    fb_buf_deinit(&h.expected);
    free(s);
    return 0;
}
