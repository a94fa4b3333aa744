/* SPDX-License-Identifier: Apache-2.0
 *
 * What a painted PDF says about itself: structure, language, bookmarks, alt texts; and the one for archives.
 * How the files keep their standards is looked at in tests/integration/render/pdf.test.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/forwarded.h"
#include "services/render/html_prepare.h"
#include "services/render/native.h"
#include "services/render/page.h"
#include "services/render/pdf_archive.h"
#include "services/render/pdf_patch.h"
#include "services/render/text_paint.h"

#define PDF_MAX (16U << 20)

static struct render_letter letter_of(const char *subject, const char *body)
{
    struct render_letter l = {.is_tagged = true,
                              .is_japanese = true,
                              .subject = fb_xstrdup(subject),
                              .from = fb_xstrdup("a <a@b.c>"),
                              .date_ms = 1700000000000LL};
    fb_buf_init(&l.body, PDF_MAX);
    assert_int_equal(fb_buf_add_str(&l.body, body), FB_OK);
    return l;
}

static void paint(const char *subject, const char *body, struct fb_buf *pdf)
{
    struct fb_error err = {0};
    struct render_letter l = letter_of(subject, body);
    fb_buf_init(pdf, PDF_MAX);
    assert_int_equal(render_text_paint(&l, "A4", pdf, &err), FB_OK);
    render_letter_deinit(&l);
}

static qpdf_data open_pdf(const struct fb_buf *pdf)
{
    qpdf_data q = qpdf_init();
    qpdf_silence_errors(q);
    qpdf_set_suppress_warnings(q, QPDF_TRUE);
    int code = qpdf_read_memory(q, "x", (const char *)pdf->ptr, pdf->len, NULL);
    assert_int_equal(code, QPDF_SUCCESS); /* nor a warning: the table fits */
    return q;
}

static void append_names(qpdf_data q, qpdf_oh element, struct fb_buf *out)
{
    qpdf_oh kids = qpdf_oh_get_key(q, element, "/K");
    qpdf_oh name = qpdf_oh_get_key(q, element, "/S");
    if (qpdf_oh_is_name(q, name)) {
        assert_int_equal(fb_buf_printf(out, "(%s", qpdf_oh_get_name(q, name) + 1), FB_OK);
    }
    int count = qpdf_oh_is_array(q, kids) ? qpdf_oh_get_array_n_items(q, kids) : 1;
    for (int i = 0; i < count; i++) {
        qpdf_oh kid = qpdf_oh_is_array(q, kids) ? qpdf_oh_get_array_item(q, kids, i) : kids;
        if (qpdf_oh_is_dictionary(q, kid)) {
            append_names(q, kid, out);
        }
    }
    if (qpdf_oh_is_name(q, name)) {
        assert_int_equal(fb_buf_add_str(out, ")"), FB_OK);
    }
}

/* "(Document(H1)(P(Span)))" */
static void assert_structure(const struct fb_buf *pdf, const char *wanted)
{
    struct fb_buf names;
    qpdf_data q = open_pdf(pdf);
    fb_buf_init(&names, 1U << 20);
    append_names(q, qpdf_oh_get_key(q, qpdf_get_root(q), "/StructTreeRoot"), &names);
    if (strstr(fb_buf_str(&names), wanted) == NULL) {
        fail_msg("%s is not in %s", wanted, fb_buf_str(&names));
    }
    fb_buf_deinit(&names);
    qpdf_cleanup(&q);
}

static void test_a_letter_has_structure_language_and_title(void **state)
{
    (void)state;
    struct fb_buf pdf;
    paint("件名", "一\n二\n\nsee https://example.com/\nthree\n\n> quoted\n>> deeper\n\nend\n",
          &pdf);
    assert_structure(&pdf, "(Document(H1)");
    assert_structure(&pdf, "(P(Span))(P(Span)(Link)(Span))"
                           "(BlockQuote(P(Span))(BlockQuote(P(Span))))(P(Span)))");
    qpdf_data q = open_pdf(&pdf);
    qpdf_oh root = qpdf_get_root(q);
    assert_string_equal(qpdf_oh_get_string_value(q, qpdf_oh_get_key(q, root, "/Lang")), "ja");
    qpdf_oh preferences = qpdf_oh_get_key(q, root, "/ViewerPreferences");
    assert_true(qpdf_oh_get_bool_value(q, qpdf_oh_get_key(q, preferences, "/DisplayDocTitle")));
    qpdf_oh outline = qpdf_oh_get_key(q, qpdf_oh_get_key(q, root, "/Outlines"), "/First");
    assert_string_equal(qpdf_oh_get_utf8_value(q, qpdf_oh_get_key(q, outline, "/Title")), "本文");
    qpdf_oh page = qpdf_get_page_n(q, 0);
    qpdf_oh link = qpdf_oh_get_array_item(q, qpdf_oh_get_key(q, page, "/Annots"), 0);
    assert_int_equal(qpdf_oh_get_int_value(q, qpdf_oh_get_key(q, link, "/F")), 4);
    qpdf_cleanup(&q);
    fb_buf_deinit(&pdf);
}

