/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole messages: which text is the body, which leaves are attachments, what proves to be what.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail_kit.h"

#define HEAD "From: a@example.jp\nTo: b@example.jp\nSubject: s\nMIME-Version: 1.0\n"
#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"                                \
    "M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\n"

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

struct row {
    const char *name;
    const char *message;
    const char *body, *text; /* NULL: not asked */
    bool is_html;
    const char *parts; /* "name[+];name": + is inline */
};

static void check_row(const struct row *r)
{
    struct kit k;
    char parts[1024] = "";
    size_t n = 0;
    parse(&k, r->message, "a@example.jp");
    for (uint32_t i = 0; i < k.mail.part_count; i++) {
        n += (size_t)snprintf(parts + n, sizeof parts - n, "%s%s%s", i > 0 ? ";" : "",
                              k.mail.parts[i].name, k.mail.parts[i].is_inline ? "+" : "");
    }
    const char *body = fb_buf_str(&k.mail.letter.body);
    const char *text = fb_buf_str(&k.mail.text);
    if (strcmp(parts, r->parts) != 0) {
        fail_msg("%s: parts \"%s\", want \"%s\"", r->name, parts, r->parts);
    }
    if (r->body != NULL && strcmp(body, r->body) != 0) {
        fail_msg("%s: body \"%s\", want \"%s\"", r->name, body, r->body);
    }
    if (r->text != NULL && strcmp(text, r->text) != 0) {
        fail_msg("%s: text \"%s\", want \"%s\"", r->name, text, r->text);
    }
    if (k.mail.letter.is_html != r->is_html) {
        fail_msg("%s: html is %d", r->name, k.mail.letter.is_html);
    }
    end(&k);
}

