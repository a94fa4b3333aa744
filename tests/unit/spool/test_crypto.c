/* SPDX-License-Identifier: Apache-2.0
 *
 * The covers over OpenSSL against the test vectors of the standards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"

static void unhex(const char *hex, uint8_t *out, size_t len)
{
    assert_true(fb_unhex(hex, out, len));
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char have[256];
    assert_true(2 * len < sizeof have);
    fb_hex(bytes, len, have);
    assert_string_equal(have, hex);
}

/* Test case 16 of the GCM specification (McGrew, Viega): AES-256 with associated data. */
static void gcm_fits_the_published_vector(void **state)
{
    (void)state;
    uint8_t key[FB_KEY_SIZE];
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t plain[60];
    uint8_t aad[20];
    uint8_t out[60];
    uint8_t tag[FB_TAG_SIZE];
    unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key, sizeof key);
    unhex("cafebabefacedbaddecaf888", nonce, sizeof nonce);
    unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24"
          "49a6b525b16aedf5aa0de657ba637b39",
          plain, sizeof plain);
    unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad, sizeof aad);
    fb_gcm_seal(key, nonce, fb_slice_of(aad, sizeof aad), fb_slice_of(plain, sizeof plain), out,
                tag);
    assert_hex(
        out, sizeof out,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10"
        "56828838c5f61e6393ba7a0abcc9f662");
    assert_hex(tag, sizeof tag, "76fc6ece0f4e1768cddf8853bb2d551b");
    /* In place, and back. */
    assert_int_equal(fb_gcm_open(key, nonce, fb_slice_of(aad, sizeof aad),
                                 fb_slice_of(out, sizeof out), tag, out),
                     FB_OK);
    assert_memory_equal(out, plain, sizeof plain);
}

static void gcm_gives_zeros_instead_of_wrong_bytes(void **state)
{
    (void)state;
    uint8_t key[FB_KEY_SIZE] = {1};
    uint8_t nonce[FB_NONCE_SIZE] = {2};
    uint8_t sealed[5];
    uint8_t out[5] = {9, 9, 9, 9, 9};
    uint8_t tag[FB_TAG_SIZE];
    static const uint8_t zeros[5];
    struct fb_slice aad = FB_SLICE_LITERAL("aad");
    fb_gcm_seal(key, nonce, aad, FB_SLICE_LITERAL("hello"), sealed, tag);
    sealed[2] ^= 1;
    assert_int_equal(fb_gcm_open(key, nonce, aad, fb_slice_of(sealed, 5), tag, out), FB_CORRUPT);
    assert_memory_equal(out, zeros, 5);
    sealed[2] ^= 1;
    assert_int_equal(
        fb_gcm_open(key, nonce, FB_SLICE_LITERAL("aae"), fb_slice_of(sealed, 5), tag, out),
        FB_CORRUPT);
    tag[15] ^= 128;
    assert_int_equal(fb_gcm_open(key, nonce, aad, fb_slice_of(sealed, 5), tag, out), FB_CORRUPT);
    tag[15] ^= 128;
    assert_int_equal(fb_gcm_open(key, nonce, aad, fb_slice_of(sealed, 5), tag, out), FB_OK);
    assert_memory_equal(out, "hello", 5);
    /* Nothing at all is sealed too. */
    fb_gcm_seal(key, nonce, fb_slice_of(NULL, 0), fb_slice_of(NULL, 0), NULL, tag);
    assert_int_equal(fb_gcm_open(key, nonce, fb_slice_of(NULL, 0), fb_slice_of(NULL, 0), tag, out),
                     FB_OK);
    tag[0] ^= 1;
    assert_int_equal(fb_gcm_open(key, nonce, fb_slice_of(NULL, 0), fb_slice_of(NULL, 0), tag, out),
                     FB_CORRUPT);
}

