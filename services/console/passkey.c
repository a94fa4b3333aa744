/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/passkey.h"

#include <cbor.h>
#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MAX_CLIENT_DATA 4096
#define MAX_OBJECT      16384
#define MAX_SIGNATURE   1024
#define MAX_HANDLE      64 /* WebAuthn 5.4.3 */
#define FLAG_UP         0x01
#define FLAG_UV         0x04
#define FLAGS_AT        32 /* behind the hash of the relying party's id */
#define LEAST_DATA      37 /* hash, flags, counter */
#define KEY_AT          55 /* and 16 bytes of AAGUID, the length of the id; then id, key, extensions */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fido_init(FIDO_DISABLE_U2F_FALLBACK);
}

static const int algorithms[] = {COSE_ES256, COSE_EDDSA, COSE_RS256};

bool passkey_rp_id(const char *origin, char *out, size_t size)
{
    const char *host = strstr(origin, "://");
    if (host == NULL) {
        return false;
    }
    host += 3;
    size_t len = strcspn(host, ":/");
    if (len == 0 || len >= size || host[0] == '[' || strspn(host, "0123456789.") >= len) {
        return false;
    }
    memcpy(out, host, len);
    out[len] = '\0';
    return true;
}

/* ---- out of JSON ---- */

static enum fb_status take_binary(const json_t *o, const char *key, struct fb_buf *out,
                                  struct fb_error *err)
{
    const json_t *value = json_object_get(o, key);
    if (!json_is_string(value) ||
        fb_base64url_decode(fb_slice_of(json_string_value(value), json_string_length(value)),
                            out) != FB_OK) {
        return fb_error_set(err, FB_DENIED, "%s is not there, or no base64url", key);
    }
    return FB_OK;
}

static bool has_text(const json_t *o, const char *key, const char *want)
{
    const json_t *value = json_object_get(o, key);
    return json_is_string(value) && json_string_length(value) == strlen(want) &&
           fb_equal_secret(json_string_value(value), want, strlen(want));
}

/* 7.1 steps 5 to 10, 7.2 steps 9 to 14.  digest_r: what is signed besides the authenticator data. */
static enum fb_status check_client_data(const json_t *response, const char *type,
                                        const struct passkey_expected *expected,
                                        uint8_t digest_r[FB_SHA256_SIZE], struct fb_error *err)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_CLIENT_DATA);
    enum fb_status s = take_binary(response, "clientDataJSON", &text, err);
    json_t *data = s == FB_OK
                       ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    if (s == FB_OK && !json_is_object(data)) {
        s = fb_error_set(err, FB_DENIED, "clientDataJSON is no JSON");
    } else if (s == FB_OK && !has_text(data, "type", type)) {
        s = fb_error_set(err, FB_DENIED, "clientDataJSON is of another ceremony");
    } else if (s == FB_OK && !has_text(data, "challenge", expected->challenge)) {
        s = fb_error_set(err, FB_DENIED, "another challenge");
    } else if (s == FB_OK && !has_text(data, "origin", expected->origin)) {
        s = fb_error_set(err, FB_DENIED, "made for the pages of somebody else");
    } else if (s == FB_OK && json_is_true(json_object_get(data, "crossOrigin"))) {
        s = fb_error_set(err, FB_DENIED, "made in a frame of somebody else's page");
    }
    if (s == FB_OK) {
        fb_sha256(text.ptr, text.len, digest_r);
    }
    json_decref(data);
    fb_buf_deinit(&text);
    return s;
}

/* The hash of the relying party's id, user present, user verified. */
static enum fb_status check_data(struct fb_slice data, const char *rp_id, struct fb_error *err)
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(rp_id, strlen(rp_id), digest);
    if (data.len < LEAST_DATA || memcmp(data.ptr, digest, sizeof digest) != 0) {
        return fb_error_set(err, FB_DENIED, "made for another site");
    }
    uint8_t flags = data.ptr[FLAGS_AT];
    if ((flags & FLAG_UP) == 0 || (flags & FLAG_UV) == 0) {
        return fb_error_set(err, FB_DENIED, "the key did not verify its user (PIN, finger, face)");
    }
    return FB_OK;
}

/* ---- a new one ---- */

static void note_size(void *ctx, size_t size)
{
    *(size_t *)ctx = size;
}

