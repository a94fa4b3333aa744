/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/letter.h"

#include <stdlib.h>

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
        fb_buf_deinit(&l->images[i].bytes);
    }
    free(l->images);
    *l = (struct render_letter){0};
}
