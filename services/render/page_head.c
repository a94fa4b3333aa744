/* SPDX-License-Identifier: Apache-2.0
 *
 * The header block: subject, sender, recipients, date and attachments, as html_prepare_head.c has
 * it for Chromium. */
#include <stdio.h>

#include "services/render/head_text.h"
#include "services/render/page.h"

#define LABEL_WIDTH 66.0
#define ROW_ROOM    20.0 /* what a label must find on its page */
#define ROW_GAP     1.6
#define UNBROKEN    72 /* bytes */
#define HEAD_JA     "BIZ UDPGothic, Liberation Sans 9.5"
#define HEAD_EN     "Liberation Sans, BIZ UDPGothic 9.5"
#define TITLE_JA    "BIZ UDPGothic, Liberation Sans Bold %.1f"
#define TITLE_EN    "Liberation Sans, BIZ UDPGothic Bold %.1f"

/* Isolates of the bidirectional algorithm (UAX 9): a Hebrew name must not turn its neighbours round. */
#define LEFT_TO_RIGHT "\xE2\x80\x8E"
#define ISOLATE       "\xE2\x81\xA8"
#define ISOLATE_END   "\xE2\x81\xA9"

/* A value in the making: parts of it are grey. */
struct value {
    struct fb_buf text;
    PangoAttrList *attributes;
    bool is_bidi, is_begun;
};

static void value_init(struct value *v, bool is_bidi)
{
    *v = (struct value){.attributes = pango_attr_list_new(), .is_bidi = is_bidi};
    pango_attr_list_insert(v->attributes, pango_attr_insert_hyphens_new(FALSE));
    fb_buf_init(&v->text, 1U << 20);
}

static void value_deinit(struct value *v)
{
    pango_attr_list_unref(v->attributes);
    fb_buf_deinit(&v->text);
}

static enum fb_status put(struct value *v, struct fb_slice s)
{
    return fb_buf_add_slice(&v->text, s);
}

static void attribute(struct value *v, PangoAttribute *a, size_t start, size_t end)
{
    a->start_index = (guint)start;
    a->end_index = (guint)end;
    pango_attr_list_insert(v->attributes, a);
}

static enum fb_status put_grey(struct value *v, struct fb_slice s)
{
    attribute(v,
              pango_attr_foreground_new((guint16)(render_grey.r * 65535),
                                        (guint16)(render_grey.g * 65535),
                                        (guint16)(render_grey.b * 65535)),
              v->text.len, v->text.len + s.len);
    return put(v, s);
}

static bool is_right_to_left(gunichar u)
{
    return (u >= 0x590 && u < 0x900) || (u >= 0xFB1D && u < 0xFE00) ||
           (u >= 0xFE70 && u < 0xFEFF) || (u >= 0x10800 && u < 0x11000) ||
           (u >= 0x1E800 && u < 0x1F000);
}

static bool has_right_to_left(const char *text)
{
    for (const char *c = text; *c != '\0'; c += g_utf8_skip[(unsigned char)*c]) {
        gunichar u = (unsigned char)*c < 0x80 ? 0 : g_utf8_get_char(c);
        if (is_right_to_left(u) || (u >= 0x202A && u <= 0x202E)) {
            return true;
        }
    }
    return false;
}

/* As Pango takes the direction of a paragraph: that of its first letter. */
static bool begins_right_to_left(struct fb_slice text)
{
    for (size_t i = 0; i < text.len; i += (size_t)g_utf8_skip[text.ptr[i]]) {
        gunichar u = g_utf8_get_char((const char *)text.ptr + i);
        if (u == 0x200E || g_unichar_isalpha(u)) {
            return is_right_to_left(u);
        }
    }
    return false;
}

/* ---- rows ---- */

static void draw_rule(struct render_page *p)
{
    render_page_colour(p, render_line_grey);
    cairo_set_line_width(p->cr, 0.7);
    cairo_move_to(p->cr, p->margin_x, p->y);
    cairo_line_to(p->cr, p->width - p->margin_x, p->y);
    cairo_stroke(p->cr);
}

/* Text against the left edge of its column, whichever way it runs. */
static enum fb_status draw_left(struct render_page *p, struct fb_slice text, double x, double width,
                                struct render_colour c, struct fb_error *err)
{
    pango_layout_set_alignment(p->layout,
                               begins_right_to_left(text) ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT);
    enum fb_status s = render_page_text(p, text, x, width, c, false, err);
    pango_layout_set_alignment(p->layout, PANGO_ALIGN_LEFT);
    return s;
}

static enum fb_status draw_row(struct render_page *p, const char *label, struct value *v,
                               struct fb_error *err)
{
    enum fb_status s = FB_OK;
    if (p->y + ROW_ROOM > p->height - RENDER_MARGIN_FOOT) {
        s = render_page_next(p, err);
    }
    double top = p->y;
    int page = p->number;
    render_page_font(p, p->is_japanese ? HEAD_JA : HEAD_EN);
    render_page_paragraph_begin(p);
    /* The label first: text is searched and read aloud in the order in which it was drawn. */
    if (s == FB_OK && label[0] != '\0') {
        s = draw_left(p, fb_slice_str(label), p->margin_x, LABEL_WIDTH, render_grey, err);
    }
    if (s == FB_OK) {
        p->y = page == p->number ? top : p->y;
        p->attributes = v->attributes;
        s = draw_left(p, fb_slice_buf(&v->text), p->margin_x + LABEL_WIDTH,
                      p->width - 2 * p->margin_x - LABEL_WIDTH, render_ink, err);
        p->attributes = NULL;
    }
    render_page_paragraph_end(p);
    p->y += ROW_GAP;
    return s;
}

