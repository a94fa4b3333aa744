/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/flowed.h"

#include <string.h>

/* Pango's layout of one paragraph is worse than linear; no person writes more in one. */
#define MAX_PARAGRAPH 8192
#define MAX_DEPTH     50

void render_paragraphs_init(struct render_paragraphs *p, struct fb_slice body, bool is_flowed,
                            bool is_delsp)
{
    *p = (struct render_paragraphs){.rest = body, .is_flowed = is_flowed, .is_delsp = is_delsp};
    fb_buf_init(&p->joined, MAX_PARAGRAPH);
}

void render_paragraphs_deinit(struct render_paragraphs *p)
{
    fb_buf_deinit(&p->joined);
}

/* The length to cut at so that no UTF-8 character is broken, at a space when one is near. */
static size_t cut(struct fb_slice line, size_t most)
{
    size_t n = most;
    while (n > 0 && (line.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    for (size_t i = n; i > n / 2; i--) {
        if (line.ptr[i - 1] == ' ') {
            return i;
        }
    }
    return n > 0 ? n : most;
}

static struct fb_slice peek_line(struct fb_slice rest, size_t *taken_r)
{
    const uint8_t *lf = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
    struct fb_slice line = rest;
    if (lf != NULL) {
        line.len = (size_t)(lf - rest.ptr);
    }
    *taken_r = lf != NULL ? line.len + 1 : line.len;
    if (line.len > MAX_PARAGRAPH) {
        line.len = cut(line, MAX_PARAGRAPH);
        *taken_r = line.len;
    } else if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

static int quote_depth(struct fb_slice line, bool is_flowed, size_t *marks_r)
{
    size_t i = 0;
    int depth = 0;
    while (i < line.len && depth < MAX_DEPTH) {
        if (line.ptr[i] == '>') {
            depth++;
        } else if (is_flowed || line.ptr[i] != ' ' || depth == 0) {
            break; /* "> > x" counts twice in plain text; flowed text knows only ">>" (RFC 3676 4.5)
                    */
        }
        i++;
    }
    *marks_r = i;
    return depth;
}

bool render_paragraphs_next(struct render_paragraphs *p, struct render_paragraph *paragraph_r)
{
    if (p->rest.len == 0) {
        return false;
    }
    size_t taken = 0;
    size_t marks = 0;
    struct fb_slice line = peek_line(p->rest, &taken);
    int depth = quote_depth(line, p->is_flowed, &marks);
    if (!p->is_flowed) {
        p->rest = fb_slice_sub(p->rest, taken, SIZE_MAX);
        *paragraph_r = (struct render_paragraph){line, depth, false};
        return true;
    }
    fb_buf_clear(&p->joined);
    bool goes_on = true;
    while (goes_on && p->rest.len > 0) {
        line = peek_line(p->rest, &taken);
        int this_depth = quote_depth(line, true, &marks);
        struct fb_slice text = fb_slice_sub(line, marks, SIZE_MAX);
        if (text.len > 0 && text.ptr[0] == ' ') {
            text = fb_slice_sub(text, 1, SIZE_MAX); /* space-stuffing (4.4) */
        }
        bool is_signature_mark = fb_slice_eq_str(text, "-- ");
        if (p->joined.len > 0 && (this_depth != depth || is_signature_mark)) {
            break; /* 4.5: a flowed line never joins another depth; 4.3: "-- " stands alone */
        }
        goes_on = text.len > 0 && text.ptr[text.len - 1] == ' ' && !is_signature_mark;
        if (goes_on && p->is_delsp) {
            text.len--;
        }
        if (fb_buf_add_slice(&p->joined, text) != FB_OK) {
            if (p->joined.len > 0) {
                break; /* the paragraph is long enough: the rest is the next one */
            }
            text.len = 0; /* cannot happen: a line is no longer than a paragraph */
        }
        p->rest = fb_slice_sub(p->rest, taken, SIZE_MAX);
    }
    *paragraph_r = (struct render_paragraph){fb_slice_buf(&p->joined), depth, true};
    return true;
}
