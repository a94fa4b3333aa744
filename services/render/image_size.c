/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/image_size.h"

#include <string.h>

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

static bool starts(struct fb_slice b, const char *magic, size_t len)
{
    return b.len >= len && memcmp(b.ptr, magic, len) == 0;
}

/* Walks the segments to the frame header (SOF0 to SOF15 without DHT, JPG, DAC). */
static bool jpeg_size(struct fb_slice b, uint32_t *width_r, uint32_t *height_r)
{
    size_t at = 2;
    while (at + 9 < b.len) {
        if (b.ptr[at] != 0xFF) {
            return false;
        }
        uint8_t marker = b.ptr[at + 1];
        if (marker == 0xFF) {
            at++;
            continue;
        }
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
            marker != 0xCC) {
            *height_r = be16(b.ptr + at + 5);
            *width_r = be16(b.ptr + at + 7);
            return true;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += 2;
            continue;
        }
        uint32_t length = be16(b.ptr + at + 2);
        if (length < 2 || marker == 0xD9 || marker == 0xDA) {
            return false;
        }
        at += 2 + length;
    }
    return false;
}

static bool webp_size(struct fb_slice b, uint32_t *width_r, uint32_t *height_r)
{
    if (b.len < 30) {
        return false;
    }
    const uint8_t *p = b.ptr;
    if (memcmp(p + 12, "VP8X", 4) == 0) {
        *width_r = 1 + (p[24] | (uint32_t)p[25] << 8 | (uint32_t)p[26] << 16);
        *height_r = 1 + (p[27] | (uint32_t)p[28] << 8 | (uint32_t)p[29] << 16);
        return true;
    }
    if (memcmp(p + 12, "VP8L", 4) == 0) {
        uint32_t bits =
            p[21] | (uint32_t)p[22] << 8 | (uint32_t)p[23] << 16 | (uint32_t)p[24] << 24;
        *width_r = 1 + (bits & 0x3FFF);
        *height_r = 1 + (bits >> 14 & 0x3FFF);
        return true;
    }
    *width_r = le16(p + 26) & 0x3FFF;
    *height_r = le16(p + 28) & 0x3FFF;
    return memcmp(p + 12, "VP8 ", 4) == 0;
}

bool render_image_size(struct fb_slice b, uint32_t *width_r, uint32_t *height_r)
{
    if (starts(b, "\x89PNG\r\n\x1a\n", 8) && b.len >= 24) {
        *width_r = be32(b.ptr + 16);
        *height_r = be32(b.ptr + 20);
        return true;
    }
    if ((starts(b, "GIF87a", 6) || starts(b, "GIF89a", 6)) && b.len >= 10) {
        *width_r = le16(b.ptr + 6);
        *height_r = le16(b.ptr + 8);
        return true;
    }
    if (starts(b, "\xFF\xD8", 2)) {
        return jpeg_size(b, width_r, height_r);
    }
    if (starts(b, "RIFF", 4) && b.len >= 16 && memcmp(b.ptr + 8, "WEBP", 4) == 0) {
        return webp_size(b, width_r, height_r);
    }
    return false;
}

bool render_image_is_safe(struct fb_slice bytes)
{
    uint32_t w = 0;
    uint32_t h = 0;
    return render_image_size(bytes, &w, &h) && w > 0 && h > 0 && w <= RENDER_IMAGE_SIDE_MAX &&
           h <= RENDER_IMAGE_SIDE_MAX && (uint64_t)w * h <= RENDER_IMAGE_PIXEL_MAX;
}
