/* SPDX-License-Identifier: Apache-2.0
 *
 * The code that proves control of a mailbox, on its way from the portal, which makes it, to rewrite,
 * which mails it: sealed with a key derived from rewrite.key, for it passes through Redis, and Redis
 * must not be able to open a parcel.  It opens for its own recipient of its own parcel alone.
 *
 *   base64( version 1 | nonce 12 | sealed code | tag 16 )
 */
#ifndef FB_COMMON_PROOF_CODE_H
#define FB_COMMON_PROOF_CODE_H

#include <stdint.h>

#include "common/buf.h"

#define FB_PROOF_CODE_SIZE   17 /* digits at most, and a NUL */
#define FB_PROOF_CODE_SEALED 64 /* room for any sealed code, and its end */

/* Adds the sealed text to out.  FB_CONFIG without a key (NULL, ""), FB_INVALID for what is no parcel's
 * id and for a code that is not 1 to 16 digits; the buffer's statuses. */
FB_MUST_USE enum fb_status fb_proof_code_seal(const char *key, const char *parcel_id,
                                              uint32_t recipient, const char *code,
                                              struct fb_buf *out);
/* FB_DENIED: not sealed with this key for this recipient, whatever is wrong with it; code_r is ""
 * then.  FB_CONFIG without a key.  Wipe the code. */
FB_MUST_USE enum fb_status fb_proof_code_open(const char *key, const char *parcel_id,
                                              uint32_t recipient, const char *sealed,
                                              char code_r[FB_PROOF_CODE_SIZE]);

#endif
