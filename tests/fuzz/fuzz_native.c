/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as the HTML body of a mail, prepared and painted by the engine "native".  Octet 0: bit 0
 * Japanese, bit 1 paper, bit 2 reading ends at the first feature outside of the subset.
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

static void check_links(struct fb_slice pdf)
{
    static const char mark[] = "/URI (";
    for (size_t at; (at = fb_slice_find(pdf, fb_slice_str(mark))) != SIZE_MAX;) {
        pdf = fb_slice_sub(pdf, at + sizeof mark - 1, SIZE_MAX);
        bool is_known = fb_slice_istarts(pdf, "http://") || fb_slice_istarts(pdf, "https://") ||
                        fb_slice_istarts(pdf, "mailto:") || fb_slice_istarts(pdf, "tel:");
        FB_ASSERT(is_known);
        size_t i = 0;
        while (i < pdf.len && pdf.ptr[i] != ')') {
            FB_ASSERT(pdf.ptr[i] > 0x20 && pdf.ptr[i] < 0x7f && strchr("(\\", pdf.ptr[i]) == NULL);
            i++;
        }
        struct fb_slice behind = fb_slice_trim(fb_slice_sub(pdf, i + 1, 16));
        FB_ASSERT(fb_slice_istarts(behind, ">>") || fb_slice_istarts(behind, "/"));
    }
}

static void check_pdf(struct fb_slice pdf)
{
    struct fb_slice end = fb_slice_trim(fb_slice_sub(pdf, pdf.len > 8 ? pdf.len - 8 : 0, 8));
    FB_ASSERT(pdf.len > 100 && memcmp(pdf.ptr, "%PDF-1.", 7) == 0);
    FB_ASSERT(end.len >= 5 && memcmp(end.ptr + end.len - 5, "%%EOF", 5) == 0);
    check_links(pdf);
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
    char subject[] = "subject";
    struct render_letter letter = {.is_html = true,
                                   .is_japanese = (data[0] & 1) != 0,
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
            check_pdf(fb_slice_buf(&pdf));
        }
        render_native_free(&n);
    }
    render_html_document_deinit(&document);
    fb_buf_deinit(&letter.body);
    fb_buf_deinit(&html);
    fb_buf_deinit(&pdf);
    return 0;
}
