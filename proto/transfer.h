/* SPDX-License-Identifier: Apache-2.0
 *
 * Content-Transfer-Encoding decoders (RFC 2045 6.7 and 6.8, and uuencode): streaming, without
 * allocation, and total: every input gives an output, and how the bytes are cut into calls never
 * changes it.  Sizes and SHA-1 in the plan come from here, so whoever decodes the same range later
 * must use the same rules:
 *
 *  base64  bytes outside of the alphabet are skipped; '=' ends a quantum, decoding goes on behind it;
 *          a last incomplete quantum gives the whole bytes that it holds.
 *  QP      "=XY" in hex of either case; "=" before CRLF or LF, and at the end, is a soft line break;
 *          any other "=" stands for itself; all other bytes pass unchanged, line ends included.
 *  uu      lines before "begin " are skipped; decoding stops at "end" or a zero-length line.  Blanks
 *          cut from the end of a line stand for zero, as long as the output does not run ahead of the
 *          input by more than the slack; a line beyond that, or broken, is left out.
 */
#ifndef FB_PROTO_TRANSFER_H
#define FB_PROTO_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/plan.h"

/* What a call may give beyond the length of its input, and all calls together beyond all input.  It is
 * for uuencode: 4 KiB of zeros in a row may have lost their blanks. */
#define FB_TRANSFER_SLACK 4096

struct fb_transfer {
    enum fb_encoding encoding;
    uint32_t bits;
    unsigned count;  /* base64: sextets in bits; QP and uu: bytes in held */
    unsigned credit; /* uu: bytes that may be given more than were read */
    uint8_t held[80];
    bool has_begun, is_done, is_line_long;
};

void fb_transfer_init(struct fb_transfer *t, enum fb_encoding encoding);
/* Decodes len bytes into out, which has room for len + FB_TRANSFER_SLACK; returns the bytes
 * given. */
size_t fb_transfer_step(struct fb_transfer *t, const uint8_t *in, size_t len, uint8_t *out);
/* What is left at the end of the input (at most FB_TRANSFER_SLACK bytes). */
size_t fb_transfer_end(struct fb_transfer *t, uint8_t *out);
/* Decodes one uuencoded line (without its line end) into out (64 bytes).  Returns the count, -1 for
 * no such line. */
int fb_transfer_uu_line(const uint8_t *line, size_t len, uint8_t *out);

#endif
