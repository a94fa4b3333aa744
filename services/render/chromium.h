/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool of warm chromium-headless-shell processes that print prepared HTML to PDF.
 *
 * What a page gets: its HTML, the images handed over with it (cid:N), nothing else. Scripts are
 * off, each request of the page is answered or refused here, and where the system permits it the
 * browser has no network at all. The browser runs in Chromium's own sandbox, never without it,
 * and never as root.
 *
 *   chromium_pool.c      the pool: who prints where, restart and recycling
 *   chromium_page.c      one page: navigation, requests, the print
 *   chromium_fit.c       a letter that is wider than its page
 *   chromium_cdp.c       DevTools protocol over two pipes
 *   chromium_process.c   a browser's life, seen from the service
 *   chromium_keeper.c    the process between service and browser, which owns the browser's tree
 *   chromium_home.c      the browser's folder
 *   chromium_tree.c      memory and end of a tree of processes
 *   chromium_pdf.c       paper sizes, dates within the PDF
 */
#ifndef FB_RENDER_CHROMIUM_H
#define FB_RENDER_CHROMIUM_H

#include <stdbool.h>

#include "services/render/letter.h"

struct render_chromium;

struct render_chromium_config {
    const char *binary;   /* NULL: looked for where Debian puts it */
    int instances;        /* browsers at most; those beyond the first start when needed */
    int64_t memory_bytes; /* unshared memory of a whole browser; above it, it is killed */
    int recycle_after;    /* prints until a browser is replaced (a page leaves traces); 0: never */
    const char *user;     /* whom a browser runs as when we are root */
    bool is_tagged;       /* structure and outline in the PDF */
    int timeout_ms;       /* of the self-test and of starting a browser */
    struct fb_slice fonts_conf; /* text of a Fontconfig file, lent as long as the pool lives; empty:
                                   the system's */
    bool no_namespaces; /* leave out our own name spaces (not Chromium's): for tests of the driver
                           alone, and of systems that refuse them */
};

/* Starts the first browser and prints a page for a test. Strings are copied. FB_CONFIG with words
 * on what to do when the program is missing or its sandbox cannot start; FB_AGAIN, FB_IO and
 * FB_CRASHED for other failures. */
FB_MUST_USE enum fb_status render_chromium_new(const struct render_chromium_config *config,
                                               struct render_chromium **chromium_r,
                                               struct fb_error *err);

/* Ends all browsers and what they started. No print may be under way. */
void render_chromium_free(struct render_chromium **chromium);

/* Prints html (UTF-8; images are named cid:N, N < image_count) and appends the PDF to pdf_r. Page
 * margins come from CSS @page. paper: "A4", "A3", "A5", "Letter" or "Legal". date_ms becomes the
 * PDF's dates: equal input gives equal bytes. Any thread may call it: a free browser is waited for
 * at most timeout_ms, then the print may take timeout_ms.
 * FB_AGAIN: no browser became free. FB_TOO_BIG: pdf_r is full. FB_CRASHED: out of time or memory,
 * or the browser died; its processes are gone then, and the next print starts another one.
 * FB_CONFIG, FB_IO: a browser cannot be started. On failure pdf_r is unchanged. */
FB_MUST_USE enum fb_status
render_chromium_print(struct render_chromium *chromium, struct fb_slice html,
                      const struct render_image *images, size_t image_count, const char *paper,
                      int64_t date_ms, int timeout_ms, struct fb_buf *pdf_r, struct fb_error *err);

#endif