static const struct row body_rows[] = {
    {"plain", HEAD "\nHello\n", "Hello\n", "Hello\n", false, ""},
    {"alternative prefers HTML",
     HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\nContent-Type: "
          "text/html\n\n<p>html</p>\n--x--\n",
     "<p>html</p>", "plain", true, ""},
    {"alternative with empty HTML",
     HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\nContent-Type: "
          "text/html\n\n<p> &nbsp;</p>\n--x--\n",
     "plain", "plain", false, ""},
    {"alternative in related in mixed",
     HEAD "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/related; "
          "boundary=r\n\n"
          "--r\nContent-Type: multipart/alternative; "
          "boundary=a\n\n--a\n\nplain\n--a\nContent-Type: text/html\n\n"
          "<img src=\"cid:i%31@x\">\n--a--\n--r\nContent-Type: image/png; "
          "name=i.png\nContent-ID: <i1@x>\n"
          "Content-Transfer-Encoding: base64\n\n" PNG
          "--r--\n--m\nContent-Type: application/pdf; name=a.pdf\n\nPDF\n--m--\n",
     "<img src=\"cid:i%31@x\">", "plain", true, "i.png+;a.pdf"},
    {"related root by start",
     HEAD "Content-Type: multipart/related; boundary=r; start=\"<root>\"\n\n--r\nContent-Type: "
          "image/png\nContent-ID: <i>\n"
          "Content-Transfer-Encoding: base64\n\n" PNG
          "--r\nContent-Type: text/html\nContent-ID: <root>\n\n<img src='cid:i'>\n--r--\n",
     NULL, "", true, "attachment-1.png+"},
    {"unreferenced image is an attachment",
     HEAD
     "Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>x</p>\n"
     "--r\nContent-Type: image/png\nContent-ID: <i>\nContent-Transfer-Encoding: base64\n\n" PNG
     "--r--\n",
     "<p>x</p>", "x", true, "attachment-1.png"},
    /* What is no image that can be painted would be neither in the PDF nor among the files. */
    {"what only says that it is an image is an attachment",
     HEAD "Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<img "
          "src='cid:i'>\n--r\nContent-Type: image/png; name=secret.xlsx\nContent-ID: <i>\n\n"
          "PK secret\n--r\nContent-Type: image/heic; name=i.heic\nContent-ID: <j>\n\nheic\n--r--\n",
     NULL, "", true, "secret.xlsx;i.heic"},
    {"image by Content-Location",
     HEAD "Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<img "
          "src=\"http://x/i.png\">\n"
          "--r\nContent-Type: image/png\nContent-Location: "
          "http://x/i.png\nContent-Transfer-Encoding: base64\n\n" PNG "--r--\n",
     NULL, "", true, "attachment-1.png+"},
    {"several texts are joined",
     HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\nContent-Type: "
          "application/zip; name=z.zip\n\nZ\n"
          "--x\nContent-Disposition: inline\n\ntwo\n--x--\n",
     "one\ntwo", "one\ntwo", false, "z.zip"},
    {"text and HTML are joined",
     HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na<b\n--x\nContent-Type: "
          "text/html\n\n<p>c</p>\n--x--\n",
     "<pre style=\"white-space:pre-wrap;font-family:inherit\">a&lt;b</pre>\n<p>c</p>\n", "a<b\nc",
     true, ""},
    {"text files are attachments",
     HEAD
     "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbody\n--x\nContent-Type: text/plain; "
     "name=a.txt\n\nA\n"
     "--x\nContent-Disposition: attachment\n\nB\n--x\nContent-Type: text/csv\n\nC\n--x--\n",
     "body", "body", false, "a.txt;attachment-2.txt;attachment-3.csv"},
    {"attached message",
     HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbody\n--x\nContent-Type: "
          "message/rfc822\n\n"
          "Subject: =?UTF-8?B?44GC?= a/b\nContent-Type: multipart/mixed; "
          "boundary=y\n\n--y\n\ninner\n--y--\n--x--\n",
     "body", "body", false, "あ a_b.eml"},
    {"signed",
     HEAD "Content-Type: multipart/signed; boundary=x; "
          "protocol=\"application/pgp-signature\"\n\n--x\n\nbody\n"
          "--x\nContent-Type: application/pgp-signature\n\nSIG\n--x--\n",
     "body", "body", false, "signature.asc"},
    {"calendar beside the alternative",
     HEAD "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nplain\n--x\nContent-Type: "
          "text/html\n\n<p>h</p>\n"
          "--x\nContent-Type: text/calendar; method=REQUEST; "
          "name=invite.ics\n\nBEGIN:VCALENDAR\n--x--\n",
     "<p>h</p>", "plain", true, "invite.ics"},
    {"uuencode in the text", HEAD "\nsee\nbegin 644 h.txt\n%2&5L;&\\\n`\nend\nbye\n", "see\nbye\n",
     "see\nbye\n", false, "h.txt"},
    {"no uuencode", HEAD "\nbegin 644 is how it starts\nend\n", "begin 644 is how it starts\nend\n",
     NULL, false, ""},
    {"same names",
     HEAD "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: image/png; "
          "name=a.png\n\n1\n"
          "--x\nContent-Type: image/png; name=A.png\n\n2\n--x--\n",
     "", "", false, "a.png;A (2).png"},
    {"multipart without boundary is text", HEAD "Content-Type: multipart/mixed\n\nwords\n",
     "words\n", "words\n", false, ""},
    {"boundary that never comes", HEAD "Content-Type: multipart/mixed; boundary=x\n\nwords\n",
     "words\n", "words\n", false, ""},
    {"broken header line", "From: a@example.jp\nbroken\nContent-Type: text/html\n\n<p>x</p>\n",
     "<p>x</p>\n", "x", true, ""},
    {"mbox line in front", "From x\nContent-Type: text/html\n\n<p>x</p>\n", "<p>x</p>\n", "x", true,
     ""},
    {"two Content-Types",
     HEAD
     "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n",
     "--x\n\na\n--x--\n", NULL, false, ""},
    {"no header", "just text\n\nmore\n", "just text\n\nmore\n", NULL, false, ""},
    {"meta charset", HEAD "Content-Type: text/html\n\n<meta charset=shift_jis>\x82\xA0",
     "<meta charset=shift_jis>あ", "あ", true, ""},
    {"empty", "", "", "", false, ""},
};

static void test_the_body_is_what_a_reader_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof body_rows / sizeof body_rows[0]; i++) {
        check_row(&body_rows[i]);
    }
}

