/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures as surfaces of Cairo, for the body (native_image.c) and for attached ones (page_picture.c).
 * Sizes were looked at before (image_size.h).  All give NULL for what is broken.
 */
#ifndef FB_RENDER_PICTURE_H
#define FB_RENDER_PICTURE_H

#include <cairo.h>

#include "common/buf.h"

#define RENDER_PICTURE_PIXELS_MAX 12000000 /* 48 MB when decoded */

/* A surface that holds the JPEG itself, which goes into the PDF as it is; bytes must outlive it. */
cairo_surface_t *render_picture_jpeg(struct fb_slice bytes, uint32_t width, uint32_t height);
cairo_surface_t *render_picture_png(struct fb_slice bytes);
/* The first frame, on as much of the screen as it takes; a torn one as far as it goes. */
cairo_surface_t *render_picture_gif(struct fb_slice bytes);

#endif
