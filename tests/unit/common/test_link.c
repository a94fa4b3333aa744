/* SPDX-License-Identifier: Apache-2.0
 *
 * The link to a sender's page: it opens with the key that made it, until its end, and nothing else
 * opens.  The link of a reader: it says which parcel, whose and the secret, in one text only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/link.h"

#define KEY   "0123456789abcdef0123456789abcdef"
#define OTHER "0123456789abcdef0123456789abcdeF"
#define END   1800000000000

static enum fb_status check(const char *key, const char *text, int64_t now, char *id, int64_t *end)
{
    struct fb_error err = {0};
    enum fb_status s = fb_link_check(key, text, now, id, end, &err);
    assert_int_equal(err.status, s);
    return s;
}

static void what_was_made_opens_until_its_end(void **state)
{
    (void)state;
    static const char *const ids[] = {"01ARZ3NDEKTSV4RRFFQ69G5FAV", "00000000000000000000000000",
                                      "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01J8ZQ0000000000000000000Z"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[FB_LINK_SIZE];
        char id[FB_ID_SIZE] = "";
        int64_t end = 0;
        assert_int_equal(fb_link_make(KEY, ids[i], END, text), FB_OK);
        assert_int_equal(strlen(text), FB_LINK_SIZE - 1);
        assert_int_equal(
            strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            FB_LINK_SIZE - 1);
        assert_int_equal(check(KEY, text, END - 1, id, &end), FB_OK);
        assert_string_equal(id, ids[i]);
        assert_int_equal(end, END);
        memset(id, 0, sizeof id);
        assert_int_equal(check(KEY, text, END, id, &end), FB_NOT_FOUND);
        assert_string_equal(id, ids[i]); /* the page may say which mail it was */
    }
    char id[FB_ID_SIZE];
    char text[FB_LINK_SIZE];
    for (int i = 0; i < 1000; i++) {
        char back[FB_ID_SIZE];
        int64_t end = 0;
        fb_id_new(id);
        assert_int_equal(fb_link_make(KEY, id, (int64_t)i << 40, text), FB_OK);
        assert_int_equal(check(KEY, text, -1, back, &end), FB_OK);
        assert_string_equal(back, id);
        assert_int_equal(end, (int64_t)i << 40);
    }
}

