/* SPDX-License-Identifier: Apache-2.0 */
#include "common/policy/diff.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 2000 /* lines removed and added; the trace needs their square */

struct lines {
    struct fb_slice *items;
    size_t count;
};

struct work {
    const struct lines *from, *to;
    size_t head; /* lines that are the same at the beginning */
    size_t n, m; /* lines between the same ones at both ends */
    void (*each)(void *ctx, const struct fb_diff_line *line);
    void *ctx;
};

static void split(struct fb_slice text, struct lines *out)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '\n';
    }
    out->items = fb_xcalloc(count + 2, sizeof *out->items);
    out->count = 0;
    while (text.len > 0) {
        size_t end = fb_slice_find(text, FB_SLICE_LITERAL("\n"));
        size_t len = end == SIZE_MAX ? text.len : end;
        out->items[out->count++] = fb_slice_sub(text, 0, len);
        text = fb_slice_sub(text, end == SIZE_MAX ? text.len : end + 1, SIZE_MAX);
    }
}

static void tell(const struct work *w, char kind, size_t old, size_t new_)
{
    const struct fb_diff_line line = {.kind = kind,
                                      .old = kind == '+' ? 0 : old + 1,
                                      .new_ = kind == '-' ? 0 : new_ + 1,
                                      .text =
                                          kind == '+' ? w->to->items[new_] : w->from->items[old]};
    w->each(w->ctx, &line);
}

static bool same(const struct work *w, size_t x, size_t y)
{
    return fb_slice_eq(w->from->items[w->head + x], w->to->items[w->head + y]);
}

static void replace_all(const struct work *w)
{
    for (size_t x = 0; x < w->n; x++) {
        tell(w, '-', w->head + x, 0);
    }
    for (size_t y = 0; y < w->m; y++) {
        tell(w, '+', 0, w->head + y);
    }
}

/* Row d of the trace: how far each diagonal k = -d..d came with d steps; rows have 2d + 1 entries. */
static int32_t *row(int32_t *trace, int32_t d)
{
    return trace + (size_t)d * (size_t)(d + 1);
}

/* Whether diagonal k is reached by a line that was added (from above), not by one that was removed. */
static bool is_added(const int32_t *before, int32_t d, int32_t k)
{
    return k == -d || (k != d && before[k - 1] < before[k + 1]);
}

/* The number of steps, or -1: too many. */
static int32_t search(const struct work *w, int32_t *trace, int32_t most)
{
    for (int32_t d = 0; d <= most; d++) {
        const int32_t *before = d > 0 ? row(trace, d - 1) : NULL;
        int32_t *now = row(trace, d);
        for (int32_t k = -d; k <= d; k += 2) {
            int32_t x = d == 0 ? 0 : is_added(before, d, k) ? before[k + 1] : before[k - 1] + 1;
            int32_t y = x - k;
            while (x < (int32_t)w->n && y < (int32_t)w->m && same(w, (size_t)x, (size_t)y)) {
                x++;
                y++;
            }
            now[k] = x;
            if (x >= (int32_t)w->n && y >= (int32_t)w->m) {
                return d;
            }
        }
    }
    return -1;
}

struct edit {
    char kind;
    int32_t x, y;
};

/* Back from the end, then told forwards. */
static void tell_script(const struct work *w, int32_t *trace, int32_t steps)
{
    size_t count = 0;
    int32_t x = (int32_t)w->n;
    int32_t y = (int32_t)w->m;
    struct edit *script = fb_xcalloc(w->n + w->m + 1, sizeof *script);
    for (int32_t d = steps; d >= 0; d--) {
        int32_t k = x - y;
        const int32_t *before = d > 0 ? row(trace, d - 1) : NULL;
        bool is_down = d > 0 && is_added(before, d, k);
        int32_t from_x = d == 0 ? 0 : is_down ? before[k + 1] : before[k - 1];
        int32_t begin_x = d == 0 ? 0 : is_down ? from_x : from_x + 1;
        while (x > begin_x) {
            x--;
            y--;
            script[count++] = (struct edit){' ', x, y};
        }
        if (d > 0) {
            y = is_down ? from_x - k - 1 : from_x - k + 1;
            x = from_x;
            script[count++] = (struct edit){is_down ? '+' : '-', x, y};
        }
    }
    while (count-- > 0) {
        tell(w, script[count].kind, w->head + (size_t)script[count].x,
             w->head + (size_t)script[count].y);
    }
    free(script);
}

static void middle(const struct work *w)
{
    size_t most = w->n + w->m < MAX_STEPS ? w->n + w->m : MAX_STEPS;
    if (most == 0) {
        return;
    }
    int32_t *trace = fb_xcalloc((most + 1) * (most + 1) + 1, sizeof *trace);
    int32_t steps = search(w, trace, (int32_t)most);
    if (steps < 0) {
        replace_all(w);
    } else {
        tell_script(w, trace, steps);
    }
    free(trace);
}

void fb_diff(struct fb_slice from, struct fb_slice to,
             void (*each)(void *ctx, const struct fb_diff_line *line), void *ctx)
{
    struct lines a, b;
    split(from, &a);
    split(to, &b);
    size_t head = 0;
    size_t tail = 0;
    while (head < a.count && head < b.count && fb_slice_eq(a.items[head], b.items[head])) {
        head++;
    }
    while (head + tail < a.count && head + tail < b.count &&
           fb_slice_eq(a.items[a.count - 1 - tail], b.items[b.count - 1 - tail])) {
        tail++;
    }
    struct work w = {.from = &a,
                     .to = &b,
                     .head = head,
                     .n = a.count - head - tail,
                     .m = b.count - head - tail,
                     .each = each,
                     .ctx = ctx};
    for (size_t i = 0; i < head; i++) {
        tell(&w, ' ', i, i);
    }
    middle(&w);
    for (size_t i = 0; i < tail; i++) {
        tell(&w, ' ', a.count - tail + i, b.count - tail + i);
    }
    free(a.items);
    free(b.items);
}
