/* SPDX-License-Identifier: Apache-2.0
 *
 * Which charset do bytes look like that come without a name?  Called by charset.c for bodies and by
 * words.c for raw 8-bit header text, which Japanese mailers still write.
 */
#include "services/render/charset.h"
#include "services/render/charset_jp.h"

/* Points for one Shift_JIS pair: kana and common kanji tell most, rare kanji with an ASCII second
 * byte are more often an accented Western letter in front of a plain one. */
static int sjis_points(uint8_t c, uint8_t d)
{
    if (c == 0x82 && d >= 0x9F && d <= 0xF1) {
        return 3;
    }
    if (c == 0x83 && d >= 0x40 && d <= 0x96) {
        return 3;
    }
    if (c >= 0x88 && c <= 0x98) {
        return 2;
    }
    if (c == 0x81 || c == 0x82) {
        return 1;
    }
    return (d >= 'A' && d <= 'Z') || (d >= 'a' && d <= 'z') ? -2 : 0;
}

/* Sum of points, or -1 when the bytes are no Shift_JIS. */
static long score_sjis(struct fb_slice s)
{
    long points = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c < 0x80) {
            continue;
        }
        if (c >= 0xA1 && c <= 0xDF) {
            points -= 1; /* half-width kana are rare, and half of EUC-JP looks like them */
            continue;
        }
        uint8_t d = i + 1 < s.len ? s.ptr[i + 1] : 0;
        bool is_pair = c != 0x80 && c != 0xA0 && c <= 0xFC && d >= 0x40 && d != 0x7F && d <= 0xFC;
        if (!is_pair) {
            return -1;
        }
        points += sjis_points(c, d);
        i++;
    }
    return points;
}

static int euc_points(uint8_t c)
{
    if (c == 0xA4 || c == 0xA5) {
        return 3;
    }
    return c >= 0xB0 && c <= 0xCF ? 2 : c == 0xA1 || c == 0xA3 ? 1 : 0;
}

static long score_euc(struct fb_slice s)
{
    long points = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c < 0x80) {
            continue;
        }
        size_t extra = c == 0x8F ? 2 : 1;
        if ((c != 0x8E && c != 0x8F && c < 0xA1) || c == 0xFF || s.len - i <= extra) {
            return -1;
        }
        for (size_t k = 1; k <= extra; k++) {
            if (s.ptr[i + k] < 0xA1 || s.ptr[i + k] == 0xFF) {
                return -1;
            }
        }
        points += euc_points(c);
        i += extra;
    }
    return points;
}

/* Half-width kana alone, as in a file name of the nineties: only then the minus points are
 * forgiven. */
static bool is_all_kana(struct fb_slice s)
{
    size_t kana = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 0x80 && (s.ptr[i] < 0xA1 || s.ptr[i] > 0xDF)) {
            return false;
        }
        kana += s.ptr[i] >= 0x80;
    }
    return kana >= 3 && kana * 2 > s.len;
}

const char *render_charset_guess(struct fb_slice bytes)
{
    if (render_charset_has_jis_escape(bytes)) {
        return "iso-2022-jp";
    }
    if (render_utf8_is_valid(bytes)) {
        return "utf-8";
    }
    if (bytes.len >= 2 && ((bytes.ptr[0] == 0xFF && bytes.ptr[1] == 0xFE) ||
                           (bytes.ptr[0] == 0xFE && bytes.ptr[1] == 0xFF))) {
        return "utf-16";
    }
    long sjis = score_sjis(bytes);
    long euc = score_euc(bytes);
    if (euc > 0 && euc >= sjis) {
        return "euc-jp";
    }
    if (sjis > 0 || (sjis < 0 && euc < 0 && is_all_kana(bytes))) {
        return "shift_jis";
    }
    return "windows-1252";
}