static void test_header_fields_reach_letter_and_facts(void **state)
{
    struct kit k;
    (void)state;
    parse(&k,
          "From: =?UTF-8?B?5bGx55Sw?= <a@example.jp>\nTo: b@example.jp,\n c@example.jp\nCc: D "
          "<d@example.jp>\n"
          "Bcc: secret@example.jp\nSubject: [secure] =?ISO-2022-JP?B?GyRCN29MPhsoQg==?=\n"
          "Date: Tue, 02 Sep 2025 10:00:00 +0900\nMessage-ID: <1@x>\nReferences: "
          "<0@x>\nIn-Reply-To: <00@x>\n"
          "X-Classification: confidential\nContent-Type: text/plain; charset=iso-2022-jp; "
          "format=flowed; delsp=yes\n\n"
          "\033$B$3$s$K$A$O\033(B \nx\n",
          "a@example.jp");
    assert_string_equal(k.mail.letter.from, "山田 <a@example.jp>");
    assert_string_equal(k.mail.letter.to, "b@example.jp\nc@example.jp");
    assert_string_equal(k.mail.letter.cc, "D <d@example.jp>");
    assert_string_equal(k.mail.subject, "[secure] 件名");
    assert_string_equal(k.mail.language, "ja");
    assert_true(k.mail.letter.is_japanese);
    assert_true(k.mail.letter.is_flowed && k.mail.letter.is_delsp);
    assert_int_equal(k.mail.date_ms, 1756774800000LL);
    assert_string_equal(k.mail.message_id, "<1@x>");
    assert_string_equal(k.mail.references, "<0@x> <00@x>");
    assert_int_equal(k.mail.visible_count, 3);
    assert_string_equal(k.mail.visible[2], "d@example.jp");
    assert_string_equal(k.mail.facts.from, "a@example.jp");
    assert_string_equal(k.mail.facts.subject, "[secure] 件名");
    assert_string_equal(k.mail.facts.body, "こんにちは \nx\n");
    assert_int_equal(k.mail.facts.header_count, 10 + 1);
    assert_string_equal(k.mail.facts.headers[9].name, "X-Classification");
    assert_string_equal(k.mail.facts.headers[9].value, "confidential");
    assert_null(strstr(fb_buf_str(&k.mail.head), "Bcc"));
    end(&k);
}

static void test_the_kept_body_has_the_mark_and_the_head_is_an_object(void **state)
{
    struct kit k;
    (void)state;
    parse(&k, HEAD "Content-Type: text/html; charset=utf-8\n\n<html><body>x</body></html>\n",
          "a@example.jp");
    assert_int_equal(render_mime_keep_body(&k.mail, &k.sink, &k.err), FB_OK);
    assert_int_equal(render_mime_keep_head(&k.mail, &k.sink, &k.err), FB_OK);
    assert_string_equal(fb_buf_str(&kit_find(&k, RENDER_OBJECT_KEPT_HTML)->bytes),
                        "<html><body><!--fumibako-notice-->x</body></html>\n");
    assert_string_equal(fb_buf_str(&kit_find(&k, RENDER_OBJECT_KEPT_TEXT)->bytes), "x");
    assert_string_equal(fb_buf_str(&kit_find(&k, RENDER_OBJECT_HEAD)->bytes),
                        "From: a@example.jp\r\nTo: b@example.jp\r\nSubject: s\r\n");
    end(&k);
}

#define REPORT                                                                                     \
    "Content-Type: multipart/report; report-type=delivery-status; "                                \
    "boundary=x\n\n--x\n\nfailed\n--x\nContent-Type: "
#define ARMOR                                                                                      \
    "-----BEGIN PGP MESSAGE-----\n\nhQEMA1234567890abcdefghi\n=abcd\n-----END PGP MESSAGE-----\n"
#define PGP(second)                                                                                \
    "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; "                  \
    "boundary=x\n\n--x\n"                                                                          \
    "Content-Type: application/pgp-encrypted\n\nVersion: 1\n--x\nContent-Type: "                   \
    "application/octet-stream\n\n" second "--x--\n"

