/* SPDX-License-Identifier: Apache-2.0
 *
 * Covers over OpenSSL 3.  The algorithms are fetched once: an implicit fetch per call takes a lock
 * and costs more than sealing a small mail.
 */
#include "common/crypto.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define MAX_ONE_CALL ((size_t)1 << 30)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t sealing;
static EVP_CIPHER *gcm;
static EVP_KDF *hkdf;
static EVP_MD *md_sha1;
static EVP_MD *md_sha256;

static void free_context(void *ctx)
{
    EVP_CIPHER_CTX_free(ctx); /* wipes */
}

static void fetch(void)
{
    FB_ASSERT(pthread_key_create(&sealing, free_context) == 0);
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    FB_ASSERT(gcm != NULL && hkdf != NULL && md_sha1 != NULL && md_sha256 != NULL);
}

static void prepare(void)
{
    FB_ASSERT(pthread_once(&once, fetch) == 0);
}

void fb_wipe(void *ptr, size_t len)
{
    if (ptr != NULL) {
        explicit_bzero(ptr, len);
    }
}

bool fb_equal_secret(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

/* One context a thread for sealing: making one costs as much as sealing a kilobyte.  It keeps the
 * last key, of which the sealing thread has copies anyway, until the next one. */
static EVP_CIPHER_CTX *sealing_context(void)
{
    EVP_CIPHER_CTX *ctx = pthread_getspecific(sealing);
    if (ctx == NULL) {
        ctx = EVP_CIPHER_CTX_new();
        FB_ASSERT(ctx != NULL && EVP_EncryptInit_ex2(ctx, gcm, NULL, NULL, NULL) == 1);
        FB_ASSERT(pthread_setspecific(sealing, ctx) == 0);
    }
    return ctx;
}

void fb_gcm_seal(const uint8_t key[FB_KEY_SIZE], const uint8_t nonce[FB_NONCE_SIZE],
                 struct fb_slice aad, struct fb_slice in, uint8_t *out, uint8_t tag[FB_TAG_SIZE])
{
    prepare();
    FB_ASSERT(in.len < MAX_ONE_CALL && aad.len < MAX_ONE_CALL);
    EVP_CIPHER_CTX *ctx = sealing_context();
    int n = 0;
    FB_ASSERT(EVP_EncryptInit_ex2(ctx, NULL, key, nonce, NULL) == 1);
    if (aad.len > 0) {
        FB_ASSERT(EVP_EncryptUpdate(ctx, NULL, &n, aad.ptr, (int)aad.len) == 1);
    }
    if (in.len > 0) {
        FB_ASSERT(EVP_EncryptUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1);
        FB_ASSERT((size_t)n == in.len);
    }
    uint8_t none[FB_TAG_SIZE];
    FB_ASSERT(EVP_EncryptFinal_ex(ctx, none, &n) == 1);
    FB_ASSERT(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, FB_TAG_SIZE, tag) == 1);
}

enum fb_status fb_gcm_open(const uint8_t key[FB_KEY_SIZE], const uint8_t nonce[FB_NONCE_SIZE],
                           struct fb_slice aad, struct fb_slice in, const uint8_t tag[FB_TAG_SIZE],
                           uint8_t *out)
{
    prepare();
    if (in.len >= MAX_ONE_CALL || aad.len >= MAX_ONE_CALL) {
        return FB_CORRUPT;
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    FB_ASSERT(ctx != NULL);
    int n = 0;
    FB_ASSERT(EVP_DecryptInit_ex2(ctx, gcm, key, nonce, NULL) == 1);
    if (aad.len > 0) {
        FB_ASSERT(EVP_DecryptUpdate(ctx, NULL, &n, aad.ptr, (int)aad.len) == 1);
    }
    if (in.len > 0) {
        FB_ASSERT(EVP_DecryptUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1);
    }
    uint8_t expected[FB_TAG_SIZE]; /* OpenSSL takes a pointer to non-const */
    memcpy(expected, tag, sizeof expected);
    FB_ASSERT(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, FB_TAG_SIZE, expected) == 1);
    uint8_t none[FB_TAG_SIZE];
    bool is_good = EVP_DecryptFinal_ex(ctx, none, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!is_good && in.len > 0) {
        explicit_bzero(out, in.len);
    }
    return is_good ? FB_OK : FB_CORRUPT;
}

