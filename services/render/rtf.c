/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the RTF with a bounded stack of groups.
 */
#include "services/render/rtf.h"

#include <stdlib.h>
#include <string.h>

#include "services/render/charset.h"

#define DICTIONARY_SIZE 4096
#define GROUPS_MAX      256
#define FONTS_MAX       512

static const char dictionary_start[] = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{"
                                       "\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
                                       "\\fdecor MS Sans SerifSymbolArialTimes New "
                                       "RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
                                       "\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum fb_status decompress_lz(struct fb_slice in, struct fb_buf *out)
{
    uint8_t dictionary[DICTIONARY_SIZE] = {0};
    size_t at = sizeof dictionary_start - 1;
    memcpy(dictionary, dictionary_start, at);
    enum fb_status status = FB_OK;
    size_t i = 0;
    while (i < in.len && status == FB_OK) {
        uint8_t control = in.ptr[i++];
        for (int bit = 0; bit < 8 && i < in.len && status == FB_OK; bit++) {
            if ((control >> bit & 1) == 0) {
                dictionary[at] = in.ptr[i];
                at = (at + 1) % DICTIONARY_SIZE;
                status = fb_buf_add(out, in.ptr + i++, 1);
                continue;
            }
            if (in.len - i < 2) {
                return FB_OK; /* cut off: what came so far is text */
            }
            size_t from = (size_t)in.ptr[i] << 4 | in.ptr[i + 1] >> 4;
            size_t len = (in.ptr[i + 1] & 15U) + 2U;
            i += 2;
            if (from == at) {
                return FB_OK; /* the end mark */
            }
            for (size_t k = 0; k < len && status == FB_OK; k++) {
                uint8_t c = dictionary[(from + k) % DICTIONARY_SIZE];
                dictionary[at] = c;
                at = (at + 1) % DICTIONARY_SIZE;
                status = fb_buf_add(out, &c, 1);
            }
        }
    }
    return status;
}

enum fb_status rtf_decompress(struct fb_slice in, struct fb_buf *out)
{
    if (in.len < 16) {
        return FB_INVALID;
    }
    uint32_t kind = le32(in.ptr + 8);
    struct fb_slice data = fb_slice_sub(in, 16, in.len);
    if (kind == 0x414C454DU) { /* "MELA": not compressed */
        return fb_buf_add_slice(out, fb_slice_sub(data, 0, le32(in.ptr + 4)));
    }
    return kind == 0x75465A4CU ? decompress_lz(data, out) : FB_INVALID; /* "LZFu" */
}

struct group {
    bool is_skipped;  /* a destination that is not text */
    bool is_html_tag; /* {\*\htmltag: its text is HTML */
    bool is_font_table;
    unsigned unicode_skip; /* \uc */
    unsigned font;
};

struct rtf {
    struct fb_slice s;
    struct fb_buf *out;
    struct fb_buf bytes; /* 8-bit text that waits for its charset */
    struct group groups[GROUPS_MAX];
    size_t depth;
    size_t too_deep;       /* groups beyond the stack: skipped */
    bool is_html, is_text; /* encapsulated */
    bool is_htmlrtf;       /* between \htmlrtf and \htmlrtf0: for RTF readers only */
    bool is_star;
    unsigned codepage;
    unsigned skip; /* characters that stand for the last \u */
    uint32_t surrogate;
    uint8_t font_charset[FONTS_MAX];
};

static const char *charset_of(const struct rtf *r)
{
    static const struct {
        uint8_t font;
        const char *charset;
    } fonts[] = {{128, "cp932"},        {129, "cp949"},        {134, "gbk"},
                 {136, "big5"},         {161, "cp1253"},       {162, "windows-1254"},
                 {177, "windows-1255"}, {178, "windows-1256"}, {186, "cp1257"},
                 {204, "windows-1251"}, {222, "cp874"},        {238, "windows-1250"}};
    unsigned font = r->groups[r->depth].font;
    uint8_t f = font < FONTS_MAX ? r->font_charset[font] : 0;
    for (size_t i = 0; i < sizeof fonts / sizeof fonts[0]; i++) {
        if (f == fonts[i].font) {
            return fonts[i].charset;
        }
    }
    switch (r->codepage) {
    case 932:
        return "cp932";
    case 936:
        return "gbk";
    case 949:
        return "cp949";
    case 950:
        return "big5";
    case 1250:
        return "windows-1250";
    case 1251:
        return "windows-1251";
    default:
        return "windows-1252";
    }
}

static enum fb_status flush(struct rtf *r)
{
    enum fb_status status =
        r->bytes.len > 0 ? render_charset_to_utf8(fb_slice_buf(&r->bytes), charset_of(r), r->out)
                         : FB_OK;
    fb_buf_clear(&r->bytes);
    return status;
}

static bool is_shown(const struct rtf *r)
{
    const struct group *g = &r->groups[r->depth];
    return r->too_deep == 0 && !g->is_skipped && !g->is_font_table &&
           (!r->is_htmlrtf || g->is_html_tag);
}

static enum fb_status put_byte(struct rtf *r, uint8_t c)
{
    if (r->skip > 0) {
        r->skip--;
        return FB_OK;
    }
    if (!is_shown(r)) {
        return FB_OK;
    }
    enum fb_status status = r->bytes.len > 4096 && c < 0x80 ? flush(r) : FB_OK;
    return status == FB_OK ? fb_buf_add(&r->bytes, &c, 1) : status;
}

static enum fb_status put_text(struct rtf *r, const char *text)
{
    enum fb_status status = is_shown(r) ? flush(r) : FB_OK;
    return status == FB_OK && is_shown(r) ? fb_buf_add_str(r->out, text) : status;
}

static enum fb_status put_unicode(struct rtf *r, int value)
{
    uint32_t unit = (uint32_t)(value < 0 ? value + 65536 : value) & 0xFFFF;
    uint32_t cp = unit;
    r->skip = r->groups[r->depth].unicode_skip;
    if (!is_shown(r)) {
        return FB_OK;
    }
    if (unit >= 0xD800 && unit < 0xDC00) {
        r->surrogate = unit;
        return FB_OK;
    }
    if (unit >= 0xDC00 && unit < 0xE000) {
        cp = r->surrogate != 0 ? 0x10000 + ((r->surrogate - 0xD800) << 10) + (unit - 0xDC00)
                               : 0xFFFD;
    }
    r->surrogate = 0;
    uint8_t utf8[4];
    enum fb_status status = flush(r);
    return status == FB_OK && cp != 0 ? fb_buf_add(r->out, utf8, render_utf8_put(cp, utf8))
                                      : status;
}

static bool is_word(struct fb_slice w, const char *name)
{
    return fb_slice_eq_str(w, name);
}

static bool is_hidden_destination(struct fb_slice w)
{
    static const char *const names[] = {"colortbl",
                                        "stylesheet",
                                        "info",
                                        "pict",
                                        "object",
                                        "header",
                                        "footer",
                                        "footnote",
                                        "fldinst",
                                        "themedata",
                                        "colorschememapping",
                                        "datastore",
                                        "latentstyles",
                                        "generator",
                                        "listtable",
                                        "listoverridetable"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_word(w, names[i])) {
            return true;
        }
    }
    return false;
}

