/* SPDX-License-Identifier: Apache-2.0 */
#include "common/image_type.h"

#include <string.h>

static bool starts(struct fb_slice b, struct fb_slice magic)
{
    return b.len >= magic.len && memcmp(b.ptr, magic.ptr, magic.len) == 0;
}

const char *fb_image_type(struct fb_slice bytes)
{
    if (starts(bytes, FB_SLICE_LITERAL("\x89PNG\r\n\x1a\n"))) {
        return "image/png";
    }
    if (starts(bytes, FB_SLICE_LITERAL("\xFF\xD8\xFF"))) {
        return "image/jpeg";
    }
    if (starts(bytes, FB_SLICE_LITERAL("GIF87a")) || starts(bytes, FB_SLICE_LITERAL("GIF89a"))) {
        return "image/gif";
    }
    if (starts(bytes, FB_SLICE_LITERAL("RIFF")) && bytes.len >= FB_IMAGE_TYPE_BYTES &&
        memcmp(bytes.ptr + 8, "WEBP", 4) == 0) {
        return "image/webp";
    }
    return NULL;
}
