/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass: a mailbox is collected as two raw strings, what is inside of < > and what is outside.
 */
#include "services/render/addresses.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/charset.h"
#include "services/render/words.h"

struct collect {
    struct fb_buf outside; /* phrase, or the bare address */
    struct fb_buf inside;  /* of < > */
    struct fb_buf comment;
    bool has_angle;
    size_t max;
    struct render_addresses *list;
};

static char *dup_utf8(struct fb_slice s, size_t max)
{
    struct fb_buf out = {0};
    char *copy = NULL;
    fb_buf_init(&out, s.len * 4 + 16);
    if (render_charset_to_utf8(s, NULL, &out) == FB_OK) {
        struct fb_slice text = fb_slice_buf(&out);
        copy = fb_slice_dup_str(fb_slice_sub(text, 0, render_utf8_cut(text, max)));
    }
    fb_buf_deinit(&out);
    return copy;
}

/* An address without its blanks, quotes of the domain and source route "@a,@b:" (RFC 5322 4.4). */
static struct fb_slice bare_address(struct fb_slice s)
{
    s = fb_slice_trim(s);
    if (s.len > 0 && s.ptr[0] == '@') {
        const uint8_t *colon = memchr(s.ptr, ':', s.len);
        s = colon != NULL ? fb_slice_sub(s, (size_t)(colon - s.ptr) + 1, s.len) : s;
    }
    return fb_slice_trim(s);
}

static void collect_clear(struct collect *c)
{
    fb_buf_clear(&c->outside);
    fb_buf_clear(&c->inside);
    fb_buf_clear(&c->comment);
    c->has_angle = false;
}

/* A mailbox ended: keeps it when it has an address. */
static enum fb_status collect_end(struct collect *c)
{
    struct render_addresses *list = c->list;
    struct fb_slice address = bare_address(fb_slice_buf(c->has_angle ? &c->inside : &c->outside));
    struct fb_slice name = fb_slice_trim(fb_slice_buf(c->has_angle ? &c->outside : &c->comment));
    if (name.len == 0) {
        name = fb_slice_trim(fb_slice_buf(&c->comment));
    }
    enum fb_status status = FB_OK;
    bool is_mailbox =
        address.len > 2 && address.len <= FB_MAX_ADDRESS && memchr(address.ptr, '@', address.len);
    if (is_mailbox && list->count < c->max) {
        if ((list->count & (list->count + 1)) == 0) { /* 0, 1, 3, 7...: room for twice as many */
            void *grown = realloc(list->items, (list->count * 2 + 2) * sizeof *list->items);
            status = grown != NULL ? FB_OK : FB_NO_SPACE;
            list->items = grown != NULL ? grown : list->items;
        }
        if (status == FB_OK) {
            struct render_address a = {.name = render_words_dup(name, FB_MAX_SUBJECT),
                                       .address = dup_utf8(address, FB_MAX_ADDRESS)};
            if (a.name == NULL || a.address == NULL) {
                free(a.name);
                free(a.address);
                status = FB_NO_SPACE;
            } else {
                list->items[list->count++] = a;
            }
        }
    }
    collect_clear(c);
    return status;
}

/* Copies "..." without its quotes; in an address they stay, they are part of the local part. */
static size_t read_quoted(struct fb_slice s, struct fb_buf *to, bool keeps_quotes,
                          enum fb_status *status)
{
    size_t i = 1;
    *status = keeps_quotes ? fb_buf_add_char(to, '"') : FB_OK;
    while (i < s.len && s.ptr[i] != '"' && *status == FB_OK) {
        if (s.ptr[i] == '\\' && i + 1 < s.len) {
            *status = keeps_quotes ? fb_buf_add_char(to, '\\') : FB_OK;
            i++;
        }
        if (*status == FB_OK) {
            *status = fb_buf_add(to, s.ptr + i, 1);
        }
        i++;
    }
    if (*status == FB_OK && keeps_quotes) {
        *status = fb_buf_add_char(to, '"');
    }
    return i < s.len ? i + 1 : i;
}

