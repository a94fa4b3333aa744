/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of MAIL, RCPT, BDAT and XFORWARD: what is taken, what is refused with which code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_command.h"

static void show(char *out, size_t size, struct fb_slice s)
{
    (void)snprintf(out, size, "%.*s", (int)s.len, s.ptr == NULL ? "" : (const char *)s.ptr);
}

static void test_mail(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        int code; /* 0 = taken */
        const char *path;
        uint64_t size;
        bool is_8bit, is_utf8;
        const char *ret, *envid;
    } rows[] = {
        {" FROM:<a@example.jp>", 0, "a@example.jp", 0, false, false, "", ""},
        {" from: <a@example.jp>  ", 0, "a@example.jp", 0, false, false, "", ""},
        {" FROM:<>", 0, "", 0, false, false, "", ""},
        {" FROM:<a..b.@docomo.ne.jp>", 0, "a..b.@docomo.ne.jp", 0, false, false, "", ""},
        {" FROM:<\"a b>@\\\"\"@example.jp> SIZE=1", 0, "\"a b>@\\\"\"@example.jp", 1, false, false,
         "", ""},
        {" FROM:<@r.example,@s.example:a@example.jp>", 0, "a@example.jp", 0, false, false, "", ""},
        {" FROM:<a@[192.0.2.1]>", 0, "a@[192.0.2.1]", 0, false, false, "", ""},
        {" FROM:<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]", 0, false, false, "", ""},
        {" FROM:<a@b> SIZE=18446744073709551615 BODY=8bitmime", 0, "a@b", UINT64_MAX, true, false,
         "", ""},
        {" FROM:<a@b> RET=HDRS ENVID=QQ+2B314159 BODY=7BIT", 0, "a@b", 0, false, false, "HDRS",
         "QQ+2B314159"},
        {" FROM:<\xe5\xa4\xaa@\xe4\xbe\x8b.jp> SMTPUTF8", 0, "\xe5\xa4\xaa@\xe4\xbe\x8b.jp", 0,
         false, true, "", ""},
        {" FROM:<\xe5\xa4\xaa@\xe4\xbe\x8b.jp>", 553, NULL, 0, false, false, NULL, NULL},
        {" FROM:<\xe5\xa4@example.jp> SMTPUTF8", 501, NULL, 0, false, false, NULL, NULL},
        {"", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:a@b", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b>SIZE=1", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<@b>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b..c>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@.b>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@-b>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a b@c>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<\"a@b>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b@c>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@[]>", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> SIZE=18446744073709551616", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> SIZE=", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> SIZE=-1", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> BODY=BINARYMIME", 504, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> BODY=9BIT", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> SMTPUTF8=1", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> RET=FULL RET=FULL", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> ENVID=a=b", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> ENVID=a+2", 501, NULL, 0, false, false, NULL, NULL},
        {" FROM:<a@b> AUTH=<>", 555, NULL, 0, false, false, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smtp_mail m = {0};
        struct smtp_refusal r = {0};
        bool is_taken = smtp_parse_mail(fb_slice_str(rows[i].arg), &m, &r);
        char path[256], ret[16], envid[128];
        show(path, sizeof path, m.path);
        show(ret, sizeof ret, m.ret);
        show(envid, sizeof envid, m.envid);
        if (is_taken != (rows[i].code == 0) || (!is_taken && r.code != rows[i].code)) {
            fail_msg("MAIL%s: taken %d, code %d, want %d", rows[i].arg, is_taken, r.code,
                     rows[i].code);
        }
        if (is_taken && (strcmp(path, rows[i].path) != 0 || m.size != rows[i].size ||
                         m.is_8bit != rows[i].is_8bit || m.is_smtputf8 != rows[i].is_utf8 ||
                         strcmp(ret, rows[i].ret) != 0 || strcmp(envid, rows[i].envid) != 0)) {
            fail_msg("MAIL%s: path %s size %llu ret %s envid %s", rows[i].arg, path,
                     (unsigned long long)m.size, ret, envid);
        }
    }
}

static void test_rcpt(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        bool is_utf8;
        int code;
        const char *path, *notify, *orcpt;
    } rows[] = {
        {" TO:<b@example.com>", false, 0, "b@example.com", "", ""},
        {" TO:<Postmaster>", false, 0, "Postmaster", "", ""},
        {" TO:<b@c> NOTIFY=NEVER ORCPT=rfc822;b+40c", false, 0, "b@c", "NEVER", "rfc822;b+40c"},
        {" to: <b@c> notify=success,DELAY,failure", false, 0, "b@c", "success,DELAY,failure", ""},
        {" TO:<b@c> ORCPT=utf-8;\xe5\xa4\xaa@c", true, 0, "b@c", "", "utf-8;\xe5\xa4\xaa@c"},
        {" TO:<b@c> ORCPT=utf-8;\xe5\xa4\xaa@c", false, 501, NULL, NULL, NULL},
        {" TO:<>", false, 501, NULL, NULL, NULL},
        {" TO:<b>", false, 501, NULL, NULL, NULL},
        {" TO:b@c", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> NOTIFY=NEVER,DELAY", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> NOTIFY=DELAY,DELAY", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> NOTIFY=", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> NOTIFY=DELAY NOTIFY=NEVER", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> ORCPT=b@c", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> ORCPT=rfc822;", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> ORCPT=;b", false, 501, NULL, NULL, NULL},
        {" TO:<b@c> SIZE=1", false, 555, NULL, NULL, NULL},
        {" TO:<\xe5\xa4\xaa@c>", false, 553, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smtp_rcpt m = {0};
        struct smtp_refusal r = {0};
        bool is_taken = smtp_parse_rcpt(fb_slice_str(rows[i].arg), rows[i].is_utf8, &m, &r);
        char path[256], notify[64], orcpt[64];
        show(path, sizeof path, m.path);
        show(notify, sizeof notify, m.notify);
        show(orcpt, sizeof orcpt, m.orcpt);
        if (is_taken != (rows[i].code == 0) || (!is_taken && r.code != rows[i].code)) {
            fail_msg("RCPT%s: taken %d, code %d, want %d", rows[i].arg, is_taken, r.code,
                     rows[i].code);
        }
        if (is_taken && (strcmp(path, rows[i].path) != 0 || strcmp(notify, rows[i].notify) != 0 ||
                         strcmp(orcpt, rows[i].orcpt) != 0)) {
            fail_msg("RCPT%s: path %s notify %s orcpt %s", rows[i].arg, path, notify, orcpt);
        }
    }
}

/* A limit is tested at the limit and one above. */
static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        size_t limit;
        const char *after;
        bool is_rcpt;
    } rows[] = {
        {" FROM:<", 1024 - 10, "@example.j>", false}, /* FB_MAX_ADDRESS */
        {" FROM:<a@b> ENVID=", 100, "", false},
        {" TO:<b@c> ORCPT=rfc822;", 500 - 7, "", true},
        {" FROM:<a@", 255, ">", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t more = 0; more < 2; more++) {
            char arg[4096], middle[2048];
            memset(middle, 'x', sizeof middle);
            middle[rows[i].limit + more] = '\0';
            (void)snprintf(arg, sizeof arg, "%s%s%s", rows[i].before, middle, rows[i].after);
            struct smtp_mail m;
            struct smtp_rcpt p;
            struct smtp_refusal r;
            bool is_taken = rows[i].is_rcpt ? smtp_parse_rcpt(fb_slice_str(arg), false, &p, &r)
                                            : smtp_parse_mail(fb_slice_str(arg), &m, &r);
            if (is_taken != (more == 0)) {
                fail_msg("%s...: %zu octets: taken %d", rows[i].before, rows[i].limit + more,
                         is_taken);
            }
        }
    }
}

