/* SPDX-License-Identifier: Apache-2.0
 *
 * Passkeys, with an authenticator made here of OpenSSL: what it makes is taken, and everything that is changed in it,
 * or made for somebody else, is refused.  (A browser's own authenticator is in tests/browser.) */
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
#include <openssl/rsa.h>

#include "services/console/passkey.h"

#define RP        "fumibako.example.jp"
#define ORIGIN    "https://fumibako.example.jp"
#define CHALLENGE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define HANDLE    "00112233445566778899aabbccddeeff"
#define ES256     (-7)
#define EDDSA     (-8)
#define RS256     (-257)
#define UP_UV     0x05
#define ATTESTED  0x40

static const struct passkey_expected expected = {
    .challenge = CHALLENGE, .origin = ORIGIN, .rp_id = RP};
static struct fb_error err;

/* What a ceremony is made of; each can be another than it should be. */
struct making {
    int alg;
    EVP_PKEY *key;
    const char *type, *challenge, *origin, *rp_id, *more;
    uint8_t flags;
    uint32_t counter;
    uint8_t id[16];
};

static struct making usual(int alg, EVP_PKEY *key, const char *type)
{
    struct making m = {.alg = alg,
                       .key = key,
                       .type = type,
                       .challenge = CHALLENGE,
                       .origin = ORIGIN,
                       .rp_id = RP,
                       .more = "",
                       .flags = UP_UV,
                       .counter = 1};
    memset(m.id, 0x5a, sizeof m.id);
    return m;
}

static EVP_PKEY *new_key(int alg)
{
    EVP_PKEY *key = alg == ES256   ? EVP_EC_gen("P-256")
                    : alg == EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                   : EVP_RSA_gen(2048);
    assert_non_null(key);
    return key;
}

/* ---- CBOR, as an authenticator writes it ---- */

static void byte(struct fb_buf *b, unsigned value)
{
    assert_int_equal(fb_buf_add_char(b, (char)value), FB_OK);
}

static void head(struct fb_buf *b, unsigned major, size_t value)
{
    if (value < 24) {
        byte(b, major << 5 | (unsigned)value);
    } else if (value < 256) {
        byte(b, major << 5 | 24);
        byte(b, (unsigned)value);
    } else {
        byte(b, major << 5 | 25);
        byte(b, (unsigned)(value >> 8));
        byte(b, (unsigned)(value & 0xff));
    }
}

static void integer(struct fb_buf *b, int value)
{
    if (value >= 0) {
        head(b, 0, (size_t)value);
    } else {
        head(b, 1, (size_t)(-1 - value));
    }
}

static void bytes(struct fb_buf *b, const void *ptr, size_t len)
{
    head(b, 2, len);
    assert_int_equal(fb_buf_add(b, ptr, len), FB_OK);
}

static void text(struct fb_buf *b, const char *value)
{
    head(b, 3, strlen(value));
    assert_int_equal(fb_buf_add_str(b, value), FB_OK);
}

static void number(struct fb_buf *b, int label, EVP_PKEY *key, const char *name, size_t size)
{
    uint8_t raw[512];
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    assert_int_equal(BN_bn2binpad(n, raw, (int)size), (int)size);
    integer(b, label);
    bytes(b, raw, size);
    BN_free(n);
}

