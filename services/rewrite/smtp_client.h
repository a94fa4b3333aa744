/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipelining SMTP client for exact relaying (RFC 5321, 2920, 6152, 6531, 3461, 1870): a reply for
 * every recipient, DSN parameters, 8BITMIME and SMTPUTF8 as the envelope says, the content byte for
 * byte.  Why not libcurl or libESMTP: proto/decisions/0001-smtp-client.md.
 *
 * One client belongs to one thread; it keeps its connection between messages.
 */
#ifndef FB_REWRITE_SMTP_CLIENT_H
#define FB_REWRITE_SMTP_CLIENT_H

#include "common/buf.h"

struct smtp_client;

/* relay: "smtp://host:port". Does not connect yet. FB_CONFIG for a bad URL. */
FB_MUST_USE enum fb_status smtp_client_new(const char *relay, const char *helo,
                                           struct smtp_client **client_r, struct fb_error *err);
/* QUIT, bounded. */
void smtp_client_free(struct smtp_client **client);
/* No single wait lasts longer than this; without it the waits of RFC 5321 4.5.3.2 hold. */
void smtp_client_cap_waits(struct smtp_client *client, int max_ms);

struct smtp_recipient {
    const char *address;
    const char *notify, *orcpt; /* RFC 3461; NULL = not given */
    /* the relay's answer */
    int code;          /* 250, 450, 550...; 0 = none */
    char reply[512];   /* last line, control characters replaced */
    char enhanced[12]; /* RFC 3463, "" = none given */
};

/* Where the content comes from: up to len bytes, 0 = end. Lines end with CRLF; a bare CR or LF is
 * refused. */
struct smtp_content {
    void *ctx;
    enum fb_status (*read)(void *ctx, void *out, size_t len, size_t *read_r, struct fb_error *err);
    uint64_t size; /* for SIZE=; 0 = unknown */
    bool has_8bit; /* there is an octet above 127 in it */
};

struct smtp_mail {
    const char *reverse_path; /* "" = the null sender */
    const char *dsn_ret, *dsn_envid;
    bool is_8bit, is_smtputf8; /* as the sender announced them */
    struct smtp_recipient *recipients;
    size_t recipient_count;
    struct smtp_content content;
    bool
        relay_has_dsn; /* out: else the notify of the recipients went no further (RFC 3461 5.2.2) */
};

/* FB_OK: every recipient has its final code (2xx: the relay has taken the mail for it).  What the
 * relay cannot take at all gets a code of ours, nothing being sent: 553 5.6.7 and 554 5.6.9 (needs
 * SMTPUTF8), 554 5.6.3 (needs 8BITMIME), 552 5.3.4 (too large).  What was announced and is not
 * needed, as the content is 7 bit, is left out instead. FB_NETWORK: no answer or connection lost;
 * *is_unknown_r: it was lost between the end of DATA and the reply, so that the relay may have
 * taken the mail (RFC 1047).  FB_INVALID: content or envelope must not be sent.  Others: from
 * content.read. */
FB_MUST_USE enum fb_status smtp_client_send(struct smtp_client *client, struct smtp_mail *mail,
                                            bool *is_unknown_r, struct fb_error *err);

#endif
