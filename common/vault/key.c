/* SPDX-License-Identifier: Apache-2.0
 *
 * A parcel's key file: magic[8], id[32], print[8] and salt[16] of the key that wraps, state[4],
 * nonce[12], wrapped key[32], tag[16], SHA-256[32] of bytes 0 to 63.  What destroying overwrites,
 * bytes 64 to 127, lies in one sector of any disk.
 */
#include <string.h>

#include "common/vault/internal.h"

static const uint8_t magic[8] = {'F', 'B', 'V', 'K', 'E', 'Y', 'S', '1'};
static const uint8_t live[4] = {'L', 'I', 'V', 'E'};
static const uint8_t gone[4] = {'G', 'O', 'N', 'E'};

/* Binds the key to the parcel. */
static struct fb_slice key_aad(const char *parcel_id, uint8_t aad[64])
{
    size_t len = strnlen(parcel_id, FB_PARCEL_ID_SIZE);
    memcpy(aad, magic, sizeof magic);
    memcpy(aad + sizeof magic, parcel_id, len);
    return fb_slice_of(aad, sizeof magic + len);
}

void fb_vault_key_make(const struct fb_vault *v, const char *parcel_id,
                       uint8_t bytes_r[FB_VAULT_KEY_SIZE])
{
    uint8_t key[FB_KEY_SIZE];
    uint8_t aad[64];
    struct fb_key_wrap wrap;
    fb_random(key, sizeof key);
    fb_keyring_wrap(v->keys, key_aad(parcel_id, aad), key, &wrap);
    fb_wipe(key, sizeof key);
    memset(bytes_r, 0, FB_VAULT_KEY_SIZE);
    memcpy(bytes_r, magic, sizeof magic);
    memcpy(bytes_r + 8, wrap.key_id, FB_KEYRING_ID);
    memcpy(bytes_r + 40, wrap.print, FB_KEYRING_PRINT);
    memcpy(bytes_r + 48, wrap.salt, FB_KEYRING_SALT);
    memcpy(bytes_r + 64, live, sizeof live);
    memcpy(bytes_r + 68, wrap.nonce, FB_NONCE_SIZE);
    memcpy(bytes_r + 80, wrap.key, FB_KEY_SIZE);
    memcpy(bytes_r + 112, wrap.tag, FB_TAG_SIZE);
    fb_sha256(bytes_r, FB_VAULT_KEY_SECRET, bytes_r + 128);
}

bool fb_vault_key_is_gone(const uint8_t bytes[FB_VAULT_KEY_SIZE])
{
    return memcmp(bytes + FB_VAULT_KEY_SECRET, gone, sizeof gone) == 0;
}

void fb_vault_key_gone(uint8_t out[FB_VAULT_KEY_SECRET_SIZE])
{
    memset(out, 0, FB_VAULT_KEY_SECRET_SIZE);
    memcpy(out, gone, sizeof gone);
}

static enum fb_status open_key(const struct fb_vault *v, const char *parcel_id,
                               const uint8_t bytes[FB_VAULT_KEY_SIZE], uint8_t key_r[FB_KEY_SIZE],
                               struct fb_error *err)
{
    uint8_t digest[FB_SHA256_SIZE];
    uint8_t aad[64];
    struct fb_key_wrap wrap = {0};
    if (fb_vault_key_is_gone(bytes)) {
        return fb_error_set(err, FB_NOT_FOUND, "parcel %s was purged", parcel_id);
    }
    if (fb_seal_is_newer(bytes, magic, sizeof magic)) {
        return fb_seal_newer(err, "the parcel's key");
    }
    fb_sha256(bytes, FB_VAULT_KEY_SECRET, digest);
    if (memcmp(bytes, magic, sizeof magic) != 0 ||
        memcmp(digest, bytes + 128, sizeof digest) != 0 ||
        memcmp(bytes + FB_VAULT_KEY_SECRET, live, sizeof live) != 0) {
        return fb_error_set(err, FB_CORRUPT, "the key of parcel %s is damaged", parcel_id);
    }
    memcpy(wrap.key_id, bytes + 8, FB_KEYRING_ID);
    memcpy(wrap.print, bytes + 40, FB_KEYRING_PRINT);
    memcpy(wrap.salt, bytes + 48, FB_KEYRING_SALT);
    memcpy(wrap.nonce, bytes + 68, FB_NONCE_SIZE);
    memcpy(wrap.key, bytes + 80, FB_KEY_SIZE);
    memcpy(wrap.tag, bytes + 112, FB_TAG_SIZE);
    enum fb_status s = fb_keyring_unwrap(v->keys, key_aad(parcel_id, aad), &wrap, key_r, err);
    return s == FB_OK ? FB_OK : fb_error_prefix(err, "parcel %s", parcel_id);
}

enum fb_status fb_vault_key_get(struct fb_vault *v, const char *parcel_id,
                                uint8_t key_r[FB_KEY_SIZE], struct fb_error *err)
{
    uint8_t bytes[FB_VAULT_KEY_SIZE];
    enum fb_status s = v->backend->key_read(v, parcel_id, bytes, err);
    return s == FB_OK ? open_key(v, parcel_id, bytes, key_r, err) : s;
}

void fb_vault_key_derive(const uint8_t key[FB_KEY_SIZE], const uint8_t salt[FB_VAULT_SALT],
                         const char *what, const char *parcel_id, const char *name,
                         uint8_t out[FB_KEY_SIZE])
{
    /* Each part with its NUL: no two places have the same text. */
    uint8_t info[128] = {0};
    const char *const parts[] = {what, parcel_id, name};
    size_t len = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = strlen(parts[i]) + 1;
        FB_ASSERT(n <= sizeof info - len);
        memcpy(info + len, parts[i], n);
        len += n;
    }
    fb_hkdf_sha256(fb_slice_of(key, FB_KEY_SIZE), fb_slice_of(salt, FB_VAULT_SALT),
                   fb_slice_of(info, len), out, FB_KEY_SIZE);
}
