/* SPDX-License-Identifier: Apache-2.0
 *
 * A code on its way through Redis: it opens with our key, for its own recipient of its own parcel,
 * and nothing of it shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/proof_code.h"

#define KEY    "0123456789abcdef0123456789abcdef"
#define OTHER  "0123456789abcdef0123456789abcdeF"
#define PARCEL "01ARZ3NDEKTSV4RRFFQ69G5FAV-3"

static char sealed[FB_PROOF_CODE_SEALED];

static void seal(const char *code)
{
    struct fb_buf b;
    fb_buf_init(&b, FB_PROOF_CODE_SEALED);
    assert_int_equal(fb_proof_code_seal(KEY, PARCEL, 7, code, &b), FB_OK);
    assert_true(b.len < sizeof sealed);
    (void)snprintf(sealed, sizeof sealed, "%s", fb_buf_str(&b));
    fb_buf_deinit(&b);
}

static void denied(const char *key, const char *parcel_id, uint32_t recipient, const char *text)
{
    static const char nothing[FB_PROOF_CODE_SIZE];
    char code[FB_PROOF_CODE_SIZE];
    memset(code, 'x', sizeof code);
    assert_int_equal(fb_proof_code_open(key, parcel_id, recipient, text, code), FB_DENIED);
    assert_memory_equal(code, nothing, sizeof code);
}

static void what_was_sealed_opens_for_its_recipient(void **state)
{
    (void)state;
    static const char *const codes[] = {"123456", "000000", "1", "1234567890123456"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char code[FB_PROOF_CODE_SIZE] = "";
        seal(codes[i]);
        assert_true(strlen(codes[i]) < 6 || strstr(sealed, codes[i]) == NULL);
        assert_int_equal(fb_proof_code_open(KEY, PARCEL, 7, sealed, code), FB_OK);
        assert_string_equal(code, codes[i]);
    }
}

static void it_is_never_the_same_twice(void **state)
{
    (void)state;
    char first[FB_PROOF_CODE_SEALED];
    seal("123456");
    memcpy(first, sealed, sizeof first);
    seal("123456");
    assert_string_not_equal(first, sealed);
}

static void it_opens_with_no_other_key_for_nobody_else_and_not_changed(void **state)
{
    (void)state;
    seal("123456");
    denied(OTHER, PARCEL, 7, sealed);
    denied(KEY, PARCEL, 8, sealed);
    denied(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FAV-2", 7, sealed);
    denied(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FAW-3", 7, sealed);
    denied(KEY, "no parcel", 7, sealed);
    for (size_t i = 0; sealed[i] != '\0'; i++) {
        char changed[FB_PROOF_CODE_SEALED];
        memcpy(changed, sealed, sizeof changed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        denied(KEY, PARCEL, 7, changed);
        changed[i] = '\0';
        denied(KEY, PARCEL, 7, changed);
    }
    char longer[200];
    (void)snprintf(longer, sizeof longer, "%sAAAA", sealed);
    denied(KEY, PARCEL, 7, longer);
    memset(longer, 'A', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    denied(KEY, PARCEL, 7, longer);
}

static void without_a_key_or_for_what_is_no_code_nothing_is_sealed(void **state)
{
    (void)state;
    char code[FB_PROOF_CODE_SIZE];
    struct fb_buf b;
    fb_buf_init(&b, 200);
    assert_int_equal(fb_proof_code_seal(NULL, PARCEL, 7, "123456", &b), FB_CONFIG);
    assert_int_equal(fb_proof_code_seal("", PARCEL, 7, "123456", &b), FB_CONFIG);
    assert_int_equal(fb_proof_code_seal(KEY, "x", 7, "123456", &b), FB_INVALID);
    assert_int_equal(fb_proof_code_seal(KEY, PARCEL, 7, "", &b), FB_INVALID);
    assert_int_equal(fb_proof_code_seal(KEY, PARCEL, 7, "12345a", &b), FB_INVALID);
    assert_int_equal(fb_proof_code_seal(KEY, PARCEL, 7, "12345678901234567", &b), FB_INVALID);
    assert_int_equal(b.len, 0);
    seal("1");
    assert_int_equal(fb_proof_code_open(NULL, PARCEL, 7, sealed, code), FB_CONFIG);
    fb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens_for_its_recipient),
        cmocka_unit_test(it_is_never_the_same_twice),
        cmocka_unit_test(it_opens_with_no_other_key_for_nobody_else_and_not_changed),
        cmocka_unit_test(without_a_key_or_for_what_is_no_code_nothing_is_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
