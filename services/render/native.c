/* SPDX-License-Identifier: Apache-2.0
 *
 * One document from tree to PDF, and the memory of it. */
#include "services/render/native.h"

#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "services/render/html_prepare_steps.h"
#include "services/render/native_internal.h"
#include "services/render/page_section.h"

#define BLOCK    (64U << 10)
#define MIN_ZOOM 0.2 /* as chromium_fit.c */
/* Of an attached message: */
#define MAX_INNER   (16U << 20)
#define INNER_MS    2000
#define INNER_PAGES 60

struct render_inner {
    struct fb_buf html;
    struct render_html_document document;
};

static int64_t cpu_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool nd_is_late(struct render_native *n)
{
    if (!n->is_late && (++n->looks & 7) == 0) {
        n->is_late = cpu_ns() > n->deadline_ns;
    }
    return n->is_late;
}

void nd_note(struct render_native *n, enum nd_feature f)
{
    if (n->outside == 0) {
        n->first_outside = nd_feature_name(f);
    }
    n->outside |= 1ULL << f;
}

void *nd_alloc(struct render_native *n, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > n->memory_left) {
        size_t room = size > BLOCK ? size : BLOCK;
        struct nd_arena_block *b = fb_xcalloc(1, sizeof *b + 16 + room);
        b->next = n->blocks;
        n->blocks = b;
        n->memory = (char *)b + ((sizeof *b + 15) & ~(size_t)15);
        n->memory_left = room;
    }
    void *p = n->memory;
    n->memory += size;
    n->memory_left -= size;
    return p;
}

char *nd_copy(struct render_native *n, struct fb_slice s)
{
    char *copy = nd_alloc(n, s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return copy;
}

void *nd_more(struct render_native *n, void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return list;
    }
    *room = *room > 0 ? *room * 2 : 4;
    void *grown = nd_alloc(n, *room * size);
    if (count > 0) {
        memcpy(grown, list, count * size);
    }
    return grown;
}

void nd_defer(struct render_native *n, void (*undo)(void *), void *what)
{
    struct nd_deferred *d = nd_alloc(n, sizeof *d);
    *d = (struct nd_deferred){n->deferred, undo, what};
    n->deferred = d;
}

/* ---- the document ---- */

static const GumboNode *child_of(const GumboNode *parent, GumboTag tag, const char *id)
{
    for (unsigned i = 0; parent != NULL && i < parent->v.element.children.length; i++) {
        const GumboNode *c = parent->v.element.children.data[i];
        if (c->type == GUMBO_NODE_ELEMENT &&
            (id != NULL ? fb_slice_eq_str(nd_attribute(c, "id"), id) : c->v.element.tag == tag)) {
            return c;
        }
    }
    return NULL;
}

/* "zoom:0.716;--fb-width:900px" of #fb-mail: how it is made smaller, and how wide it is laid out (0: as the
 * page is). */
static double zoom_of(const GumboNode *mail, double *width_r)
{
    static const char width[] = ";--fb-width:";
    size_t used = 0;
    struct fb_slice style = nd_attribute(mail, "style");
    double zoom = fb_slice_istarts(style, "zoom:")
                      ? (double)nd_number(fb_slice_sub(style, 5, SIZE_MAX), &used)
                      : 1;
    size_t at = fb_slice_find(style, fb_slice_str(width));
    bool is_smaller = zoom > MIN_ZOOM && zoom < 1;
    *width_r = is_smaller && at != SIZE_MAX
                   ? (double)nd_number(fb_slice_sub(style, at + sizeof width - 1, SIZE_MAX), &used)
                   : 0;
    return is_smaller ? zoom : 1;
}

struct render_native *render_native_new(const struct render_letter *letter, const GumboOutput *tree,
                                        const char *paper, bool is_audit_only, int limit_ms)
{
    struct render_native *n = fb_xcalloc(1, sizeof *n);
    struct fb_buf none;
    fb_buf_init(&none, 1);
    n->letter = letter;
    n->tree = tree;
    n->is_japanese = letter->is_japanese;
    n->is_audit_only = is_audit_only;
    n->deadline_ns = cpu_ns() + (int64_t)limit_ms * 1000000;
    const GumboNode *body = child_of(tree->root, GUMBO_TAG_BODY, NULL);
    const GumboNode *mail = child_of(body, GUMBO_TAG_UNKNOWN, "fb-mail");
    n->paper = paper;
    n->page_px =
        ((strcmp(paper, "Letter") == 0 ? 612 : 595.92 /* as Chromium has it */) - 2 * ND_MARGIN_X) *
        ND_PX_PER_PT;
    double width = 0;
    n->zoom = mail != NULL ? zoom_of(mail, &width) : 1;
    n->layout_px = (float)(n->page_px / n->zoom);
    n->layout_px = width > (double)n->layout_px + 1 ? (float)width : n->layout_px;
    n->image_px = n->zoom < 1 ? n->layout_px : RENDER_HTML_PAGE_PX;
    if (mail != NULL) {
        nd_read_sheets(n, child_of(tree->root, GUMBO_TAG_HEAD, NULL));
        nd_build(n, mail);
    }
    return n;
}

