/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/letter.h"

#include <stdlib.h>

#include "services/render/section.h"

void render_letter_deinit(struct render_letter *l)
{
    free(l->from);
    free(l->to);
    free(l->cc);
    free(l->date);
    free(l->subject);
    for (size_t i = 0; i < l->attachment_count; i++) {
        free(l->attachments[i].name);
        free(l->attachments[i].type);
    }
    free(l->attachments);
    fb_buf_deinit(&l->body);
    for (size_t i = 0; i < l->image_count; i++) {
        free(l->images[i].cid);
        free(l->images[i].type);
        free(l->images[i].url);
        fb_buf_deinit(&l->images[i].bytes);
    }
    free(l->images);
    render_sections_free(l);
    *l = (struct render_letter){0};
}
