/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a header block: fields, encoded-words, parameters, addresses, names, the notice's
 * head, the stripped tag.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/addresses.h"
#include "services/render/charset.h"
#include "services/render/headers.h"
#include "services/render/names.h"
#include "services/render/params.h"
#include "services/render/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(struct fb_slice head)
{
    for (size_t i = 0; i < head.len; i++) {
        FB_ASSERT(head.ptr[i] != '\0');
        FB_ASSERT(head.ptr[i] != '\n' || (i > 0 && head.ptr[i - 1] == '\r'));
        FB_ASSERT(head.ptr[i] != '\r' || (i + 1 < head.len && head.ptr[i + 1] == '\n'));
    }
    FB_ASSERT(fb_slice_find(head, FB_SLICE_LITERAL("\r\n\r\n")) == SIZE_MAX);
}

static void check_value(struct fb_slice value)
{
    struct render_params p;
    struct render_addresses list = {0};
    struct fb_buf out;
    fb_buf_init(&out, 1U << 22);
    char *text = render_words_dup(value, 4096);
    FB_ASSERT(text == NULL ||
              (render_utf8_is_valid(fb_slice_str(text)) && strpbrk(text, "\r\n") == NULL));
    free(text);
    if (render_params_parse(value, &p) == FB_OK) {
        char *name = render_params_dup(&p, "filename", 4096);
        char *clean = name != NULL ? render_name_clean(name) : NULL;
        FB_ASSERT(clean == NULL || strpbrk(clean, "/\\\r\n") == NULL);
        free(clean);
        free(name);
        render_params_deinit(&p);
    }
    if (render_addresses_add(value, 100, &list) == FB_OK) {
        free(render_addresses_dup_text(&list));
    }
    render_addresses_deinit(&list);
    if (render_head_strip_tag(value, "[x]", &out) == FB_OK) {
        FB_ASSERT(out.len == 0 || out.ptr[out.len - 1] != '\n');
    }
    fb_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fb_slice rest = fb_slice_of(data, size);
    struct render_field f;
    struct fb_buf head;
    fb_buf_init(&head, size * 2 + 64);
    if (render_head_build(rest, &head) == FB_OK) {
        check_head(fb_slice_buf(&head));
    }
    fb_buf_deinit(&head);
    while (render_field_next(&rest, &f)) {
        check_value(f.value);
    }
    return 0;
}
