/* SPDX-License-Identifier: Apache-2.0
 *
 * The letter with a reader's code (common/ledger/code.h), one job each.
 *
 * 1. Sent only while its code is taken at the door: what was replaced, used or is over sends nothing.
 * 2. Tried again while that is so, ten minutes at most; never held and never reported.
 * 3. From the null sender, signed with our trace header.  A crash between the relay's reply and the
 *    job's end sends a copy, with the same Message-ID.
 */
#ifndef FB_REWRITE_CODE_H
#define FB_REWRITE_CODE_H

#include "services/rewrite/handle.h"

/* Arguments as of rewrite_handle. */
void code_handle(struct rewrite_service *service, void *thread, struct fb_redis *redis,
                 const struct fb_claim *claim, struct fb_outcome *out);

#endif