static void add_key(struct fb_buf *b, const struct making *m)
{
    uint8_t raw[32];
    size_t len = sizeof raw;
    head(b, 5, m->alg == ES256 ? 5 : 4);
    integer(b, 1);
    integer(b, m->alg == ES256 ? 2 : m->alg == EDDSA ? 1 : 3);
    integer(b, 3);
    integer(b, m->alg);
    if (m->alg == RS256) {
        number(b, -1, m->key, OSSL_PKEY_PARAM_RSA_N, 256);
        number(b, -2, m->key, OSSL_PKEY_PARAM_RSA_E, 3);
        return;
    }
    integer(b, -1);
    integer(b, m->alg == ES256 ? 1 : 6);
    if (m->alg == EDDSA) {
        assert_int_equal(EVP_PKEY_get_raw_public_key(m->key, raw, &len), 1);
        integer(b, -2);
        bytes(b, raw, len);
    } else {
        number(b, -2, m->key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
        number(b, -3, m->key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    }
}

static void add_data(struct fb_buf *b, const struct making *m, bool is_new)
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(m->rp_id, strlen(m->rp_id), digest);
    assert_int_equal(fb_buf_add(b, digest, sizeof digest), FB_OK);
    byte(b, m->flags | (is_new ? ATTESTED : 0));
    for (int shift = 24; shift >= 0; shift -= 8) {
        byte(b, (m->counter >> shift) & 0xff);
    }
    if (is_new) {
        for (int i = 0; i < 16; i++) {
            byte(b, 0); /* AAGUID */
        }
        byte(b, 0);
        byte(b, sizeof m->id);
        assert_int_equal(fb_buf_add(b, m->id, sizeof m->id), FB_OK);
        add_key(b, m);
    }
}

/* ---- what the browser hands over ---- */

static json_t *encoded(struct fb_slice raw)
{
    struct fb_buf b;
    fb_buf_init(&b, 16384);
    assert_int_equal(fb_base64url_encode(raw, &b), FB_OK);
    json_t *value = json_string(fb_buf_str(&b));
    fb_buf_deinit(&b);
    return value;
}

static void client_data(const struct making *m, struct fb_buf *out)
{
    assert_int_equal(fb_buf_printf(out,
                                   "{\"type\":\"%s\",\"challenge\":\"%s\",\"origin\":\"%s\"%s}",
                                   m->type, m->challenge, m->origin, m->more),
                     FB_OK);
}

static json_t *created(const struct making *m)
{
    struct fb_buf client, data, object;
    fb_buf_init(&client, 4096);
    fb_buf_init(&data, 4096);
    fb_buf_init(&object, 8192);
    client_data(m, &client);
    add_data(&data, m, true);
    head(&object, 5, 3);
    text(&object, "fmt");
    text(&object, "none");
    text(&object, "attStmt");
    head(&object, 5, 0);
    text(&object, "authData");
    bytes(&object, data.ptr, data.len);
    json_t *o =
        json_pack("{s:o,s:s,s:{s:o,s:o}}", "id", encoded(fb_slice_of(m->id, sizeof m->id)), "type",
                  "public-key", "response", "clientDataJSON", encoded(fb_slice_buf(&client)),
                  "attestationObject", encoded(fb_slice_buf(&object)));
    fb_buf_deinit(&client);
    fb_buf_deinit(&data);
    fb_buf_deinit(&object);
    return o;
}

static json_t *used(const struct making *m)
{
    uint8_t handle[16], digest[FB_SHA256_SIZE], signature[512];
    size_t len = sizeof signature;
    struct fb_buf client, data, signed_bytes;
    fb_buf_init(&client, 4096);
    fb_buf_init(&data, 4096);
    fb_buf_init(&signed_bytes, 8192);
    client_data(m, &client);
    add_data(&data, m, false);
    fb_sha256(client.ptr, client.len, digest);
    assert_int_equal(fb_buf_add_slice(&signed_bytes, fb_slice_buf(&data)), FB_OK);
    assert_int_equal(fb_buf_add(&signed_bytes, digest, sizeof digest), FB_OK);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(
        EVP_DigestSignInit(ctx, NULL, m->alg == EDDSA ? NULL : EVP_sha256(), NULL, m->key), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, signed_bytes.ptr, signed_bytes.len), 1);
    EVP_MD_CTX_free(ctx);
    assert_true(fb_unhex(HANDLE, handle, sizeof handle));
    json_t *o =
        json_pack("{s:o,s:s,s:{s:o,s:o,s:o,s:o}}", "id", encoded(fb_slice_of(m->id, sizeof m->id)),
                  "type", "public-key", "response", "clientDataJSON",
                  encoded(fb_slice_buf(&client)), "authenticatorData", encoded(fb_slice_buf(&data)),
                  "signature", encoded(fb_slice_of(signature, len)), "userHandle",
                  encoded(fb_slice_of(handle, sizeof handle)));
    fb_buf_deinit(&client);
    fb_buf_deinit(&data);
    fb_buf_deinit(&signed_bytes);
    return o;
}

