/* SPDX-License-Identifier: Apache-2.0
 *
 * The composed mails: what of the original is in them, and what must not be. */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "proto/trace_header.h"

#define HEAD                                                                                       \
    "Received: from x by y; Tue, 25 Nov 2025 10:15:00 +0000\r\nMessage-ID: "                       \
    "<1@example.jp>\r\nSubject: =?UTF-8?B?44GC?=\r\n"                                              \
    "From: A <a@example.jp>\r\nTo: b@y,\r\n\tc@y\r\nDate: Tue, 25 Nov 2025 10:15:00 +0000\r\n"
#define PNG "\x89PNG\r\n\x1a\n0123456789"

static struct fb_buf notice_of(struct kit *k)
{
    struct content c;
    struct fb_error err = {0};
    content_init(&c, k->msg);
    enum fb_status s = compose_notice(k->msg, KIT_KEY, &k->facts, 3, &c, &err);
    if (s != FB_OK) {
        fail_msg("compose: %s", err.text);
    }
    struct fb_buf mail = kit_read(&c);
    content_deinit(&c);
    return mail;
}

static bool holds(const struct fb_buf *mail, const char *text)
{
    return fb_slice_find(fb_slice_buf(mail), fb_slice_str(text)) != SIZE_MAX;
}

static void must_hold(const struct fb_buf *mail, const char *text)
{
    if (!holds(mail, text)) {
        fail_msg("no \"%s\" in:\n%s", text, fb_buf_str(mail));
    }
}

static void must_not_hold(const struct fb_buf *mail, const char *text)
{
    if (holds(mail, text)) {
        fail_msg("\"%s\" in:\n%s", text, fb_buf_str(mail));
    }
}

/* The first field is ours, and its signature covers exactly this body. */
static void must_be_signed(const struct fb_buf *mail, uint32_t branch)
{
    struct fb_slice all = fb_slice_buf(mail);
    assert_true(fb_slice_istarts(all, FB_TRACE_HEADER ": "));
    size_t eol = fb_slice_find(all, FB_SLICE_LITERAL("\r\n"));
    struct fb_slice value =
        fb_slice_sub(all, sizeof FB_TRACE_HEADER + 1, eol - sizeof FB_TRACE_HEADER - 1);
    size_t end = fb_slice_find(all, FB_SLICE_LITERAL("\r\n\r\n"));
    struct fb_body_hash hash;
    uint8_t digest[32];
    char id[FB_ID_SIZE];
    uint32_t got = 0;
    assert_int_equal(fb_body_hash_init(&hash), FB_OK);
    assert_int_equal(fb_body_hash_add(&hash, end == SIZE_MAX
                                                 ? fb_slice_of("", 0)
                                                 : fb_slice_sub(all, end + 4, SIZE_MAX)),
                     FB_OK);
    assert_int_equal(fb_body_hash_final(&hash, digest), FB_OK);
    assert_true(fb_trace_header_verify(KIT_KEY, value, digest, id, &got));
    assert_int_equal(got, branch);
    digest[0] ^= 1;
    assert_false(fb_trace_header_verify(KIT_KEY, value, digest, id, &got));
}

static void test_untouched_mail_changes_by_one_header_only(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *name, *in, *want;
    } rows[] = {
        {"plain", "Subject: x\r\n\r\nbody\r\n.\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n"},
        {"forged header", "X-Fumibako-Id: 1\r\nSubject: x\r\n\r\nX-Fumibako-Id: stays\r\n",
         "Subject: x\r\n\r\nX-Fumibako-Id: stays\r\n"},
        {"forged, folded, in the middle, with a blank before the colon",
         "A: 1\r\nx-fumibako-ID : 1;\r\n\t b=2\r\n c\r\nB: 2\r\n d\r\n\r\nbody",
         "A: 1\r\nB: 2\r\n d\r\n\r\nbody"},
        {"two forged at the end", "A: 1\r\nX-Fumibako-Id: 1\r\nX-Fumibako-Id: 2\r\n\r\nbody",
         "A: 1\r\n\r\nbody"},
        {"another of our names stays", "X-Fumibako-Idea: 1\r\n\r\nbody",
         "X-Fumibako-Idea: 1\r\n\r\nbody"},
        {"no body", "Subject: x\r\n\r\n", "Subject: x\r\n\r\n"},
        {"no empty line", "Subject: x\r\n", "Subject: x\r\n"},
        {"no header", "\r\nbody\r\n", "\r\nbody\r\n"},
        {"blanks, tabs and bytes", "a:\t \xff\xfe  \r\n\r\n \xe3\x81\x82\t\r\n\r\n\r\n",
         "a:\t \xff\xfe  \r\n\r\n \xe3\x81\x82\t\r\n\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct content c;
        struct fb_error err = {0};
        kit_message(k, rows[i].in);
        content_init(&c, k->msg);
        assert_int_equal(compose_pass(k->msg, KIT_KEY, 7, &c, &err), FB_OK);
        struct fb_buf mail = kit_read(&c);
        size_t eol = fb_slice_find(fb_slice_buf(&mail), FB_SLICE_LITERAL("\r\n"));
        if (strcmp(fb_buf_str(&mail) + eol + 2, rows[i].want) != 0) {
            fail_msg("%s: got \"%s\"", rows[i].name, fb_buf_str(&mail));
        }
        must_be_signed(&mail, 7);
        bool is_8bit = false;
        for (const char *p = rows[i].want; *p != '\0'; p++) {
            is_8bit = is_8bit || (unsigned char)*p > 0x7f;
        }
        assert_int_equal(c.has_8bit, is_8bit);
        fb_buf_deinit(&mail);
        content_deinit(&c);
    }
}

