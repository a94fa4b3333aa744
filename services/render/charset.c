/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and conversion; the Japanese multi-byte forms are in charset_jp.c, the guess in
 * charset_guess.c.
 */
#include "services/render/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "services/render/carrier.h"
#include "services/render/charset_jp.h"

/* Names as glibc knows them.  The order is free; an entry is opened once and kept for the life of
 * the process. */
static struct converter {
    const char *name;
    iconv_t cd;
} converters[] = {
    {.name = "CP932"},       {.name = "EUC-JP-MS"},   {.name = "CP1252"},
    {.name = "UTF-7"},       {.name = "UTF-16"},      {.name = "UTF-16LE"},
    {.name = "UTF-16BE"},    {.name = "UTF-32"},      {.name = "GB18030"},
    {.name = "BIG5-HKSCS"},  {.name = "UHC"},         {.name = "ISO-2022-KR"},
    {.name = "ISO-2022-CN"}, {.name = "CP874"},       {.name = "KOI8-R"},
    {.name = "KOI8-U"},      {.name = "ISO-8859-2"},  {.name = "ISO-8859-3"},
    {.name = "ISO-8859-4"},  {.name = "ISO-8859-5"},  {.name = "ISO-8859-6"},
    {.name = "ISO-8859-7"},  {.name = "ISO-8859-8"},  {.name = "ISO-8859-10"},
    {.name = "ISO-8859-13"}, {.name = "ISO-8859-14"}, {.name = "ISO-8859-15"},
    {.name = "ISO-8859-16"}, {.name = "CP1250"},      {.name = "CP1251"},
    {.name = "CP1253"},      {.name = "CP1254"},      {.name = "CP1255"},
    {.name = "CP1256"},      {.name = "CP1257"},      {.name = "CP1258"},
    {.name = "CP437"},       {.name = "CP850"},       {.name = "CP852"},
    {.name = "CP866"},       {.name = "MACINTOSH"},   {.name = "VISCII"},
    {.name = "CP862"},
};
static bool is_initialised;

