/* SPDX-License-Identifier: Apache-2.0
 *
 * The scan: lines go in, limits and masks come out.  A line is kept only up to LINE_KEPT bytes, a
 * field only when it is a Content-Type.
 */
#include "services/render/mime_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/params.h"

#define LINE_KEPT  4096
#define CHUNK_SIZE 65536

struct level {
    char boundary[MIME_SCAN_BOUNDARY_MAX + 3]; /* with the leading "--" */
    size_t length;
    uint64_t type_offset; /* of the Content-Type field that opened it */
    uint64_t preamble;    /* bytes so far in front of the first delimiter */
    bool has_parts;       /* a delimiter was seen */
    bool is_closed;       /* the closing delimiter was seen: only an epilogue follows */
};

struct scanner {
    struct mime_scan *scan;
    struct level levels[FB_MAX_DEPTH + 1];
    size_t depth;
    bool has_body;          /* scan->body_offset is known */
    bool in_header, is_top; /* is_top: the header at hand is the message's */
    uint64_t top_lines, part_lines, part_bytes, outside;
    /* The field at hand. */
    struct fb_buf type; /* value of the part's first Content-Type */
    uint64_t type_offset;
    bool has_type, in_type;
    uint64_t field_offset, field_bytes;
    bool in_mime_field;
    /* The line at hand. */
    uint8_t line[LINE_KEPT];
    size_t kept;
    uint64_t line_offset, line_bytes;
    struct fb_error *err;
};

static enum fb_status add_mask(struct scanner *s, uint64_t offset)
{
    struct mime_scan *scan = s->scan;
    if (scan->mask_count > 0 && scan->masks[scan->mask_count - 1] == offset) {
        return FB_OK;
    }
    if (scan->mask_count == MIME_SCAN_MASKS_MAX) {
        return fb_error_set(s->err, FB_TOO_BIG, "more than %d broken MIME fields",
                            MIME_SCAN_MASKS_MAX);
    }
    scan->masks[scan->mask_count++] = offset;
    return FB_OK;
}

/* A field ended. */
static enum fb_status end_field(struct scanner *s)
{
    enum fb_status status = FB_OK;
    if (s->in_mime_field && s->field_bytes > MIME_SCAN_FIELD_BYTES) {
        status = add_mask(s, s->field_offset);
        s->has_type = s->in_type ? false : s->has_type;
    }
    s->in_mime_field = false;
    s->in_type = false;
    s->field_bytes = 0;
    return status;
}

/* Opens a level when the part's Content-Type is a multipart. */
static enum fb_status open_level(struct scanner *s)
{
    struct render_params p = {0};
    enum fb_status status = render_params_parse(fb_slice_buf(&s->type), &p);
    if (status != FB_OK) {
        return fb_error_set(s->err, status, "reading a Content-Type");
    }
    if (fb_slice_istarts(fb_slice_str(p.value), "multipart/")) {
        char *boundary = render_params_dup(&p, "boundary", MIME_SCAN_BOUNDARY_MAX + 1);
        size_t n = boundary != NULL ? strlen(boundary) : 0;
        if (n == 0 || n > MIME_SCAN_BOUNDARY_MAX) {
            status = add_mask(s, s->type_offset);
        } else if (s->depth > FB_MAX_DEPTH - 1) {
            status =
                fb_error_set(s->err, FB_TOO_BIG, "parts nested more than %d deep", FB_MAX_DEPTH);
        } else {
            struct level *l = &s->levels[s->depth++];
            *l = (struct level){.length = n + 2, .type_offset = s->type_offset};
            (void)snprintf(l->boundary, sizeof l->boundary, "--%s", boundary);
        }
        free(boundary);
    }
    render_params_deinit(&p);
    return status;
}

static enum fb_status end_header(struct scanner *s)
{
    enum fb_status status = end_field(s);
    s->in_header = false;
    if (s->is_top) {
        s->scan->head_size = s->line_offset;
        s->is_top = false;
    }
    if (status == FB_OK && s->has_type) {
        status = open_level(s);
    }
    s->has_type = false;
    fb_buf_clear(&s->type);
    return status;
}

static void begin_header(struct scanner *s)
{
    s->in_header = true;
    s->has_type = false;
    fb_buf_clear(&s->type);
}

/* Takes levels above `depth` away; one that never had a part is no multipart. */
static enum fb_status close_levels(struct scanner *s, size_t depth)
{
    enum fb_status status = FB_OK;
    while (s->depth > depth && status == FB_OK) {
        struct level *l = &s->levels[--s->depth];
        if (!l->has_parts) {
            status = add_mask(s, l->type_offset);
        }
    }
    return status;
}

