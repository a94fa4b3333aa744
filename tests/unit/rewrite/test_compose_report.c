/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery reports (RFC 3464): readable by people and machines, 7 bit, without content. */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fb_buf report_of(struct kit *k, const struct fb_plan *plan,
                               const struct report_line *lines, size_t count)
{
    struct content c;
    struct fb_error err = {0};
    content_init(&c, k->msg);
    enum fb_status s =
        compose_report(k->msg, KIT_KEY, &k->envelope, plan, 0, "postmaster@example.jp",
                       "mx.example.jp", lines, count, &c, &err);
    if (s != FB_OK) {
        fail_msg("report: %s", err.text);
    }
    struct fb_buf mail = kit_read(&c);
    assert_false(c.has_8bit);
    kit_check_lines(&mail);
    content_deinit(&c);
    return mail;
}

static void must_hold(const struct fb_buf *mail, const char *text, bool is_there)
{
    if ((fb_slice_find(fb_slice_buf(mail), fb_slice_str(text)) != SIZE_MAX) != is_there) {
        fail_msg("%s \"%s\" in:\n%s", is_there ? "no" : "unwanted", text, fb_buf_str(mail));
    }
}

static void test_a_refusal_is_told_to_people_and_machines(void **state)
{
    struct kit *k = *state;
    const struct report_line lines[] = {
        {.address = "b@y",
         .orcpt = "rfc822;B+2Bold@y",
         .status = "5.1.1",
         .diagnostic = "550 no such user",
         .is_smtp = true},
        {.address = "c@y", .status = "4.4.7", .diagnostic = "it could not be sent on in time"},
    };
    kit_message(k, "Subject: Report\r\n\r\nSECRET\r\n");
    kit_object(k, "head", FB_SLICE_LITERAL("Subject: Report\r\nMessage-ID: <1@x>\r\n"));
    k->envelope.dsn_envid = kit_lend("QQ+2B7");
    k->envelope.dsn_ret = kit_lend("FULL");
    struct fb_buf mail = report_of(k, &k->plan, lines, 2);
    must_hold(
        &mail,
        "From: \"Mail Delivery System\"\r\n <postmaster@example.jp>\r\nTo: <a@example.jp>\r\n",
        true);
    must_hold(&mail, "\r\nAuto-Submitted: auto-replied\r\n", true);
    must_hold(&mail, "Content-Type: multipart/report; report-type=delivery-status;\r\n", true);
    must_hold(&mail,
              "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; "
              "mx.example.jp\r\nOriginal-Envelope-Id: "
              "QQ+7\r\nArrival-Date: ",
              true);
    must_hold(&mail,
              "\r\n\r\nOriginal-Recipient: rfc822; B+old@y\r\nFinal-Recipient: rfc822; "
              "b@y\r\nAction: failed\r\n"
              "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n\r\nFinal-Recipient: "
              "rfc822; c@y\r\n"
              "Action: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: x-fumibako; it could not be "
              "sent on in time\r\n",
              true);
    must_hold(
        &mail,
        "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: "
        "Report\r\nMessage-ID: <1@x>\r\n",
        true);
    must_hold(&mail, "SECRET", false);
    struct fb_buf text = kit_part(&mail, "text/plain");
    must_hold(&text, "could not be delivered", true);
    must_hold(&text, "b@y", true);
    fb_buf_deinit(&text);
    fb_buf_deinit(&mail);
}

static void test_it_speaks_the_language_of_the_mail(void **state)
{
    struct kit *k = *state;
    const struct report_line line = {.address = "b@y", .status = "5.0.0", .diagnostic = ""};
    static const struct {
        const char *language; /* NULL: no plan */
        bool ja, en;
    } rows[] = {{"ja", true, false}, {"en", false, true}, {"both", true, true}, {NULL, true, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        k->plan.language = kit_lend(rows[i].language);
        struct fb_buf mail = report_of(k, rows[i].language != NULL ? &k->plan : NULL, &line, 1);
        struct fb_buf text = kit_part(&mail, "text/plain");
        must_hold(&text, "届けられませんでした", rows[i].ja);
        must_hold(&text, "could not be delivered", rows[i].en);
        must_hold(&mail, "Diagnostic-Code", false);
        fb_buf_deinit(&text);
        fb_buf_deinit(&mail);
    }
}

static void test_it_is_7_bit_whatever_it_is_about(void **state)
{
    struct kit *k = *state;
    const struct report_line line = {.address = "\u7530+a@\u4f8b.jp",
                                     .orcpt = "utf-8;\u7530@x",
                                     .status = "5.6.7",
                                     .diagnostic = "553 \u7530 \r\nX: y",
                                     .is_smtp = true};
    k->envelope.dsn_envid = kit_lend("a+0D+0AX-Evil: 1");
    kit_object(k, "head", FB_SLICE_LITERAL("Subject: \xe7\x94\xb0\r\n"));
    struct fb_buf mail = report_of(k, &k->plan, &line, 1);
    must_hold(&mail, "Final-Recipient: utf-8; \\x{7530}\\x{2B}a@\\x{4F8B}.jp\r\n", true);
    must_hold(&mail, "Diagnostic-Code: smtp; 553 ??? ??X: y\r\n", true);
    must_hold(&mail, "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =E7=94=B0\r\n",
              true);
    must_hold(&mail, "Original-Recipient", false);
    must_hold(&mail, "X-Evil", false);
    fb_buf_deinit(&mail);
}

static void test_relayed_is_no_failure(void **state)
{
    struct kit *k = *state;
    const struct report_line line = {
        .address = "b@y", .status = "2.0.0", .diagnostic = "", .action = REPORT_RELAYED};
    struct fb_buf mail = report_of(k, &k->plan, &line, 1);
    must_hold(&mail, "\r\nSubject: Mail passed on\r\n", true);
    must_hold(&mail, "Action: relayed\r\nStatus: 2.0.0\r\n", true);
    struct fb_buf text = kit_part(&mail, "text/plain");
    must_hold(&text, "There is nothing to do", true);
    must_hold(&text, "could not be delivered", false);
    fb_buf_deinit(&text);
    fb_buf_deinit(&mail);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_refusal_is_told_to_people_and_machines),
        TEST(test_it_speaks_the_language_of_the_mail),
        TEST(test_it_is_7_bit_whatever_it_is_about),
        TEST(test_relayed_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
