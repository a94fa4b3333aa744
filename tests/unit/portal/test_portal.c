/* SPDX-License-Identifier: Apache-2.0
 *
 * What needs no Redis and no network: forms, tokens, languages, limits, escaping. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/portal/form.h"
#include "services/portal/html.h"
#include "common/language.h"
#include "services/portal/limit.h"

static void a_form_is_read_as_browsers_write_it(void **state)
{
    (void)state;
    struct form f;
    const char *body =
        "token=T&scope=chosen&r=3&r=0&r=3&reason=a+b%26%3D%0D%0Ac%E6%96%87&id=&x=y&&z";
    assert_int_equal(form_parse(fb_slice_str(body), &f), FB_OK);
    assert_string_equal(f.token, "T");
    assert_false(f.is_all);
    assert_int_equal(f.count, 2);
    assert_int_equal(f.recipients[0], 3);
    assert_int_equal(f.recipients[1], 0);
    assert_string_equal(f.reason, "a b&=  c\xe6\x96\x87");
    assert_string_equal(f.id, "");
}

static void what_no_browser_sends_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum fb_status want;
    } rows[] = {
        {"token=T&scope=all", FB_OK},
        {"scope=all&token=T", FB_OK},
        {"", FB_INVALID},
        {"token=T", FB_INVALID},
        {"token=&scope=all", FB_INVALID},
        {"token=T&scope=All", FB_INVALID},
        {"token=T&token=T&scope=all", FB_INVALID},
        {"token=T&scope=all&reason=%", FB_INVALID},
        {"token=T&scope=all&reason=%0", FB_INVALID},
        {"token=T&scope=all&reason=%g0", FB_INVALID},
        {"token=T&scope=all&reason=%00", FB_INVALID},
        {"token=T&scope=all&reason=%FF", FB_INVALID},
        {"token=T&scope=all&r=99999", FB_OK}, /* whether there is such a one, the ledger says */
        {"token=T&scope=all&r=100000", FB_INVALID},
        {"token=T&scope=all&r=1000000", FB_INVALID},
        {"token=T&scope=all&r=+1", FB_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct form f;
        enum fb_status s = form_parse(fb_slice_str(rows[i].body), &f);
        if (s != rows[i].want) {
            fail_msg("%s: %s", rows[i].body, fb_status_name(s));
        }
    }
}

static void a_reason_may_have_500_bytes(void **state)
{
    (void)state;
    static struct form f;
    for (size_t n = 499; n <= 502; n++) {
        char body[600] = "token=T&scope=all&reason=";
        size_t at = strlen(body);
        memset(body + at, 'x', n);
        body[at + n] = '\0';
        assert_int_equal(form_parse(fb_slice_str(body), &f), n <= 500 ? FB_OK : FB_TOO_BIG);
    }
}

