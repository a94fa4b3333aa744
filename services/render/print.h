/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTML document on its way from a child to Chromium: the parts that arrive, bounded, and the
 * print itself. PRINT_PART payload: kind (1 HTML piece, 2 image begins: index, type; 3 image
 * piece), then bytes. */
#ifndef FB_RENDER_PRINT_H
#define FB_RENDER_PRINT_H

#include "services/render/chromium.h"
#include "services/render/letter.h"

enum render_print_kind { RENDER_PRINT_HTML = 1, RENDER_PRINT_IMAGE, RENDER_PRINT_IMAGE_DATA };

struct render_print {
    struct fb_buf html;
    struct render_image *images;
    size_t image_count;
    uint64_t total;
};

void render_print_init(struct render_print *p);
void render_print_deinit(struct render_print *p);
FB_MUST_USE enum fb_status render_print_add(struct render_print *p, struct fb_slice payload,
                                            struct fb_error *err);
/* date_ms: of the mail, for the PDF's own dates. */
FB_MUST_USE enum fb_status render_print_run(struct render_print *p,
                                            struct render_chromium *chromium, const char *paper,
                                            int64_t date_ms, int timeout_ms, struct fb_buf *pdf_r,
                                            struct fb_error *err);

#endif
