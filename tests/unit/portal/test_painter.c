/* SPDX-License-Identifier: Apache-2.0
 *
 * The painter, with its real zygote and sandbox: pages become images with the mark in them, and what is no page becomes
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cairo-pdf.h>
#include <cairo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "services/portal/painter.h"

static struct fb_config *config;
static struct fb_buf pdf, image;

static cairo_status_t add(void *ctx, const unsigned char *data, unsigned len)
{
    return fb_buf_add(ctx, data, len) == FB_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static void make_pdf(struct fb_buf *out, int pages, double width, double height)
{
    cairo_surface_t *surface = cairo_pdf_surface_create_for_stream(add, out, width, height);
    cairo_t *cr = cairo_create(surface);
    for (int i = 0; i < pages; i++) {
        cairo_rectangle(cr, 0, 0, width, height / 2); /* the upper half is dark */
        cairo_fill(cr);
        cairo_show_page(cr);
    }
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
}

static int start(void **state)
{
    char path[] = "/tmp/fumibako-painter-XXXXXX";
    struct fb_error err = {0};
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    enum fb_status loaded = fb_config_load(path, &config, &err); /* as it comes */
    (void)unlink(path);
    if (loaded != FB_OK) {
        fail_msg("%s", err.text);
    }
    fb_buf_init(&pdf, 1U << 20);
    fb_buf_init(&image, 1U << 20);
    make_pdf(&pdf, 3, 595, 842);
    cairo_surface_t *small = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 300, 200);
    assert_int_equal(cairo_surface_write_to_png_stream(small, add, &image), CAIRO_STATUS_SUCCESS);
    cairo_surface_destroy(small);
    return painter_prepare(config, NULL) == FB_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    painter_stop();
    fb_config_free(&config);
    fb_buf_deinit(&pdf);
    fb_buf_deinit(&image);
    return 0;
}

static enum fb_status read_buf(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                               struct fb_error *err)
{
    struct fb_slice part = fb_slice_sub(fb_slice_buf(ctx), (size_t)offset, len);
    (void)err;
    if (part.len > 0) {
        memcpy(out, part.ptr, part.len);
    }
    *read_r = part.len;
    return FB_OK;
}

static enum fb_status paint(struct fb_buf *file, enum painter_kind kind, uint32_t page,
                            const char *mark, struct painter_answer *answer, struct fb_buf *png)
{
    struct fb_error err = {0};
    const struct painter_job job = {
        .kind = kind, .page = page, .mark = mark, .size = file->len, .read = read_buf, .ctx = file};
    fb_buf_init(png, PAINTER_MAX_PNG + 1);
    return painter_paint(&job, answer, png, &err);
}

static cairo_status_t take(void *ctx, unsigned char *out, unsigned len)
{
    struct fb_slice *rest = ctx;
    if (rest->len < len) {
        return CAIRO_STATUS_READ_ERROR;
    }
    memcpy(out, rest->ptr, len);
    *rest = fb_slice_sub(*rest, len, SIZE_MAX);
    return CAIRO_STATUS_SUCCESS;
}

/* How much of the upper and of the lower half differs from the page without a mark. */
static void compare(const struct fb_buf *a, const struct fb_buf *b, double share[2])
{
    struct fb_slice one = fb_slice_buf(a), two = fb_slice_buf(b);
    cairo_surface_t *left = cairo_image_surface_create_from_png_stream(take, &one);
    cairo_surface_t *right = cairo_image_surface_create_from_png_stream(take, &two);
    int width = cairo_image_surface_get_width(left), height = cairo_image_surface_get_height(left);
    int stride = cairo_image_surface_get_stride(left);
    assert_int_equal(width, cairo_image_surface_get_width(right));
    share[0] = share[1] = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *p = cairo_image_surface_get_data(left) + (size_t)y * (size_t)stride;
        const uint8_t *q = cairo_image_surface_get_data(right) + (size_t)y * (size_t)stride;
        for (int x = 0; x < width; x++) {
            share[y >= height / 2] +=
                memcmp(p + 4 * x, q + 4 * x, 3) != 0 ? 2.0 / width / height : 0;
        }
    }
    cairo_surface_destroy(left);
    cairo_surface_destroy(right);
}