/* Is the line a delimiter of level l ("--boundary", "--boundary--", blanks behind)? */
static bool is_delimiter(const struct scanner *s, const struct level *l, bool *is_end_r)
{
    if (s->kept < l->length || memcmp(s->line, l->boundary, l->length) != 0) {
        return false;
    }
    size_t i = l->length;
    *is_end_r = s->kept - i >= 2 && s->line[i] == '-' && s->line[i + 1] == '-';
    i += *is_end_r ? 2 : 0;
    while (i < s->kept &&
           (s->line[i] == ' ' || s->line[i] == '\t' || s->line[i] == '\r' || s->line[i] == '\n')) {
        i++;
    }
    return i == s->kept;
}

/* Handles a delimiter line; *is_one_r says whether it was one. */
static enum fb_status try_delimiter(struct scanner *s, bool *is_one_r)
{
    enum fb_status status = FB_OK;
    *is_one_r = false;
    if (s->kept < 3 || s->line[0] != '-' || s->line[1] != '-') {
        return FB_OK;
    }
    for (size_t i = s->depth; i-- > 0;) {
        bool is_end = false;
        if (s->levels[i].is_closed || !is_delimiter(s, &s->levels[i], &is_end)) {
            continue;
        }
        *is_one_r = true;
        if (s->in_header) {
            status = end_field(s);
            s->in_header = false;
        }
        if (status == FB_OK) {
            status = close_levels(s, i + 1);
        }
        s->outside += s->levels[i].has_parts ? 0 : s->levels[i].preamble;
        s->levels[i].has_parts = true;
        s->levels[i].is_closed = is_end;
        if (!is_end && status == FB_OK) {
            begin_header(s);
            if (++s->scan->part_count > FB_MAX_PARTS) {
                status = fb_error_set(s->err, FB_TOO_BIG, "more than %d parts", FB_MAX_PARTS);
            }
        }
        return status;
    }
    return FB_OK;
}

static enum fb_status count_header_line(struct scanner *s)
{
    if (s->is_top) {
        if (++s->top_lines > FB_MAX_HEADER_LINES) {
            return fb_error_set(s->err, FB_TOO_BIG, "more than %d header lines",
                                FB_MAX_HEADER_LINES);
        }
        if (s->line_offset + s->line_bytes > FB_MAX_HEADER_BYTES) {
            return fb_error_set(s->err, FB_TOO_BIG, "header larger than %u bytes",
                                FB_MAX_HEADER_BYTES);
        }
        return FB_OK;
    }
    s->part_bytes += s->line_bytes;
    if (++s->part_lines > MIME_SCAN_PART_HEADER_LINES ||
        s->part_bytes > MIME_SCAN_PART_HEADER_BYTES) {
        return fb_error_set(s->err, FB_TOO_BIG,
                            "headers of the parts longer than %d lines or %u bytes",
                            MIME_SCAN_PART_HEADER_LINES, MIME_SCAN_PART_HEADER_BYTES);
    }
    return FB_OK;
}

/* A field begins: the first Content-Type counts, further ones are hidden from the library, which
 * would mix them. */
static enum fb_status begin_field(struct scanner *s, struct fb_slice line)
{
    size_t colon = fb_slice_find(line, FB_SLICE_LITERAL(":"));
    struct fb_slice name = fb_slice_trim(fb_slice_sub(line, 0, colon));
    if (colon == SIZE_MAX || !fb_slice_ieq_str(name, "content-type")) {
        return FB_OK;
    }
    if (s->has_type) {
        return add_mask(s, s->line_offset);
    }
    s->has_type = true;
    s->in_type = true;
    s->type_offset = s->line_offset;
    return FB_OK;
}

static enum fb_status header_line(struct scanner *s)
{
    struct fb_slice line = fb_slice_of(s->line, s->kept);
    enum fb_status status = count_header_line(s);
    if (status != FB_OK) {
        return status;
    }
    if (fb_slice_trim(line).len == 0 && s->line[0] != ' ' && s->line[0] != '\t') {
        status = end_header(s);
        if (status == FB_OK && !s->has_body) {
            s->scan->body_offset = s->line_offset + s->line_bytes;
            s->has_body = true;
        }
        return status;
    }
    if (s->line[0] != ' ' && s->line[0] != '\t') {
        status = end_field(s);
        s->field_offset = s->line_offset;
        s->in_mime_field = fb_slice_istarts(line, "content-");
        if (status == FB_OK) {
            status = begin_field(s, line);
        }
    }
    s->field_bytes += s->line_bytes;
    return status;
}

/* A message that begins with text instead of a field (or an mbox's "From ") has no header: all of
 * it is body. */
