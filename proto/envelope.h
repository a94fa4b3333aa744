/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelope as ingest took it (RFC 5321, RFC 3461): spooled in front of the content, read by
 * render and rewrite.  Format: msgpack map, described in proto/jobs.md.
 */
#ifndef FB_PROTO_ENVELOPE_H
#define FB_PROTO_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"

struct fb_recipient {
    char *address; /* as in RCPT TO, without < > */
    char *notify;  /* DSN: "NEVER" or a list of SUCCESS,FAILURE,DELAY; NULL = not given */
    char *orcpt;   /* DSN: "rfc822;..." in xtext as given; NULL = not given */
};

struct fb_envelope {
    char *reverse_path; /* "" = the null sender */
    struct fb_recipient *recipients;
    size_t recipient_count;
    bool is_8bit;     /* BODY=8BITMIME */
    bool is_smtputf8; /* SMTPUTF8 (RFC 6531) */
    char *dsn_ret;    /* "FULL" or "HDRS"; NULL */
    char *dsn_envid;  /* xtext as given; NULL */
    char *client_address, *client_name, *helo,
        *protocol;  /* of the real client where XFORWARD told; may be NULL */
    char *queue_id; /* XFORWARD IDENT; may be NULL */
    int64_t received_ms;
    char trace[FB_TRACE_SIZE];
};

void fb_envelope_deinit(struct fb_envelope *e);
FB_MUST_USE enum fb_status fb_envelope_encode(const struct fb_envelope *e, struct fb_buf *out);
/* FB_INVALID with key and reason; limits of proto/limits.h are enforced. */
FB_MUST_USE enum fb_status fb_envelope_decode(struct fb_slice bytes, struct fb_envelope *envelope_r,
                                              struct fb_error *err);
/* Whether a mail can be written to it: an address stands between angle brackets in header fields and SMTP commands.  A
 * quoted local part may hold brackets itself (RFC 5321 4.1.2), and who reads them otherwise takes it for another
 * address.  The null sender ("") has nothing against it. */
bool fb_address_is_writable(const char *address);

#endif