/* RFC 5869, appendix A.1 and A.3. */
static void hkdf_fits_rfc5869(void **state)
{
    (void)state;
    uint8_t ikm[22];
    uint8_t salt[13];
    uint8_t info[10];
    uint8_t out[42];
    memset(ikm, 0x0b, sizeof ikm);
    unhex("000102030405060708090a0b0c", salt, sizeof salt);
    unhex("f0f1f2f3f4f5f6f7f8f9", info, sizeof info);
    fb_hkdf_sha256(fb_slice_of(ikm, sizeof ikm), fb_slice_of(salt, sizeof salt),
                   fb_slice_of(info, sizeof info), out, sizeof out);
    assert_hex(
        out, sizeof out,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    fb_hkdf_sha256(fb_slice_of(ikm, sizeof ikm), fb_slice_of(NULL, 0), fb_slice_of(NULL, 0), out,
                   sizeof out);
    assert_hex(
        out, sizeof out,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* RFC 4231, test case 2; and an empty key. */
static void hmac_fits_rfc4231(void **state)
{
    (void)state;
    uint8_t out[FB_SHA256_SIZE];
    fb_hmac_sha256(FB_SLICE_LITERAL("Jefe"), FB_SLICE_LITERAL("what do ya want for nothing?"), out);
    assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    fb_hmac_sha256(fb_slice_of(NULL, 0), fb_slice_of(NULL, 0), out);
    assert_hex(out, sizeof out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* FIPS 180: "abc"; in pieces, and twice with one object. */
static void digests_fit_fips180(void **state)
{
    (void)state;
    struct fb_hash hash = {0};
    uint8_t out[FB_SHA256_SIZE];
    fb_hash_deinit(&hash);
    fb_hash_init(&hash, FB_HASH_SHA256);
    for (int i = 0; i < 2; i++) {
        fb_hash_update(&hash, "a", 1);
        fb_hash_update(&hash, NULL, 0);
        fb_hash_update(&hash, "bc", 2);
        fb_hash_final(&hash, out);
        assert_hex(out, FB_SHA256_SIZE,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    fb_hash_deinit(&hash);
    fb_hash_init(&hash, FB_HASH_SHA1);
    fb_hash_update(&hash, "abc", 3);
    fb_hash_final(&hash, out);
    assert_hex(out, FB_SHA1_SIZE, "a9993e364706816aba3e25717850c26c9cd0d89d");
    fb_hash_deinit(&hash);
    fb_sha1("abc", 3, out);
    assert_hex(out, FB_SHA1_SIZE, "a9993e364706816aba3e25717850c26c9cd0d89d");
    fb_sha256("abc", 3, out);
    assert_hex(out, FB_SHA256_SIZE,
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void base64_goes_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *padded;
        const char *url;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xef\xff", "++//", "--__"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fb_buf b;
        fb_buf_init(&b, 100);
        assert_int_equal(fb_base64_encode(fb_slice_str(rows[i].plain), &b), FB_OK);
        assert_string_equal(fb_buf_str(&b), rows[i].padded);
        fb_buf_clear(&b);
        assert_int_equal(fb_base64url_encode(fb_slice_str(rows[i].plain), &b), FB_OK);
        assert_string_equal(fb_buf_str(&b), rows[i].url);
        fb_buf_clear(&b);
        assert_int_equal(fb_base64_decode(fb_slice_str(rows[i].padded), &b), FB_OK);
        assert_string_equal(fb_buf_str(&b), rows[i].plain);
        fb_buf_clear(&b);
        assert_int_equal(fb_base64url_decode(fb_slice_str(rows[i].url), &b), FB_OK);
        assert_string_equal(fb_buf_str(&b), rows[i].plain);
        fb_buf_deinit(&b);
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const wrong[] = {"Zg",   "Zg=",    "Zh==",  "Zm9=",     "Z===", "=",
                                        "====", "Zm9v\n", "Zm 9v", "Zg==Zg==", "Zm-v", "Z"};
    struct fb_buf b;
    fb_buf_init(&b, 100);
    assert_int_equal(fb_buf_add_str(&b, "kept"), FB_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (fb_base64_decode(fb_slice_str(wrong[i]), &b) != FB_INVALID) {
            fail_msg("taken: %s", wrong[i]);
        }
        assert_string_equal(fb_buf_str(&b), "kept");
    }
    assert_int_equal(fb_base64url_decode(fb_slice_str("Zg=="), &b), FB_INVALID);
    assert_int_equal(fb_base64url_decode(fb_slice_str("Zm+v"), &b), FB_INVALID);
    fb_buf_deinit(&b);
    fb_buf_init(&b, 3);
    assert_int_equal(fb_base64_encode(FB_SLICE_LITERAL("f"), &b), FB_TOO_BIG);
    fb_buf_deinit(&b);
}

static void secrets_compare_and_vanish(void **state)
{
    (void)state;
    uint8_t secret[8] = "secret!";
    static const uint8_t zeros[8];
    assert_true(fb_equal_secret(secret, "secret!", 8));
    assert_false(fb_equal_secret(secret, "secret?", 8));
    fb_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zeros, sizeof secret);
    fb_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm_fits_the_published_vector),
        cmocka_unit_test(gcm_gives_zeros_instead_of_wrong_bytes),
        cmocka_unit_test(hkdf_fits_rfc5869),
        cmocka_unit_test(hmac_fits_rfc4231),
        cmocka_unit_test(digests_fit_fips180),
        cmocka_unit_test(base64_goes_there_and_back),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(secrets_compare_and_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