static void test_bdat(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        bool is_good;
        uint64_t size;
        bool is_last;
    } rows[] = {
        {" 0", true, 0, false},         {" 86 last", true, 86, true},
        {" 10  LAST ", true, 10, true}, {"", false, 0, false},
        {" LAST", false, 0, false},     {" -1", false, 0, false},
        {" 1 FIRST", false, 0, false},  {" 1 LAST x", false, 0, false},
        {" 0x10", false, 0, false},     {" 99999999999999999999", false, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t size = 0;
        bool is_last = false;
        struct smtp_refusal r;
        bool is_good = smtp_parse_bdat(fb_slice_str(rows[i].arg), &size, &is_last, &r);
        if (is_good != rows[i].is_good ||
            (is_good && (size != rows[i].size || is_last != rows[i].is_last))) {
            fail_msg("BDAT%s: good %d, size %llu, last %d", rows[i].arg, is_good,
                     (unsigned long long)size, is_last);
        }
    }
}

static void test_xforward(void **state)
{
    (void)state;
    struct smtp_xforward x = {0};
    struct smtp_refusal r = {0};
    assert_true(smtp_parse_xforward(
        fb_slice_str(" NAME=spike.example ADDR=192.0.2.7 PORT=25 PROTO=ESMTP"), &x, &r));
    assert_true(smtp_parse_xforward(
        fb_slice_str(" HELO=a+20b+0Ac IDENT=4ABC SOURCE=REMOTE addr=IPV6:2001:db8::1"), &x, &r));
    assert_string_equal(x.name, "spike.example");
    assert_string_equal(x.addr, "2001:db8::1");
    assert_string_equal(x.port, "25");
    assert_string_equal(x.proto, "ESMTP");
    assert_string_equal(x.helo, "a b?c"); /* a line feed never reaches a log or a header */
    assert_string_equal(x.ident, "4ABC");
    assert_string_equal(x.source, "REMOTE");
    assert_true(smtp_parse_xforward(fb_slice_str(" NAME=[UNAVAILABLE]"), &x, &r));
    assert_null(x.name);
    assert_false(smtp_parse_xforward(fb_slice_str(""), &x, &r));
    assert_false(smtp_parse_xforward(fb_slice_str(" LOGIN=a"), &x, &r));
    assert_false(smtp_parse_xforward(fb_slice_str(" NAME=a+2"), &x, &r));
    assert_int_equal(r.code, 501);
    smtp_xforward_deinit(&x);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf5\x80\x80\x80",
                                      "\xe3\x81"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(smtp_is_utf8(fb_slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(smtp_is_utf8(fb_slice_str(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),     cmocka_unit_test(test_rcpt),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_bdat),
        cmocka_unit_test(test_xforward), cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