static enum fb_status take_new(const struct making *m, struct fb_passkey *k)
{
    json_t *o = created(m);
    enum fb_status s = passkey_verify_new(o, &expected, k, &err);
    json_decref(o);
    return s;
}

static enum fb_status take_used(const struct making *m, const struct fb_passkey *k,
                                uint32_t *counter)
{
    json_t *o = used(m);
    enum fb_status s = passkey_verify(o, &expected, k, counter, &err);
    json_decref(o);
    return s;
}

/* ---- tests ---- */

static void keys_of_all_three_kinds_are_taken(void **state)
{
    (void)state;
    static const int algs[] = {ES256, EDDSA, RS256};
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = new_key(algs[i]), *other = new_key(algs[i]);
        struct fb_passkey k;
        struct passkey_used who;
        uint32_t counter = 0;
        struct making m = usual(algs[i], key, "webauthn.create");
        if (take_new(&m, &k) != FB_OK) {
            fail_msg("%d: %s", algs[i], err.text);
        }
        assert_int_equal(k.alg, algs[i]);
        assert_int_equal(k.counter, 1);
        assert_int_equal(k.id_len, sizeof m.id);
        m = usual(algs[i], key, "webauthn.get");
        m.counter = 2;
        if (take_used(&m, &k, &counter) != FB_OK) {
            fail_msg("%d: %s", algs[i], err.text);
        }
        assert_int_equal(counter, 2);
        json_t *o = used(&m);
        assert_int_equal(passkey_read_used(o, &who, &err), FB_OK);
        assert_string_equal(who.handle, HANDLE);
        json_decref(o);
        m.key = other; /* somebody else's signature */
        assert_int_equal(take_used(&m, &k, &counter), FB_DENIED);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
    }
}

static void what_was_made_for_something_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *challenge, *origin, *rp_id, *more;
        int flags;
    } rows[] = {
        {.name = "as it should be", .flags = -1},
        {.name = "the other ceremony", .type = "x", .flags = -1},
        {.name = "another challenge",
         .challenge = "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
         .flags = -1},
        {.name = "no challenge", .challenge = "", .flags = -1},
        {.name = "another site", .origin = "https://fumibako.example.jp.evil.example", .flags = -1},
        {.name = "http", .origin = "http://fumibako.example.jp", .flags = -1},
        {.name = "another port", .origin = ORIGIN ":8443", .flags = -1},
        {.name = "another relying party", .rp_id = "example.jp", .flags = -1},
        {.name = "a frame of others", .more = ",\"crossOrigin\":true", .flags = -1},
        {.name = "two origins", .more = ",\"origin\":\"https://evil.example\"", .flags = -1},
        {.name = "user not verified", .flags = 0x01},
        {.name = "user not present", .flags = 0x04},
        {.name = "neither", .flags = 0},
    };
    EVP_PKEY *key = new_key(ES256);
    struct fb_passkey k, unused;
    uint32_t counter = 0;
    struct making m = usual(ES256, key, "webauthn.create");
    assert_int_equal(take_new(&m, &k), FB_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int is_new = 0; is_new < 2; is_new++) {
            m = usual(ES256, key, is_new ? "webauthn.create" : "webauthn.get");
            m.counter = 9;
            m.type = rows[i].type != NULL ? is_new ? "webauthn.get" : "webauthn.create" : m.type;
            m.challenge = rows[i].challenge != NULL ? rows[i].challenge : m.challenge;
            m.origin = rows[i].origin != NULL ? rows[i].origin : m.origin;
            m.rp_id = rows[i].rp_id != NULL ? rows[i].rp_id : m.rp_id;
            m.more = rows[i].more != NULL ? rows[i].more : m.more;
            m.flags = rows[i].flags >= 0 ? (uint8_t)rows[i].flags : m.flags;
            enum fb_status s = is_new ? take_new(&m, &unused) : take_used(&m, &k, &counter);
            if (s != (i == 0 ? FB_OK : FB_DENIED)) {
                fail_msg("%s (%d): %s", rows[i].name, is_new, fb_status_name(s));
            }
        }
    }
    EVP_PKEY_free(key);
}

