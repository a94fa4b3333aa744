/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/language.h"

#include <string.h>

#include "services/render/charset.h"

#define SAMPLE_BYTES    65536
#define ENGLISH_LETTERS 20 /* fewer are a name or a product */

struct letters {
    size_t kana, kanji, ascii, other;
};

static void count(struct fb_slice s, struct letters *l)
{
    s = fb_slice_sub(s, 0, SAMPLE_BYTES);
    while (s.len > 0) {
        uint32_t cp = 0;
        size_t n = render_utf8_next(s, &cp);
        n = n > 0 ? n : 1;
        uint32_t low = cp | 0x20;
        if ((cp >= 0x3041 && cp <= 0x30FE && cp != 0x30FB) || (cp >= 0xFF66 && cp <= 0xFF9D)) {
            l->kana++;
        } else if (cp >= 0x4E00 && cp <= 0x9FFF) {
            l->kanji++;
        } else if (low >= 'a' && low <= 'z' && cp < 0x80) {
            l->ascii++;
        } else if (cp >= 0xC0 && cp < 0x2000 && cp != 0xD7 && cp != 0xF7) {
            l->other++;
        } else if (cp >= 0xAC00 && cp <= 0xD7A3) {
            l->other++;
        }
        s = fb_slice_sub(s, n, s.len);
    }
}

const char *render_language(struct fb_slice subject, struct fb_slice body)
{
    struct letters l = {0};
    count(subject, &l);
    count(body, &l);
    size_t all = l.kana + l.kanji + l.ascii + l.other;
    /* A Japanese mail may quote a long English one: a tenth of it in Japanese is enough. */
    if (l.kana > 0 && (l.kana + l.kanji) * 10 >= all) {
        return "ja";
    }
    if (l.kana == 0 && l.kanji == 0 && l.ascii >= ENGLISH_LETTERS && l.other * 50 <= l.ascii) {
        return "en";
    }
    return "both";
}

bool render_language_is_japanese(const char *language, struct fb_slice subject,
                                 struct fb_slice body, bool has_japanese_charset)
{
    if (strcmp(language, "both") != 0) {
        return strcmp(language, "ja") == 0;
    }
    struct letters l = {0};
    count(subject, &l);
    count(body, &l);
    return l.kana > 0 || has_japanese_charset;
}
