/* SPDX-License-Identifier: Apache-2.0
 *
 * ID tokens: those of the provider are taken, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "common/crypto.h"
#include "services/console/jwt.h"

#define ISSUER "https://login.example.jp"
#define CLIENT "fumibako"
#define NONCE  "n-0S6_WzA2Mj"
#define NOW_S  1800000000

static const struct jwt_expected expected = {
    .issuer = ISSUER, .audience = CLIENT, .nonce = NONCE, .now_ms = INT64_C(1000) * NOW_S};
static struct fb_error err;
static EVP_PKEY *rsa, *ec, *weak;
static json_t *keys;

static void add_base64(struct fb_buf *out, const void *ptr, size_t len)
{
    assert_int_equal(fb_base64url_encode(fb_slice_of(ptr, len), out), FB_OK);
}

static json_t *number(EVP_PKEY *key, const char *name, int size)
{
    uint8_t raw[512];
    BIGNUM *n = NULL;
    struct fb_buf b;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    int len = BN_bn2binpad(n, raw, size > 0 ? size : BN_num_bytes(n));
    fb_buf_init(&b, 1024);
    add_base64(&b, raw, (size_t)len);
    json_t *value = json_string(fb_buf_str(&b));
    fb_buf_deinit(&b);
    BN_free(n);
    return value;
}

static json_t *rsa_jwk(EVP_PKEY *key, const char *kid)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "kty", "RSA", "kid", kid, "use", "sig", "alg",
                     "RS256", "n", number(key, OSSL_PKEY_PARAM_RSA_N, 0), "e",
                     number(key, OSSL_PKEY_PARAM_RSA_E, 0));
}

static size_t sign(EVP_PKEY *key, struct fb_slice text, uint8_t out[512])
{
    uint8_t der[512];
    size_t len = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, text.ptr, text.len), 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "RSA")) {
        memcpy(out, der, len);
        return len;
    }
    const uint8_t *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32), 32);
    ECDSA_SIG_free(sig);
    return 64;
}

/* key NULL: no signature. */
static char *token(const char *header, const char *claims, EVP_PKEY *key)
{
    uint8_t signature[512];
    struct fb_buf b;
    fb_buf_init(&b, 32768);
    add_base64(&b, header, strlen(header));
    assert_int_equal(fb_buf_add_char(&b, '.'), FB_OK);
    add_base64(&b, claims, strlen(claims));
    size_t len = key != NULL ? sign(key, fb_slice_buf(&b), signature) : 0;
    assert_int_equal(fb_buf_add_char(&b, '.'), FB_OK);
    add_base64(&b, signature, len);
    char *text = fb_xstrdup(fb_buf_str(&b));
    fb_buf_deinit(&b);
    return text;
}

static enum fb_status verify(const char *text)
{
    json_t *claims = NULL;
    enum fb_status s = jwt_verify(text, keys, &expected, &claims, &err);
    assert_int_equal(claims != NULL, s == FB_OK);
    json_decref(claims);
    return s;
}

#define RS   "{\"alg\":\"RS256\",\"kid\":\"r\"}"
#define ES   "{\"alg\":\"ES256\",\"kid\":\"e\"}"
#define BASE "\"iss\":\"" ISSUER "\",\"sub\":\"42\",\"nonce\":\"" NONCE "\""
#define TIME "\"iat\":1799999990,\"exp\":1800000300"
#define GOOD "{" BASE ",\"aud\":\"" CLIENT "\"," TIME "}"

static void tokens_of_the_provider_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *header, *claims;
        bool is_ec;
    } rows[] = {
        {RS, GOOD, false},
        {ES, GOOD, true},
        {"{\"alg\":\"RS256\"}", GOOD, false}, /* no kid: whichever key fits */
        {RS, "{" BASE ",\"aud\":[\"" CLIENT "\"]," TIME "}", false},
        {RS, "{" BASE ",\"aud\":[\"x\",\"" CLIENT "\"],\"azp\":\"" CLIENT "\"," TIME "}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = token(rows[i].header, rows[i].claims, rows[i].is_ec ? ec : rsa);
        if (verify(text) != FB_OK) {
            fail_msg("row %zu: %s", i, err.text);
        }
        free(text);
    }
}

