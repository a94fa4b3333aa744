/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving back the access that a recall took.  Part of ledger.h; for the command line and the console. */
#ifndef FB_COMMON_LEDGER_RESTORE_H
#define FB_COMMON_LEDGER_RESTORE_H

#include "common/ledger/ledger.h"

/* NULL: this recipient's access can be given back.  Else why not, in words (Japanese or English). */
const char *fb_restore_why_not(const struct fb_ledger_message *m, const struct fb_evidence *e,
                               bool is_ja);
/* wanted_r[i]: asked for and possible; asked NULL = all.  Both have an entry for each recipient of m; evidence is
 * fb_ledger_evidence's.  FB_DENIED: a parcel with one link for all is asked for in part; nothing can be done then. */
FB_MUST_USE enum fb_status fb_restore_choose(const struct fb_ledger_message *m,
                                             const struct fb_evidence *evidence, const bool *asked,
                                             bool *wanted_r, struct fb_error *err);
/* Adds the jobs, with the marks of the recall taken off in the same step.  count_r: recipients. */
FB_MUST_USE enum fb_status fb_restore(struct fb_redis *r, const struct fb_ledger_message *m,
                                      const bool *wanted, size_t *count_r, struct fb_error *err);

#endif
