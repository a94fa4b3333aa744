/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "common/crypto.h"

#define MAX_TOKEN    16384
#define MAX_KEYS     50
#define MAX_NUMBER   1024 /* bytes of a modulus: RSA 8192 */
#define LEAST_RSA    2048
#define COORDINATE   32 /* bytes of P-256 */
#define CLOCK_SKEW_S 60
#define OLDEST_S     600 /* a token that was issued for this sign-in is younger */

enum algorithm { ALG_NONE, ALG_RS256, ALG_ES256 };

struct parts {
    struct fb_slice header, payload, signature, signed_text;
};

static enum fb_status split(const char *token, struct parts *p, struct fb_error *err)
{
    struct fb_slice rest = fb_slice_str(token);
    size_t first = fb_slice_find(rest, FB_SLICE_LITERAL("."));
    size_t second = first == SIZE_MAX ? SIZE_MAX
                                      : fb_slice_find(fb_slice_sub(rest, first + 1, SIZE_MAX),
                                                      FB_SLICE_LITERAL("."));
    if (rest.len > MAX_TOKEN || first == SIZE_MAX || second == SIZE_MAX) {
        return fb_error_set(err, FB_DENIED, "the ID token has no three parts");
    }
    second += first + 1;
    p->header = fb_slice_sub(rest, 0, first);
    p->payload = fb_slice_sub(rest, first + 1, second - first - 1);
    p->signature = fb_slice_sub(rest, second + 1, SIZE_MAX);
    p->signed_text = fb_slice_sub(rest, 0, second);
    return FB_OK;
}

static json_t *read_json(struct fb_slice base64)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_TOKEN);
    json_t *o = fb_base64url_decode(base64, &text) == FB_OK && text.len > 0
                    ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    fb_buf_deinit(&text);
    if (!json_is_object(o)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static bool is_text(const json_t *o, const char *key, const char *want)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value != NULL && json_string_length(json_object_get(o, key)) == strlen(want) &&
           strcmp(value, want) == 0;
}

/* ---- keys ---- */

static bool take_number(const json_t *jwk, const char *key, struct fb_buf *out)
{
    const json_t *value = json_object_get(jwk, key);
    fb_buf_clear(out);
    return json_is_string(value) &&
           fb_base64url_decode(fb_slice_of(json_string_value(value), json_string_length(value)),
                               out) == FB_OK &&
           out->len > 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = build != NULL ? OSSL_PARAM_BLD_to_param(build) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
    struct fb_buf n, e;
    fb_buf_init(&n, MAX_NUMBER);
    fb_buf_init(&e, 8);
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build != NULL && take_number(jwk, "n", &n) && take_number(jwk, "e", &e)) {
        BIGNUM *bn = BN_bin2bn(n.ptr, (int)n.len, NULL);
        BIGNUM *be = BN_bin2bn(e.ptr, (int)e.len, NULL);
        if (bn != NULL && be != NULL && BN_num_bits(bn) >= LEAST_RSA &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be) == 1) {
            key = from_params("RSA", build);
        }
        BN_free(bn);
        BN_free(be);
    }
    OSSL_PARAM_BLD_free(build);
    fb_buf_deinit(&n);
    fb_buf_deinit(&e);
    return key;
}

static EVP_PKEY *ec_key(const json_t *jwk)
{
    uint8_t point[1 + 2 * COORDINATE] = {0x04}; /* SEC 1 2.3.3: not compressed */
    struct fb_buf x, y;
    fb_buf_init(&x, COORDINATE);
    fb_buf_init(&y, COORDINATE);
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build != NULL && is_text(jwk, "crv", "P-256") && take_number(jwk, "x", &x) &&
        take_number(jwk, "y", &y) && x.len == COORDINATE && y.len == COORDINATE) {
        memcpy(point + 1, x.ptr, COORDINATE);
        memcpy(point + 1 + COORDINATE, y.ptr, COORDINATE);
        if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) ==
                1) {
            key = from_params("EC", build);
        }
    }
    OSSL_PARAM_BLD_free(build);
    fb_buf_deinit(&x);
    fb_buf_deinit(&y);
    return key;
}

/* ---- signatures ---- */

static bool verify_der(EVP_PKEY *key, struct fb_slice text, const uint8_t *signature, size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_right = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestVerify(ctx, signature, len, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_right;
}

/* RFC 7518 3.4: r and s one behind the other; OpenSSL wants DER. */
static bool verify_es256(EVP_PKEY *key, struct fb_slice text, struct fb_slice signature)
{
    uint8_t *der = NULL;
    bool is_right = false;
    if (signature.len != 2 * COORDINATE) {
        return false;
    }
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.ptr, COORDINATE, NULL);
    BIGNUM *s = BN_bin2bn(signature.ptr + COORDINATE, COORDINATE, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = NULL;
        s = NULL;
        int len = i2d_ECDSA_SIG(sig, &der);
        is_right = len > 0 && verify_der(key, text, der, (size_t)len);
    }
    BN_free(r);
    BN_free(s);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return is_right;
}

static bool is_signed_by(const json_t *jwk, enum algorithm alg, const struct parts *p,
                         struct fb_slice signature)
{
    EVP_PKEY *key = alg == ALG_RS256 ? rsa_key(jwk) : ec_key(jwk);
    bool is_right =
        key != NULL &&
        (alg == ALG_RS256 ? verify_der(key, p->signed_text, signature.ptr, signature.len)
                          : verify_es256(key, p->signed_text, signature));
    EVP_PKEY_free(key);
    return is_right;
}

