/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts the list into pages, where nothing is cut through, and draws them. */
#include <stdlib.h>
#include <string.h>

#include "services/render/native_internal.h"

struct cut { /* of the mail, in its pixels */
    float from, to;
    const struct nd_head *head; /* drawn again above it */
};

struct pages {
    struct cut *list;
    size_t count, room;
};

static int compare_keeps(const void *a, const void *b)
{
    const struct nd_keep *x = a;
    const struct nd_keep *y = b;
    return x->top < y->top ? -1 : x->top > y->top ? 1 : 0;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static size_t first_keep_below(const struct render_native *n, float top)
{
    size_t low = 0;
    size_t high = n->keep_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (n->keeps[middle].top <= top) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The lowest place at or above `limit` that cuts nothing; what is higher than a page is cut. */
static float place_to_cut(const struct render_native *n, float from, float limit, float room)
{
    float at = limit;
    for (bool is_moved = true; is_moved;) {
        is_moved = false;
        for (size_t i = first_keep_below(n, at - room); i < n->keep_count && n->keeps[i].top < at;
             i++) {
            const struct nd_keep *k = &n->keeps[i];
            if (k->top > from && k->bottom > at + 0.01F && k->bottom - k->top <= room) {
                at = k->top;
                is_moved = true;
                break;
            }
        }
    }
    return at > from ? at : limit;
}

/* Where the next content begins: blank space is not carried over to the next page. */
static float next_content(const struct render_native *n, float at)
{
    float next = 1e9F;
    for (size_t i = 0; i < n->item_count; i++) {
        const struct nd_item *item = &n->items[i];
        if (item->y + item->h <= at + 0.01F) {
            continue;
        }
        if (item->y < at) {
            return at; /* something goes on across the cut */
        }
        next = item->y < next ? item->y : next;
    }
    return next < 1e8F ? next : at;
}

static const struct nd_head *head_at(const struct render_native *n, float at)
{
    for (size_t i = 0; i < n->head_count; i++) {
        if (at > n->heads[i].bottom - 0.5F && at < n->heads[i].table_bottom - 1) {
            return &n->heads[i];
        }
    }
    return NULL;
}

static float forced(const struct render_native *n, float from, float to)
{
    for (size_t i = 0; i < n->break_count; i++) {
        if (n->breaks[i] > from + 1 && n->breaks[i] < to) {
            return n->breaks[i];
        }
    }
    return to;
}

static void cut(struct render_native *n, struct pages *p, float end, float first, float whole)
{
    float from = 0;
    while (from < end - 0.5F && p->count <= RENDER_MAX_PAGES && !nd_is_late(n)) {
        const struct nd_head *head = p->count > 0 ? head_at(n, from) : NULL;
        float room =
            (p->count == 0 ? first : whole) - (head != NULL ? head->bottom - head->top : 0);
        float to = from + room;
        if (to < end) {
            to = place_to_cut(n, from, to, whole);
            if (p->count == 0 && to <= from + 1) {
                to = from; /* nothing fits below the header block */
            }
        } else {
            to = end;
        }
        to = forced(n, from, to);
        p->list = nd_more(n, p->list, p->count, &p->room, sizeof *p->list);
        p->list[p->count++] = (struct cut){from, to, head};
        from = to < end ? next_content(n, to) : to;
    }
}

/* ---- drawing ---- */

static bool is_on(const struct nd_item *i, const struct cut *c)
{
    if (i->kind == ITEM_LINE || i->kind == ITEM_MARKER || i->kind == ITEM_BOX) {
        float at = i->y + (i->kind == ITEM_MARKER ? i->h - 1 : 0.02F); /* whole, where it begins */
        return at >= c->from && at < c->to;
    }
    return i->y < c->to && i->y + i->h > c->from;
}

/* Which items are on each page: chains through `next`, in the order of the list. */
struct chains {
    int *first, *last;
    struct link {
        int item, next;
    } * links;
    size_t count, room;
};

static void chain(struct render_native *n, const struct pages *p, struct chains *c)
{
    c->first = nd_alloc(n, (p->count + 1) * sizeof *c->first);
    c->last = nd_alloc(n, (p->count + 1) * sizeof *c->last);
    memset(c->first, 0xFF, (p->count + 1) * sizeof *c->first);
    for (size_t i = 0; i < n->item_count; i++) {
        size_t low = 0;
        size_t high = p->count;
        while (low < high) { /* the first page that ends below its top */
            size_t middle = (low + high) / 2;
            if (p->list[middle].to <= n->items[i].y) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        for (size_t k = low; k < p->count && p->list[k].from < n->items[i].y + n->items[i].h + 1;
             k++) {
            if (!is_on(&n->items[i], &p->list[k])) {
                continue;
            }
            c->links = nd_more(n, c->links, c->count, &c->room, sizeof *c->links);
            c->links[c->count] = (struct link){(int)i, -1};
            if (c->first[k] < 0) {
                c->first[k] = (int)c->count;
            } else {
                c->links[c->last[k]].next = (int)c->count;
            }
            c->last[k] = (int)c->count++;
        }
    }
}

static void draw_page(struct render_native *n, const struct cut *c, const struct chains *all,
                      size_t at, double scale, double top)
{
    double shift = top;
    if (c->head != NULL) {
        bool is_tagged = n->page.is_tagged;
        n->page.is_tagged = false; /* it was heard before */
        for (int i = c->head->first_item; i < c->head->end_item; i++) {
            nd_draw_item(n, &n->items[i], scale, ND_MARGIN_X, top - c->head->top * scale,
                         c->head->top, c->head->bottom);
        }
        n->page.is_tagged = is_tagged;
        shift += (c->head->bottom - c->head->top) * scale;
    }
    for (int i = all->first[at]; i >= 0; i = all->links[i].next) {
        const struct nd_item *item = &n->items[all->links[i].item];
        nd_tags_item(n, item, c->to, item->y * scale + shift - c->from * scale);
        nd_draw_item(n, item, scale, ND_MARGIN_X, shift - c->from * scale, c->from, c->to);
    }
}

static float end_of(const struct render_native *n)
{
    float end = 0;
    for (size_t i = 0; i < n->item_count; i++) {
        float bottom = n->items[i].y + n->items[i].h;
        end = bottom > end ? bottom : end;
    }
    return end;
}

enum fb_status nd_pages(struct render_native *n, struct fb_error *err)
{
    struct render_page *p = &n->page;
    struct pages pages = {0};
    struct chains chains = {0};
    double scale = n->fit / ND_PX_PER_PT;
    double room = p->height - RENDER_MARGIN_FOOT;
    if (n->keep_count > 0) {
        qsort(n->keeps, n->keep_count, sizeof *n->keeps, compare_keeps);
    }
    if (n->break_count > 0) {
        qsort(n->breaks, n->break_count, sizeof *n->breaks, compare_floats);
    }
    cut(n, &pages, end_of(n), (float)((room - p->y) / scale),
        (float)((room - RENDER_MARGIN_TOP) / scale));
    if (n->max_pages > 0 && (pages.count > n->max_pages || nd_is_late(n))) {
        return FB_DENIED; /* an attached message that is too long is shown as text */
    }
    n->deadline_ns =
        n->max_pages > 0 ? INT64_MAX : n->deadline_ns; /* few pages: drawn to their end */
    chain(n, &pages, &chains);
    enum fb_status s = FB_OK;
    nd_tags_begin(n);
    double next = p->y; /* where sections go on */
    for (size_t i = 0; i < pages.count && s == FB_OK; i++) {
        nd_tags_rest(n);
        s = i > 0 ? render_page_next(p, err) : FB_OK;
        if (s == FB_OK && nd_is_late(n)) {
            s = fb_error_set(err, FB_TOO_BIG, "the HTML body takes too long to be painted");
        }
        if (s == FB_OK) {
            draw_page(n, &pages.list[i], &chains, i, scale, i == 0 ? p->y : RENDER_MARGIN_TOP);
            const struct cut *c = &pages.list[i];
            double head = c->head != NULL ? c->head->bottom - c->head->top : 0;
            double below = i == 0 ? p->y : RENDER_MARGIN_TOP;
            next = below + (c->to - c->from + head) * scale;
        }
    }
    nd_tags_end(n);
    p->y = next;
    return s;
}
