/* SPDX-License-Identifier: Apache-2.0
 *
 * The door's secrets: how long they are, that nothing favours one of them, how they are read, hashed and sealed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/id.h"
#include "common/link.h"
#include "services/portal/door.h"

/* ---- entropy ---- */

/* Chi square of counts that should all be the same. */
static double chi_square(const unsigned *counts, size_t n, double expected)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double off = counts[i] - expected;
        sum += off * off / expected;
    }
    return sum;
}

static void codes_have_six_digits_and_favour_none(void **state)
{
    (void)state;
    enum { TRIES = 100000, BINS = 100 };
    static unsigned digits[DOOR_CODE_DIGITS][10];
    static unsigned ranges[BINS];
    for (int i = 0; i < TRIES; i++) {
        char code[DOOR_CODE_DIGITS + 1];
        door_code_new(code);
        assert_int_equal(strlen(code), DOOR_CODE_DIGITS);
        for (int k = 0; k < DOOR_CODE_DIGITS; k++) {
            assert_true(code[k] >= '0' && code[k] <= '9');
            digits[k][code[k] - '0']++;
        }
        ranges[strtol(code, NULL, 10) / (1000000 / BINS)]++;
    }
    /* 9 and 99 degrees of freedom: passed once in 10^7 by chance (43.5, 186). */
    for (int k = 0; k < DOOR_CODE_DIGITS; k++) {
        assert_true(chi_square(digits[k], 10, TRIES / 10.0) < 50);
    }
    assert_true(chi_square(ranges, BINS, TRIES / (double)BINS) < 200);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void cookies_have_256_bits_and_never_come_twice(void **state)
{
    (void)state;
    enum { TRIES = 4096 };
    static char seen[TRIES][FB_RANDOM_TEXT];
    static unsigned ones[256];
    for (int i = 0; i < TRIES; i++) {
        struct fb_buf bytes;
        fb_random_text(seen[i]);
        assert_true(fb_random_text_is_valid(seen[i]));
        fb_buf_init(&bytes, 33);
        assert_int_equal(fb_base64url_decode(fb_slice_str(seen[i]), &bytes), FB_OK);
        assert_int_equal(bytes.len, 32);
        for (int b = 0; b < 256; b++) {
            ones[b] += bytes.ptr[b / 8] >> (b % 8) & 1;
        }
        fb_buf_deinit(&bytes);
    }
    for (int b = 0; b < 256; b++) { /* 6 standard deviations */
        assert_true(fabs(ones[b] - TRIES / 2.0) < 6 * sqrt(TRIES) / 2);
    }
    qsort(seen, TRIES, FB_RANDOM_TEXT, by_text);
    for (int i = 1; i < TRIES; i++) {
        assert_string_not_equal(seen[i - 1], seen[i]);
    }
    assert_false(fb_random_text_is_valid(""));
    assert_false(fb_random_text_is_valid("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+"));
}

static void a_link_carries_256_bits_of_secret(void **state)
{
    (void)state;
    uint8_t secret[FB_READER_SECRET], back[FB_READER_SECRET];
    char link[FB_READER_LINK_SIZE], parcel[FB_PARCEL_ID_SIZE];
    uint32_t recipient = 0;
    fb_random(secret, sizeof secret);
    assert_int_equal(fb_reader_link_make("01ARZ3NDEKTSV4RRFFQ69G5FAV-2", 7, secret, link), FB_OK);
    assert_int_equal(sizeof secret * 8, 256);
    assert_int_equal(fb_reader_link_parse(link, parcel, &recipient, back), FB_OK);
    assert_memory_equal(secret, back, sizeof secret);
    /* No letter of it is free: each change is another link, or none. */
    for (size_t i = 0; link[i] != '\0'; i++) {
        char other[FB_READER_LINK_SIZE];
        memcpy(other, link, sizeof other);
        other[i] = link[i] == 'A' ? 'B' : 'A';
        if (fb_reader_link_parse(other, parcel, &recipient, back) == FB_OK) {
            assert_true(memcmp(secret, back, sizeof secret) != 0 || recipient != 7 ||
                        strcmp(parcel, "01ARZ3NDEKTSV4RRFFQ69G5FAV-2") != 0);
        }
    }
}

static void recovery_codes_have_60_bits(void **state)
{
    (void)state;
    static unsigned letters[128];
    for (int i = 0; i < 10000; i++) {
        char code[FB_TOTP_RECOVERY], again[FB_TOTP_RECOVERY];
        fb_totp_recovery_new(code);
        assert_int_equal(strlen(code), FB_TOTP_RECOVERY - 1);
        for (size_t k = 0; code[k] != '\0'; k++) {
            letters[(unsigned char)code[k]]++;
        }
        assert_true(fb_totp_recovery_read(code, again));
        assert_string_equal(code, again);
    }
    unsigned used[32], n = 0;
    for (int c = 0; c < 128; c++) {
        if (c != '-' && letters[c] > 0) {
            assert_in_range(n, 0, 31);
            used[n++] = letters[c];
        }
    }
    assert_int_equal(n, 32);
    assert_true(chi_square(used, 32, 12 * 10000 / 32.0) < 90); /* 31 degrees of freedom */
}

/* ---- reading what people type ---- */

static void a_code_is_read_as_people_write_it(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *code; /* NULL: refused */
    } rows[] = {
        {"012345", "012345"},
        {" 012 345 ", "012345"},
        {"012-345", "012345"},
        {"\xef\xbc\x90\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93\xef\xbc\x94\xef\xbc\x99", "012349"},
        {"012\xe3\x80\x80"
         "345",
         "012345"},
        {"", NULL},
        {"12345", NULL},
        {"1234567", NULL},
        {"12345a", NULL},
        {"12345\xef\xbc", NULL},
        {"12345\xef\xbc\x9a", NULL},
        {"-12345", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char code[DOOR_CODE_DIGITS + 1] = "";
        bool is_read = fb_totp_code_read(rows[i].typed, code);
        if (is_read != (rows[i].code != NULL) || (is_read && strcmp(code, rows[i].code) != 0)) {
            fail_msg("%s: got %s", rows[i].typed, is_read ? code : "refused");
        }
    }
    char recovery[FB_TOTP_RECOVERY];
    assert_true(fb_totp_recovery_read(" ABCD efgh-0O1L ", recovery));
    assert_string_equal(recovery, "abcd-efgh-0011");
    assert_false(fb_totp_recovery_read("abcd-efgh-jkm", recovery));
    assert_false(fb_totp_recovery_read("abcd-efgh-jkmnp", recovery));
    assert_false(fb_totp_recovery_read("abcd-efgh-jkm!", recovery));
    assert_false(fb_totp_recovery_read("", recovery));
}

static void addresses_are_masked_matched_and_checked(void **state)
{
    (void)state;
    char masked[64];
    door_masked("hanako@partner.example.com", masked, sizeof masked);
    assert_string_equal(masked, "h\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@partner.example.com");
    door_masked("\xe8\x8a\xb1@x.example", masked, sizeof masked);
    assert_string_equal(masked, "\xe8\x8a\xb1\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@x.example");
    door_masked("@x", masked, sizeof masked);
    assert_string_equal(masked, "\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@x");
    assert_true(door_is_member("a@X.example", "b@x.EXAMPLE"));
    assert_false(door_is_member("a@sub.x.example", "b@x.example"));
    assert_false(door_is_member("a@x.example.evil", "b@x.example"));
    assert_false(door_is_member("a", "b@x.example"));
    assert_false(door_is_member("a@", "b@"));
    static const char *const good[] = {"a@b.example", "a.b+c@b", "\xe8\x8a\xb1@b.example"};
    static const char *const bad[] = {
        "",      "a",       "@b",   "a@",    "a b@c", "a@b\r\nRCPT TO:<x@y>", "<a@b>", "a,b@c",
        "a@b@c", "\"a\"@b", ".a@b", "a@b;c", "\xff@b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(door_is_address(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (door_is_address(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    char a[FB_DOOR_HASH], b[FB_DOOR_HASH];
    fb_door_owner("Hanako@Example.JP", a);
    fb_door_owner("hanako@example.jp", b);
    assert_string_equal(a, b);
}

static void networks_are_what_one_household_has(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"203.0.113.77", "203.0.113.0/24"},
                                          {"::ffff:203.0.113.77", "203.0.113.0/24"},
                                          {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_net_address address;
        char network[DOOR_NETWORK];
        assert_true(fb_net_address_parse(rows[i][0], &address));
        door_network(&address, network);
        assert_string_equal(network, rows[i][1]);
    }
}

/* ---- hashes, seals, time steps ---- */

static void a_hash_is_bound_to_all_its_parts(void **state)
{
    (void)state;
    const uint8_t key[FB_KEY_SIZE] = {1}, other_key[FB_KEY_SIZE] = {2};
    char all[6][FB_DOOR_HASH];
    door_hmac(key, "code", "grant", "x", all[0]);
    door_hmac(key, "code", "grantx", "", all[1]);
    door_hmac(key, "recovery", "grant", "x", all[2]);
    door_hmac(key, "code", "grant", "y", all[3]);
    door_hmac(other_key, "code", "grant", "x", all[4]);
    door_hmac(key, "codeg", "rant", "x", all[5]);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(strlen(all[i]), 64);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(all[i], all[k]);
        }
    }
}

