/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what a browser or a provider hands over when somebody signs in to the console: passkeys, ID tokens with
 * any set of keys; and as an account out of Redis or a file.
 *
 * Checked: nothing that the fuzzer makes is ever believed to be signed; what is taken keeps its limits, and an account
 * that is taken is written and read again as the same.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/console/jwt.h"
#include "services/console/passkey.h"

#define CHALLENGE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define ORIGIN    "https://fumibako.example.jp"
#define CLIENT(t) "{\"type\":\"" t "\",\"challenge\":\"" CHALLENGE "\",\"origin\":\"" ORIGIN "\"}"
/* The example key of RFC 7517 A.1. */
#define KEYS                                                                                       \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"1\","                                  \
    "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","                                       \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct passkey_expected expected = {
    .challenge = CHALLENGE, .origin = ORIGIN, .rp_id = "fumibako.example.jp"};

static json_t *encoded(struct fb_slice raw)
{
    struct fb_buf text;
    fb_buf_init(&text, 1U << 20);
    json_t *value =
        fb_base64url_encode(raw, &text) == FB_OK ? json_string(fb_buf_str(&text)) : NULL;
    fb_buf_deinit(&text);
    return value != NULL ? value : json_null();
}

/* The bytes up to the first 0, and those behind it. */
static struct fb_slice cut(struct fb_slice *rest)
{
    size_t at = fb_slice_find(*rest, fb_slice_of("", 1));
    struct fb_slice first = fb_slice_sub(*rest, 0, at);
    *rest = at == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(*rest, at + 1, SIZE_MAX);
    return first;
}

static void check_new(struct fb_slice object)
{
    struct fb_error err = {0};
    struct fb_passkey k;
    json_t *o = json_pack("{s:s,s:s,s:{s:o,s:o}}", "id", "WlpaWlpaWlpaWlpaWlpaWg", "type",
                          "public-key", "response", "clientDataJSON",
                          encoded(FB_SLICE_LITERAL(CLIENT("webauthn.create"))), "attestationObject",
                          encoded(object));
    if (passkey_verify_new(o, &expected, &k, &err) == FB_OK) {
        FB_ASSERT(k.id_len == 16 && k.key_len > 0 && k.key_len <= sizeof k.key);
    }
    json_decref(o);
}

static void check_used(struct fb_slice rest)
{
    struct fb_error err = {0};
    uint32_t counter = 0;
    struct fb_passkey k = {.alg = -7, .key_len = 64};
    struct fb_slice auth = cut(&rest);
    memset(k.key, 0x55, sizeof k.key);
    json_t *o =
        json_pack("{s:s,s:s,s:{s:o,s:o,s:o}}", "id", "WlpaWlpaWlpaWlpaWlpaWg", "type", "public-key",
                  "response", "clientDataJSON", encoded(FB_SLICE_LITERAL(CLIENT("webauthn.get"))),
                  "authenticatorData", encoded(auth), "signature", encoded(rest));
    FB_ASSERT(passkey_verify(o, &expected, &k, &counter, &err) != FB_OK);
    json_decref(o);
}

static void check_json(struct fb_slice text)
{
    struct fb_error err = {0};
    struct passkey_used used;
    struct fb_passkey k;
    uint32_t counter = 0;
    json_t *o = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (passkey_read_used(o, &used, &err) == FB_OK) {
        FB_ASSERT(used.id_len > 0 && used.id_len <= sizeof used.id);
    }
    (void)(passkey_verify_new(o, &expected, &k, &err) == FB_OK);
    k = (struct fb_passkey){.alg = -8, .key_len = 32};
    FB_ASSERT(passkey_verify(o, &expected, &k, &counter, &err) != FB_OK);
    json_decref(o);
}

static void check_token(struct fb_slice rest)
{
    static const struct jwt_expected x = {.issuer = "https://login.example.jp",
                                          .audience = "fumibako",
                                          .nonce = "n",
                                          .now_ms = INT64_C(1800000000000)};
    struct fb_error err = {0};
    json_t *claims = NULL;
    struct fb_slice text = cut(&rest);
    char *token = fb_slice_dup_str(text);
    json_t *ours = json_loads(KEYS, 0, NULL);
    json_t *theirs = json_loadb((const char *)rest.ptr, rest.len, 0, NULL);
    if (token != NULL) {
        FB_ASSERT(jwt_verify(token, ours, &x, &claims, &err) != FB_OK);
        if (jwt_verify(token, theirs, &x, &claims, &err) == FB_OK) {
            json_decref(claims); /* the fuzzer's own key */
        }
    }
    json_decref(ours);
    json_decref(theirs);
    free(token);
}

static void check_account(struct fb_slice text)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL, *b = NULL;
    struct fb_buf out;
    if (fb_account_decode(text, &a, &err) != FB_OK) {
        return;
    }
    fb_buf_init(&out, 1U << 20);
    FB_ASSERT(fb_account_encode(a, &out) == FB_OK);
    FB_ASSERT(fb_account_decode(fb_slice_buf(&out), &b, &err) == FB_OK);
    FB_ASSERT(strcmp(a->name, b->name) == 0 && a->passkey_count == b->passkey_count &&
              a->token_count == b->token_count && a->role == b->role);
    fb_account_free(&a);
    fb_account_free(&b);
    fb_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct fb_slice) = {check_new, check_used, check_json,
                                                      check_token, check_account};
    if (size > 0) {
        checks[data[0] % 5](fb_slice_of(data + 1, size - 1));
    }
    return 0;
}
