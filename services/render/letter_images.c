/* SPDX-License-Identifier: Apache-2.0
 *
 * The images of a letter and of its sections under one numbering, for Chromium. */
#include "services/render/letter.h"

static size_t images_of(const struct render_section *s)
{
    return s->message != NULL ? s->message->image_count : s->image.bytes.len > 0 ? 1 : 0;
}

size_t render_letter_image_base(const struct render_letter *l, size_t section)
{
    size_t base = l->image_count;
    for (size_t i = 0; i < section && i < l->section_count; i++) {
        base += images_of(&l->sections[i]);
    }
    return base;
}

struct render_image *render_letter_all_images(const struct render_letter *l, size_t *count_r)
{
    size_t count = 0;
    struct render_image *list = fb_xcalloc(RENDER_LETTER_IMAGES + 1, sizeof *list);
    for (size_t i = 0; i < l->image_count && count < RENDER_LETTER_IMAGES; i++) {
        list[count++] = l->images[i];
    }
    for (size_t i = 0; i < l->section_count; i++) {
        const struct render_section *s = &l->sections[i];
        const struct render_image *from = s->message != NULL ? s->message->images : &s->image;
        for (size_t k = 0; k < images_of(s) && count < RENDER_LETTER_IMAGES; k++) {
            list[count++] = from[k];
        }
    }
    *count_r = count;
    return list;
}
