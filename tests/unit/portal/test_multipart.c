/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms with files, as browsers write them and as nobody should, and the mail that becomes of a reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/portal/form.h"
#include "services/portal/multipart.h"
#include "services/portal/reply.h"

#define TYPE "multipart/form-data; boundary=----geckoformboundary1a2b"
#define EDGE "------geckoformboundary1a2b"
#define FILE_HEAD(name)                                                                            \
    EDGE "\r\nContent-Disposition: form-data; name=\"files\"; filename=\"" name "\"\r\n"

static struct multipart form;

static enum fb_status parse(const char *body)
{
    return multipart_parse(TYPE, fb_slice_str(body), &form);
}

static void a_form_is_read_as_browsers_write_it(void **state)
{
    (void)state;
    static const char body[] =
        EDGE "\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n"
             "a\r\n--b\r\n\r\n" FILE_HEAD(
                 "見積%22書%22.pdf") "Content-Type: application/pdf\r\n\r\n"
                                     "%PDF-1.7\r\n\0\r\n------geckoform\r\n" FILE_HEAD(
                                         "") "Content-Type: "
                                             "application/octet-stream\r\n\r\n\r\n" EDGE "--\r\n";
    assert_int_equal(multipart_parse(TYPE, fb_slice_of(body, sizeof body - 1), &form), FB_OK);
    assert_int_equal(form.count, 3);
    const struct multipart_part *text = multipart_find(&form, "text");
    assert_non_null(text);
    assert_true(fb_slice_eq_str(text->content, "a\r\n--b\r\n"));
    assert_false(text->is_file);
    assert_string_equal(form.parts[1].file_name, "見積\"書\".pdf");
    assert_string_equal(form.parts[1].type, "application/pdf");
    assert_true(
        fb_slice_eq(form.parts[1].content, FB_SLICE_LITERAL("%PDF-1.7\r\n\0\r\n------geckoform")));
    assert_true(form.parts[2].is_file);
    assert_string_equal(form.parts[2].file_name, "");
    assert_int_equal(form.parts[2].content.len, 0);
    assert_null(multipart_find(&form, "files")); /* there are two */
    assert_null(multipart_find(&form, "none"));
}

static void what_breaks_the_format_is_refused(void **state)
{
    (void)state;
#define HEAD EDGE "\r\nContent-Disposition: form-data; name=\"a\""
    static const struct {
        const char *name, *body;
    } rows[] = {
        {"nothing", ""},
        {"a preamble", "x\r\n" HEAD "\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"no end", HEAD "\r\n\r\nb\r\n"},
        {"cut in the boundary", HEAD "\r\n\r\nb\r\n------gecko"},
        {"cut behind the boundary", HEAD "\r\n\r\nb\r\n" EDGE},
        {"half of the last mark", HEAD "\r\n\r\nb\r\n" EDGE "-"},
        {"an epilogue", HEAD "\r\n\r\nb\r\n" EDGE "--\r\nx"},
        {"bare LF", EDGE "\nContent-Disposition: form-data; name=\"a\"\n\nb\n" EDGE "--\n"},
        {"bare LF in a header", HEAD "\nX: y\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"no header's end", HEAD "\r\nb\r\n" EDGE "--\r\n"},
        {"no disposition", EDGE "\r\nContent-Type: text/plain\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"two dispositions",
         HEAD "\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"two names", HEAD "; name=\"b\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"two file names", HEAD "; filename=\"b\"; filename=\"c\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"another disposition",
         EDGE "\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"a quote in a name", HEAD "; filename=\"a\"b\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"an open quote", HEAD "; filename=\"a\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"a folded line", HEAD ";\r\n filename=\"a\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"a coded content",
         HEAD "\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n" EDGE "--\r\n"},
        {"a blank before the colon",
         EDGE "\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\nb\r\n" EDGE "--\r\n"},
        {"a boundary that goes on", HEAD "\r\n\r\nb\r\n" EDGE "xyz\r\nc\r\n" EDGE "--\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (parse(rows[i].body) != FB_INVALID) {
            fail_msg("%s: taken", rows[i].name);
        }
    }
    static const char nul[] =
        EDGE "\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\0b\"\r\n\r\nb\r\n" EDGE
             "--\r\n";
    assert_int_equal(multipart_parse(TYPE, fb_slice_of(nul, sizeof nul - 1), &form), FB_INVALID);
}

static void the_type_names_the_boundary(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum fb_status want;
    } rows[] = {
        {"multipart/form-data; boundary=x", FB_OK},
        {"Multipart/Form-Data;boundary=\"x\"", FB_OK},
        {"multipart/form-data; charset=utf-8; boundary=x", FB_OK},
        {NULL, FB_INVALID},
        {"", FB_INVALID},
        {"multipart/form-data", FB_INVALID},
        {"multipart/form-data; boundary=", FB_INVALID},
        {"multipart/form-data; boundary=\"\"", FB_INVALID},
        {"multipart/form-data; boundary=x; boundary=y", FB_INVALID},
        {"multipart/form-data; boundary=\"x ", FB_INVALID},
        {"multipart/form-data; boundary=\"x \"", FB_INVALID},
        {"multipart/form-data; boundary=\"x\x01\"", FB_INVALID},
        {"multipart/form-datax; boundary=x", FB_INVALID},
        {"multipart/mixed; boundary=x", FB_INVALID},
        {"multipart/form-data; "
         "boundary=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         FB_INVALID},
    };
    static const char body[] =
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (multipart_parse(rows[i].type, fb_slice_str(body), &form) != rows[i].want) {
            fail_msg("%s: not as expected", rows[i].type != NULL ? rows[i].type : "none");
        }
    }
}

static void no_more_parts_are_taken_than_there_is_room_for(void **state)
{
    (void)state;
    for (size_t n = MULTIPART_MAX_PARTS; n <= MULTIPART_MAX_PARTS + 1; n++) {
        struct fb_buf body;
        fb_buf_init(&body, 1U << 20);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(
                fb_buf_add_str(&body,
                               "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n"),
                FB_OK);
        }
        assert_int_equal(fb_buf_add_str(&body, "--x--\r\n"), FB_OK);
        enum fb_status s =
            multipart_parse("multipart/form-data; boundary=x", fb_slice_buf(&body), &form);
        assert_int_equal(s, n == MULTIPART_MAX_PARTS ? FB_OK : FB_TOO_BIG);
        fb_buf_deinit(&body);
    }
}

