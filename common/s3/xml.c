/* SPDX-License-Identifier: Apache-2.0
 *
 * The little XML that S3 answers with.  Names of elements never nest in themselves there, so that
 * looking for tags is enough; what comes out is checked by whoever uses it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/s3/internal.h"

static size_t find_tag(struct fb_slice in, const char *tag, bool is_end, size_t *after_r)
{
    char open[64];
    int n = snprintf(open, sizeof open, is_end ? "</%s>" : "<%s", tag);
    FB_ASSERT(n > 0 && (size_t)n < sizeof open);
    for (size_t from = 0; from < in.len;) {
        struct fb_slice rest = fb_slice_sub(in, from, SIZE_MAX);
        size_t at = fb_slice_find(rest, fb_slice_of(open, (size_t)n));
        if (at == SIZE_MAX) {
            break;
        }
        size_t end = at + (size_t)n;
        if (is_end) {
            *after_r = from + end;
            return from + at;
        }
        uint8_t next = end < rest.len ? rest.ptr[end] : 0;
        if (next == '>' || next == ' ') {
            const uint8_t *close = memchr(rest.ptr + end, '>', rest.len - end);
            if (close != NULL) {
                *after_r = from + (size_t)(close - rest.ptr) + 1;
                return from + at;
            }
        }
        from += end;
    }
    return SIZE_MAX;
}

bool fb_s3_xml_next(struct fb_slice *rest, const char *tag, struct fb_slice *inner_r)
{
    size_t begin = 0;
    size_t after = 0;
    if (find_tag(*rest, tag, false, &begin) == SIZE_MAX) {
        return false;
    }
    struct fb_slice from = fb_slice_sub(*rest, begin, SIZE_MAX);
    size_t end = find_tag(from, tag, true, &after);
    if (end == SIZE_MAX) {
        return false;
    }
    *inner_r = fb_slice_sub(from, 0, end);
    *rest = fb_slice_sub(from, after, SIZE_MAX);
    return true;
}

/* The character that an entity stands for; 0 for what S3 does not send.  used_r: its length. */
static char entity(struct fb_slice in, size_t *used_r)
{
    static const struct {
        const char *name;
        char c;
    } names[] = {{"&amp;", '&'},   {"&lt;", '<'},  {"&gt;", '>'},   {"&quot;", '"'},
                 {"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}, {"&#x27;", '\''},
                 {"&#x2F;", '/'},  {"&#x60;", '`'}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fb_slice_istarts(in, names[i].name)) {
            *used_r = strlen(names[i].name);
            return names[i].c;
        }
    }
    return 0;
}

bool fb_s3_xml_text(struct fb_slice inner, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < inner.len;) {
        size_t used = 1;
        char c = (char)inner.ptr[i];
        if (c == '<') {
            return false;
        }
        if (c == '&') {
            c = entity(fb_slice_sub(inner, i, SIZE_MAX), &used);
        }
        if (c == '\0' || len + 1 >= size) {
            return false;
        }
        out[len++] = c;
        i += used;
    }
    out[len] = '\0';
    return true;
}

bool fb_s3_xml_get(struct fb_slice xml, const char *tag, char *out, size_t size)
{
    struct fb_slice inner = {0};
    return fb_s3_xml_next(&xml, tag, &inner) && fb_s3_xml_text(inner, out, size);
}

uint64_t fb_s3_number(const char *text)
{
    uint64_t value = 0;
    size_t len = strnlen(text, 20);
    if (len == 0 || len > 18) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    return value;
}

int64_t fb_s3_time_ms(const char *iso)
{
    struct tm tm = {0};
    const char *end = strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end == NULL || (*end != '.' && *end != 'Z' && *end != '+')) {
        return 0;
    }
    int64_t ms = 0;
    if (*end == '.' && end[1] >= '0' && end[1] <= '9') {
        ms = (end[1] - '0') * 100;
    }
    return (int64_t)timegm(&tm) * 1000 + ms;
}
