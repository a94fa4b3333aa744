/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the engine "native" share.  Lengths are CSS pixels; a box's x and y count from
 * the border box of the nearest ancestor with BOX_ROOT (the document, a cell, a caption).  All memory
 * comes from one arena and goes with it. */
#ifndef FB_RENDER_NATIVE_INTERNAL_H
#define FB_RENDER_NATIVE_INTERNAL_H

#include <cairo.h>
#include <pango/pango.h>

#include "services/render/html_prepare.h"
#include "services/render/native.h"
#include "services/render/page.h"

#define ND_PX_PER_PT   (96.0 / 72.0)
#define ND_MARGIN_X    56.0 /* pt, as html_prepare_head.c */
#define ND_MAX_SPAN    100
#define ND_MAX_COLUMNS 200
#define ND_MAX_DEPTH   900 /* boxes in boxes: recursion; the preparation leaves 400 elements */

enum nd_feature {
    ND_ELEMENT, /* see native_feature.c */
    ND_POSITION,
    ND_FLOAT,
    ND_FLEX,
    ND_INLINE_BLOCK,
    ND_DISPLAY,
    ND_BACKGROUND_IMAGE,
    ND_SHADOW,
    ND_OPACITY,
    ND_OVERFLOW,
    ND_MIN_MAX,
    ND_CALC,
    ND_UNIT,
    ND_DIRECTION,
    ND_NEGATIVE_MARGIN,
    ND_INLINE_BOX,
    ND_CONTENT,
    ND_COLUMNS,
    ND_BREAK,
    ND_SPACING,
    ND_WHITE_SPACE,
    ND_LIST_STYLE,
    ND_BORDER_STYLE,
    ND_FONT,
    ND_COLOUR,
    ND_PROPERTY,
    ND_SELECTOR,
    ND_MEDIA,
    ND_IMAGE_TYPE,
    ND_SCRIPT,
    ND_GLYPH,
    ND_EMOJI,
    ND_LONG_WORD,
    ND_TABLE_DEPTH,
    ND_TABLE_SPAN,
    ND_TABLE_PERCENT,
    ND_TABLE_FRAME,
    ND_WIDE,
    ND_DEPTH,
    ND_SIZE,
    ND_FEATURE_COUNT
};

enum nd_side { ND_TOP, ND_RIGHT, ND_BOTTOM, ND_LEFT };
enum nd_unit { ND_AUTO, ND_PX, ND_PERCENT };
struct nd_length {
    float v;
    uint8_t unit;
};

enum nd_display {
    ND_INLINE,
    ND_BLOCK,
    ND_LIST_ITEM,
    ND_TABLE,
    ND_ROW_GROUP,
    ND_HEAD_GROUP,
    ND_FOOT_GROUP,
    ND_ROW,
    ND_CELL,
    ND_CAPTION,
    ND_COLUMN,
    ND_COLUMN_GROUP,
    ND_NONE
};
enum nd_align { ND_START, ND_CENTER, ND_END, ND_JUSTIFY };
enum nd_white { ND_NORMAL, ND_NOWRAP, ND_PRE, ND_PRE_WRAP, ND_PRE_LINE };
enum nd_valign { ND_BASELINE, ND_VSUB, ND_VSUPER, ND_VTOP, ND_VMIDDLE, ND_VBOTTOM, ND_VLENGTH };
enum nd_line { ND_NO_LINE, ND_HIDDEN, ND_SOLID, ND_DASHED, ND_DOTTED, ND_DOUBLE, ND_RELIEF };
enum nd_list {
    ND_DISC,
    ND_CIRCLE,
    ND_SQUARE,
    ND_DECIMAL,
    ND_LOWER_ALPHA,
    ND_UPPER_ALPHA,
    ND_LOWER_ROMAN,
    ND_UPPER_ROMAN,
    ND_NO_MARKER
};

struct nd_border {
    float width;
    uint32_t colour; /* 0xRRGGBBAA */
    uint8_t style;
    bool is_current; /* colour: that of the text */
};

