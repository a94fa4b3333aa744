/* SPDX-License-Identifier: Apache-2.0
 *
 * The authenticator app (RFC 6238, by liboath): its secret, its codes, the square that it scans, and the recovery codes
 * for when it is lost.  The portal asks recipients for it, the console administrators.
 */
#ifndef FB_COMMON_TOTP_TOTP_H
#define FB_COMMON_TOTP_TOTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/crypto.h"

#define FB_TOTP_DIGITS   6
#define FB_TOTP_SECRET   20 /* bytes: RFC 4226 R6 */
#define FB_TOTP_STEP_S   30
#define FB_TOTP_SEALED   128 /* base64 of the sealed secret, and a NUL */
#define FB_TOTP_RECOVERY 15  /* "xxxx-xxxx-xxxx" and a NUL: 60 random bits */
#define FB_TOTP_URI      1600
#define FB_TOTP_QUIET    4 /* modules around the square (ISO/IEC 18004) */

/* Reads a code as people write it: blanks, hyphens and full-width digits.  False: not 6 digits. */
bool fb_totp_code_read(const char *typed, char out_r[FB_TOTP_DIGITS + 1]);
void fb_totp_recovery_new(char out_r[FB_TOTP_RECOVERY]);
/* Capitals, missing hyphens, O for 0 and I or L for 1 are understood.  False: no such code can be. */
bool fb_totp_recovery_read(const char *typed, char out_r[FB_TOTP_RECOVERY]);

/* The app's secret, sealed for its owner alone: base64( nonce 12 | sealed 20 | tag 16 ). */
void fb_totp_seal(const uint8_t key[FB_KEY_SIZE], const char *owner,
                  const uint8_t secret[FB_TOTP_SECRET], char out_r[FB_TOTP_SEALED]);
bool fb_totp_unseal(const uint8_t key[FB_KEY_SIZE], const char *owner, const char *sealed,
                    uint8_t secret_r[FB_TOTP_SECRET]);
/* Whether the code is right at this time, one step early or late included; which step it is of.  The caller sees to it
 * that no step counts twice. */
bool fb_totp_check(const uint8_t secret[FB_TOTP_SECRET], const char *code, int64_t now_ms,
                   int64_t *step_r);

/* otpauth: as apps read it, of the secret in base32.  Names that are too long are cut.  False: it has no room. */
bool fb_totp_uri(const char *issuer, const char *who, const char *base32, char out_r[FB_TOTP_URI]);
/* The secret in base32 (RFC 4648 6), owned; wipe it.  NULL: no memory. */
char *fb_totp_base32(const uint8_t secret[FB_TOTP_SECRET]);
/* The square of a text, as the data of an SVG path in black, one unit a module, with its quiet zone; size_r is its
 * width.  FB_INVALID for what no square has room for; the buffer's statuses. */
FB_MUST_USE enum fb_status fb_totp_qr(const char *text, struct fb_buf *path, int *size_r);

#endif