static void claims_for_somebody_else_or_another_time_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *claims;
    } rows[] = {
        {"another issuer", "{\"iss\":\"https://evil.example\",\"sub\":\"42\",\"nonce\":\"" NONCE
                           "\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"issuer with a slash", "{\"iss\":\"" ISSUER "/\",\"sub\":\"42\",\"nonce\":\"" NONCE
                                "\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"another audience", "{" BASE ",\"aud\":\"other\"," TIME "}"},
        {"no audience", "{" BASE "," TIME "}"},
        {"several and no azp", "{" BASE ",\"aud\":[\"x\",\"" CLIENT "\"]," TIME "}"},
        {"another azp", "{" BASE ",\"aud\":\"" CLIENT "\",\"azp\":\"x\"," TIME "}"},
        {"expired", "{" BASE ",\"aud\":\"" CLIENT "\",\"iat\":1799999700,\"exp\":1799999900}"},
        {"no end", "{" BASE ",\"aud\":\"" CLIENT "\",\"iat\":1799999990}"},
        {"an end in text", "{" BASE ",\"aud\":\"" CLIENT "\",\"iat\":1,\"exp\":\"1800000300\"}"},
        {"of tomorrow", "{" BASE ",\"aud\":\"" CLIENT "\",\"iat\":1800086400,\"exp\":1800090000}"},
        {"of yesterday", "{" BASE ",\"aud\":\"" CLIENT "\",\"iat\":1799913600,\"exp\":1800090000}"},
        {"not yet", "{" BASE ",\"aud\":\"" CLIENT "\",\"nbf\":1800000200," TIME "}"},
        {"another nonce",
         "{\"iss\":\"" ISSUER "\",\"sub\":\"42\",\"nonce\":\"x\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"no nonce", "{\"iss\":\"" ISSUER "\",\"sub\":\"42\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"no subject",
         "{\"iss\":\"" ISSUER "\",\"nonce\":\"" NONCE "\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"an empty subject", "{\"iss\":\"" ISSUER "\",\"sub\":\"\",\"nonce\":\"" NONCE
                             "\",\"aud\":\"" CLIENT "\"," TIME "}"},
        {"two audiences in two members",
         "{" BASE ",\"aud\":\"" CLIENT "\",\"aud\":\"x\"," TIME "}"},
        {"no object", "[1]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = token(RS, rows[i].claims, rsa);
        if (verify(text) != FB_DENIED) {
            fail_msg("%s was taken", rows[i].name);
        }
        free(text);
    }
}

static void no_other_algorithm_is_taken(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"NONE\",\"kid\":\"r\"}",
        "{\"alg\":\"HS256\",\"kid\":\"r\"}",
        "{\"alg\":\"RS512\",\"kid\":\"r\"}",
        "{\"alg\":\"PS256\",\"kid\":\"r\"}",
        "{\"alg\":[\"RS256\"],\"kid\":\"r\"}",
        "{\"kid\":\"r\"}",
        "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"RS256\",\"alg\":\"none\"}"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char *text = token(headers[i], GOOD, NULL);
        assert_int_equal(verify(text), FB_DENIED);
        free(text);
        text = token(headers[i], GOOD, rsa);
        assert_int_equal(verify(text), FB_DENIED);
        free(text);
    }
    /* The public key as the secret of an HMAC. */
    const char *n =
        json_string_value(json_object_get(json_array_get(json_object_get(keys, "keys"), 0), "n"));
    uint8_t mac[FB_SHA256_SIZE];
    struct fb_buf b;
    char *text = token("{\"alg\":\"HS256\",\"kid\":\"r\"}", GOOD, NULL);
    fb_hmac_sha256(fb_slice_str(n), fb_slice_of(text, strlen(text) - 1), mac);
    fb_buf_init(&b, 32768);
    assert_int_equal(fb_buf_add_str(&b, text), FB_OK);
    add_base64(&b, mac, sizeof mac);
    assert_int_equal(verify(fb_buf_str(&b)), FB_DENIED);
    fb_buf_deinit(&b);
    free(text);
}

static void signatures_of_others_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *other = EVP_RSA_gen(2048);
    char *text = token(RS, GOOD, other);
    assert_int_equal(verify(text), FB_DENIED);
    free(text);
    text = token(RS, GOOD, NULL);
    assert_int_equal(verify(text), FB_DENIED);
    free(text);
    text = token("{\"alg\":\"RS256\",\"kid\":\"e\"}", GOOD, rsa); /* the key is of another kind */
    assert_int_equal(verify(text), FB_NOT_FOUND);
    free(text);
    text = token("{\"alg\":\"RS256\",\"kid\":\"unknown\"}", GOOD, rsa);
    assert_int_equal(verify(text), FB_NOT_FOUND); /* the set may be old */
    free(text);
    text = token("{\"alg\":\"RS256\",\"kid\":\"weak\"}", GOOD, weak); /* 1024 bits */
    assert_int_equal(verify(text), FB_DENIED);
    free(text);
    text = token("{\"alg\":\"RS256\",\"kid\":\"enc\"}", GOOD, rsa); /* a key for another use */
    assert_int_equal(verify(text), FB_NOT_FOUND);
    free(text);
    EVP_PKEY_free(other);
}

/* Each character changed, and each length. */
static void nothing_that_was_changed_is_taken(void **state)
{
    (void)state;
    char *texts[] = {token(RS, GOOD, rsa), token(ES, GOOD, ec)};
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(texts[i]);
        for (size_t at = 0; at < len; at++) {
            char was = texts[i][at];
            texts[i][at] = was == 'A' ? 'B' : 'A';
            assert_int_not_equal(verify(texts[i]), FB_OK);
            texts[i][at] = '\0';
            assert_int_not_equal(verify(texts[i]), FB_OK);
            texts[i][at] = was;
        }
        assert_int_equal(verify(texts[i]), FB_OK);
        free(texts[i]);
    }
    assert_int_equal(verify(""), FB_DENIED);
    assert_int_equal(verify(".."), FB_DENIED);
}

static int start(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    weak = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-256");
    json_t *other_use = rsa_jwk(rsa, "enc");
    (void)json_object_set_new(other_use, "use", json_string("enc"));
    json_t *ec_jwk = json_pack("{s:s,s:s,s:s,s:o,s:o}", "kty", "EC", "kid", "e", "crv", "P-256",
                               "x", number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32), "y",
                               number(ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32));
    keys = json_pack("{s:[o,o,o,o,{},i]}", "keys", rsa_jwk(rsa, "r"), ec_jwk, rsa_jwk(weak, "weak"),
                     other_use, 1);
    return keys != NULL ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    json_decref(keys);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(ec);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_the_provider_are_taken),
        cmocka_unit_test(claims_for_somebody_else_or_another_time_are_refused),
        cmocka_unit_test(no_other_algorithm_is_taken),
        cmocka_unit_test(signatures_of_others_are_refused),
        cmocka_unit_test(nothing_that_was_changed_is_taken),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