static size_t read_comment(struct fb_slice s, struct fb_buf *to, enum fb_status *status)
{
    size_t depth = 1;
    size_t i = 1;
    for (; i < s.len && depth > 0 && *status == FB_OK; i++) {
        uint8_t c = s.ptr[i];
        depth += c == '(';
        depth -= c == ')';
        if (c == '\\' && i + 1 < s.len) {
            c = s.ptr[++i];
        }
        if (depth > 0) {
            *status = fb_buf_add(to, &c, 1);
        }
    }
    return i;
}

/* Is the quoted string at s a local part ("a b"@example.jp)? */
static bool is_local_part(struct fb_slice s)
{
    size_t i = 1;
    while (i < s.len && s.ptr[i] != '"') {
        i += s.ptr[i] == '\\' ? 2 : 1;
    }
    return i + 1 < s.len && s.ptr[i + 1] == '@';
}

/* One character or token; returns the bytes used. */
static size_t collect_step(struct collect *c, struct fb_slice s, bool *in_angle,
                           enum fb_status *status)
{
    struct fb_buf *to = *in_angle ? &c->inside : &c->outside;
    switch (s.ptr[0]) {
    case '"':
        return read_quoted(s, to, *in_angle || is_local_part(s), status);
    case '(':
        return read_comment(s, &c->comment, status);
    case '<':
        *in_angle = true;
        c->has_angle = true;
        fb_buf_clear(&c->inside);
        return 1;
    case '>':
        *in_angle = false;
        return 1;
    case ',':
    case ';':
        if (!*in_angle || s.ptr[0] == ';') {
            *in_angle = false;
            *status = collect_end(c);
            return 1;
        }
        break;
    case ':':
        if (!*in_angle) { /* what stands before is a group's name */
            collect_clear(c);
            return 1;
        }
        break;
    case 0x1B: /* raw ISO-2022-JP: its second bytes look like any of the above */
        if (s.len > 2 && s.ptr[1] == '$') {
            size_t end = fb_slice_find(fb_slice_sub(s, 2, s.len), FB_SLICE_LITERAL("\033("));
            size_t n = end == SIZE_MAX ? 1 : end + 4 < s.len - 1 ? end + 5 : s.len;
            *status = fb_buf_add(to, s.ptr, n);
            return n;
        }
        break;
    default:
        break;
    }
    *status = fb_buf_add(to, s.ptr, 1);
    return 1;
}

enum fb_status render_addresses_add(struct fb_slice raw, size_t max, struct render_addresses *list)
{
    struct fb_buf line = {0};
    struct collect c = {.max = max, .list = list};
    fb_buf_init(&line, raw.len + 1);
    fb_buf_init(&c.outside, raw.len + 1);
    fb_buf_init(&c.inside, raw.len + 1);
    fb_buf_init(&c.comment, raw.len + 1);
    enum fb_status status = render_words_unfold(raw, &line);
    struct fb_slice s = fb_slice_buf(&line);
    bool in_angle = false;
    while (s.len > 0 && status == FB_OK) {
        size_t n = collect_step(&c, s, &in_angle, &status);
        s = fb_slice_sub(s, n, s.len);
    }
    if (status == FB_OK) {
        status = collect_end(&c);
    }
    fb_buf_deinit(&c.comment);
    fb_buf_deinit(&c.inside);
    fb_buf_deinit(&c.outside);
    fb_buf_deinit(&line);
    return status;
}

void render_addresses_deinit(struct render_addresses *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].address);
    }
    free(list->items);
    *list = (struct render_addresses){0};
}

char *render_addresses_dup_text(const struct render_addresses *list)
{
    struct fb_buf out = {0};
    char *copy = NULL;
    enum fb_status status = list->count > 0 ? FB_OK : FB_NOT_FOUND;
    fb_buf_init(&out, 8U * FB_MAX_HEADER_BYTES);
    for (size_t i = 0; i < list->count && status == FB_OK; i++) {
        const struct render_address *a = &list->items[i];
        const char *end = i > 0 ? "\n" : "";
        status = a->name[0] != '\0' ? fb_buf_printf(&out, "%s%s <%s>", end, a->name, a->address)
                                    : fb_buf_printf(&out, "%s%s", end, a->address);
    }
    if (status == FB_OK) {
        copy = fb_slice_dup_str(fb_slice_buf(&out));
    }
    fb_buf_deinit(&out);
    return copy;
}