static void file_names_are_made_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *given, *want;
    } rows[] = {
        {"a.pdf", "a.pdf"},
        {"../../etc/passwd", "passwd"},
        {"C:\\Users\\x\\b.docx", "b.docx"},
        {"a\\", ""},
        {"..", ""},
        {" . ", ""},
        {"a.pdf. .", "a.pdf"},
        {"a%0D%0ABcc: x@y.example", "a  Bcc: x@y.example"},
        {"100%25.txt", "100%25.txt"},
        {"a\tb", "a b"},
        {"invoice\xe2\x80\xae"
         "fdp.exe",
         "invoice fdp.exe"},
        {"\xff\xfe.txt", "__.txt"},
        {"\xe8\xa6\x8b\xe7\xa9\x8d.pdf", "\xe8\xa6\x8b\xe7\xa9\x8d.pdf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[1024];
        (void)snprintf(body, sizeof body, FILE_HEAD("%s") "\r\nx\r\n" EDGE "--\r\n", rows[i].given);
        assert_int_equal(parse(body), FB_OK);
        assert_string_equal(form.parts[0].file_name, rows[i].want);
    }
    char body[2048];
    char name[1000];
    for (size_t i = 0; i < 330; i++) {
        memcpy(name + 3 * i, "\xe8\xa6\x8b", 4);
    }
    (void)snprintf(body, sizeof body, FILE_HEAD("%s.tar.gz") "\r\nx\r\n" EDGE "--\r\n", name);
    assert_int_equal(parse(body), FB_OK);
    const char *got = form.parts[0].file_name;
    assert_true(strlen(got) <= MULTIPART_MAX_NAME && strlen(got) > MULTIPART_MAX_NAME - 6);
    assert_true(form_is_utf8(got));
    assert_string_equal(got + strlen(got) - 7, ".tar.gz");
}

static void a_type_that_is_none_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *given, *want;
    } rows[] = {{"image/png", "image/png"},
                {"text/plain; charset=utf-8", "text/plain"},
                {"image", ""},
                {"image/", ""},
                {"a b/c", ""},
                {"a/b\x7f", ""},
                {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[512];
        (void)snprintf(body, sizeof body,
                       FILE_HEAD("a") "Content-Type: %s\r\n\r\nx\r\n" EDGE "--\r\n", rows[i].given);
        assert_int_equal(parse(body), FB_OK);
        assert_string_equal(form.parts[0].type, rows[i].want);
    }
}

/* ---- the mail ---- */

static void compose(const struct reply_facts *f, struct fb_buf *out)
{
    fb_buf_init(out, 1U << 20);
    assert_int_equal(reply_compose(f, out), FB_OK);
}

