/* SPDX-License-Identifier: Apache-2.0
 *
 * The child that paints.  Poppler's GLib interface draws a page onto a Cairo surface, on which Pango then writes the
 * mark: one surface for both, so that no image without the mark ever leaves the process.  Images are read by
 * GdkPixbuf, with the loaders that are part of it (PNG, JPEG): loading others needs files that the sandbox does not
 * give. */
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <poppler.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exchange.h"
#include "services/portal/painter.h"

#define WIDTH      1240.0   /* of a page: A4 with 150 dots an inch */
#define HEIGHT     3508.0   /* of a long one; wider than high is bounded by WIDTH */
#define MAX_PIXELS 60000000 /* of an image that is read; a telephone's has 12 to 50 million */
#define SLANT      (-30.0 * 3.14159265358979323846 / 180)

struct picture {
    cairo_surface_t *surface;
    uint32_t pages;
    double width, height; /* in pixels */
};

/* ---- the mark ---- */

static PangoLayout *mark_layout(cairo_t *cr, const char *mark, double size)
{
    PangoLayout *layout = pango_cairo_create_layout(cr);
    PangoFontDescription *font = pango_font_description_from_string("Sans");
    pango_font_description_set_absolute_size(font, size * PANGO_SCALE);
    pango_layout_set_font_description(layout, font);
    pango_layout_set_text(layout, mark, -1);
    pango_font_description_free(font);
    return layout;
}

/* Rows across the whole page, dark on light and light on dark: it reads on any ground, and lets the text be read. */
static void draw_mark(cairo_t *cr, const char *mark, double width, double height)
{
    double size = fmax(14, fmin(width, height) / 38);
    PangoLayout *layout = mark_layout(cr, mark, size);
    int w = 0, h = 0;
    pango_layout_get_pixel_size(layout, &w, &h);
    double reach = hypot(width, height);
    double step_x = w + 3 * size, step_y = 7 * size;
    cairo_save(cr);
    cairo_translate(cr, width / 2, height / 2);
    cairo_rotate(cr, SLANT);
    int rows = (int)ceil(reach / step_y);
    int columns = (int)ceil(reach / step_x) + 1;
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column++) {
            double indent = (row % 2) * step_x / 2;
            cairo_move_to(cr, column * step_x - indent - reach / 2, row * step_y - reach / 2);
            pango_cairo_layout_path(cr, layout);
            cairo_set_source_rgba(cr, 1, 1, 1, 0.35);
            cairo_set_line_width(cr, size / 10);
            cairo_stroke_preserve(cr);
            cairo_set_source_rgba(cr, 0.35, 0.35, 0.4, 0.34);
            cairo_fill(cr);
        }
    }
    cairo_restore(cr);
    g_object_unref(layout);
}

/* ---- pages ---- */

static bool is_sound(double side)
{
    return isfinite(side) && side > 0 && side < 1e6;
}

/* How large it is painted: as wide as a page is shown, and no higher than is borne. */
static enum fb_status fit(double width, double height, double shrink, struct picture *p,
                          double *scale_r)
{
    if (!is_sound(width) || !is_sound(height)) {
        return FB_INVALID;
    }
    double scale = fmin(WIDTH / width, HEIGHT / height) * shrink;
    p->width = fmax(1, floor(width * scale));
    p->height = fmax(1, floor(height * scale));
    *scale_r = scale;
    return FB_OK;
}

static cairo_t *begin(struct picture *p)
{
    p->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)p->width, (int)p->height);
    cairo_t *cr = cairo_create(p->surface);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    return cr;
}