static void a_changed_character_anywhere_is_not_ours(void **state)
{
    (void)state;
    char text[FB_LINK_SIZE];
    assert_int_equal(fb_link_make(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FAV", END, text), FB_OK);
    for (size_t i = 0; i < FB_LINK_SIZE - 1; i++) {
        for (const char *c = "AaZz09-_=+/. \n"; *c != '\0'; c++) {
            char changed[FB_LINK_SIZE];
            char id[FB_ID_SIZE] = "untouched";
            int64_t end = 7;
            memcpy(changed, text, sizeof changed);
            changed[i] = *c;
            if (*c != text[i]) {
                assert_int_equal(check(KEY, changed, 0, id, &end), FB_DENIED);
                assert_string_equal(id, "untouched");
                assert_int_equal(end, 7);
            }
        }
    }
}

static void other_keys_lengths_and_versions_are_not_ours(void **state)
{
    (void)state;
    char text[FB_LINK_SIZE];
    char longer[200];
    char id[FB_ID_SIZE];
    int64_t end = 0;
    assert_int_equal(fb_link_make(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FAV", END, text), FB_OK);
    assert_int_equal(check(OTHER, text, 0, id, &end), FB_DENIED);
    assert_int_equal(check(NULL, text, 0, id, &end), FB_CONFIG);
    assert_int_equal(check(KEY, "", 0, id, &end), FB_DENIED);
    for (size_t n = 0; n < FB_LINK_SIZE - 1; n++) {
        (void)snprintf(longer, sizeof longer, "%.*s", (int)n, text);
        assert_int_equal(check(KEY, longer, 0, id, &end), FB_DENIED);
    }
    (void)snprintf(longer, sizeof longer, "%sA", text);
    assert_int_equal(check(KEY, longer, 0, id, &end), FB_DENIED);
    (void)snprintf(longer, sizeof longer, "%s%s", text, text);
    assert_int_equal(check(KEY, longer, 0, id, &end), FB_DENIED);

    /* signed with the very key, but by another version */
    uint8_t bytes[57] = {2};
    uint8_t derived[FB_KEY_SIZE];
    struct fb_buf out;
    fb_hkdf_sha256(fb_slice_str(KEY), (struct fb_slice){0},
                   FB_SLICE_LITERAL("fumibako sender link 1"), derived, sizeof derived);
    fb_hmac_sha256(fb_slice_of(derived, sizeof derived), fb_slice_of(bytes, 25), bytes + 25);
    fb_buf_init(&out, 200);
    assert_int_equal(fb_base64url_encode(fb_slice_of(bytes, sizeof bytes), &out), FB_OK);
    assert_int_equal(check(KEY, fb_buf_str(&out), 0, id, &end), FB_DENIED);
    /* signed with rewrite.key itself, as our other signatures are */
    bytes[0] = 1;
    fb_hmac_sha256(fb_slice_str(KEY), fb_slice_of(bytes, 25), bytes + 25);
    fb_buf_clear(&out);
    assert_int_equal(fb_base64url_encode(fb_slice_of(bytes, sizeof bytes), &out), FB_OK);
    assert_int_equal(check(KEY, fb_buf_str(&out), 0, id, &end), FB_DENIED);
    fb_buf_deinit(&out);
}

static void what_cannot_be_a_link_is_not_made(void **state)
{
    (void)state;
    char text[FB_LINK_SIZE];
    assert_int_equal(fb_link_make(NULL, "01ARZ3NDEKTSV4RRFFQ69G5FAV", END, text), FB_CONFIG);
    assert_int_equal(fb_link_make(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FA", END, text), FB_INVALID);
    assert_int_equal(fb_link_make(KEY, "", END, text), FB_INVALID);
    assert_int_equal(fb_link_make(KEY, "01ARZ3NDEKTSV4RRFFQ69G5FAV", -1, text), FB_INVALID);
}

/* ---- a reader's link ---- */

static const uint8_t secret[FB_READER_SECRET] = {0,   1,    2,    0xff, 0x80, 0x7f, 'a', 'b',
                                                 'c', 0xfe, 0xfd, 0,    0,    9,    8,   7};

static void a_readers_link_says_parcel_recipient_and_secret(void **state)
{
    (void)state;
    static const struct {
        const char *parcel_id;
        uint32_t recipient;
    } rows[] = {{"01ARZ3NDEKTSV4RRFFQ69G5FAV-0", 0},
                {"00000000000000000000000000-1", 1},
                {"7ZZZZZZZZZZZZZZZZZZZZZZZZZ-1000", 9999},
                {"01J8ZQ0000000000000000000Z-256", 256}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[FB_READER_LINK_SIZE];
        char parcel_id[FB_PARCEL_ID_SIZE] = "";
        uint32_t recipient = 77;
        uint8_t got[FB_READER_SECRET] = {0};
        assert_int_equal(fb_reader_link_make(rows[i].parcel_id, rows[i].recipient, secret, text),
                         FB_OK);
        assert_int_equal(strlen(text), FB_READER_LINK_SIZE - 1);
        assert_int_equal(
            strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            FB_READER_LINK_SIZE - 1);
        assert_int_equal(fb_reader_link_parse(text, parcel_id, &recipient, got), FB_OK);
        assert_string_equal(parcel_id, rows[i].parcel_id);
        assert_int_equal(recipient, rows[i].recipient);
        assert_memory_equal(got, secret, sizeof got);
    }
}

static void assert_no_readers_link(const char *text)
{
    char parcel_id[FB_PARCEL_ID_SIZE] = "untouched";
    uint32_t recipient = 77;
    uint8_t got[FB_READER_SECRET] = {7};
    if (fb_reader_link_parse(text, parcel_id, &recipient, got) != FB_INVALID) {
        fail_msg("taken: %s", text);
    }
    assert_string_equal(parcel_id, "untouched");
    assert_int_equal(recipient, 77);
    assert_int_equal(got[0], 7);
}

/* Reader links of these bytes, however wrong. */
static void encode_readers_link(const uint8_t *bytes, size_t len, char *text, size_t size)
{
    struct fb_buf out;
    fb_buf_init(&out, 400);
    assert_int_equal(fb_base64url_encode(fb_slice_of(bytes, len), &out), FB_OK);
    (void)snprintf(text, size, "%s", fb_buf_str(&out));
    fb_buf_deinit(&out);
}

static void a_readers_link_has_one_text_and_no_other_form(void **state)
{
    (void)state;
    char text[FB_READER_LINK_SIZE];
    char other[300];
    assert_int_equal(fb_reader_link_make("01ARZ3NDEKTSV4RRFFQ69G5FAV-3", 5, secret, text), FB_OK);
    for (size_t n = 0; n < FB_READER_LINK_SIZE - 1; n++) {
        (void)snprintf(other, sizeof other, "%.*s", (int)n, text);
        assert_no_readers_link(other);
    }
    (void)snprintf(other, sizeof other, "%sA", text);
    assert_no_readers_link(other);
    (void)snprintf(other, sizeof other, "%s=", text);
    assert_no_readers_link(other);
    (void)snprintf(other, sizeof other, "%s%s", text, text);
    assert_no_readers_link(other);
    for (const char *c = "+/=. \n%\x80"; *c != '\0'; c++) {
        memcpy(other, text, sizeof text);
        other[30] = *c;
        assert_no_readers_link(other);
    }
    /* The last character has two bits too many: they are zero. */
    int taken = 0;
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
         *c != '\0'; c++) {
        char parcel_id[FB_PARCEL_ID_SIZE];
        uint32_t recipient = 0;
        uint8_t got[FB_READER_SECRET];
        memcpy(other, text, sizeof text);
        other[FB_READER_LINK_SIZE - 2] = *c;
        taken += fb_reader_link_parse(other, parcel_id, &recipient, got) == FB_OK;
    }
    assert_int_equal(taken, 16);

    uint8_t bytes[54] = {1};
    encode_readers_link(bytes, 53, other, sizeof other);
    char parcel_id[FB_PARCEL_ID_SIZE];
    uint32_t recipient = 0;
    uint8_t got[FB_READER_SECRET];
    assert_int_equal(fb_reader_link_parse(other, parcel_id, &recipient, got), FB_OK);
    encode_readers_link(bytes, 52, other, sizeof other);
    assert_no_readers_link(other);
    encode_readers_link(bytes, 54, other, sizeof other);
    assert_no_readers_link(other);
    bytes[17] = 1001 >> 8;
    bytes[18] = 1001 & 255; /* no such branch */
    encode_readers_link(bytes, 53, other, sizeof other);
    assert_no_readers_link(other);
    bytes[17] = bytes[18] = 0;
    bytes[19] = 10000 >> 8;
    bytes[20] = 10000 & 255; /* no such recipient */
    encode_readers_link(bytes, 53, other, sizeof other);
    assert_no_readers_link(other);
    bytes[19] = bytes[20] = 0;
    bytes[0] = 2; /* a later version */
    encode_readers_link(bytes, 53, other, sizeof other);
    assert_no_readers_link(other);
}

static void what_cannot_be_a_readers_link_is_not_made(void **state)
{
    (void)state;
    char text[FB_READER_LINK_SIZE] = "untouched";
    assert_int_equal(fb_reader_link_make("01ARZ3NDEKTSV4RRFFQ69G5FAV", 0, secret, text),
                     FB_INVALID);
    assert_int_equal(fb_reader_link_make("01ARZ3NDEKTSV4RRFFQ69G5FAV-1001", 0, secret, text),
                     FB_INVALID);
    assert_int_equal(fb_reader_link_make("", 0, secret, text), FB_INVALID);
    assert_int_equal(fb_reader_link_make("01ARZ3NDEKTSV4RRFFQ69G5FAV-0", 10000, secret, text),
                     FB_INVALID);
    assert_string_equal(text, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_opens_until_its_end),
        cmocka_unit_test(a_changed_character_anywhere_is_not_ours),
        cmocka_unit_test(other_keys_lengths_and_versions_are_not_ours),
        cmocka_unit_test(what_cannot_be_a_link_is_not_made),
        cmocka_unit_test(a_readers_link_says_parcel_recipient_and_secret),
        cmocka_unit_test(a_readers_link_has_one_text_and_no_other_form),
        cmocka_unit_test(what_cannot_be_a_readers_link_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
