/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as the HTML body of a mail, prepared and painted by the engine "native".  Octet 0: bit 0
 * Japanese, bit 1 paper, bit 2 reading ends at the first feature outside of the subset, bit 3 without structure.
 *
 * Checked: it ends, with a whole PDF or a limit; links in it begin with one of four schemes and have no
 * character that could end their string.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "services/render/charset.h"
#include "services/render/html_prepare.h"
#include "services/render/native.h"
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

#define MAX_BODY 4000U /* more text shows nothing new, and takes its time */
#define MAX_PDF  (16U << 20)
#define LIMIT_MS 2000

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
    char subject[] = "subject";
    struct render_letter letter = {.is_html = true,
                                   .is_japanese = (data[0] & 1) != 0,
                                   .is_tagged = (data[0] & 8) == 0,
                                   .subject = subject,
                                   .date_ms = 1700000000000};
    struct render_html_document document;
    struct fb_buf html, pdf;
    struct fb_error err = {0};
    fb_buf_init(&letter.body, 1U << 20);
    fb_buf_init(&html, 64U << 20);
    fb_buf_init(&pdf, MAX_PDF);
    struct fb_slice in = fb_slice_sub(fb_slice_of(data + 1, size - 1), 0, MAX_BODY);
    FB_ASSERT(render_charset_to_utf8(in, "utf-8", &letter.body) == FB_OK);
    if (render_html_prepare_document(&letter, &html, &document, &err) == FB_OK) {
        bool is_audit_only = (data[0] & 4) != 0;
        const char *paper = (data[0] & 2) != 0 ? "Letter" : "A4";
        struct render_native *n =
            render_native_new(&letter, document.tree, paper, is_audit_only, LIMIT_MS);
        enum fb_status s = render_native_paint(n, &pdf, &err);
        bool is_limit = s == FB_TOO_BIG || (s == FB_DENIED && render_native_outside(n) != NULL);
        FB_ASSERT(s == FB_OK || is_limit);
        if (s == FB_OK) {
            fuzz_check_pdf(fb_slice_buf(&pdf));
        }
        render_native_free(&n);
    }
    render_html_document_deinit(&document);
    fb_buf_deinit(&letter.body);
    fb_buf_deinit(&html);
    fb_buf_deinit(&pdf);
    return 0;
}