static void a_token_is_good_for_its_binding_and_time_only(void **state)
{
    (void)state;
    static const uint8_t key[FB_KEY_SIZE] = {1}, other_key[FB_KEY_SIZE] = {2};
    const struct form_binding mine = {key, "recall", "link", "cookie", "id"};
    char token[FORM_TOKEN_SIZE];
    form_token_make(&mine, 5000, token);
    assert_int_equal(strlen(token), FORM_TOKEN_SIZE - 1);
    assert_true(form_token_is_good(&mine, token, 4999));
    assert_false(form_token_is_good(&mine, token, 5000));
    assert_false(form_token_is_good(&mine, token, -1));
    const struct form_binding others[] = {
        {other_key, "recall", "link", "cookie", "id"}, {key, "confirm", "link", "cookie", "id"},
        {key, "recall", "Link", "cookie", "id"},       {key, "recall", "link", "cookie2", "id"},
        {key, "recall", "link", "cookie", ""},         {key, "recall", "linkc", "ookie", "id"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(form_token_is_good(&others[i], token, 4999));
    }
    for (size_t i = 0; token[i] != '\0'; i++) {
        char changed[FORM_TOKEN_SIZE];
        memcpy(changed, token, sizeof changed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_false(form_token_is_good(&mine, changed, 4999));
    }
    assert_false(form_token_is_good(&mine, "", 4999));
}

static void cookies_are_new_each_time_and_checked(void **state)
{
    (void)state;
    char a[FORM_COOKIE_SIZE], b[FORM_COOKIE_SIZE];
    form_cookie_new(a);
    form_cookie_new(b);
    assert_string_not_equal(a, b);
    assert_true(form_cookie_is_valid(a));
    assert_false(form_cookie_is_valid(""));
    assert_false(form_cookie_is_valid("0123456789012345678901x"));
    assert_false(form_cookie_is_valid("012345678901234567890;"));
}

static void the_reader_gets_the_language_they_like_better(void **state)
{
    (void)state;
    static const struct {
        const char *chosen, *accept;
        bool fallback, want;
    } rows[] = {
        {NULL, NULL, true, true},
        {NULL, NULL, false, false},
        {"ja", "en", false, true},
        {"en", "ja", true, false},
        {"fr", "ja", false, true},
        {NULL, "ja", false, true},
        {NULL, "JA-jp", false, true},
        {NULL, "jam, javanese", false, false},
        {NULL, "en,ja", false, false},
        {NULL, "ja,en", false, true},
        {NULL, "en;q=0.1,ja;q=0.2", false, true},
        {NULL, "en;q=0.25,ja;q=0.2", true, false},
        {NULL, "ja;q=0", true, true},
        {NULL, "ja;q=0,en;q=0.001", true, false},
        {NULL, "ja ; q=0.9 , en", false, false},
        {NULL, "ja;q=", false, true},
        {NULL, ",,;;=,q", true, true},
        {NULL, "*", false, false},
        {NULL, "de,en;q=0.3", true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (fb_language_is_ja(rows[i].chosen, rows[i].accept, rows[i].fallback) != rows[i].want) {
            fail_msg("%s, %s", rows[i].chosen ? rows[i].chosen : "-",
                     rows[i].accept ? rows[i].accept : "-");
        }
    }
}

static struct fb_net_address address(const char *text)
{
    struct fb_net_address a;
    assert_true(fb_net_address_parse(text, &a));
    return a;
}

static void buckets_fill_again_and_are_each_clients_own(void **state)
{
    (void)state;
    struct portal_limit *l = portal_limit_new();
    struct fb_net_address a = address("192.0.2.1"), b = address("192.0.2.2");
    int64_t now = 1000;
    for (int i = 0; i < LIMIT_BAD_LINKS; i++) {
        assert_true(portal_limit_take(l, &a, LIMIT_BAD_LINK, now));
    }
    assert_false(portal_limit_take(l, &a, LIMIT_BAD_LINK, now));
    assert_true(portal_limit_take(l, &a, LIMIT_REQUEST, now));
    assert_true(portal_limit_take(l, &b, LIMIT_BAD_LINK, now));
    assert_false(portal_limit_take(l, &a, LIMIT_BAD_LINK, now + 5900));
    assert_true(portal_limit_take(l, &a, LIMIT_BAD_LINK, now + 6100));
    assert_false(portal_limit_take(l, &a, LIMIT_BAD_LINK, now + 6200));
    int again =
        0; /* after a long time it is full, and no more than that; a clock that goes back gives nothing */
    while (portal_limit_take(l, &a, LIMIT_BAD_LINK, INT64_MAX / 2) && again < 1000) {
        again++;
    }
    assert_int_equal(again, LIMIT_BAD_LINKS);
    assert_false(portal_limit_take(l, &a, LIMIT_BAD_LINK, 1));
    struct fb_net_address one = address("2001:db8::1"), two = address("2001:db8::ffff:2"),
                          far = address("2001:db8:0:1::1");
    for (int i = 0; i < LIMIT_BAD_LINKS; i++) {
        assert_true(portal_limit_take(l, i % 2 ? &one : &two, LIMIT_BAD_LINK, now));
    }
    assert_false(portal_limit_take(l, &one, LIMIT_BAD_LINK, now));
    assert_true(portal_limit_take(l, &far, LIMIT_BAD_LINK, now));
    portal_limit_free(&l);
    assert_null(l);
}

static void more_clients_than_there_is_room_for_are_served(void **state)
{
    (void)state;
    struct portal_limit *l = portal_limit_new();
    for (uint32_t i = 0; i < 100000; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        struct fb_net_address a = address(text);
        assert_true(portal_limit_take(l, &a, LIMIT_REQUEST, 1000 + i));
    }
    portal_limit_free(&l);
}

static void values_stay_values(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_buf_init(&out, 1000);
    struct html h = {.out = &out};
    html_text(&h, "<a href=\"x\">'&\x01\x7f\xc2\x85\xd8\x9c\xe2\x80\xae\xe2\x81\xa6\xef\xbb\xbf"
                  "\xe6\x96\x87\xe2\x80\x8d|\xe2\x80");
    assert_int_equal(h.status, FB_OK);
    assert_string_equal(fb_buf_str(&out), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;       "
                                          "\xe6\x96\x87\xe2\x80\x8d|\xe2\x80");
    fb_buf_deinit(&out);
    fb_buf_init(&out, 8);
    h = (struct html){.out = &out};
    html_raw(&h, "12345");
    html_text(&h, "67890");
    html_raw(&h, "x");
    assert_int_equal(h.status, FB_TOO_BIG);
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_is_read_as_browsers_write_it),
        cmocka_unit_test(what_no_browser_sends_is_refused),
        cmocka_unit_test(a_reason_may_have_500_bytes),
        cmocka_unit_test(a_token_is_good_for_its_binding_and_time_only),
        cmocka_unit_test(cookies_are_new_each_time_and_checked),
        cmocka_unit_test(the_reader_gets_the_language_they_like_better),
        cmocka_unit_test(buckets_fill_again_and_are_each_clients_own),
        cmocka_unit_test(more_clients_than_there_is_room_for_are_served),
        cmocka_unit_test(values_stay_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
