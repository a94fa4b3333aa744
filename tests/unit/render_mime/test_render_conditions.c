/* SPDX-License-Identifier: Apache-2.0
 *
 * What a rule's conditions see of a mail, and which of its files are the body once more: a mail must
 * not dodge a rule by the form in which it says something.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail_kit.h"

#define HEAD "From: a@example.jp\nTo: b@example.jp\nSubject: s\nMIME-Version: 1.0\n"

static struct fb_buf crlf;

static void parse(struct kit *k, const char *message, const char *reverse_path)
{
    kit_crlf(fb_slice_str(message), &crlf);
    kit_parse_as(k, fb_slice_buf(&crlf), reverse_path, 0);
    if (k->status != FB_OK) {
        fail_msg("%s", k->err.text);
    }
    const char *wrong = kit_check(k);
    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
}

static void end(struct kit *k)
{
    kit_end(k);
    fb_buf_deinit(&crlf);
}

/* A rule's condition must not be dodged by which of the alternatives a program shows. */
static void test_conditions_see_the_text_of_every_alternative(void **state)
{
    static const char *const mails[] = {
        HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nSee the HTML.\n--x\n"
             "Content-Type: text/html\n\n<p>top confi<b></b>dential</p>\n--x--\n",
        HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\ntop confidential\n--x\n"
             "Content-Type: text/html\n\n<p>See the text.</p>\n--x--\n",
        HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/html\n\n"
             "<p>top confidential</p>\n--x\nContent-Type: text/html\n\n<p>other</p>\n--x--\n",
        HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\n"
             "Content-Type: multipart/mixed; boundary=y\n\n--y\nContent-Type: text/html\n\n"
             "<p>one</p>\n--y\nContent-Type: text/html\n\n<p>top confidential</p>\n--y--\n--x--\n",
        HEAD "Content-Type: text/html\n\n<p>top confidential</p>\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof mails / sizeof mails[0]; i++) {
        struct kit k;
        parse(&k, mails[i], "a@example.jp");
        if (strstr(k.mail.facts.body, "top confidential") == NULL) {
            fail_msg("mail %zu: conditions see \"%s\"", i, k.mail.facts.body);
        }
        end(&k);
    }
}

/* Forwarded as an attachment, a mail is opened at the recipient's like any other. */
static void test_conditions_see_into_attached_messages(void **state)
{
#define INNER                                                                                      \
    "Subject: inner\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\ntop confidential\n--i\n"  \
    "Content-Type: application/pdf; name=price.pdf\nContent-Transfer-Encoding: "                   \
    "base64\n\nUERG\n--i--\n"
    static const char *const mails[] = {
        HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nFYI\n--x\n"
             "Content-Type: message/rfc822\n\n" INNER "--x--\n",
        HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nFYI\n--x\n"
             "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n" INNER "--x--\n",
        HEAD "Content-Type: message/rfc822\n\n" INNER,
        HEAD
        "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nFYI\n--x\nContent-Type: "
        "message/rfc822; name=a.eml\nContent-Transfer-Encoding: quoted-printable\n\nContent-Type: "
        "multipart/mixed; boundary=3Di\n\n--i\n\ntop =63onfidential\n--i\nContent-Type: "
        "application/pdf; name=3Dprice.pdf\n\nPDF\n--i--\n--x--\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof mails / sizeof mails[0]; i++) {
        struct kit k;
        bool has_file = false;
        parse(&k, mails[i], "a@example.jp");
        for (size_t a = 0; a < k.mail.facts.attachment_count; a++) {
            has_file = has_file || strcmp(k.mail.facts.attachments[a].name, "price.pdf") == 0;
        }
        if (!has_file || strstr(k.mail.facts.body, "top confidential") == NULL) {
            fail_msg("mail %zu: file %d, conditions see \"%s\"", i, has_file, k.mail.facts.body);
        }
        assert_int_equal(k.mail.part_count, 1); /* it stays one file */
        assert_null(strstr(fb_buf_str(&k.mail.text), "confidential"));
        end(&k);
    }
    struct kit k; /* garbage is a file as it was */
    parse(&k, HEAD "Content-Type: message/rfc822; name=a.eml\n\n\001\002\n", "a@example.jp");
    assert_int_equal(k.mail.part_count, 1);
    end(&k);
}