/* What mails call a charset, letters and digits only, and what we read it as. */
static const struct alias {
    const char *name;
    const char *as;
} aliases[] = {
    {"utf8", "UTF-8"},
    {"unicode11utf8", "UTF-8"},
    {"utf8mb4", "UTF-8"},
    {"xunknown", ""},
    {"unknown8bit", ""},
    {"usascii", ""},
    {"ascii", ""},
    {"ansix341968", ""},
    {"default", ""},
    {"iso88591", "CP1252"},
    {"latin1", "CP1252"},
    {"iso885911987", "CP1252"},
    {"cp819", "CP1252"},
    {"ibm819", "CP1252"},
    {"windows1252", "CP1252"},
    {"cp1252", "CP1252"},
    {"xcp1252", "CP1252"},
    {"ansi", "CP1252"},
    {"iso2022jp", "JIS"},
    {"iso2022jp1", "JIS"},
    {"iso2022jp2", "JIS"},
    {"iso2022jp3", "JIS"},
    {"iso2022jpms", "JIS"},
    {"csiso2022jp", "JIS"},
    {"cp50220", "JIS"},
    {"cp50221", "JIS"},
    {"cp50222", "JIS"},
    {"jis", "JIS"},
    {"iso2022jp2004", "JIS"},
    {"xiso2022jp", "JIS"},
    {"shiftjis", "CP932"},
    {"xsjis", "CP932"},
    {"sjis", "CP932"},
    {"mskanji", "CP932"},
    {"windows31j", "CP932"},
    {"cswindows31j", "CP932"},
    {"csshiftjis", "CP932"},
    {"cp932", "CP932"},
    {"ms932", "CP932"},
    {"xmscp932", "CP932"},
    {"shiftjisx0213", "CP932"},
    {"xmacjapanese", "CP932"},
    {"xsjisdocomo", "CP932"},
    {"xshiftjis", "CP932"},
    {"ibm943", "CP932"},
    {"eucjp", "EUC"},
    {"xeucjp", "EUC"},
    {"eucjpms", "EUC"},
    {"cp51932", "EUC"},
    {"cseucpkdfmtjapanese", "EUC"},
    {"xeuc", "EUC"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"gb18030", "GB18030"},
    {"xgbk", "GB18030"},
    {"cp936", "GB18030"},
    {"euccn", "GB18030"},
    {"gb231280", "GB18030"},
    {"windows936", "GB18030"},
    {"csgb2312", "GB18030"},
    {"hzgb2312", "HZ"},
    {"hz", "HZ"},
    {"big5", "BIG5-HKSCS"},
    {"cnbig5", "BIG5-HKSCS"},
    {"xxbig5", "BIG5-HKSCS"},
    {"big5hkscs", "BIG5-HKSCS"},
    {"cp950", "BIG5-HKSCS"},
    {"windows950", "BIG5-HKSCS"},
    {"csbig5", "BIG5-HKSCS"},
    {"ksc5601", "UHC"},
    {"ksc56011987", "UHC"},
    {"ksc56011989", "UHC"},
    {"euckr", "UHC"},
    {"cp949", "UHC"},
    {"uhc", "UHC"},
    {"windows949", "UHC"},
    {"5601", "UHC"},
    {"xwindows949", "UHC"},
    {"iso2022kr", "ISO-2022-KR"},
    {"iso2022cn", "ISO-2022-CN"},
    {"tis620", "CP874"},
    {"windows874", "CP874"},
    {"cp874", "CP874"},
    {"iso885911", "CP874"},
    {"koi8r", "KOI8-R"},
    {"koi8u", "KOI8-U"},
    {"utf7", "UTF-7"},
    {"unicode11utf7", "UTF-7"},
    {"csunicode11utf7", "UTF-7"},
    {"xutf7", "UTF-7"},
    {"utf16", "UTF-16"},
    {"utf16le", "UTF-16LE"},
    {"utf16be", "UTF-16BE"},
    {"utf32", "UTF-32"},
    {"iso88592", "ISO-8859-2"},
    {"latin2", "ISO-8859-2"},
    {"iso88593", "ISO-8859-3"},
    {"iso88594", "ISO-8859-4"},
    {"iso88595", "ISO-8859-5"},
    {"iso88596", "ISO-8859-6"},
    {"iso88597", "ISO-8859-7"},
    {"iso88598", "ISO-8859-8"},
    {"iso88598i", "ISO-8859-8"},
    {"iso88598e", "ISO-8859-8"},
    {"iso88599", "CP1254"},
    {"latin5", "CP1254"},
    {"iso885910", "ISO-8859-10"},
    {"iso885913", "ISO-8859-13"},
    {"iso885914", "ISO-8859-14"},
    {"iso885915", "ISO-8859-15"},
    {"latin9", "ISO-8859-15"},
    {"iso885916", "ISO-8859-16"},
    {"windows1250", "CP1250"},
    {"cp1250", "CP1250"},
    {"windows1251", "CP1251"},
    {"cp1251", "CP1251"},
    {"windows1253", "CP1253"},
    {"windows1254", "CP1254"},
    {"cp1254", "CP1254"},
    {"windows1255", "CP1255"},
    {"windows1256", "CP1256"},
    {"cp1256", "CP1256"},
    {"windows1257", "CP1257"},
    {"windows1258", "CP1258"},
    {"cp437", "CP437"},
    {"ibm437", "CP437"},
    {"cp850", "CP850"},
    {"ibm850", "CP850"},
    {"cp852", "CP852"},
    {"ibm852", "CP852"},
    {"cp866", "CP866"},
    {"ibm866", "CP866"},
    {"macintosh", "MACINTOSH"},
    {"macroman", "MACINTOSH"},
    {"xmacroman", "MACINTOSH"},
    {"viscii", "VISCII"},
    {"cp862", "CP862"},
    {"cp1253", "CP1253"},
    {"cp1255", "CP1255"},
    {"cp1257", "CP1257"},
    {"cp1258", "CP1258"},
};

void render_charset_init(void)
{
    if (is_initialised) {
        return;
    }
    for (size_t i = 0; i < sizeof converters / sizeof converters[0]; i++) {
        converters[i].cd = iconv_open("UTF-8", converters[i].name);
    }
    is_initialised = true;
}

static struct converter *find_converter(const char *name)
{
    render_charset_init();
    for (size_t i = 0; i < sizeof converters / sizeof converters[0]; i++) {
        if (strcmp(converters[i].name, name) == 0) {
            return converters[i].cd != (iconv_t)-1 ? &converters[i]
                                                   : NULL; // NOLINT: POSIX's own error value
        }
    }
    return NULL;
}

/* What we read the name as: a converter's name, or UTF-8, JIS, EUC, HZ; "" for ASCII; NULL when
 * unknown. */
static const char *resolve(const char *charset)
{
    char key[40];
    size_t n = 0;
    if (charset == NULL) {
        return NULL;
    }
    for (const char *p = charset; *p != '\0' && *p != '*'; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            if (n + 1 == sizeof key) {
                return NULL;
            }
            key[n++] = c;
        }
    }
    key[n] = '\0';
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(aliases[i].name, key) == 0) {
            return aliases[i].as;
        }
    }
    return NULL;
}