static void a_page_becomes_an_image_with_the_mark_in_it(void **state)
{
    (void)state;
    struct painter_answer a;
    struct fb_buf plain, marked;
    double share[2];
    assert_int_equal(paint(&pdf, PAINTER_PDF, 2, "", &a, &plain), FB_OK);
    assert_int_equal(a.pages, 3);
    assert_in_range(a.width, 1239, 1240);
    assert_in_range(a.height, 1750, 1756);
    assert_int_equal(paint(&pdf, PAINTER_PDF, 2,
                           "hanako@partner.example.com  2026-11-28 19:40:00 JST", &a, &marked),
                     FB_OK);
    compare(&plain, &marked, share);
    assert_true(share[0] > 0.02 && share[0] < 0.4); /* on dark ground */
    assert_true(share[1] > 0.02 && share[1] < 0.4); /* on white */
    fb_buf_deinit(&plain);
    fb_buf_deinit(&marked);
}

static void an_image_is_marked_too(void **state)
{
    (void)state;
    struct painter_answer a;
    struct fb_buf plain, marked;
    double share[2];
    assert_int_equal(paint(&image, PAINTER_IMAGE, 1, "", &a, &plain), FB_OK);
    assert_true(a.pages == 1 && a.width == 300 && a.height == 200);
    assert_int_equal(paint(&image, PAINTER_IMAGE, 1, "hanako@partner.example.com", &a, &marked),
                     FB_OK);
    compare(&plain, &marked, share);
    assert_true(share[0] > 0.02 && share[1] > 0.02);
    fb_buf_deinit(&plain);
    fb_buf_deinit(&marked);
}

static void pages_are_counted_without_an_image(void **state)
{
    (void)state;
    struct painter_answer a;
    struct fb_buf png;
    assert_int_equal(paint(&pdf, PAINTER_PDF, 0, "", &a, &png), FB_OK);
    assert_true(a.pages == 3 && a.width > 0 && a.height > 0 && png.len == 0);
    fb_buf_deinit(&png);
}

static void what_is_no_page_becomes_nothing(void **state)
{
    (void)state;
    struct painter_answer a;
    struct fb_buf png, junk;
    assert_int_equal(paint(&pdf, PAINTER_PDF, 4, "", &a, &png), FB_INVALID);
    assert_int_equal(paint(&image, PAINTER_IMAGE, 2, "", &a, &png), FB_INVALID);
    assert_int_equal(paint(&image, PAINTER_PDF, 1, "", &a, &png), FB_INVALID);
    assert_int_equal(paint(&pdf, PAINTER_IMAGE, 1, "", &a, &png), FB_INVALID);
    fb_buf_init(&junk, 1U << 20);
    for (size_t cut = 1; cut < pdf.len; cut += pdf.len / 7) { /* and beginnings of one */
        fb_buf_clear(&junk);
        assert_int_equal(fb_buf_add(&junk, pdf.ptr, cut), FB_OK);
        enum fb_status s = paint(&junk, PAINTER_PDF, 1, "x", &a, &png);
        assert_true(s == FB_OK || s == FB_INVALID || s == FB_CRASHED);
        fb_buf_deinit(&png);
    }
    fb_buf_clear(&junk);
    assert_int_equal(paint(&junk, PAINTER_PDF, 1, "", &a, &png), FB_INVALID); /* empty */
    fb_buf_deinit(&junk);
    assert_int_equal(png.len, 0);
}

/* A long strip, a wide one, and a page larger than any paper. */
static void odd_sizes_are_bounded(void **state)
{
    (void)state;
    static const double sizes[][2] = {{10, 10000}, {10000, 10}, {14000, 14000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct painter_answer a;
        struct fb_buf odd, png;
        fb_buf_init(&odd, 1U << 20);
        make_pdf(&odd, 1, sizes[i][0], sizes[i][1]);
        assert_int_equal(paint(&odd, PAINTER_PDF, 1, "hanako@partner.example.com", &a, &png),
                         FB_OK);
        assert_true(a.width <= PAINTER_MAX_SIDE && a.height <= PAINTER_MAX_SIDE);
        fb_buf_deinit(&odd);
        fb_buf_deinit(&png);
    }
}

static void only_types_that_are_painted_are_known(void **state)
{
    (void)state;
    enum painter_kind kind;
    assert_true(painter_knows("application/pdf", &kind) && kind == PAINTER_PDF);
    assert_true(painter_knows("IMAGE/PNG; name=x", &kind) && kind == PAINTER_IMAGE);
    assert_false(painter_knows("image/svg+xml", &kind));
    assert_false(painter_knows("image/pngx", &kind));
    assert_false(painter_knows("", &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_becomes_an_image_with_the_mark_in_it),
        cmocka_unit_test(an_image_is_marked_too),
        cmocka_unit_test(pages_are_counted_without_an_image),
        cmocka_unit_test(what_is_no_page_becomes_nothing),
        cmocka_unit_test(odd_sizes_are_bounded),
        cmocka_unit_test(only_types_that_are_painted_are_known),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
