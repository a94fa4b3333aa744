/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine "native": paints prepared HTML (html_prepare.h) with Pango and Cairo inside the
 * sandboxed child, and says beforehand whether the document lies in the subset that it was audited
 * for.  Both are one reading of the document: what counts is what applies to an element, not what a
 * style sheet holds.
 *
 *   native_feature.c   the table of features, each with the mail that put it there
 *   native_css.c       style sheets: rules, selectors, media queries
 *   native_value.c     lengths, colours, lists of fonts
 *   native_property*.c declarations: what each property does to a style
 *   native_style.c     the cascade: our defaults, legacy attributes, rules, style attributes
 *   native_legacy.c    attributes from before there was CSS
 *   native_tree.c      from elements to boxes and runs of text
 *   native_marker.c    numbers and bullets of lists
 *   native_image.c     pictures: size, decoding, drawing
 *   native_text.c      lines of a run of text, by Pango
 *   native_block.c     blocks, margins, lists
 *   native_table.c     tables: widths of columns, rows, borders
 *   native_columns.c   which width each column gets
 *   native_collapse.c  borders that collapse
 *   native_list.c      from boxes to what is drawn, in the order of the document
 *   native_paint.c     pages
 *   native_draw.c      one thing on its page
 */
#ifndef FB_RENDER_NATIVE_H
#define FB_RENDER_NATIVE_H

#include <gumbo.h>

#include "services/render/letter.h"
#include "services/render/page.h"

struct render_native;

/* Reads the document that render_html_prepare_document made; tree and letter must outlive it.
 * is_audit_only: reading ends at the first feature outside of the subset.  limit_ms: of processor time,
 * for all that follows. */
struct render_native *render_native_new(const struct render_letter *letter, const GumboOutput *tree,
                                        const char *paper, bool is_audit_only, int limit_ms);
void render_native_free(struct render_native **native);
/* NULL when the document lies inside the subset; else the name of the first feature outside of it,
 * for log and plan ("float"). */
const char *render_native_outside(const struct render_native *native);
/* Appends the PDF to pdf_r.  The same letter always gives the same bytes.  FB_TOO_BIG: pages, bytes,
 * elements or time; FB_DENIED: is_audit_only, and the pages show what the document did not: it lies
 * outside, render_native_outside says why; FB_BUG when Cairo fails. */
FB_MUST_USE enum fb_status render_native_paint(struct render_native *native, struct fb_buf *pdf_r,
                                               struct fb_error *err);
/* Paints the HTML body of an attached message where p stands, and goes on from there.  The message must
 * outlive p.  FB_DENIED, with nothing drawn: it takes more than its share of time, memory or pages;
 * else as above. */
FB_MUST_USE enum fb_status render_native_continue(struct render_page *p,
                                                  const struct render_letter *inner,
                                                  struct fb_error *err);
/* ---- the classifier's data: native_feature.c ---- */

struct render_native_feature {
    const char *name; /* stands in log and plan */
    const char *what;
    const char *mail; /* in tests/fixtures/html/outside: put it there, and shows why */
};
/* All features that are not painted; count in *count_r. */
const struct render_native_feature *render_native_features(size_t *count_r);

#endif