static void test_the_notice_keeps_the_header_and_nothing_of_the_body(void **state)
{
    struct kit *k = *state;
    kit_message(k, HEAD "DKIM-Signature: v=1\r\n\r\nSECRET body\r\n");
    kit_object(k, "head", FB_SLICE_LITERAL(HEAD));
    struct fb_buf mail = notice_of(k);
    must_hold(&mail, "\r\n" HEAD
                     "MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=");
    must_not_hold(&mail, "SECRET");
    must_be_signed(&mail, 3);
    kit_check_lines(&mail);
    struct fb_buf text = kit_part(&mail, "text/plain");
    struct fb_buf html = kit_part(&mail, "text/html");
    must_hold(&text, KIT_LINK);
    must_hold(&html, "Open the mail");
    fb_buf_deinit(&text);
    fb_buf_deinit(&html);
    fb_buf_deinit(&mail);
}

static void test_the_tag_is_taken_out_of_the_subject(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *head, *subject, *want;
    } rows[] = {
        {"A: 1\r\nSubject: [secure]\r\n x\r\n y\r\nB: 2\r\n", "x y",
         "\r\nA: 1\r\nSubject: x y\r\nB: 2\r\nMIME"},
        {"SUBJECT : [secure] x\r\nB: 2\r\n", "x", "\r\nSubject: x\r\nB: 2\r\nMIME"},
        {"Subject: [secure]\r\nSubjective: y\r\n", "", "\r\nSubject:\r\nSubjective: y\r\nMIME"},
        {"Subject: =?UTF-8?B?44GC?=\r\n", NULL, "\r\nSubject: =?UTF-8?B?44GC?=\r\nMIME"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        k->branch.subject = kit_lend(rows[i].subject);
        kit_object(k, "head", fb_slice_str(rows[i].head));
        struct fb_buf mail = notice_of(k);
        must_hold(&mail, rows[i].want);
        fb_buf_deinit(&mail);
    }
}

static void test_a_body_rule_keeps_the_attachments(void **state)
{
    struct kit *k = *state;
    kit_message(k, "Subject: x\r\n\r\nSECRET\r\nQUJD\r\n=41=42\r\nraw \xe3\x81\x82\r\ninline\r\n");
    k->branch.secures_attachments = false;
    k->parts[0] = (struct fb_part){.name = kit_lend("body.pdf"),
                                   .type = kit_lend("application/pdf"),
                                   .object = kit_lend("body.pdf")};
    k->parts[1] = (struct fb_part){.name = kit_lend("表.xlsx"),
                                   .type = kit_lend("application/x"),
                                   .offset = 22,
                                   .length = 4,
                                   .encoding = FB_ENC_BASE64};
    k->parts[2] = (struct fb_part){.name = kit_lend("t.txt"),
                                   .type = kit_lend("text/plain"),
                                   .offset = 28,
                                   .length = 6,
                                   .encoding = FB_ENC_QP};
    k->parts[3] = (struct fb_part){.name = kit_lend("i.png"),
                                   .type = kit_lend("image/png"),
                                   .cid = kit_lend("c"),
                                   .offset = 46,
                                   .length = 6,
                                   .is_inline = true};
    k->plan.part_count = 4;
    k->branch.part_count = 1;
    kit_object(k, "body.pdf", FB_SLICE_LITERAL("PDF"));
    struct fb_buf mail = notice_of(k);
    must_hold(&mail, "Content-Type: multipart/mixed;");
    must_hold(&mail, "Content-Type: application/x;\r\n "
                     "name*0*=UTF-8''%E8%A1%A8.xlsx\r\nContent-Transfer-Encoding: base64\r\n"
                     "Content-Disposition: attachment;\r\n "
                     "filename*0*=UTF-8''%E8%A1%A8.xlsx\r\n\r\nQUJD\r\n--=_fb_");
    must_hold(&mail,
              "Content-Transfer-Encoding: quoted-printable\r\nContent-Disposition: attachment;\r\n "
              "filename=\"t.txt\"\r\n\r\n=41=42\r\n--=_fb_");
    must_not_hold(&mail, "SECRET");
    must_not_hold(&mail, "inline\r\n"); /* the body's image went with the body */
    must_not_hold(&mail, "body.pdf");
    must_be_signed(&mail, 3);
    fb_buf_deinit(&mail);
}