void fb_hkdf_sha256(struct fb_slice key, struct fb_slice salt, struct fb_slice info, uint8_t *out,
                    size_t out_len)
{
    prepare();
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(hkdf);
    FB_ASSERT(ctx != NULL);
    char digest[] = "SHA256";
    /* OSSL_PARAM takes non-const pointers and does not write through them here. */
    union {
        const uint8_t *in;
        uint8_t *param;
    } k = {key.ptr}, s = {salt.ptr}, i = {info.ptr};
    OSSL_PARAM params[5];
    size_t count = 0;
    params[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[count++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, k.param, key.len);
    if (salt.len > 0) {
        params[count++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, s.param, salt.len);
    }
    if (info.len > 0) {
        params[count++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, i.param, info.len);
    }
    params[count] = OSSL_PARAM_construct_end();
    FB_ASSERT(EVP_KDF_derive(ctx, out, out_len, params) == 1);
    EVP_KDF_CTX_free(ctx);
}

void fb_hmac_sha256(struct fb_slice key, struct fb_slice data, uint8_t out[FB_SHA256_SIZE])
{
    prepare();
    unsigned int len = 0;
    FB_ASSERT(key.len <= INT_MAX);
    /* An empty key is legal in HMAC, a NULL one means "the key before" to this call. */
    const void *k = key.ptr != NULL ? (const void *)key.ptr : "";
    FB_ASSERT(HMAC(md_sha256, k, (int)key.len, data.ptr, data.len, out, &len) != NULL);
    FB_ASSERT(len == FB_SHA256_SIZE);
}

void fb_hash_init(struct fb_hash *hash, enum fb_hash_kind kind)
{
    prepare();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FB_ASSERT(ctx != NULL);
    FB_ASSERT(EVP_DigestInit_ex2(ctx, kind == FB_HASH_SHA1 ? md_sha1 : md_sha256, NULL) == 1);
    *hash = (struct fb_hash){ctx, kind};
}

void fb_hash_update(struct fb_hash *hash, const void *ptr, size_t len)
{
    FB_ASSERT(EVP_DigestUpdate(hash->ctx, ptr, len) == 1);
}

void fb_hash_final(struct fb_hash *hash, uint8_t *out)
{
    FB_ASSERT(EVP_DigestFinal_ex(hash->ctx, out, NULL) == 1);
    const EVP_MD *md = hash->kind == FB_HASH_SHA1 ? md_sha1 : md_sha256;
    FB_ASSERT(EVP_DigestInit_ex2(hash->ctx, md, NULL) == 1);
}

void fb_hash_deinit(struct fb_hash *hash)
{
    EVP_MD_CTX_free(hash->ctx);
    hash->ctx = NULL;
}

void fb_sha256(const void *ptr, size_t len, uint8_t out[FB_SHA256_SIZE])
{
    prepare();
    FB_ASSERT(EVP_Digest(ptr, len, out, NULL, md_sha256, NULL) == 1);
}

void fb_sha1(const void *ptr, size_t len, uint8_t out[FB_SHA1_SIZE])
{
    prepare();
    FB_ASSERT(EVP_Digest(ptr, len, out, NULL, md_sha1, NULL) == 1);
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum fb_status encode(struct fb_slice in, const char *alphabet, bool is_padded,
                             struct fb_buf *out)
{
    if (in.len > SIZE_MAX / 2) {
        return FB_TOO_BIG;
    }
    size_t rest = in.len % 3;
    size_t len = in.len / 3 * 4 + (rest == 0 ? 0 : is_padded ? 4 : rest + 1);
    enum fb_status status = fb_buf_reserve(out, len);
    if (status != FB_OK) {
        return status;
    }
    uint8_t *to = out->ptr + out->len;
    for (size_t i = 0; i < in.len; i += 3) {
        size_t have = in.len - i < 3 ? in.len - i : 3;
        uint32_t bits = (uint32_t)in.ptr[i] << 16;
        bits |= have > 1 ? (uint32_t)in.ptr[i + 1] << 8 : 0;
        bits |= have > 2 ? in.ptr[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            if (k <= have) {
                *to++ = (uint8_t)alphabet[bits >> (18 - 6 * k) & 63];
            } else if (is_padded) {
                *to++ = '=';
            }
        }
    }
    out->len += len;
    if (out->ptr != NULL) {
        out->ptr[out->len] = '\0';
    }
    return FB_OK;
}

static int value_of(const char *alphabet, uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == (uint8_t)alphabet[62] ? 62 : c == (uint8_t)alphabet[63] ? 63 : -1;
}

static enum fb_status decode(struct fb_slice in, const char *alphabet, bool is_padded,
                             struct fb_buf *out)
{
    if (is_padded) {
        if (in.len % 4 != 0) {
            return FB_INVALID;
        }
        for (int k = 0; k < 2 && in.len > 0 && in.ptr[in.len - 1] == '='; k++) {
            in.len--;
        }
    }
    if (in.len % 4 == 1) {
        return FB_INVALID;
    }
    size_t before = out->len;
    enum fb_status status = fb_buf_reserve(out, in.len / 4 * 3 + (in.len % 4 * 3) / 4);
    if (status != FB_OK) {
        return status;
    }
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < in.len; i++) {
        int value = value_of(alphabet, in.ptr[i]);
        if (value < 0) {
            status = FB_INVALID;
            break;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xFFFFFF;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out->ptr[out->len++] = (uint8_t)(bits >> have & 0xFF);
        }
    }
    /* Unused bits that are not zero would let two texts mean the same bytes. */
    if (status == FB_OK && (bits & ((1U << have) - 1)) != 0) {
        status = FB_INVALID;
    }
    if (status != FB_OK) {
        out->len = before;
    }
    if (out->ptr != NULL) {
        out->ptr[out->len] = '\0';
    }
    return status;
}

enum fb_status fb_base64_encode(struct fb_slice in, struct fb_buf *out)
{
    return encode(in, standard, true, out);
}

enum fb_status fb_base64url_encode(struct fb_slice in, struct fb_buf *out)
{
    return encode(in, url_safe, false, out);
}

enum fb_status fb_base64_decode(struct fb_slice in, struct fb_buf *out)
{
    return decode(in, standard, true, out);
}

enum fb_status fb_base64url_decode(struct fb_slice in, struct fb_buf *out)
{
    return decode(in, url_safe, false, out);
}