static void test_reports_replies_and_encryption_are_proved_by_structure(void **state)
{
    static const struct {
        const char *name, *message, *sender;
        bool is_report, is_auto, is_encrypted;
    } rows[] = {
        {"report", HEAD REPORT "message/delivery-status\n\nX: y\n--x--\n", "", true, false, false},
        {"report with a sender", HEAD REPORT "message/delivery-status\n\nX: y\n--x--\n",
         "a@example.jp", false, false, false},
        {"report with a file",
         HEAD REPORT "message/delivery-status\n\nX: y\n--x\nContent-Type: "
                     "application/pdf; name=a.pdf\n\nsecret\n--x--\n",
         "", false, false, false},
        {"report with one part more",
         HEAD REPORT
         "message/delivery-status\n\nX: y\n--x\n"
         "Content-Type: text/rfc822-headers\n\nX: y\n--x\nContent-Type: message/rfc822\n\n"
         "X: y\n\nsecret\n--x--\n",
         "", false, false, false},
        {"report as mailers write it",
         HEAD REPORT "message/delivery-status\n\nX: y\n--x\n"
                     "Content-Type: message/rfc822\n\nX: y\n\nwhat came\n--x--\n",
         "", true, false, false},
        {"report without status", HEAD REPORT "text/plain\n\nX: y\n--x--\n", "", false, false,
         false},
        {"auto reply", HEAD "Auto-Submitted: auto-replied; x=y\n\nx\n", "a@example.jp", false, true,
         false},
        {"auto no", HEAD "Auto-Submitted: no (comment)\n\nx\n", "a@example.jp", false, false,
         false},
        {"PGP/MIME", HEAD PGP(ARMOR), "a@example.jp", false, false, true},
        {"PGP/MIME with text behind", HEAD PGP(ARMOR "secret\n"), "a@example.jp", false, false,
         false},
        {"PGP/MIME with text in front of its parts",
         HEAD "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; "
              "boundary=x\n\nThe price is 5,000,000 yen,\nand the secret word is plover.\n--x\n"
              "Content-Type: application/pgp-encrypted\n\nVersion: 1\n--x\nContent-Type: "
              "application/octet-stream\n\n" ARMOR "--x--\n",
         "a@example.jp", false, false, false},
        {"PGP/MIME with the usual line in front of its parts",
         HEAD "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; "
              "boundary=x\n\nThis is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\n--x\n"
              "Content-Type: application/pgp-encrypted\n\nVersion: 1\n--x\nContent-Type: "
              "application/octet-stream\n\n" ARMOR "--x--\n\n",
         "a@example.jp", false, false, true},
        {"PGP/MIME with text behind its parts", HEAD PGP(ARMOR) "secret words\n", "a@example.jp",
         false, false, false},
        {"inline PGP with a letter in its comments",
         HEAD "\n-----BEGIN PGP MESSAGE-----\nComment: a\nComment: b\nComment: c\nComment: d\n"
              "Comment: e\nComment: f\n\nhQEMA1234567890abcdefghi\n=abcd\n"
              "-----END PGP MESSAGE-----\n",
         "a@example.jp", false, false, false},
        {"inline PGP with fields that are none",
         HEAD "\n-----BEGIN PGP MESSAGE-----\nPrice: 5,000,000 yen\n\n"
              "hQEMA1234567890abcdefghi\n=abcd\n-----END PGP MESSAGE-----\n",
         "a@example.jp", false, false, false},
        {"inline PGP with version and comment",
         HEAD "\n-----BEGIN PGP MESSAGE-----\nVersion: GnuPG v2\nComment: GPGTools\nCharset: "
              "utf-8\n\nhQEMA1234567890abcdefghi\n=abcd\n-----END PGP MESSAGE-----\n",
         "a@example.jp", false, false, true},
        {"PGP/MIME with text inside",
         HEAD PGP("-----BEGIN PGP MESSAGE-----\n\nplain words here\n-----END PGP MESSAGE-----\n"),
         "a@example.jp", false, false, false},
        {"PGP/MIME with a literal packet",
         HEAD PGP("-----BEGIN PGP MESSAGE-----\n\nyxxxxxxx\n-----END PGP MESSAGE-----\n"),
         "a@example.jp", false, false, false},
        {"encrypted by name only",
         HEAD "Content-Type: multipart/encrypted; boundary=x\n\n--x\n\nplain\n--x--\n",
         "a@example.jp", false, false, false},
        {"inline PGP", HEAD "\n" ARMOR "\n", "a@example.jp", false, false, true},
        {"inline PGP in a letter", HEAD "\nHi\n" ARMOR, "a@example.jp", false, false, false},
        {"enveloped by name only",
         HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nplain words\n",
         "a@example.jp", false, false, false},
        {"enveloped with words behind",
         HEAD "Content-Type: application/pkcs7-mime; "
              "smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n"
              "MAsGCSqGSIb3DQEHA3NlY3JldCB3b3Jkcw==\n",
         "a@example.jp", false, false, false},
        {"enveloped",
         HEAD "Content-Type: application/pkcs7-mime; "
              "smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n"
              "MAsGCSqGSIb3DQEHAw==\n",
         "a@example.jp", false, false, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit k;
        parse(&k, rows[i].message, rows[i].sender);
        if (k.mail.is_delivery_report != rows[i].is_report ||
            k.mail.is_auto_reply != rows[i].is_auto ||
            k.mail.is_encrypted != rows[i].is_encrypted ||
            k.mail.facts.is_encrypted != rows[i].is_encrypted) {
            fail_msg("%s: report %d auto %d encrypted %d", rows[i].name, k.mail.is_delivery_report,
                     k.mail.is_auto_reply, k.mail.is_encrypted);
        }
        end(&k);
    }
}

static void test_a_report_to_many_is_none(void **state)
{
    struct kit k;
    (void)state;
    char first[] = "b@x.example";
    char second[] = "c@x.example";
    char nobody[] = "";
    struct fb_recipient two[] = {{.address = first}, {.address = second}};
    kit_crlf(fb_slice_str(HEAD REPORT "message/delivery-status\n\nX: y\n--x--\n"), &crlf);
    struct fb_envelope envelope = {.reverse_path = nobody, .recipients = two, .recipient_count = 2};
    kit_parse_as(&k, fb_slice_buf(&crlf), "", 0);
    assert_true(k.mail.is_delivery_report);
    render_mail_deinit(&k.mail);
    assert_int_equal(render_mime_parse(&k.source, &k.sink, &envelope, &k.mail, &k.err), FB_OK);
    assert_false(k.mail.is_delivery_report);
    end(&k);
}

/* ---- S/MIME ---- */

static EVP_PKEY *make_key(X509 **cert_r)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_non_null(key);
    assert_non_null(cert);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    *cert_r = cert;
    return key;
}

