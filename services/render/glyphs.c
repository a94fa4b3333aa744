/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/glyphs.h"

#include "services/render/charset.h"

#define PAGE_CHARS 256
#define MAX_DEPTH  1000 /* of a prepared document: see RENDER_HTML_DEPTH */

/* A bit a character; pages that no font touches take no memory. */
static FcChar32 known[0x110000 / PAGE_CHARS][FC_CHARSET_MAP_SIZE];
static bool is_learnt;

/* Blocks that mails have and fonts lack, in order (Unicode's Blocks.txt); what lies between two of them
 * is the last row. */
static const struct block {
    uint32_t first, last;
    const char *name;
} blocks[] = {
    {0x0000, 0x024F, "Latin"},
    {0x0250, 0x036F, "IPA, Modifiers and Combining Marks"},
    {0x0370, 0x052F, "Greek and Cyrillic"},
    {0x0530, 0x08FF, "Armenian, Hebrew, Arabic and Syriac"},
    {0x0900, 0x0DFF, "Indic Scripts"},
    {0x0E00, 0x0FFF, "Thai, Lao and Tibetan"},
    {0x1000, 0x10FF, "Myanmar and Georgian"},
    {0x1100, 0x11FF, "Hangul Jamo"},
    {0x1200, 0x1DBF, "Scripts of Africa, America and South East Asia"},
    {0x1DC0, 0x1FFF, "Combining Marks, Latin and Greek Extended"},
    {0x2000, 0x20CF, "General Punctuation and Currency Symbols"},
    {0x20D0, 0x20FF, "Combining Diacritical Marks for Symbols"},
    {0x2100, 0x23FF, "Letterlike, Arrows, Mathematical and Technical"},
    {0x2400, 0x24FF, "Control Pictures and Enclosed Alphanumerics"},
    {0x2500, 0x25FF, "Box Drawing, Block Elements and Geometric Shapes"},
    {0x2600, 0x27BF, "Miscellaneous Symbols and Dingbats"},
    {0x27C0, 0x2BFF, "Supplemental Arrows and Mathematical Operators, Braille"},
    {0x2E80, 0x2FDF, "CJK and Kangxi Radicals"},
    {0x2FF0, 0x2FFF, "Ideographic Description Characters"},
    {0x3000, 0x303F, "CJK Symbols and Punctuation"},
    {0x3040, 0x30FF, "Hiragana and Katakana"},
    {0x3100, 0x312F, "Bopomofo"},
    {0x3130, 0x318F, "Hangul Compatibility Jamo"},
    {0x3190, 0x33FF, "Kanbun, CJK Strokes, Enclosed CJK and CJK Compatibility"},
    {0x3400, 0x4DBF, "CJK Unified Ideographs Extension A"},
    {0x4E00, 0x9FFF, "CJK Unified Ideographs"},
    {0xA000, 0xA4CF, "Yi"},
    {0xA960, 0xA97F, "Hangul Jamo Extended-A"},
    {0xAC00, 0xD7FF, "Hangul Syllables"},
    {0xE000, 0xF8FF, "Private Use Area"},
    {0xF900, 0xFAFF, "CJK Compatibility Ideographs"},
    {0xFB00, 0xFDFF, "Alphabetic and Arabic Presentation Forms"},
    {0xFE10, 0xFE4F, "Vertical Forms and CJK Compatibility Forms"},
    {0xFE50, 0xFFEF, "Small, Half-width and Full-width Forms"},
    {0xFFF0, 0xFFFF, "Specials"},
    {0x10000, 0x16FDF, "Historic and Minority Scripts"},
    {0x16FE0, 0x18DFF, "Tangut and Khitan"},
    {0x1AFF0, 0x1B16F, "Kana Supplement and Extended"},
    {0x1B170, 0x1CFFF, "Nushu and Other Scripts"},
    {0x1D000, 0x1D7FF, "Musical and Mathematical Symbols"},
    {0x1F000, 0x1F0FF, "Mahjong Tiles, Domino Tiles and Playing Cards"},
    {0x1F100, 0x1F2FF, "Enclosed Alphanumeric and Ideographic Supplement"},
    {0x1F300, 0x1FAFF, "Emoji and Pictographs"},
    {0x1FB00, 0x1FBFF, "Symbols for Legacy Computing"},
    {0x20000, 0x2A6DF, "CJK Unified Ideographs Extension B"},
    {0x2A6E0, 0x2EE5F, "CJK Unified Ideographs Extensions C to F, I"},
    {0x2F800, 0x2FA1F, "CJK Compatibility Ideographs Supplement"},
    {0x30000, 0x323AF, "CJK Unified Ideographs Extensions G and H"},
    {0xF0000, 0x10FFFF, "Supplementary Private Use Areas"},
    {0, 0x10FFFF, "Other"},
};
#define BLOCK_COUNT (sizeof blocks / sizeof blocks[0])

