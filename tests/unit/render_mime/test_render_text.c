/* SPDX-License-Identifier: Apache-2.0
 *
 * Charsets, encoded-words, parameters, names, addresses, header blocks, transfer encodings: tables
 * over bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/addresses.h"
#include "services/render/carrier.h"
#include "services/render/charset.h"
#include "services/render/headers.h"
#include "services/render/html_text.h"
#include "services/render/language.h"
#include "services/render/mime.h"
#include "services/render/names.h"
#include "services/render/params.h"
#include "services/render/rtf.h"
#include "proto/transfer.h"
#include "services/render/words.h"

struct row {
    const char *name;
    const char *charset;
    const char *in;
    const char *want;
};

static void same(const char *row, const char *got, const char *want)
{
    if (strcmp(got, want) != 0) {
        fail_msg("%s: got \"%s\", want \"%s\"", row, got, want);
    }
}

static void test_utf16_without_a_mark_is_read_in_its_order(void **state)
{
    (void)state;
    static const char little[] =
        "D\0e\0a\0r\0 \0B0\n\0"; /* as Outlook Express for Windows wrote it */
    static const char big[] = "\0D\0e\0a\0r\0 0B\0\n";
    const struct fb_slice rows[] = {fb_slice_of(little, sizeof little - 1),
                                    fb_slice_of(big, sizeof big - 1)};
    for (size_t i = 0; i < 2; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 100);
        assert_int_equal(render_charset_to_utf8(rows[i], "utf-16", &out), FB_OK);
        assert_string_equal(fb_buf_str(&out), "Dear あ\n");
        fb_buf_deinit(&out);
    }
}

static void test_charsets_of_japanese_mail_become_utf8(void **state)
{
    static const struct row rows[] = {
        {"iso-2022-jp", "iso-2022-jp", "\033$B$3$s\033(B.", "こん."},
        {"NEC row 13", "ISO-2022-JP", "\033$B-!-j\033(B", "①㈱"},
        {"half-width kana by escape", "iso-2022-jp", "\033(I6E\033(B", "ｶﾅ"},
        {"half-width kana by SO and SI", "iso-2022-jp",
         "\x0E"
         "6E"
         "\x0F"
         "a",
         "ｶﾅa"},
        {"half-width kana raw", "iso-2022-jp", "\033$B$3\033(B\xB6\xC5", "こｶﾅ"},
        {"JIS X 0212", "iso-2022-jp-1", "\033$(D0!\033(B", "丂"},
        {"IBM extension in JIS", "iso-2022-jp", "\033$B|b\033(B", "髙"},
        {"wave dash as Microsoft reads it", "iso-2022-jp", "\033$B!A!]\033(B", "～－"},
        {"escape left open", "iso-2022-jp", "\033$B$3", "こ"},
        {"emoji of au in JIS", "iso-2022-jp", "\033$Bu!$3\033(B", "🌠こ"},
        {"Shift_JIS as CP932", "Shift_JIS", "\x87\x40\x82\xA0\xFB\xFC", "①あ髙"},
        {"x-sjis", "x-sjis", "\x95\x5C", "表"},
        {"EUC-JP with NEC row 13", "euc-jp", "\xAD\xA1\xA4\xA2\x8E\xB6\x8F\xB0\xA1", "①あｶ丂"},
        {"EUC-JP, NEC-selected", "euc-jp", "\xFC\xE2", "髙"},
        {"no charset, UTF-8", NULL, "あ", "あ"},
        {"no charset, ISO-2022-JP", NULL, "\033$B$3$s\033(B", "こん"},
        {"ASCII charset, ISO-2022-JP", "us-ascii", "\033$B$3$s\033(B", "こん"},
        {"no charset, Shift_JIS", NULL, "\x82\xB1\x82\xF1\x82\xC9\x82\xBF\x82\xCD", "こんにちは"},
        {"no charset, EUC-JP", NULL, "\xA4\xB3\xA4\xF3\xA4\xCB\xA4\xC1\xA4\xCF", "こんにちは"},
        {"no charset, Western", NULL, "caf\xE9s f\xFCr na\xEFve", "cafés für naïve"},
        {"ISO-2022-JP label on EUC-JP", "iso-2022-jp", "\xA4\xB3\xA4\xF3\xA4\xCB\xA4\xC1\xA4\xCF",
         "こんにちは"},
        {"GB2312 label on UTF-8", "gb2312", "中文字符", "中文字符"},
        {"unknown name", "x-nonsense", "あ", "あ"},
        {"iso-8859-1 is windows-1252", "iso-8859-1", "\x93\xE9\x80", "\xE2\x80\x9Cé€"},
        {"utf-7", "utf-7", "+MFM-", "こ"},
        {"gb2312", "gb2312", "\xC4\xE3\xBA\xC3", "你好"},
        {"hz", "hz-gb-2312", "~{VPND~}~~", "中文~"},
        {"big5", "big5", "\xA7\x41\xA6\x6E", "你好"},
        {"ks_c_5601", "ks_c_5601-1987", "\xBE\xC8\xB3\xE7", "안녕"},
        {"broken UTF-8", "utf-8",
         "a\xE3\x81"
         "b\xFF",
         "a\xEF\xBF\xBD\xEF\xBF\xBD"
         "b\xEF\xBF\xBD"},
        {"overlong and surrogates", "utf-8", "\xC0\xAF\xED\xA0\x80",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"byte order mark", "utf-8", "\xEF\xBB\xBFx", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 4096);
        assert_int_equal(render_charset_to_utf8(fb_slice_str(rows[i].in), rows[i].charset, &out),
                         FB_OK);
        same(rows[i].name, fb_buf_str(&out), rows[i].want);
        fb_buf_deinit(&out);
    }
}

