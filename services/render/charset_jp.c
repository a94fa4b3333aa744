/* SPDX-License-Identifier: Apache-2.0
 *
 * glibc has no CP50221: its ISO-2022-JP refuses NEC row 13 and half-width kana, its EUC-JP-MS reads
 * rows 89 to 92 as private characters.  Both are turned into Shift_JIS here, which CP932 reads
 * completely; only JIS X 0212, which Shift_JIS cannot hold, goes through EUC-JP-MS.  (JIS X
 * 0208:1997 annex 1 and 2; RFC 1468.)
 */
#include "services/render/charset_jp.h"

#include <string.h>

struct jp {
    struct fb_buf sjis; /* text so far in one set */
    struct fb_buf euc;  /* JIS X 0212 so far; only one of the two holds bytes */
    struct fb_buf *out;
};

static enum fb_status flush(struct jp *j)
{
    enum fb_status status = render_charset_iconv(fb_slice_buf(&j->sjis), "CP932", j->out);
    if (status == FB_OK) {
        status = render_charset_iconv(fb_slice_buf(&j->euc), "EUC-JP-MS", j->out);
    }
    fb_buf_clear(&j->sjis);
    fb_buf_clear(&j->euc);
    return status;
}

static enum fb_status put_sjis(struct jp *j, const uint8_t *bytes, size_t len)
{
    enum fb_status status = j->euc.len > 0 || j->sjis.len > 8192 ? flush(j) : FB_OK;
    return status == FB_OK ? fb_buf_add(&j->sjis, bytes, len) : status;
}

static enum fb_status put_unreadable(struct jp *j)
{
    enum fb_status status = flush(j);
    return status == FB_OK ? fb_buf_add_str(j->out, "\xEF\xBF\xBD") : status;
}

static enum fb_status put_0208(struct jp *j, uint8_t row, uint8_t cell)
{
    if (row > 0x7C) {
        return put_unreadable(j); /* CP932 would tear the pair apart */
    }
    uint8_t high = (uint8_t)(((row - 0x21) >> 1) + 0x81);
    uint8_t low =
        (row & 1) != 0 ? (uint8_t)(cell + (cell < 0x60 ? 0x1F : 0x20)) : (uint8_t)(cell + 0x7E);
    high = (uint8_t)(high > 0x9F ? high + 0x40 : high);
    high =
        (uint8_t)(high == 0xEB || high == 0xEC ? high + 0x0B : high); /* emoji of au: carrier.h */
    uint8_t pair[2] = {high, low};
    return put_sjis(j, pair, 2);
}

static enum fb_status put_0212(struct jp *j, uint8_t row, uint8_t cell)
{
    uint8_t triple[3] = {0x8F, (uint8_t)(row | 0x80), (uint8_t)(cell | 0x80)};
    enum fb_status status = j->sjis.len > 0 || j->euc.len > 8192 ? flush(j) : FB_OK;
    return status == FB_OK ? fb_buf_add(&j->euc, triple, 3) : status;
}

enum jis_set { SET_ASCII, SET_KANA, SET_0208, SET_0212 };

static const struct {
    const char *escape;
    enum jis_set set;
} escapes[] = {
    {"\033$(D", SET_0212}, {"\033$(B", SET_0208}, {"\033$(@", SET_0208}, {"\033$(O", SET_0208},
    {"\033$(Q", SET_0208}, {"\033$(P", SET_0212}, {"\033$B", SET_0208},  {"\033$@", SET_0208},
    {"\033(B", SET_ASCII}, {"\033(J", SET_ASCII}, {"\033(H", SET_ASCII}, {"\033(I", SET_KANA},
    {"\033&@", SET_0208},
};

/* Length of the escape at the start of s and the set it chooses; 0 for none. */
static size_t read_escape(struct fb_slice s, enum jis_set *set_r)
{
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        size_t n = strlen(escapes[i].escape);
        if (s.len >= n && memcmp(s.ptr, escapes[i].escape, n) == 0) {
            *set_r = escapes[i].set;
            return n;
        }
    }
    return 0;
}

