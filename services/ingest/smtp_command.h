/* SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of SMTP commands: MAIL and RCPT with the parameters of SIZE (RFC 1870), 8BITMIME
 * (RFC 6152), DSN (RFC 3461) and SMTPUTF8 (RFC 6531), BDAT (RFC 3030), XFORWARD (Postfix).  Pure
 * functions over one line.
 */
#ifndef FB_INGEST_SMTP_COMMAND_H
#define FB_INGEST_SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/envelope.h"

/* What to answer when an argument is refused; static strings. */
struct smtp_refusal {
    int code;
    const char *enhanced;
    const char *text;
};

struct smtp_mail {
    struct fb_slice path; /* without < >; empty = the null sender */
    uint64_t size;        /* SIZE=, 0 = not given */
    bool is_8bit, is_smtputf8;
    struct fb_slice ret, envid; /* DSN; ptr NULL = not given */
};

struct smtp_rcpt {
    struct fb_slice path;
    struct fb_slice notify, orcpt; /* DSN; ptr NULL = not given */
};

/* Attributes of the real client that a relay in front of us told. NULL = not told. */
struct smtp_xforward {
    char *name, *addr, *port, *proto, *helo, *ident, *source;
};

/* Slices lend from arg.  arg is what follows "MAIL", "RCPT"...; false: refusal_r says why. */
bool smtp_parse_mail(struct fb_slice arg, struct smtp_mail *mail_r, struct smtp_refusal *refusal_r);
/* is_smtputf8: whether MAIL said so; without it an address has ASCII only. */
bool smtp_parse_rcpt(struct fb_slice arg, bool is_smtputf8, struct smtp_rcpt *rcpt_r,
                     struct smtp_refusal *refusal_r);
bool smtp_parse_bdat(struct fb_slice arg, uint64_t *size_r, bool *is_last_r,
                     struct smtp_refusal *refusal_r);
/* Adds to (and replaces) what xforward holds. */
bool smtp_parse_xforward(struct fb_slice arg, struct smtp_xforward *xforward,
                         struct smtp_refusal *refusal_r);
void smtp_xforward_deinit(struct smtp_xforward *xforward);

/* Whether this is a mailbox of RFC 5321 4.1.2 (dots may stand anywhere in the local part: Japanese
 * carriers gave out such addresses for years); with_utf8 allows RFC 6531's characters. Also used
 * for HTTP's envelope. */
bool smtp_address_is_valid(struct fb_slice address, bool with_utf8);
bool smtp_is_ascii(struct fb_slice s);
bool smtp_is_utf8(struct fb_slice s);

#endif
