/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure of the document, for those who have it read aloud (ISO 32000-1, 14.8).
 *
 * Items come in the order of the document, page by page.  Each belongs to the elements above its box:
 * what differs from those that are open is ended and begun.  An element that goes on on the next page stays
 * open; a cell that goes on beside another one is begun again there, since Cairo knows no way back.
 *
 * Tables that hold a layout together are no elements: who listens wants to hear the words. */
#include "services/render/forwarded.h"
#include "services/render/native_internal.h"

#define LEVEL_MAX 3 /* of headings that get a bookmark */
#define CELLS_MIN 4
#define CELLS_MAX 200 /* that are looked at, to know a table's kind */

static bool is_data_cell(const struct nd_box *cell)
{
    bool has_lines = true;
    for (int side = 0; side < 4; side++) {
        const struct nd_border *b = cell->used != NULL ? cell->used : cell->style->border;
        has_lines = has_lines && b[side].width > 0 && b[side].style > ND_HIDDEN;
    }
    return cell->tag == GUMBO_TAG_TH || has_lines;
}

static int look_at_cells(const struct nd_box *row, int left, bool *is_data_r)
{
    for (const struct nd_box *c = row->first; c != NULL && left > 0; c = c->next, left--) {
        *is_data_r = *is_data_r || (c->kind == BOX_CELL && is_data_cell(c));
    }
    return left;
}

static bool is_data(struct nd_box *table)
{
    bool found = false; /* a frame around one or two cells is none */
    int left = CELLS_MAX;
    for (const struct nd_box *c = table->first; c != NULL && left > 0 && table->data == 0;
         c = c->next) {
        found = found || c->kind == BOX_CAPTION;
        for (const struct nd_box *r = c->kind == BOX_GROUP ? c->first : NULL; r != NULL && left > 0;
             r = r->next) {
            left = look_at_cells(r, left, &found);
        }
        left = c->kind == BOX_ROW ? look_at_cells(c, left, &found) : left;
    }
    table->data = table->data != 0 ? table->data : found && CELLS_MAX - left >= CELLS_MIN ? 1 : 2;
    return table->data == 1;
}

static struct nd_box *table_of(struct nd_box *b)
{
    while (b != NULL && b->kind != BOX_TABLE) {
        b = b->parent;
    }
    return b;
}

/* Of a box in a table; NULL: none. */
static const char *table_tag(struct nd_box *b)
{
    struct nd_box *table = table_of(b);
    if (table == NULL || !is_data(table)) {
        return NULL;
    }
    switch (b->kind) {
    case BOX_TABLE:
        return "Table";
    case BOX_ROW:
        return "TR";
    case BOX_CELL:
        return b->tag == GUMBO_TAG_TH ? "TH" : "TD";
    case BOX_CAPTION:
        return "Caption";
    default:
        return NULL;
    }
}

static const char *tag_of(struct nd_box *b)
{
    static const char *const headings[] = {"H1", "H2", "H3", "H4", "H5", "H6"};
    if (b->kind == BOX_TABLE || b->kind == BOX_ROW || b->kind == BOX_CELL ||
        b->kind == BOX_CAPTION) {
        return table_tag(b);
    }
    if (b->kind == BOX_TEXT) { /* the words of a heading are the heading */
        const char *outer = b->parent != NULL ? tag_of(b->parent) : NULL;
        bool is_alone = b->parent != NULL && b->parent->first == b && b->next == NULL;
        return outer != NULL && outer[0] == 'H' && is_alone ? NULL
               : outer != NULL && strcmp(outer, "LI") == 0  ? "LBody"
                                                            : "P";
    }
    if (b->tag >= GUMBO_TAG_H1 && b->tag <= GUMBO_TAG_H6) {
        return headings[b->tag - GUMBO_TAG_H1];
    }
    switch (b->tag) {
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_MENU:
    case GUMBO_TAG_DIR:
        return "L";
    case GUMBO_TAG_LI:
        return b->parent != NULL && tag_of(b->parent) != NULL && tag_of(b->parent)[0] == 'L' ? "LI"
                                                                                             : NULL;
    case GUMBO_TAG_BLOCKQUOTE:
        return "BlockQuote";
    default:
        return NULL;
    }
}