static enum fb_status paragraph_word(struct rtf *r, struct fb_slice w)
{
    /* Inside of encapsulated HTML line ends are only for the eye; the tags say what they mean. */
    if (is_word(w, "par") || is_word(w, "line")) {
        return put_text(r, "\n");
    }
    if (is_word(w, "tab")) {
        return put_text(r, "\t");
    }
    if (is_word(w, "lquote")) {
        return put_text(r, "\xE2\x80\x98");
    }
    if (is_word(w, "rquote")) {
        return put_text(r, "\xE2\x80\x99");
    }
    if (is_word(w, "ldblquote")) {
        return put_text(r, "\xE2\x80\x9C");
    }
    if (is_word(w, "rdblquote")) {
        return put_text(r, "\xE2\x80\x9D");
    }
    if (is_word(w, "bullet")) {
        return put_text(r, "\xE2\x80\xA2");
    }
    if (is_word(w, "endash")) {
        return put_text(r, "\xE2\x80\x93");
    }
    return is_word(w, "emdash") ? put_text(r, "\xE2\x80\x94") : FB_OK;
}

static enum fb_status control_word(struct rtf *r, struct fb_slice w, int value, bool has_value)
{
    struct group *g = &r->groups[r->depth];
    bool was_star = r->is_star;
    r->is_star = false;
    if (is_word(w, "fromhtml")) {
        r->is_html = true;
    } else if (is_word(w, "fromtext")) {
        r->is_text = true;
    } else if (is_word(w, "htmlrtf")) {
        enum fb_status status = flush(r);
        r->is_htmlrtf = r->is_html && (!has_value || value != 0);
        return status;
    } else if (is_word(w, "htmltag") || is_word(w, "mhtmltag")) {
        g->is_html_tag = w.ptr[0] == 'h';
        g->is_skipped = g->is_skipped || !r->is_html || w.ptr[0] == 'm';
    } else if (is_word(w, "ansicpg")) {
        r->codepage = value > 0 ? (unsigned)value : r->codepage;
    } else if (is_word(w, "fonttbl")) {
        g->is_font_table = true;
    } else if (is_word(w, "f")) {
        enum fb_status status = flush(r);
        g->font = value >= 0 ? (unsigned)value : 0;
        return status;
    } else if (is_word(w, "fcharset")) {
        if (g->is_font_table && g->font < FONTS_MAX && value >= 0 && value < 256) {
            r->font_charset[g->font] = (uint8_t)value;
        }
    } else if (is_word(w, "uc")) {
        g->unicode_skip = value >= 0 && value < 16 ? (unsigned)value : 1;
    } else if (is_word(w, "u")) {
        return put_unicode(r, value);
    } else if (was_star || is_hidden_destination(w)) {
        g->is_skipped = true;
    } else {
        return paragraph_word(r, w);
    }
    return FB_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A control word with its number: "\u-3913 "; returns the bytes used. */
static enum fb_status read_word(struct rtf *r, size_t *used_r)
{
    struct fb_slice s = r->s;
    size_t n = 1;
    while (n < s.len && n < 33 && s.ptr[n] >= 'a' && s.ptr[n] <= 'z') {
        n++;
    }
    struct fb_slice word = fb_slice_sub(s, 1, n - 1);
    bool is_negative = n < s.len && s.ptr[n] == '-';
    size_t from = n + (is_negative ? 1 : 0);
    size_t i = from;
    int value = 0;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') {
        value = i - from < 8 ? value * 10 + (s.ptr[i] - '0') : value;
        i++;
    }
    bool has_value = i > from;
    n = has_value ? i : n;
    *used_r = n < s.len && s.ptr[n] == ' ' ? n + 1 : n;
    if (is_word(word, "bin") && value > 0) {
        *used_r = (size_t)value < s.len - *used_r ? *used_r + (size_t)value : s.len;
        return FB_OK;
    }
    return control_word(r, word, is_negative ? -value : value, has_value);
}

