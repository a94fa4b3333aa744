/* SPDX-License-Identifier: Apache-2.0
 *
 * The first frame of GIFs, which giflib writes here: whole, interlaced, transparent, smaller than the screen,
 * torn; and what hostile ones cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/picture.h"

#define RED   0xFFFF0000U
#define BLUE  0xFF0000FFU
#define CLEAR 0U

struct shape {
    int width, height, left, top, frame_width, frame_height;
    bool is_interlaced, is_transparent, has_second_frame, is_noisy;
};

static int write_bytes(GifFileType *file, const GifByteType *bytes, int len)
{
    return fb_buf_add(file->UserData, bytes, (size_t)len) == FB_OK ? len : 0;
}

/* Even lines of the frame are red (index 0), odd ones blue; a second frame is all blue. */
static void put_frame(GifFileType *g, const struct shape *s, bool is_second)
{
    GifByteType line[64];
    assert_int_equal(EGifPutImageDesc(g, s->left, s->top, s->frame_width, s->frame_height,
                                      s->is_interlaced, NULL),
                     GIF_OK);
    static const int first[] = {0, 4, 2, 1, 0};
    static const int step[] = {8, 8, 4, 2, 1};
    for (int pass = s->is_interlaced ? 0 : 4; pass < (s->is_interlaced ? 4 : 5); pass++) {
        for (int y = first[pass]; y < s->frame_height; y += step[pass]) {
            memset(line, is_second ? 1 : y % 2, sizeof line);
            for (int x = 0; x < s->frame_width && s->is_noisy; x++) { /* several blocks of data */
                line[x] = (x * 7 + y * y * 13 + x * y) >> 2 & 1;
            }
            assert_int_equal(EGifPutLine(g, line, s->frame_width), GIF_OK);
        }
    }
}

static void make(const struct shape *s, struct fb_buf *out)
{
    static const GifColorType colours[] = {{255, 0, 0}, {0, 0, 255}};
    int error = 0;
    fb_buf_init(out, 1U << 20);
    GifFileType *g = EGifOpen(out, write_bytes, &error);
    assert_non_null(g);
    EGifSetGifVersion(g, true);
    ColorMapObject *map = GifMakeMapObject(2, colours);
    assert_int_equal(EGifPutScreenDesc(g, s->width, s->height, 2, 0, map), GIF_OK);
    GifFreeMapObject(map);
    if (s->is_transparent) {
        const GifByteType control[] = {1, 5, 0, 1};
        assert_int_equal(EGifPutComment(g, "with a comment"), GIF_OK);
        assert_int_equal(EGifPutExtension(g, GRAPHICS_EXT_FUNC_CODE, sizeof control, control),
                         GIF_OK);
    }
    put_frame(g, s, false);
    if (s->has_second_frame) {
        put_frame(g, s, true);
    }
    assert_int_equal(EGifCloseFile(g, &error), GIF_OK);
}

static uint32_t pixel(cairo_surface_t *surface, int x, int y)
{
    uint32_t c = 0;
    memcpy(&c,
           cairo_image_surface_get_data(surface) +
               (ptrdiff_t)y * cairo_image_surface_get_stride(surface) + 4 * (ptrdiff_t)x,
           sizeof c);
    return c;
}

static void test_the_first_frame_is_shown(void **state)
{
    (void)state;
    static const struct {
        struct shape shape;
        uint32_t at_0_0, at_3_4, at_3_5;
    } rows[] = {
        {{10, 12, 0, 0, 10, 12, false, false, false, false}, RED, RED, BLUE},
        {{10, 12, 0, 0, 10, 12, true, false, false, false}, RED, RED, BLUE},
        {{10, 12, 0, 0, 10, 12, false, true, false, false}, RED, RED, CLEAR},
        {{10, 12, 0, 0, 10, 12, true, false, true, false}, RED, RED, BLUE},
        {{10, 12, 2, 3, 4, 4, false, false, true, false}, CLEAR, BLUE, RED},
        {{10, 12, 2, 3, 40, 40, true, false, false, false},
         CLEAR,
         BLUE,
         RED}, /* goes beyond the screen */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf gif;
        make(&rows[i].shape, &gif);
        cairo_surface_t *s = render_picture_gif(fb_slice_buf(&gif));
        assert_non_null(s);
        assert_int_equal(cairo_image_surface_get_width(s), 10);
        assert_int_equal(cairo_image_surface_get_height(s), 12);
        assert_int_equal(pixel(s, 0, 0), rows[i].at_0_0);
        assert_int_equal(pixel(s, 3, 4), rows[i].at_3_4);
        assert_int_equal(pixel(s, 3, 5), rows[i].at_3_5);
        cairo_surface_destroy(s);
        fb_buf_deinit(&gif);
    }
}

static void test_a_torn_gif_is_shown_as_far_as_it_goes(void **state)
{
    (void)state;
    const struct shape whole = {60, 200, 0, 0, 60, 200, false, false, false, true};
    struct fb_buf gif;
    int shown = 0;
    make(&whole, &gif);
    for (size_t len = 0; len <= gif.len; len++) {
        uint8_t *copy = fb_xcalloc(1, len + 1); /* of its own, so that a read beyond is seen */
        memcpy(copy, gif.ptr, len);
        cairo_surface_t *s = render_picture_gif(fb_slice_of(copy, len));
        if (s != NULL) {
            assert_int_equal(pixel(s, 0, 0), RED);
            cairo_surface_destroy(s);
            shown++;
        }
        free(copy);
    }
    assert_true(shown > 10);
    fb_buf_deinit(&gif);
}

static void set_16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void test_hostile_gifs_end_within_their_limits(void **state)
{
    (void)state;
    const struct shape shape = {20, 20, 0, 0, 20, 20, true, true, true, false};
    struct fb_buf gif;
    make(&shape, &gif);
    size_t frame = 0;
    for (size_t i = 13; i + 10 < gif.len && frame == 0; i++) {
        frame = gif.ptr[i] == ',' && gif.ptr[i + 5] == 20 ? i : 0;
    }
    assert_true(frame > 0);
    uint8_t *copy = fb_xcalloc(1, gif.len);
    memcpy(copy, gif.ptr, gif.len);
    set_16(copy + 6, 65535); /* a screen of 4 gigapixels */
    set_16(copy + 8, 65535);
    assert_null(render_picture_gif(fb_slice_of(copy, gif.len)));
    memcpy(copy, gif.ptr, gif.len);
    set_16(copy + frame + 5, 65535); /* a frame of as many */
    set_16(copy + frame + 7, 65535);
    assert_null(render_picture_gif(fb_slice_of(copy, gif.len)));
    uint32_t seed = 1;
    for (int i = 0; i < 4000; i++) {
        memcpy(copy, gif.ptr, gif.len);
        for (int k = 0; k <= i % 5; k++) {
            seed = seed * 1664525U + 1013904223U;
            copy[6 + (seed >> 8) % (gif.len - 6)] = (uint8_t)(seed >> 24);
        }
        if (copy[7] > 1 || copy[9] > 1) { /* a large screen takes its time, and is no other case */
            continue;
        }
        cairo_surface_t *s = render_picture_gif(fb_slice_of(copy, gif.len));
        if (s != NULL) {
            cairo_surface_destroy(s);
        }
    }
    free(copy);
    fb_buf_deinit(&gif);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_frame_is_shown),
        cmocka_unit_test(test_a_torn_gif_is_shown_as_far_as_it_goes),
        cmocka_unit_test(test_hostile_gifs_end_within_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
