/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes, in any pieces, as what an SMTP or LMTP client sends.  Octet 0 chooses the dialect and
 * what the host does; then pieces: one octet of length (0: answer the commit now) and so many
 * octets.
 *
 * Checked: the host's calls come in order, nothing is committed with a bare CR, LF or NUL, every
 * reply is a whole line, a commit has recipients, and the dialogue ends with nothing left open.
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
    return h->failing == FB_TOO_BIG ? FB_NO_SPACE : FB_OK;
}

static void commit(void *ctx, struct fb_envelope *envelope)
{
    struct host *h = ctx;
    FB_ASSERT(h->is_open && !h->is_last_cr && h->last == '\n');
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct smtp_host host = {may_accept,    open_message, add,    commit,
                                          abort_message, has_input,    refused};
    static const struct smtp_settings settings[2] = {{"mx.example", false, true, 4096, 5},
                                                     {"mx.example", true, false, 4096, 5}};
    static const enum fb_status failures[8] = {FB_OK, FB_OK,       FB_OK, FB_OK,
                                               FB_OK, FB_NO_SPACE, FB_IO, FB_TOO_BIG};
    if (size == 0) {
        return 0;
    }
    struct host h = {.failing = failures[data[0] >> 1 & 7]};
    struct smtp_session *s = fb_xcalloc(1, sizeof *s);
    smtp_session_init(s, &settings[data[0] & 1], &host, &h, "192.0.2.1", (data[0] & 16) != 0);
    check_replies(s);
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
    free(s);
    return 0;
}