struct nd_style {
    /* inherited */
    const char *family; /* as Pango takes it; in the arena or constant */
    float font_px;
    uint16_t weight;
    bool is_italic, is_hidden, is_collapsed, is_list_inside;
    uint32_t colour;
    float line_height; /* > 0 px; < 0 times the font's size; 0 normal */
    float letter_spacing, indent, spacing;
    uint8_t align, align_blocks, white, transform, list;
    uint8_t decoration;      /* 1 underline, 2 line-through: those of the ancestors included */
    uint32_t run_background; /* of inline ancestors */
    /* of the element alone */
    uint8_t own_decoration;
    uint8_t display, valign;
    bool breaks_before, breaks_after, avoids_break, is_border_box, is_fixed_layout;
    float valign_px;
    uint32_t background;
    struct nd_length margin[4], padding[4], width, height, min_width, max_width, min_height;
    struct nd_border border[4];
    float radius;
};

/* ---- style sheets ---- */

enum nd_combinator { ND_SELF, ND_DESCENDANT, ND_CHILD };
struct nd_compound { /* of a selector; classes and ids are slices of the prepared document */
    GumboTag tag;
    bool has_tag, is_link;
    struct fb_slice name; /* of an unknown tag: fb-body, fb-html */
    struct fb_slice id;
    struct fb_slice classes[4];
    int class_count;
    enum nd_combinator combinator; /* how it hangs on the one before it */
};
struct nd_selector {
    struct nd_compound parts[8];
    int count, specificity;
    struct nd_rule *rule;
    struct nd_selector *next; /* in its bucket */
    int order;
};
struct nd_rule {
    struct fb_slice declarations;
};
#define ND_BUCKETS 128
struct nd_sheet {
    struct nd_selector *buckets[ND_BUCKETS];
    int order;
};

/* ---- boxes ---- */

enum nd_kind {
    BOX_BLOCK,
    BOX_TEXT, /* lines: a run of inline content */
    BOX_TABLE,
    BOX_GROUP,
    BOX_ROW,
    BOX_CELL,
    BOX_CAPTION,
    BOX_RULE, /* <hr> */
    BOX_IMAGE,
};

struct nd_image {
    struct fb_slice bytes;
    uint32_t width, height;
    bool is_known, is_jpeg, is_gif;
    cairo_surface_t *surface; /* made when it is drawn first */
    struct nd_image *next;
};

/* Something on a line that is no text. */
struct nd_object {
    const struct nd_style *style;
    struct nd_image *image; /* or else a box for one that we do not show */
    struct nd_text *words;  /* what stands in the box */
    struct nd_length width, height, max_width;
    int at; /* byte offset of its character */
    float w, h, rise;
    const char *href, *alt;
};

struct nd_run { /* of a text, up to the next one */
    int start;
    const struct nd_style *style;
    const char *href;
    int object; /* index, or -1 */
};

struct nd_row_line { /* a line of text */
    PangoLayoutLine *line;
    float x, y, height, baseline;
};

struct nd_text {
    const struct nd_style *style; /* of the block around it */
    struct fb_buf text;
    struct nd_run *runs;
    int run_count;
    size_t run_room;
    struct nd_object *objects;
    int object_count;
    size_t object_room;
    int *soft; /* offsets of <wbr> */
    int soft_count;
    size_t soft_room;
    bool has_break, is_measured;
    float min, max;
    PangoLayout *layout;
    struct nd_row_line *lines;
    int line_count;
    float height, width; /* as laid out */
};

struct nd_box {
    enum nd_kind kind;
    const struct nd_style *style;
    struct nd_box *parent, *first, *last, *next;
    struct nd_text *text;     /* BOX_TEXT */
    struct nd_object *object; /* BOX_IMAGE */
    struct nd_table *table;   /* BOX_TABLE, once laid out */
    char *marker;             /* of a list item, "1." */
    PangoLayout *marker_layout;
    GumboTag tag;
    int colspan, rowspan, column, row; /* of a cell */
    uint8_t group;                     /* ND_HEAD_GROUP... of a BOX_GROUP */
    bool is_measured, is_top_known;
    uint8_t data;   /* of a table: 1 it holds data, 2 it holds a layout together, 0 not looked at */
    float min, max; /* width that it needs at least, that it takes at most; margins included */
    float x, y, w, h;
    float border[4], padding[4], margin[4]; /* used */
    float natural, shift;   /* of a cell: height of its content, how far that is moved down */
    struct nd_border *used; /* of a cell: what came of collapsing; NULL: its own */
    struct nd_box *pending; /* next whose top waits for the first content */
};

