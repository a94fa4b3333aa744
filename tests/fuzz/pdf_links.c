/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/pdf_links.h"

#include <string.h>
#include <zlib.h>

#include "common/log.h"

#define OBJECTS_MAX (32U << 20)

/* "/URI (https://...)" as Cairo writes annotations. */
static void check_links(struct fb_slice text)
{
    static const char mark[] = "/URI (";
    for (size_t at; (at = fb_slice_find(text, fb_slice_str(mark))) != SIZE_MAX;) {
        text = fb_slice_sub(text, at + sizeof mark - 1, SIZE_MAX);
        bool is_known = fb_slice_istarts(text, "http://") || fb_slice_istarts(text, "https://") ||
                        fb_slice_istarts(text, "mailto:") || fb_slice_istarts(text, "tel:");
        FB_ASSERT(is_known);
        size_t i = 0;
        while (i < text.len && text.ptr[i] != ')') {
            FB_ASSERT(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f &&
                      strchr("(\\", text.ptr[i]) == NULL);
            i++;
        }
        struct fb_slice behind = fb_slice_trim(fb_slice_sub(text, i + 1, 16));
        FB_ASSERT(fb_slice_istarts(behind, ">>") || fb_slice_istarts(behind, "/"));
    }
}

static void inflate_all(struct fb_slice in, struct fb_buf *out)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    uint8_t chunk[16384];
    int code = inflateInit(&z);
    while (code == Z_OK) {
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        code = inflate(&z, Z_NO_FLUSH);
        FB_ASSERT(fb_buf_add(out, chunk, sizeof chunk - z.avail_out) == FB_OK);
    }
    FB_ASSERT(code == Z_STREAM_END);
    (void)inflateEnd(&z);
}

void fuzz_check_pdf(struct fb_slice pdf)
{
    struct fb_slice end = fb_slice_trim(fb_slice_sub(pdf, pdf.len > 8 ? pdf.len - 8 : 0, 8));
    FB_ASSERT(pdf.len > 100 && memcmp(pdf.ptr, "%PDF-1.", 7) == 0);
    FB_ASSERT(end.len >= 5 && memcmp(end.ptr + end.len - 5, "%%EOF", 5) == 0);
    FB_ASSERT(fb_slice_find(pdf, FB_SLICE_LITERAL("startxref")) != SIZE_MAX);
    size_t at = fb_slice_find(pdf, FB_SLICE_LITERAL("/Type /ObjStm")); /* pdf_patch.h packs them */
    FB_ASSERT(at != SIZE_MAX);
    struct fb_slice rest = fb_slice_sub(pdf, at, SIZE_MAX);
    size_t begin = fb_slice_find(rest, FB_SLICE_LITERAL("stream\n"));
    FB_ASSERT(begin != SIZE_MAX);
    struct fb_buf objects;
    fb_buf_init(&objects, OBJECTS_MAX);
    inflate_all(fb_slice_sub(rest, begin + 7, SIZE_MAX), &objects);
    check_links(fb_slice_buf(&objects));
    check_links(pdf);
    fb_buf_deinit(&objects);
}
