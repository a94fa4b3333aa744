/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/picture.h"

#include <string.h>

static cairo_status_t read_png(void *closure, unsigned char *data, unsigned len)
{
    struct fb_slice *rest = closure;
    if (rest->len < len) {
        return CAIRO_STATUS_READ_ERROR;
    }
    memcpy(data, rest->ptr, len);
    *rest = fb_slice_sub(*rest, len, SIZE_MAX);
    return CAIRO_STATUS_SUCCESS;
}

cairo_surface_t *render_picture_jpeg(struct fb_slice bytes, uint32_t width, uint32_t height)
{
    /* The smallest surface of that size: the PDF takes the JPEG instead of its pixels. */
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_A1, (int)width, (int)height);
    if (cairo_surface_set_mime_data(surface, CAIRO_MIME_TYPE_JPEG, bytes.ptr, bytes.len, NULL,
                                    NULL) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    return surface;
}

cairo_surface_t *render_picture_png(struct fb_slice bytes)
{
    cairo_surface_t *surface = cairo_image_surface_create_from_png_stream(read_png, &bytes);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    return surface;
}