struct nd_arena_block {
    struct nd_arena_block *next;
};

struct nd_deferred { /* what is not of the arena's memory */
    struct nd_deferred *next;
    void (*undo)(void *what);
    void *what;
};

struct nd_font { /* of a style */
    const char *family;
    float px;
    uint16_t weight;
    bool is_italic;
    PangoFontDescription *description;
    float ascent, descent, gap;
    struct nd_font *next;
};

enum nd_item_kind { ITEM_FILL, ITEM_BORDER, ITEM_LINE, ITEM_IMAGE, ITEM_MARKER, ITEM_BOX };
struct nd_item {
    enum nd_item_kind kind;
    float x, y, w, h;
    const struct nd_box *box;
    struct nd_box *owner; /* whose words or picture it is */
    const struct nd_text *text;
    const struct nd_object *object;
    int line;
    uint32_t colour;
};
struct nd_keep { /* what no page's end may cut */
    float top, bottom;
};
struct nd_head { /* of a table, repeated on its further pages */
    float top, bottom, table_bottom;
    int first_item, end_item;
};

struct render_native {
    const struct render_letter *letter;
    const GumboOutput *tree;
    const char *paper;
    bool is_japanese;
    double page_px; /* width of the text on paper */
    double zoom;    /* of the mail, as prepared */
    double fit;     /* of the mail, as painted */
    float layout_px, image_px;
    int64_t deadline_ns;
    bool is_late, is_audit_only;
    uint64_t outside; /* bits of enum nd_feature */
    const char *first_outside;
    char *memory; /* of the arena's block at hand */
    size_t memory_left;
    struct nd_arena_block *blocks;
    struct nd_deferred *deferred;
    unsigned looks; /* at the clock */
    struct nd_sheet sheet;
    struct nd_image *images;
    struct nd_font *fonts;
    struct nd_box *root;
    struct nd_text *text; /* open, while the tree is read */
    int depth, tables, elements;
    PangoContext *context;
    struct render_page page;
    struct nd_item *items;
    size_t item_count, item_room;
    struct nd_keep *keeps;
    size_t keep_count, keep_room;
    struct nd_head *heads;
    size_t head_count, head_room;
    float *breaks; /* forced */
    size_t break_count, break_room;
    float widest;
    struct nd_tags {
        struct nd_box *owner;                  /* of what was drawn last */
        struct nd_box *path[RENDER_TAG_DEPTH]; /* open elements, from the outermost */
        int count;
    } tags;
    size_t max_pages; /* of an attached message; 0: no limit of its own */
};

/* Zeroed memory that lives as long as n; never NULL (memory itself is bounded by the sandbox). */
void *nd_alloc(struct render_native *n, size_t size);
char *nd_copy(struct render_native *n, struct fb_slice s);
/* Room for one more element of an array in the arena. */
void *nd_more(struct render_native *n, void *list, size_t count, size_t *room, size_t size);
/* undo(what) when n is freed. */
void nd_defer(struct render_native *n, void (*undo)(void *), void *what);
void nd_note(struct render_native *n, enum nd_feature f);
/* Whether the time is over (looked at now and then). */
bool nd_is_late(struct render_native *n);

/* ---- native_value.c ---- */

