/* SPDX-License-Identifier: Apache-2.0
 *
 * From the header block and the parts to what the letter shows and the policy asks.
 */
#ifndef FB_RENDER_FACTS_H
#define FB_RENDER_FACTS_H

#include "services/render/mime.h"

/* Reads the header block into the mail: subject, addresses, date, references, header facts, head of
 * the notice. */
FB_MUST_USE enum fb_status facts_read_head(struct fb_slice head, struct render_mail *m,
                                           struct fb_error *err);
/* When body and parts are complete: unique names, attachment lines and facts, language, facts->...
 */
FB_MUST_USE enum fb_status facts_finish(const struct fb_envelope *envelope, uint64_t size,
                                        bool has_japanese_charset, struct render_mail *m,
                                        struct fb_error *err);
void facts_deinit(struct render_mail *m);

#endif