/* Whether the key may be the one that the header names. */
static bool is_candidate(const json_t *jwk, enum algorithm alg, const char *kid)
{
    const json_t *use = json_object_get(jwk, "use");
    const json_t *own_alg = json_object_get(jwk, "alg");
    return is_text(jwk, "kty", alg == ALG_RS256 ? "RSA" : "EC") &&
           (use == NULL || is_text(jwk, "use", "sig")) &&
           (own_alg == NULL || is_text(jwk, "alg", alg == ALG_RS256 ? "RS256" : "ES256")) &&
           (kid == NULL || is_text(jwk, "kid", kid));
}

static enum fb_status check_signature(const json_t *header, const struct parts *p,
                                      const json_t *key_set, struct fb_error *err)
{
    const char *kid = json_string_value(json_object_get(header, "kid"));
    const json_t *keys = json_object_get(key_set, "keys");
    enum algorithm alg = is_text(header, "alg", "RS256")   ? ALG_RS256
                         : is_text(header, "alg", "ES256") ? ALG_ES256
                                                           : ALG_NONE;
    bool has_candidate = false, is_right = false;
    struct fb_buf signature;
    if (alg == ALG_NONE || json_object_get(header, "crit") != NULL) {
        return fb_error_set(
            err, FB_DENIED,
            "the ID token is signed in a way that is not taken: RS256 and ES256 are");
    }
    fb_buf_init(&signature, MAX_NUMBER);
    if (fb_base64url_decode(p->signature, &signature) != FB_OK || signature.len == 0) {
        fb_buf_deinit(&signature);
        return fb_error_set(err, FB_DENIED, "the ID token has no signature");
    }
    for (size_t i = 0; i < json_array_size(keys) && i < MAX_KEYS && !is_right; i++) {
        const json_t *jwk = json_array_get(keys, i);
        if (is_candidate(jwk, alg, kid)) {
            has_candidate = true;
            is_right = is_signed_by(jwk, alg, p, fb_slice_buf(&signature));
        }
    }
    fb_buf_deinit(&signature);
    return is_right        ? FB_OK
           : has_candidate ? fb_error_set(err, FB_DENIED, "the ID token's signature is wrong")
                           : fb_error_set(err, FB_NOT_FOUND, "no key for the ID token");
}

/* ---- claims ---- */

static bool has_audience(const json_t *claims, const char *audience)
{
    const json_t *aud = json_object_get(claims, "aud");
    bool has = is_text(claims, "aud", audience);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *value = json_string_value(json_array_get(aud, i));
        has = has || (value != NULL && strcmp(value, audience) == 0);
    }
    return has;
}

/* The party that the token was made for, where there are several audiences. */
static bool is_for_us(const json_t *claims, const char *audience)
{
    const json_t *azp = json_object_get(claims, "azp");
    bool is_one = json_array_size(json_object_get(claims, "aud")) <= 1;
    return has_audience(claims, audience) &&
           (azp == NULL ? is_one : is_text(claims, "azp", audience));
}

static enum fb_status check_claims(const json_t *claims, const struct jwt_expected *x,
                                   struct fb_error *err)
{
    const json_t *exp = json_object_get(claims, "exp");
    const json_t *iat = json_object_get(claims, "iat");
    const json_t *nbf = json_object_get(claims, "nbf");
    const json_t *sub = json_object_get(claims, "sub");
    double now = (double)x->now_ms / 1000;
    if (!is_text(claims, "iss", x->issuer)) {
        return fb_error_set(err, FB_DENIED, "the ID token is of another issuer");
    }
    if (!is_for_us(claims, x->audience)) {
        return fb_error_set(err, FB_DENIED, "the ID token was made for somebody else");
    }
    if (!json_is_number(exp) || json_number_value(exp) + CLOCK_SKEW_S <= now) {
        return fb_error_set(err, FB_DENIED, "the ID token has expired");
    }
    if (!json_is_number(iat) || json_number_value(iat) > now + CLOCK_SKEW_S ||
        json_number_value(iat) < now - OLDEST_S ||
        (nbf != NULL && (!json_is_number(nbf) || json_number_value(nbf) > now + CLOCK_SKEW_S))) {
        return fb_error_set(err, FB_DENIED, "the ID token is of another time: compare the clocks");
    }
    if (!is_text(claims, "nonce", x->nonce)) {
        return fb_error_set(err, FB_DENIED, "the ID token answers another sign-in");
    }
    if (!json_is_string(sub) || json_string_length(sub) == 0 || json_string_length(sub) > 255 ||
        strlen(json_string_value(sub)) != json_string_length(sub)) {
        return fb_error_set(err, FB_DENIED, "the ID token does not say whom it is about");
    }
    return FB_OK;
}

enum fb_status jwt_verify(const char *token, const json_t *key_set,
                          const struct jwt_expected *expected, json_t **claims_r,
                          struct fb_error *err)
{
    struct parts p;
    enum fb_status s = split(token, &p, err);
    if (s != FB_OK) {
        return s;
    }
    json_t *header = read_json(p.header);
    json_t *claims = NULL;
    s = header != NULL ? check_signature(header, &p, key_set, err)
                       : fb_error_set(err, FB_DENIED, "the ID token's header cannot be read");
    if (s == FB_OK) {
        claims = read_json(p.payload);
        s = claims != NULL ? check_claims(claims, expected, err)
                           : fb_error_set(err, FB_DENIED, "the ID token's claims cannot be read");
    }
    json_decref(header);
    if (s != FB_OK) {
        json_decref(claims);
        return s;
    }
    *claims_r = claims;
    return FB_OK;
}