static enum fb_status paint_pdf(struct fb_slice file, uint32_t number, const char *mark,
                                double shrink, struct picture *p)
{
    GBytes *bytes = g_bytes_new_static(file.ptr, file.len);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, NULL);
    int pages = document != NULL ? poppler_document_get_n_pages(document) : 0;
    double width = 0, height = 0, scale = 1;
    if (pages <= 0 || (uint32_t)pages > PAINTER_MAX_COUNT || (int64_t)number > pages) {
        return FB_INVALID;
    }
    PopplerPage *page = poppler_document_get_page(document, number > 0 ? (int)number - 1 : 0);
    if (page == NULL) {
        return FB_INVALID;
    }
    p->pages = (uint32_t)pages;
    poppler_page_get_size(page, &width, &height);
    enum fb_status s = fit(width, height, shrink, p, &scale);
    if (s == FB_OK && number > 0) {
        cairo_t *cr = begin(p);
        cairo_save(cr);
        cairo_scale(cr, scale, scale);
        poppler_page_render(page, cr);
        cairo_restore(cr);
        if (mark[0] != '\0') {
            draw_mark(cr, mark, p->width, p->height);
        }
        s = cairo_status(cr) == CAIRO_STATUS_SUCCESS ? FB_OK : FB_INVALID;
        cairo_destroy(cr);
    }
    g_object_unref(page);
    g_object_unref(document);
    g_bytes_unref(bytes);
    return s;
}

/* ---- images ---- */

/* Larger ones are read at the size that is shown; what no camera makes is refused before there is memory for it. */
static void on_size(GdkPixbufLoader *loader, int width, int height, gpointer ctx)
{
    bool *is_too_large = ctx;
    double longest = fmax(width, height);
    if (width <= 0 || height <= 0 || (int64_t)width * height > MAX_PIXELS) {
        *is_too_large = true;
        gdk_pixbuf_loader_set_size(loader, 1, 1);
    } else if (longest > 2 * WIDTH) {
        double scale = 2 * WIDTH / longest;
        gdk_pixbuf_loader_set_size(loader, (int)fmax(1, width * scale),
                                   (int)fmax(1, height * scale));
    }
}

static GdkPixbuf *read_image(struct fb_slice file, enum fb_status *s)
{
    bool is_too_large = false;
    bool is_png = file.len > 4 && memcmp(file.ptr, "\x89PNG", 4) == 0;
    /* By name: to find out by itself it would read the system's list of types. */
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new_with_type(is_png ? "png" : "jpeg", NULL);
    if (loader == NULL) {
        *s = FB_INVALID;
        return NULL;
    }
    (void)g_signal_connect(loader, "size-prepared", G_CALLBACK(on_size), &is_too_large);
    bool is_good = gdk_pixbuf_loader_write(loader, file.ptr, file.len, NULL);
    is_good = gdk_pixbuf_loader_close(loader, NULL) && is_good;
    GdkPixbuf *raw = is_good ? gdk_pixbuf_loader_get_pixbuf(loader) : NULL;
    GdkPixbuf *turned =
        raw != NULL && !is_too_large ? gdk_pixbuf_apply_embedded_orientation(raw) : NULL;
    *s = is_too_large ? FB_TOO_BIG : turned == NULL ? FB_INVALID : FB_OK;
    g_object_unref(loader);
    return turned;
}

/* As Cairo has it: 32 bits, native order, on white. */
static cairo_surface_t *surface_of(const GdkPixbuf *image)
{
    int width = gdk_pixbuf_get_width(image), height = gdk_pixbuf_get_height(image);
    int channels = gdk_pixbuf_get_n_channels(image), stride = gdk_pixbuf_get_rowstride(image);
    const uint8_t *in = gdk_pixbuf_read_pixels(image);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    uint8_t *out = cairo_image_surface_get_data(surface);
    if (out == NULL) {
        return surface;
    }
    int out_stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            const uint8_t *from = in + (size_t)y * (size_t)stride + (size_t)x * (size_t)channels;
            uint32_t alpha = channels == 4 ? from[3] : 255;
            uint32_t pixel = 0;
            for (int c = 0; c < 3; c++) {
                pixel = pixel << 8 | (from[c] * alpha + 255 * (255 - alpha)) / 255;
            }
            memcpy(out + (size_t)y * (size_t)out_stride + (size_t)x * 4, &pixel, sizeof pixel);
        }
    }
    cairo_surface_mark_dirty(surface);
    return surface;
}