static void a_secret_opens_for_its_owner_alone(void **state)
{
    (void)state;
    const uint8_t key[FB_KEY_SIZE] = {1}, other_key[FB_KEY_SIZE] = {2};
    uint8_t secret[FB_TOTP_SECRET], back[FB_TOTP_SECRET];
    char sealed[FB_DOOR_SEALED], again[FB_DOOR_SEALED];
    memcpy(secret, "12345678901234567890", sizeof secret);
    fb_totp_seal(key, "owner", secret, sealed);
    fb_totp_seal(key, "owner", secret, again);
    assert_string_not_equal(sealed, again);
    assert_true(fb_totp_unseal(key, "owner", sealed, back));
    assert_memory_equal(secret, back, sizeof secret);
    assert_false(fb_totp_unseal(key, "other", sealed, back));
    assert_false(fb_totp_unseal(other_key, "owner", sealed, back));
    assert_false(fb_totp_unseal(key, "owner", "", back));
    sealed[20] = sealed[20] == 'A' ? 'B' : 'A';
    assert_false(fb_totp_unseal(key, "owner", sealed, back));
}

/* RFC 6238, appendix B (SHA-1; the last six of its eight digits). */
static void an_apps_code_is_right_in_its_step_and_the_neighbours(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *code;
    } rows[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    uint8_t secret[FB_TOTP_SECRET];
    memcpy(secret, "12345678901234567890", sizeof secret);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t step = 0;
        assert_true(fb_totp_check(secret, rows[i].code, rows[i].s * 1000, &step));
        assert_int_equal(step, rows[i].s / 30);
        assert_true(fb_totp_check(secret, rows[i].code, (rows[i].s + 30) * 1000, &step));
        assert_int_equal(step, rows[i].s / 30);
        assert_true(fb_totp_check(secret, rows[i].code, (rows[i].s - 30) * 1000, &step));
        assert_false(fb_totp_check(secret, rows[i].code, (rows[i].s + 61) * 1000, &step));
        assert_false(rows[i].s > 61 &&
                     fb_totp_check(secret, rows[i].code, (rows[i].s - 61) * 1000, &step));
        assert_false(fb_totp_check(secret, "000000", rows[i].s * 1000, &step));
    }
}