static enum fb_status read_control(struct rtf *r, size_t *used_r)
{
    uint8_t c = r->s.len > 1 ? r->s.ptr[1] : 0;
    *used_r = 2;
    if (c >= 'a' && c <= 'z') {
        return read_word(r, used_r);
    }
    switch (c) {
    case '\'': {
        int high = r->s.len > 3 ? hex_digit(r->s.ptr[2]) : -1;
        int low = r->s.len > 3 ? hex_digit(r->s.ptr[3]) : -1;
        *used_r = high >= 0 && low >= 0 ? 4 : 2;
        return high >= 0 && low >= 0 ? put_byte(r, (uint8_t)(high << 4 | low)) : FB_OK;
    }
    case '*':
        r->is_star = true;
        return FB_OK;
    case '~':
        return put_text(r, r->is_html ? "&nbsp;" : "\xC2\xA0");
    case '_':
        return put_byte(r, '-');
    case '\\':
    case '{':
    case '}':
        return put_byte(r, c);
    case '\r':
    case '\n':
        return put_text(r, "\n");
    default:
        return FB_OK;
    }
}

static enum fb_status begin_group(struct rtf *r)
{
    if (r->too_deep > 0 || r->depth + 1 == GROUPS_MAX) {
        r->too_deep++;
        return FB_OK;
    }
    enum fb_status status = flush(r);
    r->groups[r->depth + 1] = r->groups[r->depth];
    r->groups[r->depth + 1].is_html_tag = false;
    r->depth++;
    r->skip = 0;
    return status;
}

static enum fb_status end_group(struct rtf *r)
{
    if (r->too_deep > 0) {
        r->too_deep--;
        return FB_OK;
    }
    enum fb_status status = flush(r);
    r->depth -= r->depth > 0;
    r->skip = 0;
    return status;
}

enum fb_status rtf_to_body(struct fb_slice rtf, struct fb_buf *out, bool *is_html_r)
{
    struct rtf *r = fb_xcalloc(1, sizeof *r);
    enum fb_status status = FB_OK;
    r->s = rtf;
    r->out = out;
    r->codepage = 1252;
    r->groups[0].unicode_skip = 1;
    fb_buf_init(&r->bytes, rtf.len + 1);
    while (r->s.len > 0 && status == FB_OK) {
        size_t used = 1;
        switch (r->s.ptr[0]) {
        case '{':
            status = begin_group(r);
            break;
        case '}':
            status = end_group(r);
            break;
        case '\\':
            status = read_control(r, &used);
            break;
        case '\r':
        case '\n':
        case '\0':
            break;
        default:
            status = put_byte(r, r->s.ptr[0]);
            break;
        }
        r->s = fb_slice_sub(r->s, used, r->s.len);
    }
    if (status == FB_OK) {
        status = flush(r);
    }
    *is_html_r = r->is_html;
    fb_buf_deinit(&r->bytes);
    free(r);
    return status;
}