bool render_charset_is_known(const char *charset)
{
    return resolve(charset) != NULL;
}

bool render_charset_is_japanese(const char *charset)
{
    const char *as = resolve(charset);
    return as != NULL &&
           (strcmp(as, "JIS") == 0 || strcmp(as, "CP932") == 0 || strcmp(as, "EUC") == 0);
}

size_t render_utf8_next(struct fb_slice s, uint32_t *cp_r)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (s.len == 0) {
        return 0;
    }
    uint8_t c = s.ptr[0];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : 4;
    if (c < 0x80) {
        *cp_r = c;
        return 1;
    }
    if (c < 0xC2 || c > 0xF4 || s.len < n) {
        return 0;
    }
    uint32_t cp = n == 2 ? c & 0x1FU : n == 3 ? c & 0x0FU : c & 0x07U;
    for (size_t i = 1; i < n; i++) {
        if ((s.ptr[i] & 0xC0) != 0x80) {
            return 0;
        }
        cp = cp << 6 | (s.ptr[i] & 0x3FU);
    }
    if (cp < least[n] || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) {
        return 0;
    }
    *cp_r = cp;
    return n;
}

size_t render_utf8_put(uint32_t cp, uint8_t out[4])
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) {
        cp = 0xFFFD;
    }
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xC0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xE0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | cp >> 18);
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

bool render_utf8_is_valid(struct fb_slice s)
{
    while (s.len > 0) {
        uint32_t cp = 0;
        size_t n = render_utf8_next(s, &cp);
        if (n == 0) {
            return false;
        }
        s = fb_slice_sub(s, n, s.len);
    }
    return true;
}

/* UTF-8 in, UTF-8 out: NULs and a byte order mark go, broken sequences become U+FFFD. */
static enum fb_status clean_utf8(struct fb_slice s, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    while (s.len > 0 && status == FB_OK) {
        size_t run = 0;
        uint32_t cp = 0;
        size_t n = 0;
        while (run < s.len) {
            n = render_utf8_next(fb_slice_sub(s, run, s.len), &cp);
            if (n == 0 || cp == 0 || cp == 0xFEFF) {
                break;
            }
            run += n;
        }
        status = fb_buf_add(out, s.ptr, run);
        if (status == FB_OK && run < s.len) {
            if (n == 0) {
                status = fb_buf_add_str(out, "\xEF\xBF\xBD");
                n = 1;
            }
            run += n;
        }
        s = fb_slice_sub(s, run, s.len);
    }
    return status;
}

static enum fb_status run_iconv(struct converter *c, struct fb_slice s, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    char *in = (char *)(uintptr_t)s.ptr; /* iconv's prototype; it does not write there */
    size_t left = s.len;
    (void)iconv(c->cd, NULL, NULL, NULL, NULL);
    while (left > 0 && status == FB_OK) {
        char chunk[4096];
        char *to = chunk;
        size_t room = sizeof chunk;
        size_t rc = iconv(c->cd, &in, &left, &to, &room);
        int failed = rc == (size_t)-1 ? errno : 0;
        struct fb_slice got = fb_slice_of(chunk, sizeof chunk - room);
        status = clean_utf8(got, out); /* NULs go; glibc's output is valid otherwise */
        if (status == FB_OK && failed != 0 && failed != E2BIG) {
            status = fb_buf_add_str(out, "\xEF\xBF\xBD");
            in++;
            left--;
        }
    }
    return status;
}

/* HZ (RFC 1843): "~{" and "~}" switch, "~~" is a tilde, "~\n" nothing. */
static enum fb_status from_hz(struct fb_slice s, struct fb_buf *out)
{
    struct fb_buf gb = {0};
    enum fb_status status = FB_OK;
    bool is_double = false;
    fb_buf_init(&gb, s.len + 1);
    for (size_t i = 0; i < s.len && status == FB_OK; i++) {
        uint8_t c = s.ptr[i];
        uint8_t d = i + 1 < s.len ? s.ptr[i + 1] : 0;
        if (c == '~' && (d == '{' || d == '}' || d == '~' || d == '\n')) {
            is_double = d == '{' || (is_double && d != '}');
            status = d == '~' ? fb_buf_add_char(&gb, '~') : FB_OK;
            i++;
        } else if (is_double && c > 0x20 && c < 0x7F && d > 0x20 && d < 0x7F) {
            uint8_t pair[2] = {(uint8_t)(c | 0x80), (uint8_t)(d | 0x80)};
            status = fb_buf_add(&gb, pair, 2);
            i++;
        } else {
            status = fb_buf_add(&gb, &c, 1);
        }
    }
    if (status == FB_OK) {
        status = render_charset_to_utf8(fb_slice_buf(&gb), "gb18030", out);
    }
    fb_buf_deinit(&gb);
    return status;
}

