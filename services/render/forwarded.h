/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a message begins that a mailer put into the text of another one: its separating line, for
 * bookmarks. */
#ifndef FB_RENDER_FORWARDED_H
#define FB_RENDER_FORWARDED_H

#include "common/buf.h"

#define RENDER_FORWARDED_TITLE 200

/* Whether text begins with such a line ("-----Original Message-----", "---------- Forwarded message
 * ---------", "Begin forwarded message:", "-------- 転送されたメッセージ --------"); then title_r says
 * what to call it: the subject below it, or the line itself without its dashes.  Looks at a dozen lines. */
bool render_forwarded_begins(struct fb_slice text, char title_r[RENDER_FORWARDED_TITLE]);

#endif
