/* SPDX-License-Identifier: Apache-2.0
 *
 * What changed from one document to another, line by line (Myers' O(ND) algorithm, bounded). */
#ifndef FB_COMMON_POLICY_DIFF_H
#define FB_COMMON_POLICY_DIFF_H

#include "common/buf.h"

struct fb_diff_line {
    char kind;        /* ' ', '+', '-' */
    size_t old, new_; /* line numbers, 1-based; 0 where it is not there */
    struct fb_slice text;
};
/* Calls each for every line of both documents, in order; texts are lent by the documents.  Where more than a few
 * thousand lines differ, what lies between is given as removed and added as a whole. */
void fb_diff(struct fb_slice from, struct fb_slice to,
             void (*each)(void *ctx, const struct fb_diff_line *line), void *ctx);

#endif