static bool is_headless(const struct scanner *s)
{
    struct fb_slice line = fb_slice_of(s->line, s->kept);
    bool is_first = s->is_top && s->line_offset == 0;
    size_t n = 0;
    while (n < line.len && line.ptr[n] > 0x20 && line.ptr[n] < 0x7F && line.ptr[n] != ':') {
        n++;
    }
    while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t')) {
        n++;
    }
    bool is_field = n > 0 && n < line.len && line.ptr[n] == ':';
    return is_first && !is_field && fb_slice_trim(line).len > 0 &&
           !fb_slice_istarts(line, "From ") && !fb_slice_istarts(line, ">From ");
}

/* Bytes of a header line arrive: a Content-Type is collected, the rest only counted. */
static enum fb_status collect_type(struct scanner *s, const uint8_t *bytes, size_t len)
{
    if (!s->in_header || !s->in_type || s->type.len + len > MIME_SCAN_FIELD_BYTES) {
        return FB_OK;
    }
    return fb_buf_add(&s->type, bytes, len);
}

static enum fb_status end_line(struct scanner *s)
{
    bool is_delimiter_line = false;
    if (s->in_header && is_headless(s)) {
        s->in_header = false;
        s->is_top = false;
        s->has_body = true;
    }
    bool was_header = s->in_header;
    enum fb_status status = try_delimiter(s, &is_delimiter_line);
    if (status == FB_OK && !is_delimiter_line) {
        if (was_header) {
            status = header_line(s);
            if (status == FB_OK && s->in_type) {
                struct fb_slice line = fb_slice_of(s->line, s->kept);
                size_t colon = s->type_offset == s->line_offset
                                   ? fb_slice_find(line, FB_SLICE_LITERAL(":")) + 1
                                   : 0;
                status = collect_type(s, s->line + colon, s->kept - colon);
            }
        } else if (s->depth > 0) {
            struct level *l = &s->levels[s->depth - 1];
            /* A multipart without any delimiter ends up masked and read as one text: its bytes do
             * not count. */
            l->preamble += l->has_parts ? 0 : s->line_bytes;
            s->outside += l->is_closed ? s->line_bytes : 0;
        }
    }
    if (status == FB_OK && s->outside > MIME_SCAN_OUTSIDE_BYTES) {
        status = fb_error_set(s->err, FB_TOO_BIG, "more than %u bytes outside of MIME parts",
                              MIME_SCAN_OUTSIDE_BYTES);
    }
    s->line_offset += s->line_bytes;
    s->line_bytes = 0;
    s->kept = 0;
    return status;
}

static enum fb_status take_chunk(struct scanner *s, const uint8_t *bytes, size_t len)
{
    enum fb_status status = FB_OK;
    while (len > 0 && status == FB_OK) {
        const uint8_t *lf = memchr(bytes, '\n', len);
        size_t n = lf != NULL ? (size_t)(lf - bytes) + 1 : len;
        size_t keep = n < LINE_KEPT - s->kept ? n : LINE_KEPT - s->kept;
        memcpy(s->line + s->kept, bytes, keep);
        s->kept += keep;
        s->line_bytes += n;
        if (s->in_header && s->is_top && s->line_offset + s->line_bytes > FB_MAX_HEADER_BYTES) {
            return fb_error_set(s->err, FB_TOO_BIG, "header larger than %u bytes",
                                FB_MAX_HEADER_BYTES);
        }
        if (lf != NULL) {
            status = end_line(s);
        }
        bytes += n;
        len -= n;
    }
    return status;
}

enum fb_status mime_scan_run(const struct render_source *source, struct mime_scan *scan_r,
                             struct fb_error *err)
{
    struct scanner *s = fb_xcalloc(1, sizeof *s);
    uint8_t *chunk = fb_xcalloc(1, CHUNK_SIZE);
    enum fb_status status = FB_OK;
    uint64_t offset = 0;
    *scan_r = (struct mime_scan){0};
    s->scan = scan_r;
    s->err = err;
    s->is_top = true;
    fb_buf_init(&s->type, MIME_SCAN_FIELD_BYTES);
    begin_header(s);
    while (status == FB_OK && offset < source->size) {
        size_t n = 0;
        status = source->read(source->ctx, offset, chunk, CHUNK_SIZE, &n, err);
        if (status == FB_OK && n == 0) {
            break;
        }
        if (status == FB_OK) {
            offset += n;
            status = take_chunk(s, chunk, n);
        }
    }
    if (status == FB_OK && s->line_bytes > 0) {
        status = end_line(s);
    }
    if (status == FB_OK && s->in_header) {
        status = end_header(s);
    }
    if (status == FB_OK) {
        status = close_levels(s, 0);
    }
    if (!s->has_body) {
        scan_r->body_offset = offset;
    }
    fb_buf_deinit(&s->type);
    free(chunk);
    free(s);
    return status;
}
