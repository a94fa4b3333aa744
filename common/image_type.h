/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of image bytes are, by their first ones: what a mail or a server says of them counts for nothing. */
#ifndef FB_COMMON_IMAGE_TYPE_H
#define FB_COMMON_IMAGE_TYPE_H

#include "common/buf.h"

#define FB_IMAGE_TYPE_BYTES 12 /* so many are enough to tell */

/* "image/png", "image/jpeg", "image/gif" or "image/webp", static; NULL for anything else. */
const char *fb_image_type(struct fb_slice bytes);

#endif