static void test_untagged_letters_have_none(void **state)
{
    (void)state;
    struct fb_error err = {0};
    struct fb_buf pdf;
    struct render_letter l = letter_of("s", "words\n");
    l.is_tagged = false;
    fb_buf_init(&pdf, PDF_MAX);
    assert_int_equal(render_text_paint(&l, "A4", &pdf, &err), FB_OK);
    qpdf_data q = open_pdf(&pdf);
    assert_false(qpdf_oh_has_key(q, qpdf_get_root(q), "/StructTreeRoot"));
    assert_false(qpdf_oh_has_key(q, qpdf_get_root(q), "/Outlines"));
    qpdf_cleanup(&q);
    fb_buf_deinit(&pdf);
    render_letter_deinit(&l);
}

/* Cairo 1.16 forgot tags that stood before a picture with nothing drawn before it, and crashed. */
static void test_emoji_at_the_beginning_of_a_page(void **state)
{
    (void)state;
    struct fb_buf body;
    struct fb_buf pdf;
    fb_buf_init(&body, PDF_MAX);
    for (int i = 0; i < 200; i++) { /* one of them begins a page */
        assert_int_equal(fb_buf_add_str(&body, "📧\n"), FB_OK);
    }
    paint("📧", fb_buf_str(&body), &pdf);
    assert_structure(&pdf, "(Document(H1)");
    fb_buf_deinit(&pdf);
    fb_buf_deinit(&body);
}

static void paint_html(const char *body, struct fb_buf *pdf)
{
    struct fb_error err = {0};
    struct fb_buf html;
    struct render_html_document document;
    struct render_letter l = letter_of("s", body);
    l.is_html = true;
    fb_buf_init(pdf, PDF_MAX);
    fb_buf_init(&html, PDF_MAX);
    assert_int_equal(render_html_prepare_document(&l, &html, &document, &err), FB_OK);
    struct render_native *n = render_native_new(&l, document.tree, "A4", false, 60000);
    if (render_native_paint(n, pdf, &err) != FB_OK) {
        fail_msg("%s: %s", body, err.text);
    }
    render_native_free(&n);
    render_html_document_deinit(&document);
    fb_buf_deinit(&html);
    render_letter_deinit(&l);
}

/* Cairo 1.16 forgot elements that were begun where all is clipped, and was in disorder from then on: pictures and
 * their boxes are clipped, and senders move them beside the page or give them no size. */
static void test_what_is_clipped_away_leaves_the_structure_whole(void **state)
{
    (void)state;
    static const char dot[] =
        "<img alt=dot src=\"data:image/png;base64,"
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWj"
        "R9awAAAABJRU5ErkJggg==\"";
    static const char box[] = "<img alt=box src=\"https://example.com/x.png\"";
    static const char *const places[] = {" style=\"margin-left:-900px\" width=50 height=20",
                                         " style=\"margin-left:5000px\" width=50 height=20",
                                         " width=0 height=0",
                                         " style=\"width:0;height:0\"",
                                         " style=\"width:0\" height=40",
                                         " style=\"margin-top:-900px;height:0\"",
                                         " style=\"max-width:0\"",
                                         " height=3000 width=10"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char body[1400];
        struct fb_buf pdf;
        for (int k = 0; k < 2; k++) {
            (void)snprintf(
                body, sizeof body,
                "<p>before</p><p style=\"text-indent:-900px\">%s%s></p><table><tr><td>%s%s>"
                "<td>cell</table><ul><li>%s%s></ul><p>after</p>",
                k == 0 ? dot : box, places[i], k == 0 ? dot : box, places[i], k == 0 ? dot : box,
                places[i]);
            paint_html(body, &pdf);
            assert_structure(&pdf, k == 0 ? "(Figure))))(P))" : "))))(P))");
            fb_buf_deinit(&pdf);
        }
    }
}

