/* SPDX-License-Identifier: Apache-2.0
 *
 * Structure elements and bookmarks of the pages, by Cairo. */
#include <cairo-pdf.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "services/render/page.h"

#define TITLE_BYTES 240

/* Cairo 1.16 keeps tags among what is drawn, and forgets one that is begun where all is clipped (a picture of
 * no size, or beside the page): its end is then an error of the whole document, or ends the program. */
static void mark(struct render_page *p, const char *tag, const char *attributes)
{
    cairo_save(p->cr);
    cairo_reset_clip(p->cr);
    if (attributes != NULL) {
        cairo_tag_begin(p->cr, tag, attributes);
    } else {
        cairo_tag_end(p->cr, tag);
    }
    cairo_restore(p->cr);
}

void render_page_tag_link(struct render_page *p, const char *attributes)
{
    mark(p, CAIRO_TAG_LINK, attributes);
    mark(p, CAIRO_TAG_LINK, NULL);
}

void render_page_tag_begin(struct render_page *p, const char *tag)
{
    if (!p->is_tagged) {
        return;
    }
    if (p->tag_count == RENDER_TAG_DEPTH) {
        p->tags_too_deep++;
        return;
    }
    mark(p, tag, "");
    p->tags[p->tag_count++] = tag;
}

void render_page_tag_end(struct render_page *p, const char *tag)
{
    if (!p->is_tagged) {
        return;
    }
    if (p->tags_too_deep > 0) {
        p->tags_too_deep--;
        return;
    }
    FB_ASSERT(p->tag_count > 0 && strcmp(p->tags[p->tag_count - 1], tag) == 0);
    mark(p, p->tags[--p->tag_count], NULL);
}

void render_page_tag_end_all(struct render_page *p, int count)
{
    p->tags_too_deep = 0;
    while (p->tag_count > count) {
        mark(p, p->tags[--p->tag_count], NULL);
    }
}

void render_page_figure_begin(struct render_page *p, const char *alt)
{
    if (p->tag_count < RENDER_TAG_DEPTH && p->is_tagged) {
        if (p->figure_count < RENDER_FIGURES) {
            p->alts[p->figure_count++] = alt;
        }
    }
    render_page_tag_begin(p, "Figure");
}

const char *render_page_tag_suspend(struct render_page *p)
{
    static const char *const words[] = {"P",  "Span", "H1",    "H2",     "H3",      "H4",
                                        "H5", "H6",   "LBody", "Figure", "Caption", "Code"};
    const char *tag = p->tag_count > 0 ? p->tags[p->tag_count - 1] : "";
    if (p->uses_spans && !p->is_span_open && p->has_spans) {
        return NULL; /* its words stand in elements of their own */
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(tag, words[i]) == 0) {
            render_page_tag_end(p, tag);
            return tag;
        }
    }
    return NULL;
}

void render_page_span_begin(struct render_page *p)
{
    if (p->uses_spans && !p->is_span_open) {
        render_page_tag_begin(p, "Span");
        p->is_span_open = p->has_spans = true;
    }
}

void render_page_span_end(struct render_page *p)
{
    if (p->is_span_open) {
        render_page_tag_end(p, "Span");
        p->is_span_open = false;
    }
}

void render_page_paragraph_begin(struct render_page *p)
{
    render_page_tag_begin(p, "P");
    p->uses_spans = p->is_tagged;
    p->has_spans = false;
}

void render_page_paragraph_end(struct render_page *p)
{
    render_page_span_end(p);
    p->uses_spans = false;
    render_page_tag_end(p, "P");
}

/* One line of words, whole characters. */
static void title_of(const char *text, char out[TITLE_BYTES])
{
    size_t n = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        bool is_picture = c[0] == 0xEF && c[1] == 0xBF && c[2] == 0xBC; /* U+FFFC stands for one */
        c += is_picture ? 2 : 0;
        if (is_picture || *c <= ' ' || *c == 0x7F) {
            if (n > 0 && out[n - 1] != ' ') {
                out[n++] = ' ';
            }
        } else {
            out[n++] = (char)*c;
        }
        if (n >= TITLE_BYTES - 8 && (c[1] & 0xC0) != 0x80) {
            break;
        }
    }
    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = '\0';
}

void render_page_bookmark(struct render_page *p, const char *title, int level)
{
    char text[TITLE_BYTES];
    char place[96];
    title_of(title, text);
    if (!p->is_tagged || text[0] == '\0' || p->bookmark_count == RENDER_BOOKMARKS) {
        return;
    }
    level = level < 0 ? 0 : level >= RENDER_LEVELS ? RENDER_LEVELS - 1 : level;
    int parent = level > 0 ? p->bookmark_parent[level - 1] : CAIRO_PDF_OUTLINE_ROOT;
    (void)snprintf(place, sizeof place, "page=%d pos=[%.2f %.2f]", p->number, 0.0,
                   p->y > 8 ? p->y - 8 : 0);
    int id =
        cairo_pdf_surface_add_outline(p->surface, parent, text, place, CAIRO_PDF_OUTLINE_FLAG_OPEN);
    for (int i = level; i < RENDER_LEVELS; i++) { /* a level that was left out: its ancestor's */
        p->bookmark_parent[i] = id;
    }
    p->bookmark_count++;
}