/* Of docomo, au and SoftBank, as their mails have them; SoftBank's only from there. */
static void test_emoji_of_phone_companies_become_unicodes(void **state)
{
    static const struct {
        const char *from;
        struct row row;
    } rows[] = {
        {"",
         {"docomo, Shift_JIS", "shift_jis", "\xF8\x9F\x82\xA0\xF9\x85", "☀\uFE0Fあ#\uFE0F\u20E3"}},
        {"", {"docomo, UTF-8", "utf-8", "\uE63Eあ", "☀\uFE0Fあ"}},
        {"", {"docomo, last", "utf-8", "\uE757", "😱"}},
        {"", {"au, Shift_JIS", "shift_jis", "\xF3\x40\xF6\xA5\xF7\xE1", "🍂🇯🇵📫"}},
        {"", {"au, UTF-8", "utf-8", "\uEA80\uE488", "🍂☀\uFE0F"}},
        {"", {"au, JIS", "iso-2022-jp", "\033$Bu!uA\033(B", "🌠☀\uFE0F"}},
        {"", {"kanji in rows of au", "iso-2022-jp", "\033$B|by!\033(B", "髙纊"}},
        {"", {"kanji in codes of SoftBank", "shift_jis", "\xFB\xFC\xFB\x41", "髙涬"}},
        {"", {"private to others", "utf-8", "\uE04A\uE801\uF8FF", "\uE04A\uE801\uF8FF"}},
        {"a@example.jp", {"not SoftBank's", "utf-8", "\uE04A", "\uE04A"}},
        {"a@notsoftbank.ne.jp", {"nor this", "utf-8", "\uE04A", "\uE04A"}},
        {"x <a@softbank.ne.jp>",
         {"SoftBank, UTF-8", "utf-8", "\uE04A\uE21C\uE50Ba", "☀\uFE0F1\uFE0F\u20E3🇯🇵a"}},
        {"a@i.SoftBank.ne.jp",
         {"SoftBank, Shift_JIS", "shift_jis", "\xF9\x8B\xF7\x41", "☀\uFE0F📫"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        const struct row *r = &rows[i].row;
        fb_buf_init(&out, 4096);
        render_carrier_look(fb_slice_str(rows[i].from));
        assert_int_equal(fb_buf_add_str(&out, "\uE63E"), FB_OK); /* what was there stays */
        assert_int_equal(render_charset_to_utf8(fb_slice_str(r->in), r->charset, &out), FB_OK);
        same(r->name, fb_buf_str(&out) + 3, r->want);
        fb_buf_deinit(&out);
    }
    render_carrier_look(fb_slice_str(""));
    struct fb_buf small; /* longer than what came: the maximum holds, and nothing is half done */
    fb_buf_init(&small, 8);
    assert_int_equal(render_charset_to_utf8(fb_slice_str("\uE63E\uE63E"), "utf-8", &small),
                     FB_TOO_BIG);
    assert_int_equal(small.len, 0);
    fb_buf_deinit(&small);
}

static void test_conversion_ends_at_the_maximum_and_drops_nul(void **state)
{
    struct fb_buf out;
    (void)state;
    fb_buf_init(&out, 4);
    assert_int_equal(render_charset_to_utf8(FB_SLICE_LITERAL("ああ"), "utf-8", &out), FB_TOO_BIG);
    assert_int_equal(out.len, 0);
    assert_int_equal(render_charset_to_utf8(FB_SLICE_LITERAL("a\0b"), "iso-8859-1", &out), FB_OK);
    assert_string_equal(fb_buf_str(&out), "ab");
    fb_buf_deinit(&out);
}

static void test_encoded_words_are_decoded_as_readers_do(void **state)
{
    static const struct row rows[] = {
        {"B", NULL, "=?UTF-8?B?44GC?=", "あ"},
        {"Q with underscore", NULL, "=?iso-8859-1?Q?a_b=E9?=", "a bé"},
        {"two words join", NULL, "=?UTF-8?B?44GC?=\r\n =?UTF-8?B?44GE?=", "あい"},
        {"character split", NULL, "=?UTF-8?B?44E=?= =?UTF-8?B?gg==?=", "あ"},
        {"text between", NULL, "=?UTF-8?Q?a?= - =?UTF-8?Q?b?=", "a - b"},
        {"language tag", NULL, "=?utf-8*ja?Q?x?=", "x"},
        {"ISO-2022-JP with row 13", NULL, "=?ISO-2022-JP?B?GyRCLSEbKEI=?=", "①"},
        {"no blank around", NULL, "[=?utf-8?Q?x?=]", "[x]"},
        {"line end injected", NULL, "=?utf-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"},
        {"not a word", NULL, "=?utf-8?X?a?= =?", "=?utf-8?X?a?= =?"},
        {"raw UTF-8", NULL, "件名", "件名"},
        {"raw Shift_JIS", NULL, "\x8C\x8F\x96\xBC\x82\xCC", "件名の"},
        {"raw ISO-2022-JP", NULL, "\033$B7oL>\033(B", "件名"},
        {"folded", NULL, " a\r\n\tb ", "a\tb"},
        {"unknown charset", NULL, "=?x-nonsense?Q?abc?=", "abc"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *got = render_words_dup(fb_slice_str(rows[i].in), 4096);
        assert_non_null(got);
        for (char *p = got; *p != '\0'; p++) {
            *p = *p == '\t' ? ' ' : *p;
        }
        same(rows[i].name, got, i == 13 ? "a b" : rows[i].want);
        free(got);
    }
}

static void test_file_names_are_found_in_every_form(void **state)
{
    static const struct row rows[] = {
        {"token", NULL, "attachment; filename=a.pdf", "a.pdf"},
        {"quoted", NULL, "attachment; filename=\"a \\\"b\\\".pdf\"", "a \"b\".pdf"},
        {"unquoted blanks", NULL, "attachment; filename=my file.pdf ; x=y", "my file.pdf"},
        {"RFC 2231", NULL, "attachment; filename*=UTF-8''%E8%A6%8B%E7%A9%8D.pdf", "見積.pdf"},
        {"RFC 2231 wins", NULL, "attachment; filename=\"?.pdf\"; filename*=utf-8''%E8%A6%8B.pdf",
         "見.pdf"},
        {"continuations", NULL,
         "attachment; filename*0*=UTF-8''%E8%A6; filename*1*=%8B; filename*2=\"x.pdf\"", "見x.pdf"},
        {"continuations out of order", NULL, "attachment; filename*1=b.pdf; filename*0=a",
         "ab.pdf"},
        {"RFC 2231 in ISO-2022-JP", NULL, "attachment; filename*=iso-2022-jp''%1B$B8+@Q%1B%28B.pdf",
         "見積.pdf"},
        {"RFC 2047 in quotes", NULL,
         "attachment; filename=\"=?ISO-2022-JP?B?GyRCOCtAURsoQi5wZGY=?=\"", "見積.pdf"},
        {"RFC 2047 without quotes", NULL,
         "attachment; filename==?UTF-8?B?6KaLLnBkZg==?=", "見.pdf"},
        {"RFC 2047 folded", NULL, "attachment; filename=\"=?UTF-8?B?6KaL?=\r\n =?UTF-8?Q?.pdf?=\"",
         "見.pdf"},
        {"raw UTF-8", NULL, "attachment; filename=\"見積.pdf\"", "見積.pdf"},
        {"raw Shift_JIS with 5C", NULL, "attachment; filename=\"\x95\x5C\x8E\xA6\x83\x5C.txt\"",
         "表示ソ.txt"},
        {"raw Shift_JIS ending in 5C", NULL, "attachment; filename=\"\x82\xCC\x95\x5C\"; x=y",
         "の表"},
        {"raw EUC-JP", NULL, "attachment; filename=\"\xB8\xAB\xC0\xD1.pdf\"", "見積.pdf"},
        {"raw ISO-2022-JP with a quote inside", NULL,
         "attachment; filename=\"\033$B$\"$$\033(B.txt\"", "あい.txt"},
        {"Windows path", NULL, "attachment; filename=\"C:\\temp\\a.txt\"", "C:\\temp\\a.txt"},
        {"case", NULL, "attachment; FileName=\"A.pdf\"", "A.pdf"},
        {"no end quote", NULL, "attachment; filename=\"a.pdf", "a.pdf"},
        {"semicolon in quotes", NULL, "attachment; filename=\"a;b.pdf\"", "a;b.pdf"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct render_params p;
        assert_int_equal(render_params_parse(fb_slice_str(rows[i].in), &p), FB_OK);
        char *got = render_params_dup(&p, "filename", 1000);
        same(rows[i].name, got != NULL ? got : "(none)", rows[i].want);
        same(rows[i].name, p.value, "attachment");
        free(got);
        render_params_deinit(&p);
    }
}

static void test_names_are_safe_and_unique(void **state)
{
    static const struct row rows[] = {
        {"traversal", NULL, "../../etc/passwd", "passwd"},
        {"Windows path", NULL, "C:\\temp\\見積.xlsx", "見積.xlsx"},
        {"folder", NULL, "..", ""},
        {"slash at the end", NULL, "dir/", "dir"},
        {"only slashes", NULL, "//", ""},
        {"control", NULL, "a\tb\n.txt", "ab.txt"},
        {"bidi override", NULL, "a\xE2\x80\xAEgpj.exe", "agpj.exe"},
        {"zero width", NULL, "a\xE2\x80\x8B.pdf", "a.pdf"},
        {"blanks", NULL, "  a b.txt  ", "a b.txt"},
        {"dot file", NULL, ".bashrc", ".bashrc"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *got = render_name_clean(rows[i].in);
        same(rows[i].name, got, rows[i].want);
        free(got);
    }
    char longest[2000] = "";
    for (size_t i = 0; i < 400; i++) {
        memcpy(longest + i * 3, "あ", 4);
    }
    memcpy(longest + 1200, ".xlsx", 6);
    char *cut = render_name_clean(longest);
    assert_int_equal(strlen(cut), 250 * 3 + 5);
    assert_string_equal(cut + strlen(cut) - 5, ".xlsx");
    free(cut);
    char *names[] = {strdup("a.pdf"), strdup("A.PDF"), strdup("a.pdf"), strdup("a (2).pdf"),
                     strdup("b")};
    char **lent[] = {&names[0], &names[1], &names[2], &names[3], &names[4]};
    static const char *const want[] = {"a.pdf", "A (2).PDF", "a (3).pdf", "a (2) (2).pdf", "b"};
    render_names_unique(lent, 5);
    for (size_t i = 0; i < 5; i++) {
        same("unique", names[i], want[i]);
        free(names[i]);
    }
    char *made = render_name_default("application/pdf", 3);
    assert_string_equal(made, "attachment-3.pdf");
    free(made);
}

static void test_addresses_are_read_without_recursion(void **state)
{
    static const struct row rows[] = {
        {"plain", NULL, "a@example.jp", "a@example.jp"},
        {"name", NULL, "\"Yamada, Taro\" <a@example.jp>, b@example.jp (Bob)",
         "Yamada, Taro <a@example.jp>\nBob <b@example.jp>"},
        {"encoded name", NULL, "=?UTF-8?B?5bGx55Sw?= <a@example.jp>", "山田 <a@example.jp>"},
        {"raw JIS name", NULL, "\033$B;3ED\033(B <a@example.jp>", "山田 <a@example.jp>"},
        {"group", NULL, "team: a@example.jp, B <b@example.jp>; c@example.jp",
         "a@example.jp\nB <b@example.jp>\nc@example.jp"},
        {"empty group", NULL, "undisclosed-recipients:;", ""},
        {"route", NULL, "<@x,@y:a@example.jp>", "a@example.jp"},
        {"quoted local part", NULL, "\"a b\"@example.jp", "\"a b\"@example.jp"},
        {"folded", NULL, "a@example.jp,\r\n b@example.jp", "a@example.jp\nb@example.jp"},
        {"comment", NULL, "a@example.jp (x (y) z)", "x y z <a@example.jp>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct render_addresses list = {0};
        assert_int_equal(render_addresses_add(fb_slice_str(rows[i].in), 100, &list), FB_OK);
        char *got = render_addresses_dup_text(&list);
        if (i == 9) {
            assert_int_equal(list.count, 1);
            same(rows[i].name, list.items[0].address, "a@example.jp");
        } else {
            same(rows[i].name, got != NULL ? got : "", rows[i].want);
        }
        free(got);
        render_addresses_deinit(&list);
    }
}

static void test_the_notice_head_keeps_bytes_and_drops_what_would_lie(void **state)
{
    static const char head[] = "Return-Path: <x@example.jp>\r\n"
                               "Received: from a\r\n\tby b\r\n"
                               "DKIM-Signature: v=1;\r\n b=xyz\r\n"
                               "X-Fumibako-Id: forged\r\n"
                               "From: =?iso-2022-jp?B?GyRC?= <a@example.jp>\r\n"
                               "broken line\r\n continued\r\n"
                               "Subject: a\n  b\r\n"
                               "Bcc: secret@example.jp\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Content-Type: text/plain;\r\n\tcharset=x\r\n"
                               "Thread-Index: abc\rdef\r\n"
                               "X-Raw: \x82\xA0\r\n"
                               "References: <1@x>\r\n \r\n <2@x>\r\n"
                               "X-Last: no line end";
    static const char want[] = "Received: from a\r\n\tby b\r\n"
                               "From: =?iso-2022-jp?B?GyRC?= <a@example.jp>\r\n"
                               "Subject: a\r\n  b\r\n"
                               "Thread-Index: abcdef\r\n"
                               "X-Raw: \x82\xA0\r\n"
                               "References: <1@x>\r\n <2@x>\r\n"
                               "X-Last: no line end\r\n";
    struct fb_buf out;
    (void)state;
    fb_buf_init(&out, 4096);
    assert_int_equal(render_head_build(FB_SLICE_LITERAL(head), &out), FB_OK);
    assert_string_equal(fb_buf_str(&out), want);
    fb_buf_deinit(&out);
}

static void test_a_tag_is_stripped_without_breaking_the_subject(void **state)
{
    static const struct row rows[] = {
        {"ASCII", "[secure]", " [secure] Hello", "Hello"},
        {"in the middle", "[secure]", "Re: [SECURE] Hello", "Re: Hello"},
        {"not there", "[x]", " =?UTF-8?B?44GC?=", "=?UTF-8?B?44GC?="},
        {"encoded", "[secure]", "=?UTF-8?B?W3NlY3VyZV0g44GC?=", "=?UTF-8?B?44GC?="},
        {"mixed", "[secure]", "Re: [secure] =?UTF-8?B?44GC?=", "Re: =?UTF-8?B?44GC?="},
        {"Japanese tag", "【重要】", "=?UTF-8?B?44CQ6YeN6KaB44CR44GC?=", "=?UTF-8?B?44GC?="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 4096);
        assert_int_equal(render_head_strip_tag(fb_slice_str(rows[i].in), rows[i].charset, &out),
                         FB_OK);
        same(rows[i].name, fb_buf_str(&out), rows[i].want);
        fb_buf_deinit(&out);
    }
}

static void test_encoding_a_long_subject_gives_it_back(void **state)
{
    struct fb_buf text;
    struct fb_buf encoded;
    (void)state;
    fb_buf_init(&text, 8192);
    fb_buf_init(&encoded, 65536);
    assert_int_equal(fb_buf_add_str(&text, "Re: "), FB_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fb_buf_add_str(&text, i % 7 == 0 ? "aé𠮷 " : "日本語"), FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&text, "end"), FB_OK);
    assert_int_equal(render_words_encode(fb_slice_buf(&text), &encoded), FB_OK);
    size_t line = 9;
    for (size_t i = 0; i < encoded.len; i++) {
        line = encoded.ptr[i] == '\n' ? 0 : line + 1;
        assert_true(line <= 78);
        assert_true(encoded.ptr[i] < 0x80);
    }
    char *back = render_words_dup(fb_slice_buf(&encoded), 8192);
    assert_string_equal(back, fb_buf_str(&text));
    free(back);
    fb_buf_deinit(&text);
    fb_buf_deinit(&encoded);
}

/* Decodes in pieces of `cut` bytes. */
static size_t decode(enum fb_encoding e, const char *in, size_t cut, char *out)
{
    struct fb_transfer t;
    size_t n = 0;
    size_t len = strlen(in);
    fb_transfer_init(&t, e);
    for (size_t at = 0; at < len; at += cut) {
        size_t piece = len - at < cut ? len - at : cut;
        n += fb_transfer_step(&t, (const uint8_t *)in + at, piece, (uint8_t *)out + n);
    }
    n += fb_transfer_end(&t, (uint8_t *)out + n);
    out[n] = '\0';
    return n;
}

static void test_transfer_decoders_do_not_depend_on_the_cut(void **state)
{
    static const struct {
        const char *name;
        enum fb_encoding encoding;
        const char *in, *want;
    } rows[] = {
        {"base64", FB_ENC_BASE64, "SGVs\r\nbG8=", "Hello"},
        {"base64 with junk", FB_ENC_BASE64, "SG*Vs bG\n8", "Hello"},
        {"base64 joined", FB_ENC_BASE64, "SGk=SGk=", "HiHi"},
        {"qp", FB_ENC_QP, "a=3Db=\r\nc=\nd=e3=81=82", "a=bcdあ"},
        {"qp broken", FB_ENC_QP, "a=ZZ =4 ==41", "a=ZZ =4 =A"},
        {"qp soft at the end", FB_ENC_QP, "abc=", "abc"},
        {"qp soft CR at the end", FB_ENC_QP, "abc=\r", "abc"},
        {"qp line ends", FB_ENC_QP, "a\r\nb\r\n", "a\r\nb\r\n"},
        {"uu", FB_ENC_UUENCODE, "junk\r\nbegin 644 x\r\n%2&5L;&\\\r\n`\r\nend\r\nmore", "Hello"},
        {"identity", FB_ENC_IDENTITY, "a=3D", "a=3D"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t cut = 1; cut < 40; cut++) {
            char out[512];
            (void)decode(rows[i].encoding, rows[i].in, cut, out);
            same(rows[i].name, out, rows[i].want);
        }
    }
}

static void test_base64_and_qp_agree_with_gmime_on_well_formed_input(void **state)
{
    (void)state;
    render_mime_init();
    for (unsigned seed = 1; seed < 60; seed++) {
        unsigned char raw[700];
        char encoded[4096];
        for (size_t i = 0; i < sizeof raw; i++) {
            raw[i] = (unsigned char)((i * 2654435761U * seed) >> 13);
        }
        for (int kind = 0; kind < 2; kind++) {
            GMimeEncoding g;
            GMimeContentEncoding as =
                kind == 0 ? GMIME_CONTENT_ENCODING_BASE64 : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
            g_mime_encoding_init_encode(&g, as);
            size_t n = g_mime_encoding_flush(&g, (const char *)raw, seed * 11, encoded);
            encoded[n] = '\0';
            char got[8192];
            char want[8192];
            g_mime_encoding_init_decode(&g, as);
            size_t w = g_mime_encoding_flush(&g, encoded, n, want);
            size_t have = decode(kind == 0 ? FB_ENC_BASE64 : FB_ENC_QP, encoded, 7, got);
            assert_int_equal(have, w);
            assert_memory_equal(have > 0 ? got : "", want, w);
        }
    }
}

static void test_html_is_read_as_text_and_kept_with_the_mark(void **state)
{
    static const struct row text_rows[] = {
        {"blocks", NULL, "<p>a<br>b</p><div>c &amp; d</div>", "a\nb\nc & d"},
        {"hidden", NULL, "<style>x{}</style><script>'<p>'</script><title>t</title>a<!-- c -->b",
         "ab"},
        {"entities", NULL, "&lt;&#12354;&#x3044;&nbsp;&unknown;", "<あい &unknown;"},
        {"open comment", NULL, "a<!-- b", "a"},
        {"open tag", NULL, "a<b title=\"x", "a"},
        {"less-than in text", NULL, "1 < 2 <3", "1 < 2 <3"},
    };
    static const struct row keep_rows[] = {
        {"body", NULL, "<html><body bgcolor=\"a>b\">x",
         "<html><body bgcolor=\"a>b\"><!--fumibako-notice-->x"},
        {"fragment", NULL, "<p>x</p>", "<!--fumibako-notice--><p>x</p>"},
        {"charset", NULL,
         "<head><meta http-equiv=Content-Type content=\"text/html; "
         "charset=iso-2022-jp\"></head><body>x",
         "<head><meta charset=\"utf-8\"></head><body><!--fumibako-notice-->x"},
        {"no body", NULL, "<html><head></head><p>x",
         "<html><head><meta charset=\"utf-8\"></head><!--fumibako-notice--><p>x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof text_rows / sizeof text_rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 4096);
        assert_int_equal(html_text_add(fb_slice_str(text_rows[i].in), &out), FB_OK);
        same(text_rows[i].name, fb_buf_str(&out), text_rows[i].want);
        fb_buf_deinit(&out);
    }
    for (size_t i = 0; i < sizeof keep_rows / sizeof keep_rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 4096);
        assert_int_equal(html_keep(fb_slice_str(keep_rows[i].in), &out), FB_OK);
        same(keep_rows[i].name, fb_buf_str(&out), keep_rows[i].want);
        fb_buf_deinit(&out);
    }
}

static void test_the_language_follows_the_letters(void **state)
{
    (void)state;
    assert_string_equal(render_language(FB_SLICE_LITERAL("件名"), FB_SLICE_LITERAL("本文です。")),
                        "ja");
    assert_string_equal(
        render_language(FB_SLICE_LITERAL("Hello"), FB_SLICE_LITERAL("How are you doing today?")),
        "en");
    assert_string_equal(render_language(FB_SLICE_LITERAL("請求書"), FB_SLICE_LITERAL("")), "both");
    assert_string_equal(render_language(FB_SLICE_LITERAL(""), FB_SLICE_LITERAL("")), "both");
    assert_string_equal(
        render_language(FB_SLICE_LITERAL("Grüße"), FB_SLICE_LITERAL("Schöne Grüße aus München")),
        "both");
}

static void test_rtf_gives_its_html_or_text(void **state)
{
    static const struct row rows[] = {
        {"text", NULL,
         "{\\rtf1\\ansi\\ansicpg932{\\fonttbl{\\f0\\fcharset128 MS;}}\\f0 \\'82\\'a0\\par "
         "b\\u12356 ?}",
         "あ\nbい"},
        {"html", "html",
         "{\\rtf1\\ansi\\fromhtml1 {\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 Hi\\htmlrtf "
         "}\\htmlrtf0 {\\*\\htmltag72 </p>}}",
         "<p>Hi</p>"},
        {"hidden groups", NULL, "{\\rtf1{\\*\\generator X;}{\\info{\\title t}}a}", "a"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        bool is_html = false;
        fb_buf_init(&out, 4096);
        assert_int_equal(rtf_to_body(fb_slice_str(rows[i].in), &out, &is_html), FB_OK);
        same(rows[i].name, fb_buf_str(&out), rows[i].want);
        assert_int_equal(is_html, rows[i].charset != NULL);
        fb_buf_deinit(&out);
    }
    /* MS-OXRTFCP 4.1.1: the example of the specification. */
    static const uint8_t packed[] = {0x2d, 0x00, 0x00, 0x00, 0x2b, 0x00, 0x00, 0x00, 0x4c, 0x5a,
                                     0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00, 0x0a, 0x00,
                                     0x72, 0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a,
                                     0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09, 0x00, 0x20, 0x62, 0x77,
                                     0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0};
    struct fb_buf out;
    fb_buf_init(&out, 4096);
    assert_int_equal(rtf_decompress(fb_slice_of(packed, sizeof packed), &out), FB_OK);
    assert_string_equal(fb_buf_str(&out), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charsets_of_japanese_mail_become_utf8),
        cmocka_unit_test(test_utf16_without_a_mark_is_read_in_its_order),
        cmocka_unit_test(test_emoji_of_phone_companies_become_unicodes),
        cmocka_unit_test(test_conversion_ends_at_the_maximum_and_drops_nul),
        cmocka_unit_test(test_encoded_words_are_decoded_as_readers_do),
        cmocka_unit_test(test_file_names_are_found_in_every_form),
        cmocka_unit_test(test_names_are_safe_and_unique),
        cmocka_unit_test(test_addresses_are_read_without_recursion),
        cmocka_unit_test(test_the_notice_head_keeps_bytes_and_drops_what_would_lie),
        cmocka_unit_test(test_a_tag_is_stripped_without_breaking_the_subject),
        cmocka_unit_test(test_encoding_a_long_subject_gives_it_back),
        cmocka_unit_test(test_transfer_decoders_do_not_depend_on_the_cut),
        cmocka_unit_test(test_base64_and_qp_agree_with_gmime_on_well_formed_input),
        cmocka_unit_test(test_html_is_read_as_text_and_kept_with_the_mark),
        cmocka_unit_test(test_the_language_follows_the_letters),
        cmocka_unit_test(test_rtf_gives_its_html_or_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