static struct reply_facts facts(void)
{
    return (struct reply_facts){.id = "01J00000000000000000000000",
                                .msg_id = "01J00000000000000000000001",
                                .postmaster = "postmaster@example.jp",
                                .to = "taro@example.jp",
                                .reader = "hanako@partner.example.com",
                                .proof = READER_PROOF_CODE,
                                .subject = "Quotation",
                                .at_ms = 1780000000000,
                                .text = "Thank you.\nRegards"};
}

static bool has(const struct fb_buf *mail, const char *text)
{
    return strstr(fb_buf_str(mail), text) != NULL;
}

static void a_reply_is_a_mail_from_the_postmaster_that_is_answered_to_the_reader(void **state)
{
    (void)state;
    struct fb_buf mail;
    struct reply_facts f = facts();
    compose(&f, &mail);
    assert_true(has(&mail, "From: \"hanako@partner.example.com\"\r\n <postmaster@example.jp>\r\n"));
    assert_true(has(&mail, "\r\nReply-To: <hanako@partner.example.com>\r\nTo: <taro@example.jp>\r\n"
                           "Subject: Re: Quotation\r\n"));
    assert_true(has(&mail, "\r\nMessage-ID: <reply-01J00000000000000000000000@example.jp>\r\n"));
    assert_true(has(&mail, "\r\nX-Fumibako-Reply: 01J00000000000000000000001\r\n"));
    assert_true(has(&mail, "Thank you.\r\nRegards\r\n"));
    assert_true(has(&mail, "mailbox was verified"));
    assert_false(has(&mail, "In-Reply-To"));
    assert_false(has(&mail, "References"));
    fb_buf_deinit(&mail);

    f.proof = READER_PROOF_LINK;
    f.subject = "RE: Quotation";
    compose(&f, &mail);
    assert_true(has(&mail, "\r\nSubject: RE: Quotation\r\n"));
    assert_true(has(&mail, "mailbox was not verified"));
    fb_buf_deinit(&mail);
}

/* Nothing that a reader or a sender wrote ends a field or begins one. */
static void no_field_can_be_injected(void **state)
{
    (void)state;
    struct multipart_part file = {.is_file = true,
                                  .content = FB_SLICE_LITERAL("hello"),
                                  .file_name = "a\"; name=x \xe8\xa6\x8b.eml",
                                  .type = "message/rfc822"};
    const struct multipart_part *const files[] = {&file};
    struct fb_buf mail;
    struct reply_facts f = facts();
    f.reader = "a\"b\r\nBcc: <x@y.example>@partner.example.com";
    f.subject = "a\r\nBcc: x@y.example\r\n\r\nbody";
    f.files = files;
    f.file_count = 1;
    compose(&f, &mail);
    const char *end = strstr(fb_buf_str(&mail), "\r\n\r\n");
    assert_non_null(end);
    for (const char *at = fb_buf_str(&mail); at < end; at = strstr(at, "\r\n") + 2) {
        static const char *const known[] = {"From:",         "To:",           "Subject:",
                                            "Date:",         "Message-ID:",   "X-Fumibako-Reply:",
                                            "MIME-Version:", "Content-Type:", " "};
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            is_known = is_known || strncmp(at, known[i], strlen(known[i])) == 0;
        }
        if (!is_known) {
            fail_msg("a line of its own: %.60s", at);
        }
    }
    assert_true(has(&mail, "\r\n\r\naGVsbG8=\r\n"));
    assert_true(has(&mail, "Content-Type: application/octet-stream;"));
    assert_true(has(&mail, "filename*0*=UTF-8''a%22%3B%20name%3Dx%20%E8%A6%8B.eml"));
    fb_buf_deinit(&mail);
}

static void a_long_subject_is_cut_between_characters(void **state)
{
    (void)state;
    static char subject[6000];
    char out[REPLY_MAX_SUBJECT];
    for (size_t n = 1990; n < 2070; n++) {
        memset(subject, 'x', n % 3);
        for (size_t i = 0; i * 3 < n; i++) {
            memcpy(subject + n % 3 + 3 * i, "\xe8\xa6\x8b", 4);
        }
        reply_subject(subject, out);
        assert_true(form_is_utf8(out));
        assert_memory_equal(out, "Re: ", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_is_read_as_browsers_write_it),
        cmocka_unit_test(what_breaks_the_format_is_refused),
        cmocka_unit_test(the_type_names_the_boundary),
        cmocka_unit_test(no_more_parts_are_taken_than_there_is_room_for),
        cmocka_unit_test(file_names_are_made_harmless),
        cmocka_unit_test(a_type_that_is_none_is_dropped),
        cmocka_unit_test(a_reply_is_a_mail_from_the_postmaster_that_is_answered_to_the_reader),
        cmocka_unit_test(no_field_can_be_injected),
        cmocka_unit_test(a_long_subject_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
