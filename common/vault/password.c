/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "common/vault/vault.h"

#define SCRYPT_N   32768U
#define SCRYPT_R   8U
#define SCRYPT_P   1U
#define SCRYPT_MAX ((uint64_t)64 << 20) /* of memory; N and r take half of it */

enum fb_status fb_vault_password_hash(const char *password, const uint8_t salt[FB_VAULT_SALT],
                                      uint8_t hash_r[FB_VAULT_HASH], struct fb_error *err)
{
    uint64_t n = SCRYPT_N;
    uint64_t most = SCRYPT_MAX;
    uint32_t r = SCRYPT_R;
    uint32_t p = SCRYPT_P;
    /* The parameters are not const in OpenSSL's structure; these are only read. */
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)password,
                                          strlen(password)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt,
                                          FB_VAULT_SALT),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &most),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool is_done = ctx != NULL && EVP_KDF_derive(ctx, hash_r, FB_VAULT_HASH, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return is_done
               ? FB_OK
               : fb_error_set(err, FB_NO_SPACE, "no memory to check a password (scrypt, 32 MiB)");
}