static void note_endless(void *ctx)
{
    *(size_t *)ctx = SIZE_MAX;
}

/* libcbor makes room for as many items as an array or map says it has, before it sees one: here each of them needs a
 * byte at least that is there.  Authenticators write definite lengths only (CTAP2 8). */
static bool is_sane(struct fb_slice text)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.array_start = note_size;
    callbacks.map_start = note_size;
    callbacks.indef_array_start = note_endless;
    callbacks.indef_map_start = note_endless;
    callbacks.byte_string_start = note_endless;
    callbacks.string_start = note_endless;
    for (size_t at = 0; at < text.len;) {
        size_t size = 0;
        struct cbor_decoder_result r =
            cbor_stream_decode(text.ptr + at, text.len - at, &callbacks, &size);
        if (r.status != CBOR_DECODER_FINISHED || r.read == 0) {
            return false;
        }
        at += r.read;
        if (size > text.len - at) {
            return false;
        }
    }
    return true;
}

/* authData of an attestation object: {"fmt": ..., "attStmt": ..., "authData": bytes}. */
static enum fb_status take_auth_data(const json_t *response, struct fb_buf *out,
                                     struct fb_error *err)
{
    struct fb_buf object;
    struct cbor_load_result result;
    fb_buf_init(&object, MAX_OBJECT);
    enum fb_status s = take_binary(response, "attestationObject", &object, err);
    cbor_item_t *map = s == FB_OK && object.len > 0 && is_sane(fb_slice_buf(&object))
                           ? cbor_load(object.ptr, object.len, &result)
                           : NULL;
    bool is_found = false;
    if (map != NULL && cbor_isa_map(map) && result.read == object.len) {
        struct cbor_pair *pairs = cbor_map_handle(map);
        for (size_t i = 0; i < cbor_map_size(map); i++) {
            const cbor_item_t *key = pairs[i].key;
            const cbor_item_t *value = pairs[i].value;
            if (cbor_isa_string(key) && cbor_string_is_definite(key) &&
                fb_slice_eq_str(fb_slice_of(cbor_string_handle(key), cbor_string_length(key)),
                                "authData") &&
                cbor_isa_bytestring(value) && cbor_bytestring_is_definite(value) && !is_found) {
                is_found = fb_buf_add(out, cbor_bytestring_handle(value),
                                      cbor_bytestring_length(value)) == FB_OK;
            }
        }
    }
    if (map != NULL) {
        cbor_decref(&map);
    }
    fb_buf_deinit(&object);
    return s != FB_OK || is_found
               ? s
               : fb_error_set(err, FB_DENIED, "the attestation object cannot be read");
}

/* The key in the authenticator data, whose algorithm is found by trying: NULL, it is none of ours. */
static fido_cred_t *read_key(struct fb_slice data, int *alg_r)
{
    if (data.len < KEY_AT) {
        return NULL;
    }
    size_t id_len = (size_t)data.ptr[KEY_AT - 2] << 8 | data.ptr[KEY_AT - 1];
    if (!is_sane(fb_slice_sub(data, KEY_AT + id_len, SIZE_MAX))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        fido_cred_t *cred = fido_cred_new();
        if (cred != NULL && fido_cred_set_type(cred, algorithms[i]) == FIDO_OK &&
            fido_cred_set_authdata_raw(cred, data.ptr, data.len) == FIDO_OK) {
            *alg_r = algorithms[i];
            return cred;
        }
        fido_cred_free(&cred);
    }
    return NULL;
}

/* A key that OpenSSL does not take (a point that is not on its curve) would be refused at each sign-in: better now. */
static bool is_usable(int alg, const uint8_t *key, size_t len)
{
    es256_pk_t *es = es256_pk_new();
    rs256_pk_t *rs = rs256_pk_new();
    eddsa_pk_t *ed = eddsa_pk_new();
    EVP_PKEY *pkey = NULL;
    if (alg == COSE_ES256 && es != NULL && es256_pk_from_ptr(es, key, len) == FIDO_OK) {
        pkey = es256_pk_to_EVP_PKEY(es);
    } else if (alg == COSE_RS256 && rs != NULL && rs256_pk_from_ptr(rs, key, len) == FIDO_OK) {
        pkey = rs256_pk_to_EVP_PKEY(rs);
    } else if (alg == COSE_EDDSA && ed != NULL && eddsa_pk_from_ptr(ed, key, len) == FIDO_OK) {
        pkey = eddsa_pk_to_EVP_PKEY(ed);
    }
    bool is_good = pkey != NULL;
    EVP_PKEY_free(pkey);
    es256_pk_free(&es);
    rs256_pk_free(&rs);
    eddsa_pk_free(&ed);
    return is_good;
}

