/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a mail's HTML reaches Chromium: nothing that runs, fetches, leaves its container or
 * breaks the layout by sheer size; and all of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare.h"
#include "services/render/image_size.h"
#include "tests/support/cpu_time.h"

#define MAX_OUT (40U << 20)

static enum fb_status prepare_letter(struct render_letter *l, struct fb_slice html,
                                     struct fb_buf *out, struct fb_error *err)
{
    fb_buf_init(&l->body, html.len + 16);
    assert_int_equal(fb_buf_add_slice(&l->body, html), FB_OK);
    fb_buf_init(out, MAX_OUT);
    enum fb_status s = render_html_prepare(l, out, err);
    fb_buf_deinit(&l->body);
    return s;
}

static enum fb_status prepare(struct fb_slice html, struct fb_buf *out, struct fb_error *err)
{
    struct render_letter l = {
        .subject = fb_xstrdup("subject"), .from = fb_xstrdup("from <a@b.c>"), .is_html = true};
    enum fb_status s = prepare_letter(&l, html, out, err);
    render_letter_deinit(&l);
    return s;
}

/* The mail's part: behind our head. */
static struct fb_slice mail_part(const struct fb_buf *out)
{
    struct fb_slice all = fb_slice_buf(out);
    size_t at = fb_slice_find(all, FB_SLICE_LITERAL("id=\"fb-mail\""));
    assert_true(at != SIZE_MAX);
    return fb_slice_sub(all, at, SIZE_MAX);
}

/* The mail's style sheet: the second <style>. */
static struct fb_slice mail_css(const struct fb_buf *out)
{
    struct fb_slice all = fb_slice_buf(out);
    size_t first = fb_slice_find(all, FB_SLICE_LITERAL("</style>"));
    struct fb_slice rest = fb_slice_sub(all, first + 8, SIZE_MAX);
    return fb_slice_sub(rest, 0, fb_slice_find(rest, FB_SLICE_LITERAL("</style>")));
}

static bool holds(struct fb_slice in, const char *text)
{
    return fb_slice_find(in, fb_slice_str(text)) != SIZE_MAX;
}