static enum fb_status paint_image(struct fb_slice file, uint32_t number, const char *mark,
                                  double shrink, struct picture *p)
{
    enum fb_status s = FB_OK;
    double scale = 1;
    GdkPixbuf *image = read_image(file, &s);
    if (s != FB_OK || number > 1) {
        return s == FB_OK ? FB_INVALID : s;
    }
    double width = gdk_pixbuf_get_width(image), height = gdk_pixbuf_get_height(image);
    double grown = fmin(1, fmin(WIDTH / width, HEIGHT / height)); /* small ones stay small */
    s = fit(width, height, shrink * grown / fmin(WIDTH / width, HEIGHT / height), p, &scale);
    p->pages = 1;
    if (s == FB_OK && number > 0) {
        cairo_surface_t *from = surface_of(image);
        cairo_t *cr = begin(p);
        cairo_save(cr);
        cairo_scale(cr, scale, scale);
        cairo_set_source_surface(cr, from, 0, 0);
        cairo_paint(cr);
        cairo_restore(cr);
        if (mark[0] != '\0') {
            draw_mark(cr, mark, p->width, p->height);
        }
        s = cairo_status(cr) == CAIRO_STATUS_SUCCESS ? FB_OK : FB_INVALID;
        cairo_destroy(cr);
        cairo_surface_destroy(from);
    }
    g_object_unref(image);
    return s;
}

/* ---- the talk ---- */

static cairo_status_t add_png(void *ctx, const unsigned char *data, unsigned len)
{
    return fb_buf_add(ctx, data, len) == FB_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static enum fb_status paint(const struct painter_request *r, struct fb_slice file, const char *mark,
                            struct picture *p, struct fb_buf *png)
{
    enum fb_status s = FB_TOO_BIG;
    double shrink = 1;
    for (int tries = 0; tries < 3 && s == FB_TOO_BIG; tries++) {
        fb_buf_clear(png);
        s = r->kind == PAINTER_PDF ? paint_pdf(file, r->page, mark, shrink, p)
                                   : paint_image(file, r->page, mark, shrink, p);
        if (s == FB_OK && r->page > 0) {
            s = cairo_surface_write_to_png_stream(p->surface, add_png, png) == CAIRO_STATUS_SUCCESS
                    ? FB_OK
                    : FB_TOO_BIG;
            cairo_surface_destroy(p->surface);
            p->surface = NULL;
        }
        shrink /= 2;
    }
    return s;
}

/* Neither texts of the libraries' nor warnings about a stranger's file are of use to anybody. */
static void say_nothing(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer ctx)
{
    (void)domain;
    (void)level;
    (void)text;
    (void)ctx;
}

void painter_child_warm(void)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 200, 100);
    cairo_t *cr = cairo_create(surface);
    (void)g_log_set_default_handler(say_nothing, NULL);
    draw_mark(cr, "Aa 09 文箱 かな", 200, 100);
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    g_slist_free(gdk_pixbuf_get_formats()); /* finds the loaders */
    g_type_ensure(POPPLER_TYPE_DOCUMENT);
}

void painter_child_run(int fd)
{
    int64_t until_ms = fb_mono_ms() + PAINTER_TIMEOUT_MS;
    uint8_t head[PAINTER_REQUEST_SIZE], out[PAINTER_ANSWER_SIZE];
    char mark[PAINTER_MAX_MARK + 1] = "";
    struct painter_request r;
    struct painter_answer a = {0};
    struct picture p = {0};
    struct fb_buf png;
    if (fb_exchange_receive(fd, head, sizeof head, until_ms) != FB_OK ||
        !painter_request_read(head, &r) ||
        fb_exchange_receive(fd, mark, r.mark_len, until_ms) != FB_OK) {
        return;
    }
    uint8_t *file = fb_alloc_bounded((size_t)r.size, PAINTER_MAX_INPUT);
    if (file == NULL || fb_exchange_receive(fd, file, (size_t)r.size, until_ms) != FB_OK) {
        free(file);
        return;
    }
    fb_buf_init(&png, PAINTER_MAX_PNG);
    a.status = paint(&r, fb_slice_of(file, (size_t)r.size), mark, &p, &png);
    if (a.status == FB_OK) {
        a.pages = p.pages;
        a.width = (uint32_t)p.width;
        a.height = (uint32_t)p.height;
        a.image_len = (uint32_t)png.len;
    }
    painter_answer_write(&a, out);
    if (fb_exchange_send(fd, out, sizeof out, until_ms) == FB_OK) {
        enum fb_status s = fb_exchange_send(fd, png.ptr, png.len, until_ms);
        (void)s; /* whoever is gone needs no image */
    }
    /* Nothing is freed: the process ends. */
}
