/* SPDX-License-Identifier: Apache-2.0
 *
 * Message content on its way in: finds its end, undoes dot-stuffing (RFC 5321 4.5.2), and notices
 * what makes SMTP smuggling possible (bare CR, bare LF, NUL).  Knows lines and nothing of MIME; the
 * one thing it looks for in the header block is how many fields are called Received, to break mail
 * loops (RFC 5321 6.3).
 *
 * Bytes may arrive in any pieces.  What is handed on is the content as sent: no byte is changed but
 * the dots, and, for SCAN_LENIENT only, LF that becomes CRLF.
 */
#ifndef FB_INGEST_SMTP_DATA_H
#define FB_INGEST_SMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* A line longer than this is refused.  RFC 5321 allows 998 octets; real mail has HTML in one line,
 * which is relayed as it is, so only what no mailer writes is stopped. */
#define SMTP_MAX_LINE (1U << 20)
/* Mails in the wild pass fewer than 30 hosts; Postfix stops at 50, too. */
#define SMTP_MAX_RECEIVED 50

enum scan_mode {
    SCAN_DOT,     /* DATA: ends with CRLF.CRLF, dots are stuffed */
    SCAN_RAW,     /* BDAT: the length is known, bytes are as they are */
    SCAN_LENIENT, /* HTTP: as SCAN_RAW, and a bare LF ends a line */
};

/* Takes the next piece of content; lent for the call. */
typedef void scan_emit_fn(void *ctx, const uint8_t *ptr, size_t len);

struct scan {
    enum scan_mode mode;
    uint8_t state;      /* enum place in smtp_data.c */
    bool has_bare;      /* a bare CR, a bare LF or a NUL was seen */
    bool has_long_line; /* a line of more than SMTP_MAX_LINE octets */
    bool is_8bit;       /* an octet above 127 was seen */
    bool is_header;     /* the empty line has not come yet */
    uint8_t matched;    /* how much of "received:" this line begins with; 255 = it does not */
    uint32_t received;  /* Received fields so far */
    size_t line;        /* octets of the current line so far */
    uint64_t size;      /* octets handed on */
    scan_emit_fn *emit;
    void *ctx;
};

void scan_init(struct scan *s, enum scan_mode mode, scan_emit_fn *emit, void *ctx);
/* Reads bytes and returns how many belonged to the content; is_end_r becomes true behind the final
 * dot (SCAN_DOT only), and what follows is not touched. */
size_t scan_feed(struct scan *s, const uint8_t *p, size_t len, bool *is_end_r);
/* The content is over (SCAN_RAW and SCAN_LENIENT): a last line without its end gets one, since
 * every relay behind us would add it (and RFC 6376 3.4.3 signs it so). */
void scan_finish(struct scan *s);

#endif