static void a_key_whose_count_goes_back_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t kept, shown;
        enum fb_status want;
    } rows[] = {{5, 6, FB_OK},
                {5, 5, FB_DENIED},
                {5, 4, FB_DENIED},
                {5, 0, FB_DENIED},
                {0, 0, FB_OK},
                /* never counts */ {0, 1, FB_OK},
                {UINT32_MAX, 0, FB_DENIED}};
    EVP_PKEY *key = new_key(ES256);
    struct fb_passkey k;
    struct making m = usual(ES256, key, "webauthn.create");
    assert_int_equal(take_new(&m, &k), FB_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t counter = 77;
        k.counter = rows[i].kept;
        m = usual(ES256, key, "webauthn.get");
        m.counter = rows[i].shown;
        assert_int_equal(take_used(&m, &k, &counter), rows[i].want);
        assert_int_equal(counter, rows[i].want == FB_OK ? rows[i].shown : 77);
    }
    EVP_PKEY_free(key);
}

/* Each character of each member in turn; and each member cut, gone, or of another kind. */
static void nothing_that_was_changed_is_taken(void **state)
{
    (void)state;
    static const char *const members[] = {"clientDataJSON", "authenticatorData", "signature"};
    EVP_PKEY *key = new_key(ES256);
    struct fb_passkey k;
    uint32_t counter = 0;
    struct making m = usual(ES256, key, "webauthn.create");
    assert_int_equal(take_new(&m, &k), FB_OK);
    m = usual(ES256, key, "webauthn.get");
    m.counter = 2;
    for (size_t i = 0; i < 3; i++) {
        json_t *o = used(&m);
        json_t *response = json_object_get(o, "response");
        char *value = fb_xstrdup(json_string_value(json_object_get(response, members[i])));
        for (size_t at = 0; value[at] != '\0'; at++) {
            char was = value[at];
            value[at] = was == 'A' ? 'B' : 'A';
            (void)json_object_set_new(response, members[i], json_string(value));
            assert_int_equal(passkey_verify(o, &expected, &k, &counter, &err), FB_DENIED);
            value[at] = was;
            (void)json_object_set_new(response, members[i], json_stringn(value, at));
            assert_int_equal(passkey_verify(o, &expected, &k, &counter, &err), FB_DENIED);
        }
        (void)json_object_set_new(response, members[i], json_integer(1));
        assert_int_equal(passkey_verify(o, &expected, &k, &counter, &err), FB_DENIED);
        (void)json_object_del(response, members[i]);
        assert_int_equal(passkey_verify(o, &expected, &k, &counter, &err), FB_DENIED);
        free(value);
        json_decref(o);
    }
    EVP_PKEY_free(key);
}

