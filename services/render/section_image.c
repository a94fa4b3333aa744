/* SPDX-License-Identifier: Apache-2.0
 *
 * Attached images for the appendix, where the rule wants them: their bytes as they are, their size,
 * and which way up they are (EXIF 2.3, 4.6.4 A). */
#include <string.h>

#include "services/render/image_size.h"
#include "services/render/section_steps.h"
#include "services/render/section_time.h"

#define IMAGES_MAX                                                                                 \
    (30U << 20) /* all attached images that are shown; Chromium takes 128 MiB in all */

/* Orientation (tag 0x0112, a SHORT) in the first directory of EXIF's TIFF; 1 when there is none. */
static int turn_of_tiff(struct fb_slice t)
{
    if (t.len < 8 || (memcmp(t.ptr, "II*\0", 4) != 0 && memcmp(t.ptr, "MM\0*", 4) != 0)) {
        return 1;
    }
    bool is_big = t.ptr[0] == 'M';
    const uint8_t *p = t.ptr + 4;
    size_t at = is_big ? (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]
                       : (size_t)p[3] << 24 | (size_t)p[2] << 16 | (size_t)p[1] << 8 | p[0];
    if (at + 2 > t.len) {
        return 1;
    }
    p = t.ptr + at;
    size_t count = is_big ? (size_t)p[0] << 8 | p[1] : (size_t)p[1] << 8 | p[0];
    for (size_t i = 0; i < count && at + 2 + 12 * (i + 1) <= t.len; i++) {
        p = t.ptr + at + 2 + 12 * i;
        unsigned tag = is_big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
        if (tag == 0x0112) {
            int value = is_big ? p[8] << 8 | p[9] : p[9] << 8 | p[8];
            return value >= 1 && value <= 8 ? value : 1;
        }
    }
    return 1;
}

int section_image_turn(struct fb_slice jpeg)
{
    size_t at = 2;
    while (at + 10 < jpeg.len && jpeg.ptr[at] == 0xFF) {
        uint8_t marker = jpeg.ptr[at + 1];
        size_t length = (size_t)jpeg.ptr[at + 2] << 8 | jpeg.ptr[at + 3];
        if (marker == 0xE1 && length > 8 && memcmp(jpeg.ptr + at + 4, "Exif\0\0", 6) == 0) {
            return turn_of_tiff(fb_slice_sub(jpeg, at + 10, length - 8));
        }
        if (marker == 0xDA || length < 2) {
            return 1;
        }
        at += 2 + length;
    }
    return 1;
}

static const char *type_of(struct fb_slice b)
{
    if (b.len > 8 && memcmp(b.ptr, "\x89PNG\r\n\x1A\n", 8) == 0) {
        return "image/png";
    }
    if (b.len > 3 && memcmp(b.ptr, "\xFF\xD8\xFF", 3) == 0) {
        return "image/jpeg";
    }
    if (b.len > 6 && memcmp(b.ptr, "GIF8", 4) == 0) {
        return "image/gif";
    }
    bool is_webp = b.len > 12 && memcmp(b.ptr, "RIFF", 4) == 0 && memcmp(b.ptr + 8, "WEBP", 4) == 0;
    return is_webp ? "image/webp" : NULL;
}

enum fb_status section_image_read(struct section_list *l, const struct render_extra *extra)
{
    if (!l->options->has_images) {
        return FB_OK;
    }
    struct render_section *s =
        section_add_of(l, RENDER_SECTION_IMAGE, section_say(l, "添付画像", "Attached image"),
                       fb_slice_str(extra->name));
    if (s == NULL) {
        return FB_OK;
    }
    bool fits = extra->size <= RENDER_IMAGE_MAX && l->image_bytes + extra->size <= IMAGES_MAX;
    enum fb_status status = fits ? section_bytes(l, extra, &s->image.bytes) : FB_TOO_BIG;
    if (status != FB_OK && status != FB_TOO_BIG) {
        return status;
    }
    struct fb_slice b = fb_slice_buf(&s->image.bytes);
    const char *type = status == FB_OK ? type_of(b) : NULL;
    if (type != NULL && render_image_is_safe(b) &&
        render_image_size(b, &s->image_width, &s->image_height) && s->image_width > 0 &&
        s->image_height > 0) {
        s->image.type = fb_xstrdup(type);
        s->image_turn = strcmp(type, "image/jpeg") == 0 ? section_image_turn(b) : 1;
        l->image_bytes += b.len;
        struct fb_buf size;
        fb_buf_init(&size, 64);
        bool is_turned = s->image_turn > 4;
        section_put(&size, "%u × %u", is_turned ? s->image_height : s->image_width,
                    is_turned ? s->image_width : s->image_height);
        section_row(s, section_say(l, "大きさ", "Size"), fb_slice_buf(&size));
        fb_buf_deinit(&size);
        return FB_OK;
    }
    fb_buf_deinit(&s->image.bytes);
    section_text(
        s,
        fb_slice_str(section_say(
            l,
            status == FB_TOO_BIG
                ? "この画像は大きすぎるため、ここには表示していません。添付ファイルをご覧ください。"
                : "この画像は壊れているか、表示できない形式です。添付ファイルをご覧ください。",
            status == FB_TOO_BIG
                ? "This image is too large to be shown here: see the attachment."
                : "This image is broken, or of a kind that is not shown here: see the "
                  "attachment.")));
    return FB_OK;
}
