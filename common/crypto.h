/* SPDX-License-Identifier: Apache-2.0
 *
 * The few cryptographic operations that we use, each a thin cover over OpenSSL 3 (EVP): AES-256-GCM
 * (SP 800-38D), HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104), SHA-1 and SHA-256, base64 (RFC
 * 4648).
 *
 * What can only fail for want of memory or because the library is broken aborts: nothing that was
 * promised is lost by that, and a caller that went on without its key or digest could leak.  What
 * depends on data returns a status.  All functions may be called from any thread.
 */
#ifndef FB_COMMON_CRYPTO_H
#define FB_COMMON_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"

#define FB_KEY_SIZE    32 /* AES-256 */
#define FB_NONCE_SIZE  12
#define FB_TAG_SIZE    16
#define FB_SHA1_SIZE   20
#define FB_SHA256_SIZE 32

/* Overwrites a secret; not optimised away. */
void fb_wipe(void *ptr, size_t len);
/* Compares in a time that depends on len only. */
bool fb_equal_secret(const void *a, const void *b, size_t len);

/* AES-256-GCM: writes in.len bytes of cipher text to out (may be in.ptr) and the tag.  The pair of
 * key and nonce must never be used twice.  in.len and aad.len stay below 1 GiB. */
void fb_gcm_seal(const uint8_t key[FB_KEY_SIZE], const uint8_t nonce[FB_NONCE_SIZE],
                 struct fb_slice aad, struct fb_slice in, uint8_t *out, uint8_t tag[FB_TAG_SIZE]);
/* The way back; FB_CORRUPT when the tag does not fit: out (may be in.ptr) holds zeros then, never
 * wrong bytes. */
FB_MUST_USE enum fb_status fb_gcm_open(const uint8_t key[FB_KEY_SIZE],
                                       const uint8_t nonce[FB_NONCE_SIZE], struct fb_slice aad,
                                       struct fb_slice in, const uint8_t tag[FB_TAG_SIZE],
                                       uint8_t *out);

/* HKDF-SHA256, extract and expand; out_len at most 255 * 32.  salt may be empty. */
void fb_hkdf_sha256(struct fb_slice key, struct fb_slice salt, struct fb_slice info, uint8_t *out,
                    size_t out_len);

void fb_hmac_sha256(struct fb_slice key, struct fb_slice data, uint8_t out[FB_SHA256_SIZE]);

enum fb_hash_kind { FB_HASH_SHA1, FB_HASH_SHA256 };
/* A digest under way.  init, update any number of times, final once; deinit frees in every state
 * (also zeroed). */
struct fb_hash {
    void *ctx;
    enum fb_hash_kind kind;
};
void fb_hash_init(struct fb_hash *hash, enum fb_hash_kind kind);
void fb_hash_update(struct fb_hash *hash, const void *ptr, size_t len);
/* Writes FB_SHA1_SIZE or FB_SHA256_SIZE bytes and starts anew. */
void fb_hash_final(struct fb_hash *hash, uint8_t *out);
void fb_hash_deinit(struct fb_hash *hash);
void fb_sha256(const void *ptr, size_t len, uint8_t out[FB_SHA256_SIZE]);
void fb_sha1(const void *ptr, size_t len, uint8_t out[FB_SHA1_SIZE]);

/* RFC 4648 section 4 with padding, and section 5 (URL-safe) without.  Appends; FB_TOO_BIG,
 * FB_NO_SPACE. */
FB_MUST_USE enum fb_status fb_base64_encode(struct fb_slice in, struct fb_buf *out);
FB_MUST_USE enum fb_status fb_base64url_encode(struct fb_slice in, struct fb_buf *out);
/* Strict: no blanks, padding exactly as the encoder writes it, unused bits zero.  FB_INVALID else;
 * out is then unchanged.  (Bodies of mail need a tolerant decoder: not this one.) */
FB_MUST_USE enum fb_status fb_base64_decode(struct fb_slice in, struct fb_buf *out);
FB_MUST_USE enum fb_status fb_base64url_decode(struct fb_slice in, struct fb_buf *out);

#endif
