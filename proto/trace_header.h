/* SPDX-License-Identifier: Apache-2.0
 *
 * X-Fumibako-Id, the trace header that every mail of ours carries:
 *
 *   X-Fumibako-Id: 01J...ULID; b=0; h=<base64url of HMAC-SHA256>
 *
 * A mail that comes through again passes untouched only when this header is ours.  A sender can see
 * such headers and may copy them, so the HMAC (key: rewrite.key) covers the message id, the branch
 * and the hash of the body; and the reader must check on top that every recipient now belongs to
 * that branch in the ledger, or, for a letter, is the message's sender.
 */
#ifndef FB_PROTO_TRACE_HEADER_H
#define FB_PROTO_TRACE_HEADER_H

#include <openssl/evp.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"

#define FB_TRACE_HEADER "X-Fumibako-Id"
/* In place of the branch (and never one): a letter to the message's sender. */
#define FB_TRACE_LETTER 90000

/* SHA-256 of a body, line ends at its end left out (an MTA may add or drop one). */
struct fb_body_hash {
    EVP_MD_CTX *md;
    size_t held_crlf;
    bool held_cr;
};
FB_MUST_USE enum fb_status fb_body_hash_init(struct fb_body_hash *h);
FB_MUST_USE enum fb_status fb_body_hash_add(struct fb_body_hash *h, struct fb_slice bytes);
/* Ends and frees. */
FB_MUST_USE enum fb_status fb_body_hash_final(struct fb_body_hash *h, uint8_t hash_r[32]);

/* The field's body (without the name), appended to out. FB_CONFIG without a key. */
FB_MUST_USE enum fb_status fb_trace_header_make(const char *key, const char *msg_id,
                                                uint32_t branch, const uint8_t body_hash[32],
                                                struct fb_buf *out);
/* True when the value was made with this key over this body. */
bool fb_trace_header_verify(const char *key, struct fb_slice value, const uint8_t body_hash[32],
                            char msg_id_r[FB_ID_SIZE], uint32_t *branch_r);

#endif
