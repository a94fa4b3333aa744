/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as the HTML body of a mail, made ready for Chromium.
 *
 * Checked: the document is UTF-8, and no script, no frame, no form and no address but the mail's own
 * images, data and links is left in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/charset.h"
#include "services/render/html_prepare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(struct fb_slice html, const char *tag)
{
    return fb_slice_find(html, fb_slice_str(tag)) != SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "logo";
    char type[] = "image/png";
    char subject[] = "</title><script>alert(1)</script>";
    struct render_image image = {.cid = name, .type = type};
    struct render_letter letter = {.is_html = true,
                                   .is_japanese = size % 2 == 0,
                                   .subject = subject,
                                   .images = &image,
                                   .image_count = 1};
    struct fb_buf html;
    struct fb_error err = {0};
    fb_buf_init(&letter.body, RENDER_HTML_MAX + 1024);
    fb_buf_init(&html, 64U << 20);
    FB_ASSERT(render_charset_to_utf8(fb_slice_of(data, size), "utf-8", &letter.body) == FB_OK);
    enum fb_status s = render_html_prepare(&letter, &html, &err);
    FB_ASSERT(s == FB_OK || s == FB_TOO_BIG);
    if (s == FB_OK) {
        struct fb_slice out = fb_slice_buf(&html);
        FB_ASSERT(render_utf8_is_valid(out));
        FB_ASSERT(!has(out, "<script") && !has(out, "<iframe") && !has(out, "<object") &&
                  !has(out, "<embed"));
        FB_ASSERT(!has(out, "<form") && !has(out, "<base") && !has(out, "<link") &&
                  !has(out, "src=\"http"));
    }
    fb_buf_deinit(&letter.body);
    fb_buf_deinit(&html);
    return 0;
}