/* A new key has no signature: a changed one is another key, or none; it must not break anything. */
static void a_broken_attestation_breaks_nothing(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key(ES256);
    struct fb_passkey k;
    struct making m = usual(ES256, key, "webauthn.create");
    json_t *o = created(&m);
    json_t *response = json_object_get(o, "response");
    char *value = fb_xstrdup(json_string_value(json_object_get(response, "attestationObject")));
    size_t taken = 0;
    for (size_t at = 0; value[at] != '\0'; at++) {
        char was = value[at];
        for (const char *c = "A_z"; *c != '\0'; c++) {
            value[at] = *c;
            (void)json_object_set_new(response, "attestationObject", json_string(value));
            taken += passkey_verify_new(o, &expected, &k, &err) == FB_OK ? 1 : 0;
        }
        value[at] = was;
        (void)json_object_set_new(response, "attestationObject", json_stringn(value, at));
        assert_int_equal(passkey_verify_new(o, &expected, &k, &err), FB_DENIED);
    }
    assert_true(taken < strlen(value)); /* AAGUID, attStmt's neighbours: what says nothing to us */
    (void)json_object_set_new(o, "id", json_string("WlpaWlpaWlpaWlpaWlpaWg"));
    (void)json_object_set_new(response, "attestationObject", json_string(value));
    assert_int_equal(passkey_verify_new(o, &expected, &k, &err), FB_OK);
    (void)json_object_set_new(o, "id", json_string("WlpaWlpaWlpaWlpaWlpaWw")); /* another id */
    assert_int_equal(passkey_verify_new(o, &expected, &k, &err), FB_DENIED);
    (void)json_object_set_new(o, "type", json_string("password"));
    assert_int_equal(passkey_verify_new(o, &expected, &k, &err), FB_DENIED);
    assert_int_equal(passkey_verify_new(NULL, &expected, &k, &err), FB_DENIED);
    free(value);
    json_decref(o);
    EVP_PKEY_free(key);
}

/* Found by the fuzzer: a map of three thousand million items, for which libcbor makes room at once. */
static void a_map_that_says_it_is_endless_takes_no_memory(void **state)
{
    (void)state;
    static const uint8_t heads[][5] = {{0xba, 0xae, 0xf3, 0xc7, 0x45},
                                       {0x9a, 0xff, 0xff, 0xff, 0xff}};
    EVP_PKEY *key = new_key(ES256);
    struct fb_passkey k, unused;
    uint32_t counter = 0;
    struct making m = usual(ES256, key, "webauthn.create");
    assert_int_equal(take_new(&m, &k), FB_OK);
    for (size_t i = 0; i < 2; i++) {
        uint8_t data[37 + 5] = {0};
        json_t *o = created(&m);
        (void)json_object_set_new(json_object_get(o, "response"), "attestationObject",
                                  encoded(fb_slice_of(heads[i], sizeof heads[i])));
        assert_int_equal(passkey_verify_new(o, &expected, &unused, &err), FB_DENIED);
        json_decref(o);
        struct making g = usual(ES256, key, "webauthn.get");
        o = used(&g);
        fb_sha256(RP, strlen(RP), data);
        data[32] = UP_UV | 0x80; /* with extensions */
        memcpy(data + 37, heads[i], sizeof heads[i]);
        (void)json_object_set_new(json_object_get(o, "response"), "authenticatorData",
                                  encoded(fb_slice_of(data, sizeof data)));
        assert_int_equal(passkey_verify(o, &expected, &k, &counter, &err), FB_DENIED);
        json_decref(o);
    }
    EVP_PKEY_free(key);
}

static void the_relying_party_is_the_host_of_the_origin(void **state)
{
    (void)state;
    static const struct {
        const char *origin, *want;
    } rows[] = {{"https://fumibako.example.jp", "fumibako.example.jp"},
                {"http://localhost:8080", "localhost"},
                {"http://127.0.0.1:8080", NULL},
                {"http://[::1]:8080", NULL},
                {"localhost", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[64] = "";
        assert_int_equal(passkey_rp_id(rows[i].origin, id, sizeof id), rows[i].want != NULL);
        assert_string_equal(id, rows[i].want != NULL ? rows[i].want : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_all_three_kinds_are_taken),
        cmocka_unit_test(what_was_made_for_something_else_is_refused),
        cmocka_unit_test(a_key_whose_count_goes_back_is_refused),
        cmocka_unit_test(nothing_that_was_changed_is_taken),
        cmocka_unit_test(a_broken_attestation_breaks_nothing),
        cmocka_unit_test(a_map_that_says_it_is_endless_takes_no_memory),
        cmocka_unit_test(the_relying_party_is_the_host_of_the_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