/* A mail whose body is the CMS structure. */
static void wrap_cms(CMS_ContentInfo *cms, const char *type, struct fb_buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);
    assert_true(len > 0);
    unsigned char *text = calloc(1, (size_t)len * 2 + 16);
    (void)EVP_EncodeBlock(text, der, len);
    fb_buf_init(out, 1U << 20);
    assert_int_equal(
        fb_buf_printf(out,
                      HEAD "Content-Type: application/pkcs7-mime; smime-type=%s; name=smime.p7m\n"
                           "Content-Transfer-Encoding: base64\n\n",
                      type),
        FB_OK);
    for (size_t i = 0; text[i] != '\0'; i += 76) {
        assert_int_equal(fb_buf_printf(out, "%.76s\n", (const char *)text + i), FB_OK);
    }
    free(text);
    OPENSSL_free(der);
}

static void test_opaque_signed_mail_is_read_and_encrypted_mail_is_not(void **state)
{
    static const char inner[] =
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsigned words\r\n--x\r\n"
        "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: "
        "base64\r\n\r\nUERG\r\n--x--\r\n";
    struct kit k;
    struct fb_buf mail;
    X509 *cert = NULL;
    EVP_PKEY *key = make_key(&cert);
    BIO *in = BIO_new_mem_buf(inner, sizeof inner - 1);
    (void)state;
    CMS_ContentInfo *cms = CMS_sign(cert, key, NULL, in, CMS_BINARY);
    assert_non_null(cms);
    wrap_cms(cms, "signed-data", &mail);
    parse(&k, fb_buf_str(&mail), "a@example.jp");
    assert_string_equal(fb_buf_str(&k.mail.letter.body), "signed words");
    assert_int_equal(k.mail.part_count, 2);
    assert_string_equal(k.mail.parts[0].name, "a.pdf");
    assert_string_equal(fb_buf_str(&kit_find(&k, k.mail.parts[0].object)->bytes), "PDF");
    assert_string_equal(k.mail.parts[1].name, "smime.p7m");
    assert_true(!k.mail.holds_body[0] && k.mail.holds_body[1]);
    assert_false(k.mail.is_encrypted || k.mail.is_body_unreadable);
    end(&k);
    fb_buf_deinit(&mail);
    CMS_ContentInfo_free(cms);
    assert_int_equal(BIO_reset(in), 1);
    STACK_OF(X509) *certs = sk_X509_new_null();
    assert_true(sk_X509_push(certs, cert) > 0);
    cms = CMS_encrypt(certs, in, EVP_aes_128_cbc(), CMS_BINARY);
    assert_non_null(cms);
    wrap_cms(cms, "enveloped-data", &mail);
    parse(&k, fb_buf_str(&mail), "a@example.jp");
    assert_true(k.mail.is_encrypted && k.mail.is_body_unreadable);
    assert_int_equal(k.mail.part_count, 1);
    end(&k);
    fb_buf_deinit(&mail);
    CMS_ContentInfo_free(cms);
    sk_X509_free(certs);
    BIO_free(in);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- winmail.dat ---- */

static void add_le(struct fb_buf *b, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        assert_int_equal(fb_buf_add_char(b, (char)(v >> (8 * i))), FB_OK);
    }
}