/* A rule that secures the body alone leaves the attachments in the mail, but not those that are the
 * body once more. */
static void test_files_that_hold_the_body_are_known(void **state)
{
    static const struct {
        const char *name, *message, *holders; /* one letter a part: y or n */
    } rows[] = {
        {"calendar beside the texts",
         HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: text/html\n\n<p>html</p>\n--x\nContent-Type: text/calendar\n\n"
              "DESCRIPTION:plain\n--x--\n",
         "y"},
        {"another form beside the texts",
         HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: application/rtf\n\n{rtf plain}\n--x--\n",
         "y"},
        {"a file in an alternative that is a tree",
         HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: multipart/mixed; boundary=y\n\n--y\nContent-Type: text/html\n\n"
              "<p>html</p>\n--y\nContent-Type: application/pdf; name=a.pdf\n\nPDF\n--y--\n--x--\n",
         "n"},
        {"a text of another kind, without a name", HEAD "Content-Type: text/markdown\n\n# secret\n",
         "y"},
        {"a text file",
         HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: text/csv; name=a.csv\n\n1,2\n--x\n"
              "Content-Type: text/calendar\nContent-Disposition: attachment\n\nX\n--x--\n",
         "nn"},
        {"winmail.dat that cannot be unpacked",
         HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: application/ms-tnef; name=winmail.dat\n\nnonsense\n--x--\n",
         "y"},
        {"a body that cannot be read",
         HEAD "Content-Type: application/pkcs7-mime; name=smime.p7m\n\nnonsense\n", "y"},
        {"a letter and a file",
         HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nplain\n--x\n"
              "Content-Type: application/pdf; name=a.pdf\n\nPDF\n--x--\n",
         "n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit k;
        char seen[16] = "";
        parse(&k, rows[i].message, "a@example.jp");
        for (uint32_t p = 0; p < k.mail.part_count && p < sizeof seen - 1; p++) {
            seen[p] = k.mail.holds_body[p] ? 'y' : 'n';
        }
        if (strcmp(seen, rows[i].holders) != 0) {
            fail_msg("%s: \"%s\", want \"%s\"", rows[i].name, seen, rows[i].holders);
        }
        end(&k);
    }
}

/* Without it a letter of megabytes would carry anything past a rule. */
static void test_a_body_beyond_the_limits_is_known_as_such(void **state)
{
    static const struct {
        size_t size;
        bool is_cut;
    } rows[] = {{1000, false}, {RENDER_BODY_FACT_MAX + 1000, true}, {RENDER_BODY_MAX + 1000, true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit k;
        char *mail = malloc(rows[i].size + 1000);
        assert_non_null(mail);
        size_t n = (size_t)snprintf(mail, 1000, "%s\n", HEAD);
        for (size_t j = 0; j < rows[i].size; j++) {
            mail[n + j] = j % 70 == 69 ? '\n' : 'x';
        }
        mail[n + rows[i].size] = '\0';
        parse(&k, mail, "a@example.jp");
        assert_int_equal(k.mail.facts.is_body_cut, rows[i].is_cut);
        end(&k);
        free(mail);
    }
}

/* A type that is none would make the plan refused, and the mail held. */
static void test_a_strange_media_type_is_a_plain_file(void **state)
{
    struct kit k;
    (void)state;
    parse(&k,
          HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhi\n--x\nContent-Type: "
               "\xe9\xe8/\xff; name=a.bin\n\nx\n--x--\n",
          "a@example.jp");
    assert_int_equal(k.mail.part_count, 1);
    assert_string_equal(k.mail.parts[0].type, "application/octet-stream");
    end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions_see_the_text_of_every_alternative),
        cmocka_unit_test(test_conditions_see_into_attached_messages),
        cmocka_unit_test(test_a_body_beyond_the_limits_is_known_as_such),
        cmocka_unit_test(test_a_strange_media_type_is_a_plain_file),
        cmocka_unit_test(test_files_that_hold_the_body_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
