/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as the letter that the painter without Chromium makes a PDF of: plain, format=flowed, out
 * of RTF, or out of HTML.  Octet 0 chooses which; then subject, sender, a file's name and the body,
 * separated by one octet 0x1e.
 *
 * Checked: a PDF comes, whole (octet 0, bit 7: without structure); a link in it begins with one
 * of three schemes and has no character that could end its string; and the same letter gives the
 * same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "services/render/charset.h"
#include "services/render/html_text.h"
#include "services/render/rtf.h"
#include "services/render/text_paint.h"
#include "tests/fuzz/pdf_links.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* Fontconfig keeps what it found for the life of the process, where LeakSanitizer does not see it. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\n";
}

#define MAX_BODY 3000U /* more text shows nothing new, and takes its time */
#define MAX_PDF  (16U << 20)

/* As the parser gives it: valid UTF-8 without NUL. */
static struct fb_slice take(struct fb_slice *rest)
{
    size_t n = fb_slice_find(*rest, FB_SLICE_LITERAL("\x1e"));
    struct fb_slice one = fb_slice_sub(*rest, 0, n == SIZE_MAX ? rest->len : n);
    *rest = fb_slice_sub(*rest, one.len + 1, SIZE_MAX);
    return one;
}

static char *take_line(struct fb_slice *rest)
{
    struct fb_buf text;
    fb_buf_init(&text, 4096);
    struct fb_slice one = fb_slice_sub(take(rest), 0, 300);
    FB_ASSERT(render_charset_to_utf8(one, "utf-8", &text) == FB_OK);
    for (size_t i = 0; i < text.len; i++) { /* fields are one line each */
        text.ptr[i] = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? ' ' : text.ptr[i];
    }
    char *line = fb_xstrdup(fb_buf_str(&text));
    fb_buf_deinit(&text);
    return line;
}

static void take_body(struct fb_slice in, uint8_t flags, struct fb_buf *body)
{
    struct fb_buf html;
    bool is_html = false;
    in = fb_slice_sub(in, 0, MAX_BODY);
    fb_buf_init(&html, 1U << 20);
    if ((flags & 16) != 0 && rtf_to_body(in, &html, &is_html) == FB_OK) {
        FB_ASSERT(render_utf8_is_valid(fb_slice_buf(&html)));
        in = fb_slice_buf(&html);
    } else {
        FB_ASSERT(render_charset_to_utf8(in, "utf-8", &html) == FB_OK);
        in = fb_slice_buf(&html);
    }
    if ((flags & 32) != 0 || is_html) {
        FB_ASSERT(html_text_add(in, body) == FB_OK);
    } else {
        FB_ASSERT(fb_buf_add_slice(body, fb_slice_sub(in, 0, 1U << 18)) == FB_OK);
    }
    FB_ASSERT(render_utf8_is_valid(fb_slice_buf(body)));
    fb_buf_deinit(&html);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    render_charset_init();
    render_text_warm();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    uint8_t flags = data[0];
    struct fb_slice rest = fb_slice_of(data + 1, size - 1);
    struct render_letter letter = {.is_tagged = (flags & 128) == 0,
                                   .is_japanese = (flags & 1) != 0,
                                   .is_flowed = (flags & 2) != 0,
                                   .is_delsp = (flags & 4) != 0,
                                   .date_ms = 1700000000000};
    struct fb_buf pdf, again;
    struct fb_error err = {0};
    letter.subject = take_line(&rest);
    letter.from = take_line(&rest);
    letter.attachments = fb_xcalloc(1, sizeof *letter.attachments);
    letter.attachment_count = 1;
    letter.attachments[0].name = take_line(&rest);
    letter.attachments[0].type = fb_xstrdup("application/pdf");
    letter.attachments[0].size = 12345;
    fb_buf_init(&letter.body, 8U << 20);
    fb_buf_init(&pdf, MAX_PDF);
    fb_buf_init(&again, MAX_PDF);
    take_body(rest, flags, &letter.body);
    const char *paper = (flags & 8) != 0 ? "Letter" : "A4";
    FB_ASSERT(render_text_paint(&letter, paper, &pdf, &err) == FB_OK);
    fuzz_check_pdf(fb_slice_buf(&pdf));
    if ((flags & 64) != 0) {
        FB_ASSERT(render_text_paint(&letter, paper, &again, &err) == FB_OK);
        FB_ASSERT(fb_slice_eq(fb_slice_buf(&pdf), fb_slice_buf(&again)));
    }
    fb_buf_deinit(&pdf);
    fb_buf_deinit(&again);
    render_letter_deinit(&letter);
    return 0;
}