static void add_attribute(struct fb_buf *b, int level, uint32_t id, const void *data, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum += ((const uint8_t *)data)[i];
    }
    add_le(b, (uint32_t)level, 1);
    add_le(b, id, 4);
    add_le(b, (uint32_t)len, 4);
    assert_int_equal(fb_buf_add(b, data, len), FB_OK);
    add_le(b, sum & 0xFFFF, 2);
}

static void add_string_prop(struct fb_buf *b, uint32_t tag, const void *data, size_t len)
{
    add_le(b, tag, 4);
    add_le(b, 1, 4);
    add_le(b, (uint32_t)len, 4);
    assert_int_equal(fb_buf_add(b, data, len), FB_OK);
    while (len++ % 4 != 0) {
        add_le(b, 0, 1);
    }
}

static void make_tnef(struct fb_buf *b)
{
    static const char name[] = "\x8B\x89\x4D\x7A\x2E\x00x\x00l\x00s\x00x\x00\0\0"; /* UTF-16LE */
    static const char rtf[] =
        "{\\rtf1\\ansi\\fromhtml1{\\*\\htmltag64 <p>}Hello{\\*\\htmltag72 </p>}}";
    struct fb_buf props;
    struct fb_buf packed;
    fb_buf_init(b, 1U << 20);
    fb_buf_init(&props, 65536);
    fb_buf_init(&packed, 65536);
    add_le(b, 0x223E9F78, 4);
    add_le(b, 1, 2);
    add_le(&packed, sizeof rtf - 1 + 12, 4);
    add_le(&packed, sizeof rtf - 1, 4);
    add_le(&packed, 0x414C454D, 4);
    add_le(&packed, 0, 4);
    assert_int_equal(fb_buf_add(&packed, rtf, sizeof rtf - 1), FB_OK);
    add_le(&props, 2, 4);
    add_le(&props, 0x0E070003, 4);
    add_le(&props, 1, 4);
    add_string_prop(&props, 0x10090102, packed.ptr, packed.len);
    add_attribute(b, 1, 0x00069003, props.ptr, props.len);
    add_attribute(b, 2, 0x00069002, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    add_attribute(b, 2, 0x00018010, "SHORT~1.XLS\0", 12);
    add_attribute(b, 2, 0x0006800F, "sheet", 5);
    fb_buf_clear(&props);
    add_le(&props, 1, 4);
    add_string_prop(&props, 0x3707001F, name, sizeof name - 1);
    add_attribute(b, 2, 0x00069005, props.ptr, props.len);
    add_attribute(b, 2, 0x00069002, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    add_attribute(b, 2, 0x00018010, "b.txt\0", 6);
    add_attribute(b, 2, 0x0006800F, "text", 4);
    fb_buf_deinit(&props);
    fb_buf_deinit(&packed);
}

static void wrap_tnef(const struct fb_buf *tnef, size_t len, struct fb_buf *mail)
{
    unsigned char *text = calloc(1, len * 2 + 16);
    (void)EVP_EncodeBlock(text, tnef->ptr, (int)len);
    fb_buf_init(mail, 1U << 20);
    assert_int_equal(
        fb_buf_printf(mail,
                      HEAD
                      "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n \n--x\nContent-Type: "
                      "application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: "
                      "base64\n\n%s\n--x--\n",
                      (const char *)text),
        FB_OK);
    free(text);
}

static void test_winmail_dat_is_unpacked_or_kept(void **state)
{
    struct kit k;
    struct fb_buf tnef;
    struct fb_buf mail;
    (void)state;
    make_tnef(&tnef);
    wrap_tnef(&tnef, tnef.len, &mail);
    parse(&k, fb_buf_str(&mail), "a@example.jp");
    assert_int_equal(k.mail.part_count, 2);
    assert_string_equal(k.mail.parts[0].name, "見積.xlsx");
    assert_string_equal(k.mail.parts[0].object, "tnef.1");
    assert_string_equal(fb_buf_str(&kit_find(&k, "tnef.1")->bytes), "sheet");
    assert_string_equal(k.mail.parts[1].name, "b.txt");
    assert_string_equal(k.mail.parts[1].type, "text/plain");
    assert_true(k.mail.letter.is_html);
    assert_non_null(strstr(fb_buf_str(&k.mail.letter.body), "<p>Hello</p>"));
    end(&k);
    fb_buf_deinit(&mail);
    for (size_t cut = 0; cut < tnef.len;
         cut += 7) { /* broken off anywhere: the file is kept as it is, or all is there */
        wrap_tnef(&tnef, cut, &mail);
        parse(&k, fb_buf_str(&mail), "a@example.jp");
        assert_true(k.mail.part_count >= 1 || k.mail.letter.is_html);
        end(&k);
        fb_buf_deinit(&mail);
    }
    fb_buf_deinit(&tnef);
}

static void test_reading_in_small_pieces_changes_nothing(void **state)
{
    struct kit whole;
    struct kit pieces;
    struct fb_buf message;
    static const char text[] =
        HEAD "Content-Type: multipart/mixed; boundary=\"b b\"\n\npreamble\n--b b\nContent-Type: "
             "text/plain; charset=iso-2022-jp\n\n"
             "\033$B$3$s\033(B\n--b b\nContent-Type: image/png; "
             "name=\"a.png\"\nContent-Transfer-Encoding: base64\n\n" PNG "--b b--\nepilogue\n";
    (void)state;
    kit_crlf(fb_slice_str(text), &message);
    kit_parse(&whole, fb_slice_buf(&message));
    assert_int_equal(whole.status, FB_OK);
    for (size_t piece = 1; piece < 9; piece++) {
        kit_parse_as(&pieces, fb_slice_buf(&message), "a@example.jp", piece);
        assert_int_equal(pieces.status, FB_OK);
        assert_string_equal(fb_buf_str(&pieces.mail.letter.body),
                            fb_buf_str(&whole.mail.letter.body));
        assert_int_equal(pieces.mail.parts[0].offset, whole.mail.parts[0].offset);
        assert_int_equal(pieces.mail.parts[0].length, whole.mail.parts[0].length);
        assert_memory_equal(pieces.mail.parts[0].sha1, whole.mail.parts[0].sha1, 20);
        assert_null(kit_check(&pieces));
        kit_end(&pieces);
    }
    kit_end(&whole);
    fb_buf_deinit(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_body_is_what_a_reader_shows),
        cmocka_unit_test(test_header_fields_reach_letter_and_facts),
        cmocka_unit_test(test_the_kept_body_has_the_mark_and_the_head_is_an_object),
        cmocka_unit_test(test_reports_replies_and_encryption_are_proved_by_structure),
        cmocka_unit_test(test_a_report_to_many_is_none),
        cmocka_unit_test(test_opaque_signed_mail_is_read_and_encrypted_mail_is_not),
        cmocka_unit_test(test_winmail_dat_is_unpacked_or_kept),
        cmocka_unit_test(test_reading_in_small_pieces_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