static void a_square_is_drawn(void **state)
{
    (void)state;
    struct fb_buf out;
    struct html h = {.out = &out};
    fb_buf_init(&out, 1 << 20);
    door_qr(&h, "otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=A", "square");
    assert_int_equal(h.status, FB_OK);
    assert_non_null(
        strstr(fb_buf_str(&out), "<svg class=\"qr\" role=\"img\" aria-label=\"square\""));
    assert_non_null(strstr(fb_buf_str(&out), "M4 4h1v1h-1z")); /* a corner of a finder pattern */
    fb_buf_deinit(&out);
}

static void a_field_of_a_form_is_read_once(void **state)
{
    (void)state;
    char out[8];
    struct fb_slice body = fb_slice_str("a=1&b=%E6%96%87&c=x&c=y&d=123456789&e&f=%00&g=%zz&h=a+b");
    assert_int_equal(form_field(body, "a", out, sizeof out), FB_OK);
    assert_string_equal(out, "1");
    assert_int_equal(form_field(body, "b", out, sizeof out), FB_OK);
    assert_string_equal(out, "\xe6\x96\x87");
    assert_int_equal(form_field(body, "c", out, sizeof out), FB_INVALID);
    assert_int_equal(form_field(body, "d", out, sizeof out), FB_TOO_BIG);
    assert_int_equal(form_field(body, "e", out, sizeof out), FB_OK);
    assert_int_equal(form_field(body, "f", out, sizeof out), FB_INVALID);
    assert_int_equal(form_field(body, "g", out, sizeof out), FB_INVALID);
    assert_int_equal(form_field(body, "h", out, sizeof out), FB_OK);
    assert_string_equal(out, "a b");
    assert_int_equal(form_field(body, "i", out, sizeof out), FB_NOT_FOUND);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_six_digits_and_favour_none),
        cmocka_unit_test(cookies_have_256_bits_and_never_come_twice),
        cmocka_unit_test(a_link_carries_256_bits_of_secret),
        cmocka_unit_test(recovery_codes_have_60_bits),
        cmocka_unit_test(a_code_is_read_as_people_write_it),
        cmocka_unit_test(addresses_are_masked_matched_and_checked),
        cmocka_unit_test(networks_are_what_one_household_has),
        cmocka_unit_test(a_hash_is_bound_to_all_its_parts),
        cmocka_unit_test(a_secret_opens_for_its_owner_alone),
        cmocka_unit_test(an_apps_code_is_right_in_its_step_and_the_neighbours),
        cmocka_unit_test(a_square_is_drawn),
        cmocka_unit_test(a_field_of_a_form_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
