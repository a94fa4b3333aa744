/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a Range header, as a name or type of an attachment, as a ticket, and as what a painting child that was
 * taken over says, or is asked.
 *
 * Checked: a part lies within the file; a name is one UTF-8 file name that breaks no header; no ticket of the
 * fuzzer's is believed; an answer that is believed keeps its limits.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_range.h"
#include "services/portal/painter.h"
#include "services/portal/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const char *text)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t first = 1, last = 0;
        if (fb_http_range_parse(text, sizes[i], &first, &last) == FB_HTTP_RANGE_PART) {
            FB_ASSERT(first <= last && last < sizes[i]);
        }
    }
    FB_ASSERT(!fb_http_range_is_fresh(text, NULL));
    FB_ASSERT(!fb_http_range_is_fresh(text, "\"e\"") || strcmp(text, "\"e\"") == 0);
}

static void check_name(const char *text)
{
    char safe[READ_NAME_SIZE], numbered[READ_NAME_SIZE], type[READ_TYPE_SIZE];
    struct fb_buf out;
    read_name_safe(text, safe);
    FB_ASSERT(safe[0] != '\0' && safe[0] != '.' && form_is_utf8(safe));
    FB_ASSERT(strpbrk(safe, "/\\\r\n\t\"<>|:*?") == NULL);
    read_name_numbered(safe, 99999, numbered);
    FB_ASSERT(form_is_utf8(numbered) && strstr(numbered, " (99999)") != NULL);
    fb_buf_init(&out, 1000);
    FB_ASSERT(read_name_disposition(safe, &out) == FB_OK);
    for (size_t i = 0; i < out.len; i++) {
        FB_ASSERT(out.ptr[i] >= 0x20 && out.ptr[i] < 0x7f);
    }
    fb_buf_clear(&out);
    FB_ASSERT(read_name_url(safe, &out) == FB_OK && strpbrk(fb_buf_str(&out), " /?#\"<>") == NULL);
    fb_buf_deinit(&out);
    read_name_type(text, type);
    FB_ASSERT(strpbrk(type, "; \r\n") == NULL && strchr(type, '/') != NULL);
    FB_ASSERT(strcasestr(type, "html") == NULL && strcasestr(type, "script") == NULL);
}

static void check_painter(const uint8_t *data, size_t size)
{
    uint8_t bytes[PAINTER_REQUEST_SIZE] = {0};
    struct painter_answer a;
    struct painter_request r;
    memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
    if (painter_answer_read(bytes, &a)) {
        FB_ASSERT(a.image_len <= PAINTER_MAX_PNG && a.width <= PAINTER_MAX_SIDE);
        FB_ASSERT(a.status == FB_OK || a.image_len == 0);
    }
    if (painter_request_read(bytes, &r)) {
        FB_ASSERT(r.size > 0 && r.size <= PAINTER_MAX_INPUT && r.mark_len <= PAINTER_MAX_MARK);
    }
    (void)painter_is_png(fb_slice_of(data, size), 10, 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct portal portal;
    struct visit v = {.portal = &portal};
    struct reader r = {.visit = &v, .text = "link"};
    char id[FB_VAULT_FILE_ID];
    char *text = malloc(size + 1);
    FB_ASSERT(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_range(text);
    check_name(text);
    portal.form_key[0] = 9;
    FB_ASSERT(!read_ticket_check(&r, fb_slice_of(data, size), 0, id));
    check_painter(data, size);
    free(text);
    return 0;
}
