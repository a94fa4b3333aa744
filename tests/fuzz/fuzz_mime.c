/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a whole message: MIME structure, charsets, names, unpacking.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/charset.h"
#include "services/render/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum fb_status source_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    const struct fb_slice *message = ctx;
    (void)err;
    struct fb_slice s = fb_slice_sub(*message, (size_t)offset, len);
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    *read_r = s.len;
    return FB_OK;
}

static enum fb_status sink_begin(void *ctx, const char *name, struct fb_error *err)
{
    (void)ctx;
    (void)err;
    FB_ASSERT(name[0] != '\0');
    return FB_OK;
}

static enum fb_status sink_add(void *ctx, const void *bytes, size_t len, struct fb_error *err)
{
    (void)ctx;
    (void)err;
    FB_ASSERT(len > 0 && bytes != NULL);
    return FB_OK;
}

static enum fb_status sink_commit(void *ctx, struct fb_error *err)
{
    (void)ctx;
    (void)err;
    return FB_OK;
}

static void sink_abandon(void *ctx)
{
    (void)ctx;
}

static void check(const struct render_mail *m, size_t size)
{
    FB_ASSERT(m->part_count <= FB_MAX_PARTS);
    FB_ASSERT(render_utf8_is_valid(fb_slice_buf(&m->letter.body)));
    FB_ASSERT(render_utf8_is_valid(fb_slice_buf(&m->text)));
    FB_ASSERT(render_utf8_is_valid(fb_slice_str(m->subject)));
    for (uint32_t i = 0; i < m->part_count; i++) {
        const struct fb_part *p = &m->parts[i];
        FB_ASSERT(p->name[0] != '\0' && strpbrk(p->name, "/\\\r\n") == NULL);
        FB_ASSERT(render_utf8_is_valid(fb_slice_str(p->name)));
        FB_ASSERT(p->object != NULL || (p->offset <= size && p->length <= size - p->offset));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fb_slice message = fb_slice_of(data, size);
    struct render_source source = {.ctx = &message, .read = source_read, .size = size};
    struct render_sink sink = {
        .begin = sink_begin, .add = sink_add, .commit = sink_commit, .abandon = sink_abandon};
    char sender[] = "";
    struct fb_envelope envelope = {.reverse_path = sender};
    struct render_mail mail;
    struct fb_error err = {0};
    if (render_mime_parse(&source, &sink, &envelope, &mail, &err) == FB_OK) {
        check(&mail, size);
        FB_ASSERT(render_mime_keep_body(&mail, &sink, &err) == FB_OK);
        render_mail_deinit(&mail);
    }
    return 0;
}