static void test_a_paragraph_goes_on_on_the_next_page(void **state)
{
    (void)state;
    struct fb_buf body;
    struct fb_buf pdf;
    fb_buf_init(&body, PDF_MAX);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fb_buf_add_str(&body, "line\n"), FB_OK);
    }
    paint("s", fb_buf_str(&body), &pdf);
    assert_structure(&pdf, "(P(Span)(Span)"); /* one paragraph on two pages */
    fb_buf_deinit(&pdf);
    fb_buf_deinit(&body);
}

/* Deeper than we count, begun and ended all the same; figures past their limit are without alt text. */
static void test_elements_in_elements_are_bounded(void **state)
{
    (void)state;
    struct fb_error err = {0};
    struct fb_buf pdf;
    struct render_page p;
    struct render_letter l = letter_of("s", "");
    fb_buf_init(&pdf, PDF_MAX);
    render_page_open(&p, &l, "A4", 50, &pdf);
    for (int i = 0; i < RENDER_TAG_DEPTH + 10; i++) {
        render_page_tag_begin(&p, "Sect");
    }
    for (int i = 0; i < RENDER_TAG_DEPTH + 10; i++) {
        render_page_tag_end(&p, "Sect");
    }
    for (int i = 0; i < RENDER_FIGURES + 10; i++) {
        render_page_figure_begin(&p, i == 0 ? "a (picture) \\ 絵" : NULL);
        cairo_rectangle(p.cr, 10, 10, 10, 10);
        cairo_fill(p.cr);
        render_page_tag_end(&p, "Figure");
    }
    for (int i = 0; i < RENDER_BOOKMARKS + 10; i++) {
        render_page_bookmark(&p, i % 2 == 0 ? "a\n\tb" : " ", i % (RENDER_LEVELS + 2));
    }
    assert_int_equal(render_page_close(&p, FB_OK, &err), FB_OK);
    qpdf_data q = open_pdf(&pdf);
    qpdf_oh document =
        qpdf_oh_get_key(q, qpdf_oh_get_key(q, qpdf_get_root(q), "/StructTreeRoot"), "/K");
    document = qpdf_oh_is_array(q, document) ? qpdf_oh_get_array_item(q, document, 0) : document;
    qpdf_oh figure = qpdf_oh_get_array_item(q, qpdf_oh_get_key(q, document, "/K"), 1);
    assert_string_equal(qpdf_oh_get_utf8_value(q, qpdf_oh_get_key(q, figure, "/Alt")),
                        "a (picture) \\ 絵");
    qpdf_cleanup(&q);
    fb_buf_deinit(&pdf);
    render_letter_deinit(&l);
}

static void test_what_is_not_cairos_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "%PDF-1.4\n",
        "%PDF-1.4\n1 0 obj\n<<>>\nendobj\nxref\n0 2\n",
        "startxref\n99999\n%%EOF\n",
        "%PDF-1.4\n1 0 obj\n<<>>\nendob!\nxref\n0 2\n0000000000 65535 f \n0000000009 00000 n \n"
        "trailer\n<< /Size 2 /Root 1 0 R >>\nstartxref\n30\n%%EOF\n",
        "%PDF-1.4\nxref\n0 99999999\nstartxref\n9\n%%EOF\n",
    };
    const struct render_pdf_patch patch = {.language = "en"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct fb_buf b;
        fb_buf_init(&b, 4096);
        assert_int_equal(fb_buf_printf(&b, "before%s", files[i]), FB_OK);
        assert_int_equal(render_pdf_patch(&b, 6, &patch), FB_OK);
        assert_int_equal(b.len, strlen(files[i]) + 6);
        assert_memory_equal(b.ptr + 6, files[i], b.len - 6);
        fb_buf_deinit(&b);
    }
}

