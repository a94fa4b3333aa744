/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as winmail.dat, fed in two pieces; and the same bytes as Outlook's compressed RTF.
 */
#include <stddef.h>
#include <stdint.h>

#include "services/render/charset.h"
#include "services/render/rtf.h"
#include "services/render/tnef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum fb_status begin(void *ctx, struct fb_error *err)
{
    (void)err;
    int *open = ctx;
    FB_ASSERT(*open == 0);
    *open = 1;
    return FB_OK;
}

static enum fb_status add(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    (void)err;
    const int *open = ctx;
    FB_ASSERT(*open == 1 && (len == 0 || bytes != NULL));
    return FB_OK;
}

static enum fb_status end(void *ctx, const struct tnef_file *file, struct fb_error *err)
{
    (void)err;
    int *open = ctx;
    FB_ASSERT(*open == 1);
    FB_ASSERT(file->name == NULL || render_utf8_is_valid(fb_slice_str(file->name)));
    *open = 0;
    return FB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int open = 0;
    struct tnef_receiver receiver = {.ctx = &open, .begin = begin, .add = add, .end = end};
    struct tnef *t = tnef_new(&receiver);
    struct fb_error err = {0};
    size_t half = size / 2;
    bool is_html = false;
    if (tnef_add(t, data, half, &err) == FB_OK &&
        tnef_add(t, data + half, size - half, &err) == FB_OK && tnef_end(t, &err) == FB_OK) {
        FB_ASSERT(render_utf8_is_valid(tnef_get_body(t, &is_html)));
    }
    tnef_free(&t);
    struct fb_buf rtf = {0};
    struct fb_buf body = {0};
    fb_buf_init(&rtf, 1U << 20);
    fb_buf_init(&body, 1U << 22);
    struct fb_slice text = fb_slice_of(data, size);
    if (rtf_decompress(text, &rtf) == FB_OK) {
        text = fb_slice_buf(&rtf);
    }
    if (rtf_to_body(text, &body, &is_html) == FB_OK) {
        FB_ASSERT(render_utf8_is_valid(fb_slice_buf(&body)));
    }
    fb_buf_deinit(&rtf);
    fb_buf_deinit(&body);
    return 0;
}
