/* SPDX-License-Identifier: Apache-2.0
 *
 * What fuzz_paint and fuzz_native ask of each PDF: it is whole, and its links begin with one of four schemes and have
 * no character that could end their string, so that what follows would be an action of the mail's own. */
#ifndef FB_TESTS_FUZZ_PDF_LINKS_H
#define FB_TESTS_FUZZ_PDF_LINKS_H

#include "common/buf.h"

/* Aborts where it is not so. */
void fuzz_check_pdf(struct fb_slice pdf);

#endif
