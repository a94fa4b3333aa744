/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/print.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HTML   (32U << 20) /* 10 MiB of mail HTML, prepared */
#define MAX_TOTAL  (128U << 20)
#define MAX_IMAGES 500

void render_print_init(struct render_print *p)
{
    *p = (struct render_print){0};
    fb_buf_init(&p->html, MAX_HTML);
}

void render_print_deinit(struct render_print *p)
{
    for (size_t i = 0; i < p->image_count; i++) {
        free(p->images[i].cid);
        free(p->images[i].type);
        fb_buf_deinit(&p->images[i].bytes);
    }
    free(p->images);
    fb_buf_deinit(&p->html);
    *p = (struct render_print){0};
}

static enum fb_status begin_image(struct render_print *p, struct fb_slice type,
                                  struct fb_error *err)
{
    if (p->image_count == MAX_IMAGES) {
        return fb_error_set(err, FB_TOO_BIG, "the body shows more than %d images", MAX_IMAGES);
    }
    struct render_image *grown = realloc(p->images, (p->image_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "out of memory");
    }
    p->images = grown;
    char *text = type.len < 64 ? fb_slice_dup_str(type) : NULL;
    if (text == NULL) {
        return fb_error_set(err, FB_CRASHED, "the child named an impossible image type");
    }
    p->images[p->image_count] = (struct render_image){.type = text};
    fb_buf_init(&p->images[p->image_count].bytes, MAX_TOTAL);
    p->image_count++;
    return FB_OK;
}

enum fb_status render_print_add(struct render_print *p, struct fb_slice payload,
                                struct fb_error *err)
{
    if (payload.len == 0 || payload.len > MAX_TOTAL - p->total) {
        return fb_error_set(err, FB_TOO_BIG, "the body and its images are larger than %u bytes",
                            MAX_TOTAL);
    }
    p->total += payload.len;
    struct fb_slice rest = fb_slice_sub(payload, 1, SIZE_MAX);
    enum fb_status s = FB_OK;
    switch (payload.ptr[0]) {
    case RENDER_PRINT_HTML:
        s = fb_buf_add_slice(&p->html, rest);
        break;
    case RENDER_PRINT_IMAGE:
        return begin_image(p, rest, err);
    case RENDER_PRINT_IMAGE_DATA:
        s = p->image_count > 0 ? fb_buf_add_slice(&p->images[p->image_count - 1].bytes, rest)
                               : FB_CRASHED;
        break;
    default:
        s = FB_CRASHED;
    }
    return s == FB_OK ? FB_OK : fb_error_set(err, s, "the child's document is beyond its bounds");
}

enum fb_status render_print_run(struct render_print *p, struct render_chromium *chromium,
                                const char *paper, int64_t date_ms, int timeout_ms,
                                struct fb_buf *pdf_r, struct fb_error *err)
{
    return render_chromium_print(chromium, fb_slice_buf(&p->html), p->images, p->image_count, paper,
                                 date_ms, timeout_ms, pdf_r, err);
}
