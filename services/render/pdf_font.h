/* SPDX-License-Identifier: Apache-2.0
 *
 * Fonts without their instructions.  Those of a TrueType font fit its outlines to a coarse screen; what
 * shows PDFs smooths them instead, and fits them by itself where it does at all.  Of the subsets that a
 * letter of one page has they are more than a third: the programs of a Japanese font alone (4 kB) stand in
 * each of its subsets. */
#ifndef FB_RENDER_PDF_FONT_H
#define FB_RENDER_PDF_FONT_H

#include "common/buf.h"

/* The font (TrueType with outlines; OpenType specification) in place of what out holds.  The outlines,
 * widths and numbers of its glyphs are the same.  False: it is no such font, or not a sound one. */
FB_MUST_USE bool render_pdf_font_lighten(struct fb_slice font, struct fb_buf *out);

#endif
