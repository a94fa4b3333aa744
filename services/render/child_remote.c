/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child_remote.h"

#include <stdlib.h>

#include "common/image_type.h"
#include "services/render/html_prepare.h"

#define MAX_IMAGE (5U << 20)

bool child_may_fetch(const struct fb_policy *policy, const struct fb_plan *plan)
{
    bool may = false;
    for (uint32_t i = 0; i < plan->branch_count; i++) {
        const struct fb_branch *b = &plan->branches[i];
        if (b->kind != FB_BRANCH_SECURE || !b->secures_body) {
            continue;
        }
        const struct fb_policy_rule *rule = fb_policy_find_rule(policy, b->rule);
        if (rule == NULL || !rule->fetches_images) {
            return false; /* the PDF is one for all */
        }
        may = true;
    }
    return may;
}

static void add_image(struct render_letter *l, char **source, struct fb_buf *bytes)
{
    const char *type = fb_image_type(fb_slice_buf(bytes));
    struct render_image *grown =
        type != NULL ? realloc(l->images, (l->image_count + 1) * sizeof *grown) : NULL;
    if (grown == NULL) {
        return;
    }
    l->images = grown;
    l->images[l->image_count++] =
        (struct render_image){.type = fb_xstrdup(type), .url = *source, .bytes = *bytes};
    *source = NULL;
    fb_buf_init(bytes, 0);
}

void child_fetch_images(struct child_talk *t, struct render_letter *letter)
{
    struct render_html_remote list[RENDER_REMOTE_COUNT];
    const char *urls[RENDER_REMOTE_COUNT];
    struct fb_buf bytes[RENDER_REMOTE_COUNT];
    struct fb_error err = {0}; /* of HTML beyond the limits: its preparation will say so */
    size_t count = 0;
    if (render_html_remote(letter, list, &count, &err) != FB_OK || count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        urls[i] = list[i].url;
        fb_buf_init(&bytes[i], MAX_IMAGE);
    }
    child_fetch(t, urls, bytes, count);
    for (size_t i = 0; i < count; i++) {
        add_image(letter, &list[i].source, &bytes[i]);
        fb_buf_deinit(&bytes[i]);
        free(list[i].source);
        free(list[i].url);
    }
}
