/* SPDX-License-Identifier: Apache-2.0
 *
 * The two links to the portal: a sender's page, and what a reader opens.
 *
 * The link to a sender's page: "<portal.public_url>/s/<text>".  The text names one message and when
 * the link ends, and is signed: whoever has it may see what became of the mail and recall it, so it
 * goes to the sender alone and is never logged.  Nothing is stored anywhere: rewrite makes it, portal
 * checks it, both with rewrite.key.
 *
 *   base64url( version 1 | message id, 16 bytes | end in ms, 8 bytes big endian | HMAC-SHA256 )
 *
 * The HMAC's key is derived from rewrite.key for this purpose alone, so that no other signature of
 * ours can be taken for one.
 */
#ifndef FB_COMMON_LINK_H
#define FB_COMMON_LINK_H

#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"

#define FB_LINK_SIZE 77 /* 57 bytes in base64url, and a NUL */

/* FB_CONFIG without a key (NULL), FB_INVALID for a bad message id or an end before 1970. */
FB_MUST_USE enum fb_status fb_link_make(const char *key, const char *msg_id, int64_t ends_ms,
                                        char out_r[FB_LINK_SIZE]);
/* FB_OK: ours, and not ended at now_ms.  FB_DENIED: not ours, whatever is wrong with it.
 * FB_NOT_FOUND: ours, but ended; both outputs are set then, too.  FB_CONFIG without a key.  The
 * comparison takes the same time for every text. */
FB_MUST_USE enum fb_status fb_link_check(const char *key, const char *text, int64_t now_ms,
                                         char msg_id_r[FB_ID_SIZE], int64_t *ends_ms_r,
                                         struct fb_error *err);

/*
 * The link that a reader of the vault gets: "<portal.public_url>/r/<text>".  The secret, which is the
 * recipient's alone, is random and lies nowhere but in that recipient's notice; the vault has its hash.
 * Nothing is signed: whether the secret is the right one only the vault can tell.
 *
 *   base64url( version 1 | message id, 16 bytes | branch, 2 | recipient, 2, big endian | secret 32 )
 */
#define FB_READER_LINK_SIZE 72 /* 53 bytes in base64url, and a NUL */
#define FB_READER_SECRET    32

/* FB_INVALID for a bad parcel id or a recipient that is no index of an envelope. */
FB_MUST_USE enum fb_status fb_reader_link_make(const char *parcel_id, uint32_t recipient,
                                               const uint8_t secret[FB_READER_SECRET],
                                               char out_r[FB_READER_LINK_SIZE]);
/* FB_INVALID: no such text, and the outputs are untouched.  One link has one text: what differs in a
 * character is another link or none.  Wipe the secret. */
FB_MUST_USE enum fb_status fb_reader_link_parse(const char *text,
                                                char parcel_id_r[FB_PARCEL_ID_SIZE],
                                                uint32_t *recipient_r,
                                                uint8_t secret_r[FB_READER_SECRET]);

#endif
