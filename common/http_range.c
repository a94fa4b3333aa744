/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_range.h"

#include <string.h>

#include "common/buf.h"

/* Digits to the end.  What is larger than any file is as good as the largest number. */
static bool take_number(struct fb_slice text, uint64_t *n_r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9) {
            return false;
        }
        if (__builtin_mul_overflow(n, 10U, &n) || __builtin_add_overflow(n, digit, &n)) {
            n = UINT64_MAX;
        }
    }
    *n_r = n;
    return text.len > 0;
}

static enum fb_http_range read_spec(struct fb_slice spec, uint64_t size, uint64_t *first_r,
                                    uint64_t *last_r)
{
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    size_t dash = fb_slice_find(spec, FB_SLICE_LITERAL("-"));
    struct fb_slice from = fb_slice_sub(spec, 0, dash == SIZE_MAX ? 0 : dash);
    struct fb_slice to = fb_slice_sub(spec, from.len + 1, SIZE_MAX);
    if (dash == SIZE_MAX) {
        return FB_HTTP_RANGE_WHOLE;
    }
    if (from.len == 0) { /* the last so many bytes */
        uint64_t count = 0;
        if (!take_number(to, &count)) {
            return FB_HTTP_RANGE_WHOLE;
        }
        if (count == 0) {
            return FB_HTTP_RANGE_NONE;
        }
        if (size == 0) {
            return FB_HTTP_RANGE_WHOLE; /* all of it, which no Content-Range can say */
        }
        *first_r = count < size ? size - count : 0;
        *last_r = size - 1;
        return FB_HTTP_RANGE_PART;
    }
    if (!take_number(from, &first) || (to.len > 0 && !take_number(to, &last)) || last < first) {
        return FB_HTTP_RANGE_WHOLE;
    }
    if (first >= size) {
        return FB_HTTP_RANGE_NONE;
    }
    *first_r = first;
    *last_r = last < size ? last : size - 1;
    return FB_HTTP_RANGE_PART;
}

enum fb_http_range fb_http_range_parse(const char *value, uint64_t size, uint64_t *first_r,
                                       uint64_t *last_r)
{
    struct fb_slice rest = fb_slice_trim(fb_slice_str(value));
    struct fb_slice only = {0};
    size_t count = 0;
    if (!fb_slice_istarts(rest, "bytes=")) {
        return FB_HTTP_RANGE_WHOLE;
    }
    rest = fb_slice_sub(rest, 6, SIZE_MAX);
    while (rest.len > 0) { /* a list, in which empty members count for nothing (RFC 9110 5.6.1) */
        size_t comma = fb_slice_find(rest, FB_SLICE_LITERAL(","));
        struct fb_slice spec = fb_slice_trim(fb_slice_sub(rest, 0, comma));
        if (spec.len > 0) {
            only = spec;
            count++;
        }
        rest = comma == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(rest, comma + 1, SIZE_MAX);
    }
    return count == 1 ? read_spec(only, size, first_r, last_r) : FB_HTTP_RANGE_WHOLE;
}

bool fb_http_range_is_fresh(const char *if_range, const char *etag)
{
    return if_range == NULL ||
           (etag != NULL && strncmp(etag, "W/", 2) != 0 && strcmp(if_range, etag) == 0);
}