enum fb_status render_charset_iconv(struct fb_slice s, const char *name, struct fb_buf *out)
{
    struct converter *c = find_converter(name);
    return c != NULL ? run_iconv(c, s, out) : clean_utf8(s, out);
}

static bool is_utf16_marked(struct fb_slice s)
{
    return s.len >= 2 &&
           ((s.ptr[0] == 0xFF && s.ptr[1] == 0xFE) || (s.ptr[0] == 0xFE && s.ptr[1] == 0xFF));
}

/* Without a mark UTF-16 is big-endian (RFC 2781 4.3), but Windows mailers leave the mark out of
 * little-endian text.  Latin letters, spaces and line ends tell: one half of them is 0. */
static const char *utf16_order(struct fb_slice s)
{
    size_t little = 0;
    size_t big = 0;
    for (size_t i = 0; i + 1 < s.len; i += 2) {
        little += s.ptr[i] != 0 && s.ptr[i + 1] == 0;
        big += s.ptr[i] == 0 && s.ptr[i + 1] != 0;
    }
    return little > big ? "UTF-16LE" : "UTF-16BE";
}

static bool has_8bit(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 0x80) {
            return true;
        }
    }
    return false;
}

/* Text that says it is in another multi-byte charset and is clearly UTF-8: some web mailers label
 * by locale.  Short runs can be valid by chance (the two characters of "Unicom" in GB2312 are), so
 * three-byte forms are asked for. */
static bool is_surely_utf8(struct fb_slice s)
{
    size_t wide = 0;
    if (!has_8bit(s)) {
        return false;
    }
    while (s.len > 0) {
        uint32_t cp = 0;
        size_t n = render_utf8_next(s, &cp);
        if (n == 0) {
            return false;
        }
        wide += n >= 3;
        s = fb_slice_sub(s, n, s.len);
    }
    return wide >= 4;
}

/* What to read the bytes as: the name that came with them, unless the bytes tell better. */
static const char *decide(const char *as, struct fb_slice bytes)
{
    static const char *const multi_byte[] = {"CP932", "EUC", "GB18030", "BIG5-HKSCS", "UHC"};
    if (as == NULL || as[0] == '\0') {
        return resolve(render_charset_guess(bytes));
    }
    /* Western names are what mailers write who do not know. */
    if (strcmp(as, "CP1252") == 0 && render_charset_has_jis_escape(bytes)) {
        return "JIS";
    }
    /* 8-bit text without any escape under the name of ISO-2022-JP is EUC-JP, Shift_JIS or UTF-8. */
    if (strcmp(as, "JIS") == 0 && has_8bit(bytes) &&
        fb_slice_find(bytes, FB_SLICE_LITERAL("\033$")) == SIZE_MAX &&
        fb_slice_find(bytes, FB_SLICE_LITERAL("\033(I")) == SIZE_MAX) {
        const char *guess = resolve(render_charset_guess(bytes));
        return guess == NULL || strcmp(guess, "CP1252") == 0 ? as : guess;
    }
    for (size_t i = 0; i < sizeof multi_byte / sizeof multi_byte[0]; i++) {
        if (strcmp(as, multi_byte[i]) == 0 && is_surely_utf8(bytes)) {
            return "UTF-8";
        }
    }
    return as;
}

enum fb_status render_charset_to_utf8(struct fb_slice bytes, const char *charset,
                                      struct fb_buf *out)
{
    size_t before = out->len;
    const char *as = decide(resolve(charset), bytes);
    enum fb_status status = FB_OK;
    if (as != NULL && strcmp(as, "UTF-16") == 0 && !is_utf16_marked(bytes)) {
        as = utf16_order(bytes);
    }
    if (as == NULL || strcmp(as, "UTF-8") == 0) {
        status = clean_utf8(bytes, out);
    } else if (strcmp(as, "JIS") == 0) {
        status = render_charset_from_jis(bytes, out);
    } else if (strcmp(as, "EUC") == 0) {
        status = render_charset_from_euc(bytes, out);
    } else if (strcmp(as, "HZ") == 0) {
        status = from_hz(bytes, out);
    } else {
        status = render_charset_iconv(bytes, as, out);
    }
    bool is_unicode = as == NULL || strncmp(as, "UTF-", 4) == 0;
    status = status == FB_OK ? render_carrier_replace(out, before, is_unicode) : status;
    if (status != FB_OK) {
        out->len = before;
        if (out->ptr != NULL) {
            out->ptr[before] = '\0';
        }
    }
    return status;
}