static enum fb_status take_key(struct fb_slice data, const struct passkey_used *used,
                               struct fb_passkey *k, struct fb_error *err)
{
    int alg = 0;
    fido_cred_t *cred = read_key(data, &alg);
    if (cred == NULL) {
        return fb_error_set(err, FB_DENIED, "a key of a kind that is not taken");
    }
    size_t id_len = fido_cred_id_len(cred);
    size_t key_len = fido_cred_pubkey_len(cred);
    bool is_good = id_len == used->id_len && id_len > 0 && id_len <= sizeof k->id &&
                   memcmp(fido_cred_id_ptr(cred), used->id, id_len) == 0 && key_len > 0 &&
                   key_len <= sizeof k->key && is_usable(alg, fido_cred_pubkey_ptr(cred), key_len);
    if (is_good) {
        *k = (struct fb_passkey){
            .id_len = id_len, .key_len = key_len, .alg = alg, .counter = fido_cred_sigcount(cred)};
        memcpy(k->id, fido_cred_id_ptr(cred), id_len);
        memcpy(k->key, fido_cred_pubkey_ptr(cred), key_len);
    }
    fido_cred_free(&cred);
    return is_good ? FB_OK
                   : fb_error_set(err, FB_DENIED, "the key and its id do not belong together");
}

enum fb_status passkey_verify_new(const json_t *credential, const struct passkey_expected *expected,
                                  struct fb_passkey *passkey_r, struct fb_error *err)
{
    const json_t *response = json_object_get(credential, "response");
    uint8_t digest[FB_SHA256_SIZE];
    struct passkey_used used;
    struct fb_buf data;
    (void)pthread_once(&once, prepare);
    fb_buf_init(&data, MAX_OBJECT);
    enum fb_status s = passkey_read_used(credential, &used, err);
    if (s == FB_OK) {
        s = check_client_data(response, "webauthn.create", expected, digest, err);
    }
    if (s == FB_OK) {
        s = take_auth_data(response, &data, err);
    }
    if (s == FB_OK) {
        s = check_data(fb_slice_buf(&data), expected->rp_id, err);
    }
    if (s == FB_OK) {
        s = take_key(fb_slice_buf(&data), &used, passkey_r, err);
    }
    fb_buf_deinit(&data);
    return s;
}

/* ---- one that is used ---- */

enum fb_status passkey_read_used(const json_t *credential, struct passkey_used *used_r,
                                 struct fb_error *err)
{
    const json_t *response = json_object_get(credential, "response");
    const json_t *handle = json_object_get(response, "userHandle");
    struct fb_buf bytes;
    *used_r = (struct passkey_used){.id_len = 0};
    if (!has_text(credential, "type", "public-key") || !json_is_object(response)) {
        return fb_error_set(err, FB_DENIED, "this is no passkey");
    }
    fb_buf_init(&bytes, sizeof used_r->id);
    enum fb_status s = take_binary(credential, "id", &bytes, err);
    if (s == FB_OK && bytes.len > 0) {
        memcpy(used_r->id, bytes.ptr, bytes.len);
        used_r->id_len = bytes.len;
    } else if (s == FB_OK) {
        s = fb_error_set(err, FB_DENIED, "a passkey without an id");
    }
    fb_buf_deinit(&bytes);
    if (s != FB_OK || handle == NULL || json_is_null(handle) || json_string_length(handle) == 0) {
        return s;
    }
    fb_buf_init(&bytes, MAX_HANDLE);
    s = take_binary(response, "userHandle", &bytes, err);
    if (s == FB_OK && bytes.len == (FB_ACCOUNT_HANDLE - 1) / 2) {
        fb_hex(bytes.ptr, bytes.len, used_r->handle);
    } else if (s == FB_OK) {
        s = fb_error_set(err, FB_DENIED, "a passkey of somebody else");
    }
    fb_buf_deinit(&bytes);
    return s;
}