static void test_what_is_let_through(void **state)
{
    (void)state;
    static const struct {
        const char *name, *html;
        const char *wanted[3], *unwanted[4];
    } rows[] = {
        {"script", "<p>a<script>alert(1)</script>b", {"a", "b"}, {"script", "alert"}},
        {"handlers", "<p onclick=\"x()\" onload=y>text", {"text"}, {"onclick", "onload"}},
        {"javascript link", "<a href=\"javascript:x()\">go</a>", {"go"}, {"javascript"}},
        {"javascript link in disguise",
         "<a href=\" java\nscript:x()\">go</a>",
         {"go"},
         {"script:"}},
        {"data link", "<a href=\"data:text/html,x\">go</a>", {"go"}, {"data:"}},
        {"file link", "<a href=\"file:///etc/passwd\">go</a>", {"go"}, {"file:"}},
        {"good links",
         "<a href=\"https://a.example/?b=1&amp;c=2\">x</a><a href=mailto:a@b.c>y</a><a "
         "href=tel:+81>z</a>",
         {"href=\"https://a.example/?b=1&amp;c=2\"", "mailto:a@b.c", "tel:+81"},
         {0}},
        {"remote image",
         "<img src=\"http://t.example/p.gif\" width=200 height=50 alt=\"A picture\">",
         {"A picture", "fb-box"},
         {"t.example", "<img"}},
        {"remote image with room for more",
         "<img src=\"http://t.example/p.gif\" width=300 height=80 alt=\"A picture\">",
         {"A picture (remote image, not shown)", "width:300px;height:80px;"},
         {"t.example", "<img"}},
        {"a text larger than its image",
         "<img src=\"http://t.example/p.gif\" width=20 height=20 alt=\"A picture of the shop\">",
         {">A picture of the shop<"},
         {"width:20px", "height:20px"}},
        {"hidden image",
         "<p>x<img src=\"http://t.example/p.gif\" style=\"display:none\" alt=\"secret\">",
         {"x"},
         {"secret", "fb-box"}},
        {"white on a picture",
         "<div style=\"background:url(//x.example/a) center\"><b style=\"color:#FFF\">t</b></div>",
         {"background-color:#4d576b", "color:#FFF"},
         {"x.example"}},
        {"dark on a picture",
         "<div style=\"background:url(//x.example/a)\"><b "
         "style=\"color:rgb(10,255,255)\">t</b></div>",
         {"color:rgb"},
         {"#4d576b"}},
        {"white on a colour and a picture",
         "<td><div style=\"background:#036 url(//x.example/a)\"><b "
         "style=\"color:white\">t</b></div>",
         {"color:white"},
         {"#4d576b"}},
        {"tracker",
         "<p>x<img src=\"http://t.example/p.gif\" width=1 height=1>",
         {"x"},
         {"t.example", "fb-box", "<img"}},
        {"frames",
         "<iframe src=//x.example></iframe><object data=x.swf>in</object><embed src=y>t",
         {"t"},
         {"iframe", "object", "embed", "x.example"}},
        {"form",
         "<form action=//x.example><input name=q><button>send</button>text</form>",
         {"text"},
         {"form", "input", "action"}},
        {"meta and base",
         "<meta http-equiv=refresh content=\"0;url=//x\"><base href=//x.example/><p>t",
         {"t"},
         {"refresh", "base", "x.example"}},
        {"svg",
         "<svg onload=x><script>1</script><image href=//x.example></svg>t",
         {"t"},
         {"svg", "x.example"}},
        {"inline fetches",
         "<p style=\"background:url(http://x.example/a);color:red\">t",
         {"color:red"},
         {"x.example", "url("}},
        {"expression",
         "<p style=\"width:expression(alert(1));color:red\">t",
         {"color:red"},
         {"expression"}},
        {"fixed", "<div style=\"position:fixed;top:0;color:red\">t", {"color:red"}, {"fixed"}},
        {"huge length",
         "<div style=\"height:100000000px;color:red\">t",
         {"color:red"},
         {"100000000"}},
        {"huge span",
         "<table><tr><td colspan=1000000000 rowspan=99999>t",
         {"t"},
         {"1000000000", "99999"}},
        {"our ids and classes",
         "<div id=fb-head class=\"fb-html x\">t</div><div id=fb-mail>u",
         {" x\">t", "u"},
         {"id=\"fb-head\"", "fb-html x"}},
        {"out of the container",
         "</div></fb-body></fb-html></fb-mail></body><p>outside",
         {"outside"},
         {0}},
        {"Outlook",
         "<!--[if mso]><p>mso</p><![endif]--><o:p>&nbsp;</o:p><p class=MsoNormal>text",
         {"text", "MsoNormal"},
         {"mso</p>", "<o:p"}},
        {"layout",
         "<table bgcolor=#ff0000 cellpadding=4><tr><td align=center><font color=red face=Arial>t",
         {"bgcolor", "cellpadding", "face"},
         {0}},
        {"entities",
         "<p>&lt;script&gt; &amp;amp; &quot;",
         {"&lt;script&gt; &amp;amp;"},
         {"<script"}},
        {"text everywhere",
         "<marquee>a</marquee><blink>b</blink><custom-x>c</custom-x>",
         {"a", "b", "c"},
         {"marquee", "custom-x"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        struct fb_error err = {0};
        enum fb_status s = prepare(fb_slice_str(rows[i].html), &out, &err);
        if (s != FB_OK) {
            fail_msg("%s: %s", rows[i].name, err.text);
        }
        struct fb_slice mail = mail_part(&out);
        for (size_t k = 0; k < 3 && rows[i].wanted[k] != NULL; k++) {
            if (!holds(mail, rows[i].wanted[k])) {
                fail_msg("%s: no \"%s\" in %.*s", rows[i].name, rows[i].wanted[k], (int)mail.len,
                         (const char *)mail.ptr);
            }
        }
        for (size_t k = 0; k < 4 && rows[i].unwanted[k] != NULL; k++) {
            if (holds(fb_slice_sub(mail, 14, SIZE_MAX), rows[i].unwanted[k])) {
                fail_msg("%s: \"%s\" in %.*s", rows[i].name, rows[i].unwanted[k], (int)mail.len,
                         (const char *)mail.ptr);
            }
        }
        fb_buf_deinit(&out);
    }
}

static void test_style_sheets_stay_within_the_mail(void **state)
{
    (void)state;
    static const struct {
        const char *name, *css, *wanted, *unwanted;
    } rows[] = {
        {"scope", "p{color:red}", "#fb-mail", NULL},
        {"body", "body{color:red}", ".fb-body", "\nbody{"},
        {"head of ours", "#fb-head{display:none} p{color:red}", "color:red", "\n#fb-head"},
        {"import", "@import url(//x.example); p{color:red}", "color:red", "x.example"},
        {"font", "@font-face{font-family:f;src:url(//x.example)} p{color:red}", "color:red",
         "x.example"},
        {"page", "@page{size:1px} p{color:red}", "color:red", "@page"},
        {"url", "p{background:url(//x.example);color:red}", "color:red", "x.example"},
        {"escaped url", "p{background:u\\72l(//x.example);color:red}", "color:red", "x.example"},
        {"end of style in a string", "p{content:\"</style><script>\";color:red}", "content:\"\"",
         "<script"},
        {"media", "@media screen and (max-width:600px){p{color:red}}",
         "@media screen and (max-width:600px)", NULL},
        {"unbalanced", "p{color:red", NULL, "@@"},
        {"garbage", "}}}{{{ ;;; p{color:red} <!-- --> \\", NULL, "<!--"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf html, out;
        struct fb_error err = {0};
        fb_buf_init(&html, 4096);
        assert_int_equal(fb_buf_printf(&html, "<style>%s</style><p>t", rows[i].css), FB_OK);
        enum fb_status s = prepare(fb_slice_buf(&html), &out, &err);
        if (s != FB_OK) {
            fail_msg("%s: %s", rows[i].name, err.text);
        }
        struct fb_slice css = mail_css(&out);
        if ((rows[i].wanted != NULL && !holds(css, rows[i].wanted)) ||
            (rows[i].unwanted != NULL && holds(css, rows[i].unwanted))) {
            fail_msg("%s: %.*s", rows[i].name, (int)css.len, (const char *)css.ptr);
        }
        fb_buf_deinit(&out);
        fb_buf_deinit(&html);
    }
}

static void test_a_style_elements_media_count(void **state)
{
    (void)state;
    static const struct {
        const char *media, *wanted, *unwanted;
    } rows[] = {
        {"all", "red", "@media"},
        {"screen", "red", "@media"},
        {"only screen and (max-width:480px)", "@media only screen and (max-width:480px){", NULL},
        {"print", "@media print{", NULL},
        {"screen and (prefers-color-scheme:dark)", NULL, "red"},
        {"}p{display:none}", NULL, "red"},
        {"screen;p{x:y}", NULL, "red"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf html, out;
        struct fb_error err = {0};
        fb_buf_init(&html, 4096);
        assert_int_equal(
            fb_buf_printf(&html, "<style media=\"%s\">p{color:red}</style><p>t", rows[i].media),
            FB_OK);
        assert_int_equal(prepare(fb_slice_buf(&html), &out, &err), FB_OK);
        struct fb_slice css = mail_css(&out);
        if ((rows[i].wanted != NULL && !holds(css, rows[i].wanted)) ||
            (rows[i].unwanted != NULL && holds(css, rows[i].unwanted))) {
            fail_msg("%s: %.*s", rows[i].media, (int)css.len, (const char *)css.ptr);
        }
        fb_buf_deinit(&out);
        fb_buf_deinit(&html);
    }
}

static void repeat(struct fb_buf *b, const char *head, const char *piece, int count)
{
    fb_buf_init(b, 12U << 20);
    assert_int_equal(fb_buf_add_str(b, head), FB_OK);
    for (int i = 0; i < count; i++) {
        assert_int_equal(fb_buf_add_str(b, piece), FB_OK);
    }
}

static void test_hostile_sizes_end_in_time(void **state)
{
    (void)state;
    static const struct {
        const char *name, *head, *piece;
        int count;
        enum fb_status status;
    } rows[] = {
        {"100,000 nested", "", "<div>", 100000, FB_OK},
        {"100,000 unclosed b", "", "<b>x", 100000, FB_OK},
        {"100,000 attributes", "<p ", "a=1 b=2 ", 50000, FB_OK},
        {"100,000 braces", "<style>", "{", 100000, FB_OK},
        {"100,000 closing tags", "", "</p></b>", 50000, FB_OK},
        {"a million quotes", "<p title='", "\"", 1000000, FB_OK},
        {"30 nested tables", "", "<table><tr><td>", 30, FB_OK},
        {"too many elements", "", "<i></i>", 210000, FB_TOO_BIG},
        {"a long attribute", "<a href=\"https://x.example/", "abcdefgh", 500000, FB_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf html, out;
        struct fb_error err = {0};
        repeat(&html, rows[i].head, rows[i].piece, rows[i].count);
        int64_t start = cpu_ms();
        enum fb_status s = prepare(fb_slice_buf(&html), &out, &err);
        int64_t ms = cpu_ms() - start;
        if (s != rows[i].status || ms > 30000) { /* with a sanitizer; 0.1 s without */
            fail_msg("%s: status %d, %d ms: %s", rows[i].name, (int)s, (int)ms, err.text);
        }
        fb_buf_deinit(&out);
        fb_buf_deinit(&html);
    }
}

/* Deep elements lose their tags, not their text. */
static void test_no_text_is_lost_in_the_depth(void **state)
{
    (void)state;
    struct fb_buf html, out;
    struct fb_error err = {0};
    repeat(&html, "", "<blockquote>", 3000);
    assert_int_equal(fb_buf_add_str(&html, "THE DEEPEST WORD"), FB_OK);
    assert_int_equal(prepare(fb_slice_buf(&html), &out, &err), FB_OK);
    assert_true(holds(mail_part(&out), "THE DEEPEST WORD"));
    fb_buf_deinit(&out);
    fb_buf_deinit(&html);
}

static void test_images_are_named_by_their_number_and_bombs_are_boxes(void **state)
{
    (void)state;
    static uint8_t png[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02";
    for (int is_bomb = 0; is_bomb < 2; is_bomb++) {
        png[18] = is_bomb ? 0xC3 : 0; /* 50,000 pixels wide */
        png[22] = is_bomb ? 0xC3 : 0;
        struct render_letter l = {.is_html = true, .subject = fb_xstrdup("s"), .image_count = 1};
        l.images = fb_xcalloc(1, sizeof *l.images);
        l.images[0].cid = fb_xstrdup("Logo@x");
        l.images[0].type = fb_xstrdup("image/png");
        fb_buf_init(&l.images[0].bytes, sizeof png);
        assert_int_equal(fb_buf_add(&l.images[0].bytes, png, sizeof png), FB_OK);
        struct fb_buf out;
        struct fb_error err = {0};
        assert_int_equal(
            prepare_letter(
                &l, FB_SLICE_LITERAL("<img src=\"cid:logo%40x\" alt=LOGO width=300 height=200>"),
                &out, &err),
            FB_OK);
        assert_int_equal(holds(mail_part(&out), "src=\"cid:0\""), !is_bomb);
        assert_int_equal(holds(mail_part(&out), "fb-box"), is_bomb);
        assert_int_equal(render_image_is_safe(fb_slice_of(png, sizeof png)), !is_bomb);
        fb_buf_deinit(&out);
        render_letter_deinit(&l);
    }
}

static void test_remote_images_are_listed_for_who_may_fetch_them(void **state)
{
    (void)state;
    static const struct {
        const char *html, *url; /* NULL: none */
    } rows[] = {
        {"<img src=\" https://a.example/x.png \">", "https://a.example/x.png"},
        {"<img src=\"HTTP://a.example/A b\">", "HTTP://a.example/A%20b"},
        {"<img src=\"//a.example/x\">", "https://a.example/x"},
        {"<img src=\"https://a.example/x?a=1&amp;b=2#part\">", "https://a.example/x?a=1&b=2"},
        {"<img src=\"https://a.example/\xE7\x94\xBB.png\">", "https://a.example/%E7%94%BB.png"},
        {"<img src=\"https://a.example/a\nb\tc\">", "https://a.example/abc"},
        {"<img src=\"https://a.example/x\" width=1 height=1>", NULL},
        {"<img src=\"https://a.example/x\" style=\"width:1px\">", NULL},
        {"<img src=\"https://a.example/x\" style=\"display: none\">", NULL},
        {"<img src=\"cid:x\"><img src=x.png><img src=\"data:image/png;base64,AA\">", NULL},
        {"<img src=\"file:///etc/passwd\"><img src=\"https://\"><img>", NULL},
        {"<div background=\"https://a.example/x\"></div>", NULL},
        {"<!--<img src=\"https://a.example/x\">--><script><img "
         "src=\"https://a.example/x\"></script>",
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct render_letter l = {.is_html = true};
        struct render_html_remote list[RENDER_REMOTE_COUNT];
        struct fb_error err = {0};
        size_t count = 0;
        fb_buf_init(&l.body, 4096);
        assert_int_equal(fb_buf_add_str(&l.body, rows[i].html), FB_OK);
        assert_int_equal(fb_buf_add_str(&l.body, rows[i].html), FB_OK); /* each once */
        assert_int_equal(render_html_remote(&l, list, &count, &err), FB_OK);
        assert_int_equal(count, rows[i].url != NULL ? 1 : 0);
        for (size_t k = 0; k < count; k++) {
            assert_string_equal(list[k].url, rows[i].url);
            free(list[k].url);
            free(list[k].source);
        }
        fb_buf_deinit(&l.body);
    }
}

/* One image, fetched: only what names it by the very URL gets it. */
static void test_a_fetched_image_stands_where_its_url_stood(void **state)
{
    (void)state;
    static const uint8_t png[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02";
    static const struct {
        const char *html;
        bool is_shown;
    } rows[] = {
        {"<img src=\" https://a.example/Logo%40x.png \">", true},
        {"<img src=\"https://a.example/logo%40x.png\">", false},
        {"<img src=\"https://a.example/Logo@x.png\">", false},
        {"<img src=\"cid:https://a.example/Logo%40x.png\">", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct render_letter l = {.is_html = true, .image_count = 1};
        struct fb_error err = {0};
        struct fb_buf out;
        l.images = fb_xcalloc(1, sizeof *l.images);
        l.images[0].url = fb_xstrdup("https://a.example/Logo%40x.png");
        l.images[0].type = fb_xstrdup("image/png");
        fb_buf_init(&l.images[0].bytes, sizeof png);
        assert_int_equal(fb_buf_add(&l.images[0].bytes, png, sizeof png), FB_OK);
        assert_int_equal(prepare_letter(&l, fb_slice_str(rows[i].html), &out, &err), FB_OK);
        assert_int_equal(holds(mail_part(&out), "src=\"cid:0\""), rows[i].is_shown);
        assert_false(holds(mail_part(&out), "a.example"));
        fb_buf_deinit(&out);
        render_letter_deinit(&l);
    }
}

static void test_header_block_is_escaped_and_in_the_mails_language(void **state)
{
    (void)state;
    struct render_letter l = {.is_html = true,
                              .is_japanese = true,
                              .subject = fb_xstrdup("<script>x</script>\x01\""),
                              .from = fb_xstrdup("a <a@b.c>"),
                              .to = fb_xstrdup("</header><h1>"),
                              .attachment_count = 1};
    l.attachments = fb_xcalloc(1, sizeof *l.attachments);
    l.attachments[0] = (struct render_attachment_line){
        .name = fb_xstrdup("<b>.pdf"), .type = fb_xstrdup("x"), .size = 1536};
    struct fb_buf out;
    struct fb_error err = {0};
    assert_int_equal(prepare_letter(&l, FB_SLICE_LITERAL("<p>x"), &out, &err), FB_OK);
    struct fb_slice all = fb_slice_buf(&out);
    assert_false(holds(all, "<script"));
    assert_true(holds(all, "&lt;script&gt;x&lt;/script&gt;&quot;"));
    assert_true(holds(all, " &lt;a@b.c&gt;</span>") && holds(all, "&lt;/header&gt;&lt;h1&gt;") &&
                holds(all, "&lt;b&gt;.pdf"));
    assert_true(holds(all, "差出人") && holds(all, "1.5\u00a0KB") && holds(all, "lang=\"ja\""));
    fb_buf_deinit(&out);
    render_letter_deinit(&l);
}

/* Outlook's smiley is a J in Wingdings; its bullets are letters, with blanks of another font behind. */
static void test_letters_of_symbol_fonts_become_characters(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"<span style='mso-x:y; Font-Family:Wingdings'>J</span>J", "\u263A</span>J"},
        {"<font face=\"Wingdings\">L\uF0FC\u00e0</font>", "\u2639\u2714\u2192</font>"},
        {"<p style='font-family:Symbol'>\u00b7<span style='font:7pt Times'>a</span>b",
         "a</span>\u03b2"},
        {"<p style='font-family:Symbol'>\u00b7<span style='font:7pt Times'>a", "\u2022<span"},
        {"<p style=\"font-family:'Wingdings 2'\">P", ">P"},
        {"<p style='font-family:Symbola'>J<p style='font-family:Arial,Wingdings'>K", ">J"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        struct fb_error err = {0};
        assert_int_equal(prepare(fb_slice_str(rows[i][0]), &out, &err), FB_OK);
        if (!holds(mail_part(&out), rows[i][1])) {
            fail_msg("%s -> %s", rows[i][0], fb_buf_str(&out));
        }
        fb_buf_deinit(&out);
    }
}

/* Pieces of HTML in random order: always a document whose mail lies in its container, without what
 * runs or fetches. */
static void test_mutations_keep_the_promises(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<table>",
                                         "</table>",
                                         "<tr>",
                                         "<td>",
                                         "</td>",
                                         "<li>",
                                         "<ul>",
                                         "</ul>",
                                         "<fieldset>",
                                         "</fieldset>",
                                         "<p>",
                                         "</p>",
                                         "<b>",
                                         "</b>",
                                         "<i>",
                                         "<a href=http://x.example/>",
                                         "</a>",
                                         "<select>",
                                         "<option>",
                                         "</select>",
                                         "<svg>",
                                         "<title>",
                                         "</title>",
                                         "<math>",
                                         "<mi>",
                                         "</svg>",
                                         "<template>",
                                         "</template>",
                                         "<style>p{color:red}</style>",
                                         "<style>",
                                         "</style>",
                                         "<!--",
                                         "-->",
                                         "<![CDATA[",
                                         "]]>",
                                         "text",
                                         "<script>",
                                         "</script>",
                                         "<form>",
                                         "</form>",
                                         "<frameset>",
                                         "<body id=x>",
                                         "</body>",
                                         "<html class=y>",
                                         "<h1>",
                                         "</h2>",
                                         "<nobr>",
                                         "<button>",
                                         "<pre>",
                                         "<textarea>",
                                         "</textarea>",
                                         "<plaintext>",
                                         "<caption>",
                                         "<col>",
                                         "<ruby>",
                                         "<rt>",
                                         "&lt;",
                                         "\"",
                                         "'",
                                         "<img src=x onerror=y>",
                                         "</fb-mail>",
                                         "<fb-html>",
                                         "</div>",
                                         "<div style=\"color:",
                                         "<noscript>",
                                         "<xmp>",
                                         "<iframe>",
                                         "\xff\xfe",
                                         "<foreignObject>",
                                         "<desc>",
                                         "<annotation-xml>"};
    uint32_t seed = 12345;
    for (int round = 0; round < 400; round++) {
        struct fb_buf html, out;
        struct fb_error err = {0};
        fb_buf_init(&html, 65536);
        for (int i = 0; i < 40; i++) {
            seed = seed * 1664525U + 1013904223U;
            assert_int_equal(
                fb_buf_add_str(&html, pieces[(seed >> 8) % (sizeof pieces / sizeof pieces[0])]),
                FB_OK);
        }
        enum fb_status s = prepare(fb_slice_buf(&html), &out, &err);
        if (s == FB_OK) {
            struct fb_slice mail = mail_part(&out);
            if (holds(mail, "<script") || holds(mail, "onerror=") || holds(mail, "<iframe") ||
                holds(mail, "<svg") || !holds(mail, "</fb-body></fb-html></fb-mail>")) {
                fail_msg("%.*s -> %.*s", (int)html.len, (const char *)html.ptr, (int)mail.len,
                         (const char *)mail.ptr);
            }
        } else if (s != FB_INVALID && s != FB_TOO_BIG) {
            fail_msg("%.*s: %s", (int)html.len, (const char *)html.ptr, err.text);
        }
        fb_buf_deinit(&out);
        fb_buf_deinit(&html);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_let_through),
        cmocka_unit_test(test_style_sheets_stay_within_the_mail),
        cmocka_unit_test(test_a_style_elements_media_count),
        cmocka_unit_test(test_hostile_sizes_end_in_time),
        cmocka_unit_test(test_no_text_is_lost_in_the_depth),
        cmocka_unit_test(test_images_are_named_by_their_number_and_bombs_are_boxes),
        cmocka_unit_test(test_remote_images_are_listed_for_who_may_fetch_them),
        cmocka_unit_test(test_a_fetched_image_stands_where_its_url_stood),
        cmocka_unit_test(test_header_block_is_escaped_and_in_the_mails_language),
        cmocka_unit_test(test_letters_of_symbol_fonts_become_characters),
        cmocka_unit_test(test_mutations_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
