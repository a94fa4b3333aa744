/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures.  A JPEG goes into the PDF as it is; its pixels are never decoded here.  PNG is decoded by
 * Cairo, the first frame of a GIF by giflib, when it is drawn first.  html_prepare_attr.c has looked at the sizes. */
#include <cairo.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/image_size.h"
#include "services/render/native_internal.h"
#include "services/render/picture.h"

static int digit(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static struct fb_slice decode(struct render_native *n, struct fb_slice text)
{
    uint8_t *out = nd_alloc(n, text.len + 4);
    size_t len = 0;
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = digit(text.ptr[i]);
        if (d < 0) {
            continue;
        }
        bits = bits << 6 | (uint32_t)d;
        if (++count % 4 != 1) {
            out[len++] = (uint8_t)(bits >> (6 - 2 * ((count - 1) % 4)));
        }
    }
    return fb_slice_of(out, len);
}

/* A JPEG that every reader of PDF shows as a browser does: 8 bits, grey or YCbCr, not turned. */
static bool is_plain_jpeg(struct fb_slice b)
{
    size_t at = 2;
    while (at + 9 < b.len && b.ptr[at] == 0xFF) {
        uint8_t marker = b.ptr[at + 1];
        size_t length = (size_t)b.ptr[at + 2] << 8 | b.ptr[at + 3];
        if (marker == 0xE1 && length > 8 && memcmp(b.ptr + at + 4, "Exif", 4) == 0) {
            /* Orientation is tag 0x0112: any value but 1 turns the picture. */
            struct fb_slice exif = fb_slice_sub(b, at + 4, length - 2);
            for (size_t i = 0; i + 12 <= exif.len && i < 400; i++) {
                const uint8_t *p = exif.ptr + i;
                bool is_big = p[0] == 0x01 && p[1] == 0x12 && p[2] == 0 && p[3] == 3;
                bool is_little = p[0] == 0x12 && p[1] == 0x01 && p[2] == 3 && p[3] == 0;
                if ((is_big && p[9] > 1) || (is_little && p[8] > 1)) {
                    return false;
                }
            }
        }
        if (marker >= 0xC0 && marker <= 0xC2) {
            return b.ptr[at + 4] == 8 && (b.ptr[at + 9] == 1 || b.ptr[at + 9] == 3);
        }
        if (marker == 0xFF) {
            at++;
        } else if (length < 2 || marker > 0xC2 || marker == 0xC4) {
            if (length < 2 || marker == 0xD9 || marker == 0xDA) {
                return false;
            }
            at += 2 + length;
        } else {
            return false;
        }
    }
    return false;
}

static struct fb_slice bytes_of(struct render_native *n, struct fb_slice url)
{
    if (fb_slice_istarts(url, "cid:")) {
        size_t used = 0;
        float number = nd_number(fb_slice_sub(url, 4, SIZE_MAX), &used);
        size_t at = (size_t)number;
        return used > 0 && number >= 0 && at < n->letter->image_count
                   ? fb_slice_buf(&n->letter->images[at].bytes)
                   : fb_slice_str(NULL);
    }
    const uint8_t *comma = url.len > 0 ? memchr(url.ptr, ',', url.len) : NULL;
    return comma != NULL && fb_slice_istarts(url, "data:")
               ? decode(n, fb_slice_sub(url, (size_t)(comma - url.ptr) + 1, SIZE_MAX))
               : fb_slice_str(NULL);
}

struct nd_image *nd_image_of(struct render_native *n, struct fb_slice url)
{
    struct fb_slice bytes = bytes_of(n, url);
    for (struct nd_image *i = n->images; i != NULL; i = i->next) {
        if (i->bytes.ptr == bytes.ptr && i->bytes.len == bytes.len) {
            return i;
        }
    }
    struct nd_image *image = nd_alloc(n, sizeof *image);
    image->bytes = bytes;
    bool is_png = bytes.len > 8 && memcmp(bytes.ptr, "\x89PNG", 4) == 0;
    image->is_gif = bytes.len > 8 && memcmp(bytes.ptr, "GIF8", 4) == 0;
    image->is_jpeg = bytes.len > 3 && memcmp(bytes.ptr, "\xFF\xD8", 2) == 0;
    if (!render_image_is_safe(bytes) || !render_image_size(bytes, &image->width, &image->height)) {
        image->width = image->height = 0;
    }
    image->is_known = is_png || image->is_gif || image->is_jpeg;
    bool is_decoded = is_png || image->is_gif;
    if (!image->is_known || (image->is_jpeg && !is_plain_jpeg(bytes)) ||
        (is_decoded && (uint64_t)image->width * image->height > RENDER_PICTURE_PIXELS_MAX)) {
        nd_note(n, ND_IMAGE_TYPE);
    }
    image->next = n->images;
    n->images = image;
    return image;
}

static cairo_surface_t *surface_of(struct nd_image *image)
{
    return image->is_jpeg  ? render_picture_jpeg(image->bytes, image->width, image->height)
           : image->is_gif ? render_picture_gif(image->bytes)
                           : render_picture_png(image->bytes);
}

static void free_surface(void *surface)
{
    cairo_surface_destroy(surface);
}

void nd_image_draw(struct render_native *n, struct nd_image *image, double x, double y, double w,
                   double h)
{
    cairo_t *cr = n->page.cr;
    bool is_known =
        image->width > 0 && image->height > 0 && image->is_known &&
        (image->is_jpeg || (uint64_t)image->width * image->height <= RENDER_PICTURE_PIXELS_MAX);
    if (is_known && image->surface == NULL) {
        image->surface = surface_of(image);
        if (image->surface != NULL) {
            nd_defer(n, free_surface, image->surface);
        }
    }
    if (image->surface == NULL || w <= 0 || h <= 0) {
        return;
    }
    render_page_image(image->surface);
    cairo_save(cr);
    cairo_translate(cr, x, y);
    cairo_scale(cr, w / image->width, h / image->height);
    cairo_set_source_surface(cr, image->surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_rectangle(cr, 0, 0, image->width, image->height);
    cairo_clip(cr);
    cairo_paint(cr);
    cairo_restore(cr);
}