static void test_the_archives_mail_is_without_hidden_recipients(void **state)
{
    (void)state;
    static const struct {
        const char *mail, *wanted;
    } rows[] = {
        {"From: a\r\nBcc: x@y.z,\r\n  more@y.z\r\nTo: b\r\n\r\nBcc: body\r\n",
         "From: a\r\nTo: b\r\n\r\nBcc: body\r\n"},
        {"bcc:x\nRESENT-BCC : y\n\tz\nSubject: Bcc: s\n\nbody", "Subject: Bcc: s\n\nbody"},
        {"Bcc: all\r\n", ""},
        {"Bccc: kept\r\n", "Bccc: kept\r\n"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 4096);
        assert_int_equal(render_pdf_mail(fb_slice_str(rows[i].mail), &out), FB_OK);
        assert_string_equal(fb_buf_str(&out), rows[i].wanted);
        fb_buf_deinit(&out);
    }
}

static void test_archives_are_equal_for_equal_letters(void **state)
{
    (void)state;
    struct fb_error err = {0};
    struct fb_buf pdf;
    struct fb_buf out[2];
    const char *hindrance = NULL;
    const struct render_pdf_archive a = {.title = "<&\"\x01\xef\xbf\xbe 件名",
                                         .is_tagged = true,
                                         .date_ms = 1700000000000LL,
                                         .mail = FB_SLICE_LITERAL("Subject: x\r\n\r\n")};
    paint("s", "see https://example.com/ 本文\n", &pdf);
    for (int i = 0; i < 2; i++) {
        fb_buf_init(&out[i], PDF_MAX);
        assert_int_equal(render_pdf_archive(fb_slice_buf(&pdf), &a, &out[i], &hindrance, &err),
                         FB_OK);
        assert_null(hindrance);
    }
    assert_int_equal(out[0].len, out[1].len);
    assert_memory_equal(out[0].ptr, out[1].ptr, out[0].len);
    fb_buf_deinit(&out[1]);
    fb_buf_init(&out[1], 1000);
    assert_int_equal(render_pdf_archive(fb_slice_buf(&pdf), &a, &out[1], &hindrance, &err),
                     FB_TOO_BIG);
    for (int i = 0; i < 2; i++) {
        fb_buf_deinit(&out[i]);
    }
    fb_buf_deinit(&pdf);
}

static void test_what_is_no_pdf_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"", "%PDF-1.7\n", "<html>",
                                        "%PDF-1.4\ntrailer\n<< /Size 3 >>\n"};
    const struct render_pdf_archive a = {.title = NULL};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct fb_error err = {0};
        struct fb_buf out;
        const char *hindrance = NULL;
        fb_buf_init(&out, PDF_MAX);
        assert_int_equal(render_pdf_archive(fb_slice_str(files[i]), &a, &out, &hindrance, &err),
                         FB_INVALID);
        fb_buf_deinit(&out);
    }
}

static void test_forwarded_messages_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *text, *title; /* NULL: none */
    } rows[] = {
        {"-----Original Message-----\nFrom: a\nSubject: Old one\n\nbody", "Old one"},
        {"---------- Forwarded message ---------\nFrom: a\n件名: 前の件\n", "前の件"},
        {"Begin forwarded message:\n\n> x\n", "Begin forwarded message:"},
        {"-------- 転送されたメッセージ --------\r\n件名：　空白\r\n", "　空白"},
        {"-- \nTaro\n", NULL},
        {"-----\nOriginal Message\n", NULL},
        {"Original Message of mine\n", NULL},
        {"--------- something else ---------\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char title[RENDER_FORWARDED_TITLE] = "";
        bool begins = render_forwarded_begins(fb_slice_str(rows[i].text), title);
        assert_int_equal(begins, rows[i].title != NULL);
        assert_string_equal(title, rows[i].title != NULL ? rows[i].title : "");
    }
}

static int warm(void **state)
{
    (void)state;
    render_text_warm();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_has_structure_language_and_title),
        cmocka_unit_test(test_untagged_letters_have_none),
        cmocka_unit_test(test_emoji_at_the_beginning_of_a_page),
        cmocka_unit_test(test_what_is_clipped_away_leaves_the_structure_whole),
        cmocka_unit_test(test_a_paragraph_goes_on_on_the_next_page),
        cmocka_unit_test(test_elements_in_elements_are_bounded),
        cmocka_unit_test(test_what_is_not_cairos_stays_as_it_is),
        cmocka_unit_test(test_the_archives_mail_is_without_hidden_recipients),
        cmocka_unit_test(test_archives_are_equal_for_equal_letters),
        cmocka_unit_test(test_what_is_no_pdf_is_refused),
        cmocka_unit_test(test_forwarded_messages_are_known),
    };
    return cmocka_run_group_tests(tests, warm, NULL);
}