void render_native_free(struct render_native **native)
{
    struct render_native *n = *native;
    if (n == NULL) {
        return;
    }
    for (struct nd_deferred *d = n->deferred; d != NULL; d = d->next) {
        d->undo(d->what);
    }
    for (struct nd_arena_block *b = n->blocks; b != NULL;) {
        struct nd_arena_block *next = b->next;
        free(b);
        b = next;
    }
    free(n);
    *native = NULL;
}

const char *render_native_outside(const struct render_native *n)
{
    return n->outside != 0 ? n->first_outside : NULL;
}

static enum fb_status layout(struct render_native *n, struct fb_error *err)
{
    n->context = n->page.context;
    pango_context_set_round_glyph_positions(n->context, FALSE);
    nd_layout_root(n, n->root, n->layout_px);
    if (!n->is_late) {
        nd_list(n);
    }
    return n->is_late
               ? fb_error_set(err, FB_TOO_BIG,
                              "the HTML body takes too long to lay out, or is nested too deep")
               : FB_OK;
}

/* What is too wide for `available` pixels of the page is made smaller; below what can be read, where that is
 * allowed, the page must become wider.  Gives the width that the mail takes on paper, in pixels. */
static double fit(struct render_native *n, double available, bool may_widen)
{
    double width = (double)(n->widest > n->layout_px + 1 ? n->widest : n->layout_px);
    n->fit = n->zoom;
    if (width * n->fit > available + 1) {
        double least = n->zoom < RENDER_HTML_ZOOM_MIN ? n->zoom : RENDER_HTML_ZOOM_MIN;
        n->fit = available / width;
        n->fit = may_widen && n->fit < least ? least : n->fit;
        bool is_too_wide = may_widen && width * n->fit > RENDER_HTML_WIDE_PX;
        n->fit = is_too_wide ? RENDER_HTML_WIDE_PX / width : n->fit;
    }
    return width * n->fit;
}

enum fb_status render_native_paint(struct render_native *n, struct fb_buf *pdf_r,
                                   struct fb_error *err)
{
    if (n->root == NULL || n->is_late) {
        return fb_error_set(err, FB_TOO_BIG,
                            "the HTML body has too many elements, takes too long to be read, or is "
                            "nested too deep");
    }
    size_t mark = pdf_r->len;
    render_page_open(&n->page, n->letter, n->paper, ND_MARGIN_X, pdf_r);
    enum fb_status s = layout(n, err);
    if (s == FB_OK && n->widest > n->layout_px + 1) {
        nd_note(n, ND_WIDE);
        s = n->is_audit_only ? fb_error_set(err, FB_DENIED, "%s", n->first_outside) : FB_OK;
    }
    double width = s == FB_OK ? fit(n, n->page_px, true) : 0;
    if (width > n->page_px + 1) {
        render_page_widen(&n->page, width / ND_PX_PER_PT + 2 * ND_MARGIN_X);
    }
    s = s == FB_OK ? render_page_head(&n->page, n->letter, err) : s;
    render_page_bookmark(&n->page, n->is_japanese ? "本文" : "Message", 0);
    s = s == FB_OK ? nd_pages(n, err) : s;
    s = s == FB_OK ? render_page_sections(&n->page, n->letter, err) : s;
    s = render_page_close(&n->page, s, err);
    if (s != FB_OK) {
        pdf_r->len = mark;
    }
    return s;
}

static void free_inner(void *native)
{
    struct render_native *n = native;
    render_native_free(&n);
}

static void free_document(void *document)
{
    struct render_inner *d = document;
    render_html_document_deinit(&d->document);
    fb_buf_deinit(&d->html);
    free(d);
}

enum fb_status render_native_continue(struct render_page *p, const struct render_letter *inner,
                                      struct fb_error *err)
{
    struct render_inner *d = fb_xcalloc(1, sizeof *d);
    fb_buf_init(&d->html, MAX_INNER);
    render_page_defer(p, free_document, d);
    if (render_html_prepare_document(inner, &d->html, &d->document, err) != FB_OK) {
        return FB_DENIED;
    }
    const char *paper = p->height < 800 ? "Letter" : "A4"; /* wide ones are as high */
    struct render_native *n = render_native_new(inner, d->document.tree, paper, false, INNER_MS);
    render_page_defer(p, free_inner, n); /* the page keeps what figures say until its end */
    if (n->root == NULL || n->is_late) {
        return fb_error_set(err, FB_DENIED, "too much HTML");
    }
    gboolean is_rounded = pango_context_get_round_glyph_positions(p->context);
    n->page = *p;
    n->max_pages = INNER_PAGES;
    enum fb_status s = layout(n, err);
    if (s == FB_OK) {
        (void)fit(n, (p->width - 2 * ND_MARGIN_X) * ND_PX_PER_PT, false);
    }
    s = s == FB_OK ? nd_pages(n, err) : FB_DENIED;
    enum fb_status written = p->write_status; /* Cairo writes by the first page struct */
    *p = n->page;
    p->write_status = written;
    pango_context_set_round_glyph_positions(p->context, is_rounded);
    return s;
}
