/* SPDX-License-Identifier: Apache-2.0
 *
 * The size of an image by its header alone, so that a bomb is refused before anything decodes it. */
#ifndef FB_RENDER_IMAGE_SIZE_H
#define FB_RENDER_IMAGE_SIZE_H

#include "common/buf.h"

#define RENDER_IMAGE_SIDE_MAX  20000
#define RENDER_IMAGE_PIXEL_MAX 50000000 /* a photograph of a large camera */

/* PNG, JPEG, GIF, WebP. False for anything else, or when the header is broken. */
bool render_image_size(struct fb_slice bytes, uint32_t *width_r, uint32_t *height_r);
/* Whether it is of a known type and within the limits. */
bool render_image_is_safe(struct fb_slice bytes);

#endif