/* The public key as libfido2 wants it, and the verification; FIDO_OK = it signed. */
static int verify_with(const fido_assert_t *assertion, const struct fb_passkey *k)
{
    es256_pk_t *es = es256_pk_new();
    rs256_pk_t *rs = rs256_pk_new();
    eddsa_pk_t *ed = eddsa_pk_new();
    int rc = FIDO_ERR_INTERNAL;
    if (k->alg == COSE_ES256 && es != NULL &&
        es256_pk_from_ptr(es, k->key, k->key_len) == FIDO_OK) {
        rc = fido_assert_verify(assertion, 0, COSE_ES256, es);
    } else if (k->alg == COSE_RS256 && rs != NULL &&
               rs256_pk_from_ptr(rs, k->key, k->key_len) == FIDO_OK) {
        rc = fido_assert_verify(assertion, 0, COSE_RS256, rs);
    } else if (k->alg == COSE_EDDSA && ed != NULL &&
               eddsa_pk_from_ptr(ed, k->key, k->key_len) == FIDO_OK) {
        rc = fido_assert_verify(assertion, 0, COSE_EDDSA, ed);
    }
    es256_pk_free(&es);
    rs256_pk_free(&rs);
    eddsa_pk_free(&ed);
    return rc;
}

static enum fb_status check_signature(struct fb_slice data, struct fb_slice signature,
                                      const uint8_t digest[FB_SHA256_SIZE], const char *rp_id,
                                      const struct fb_passkey *k, uint32_t *counter_r,
                                      struct fb_error *err)
{
    fido_assert_t *a = fido_assert_new();
    bool is_good = a != NULL && fido_assert_set_count(a, 1) == FIDO_OK &&
                   fido_assert_set_rp(a, rp_id) == FIDO_OK &&
                   fido_assert_set_clientdata_hash(a, digest, FB_SHA256_SIZE) == FIDO_OK &&
                   fido_assert_set_up(a, FIDO_OPT_TRUE) == FIDO_OK &&
                   fido_assert_set_uv(a, FIDO_OPT_TRUE) == FIDO_OK &&
                   fido_assert_set_authdata_raw(a, 0, data.ptr, data.len) == FIDO_OK &&
                   fido_assert_set_sig(a, 0, signature.ptr, signature.len) == FIDO_OK &&
                   verify_with(a, k) == FIDO_OK;
    uint32_t counter = is_good ? fido_assert_sigcount(a, 0) : 0;
    fido_assert_free(&a);
    if (!is_good) {
        return fb_error_set(err, FB_DENIED, "this key did not sign it");
    }
    /* 7.2 step 21; keys that live on several devices do not count, and always say 0. */
    if ((counter != 0 || k->counter != 0) && counter <= k->counter) {
        return fb_error_set(err, FB_DENIED, "the key's count went back: there may be a copy of it");
    }
    *counter_r = counter;
    return FB_OK;
}

enum fb_status passkey_verify(const json_t *credential, const struct passkey_expected *expected,
                              const struct fb_passkey *passkey, uint32_t *counter_r,
                              struct fb_error *err)
{
    const json_t *response = json_object_get(credential, "response");
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf data, signature;
    (void)pthread_once(&once, prepare);
    fb_buf_init(&data, MAX_OBJECT);
    fb_buf_init(&signature, MAX_SIGNATURE);
    enum fb_status s = check_client_data(response, "webauthn.get", expected, digest, err);
    if (s == FB_OK) {
        s = take_binary(response, "authenticatorData", &data, err);
    }
    if (s == FB_OK) {
        s = take_binary(response, "signature", &signature, err);
    }
    if (s == FB_OK) {
        s = check_data(fb_slice_buf(&data), expected->rp_id, err);
    }
    if (s == FB_OK &&
        (signature.len == 0 || !is_sane(fb_slice_sub(fb_slice_buf(&data), LEAST_DATA, SIZE_MAX)))) {
        s = fb_error_set(err, FB_DENIED, "no signature, or extensions that cannot be read");
    }
    if (s == FB_OK) {
        s = check_signature(fb_slice_buf(&data), fb_slice_buf(&signature), digest, expected->rp_id,
                            passkey, counter_r, err);
    }
    fb_buf_deinit(&data);
    fb_buf_deinit(&signature);
    return s;
}