/* An unpacked file is larger than any window: base64 of it must not depend on how it is read. */
static void test_an_unpacked_attachment_is_encoded_as_it_is_read(void **state)
{
    struct kit *k = *state;
    static const size_t sizes[] = {0, 1, 56, 57, 58, 29183, 29184, 29185, 200000};
    k->branch.secures_attachments = false;
    k->parts[0] = (struct fb_part){
        .name = kit_lend("a.bin"), .type = kit_lend("application/x"), .object = kit_lend("tnef.0")};
    k->plan.part_count = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fb_buf bytes;
        fb_buf_init(&bytes, 1U << 20);
        for (size_t n = 0; n < sizes[i]; n++) {
            assert_int_equal(fb_buf_add_char(&bytes, (char)(n * 7 + n / 256)), FB_OK);
        }
        kit_object(k, "tnef.0", fb_slice_buf(&bytes));
        struct fb_buf mail = notice_of(k);
        struct fb_buf got = kit_part(&mail, "application/x");
        if (got.len != bytes.len || (got.len > 0 && memcmp(got.ptr, bytes.ptr, got.len) != 0)) {
            fail_msg("%zu bytes came out as %zu", bytes.len, got.len);
        }
        kit_check_lines(&mail);
        fb_buf_deinit(&got);
        fb_buf_deinit(&mail);
        fb_buf_deinit(&bytes);
    }
}

static void test_an_attachment_rule_keeps_the_body(void **state)
{
    struct kit *k = *state;
    kit_message(k, "Subject: x\r\n\r\nimg\r\nSECRET-FILE\r\n");
    k->branch.secures_body = false;
    k->plan.kept_text_object = kit_lend("kept.txt");
    k->parts[0] = (struct fb_part){
        .name = kit_lend("s.bin"), .type = kit_lend("application/x"), .offset = 19, .length = 11};
    k->plan.part_count = 1;
    kit_object(k, "kept.txt", FB_SLICE_LITERAL("こんにちは\nbye\n"));
    struct fb_buf mail = notice_of(k);
    struct fb_buf text = kit_part(&mail, "text/plain");
    must_hold(&text, "The attachments are kept in a secure place");
    must_hold(&text, KIT_LINK);
    must_hold(&text, "こんにちは\r\nbye\r\n");
    must_not_hold(&mail, "SECRET-FILE");
    must_not_hold(&mail, "multipart");
    fb_buf_deinit(&text);
    fb_buf_deinit(&mail);

    k->plan.kept_html_object = kit_lend("kept.html");
    k->parts[1] = (struct fb_part){.name = kit_lend("i.png"),
                                   .type = kit_lend("image/png"),
                                   .cid = kit_lend("c@d"),
                                   .offset = 14,
                                   .length = 3,
                                   .encoding = FB_ENC_BASE64,
                                   .is_inline = true};
    k->plan.part_count = 2;
    kit_object(
        k, "kept.html",
        FB_SLICE_LITERAL(
            "<html><body><!--fumibako-notice--><p>hi <img src=cid:c@d></p></body></html>\n"));
    mail = notice_of(k);
    must_hold(&mail, "Content-Type: multipart/related; type=\"text/html\";");
    must_hold(
        &mail,
        "Content-Disposition: inline;\r\n filename=\"i.png\"\r\nContent-ID: <c@d>\r\n\r\nimg\r\n");
    struct fb_buf html = kit_part(&mail, "text/html");
    must_hold(&html, "<html><body><table");
    must_hold(&html, "</table><p>hi <img src=cid:c@d></p></body></html>");
    must_not_hold(&html, "fumibako-notice");
    must_not_hold(&mail, "SECRET-FILE");
    kit_check_lines(&mail);
    fb_buf_deinit(&html);
    fb_buf_deinit(&mail);

    k->plan.kept_html_object = kit_lend("");
    mail = notice_of(k); /* no HTML to show the image: it must not be lost */
    must_hold(&mail, "Content-Type: multipart/mixed;");
    must_hold(&mail, "\r\n\r\nimg\r\n");
    fb_buf_deinit(&mail);
}

