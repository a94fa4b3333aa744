/* SPDX-License-Identifier: Apache-2.0
 *
 * A key file, and data keys wrapped by its keys.  Lines "<id>:<base64 of 32 bytes>"; the first key
 * seals, all of them open (rotation: put the new key first).  The file must not be readable by
 * others.  May be used by many threads.
 */
#ifndef FB_COMMON_KEYRING_H
#define FB_COMMON_KEYRING_H

#include "common/crypto.h"

#define FB_KEYRING_ID    32
#define FB_KEYRING_PRINT 8
#define FB_KEYRING_SALT  16

/* A data key under a key of the key file.  The wrapping key is HKDF(key of the file, salt): a
 * random nonce under one and the same key would have to stop after 2^32 wraps.  Writers use a salt,
 * and the key derived with it, for some thousands of them. */
struct fb_key_wrap {
    uint8_t key_id[FB_KEYRING_ID]; /* padded with zeros */
    uint8_t print[FB_KEYRING_PRINT];
    uint8_t salt[FB_KEYRING_SALT];
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t key[FB_KEY_SIZE];
    uint8_t tag[FB_TAG_SIZE];
};

struct fb_keyring;

/* purpose: "spool", "vault": the same file used for another purpose opens nothing of this one.
 * FB_CONFIG with words. */
FB_MUST_USE enum fb_status fb_keyring_load(const char *path, const char *purpose,
                                           struct fb_keyring **ring_r, struct fb_error *err);
/* Wipes and frees; NULL-safe. */
void fb_keyring_free(struct fb_keyring **ring);
/* aad: what the key is bound to. */
void fb_keyring_wrap(struct fb_keyring *ring, struct fb_slice aad, const uint8_t key[FB_KEY_SIZE],
                     struct fb_key_wrap *wrap_r);
/* FB_CONFIG: that key is not in the file, or another one of that name is; FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_keyring_unwrap(const struct fb_keyring *ring, struct fb_slice aad,
                                             const struct fb_key_wrap *wrap,
                                             uint8_t key_r[FB_KEY_SIZE], struct fb_error *err);
/* A key for another purpose, made from the first one of the file: the same in all programs that use
 * the file, another one when a new key is put first. */
void fb_keyring_derive(const struct fb_keyring *ring, const char *purpose,
                       uint8_t key_r[FB_KEY_SIZE]);
/* Writes a fresh key file (mode 0600) when there is none. */
FB_MUST_USE enum fb_status fb_keyring_make_file(const char *path, struct fb_error *err);

#endif