/* The elements above and with b, the outermost first. */
static int path_of(struct nd_box *b, struct nd_box *path[RENDER_TAG_DEPTH])
{
    struct nd_box *all[RENDER_TAG_DEPTH];
    int count = 0;
    for (; b != NULL && count < RENDER_TAG_DEPTH - 10; b = b->parent) {
        if (tag_of(b) != NULL) {
            all[count++] = b;
        }
    }
    for (int i = 0; i < count; i++) {
        path[i] = all[count - 1 - i];
    }
    return count;
}

static void end_to(struct render_native *n, int count)
{
    struct nd_tags *t = &n->tags;
    render_page_span_end(&n->page);
    n->page.uses_spans = false;
    t->owner = t->count > count ? NULL : t->owner;
    while (t->count > count) {
        render_page_tag_end(&n->page, tag_of(t->path[--t->count]));
    }
}

/* Words of a text stand in "Span" where pictures or links stand between them, or a page ends. */
static bool needs_spans(const struct nd_text *t, float y, const struct nd_item *i, float bottom)
{
    bool needs = t->object_count > 0 || y + t->height > bottom || i->line > 0;
    for (int r = 0; r < t->run_count && !needs; r++) {
        needs = t->runs[r].href != NULL;
    }
    return needs;
}

static void open_path(struct render_native *n, struct nd_box *owner)
{
    struct nd_tags *t = &n->tags;
    struct nd_box *path[RENDER_TAG_DEPTH];
    int count = path_of(owner, path);
    int same = 0;
    while (same < count && same < t->count && path[same] == t->path[same]) {
        same++;
    }
    end_to(n, same);
    for (int i = same; i < count; i++) {
        render_page_tag_begin(&n->page, tag_of(path[i]));
        t->path[t->count++] = path[i];
    }
    t->owner = owner;
}

static void note(struct render_native *n, const struct nd_item *i, double y)
{
    char title[RENDER_FORWARDED_TITLE];
    const struct nd_box *b = i->owner->parent;
    double before = n->page.y;
    n->page.y = y;
    if (b != NULL && b->tag >= GUMBO_TAG_H1 && b->tag < GUMBO_TAG_H1 + LEVEL_MAX) {
        render_page_bookmark(&n->page, fb_buf_str(&i->text->text),
                             (int)(b->tag - GUMBO_TAG_H1) + 1);
    } else if (render_forwarded_begins(fb_slice_buf(&i->text->text), title)) {
        render_page_bookmark(&n->page, title, 1);
    }
    n->page.y = before;
}

void nd_tags_begin(struct render_native *n)
{
    n->tags = (struct nd_tags){0};
}

void nd_tags_item(struct render_native *n, const struct nd_item *i, float bottom, double y)
{
    if (!n->page.is_tagged) {
        return;
    }
    if (i->owner == NULL) { /* ornament */
        nd_tags_rest(n);
        return;
    }
    if (i->owner != n->tags.owner) {
        open_path(n, i->owner);
        n->page.uses_spans =
            i->text != NULL && needs_spans(i->text, i->y - i->text->lines[i->line].y, i, bottom);
        if (i->text != NULL && i->line == 0) {
            note(n, i, y);
        }
        if (i->kind != ITEM_LINE) { /* what it opened holds an element */
            n->page.uses_spans = true;
        }
    }
    if (i->kind == ITEM_LINE) {
        render_page_span_begin(&n->page);
    } else {
        render_page_span_end(&n->page);
    }
}

void nd_tags_rest(struct render_native *n)
{
    bool has_words = n->tags.owner != NULL && n->tags.count > 0 && !n->page.uses_spans;
    if (has_words) {
        end_to(n, n->tags.count - 1);
        n->tags.owner = NULL;
    } else {
        render_page_span_end(&n->page);
    }
}

void nd_tags_end(struct render_native *n)
{
    end_to(n, 0);
}