static void test_what_is_missing_is_never_left_out(void **state)
{
    struct kit *k = *state;
    struct content c;
    struct fb_error err = {0};
    k->branch.secures_body = false;
    content_init(&c, k->msg);
    assert_int_equal(compose_notice(k->msg, KIT_KEY, &k->facts, 0, &c, &err),
                     FB_CORRUPT); /* no kept body */
    content_deinit(&c);
    k->plan.kept_text_object = kit_lend("kept.txt");
    content_init(&c, k->msg);
    assert_int_equal(compose_notice(k->msg, KIT_KEY, &k->facts, 0, &c, &err),
                     FB_NOT_FOUND); /* it is gone */
    content_deinit(&c);
    k->branch.secures_body = true;
    k->plan.head_object = kit_lend("none");
    content_init(&c, k->msg);
    assert_int_equal(compose_notice(k->msg, KIT_KEY, &k->facts, 0, &c, &err), FB_NOT_FOUND);
    content_deinit(&c);
    k->plan.head_object = kit_lend("head");
    content_init(&c, k->msg);
    assert_int_equal(compose_notice(k->msg, NULL, &k->facts, 0, &c, &err),
                     FB_CONFIG); /* no key, no signature */
    assert_non_null(strstr(err.text, "rewrite.key_file"));
    content_deinit(&c);
}

static void test_the_logo_travels_in_the_mail(void **state)
{
    struct kit *k = *state;
    struct fb_buf notices;
    fb_buf_init(&notices, 4096);
    assert_int_equal(fb_buf_add_str(&notices, "{organisation: O, logo: \"data:image/png;base64,"),
                     FB_OK);
    assert_int_equal(fb_base64_encode(FB_SLICE_LITERAL(PNG), &notices), FB_OK);
    assert_int_equal(fb_buf_add_str(&notices, "\"}"), FB_OK);
    kit_policy(k, fb_buf_str(&notices));
    struct fb_buf mail = notice_of(k);
    struct fb_buf logo = kit_part(&mail, "image/png");
    assert_true(fb_slice_eq(fb_slice_buf(&logo), FB_SLICE_LITERAL(PNG)));
    must_hold(&mail, "Content-ID: <logo@fumibako>");
    struct fb_buf html = kit_part(&mail, "text/html");
    must_hold(&html, "<img src=\"cid:logo@fumibako\"");
    fb_buf_deinit(&html);
    fb_buf_deinit(&logo);
    fb_buf_deinit(&mail);
    fb_buf_deinit(&notices);

    static const char *const broken[] = {
        "{logo: /nowhere/logo.png}", "{logo: \"data:image/png;base64,????\"}",
        "{logo: \"data:image/png;base64,aGVsbG8gd29ybGQ=\"}", "{logo: /etc/hostname}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        kit_policy(k, broken[i]);
        mail = notice_of(k); /* the mail matters more than its decoration */
        html = kit_part(&mail, "text/html");
        must_not_hold(&mail, "Content-ID");
        must_not_hold(&html, "cid:");
        fb_buf_deinit(&html);
        fb_buf_deinit(&mail);
    }
}

static void test_the_password_comes_apart(void **state)
{
    struct kit *k = *state;
    struct content c;
    struct fb_error err = {0};
    k->parcel.password = kit_lend("s3cret+x");
    k->plan.language = kit_lend("ja");
    k->plan.subject = kit_lend("[secure] 報告");
    k->branch.subject = kit_lend("=?UTF-8?B?5aCx5ZGK?=");
    k->facts.recipient = "b@y";
    kit_policy(k, "{organisation: 例}");
    content_init(&c, k->msg);
    assert_int_equal(
        compose_password(k->msg, KIT_KEY, &k->facts, 3, "postmaster@example.jp", &c, &err), FB_OK);
    struct fb_buf mail = kit_read(&c);
    must_hold(&mail, "\r\nFrom: =?UTF-8?B?5L6L?=\r\n <postmaster@example.jp>\r\nTo: <b@y>\r\n");
    must_hold(&mail, "\r\nAuto-Submitted: auto-generated\r\n");
    must_not_hold(&mail, "\r\nSubject: [secure]");
    struct fb_buf text = kit_part(&mail, "text/plain");
    must_hold(&text, "\r\ns3cret+x\r\n");
    must_not_hold(&text, "https://");
    must_not_hold(&text, "[secure]");
    must_be_signed(&mail, 3);
    kit_check_lines(&mail);
    fb_buf_deinit(&text);
    fb_buf_deinit(&mail);
    content_deinit(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_untouched_mail_changes_by_one_header_only),
        TEST(test_the_notice_keeps_the_header_and_nothing_of_the_body),
        TEST(test_the_tag_is_taken_out_of_the_subject),
        TEST(test_a_body_rule_keeps_the_attachments),
        TEST(test_an_unpacked_attachment_is_encoded_as_it_is_read),
        TEST(test_an_attachment_rule_keeps_the_body),
        TEST(test_what_is_missing_is_never_left_out),
        TEST(test_the_logo_travels_in_the_mail),
        TEST(test_the_password_comes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