bool render_charset_has_jis_escape(struct fb_slice s)
{
    bool has_escape = false;
    for (size_t i = 0; i < s.len; i++) {
        enum jis_set set = SET_ASCII;
        if (s.ptr[i] >= 0x80) {
            return false;
        }
        has_escape =
            has_escape ||
            (s.ptr[i] == 0x1B && read_escape(fb_slice_sub(s, i, 4), &set) > 0 && set != SET_ASCII);
    }
    return has_escape;
}

/* One unit of a text in the given set; *used_r bytes are consumed. */
static enum fb_status jis_unit(struct jp *j, struct fb_slice s, enum jis_set set, size_t *used_r)
{
    uint8_t c = s.ptr[0];
    uint8_t d = s.len > 1 ? s.ptr[1] : 0;
    *used_r = 1;
    bool is_pair = c > 0x20 && c < 0x7F && d > 0x20 && d < 0x7F;
    if (c <= 0x20 || c == 0x7F || (c >= 0xA1 && c <= 0xDF)) {
        return put_sjis(j, &c,
                        1); /* controls and blanks count in every set; raw 8-bit kana as well */
    }
    if (c >= 0x80) {
        return put_unreadable(j);
    }
    if (set == SET_ASCII) {
        return put_sjis(j, &c, 1);
    }
    if (set == SET_KANA) {
        uint8_t kana = (uint8_t)(c | 0x80);
        return c < 0x60 ? put_sjis(j, &kana, 1) : put_unreadable(j);
    }
    if (!is_pair) {
        return put_unreadable(j);
    }
    *used_r = 2;
    return set == SET_0208 ? put_0208(j, c, d) : put_0212(j, c, d);
}

static void jp_init(struct jp *j, size_t max, struct fb_buf *out)
{
    fb_buf_init(&j->sjis, max);
    fb_buf_init(&j->euc, max);
    j->out = out;
}

static void jp_deinit(struct jp *j)
{
    fb_buf_deinit(&j->sjis);
    fb_buf_deinit(&j->euc);
}

enum fb_status render_charset_from_jis(struct fb_slice s, struct fb_buf *out)
{
    struct jp j;
    enum fb_status status = FB_OK;
    enum jis_set set = SET_ASCII;
    enum jis_set before_shift = SET_ASCII;
    jp_init(&j, 16384, out);
    while (s.len > 0 && status == FB_OK) {
        size_t used = 0;
        if (s.ptr[0] == 0x1B) {
            used = read_escape(fb_slice_sub(s, 0, 4), &set);
        } else if (s.ptr[0] == 0x0E) { /* SO, SI: half-width kana of the oldest mailers */
            before_shift = set;
            set = SET_KANA;
            used = 1;
        } else if (s.ptr[0] == 0x0F) {
            set = before_shift;
            used = 1;
        }
        if (used == 0) {
            status = jis_unit(&j, s, set, &used);
        }
        s = fb_slice_sub(s, used, s.len);
    }
    if (status == FB_OK) {
        status = flush(&j);
    }
    jp_deinit(&j);
    return status;
}

enum fb_status render_charset_from_euc(struct fb_slice s, struct fb_buf *out)
{
    struct jp j;
    enum fb_status status = FB_OK;
    jp_init(&j, 16384, out);
    while (s.len > 0 && status == FB_OK) {
        uint8_t c = s.ptr[0];
        uint8_t d = s.len > 1 ? s.ptr[1] : 0;
        uint8_t e = s.len > 2 ? s.ptr[2] : 0;
        size_t used = 1;
        if (c < 0x80) {
            status = put_sjis(&j, &c, 1);
        } else if (c == 0x8E && d >= 0xA1 && d <= 0xDF) {
            status = put_sjis(&j, &d, 1);
            used = 2;
        } else if (c == 0x8F && d >= 0xA1 && d < 0xFF && e >= 0xA1 && e < 0xFF) {
            status = put_0212(&j, d & 0x7F, e & 0x7F);
            used = 3;
        } else if (c >= 0xA1 && c < 0xFF && d >= 0xA1 && d < 0xFF) {
            status = put_0208(&j, c & 0x7F, d & 0x7F);
            used = 2;
        } else {
            status = put_unreadable(&j);
        }
        s = fb_slice_sub(s, used, s.len);
    }
    if (status == FB_OK) {
        status = flush(&j);
    }
    jp_deinit(&j);
    return status;
}
