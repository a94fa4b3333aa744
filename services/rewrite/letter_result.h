/* SPDX-License-Identifier: Apache-2.0
 *
 * The first words of a recall report: what became of it as a whole. */
#ifndef FB_REWRITE_LETTER_RESULT_H
#define FB_REWRITE_LETTER_RESULT_H

#include "services/rewrite/letter_text.h"

FB_MUST_USE enum fb_status letter_add_result(struct words *w, const struct letter_facts *f);

#endif