/* No shape of their own: blanks, and default ignorable characters (DerivedCoreProperties.txt). */
static const struct {
    uint32_t first, last;
} shapeless[] = {
    {0x0000, 0x0020},   {0x007F, 0x00A0}, {0x00AD, 0x00AD}, {0x034F, 0x034F},   {0x061C, 0x061C},
    {0x115F, 0x1160},   {0x1680, 0x1680}, {0x17B4, 0x17B5}, {0x180B, 0x180F},   {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x206F}, {0x3000, 0x3000}, {0x3164, 0x3164},   {0xFE00, 0xFE0F},
    {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFC}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
    {0xE0000, 0xE0FFF},
};

void render_glyphs_learn(FcConfig *config)
{
    FcFontSet *set = FcConfigGetFonts(config, FcSetSystem);
    for (int i = 0; set != NULL && i < set->nfont; i++) {
        FcCharSet *has = NULL;
        FcChar32 map[FC_CHARSET_MAP_SIZE];
        FcChar32 next = 0;
        if (FcPatternGetCharSet(set->fonts[i], FC_CHARSET, 0, &has) != FcResultMatch) {
            continue;
        }
        for (FcChar32 at = FcCharSetFirstPage(has, map, &next); at != FC_CHARSET_DONE;
             at = FcCharSetNextPage(has, map, &next)) {
            for (int k = 0; at < 0x110000 && k < FC_CHARSET_MAP_SIZE; k++) {
                known[at / PAGE_CHARS][k] |= map[k];
                is_learnt = true;
            }
        }
    }
}

static bool is_private(uint32_t c)
{
    return (c >= 0xE000 && c <= 0xF8FF) || c >= 0xF0000;
}

bool render_glyphs_is_missing(uint32_t c)
{
    if (!is_learnt || c >= 0x110000) {
        return false;
    }
    for (size_t i = 0; i < sizeof shapeless / sizeof shapeless[0] && c >= shapeless[i].first; i++) {
        if (c <= shapeless[i].last) {
            return false;
        }
    }
    return is_private(c) || (known[c / PAGE_CHARS][c % PAGE_CHARS / 32] >> (c % 32) & 1) == 0;
}

static void note(struct render_glyphs *g, uint32_t c)
{
    uint32_t b = 0;
    while (b + 1 < BLOCK_COUNT && (c < blocks[b].first || c > blocks[b].last)) {
        b++;
    }
    g->missing++;
    for (uint32_t i = 0; i < g->block_count; i++) {
        if (g->blocks[i] == b) {
            return;
        }
    }
    if (g->block_count < RENDER_GLYPH_BLOCKS) {
        g->blocks[g->block_count++] = b;
    }
}

void render_glyphs_look(struct render_glyphs *g, struct fb_slice text)
{
    for (size_t i = 0; is_learnt && i < text.len;) {
        if (text.ptr[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t c = 0;
        size_t n = render_utf8_next(fb_slice_sub(text, i, 4), &c);
        if (n > 0 && render_glyphs_is_missing(c)) {
            note(g, c);
        }
        i += n > 0 ? n : 1;
    }
}

static void look_section(struct render_glyphs *g, const struct render_section *section)
{
    render_glyphs_look(g, fb_slice_str(section->title));
    for (size_t i = 0; i < section->row_count; i++) {
        render_glyphs_look(g, fb_slice_str(section->rows[i].value));
    }
    render_glyphs_look(g, fb_slice_buf(&section->text));
    if (section->message != NULL && !section->message->is_html) {
        render_glyphs_look(g, fb_slice_buf(&section->message->body));
    }
}

void render_glyphs_look_letter(struct render_glyphs *g, const struct render_letter *l)
{
    const char *const texts[] = {l->subject, l->from, l->to, l->cc, l->date};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        render_glyphs_look(g, fb_slice_str(texts[i]));
    }
    for (size_t i = 0; i < l->attachment_count; i++) {
        render_glyphs_look(g, fb_slice_str(l->attachments[i].name));
    }
    if (!l->is_html) {
        render_glyphs_look(g, fb_slice_buf(&l->body));
    }
    for (size_t i = 0; !l->is_html && i < l->section_count; i++) { /* else they are in its tree */
        look_section(g, &l->sections[i]);
    }
}

static const GumboVector *children_of(const GumboNode *node)
{
    switch (node->type) {
    case GUMBO_NODE_DOCUMENT:
        return &node->v.document.children;
    case GUMBO_NODE_ELEMENT:
    case GUMBO_NODE_TEMPLATE:
        return &node->v.element.children;
    default:
        return NULL;
    }
}

static void look_below(struct render_glyphs *g, const GumboNode *node, int depth)
{
    const GumboVector *children = children_of(node);
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA) {
        render_glyphs_look(g, fb_slice_str(node->v.text.text));
    }
    bool is_style = node->type == GUMBO_NODE_ELEMENT && (node->v.element.tag == GUMBO_TAG_STYLE ||
                                                         node->v.element.tag == GUMBO_TAG_HEAD);
    for (unsigned i = 0; children != NULL && !is_style && depth < MAX_DEPTH && i < children->length;
         i++) {
        look_below(g, children->data[i], depth + 1);
    }
}

void render_glyphs_look_tree(struct render_glyphs *g, const GumboNode *node)
{
    look_below(g, node, 0);
}

const char *render_glyphs_block(uint32_t index)
{
    return index < BLOCK_COUNT ? blocks[index].name : NULL;
}
