/* SPDX-License-Identifier: Apache-2.0
 *
 * Attached pictures.  A JPEG goes into the PDF as it is and is turned by the page; PNG is decoded by
 * Cairo, GIF by giflib, WebP by libwebp.  Sizes were looked at before (image_size.h). */
#include <string.h>
#include <webp/decode.h>

#include "services/render/page_section.h"
#include "services/render/picture.h"

#define PT_PER_PX 0.75

void render_page_picture_size(const struct render_section *s, double max_width, double max_height,
                              double *width_r, double *height_r)
{
    bool is_turned = s->image_turn > 4;
    double w = (is_turned ? s->image_height : s->image_width) * PT_PER_PX;
    double h = (is_turned ? s->image_width : s->image_height) * PT_PER_PX;
    double scale = 1;
    scale = w > max_width ? max_width / w : scale;
    scale = h * scale > max_height ? max_height / h : scale;
    *width_r = w * scale;
    *height_r = h * scale;
}

/* 8 bits a sample, grey or YCbCr: what every reader of PDF shows alike. */
static bool is_plain_jpeg(struct fb_slice b)
{
    size_t at = 2;
    while (at + 9 < b.len && b.ptr[at] == 0xFF) {
        uint8_t marker = b.ptr[at + 1];
        size_t length = (size_t)b.ptr[at + 2] << 8 | b.ptr[at + 3];
        if (marker >= 0xC0 && marker <= 0xC2) {
            return b.ptr[at + 4] == 8 && (b.ptr[at + 9] == 1 || b.ptr[at + 9] == 3);
        }
        if (length < 2 || marker == 0xD9 || marker == 0xDA) {
            return false;
        }
        at += 2 + length;
    }
    return false;
}

static cairo_surface_t *jpeg_surface(const struct render_section *s)
{
    struct fb_slice b = fb_slice_buf(&s->image.bytes);
    if (!is_plain_jpeg(b)) {
        return NULL;
    }
    return render_picture_jpeg(b, s->image_width, s->image_height);
}

/* Cairo's pixels are multiplied by their opacity, which WebP's are asked to be. */
static cairo_surface_t *webp_surface(const struct render_section *s)
{
    struct fb_slice b = fb_slice_buf(&s->image.bytes);
    WebPDecoderConfig config;
    if (WebPInitDecoderConfig(&config) == 0 ||
        WebPGetFeatures(b.ptr, b.len, &config.input) != VP8_STATUS_OK ||
        config.input.has_animation != 0 || config.input.width != (int)s->image_width ||
        config.input.height != (int)s->image_height) {
        return NULL;
    }
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_ARGB32, config.input.width, config.input.height);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    int stride = cairo_image_surface_get_stride(surface);
    config.output.colorspace = MODE_bgrA;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = cairo_image_surface_get_data(surface);
    config.output.u.RGBA.stride = stride;
    config.output.u.RGBA.size = (size_t)stride * (size_t)config.input.height;
    if (WebPDecode(b.ptr, b.len, &config) != VP8_STATUS_OK) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    cairo_surface_mark_dirty(surface);
    return surface;
}

static cairo_surface_t *surface_of(const struct render_section *s)
{
    if (strcmp(s->image.type, "image/jpeg") == 0) {
        return jpeg_surface(s);
    }
    if ((uint64_t)s->image_width * s->image_height > RENDER_PICTURE_PIXELS_MAX) {
        return NULL;
    }
    if (strcmp(s->image.type, "image/webp") == 0) {
        return webp_surface(s);
    }
    if (strcmp(s->image.type, "image/gif") == 0) {
        return render_picture_gif(fb_slice_buf(&s->image.bytes));
    }
    return strcmp(s->image.type, "image/png") == 0
               ? render_picture_png(fb_slice_buf(&s->image.bytes))
               : NULL;
}

/* From the stored pixels (w by h) to how they are seen, in pixels: EXIF's eight orientations. */
static void turn(cairo_t *cr, int orientation, double w, double h)
{
    const struct {
        double xx, yx, xy, yy, x0, y0;
    } turns[] = {{1, 0, 0, 1, 0, 0},   {-1, 0, 0, 1, w, 0}, {-1, 0, 0, -1, w, h},
                 {1, 0, 0, -1, 0, h},  {0, 1, 1, 0, 0, 0},  {0, 1, -1, 0, h, 0},
                 {0, -1, -1, 0, h, w}, {0, -1, 1, 0, 0, w}};
    int i = orientation >= 1 && orientation <= 8 ? orientation - 1 : 0;
    cairo_matrix_t m;
    cairo_matrix_init(&m, turns[i].xx, turns[i].yx, turns[i].xy, turns[i].yy, turns[i].x0,
                      turns[i].y0);
    cairo_transform(cr, &m);
}

bool render_page_picture(struct render_page *p, const struct render_section *s, double x, double y,
                         double width, double height)
{
    cairo_surface_t *surface = surface_of(s);
    if (surface == NULL) {
        return false;
    }
    bool is_turned = s->image_turn > 4;
    double seen_w = is_turned ? s->image_height : s->image_width;
    double seen_h = is_turned ? s->image_width : s->image_height;
    render_page_image(surface);
    cairo_save(p->cr);
    cairo_translate(p->cr, x, y);
    cairo_scale(p->cr, width / seen_w, height / seen_h);
    turn(p->cr, s->image_turn, s->image_width, s->image_height);
    cairo_set_source_surface(p->cr, surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(p->cr), CAIRO_FILTER_GOOD);
    cairo_rectangle(p->cr, 0, 0, s->image_width, s->image_height);
    cairo_clip(p->cr);
    cairo_paint(p->cr);
    cairo_restore(p->cr);
    cairo_surface_destroy(surface);
    return true;
}