struct nd_units {
    float font_px, root_px, page_px;
};
/* False when the value is no such thing. */
bool nd_parse_length(struct fb_slice v, const struct nd_units *u, struct nd_length *out);
bool nd_parse_colour(struct fb_slice v, uint32_t *rgba);
/* As bgcolor= and color= have it: without '#', too. */
bool nd_parse_legacy_colour(struct fb_slice v, uint32_t *rgba);
/* The next word of a value, brackets and quotes kept together; empty at the end. */
struct fb_slice nd_word(struct fb_slice *rest);
float nd_number(struct fb_slice v, size_t *used);

/* ---- native_css.c, native_property.c, native_style.c, native_feature.c ---- */

void nd_read_sheets(struct render_native *n, const GumboNode *head);
struct fb_slice nd_attribute(const GumboNode *node, const char *name);
bool nd_matches(const struct nd_selector *s, const GumboNode *node);
enum nd_pass { ND_PASS_NORMAL = 1, ND_PASS_IMPORTANT = 2, ND_PASS_FONTS = 4 };
/* pass: one of the first two; with ND_PASS_FONTS only what is about fonts, without it the rest. */
void nd_declare(struct render_native *n, struct fb_slice declarations, int pass,
                const struct nd_style *parent, struct nd_style *s);
void nd_property(struct render_native *n, struct fb_slice name, struct fb_slice value,
                 const struct nd_style *parent, struct nd_style *s);
struct nd_style *nd_style_of(struct render_native *n, const GumboNode *node,
                             const struct nd_style *parent);
struct nd_style *nd_style_anonymous(struct render_native *n, const struct nd_style *parent);
struct nd_style *nd_style_root(struct render_native *n);
const char *nd_feature_name(enum nd_feature f);
/* Notes writing that native was not looked at with. */
void nd_audit_char(struct render_native *n, gunichar c);
/* native_legacy.c */
void nd_legacy(struct render_native *n, const GumboNode *node, const struct nd_style *parent,
               struct nd_style *s);
bool nd_is_list(GumboTag tag);
/* native_marker.c: what stands before a list item; NULL: nothing. */
char *nd_marker(struct render_native *n, uint8_t list, int number);

/* ---- native_tree.c, native_image.c ---- */

void nd_build(struct render_native *n, const GumboNode *mail);
struct nd_image *nd_image_of(struct render_native *n, struct fb_slice url);
void nd_image_draw(struct render_native *n, struct nd_image *image, double x, double y, double w,
                   double h);

/* ---- native_text.c ---- */

void nd_text_measure(struct render_native *n, struct nd_text *t);
void nd_text_layout(struct render_native *n, struct nd_text *t, float width);
void nd_object_size(struct render_native *n, struct nd_object *o, float available);
PangoLayout *nd_layout_new(struct render_native *n, const struct nd_style *s, struct fb_slice text);

/* ---- native_block.c, native_table.c ---- */

float nd_resolve(struct nd_length l, float base);
void nd_edges(struct nd_box *b, float available);
void nd_measure(struct render_native *n, struct nd_box *b);
/* Lays b out as a root of its own, width: of its border box; sets w and h. */
void nd_layout_root(struct render_native *n, struct nd_box *b, float width);
void nd_table_measure(struct render_native *n, struct nd_box *b);
/* Sets w and h of the table; its parts count from the root around it: x and y are set before. */
void nd_table_layout(struct render_native *n, struct nd_box *b, float available);
/* Places what a table holds, once its own place is known. */
void nd_table_place(struct nd_box *b);

/* ---- native_list.c, native_paint.c, native_draw.c ---- */

void nd_list(struct render_native *n);
enum fb_status nd_pages(struct render_native *n, struct fb_error *err);
void nd_draw_item(struct render_native *n, const struct nd_item *item, double scale, double left,
                  double shift, double clip_top, double clip_bottom);

/* ---- native_tags.c: where letters are tagged; else nothing happens ---- */

void nd_tags_begin(struct render_native *n);
/* Before an item is drawn: bottom is where its page ends, in the mail's pixels; y where it stands on it, in
 * points. */
void nd_tags_item(struct render_native *n, const struct nd_item *item, float bottom, double y);
/* What follows is ornament. */
void nd_tags_rest(struct render_native *n);
void nd_tags_end(struct render_native *n);

#endif