/* One that fits on a line is not broken. */
static enum fb_status put_person(struct value *v, struct fb_slice name, struct fb_slice address)
{
    enum fb_status s = put(v, fb_slice_str(v->is_begun ? ", " : ""));
    size_t start = v->text.len;
    v->is_begun = true;
    s = s == FB_OK && v->is_bidi ? put(v, fb_slice_str(ISOLATE)) : s;
    s = s == FB_OK ? put(v, name) : s;
    s = s == FB_OK && v->is_bidi ? put(v, fb_slice_str(ISOLATE_END)) : s;
    s = s == FB_OK ? put_grey(v, address) : s;
    if (v->text.len - start <= UNBROKEN) {
        attribute(v, pango_attr_allow_breaks_new(FALSE), start, v->text.len);
    }
    return s;
}

static enum fb_status draw_people(struct render_page *p, const char *label, const char *people,
                                  struct fb_error *err)
{
    struct value v;
    struct fb_slice rest = fb_slice_str(people);
    struct fb_slice name, address;
    size_t count = render_head_count(people);
    if (count == 0) {
        return FB_OK;
    }
    value_init(&v, has_right_to_left(people));
    enum fb_status s = v.is_bidi ? put(&v, fb_slice_str(LEFT_TO_RIGHT)) : FB_OK;
    for (size_t i = 0;
         i < RENDER_HEAD_PEOPLE && s == FB_OK && render_head_person(&rest, &name, &address); i++) {
        s = put_person(&v, name, address);
    }
    if (s == FB_OK && count > RENDER_HEAD_PEOPLE) {
        char more[48];
        render_head_more(p->is_japanese, count - RENDER_HEAD_PEOPLE, more);
        s = put(&v, fb_slice_str(", "));
        s = s == FB_OK ? put(&v, fb_slice_str(more)) : s;
    }
    s = s == FB_OK ? draw_row(p, label, &v, err) : fb_error_set(err, s, "too many recipients");
    value_deinit(&v);
    return s;
}

static enum fb_status draw_date(struct render_page *p, const struct render_letter *l,
                                struct fb_error *err)
{
    struct value v;
    if (l->date == NULL || l->date[0] == '\0') {
        return FB_OK;
    }
    value_init(&v, false);
    enum fb_status s = put(&v, fb_slice_str(l->date));
    s = s == FB_OK ? draw_row(p, render_head_label(l->is_japanese, RENDER_HEAD_DATE), &v, err)
                   : fb_error_set(err, s, "the date is too long");
    value_deinit(&v);
    return s;
}

static enum fb_status draw_attachment(struct render_page *p, const char *label,
                                      const struct render_attachment_line *a, struct fb_error *err)
{
    struct value v;
    char size[32];
    char tail[40];
    const char *name = a->name != NULL ? a->name : "";
    render_head_size(a->size, size);
    (void)snprintf(tail, sizeof tail, "  (%s)", size);
    value_init(&v, has_right_to_left(name));
    enum fb_status s = v.is_bidi ? put(&v, fb_slice_str(LEFT_TO_RIGHT ISOLATE)) : FB_OK;
    s = s == FB_OK ? put(&v, fb_slice_str(name)) : s;
    s = s == FB_OK && v.is_bidi ? put(&v, fb_slice_str(ISOLATE_END)) : s;
    s = s == FB_OK ? put_grey(&v, fb_slice_str(tail)) : s;
    s = s == FB_OK ? draw_row(p, label, &v, err)
                   : fb_error_set(err, s, "the name of an attachment is too long");
    value_deinit(&v);
    return s;
}

static enum fb_status draw_subject(struct render_page *p, const struct render_letter *l,
                                   struct fb_error *err)
{
    char font[80];
    struct fb_slice subject = render_head_subject(l);
    (void)snprintf(font, sizeof font, l->is_japanese ? TITLE_JA : TITLE_EN,
                   render_head_subject_pt(subject));
    render_page_font(p, font);
    render_page_tag_begin(p, "H1");
    enum fb_status s =
        draw_left(p, subject, p->margin_x, p->width - 2 * p->margin_x, render_ink, err);
    render_page_tag_end(p, "H1");
    p->y += 8;
    return s;
}

enum fb_status render_page_head(struct render_page *p, const struct render_letter *l,
                                struct fb_error *err)
{
    const char *const people[] = {
        [RENDER_HEAD_FROM] = l->from, [RENDER_HEAD_TO] = l->to, [RENDER_HEAD_CC] = l->cc};
    enum fb_status s = draw_subject(p, l, err);
    for (enum render_head_row row = RENDER_HEAD_FROM; row <= RENDER_HEAD_CC && s == FB_OK; row++) {
        s = draw_people(p, render_head_label(l->is_japanese, row), people[row], err);
    }
    s = s == FB_OK ? draw_date(p, l, err) : s;
    for (size_t i = 0; i < l->attachment_count && s == FB_OK; i++) {
        s = draw_attachment(
            p, i == 0 ? render_head_label(l->is_japanese, RENDER_HEAD_ATTACHMENTS) : "",
            &l->attachments[i], err);
    }
    p->y += 5;
    draw_rule(p);
    p->y += 14;
    return s;
}
