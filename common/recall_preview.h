/* SPDX-License-Identifier: Apache-2.0
 *
 * What a recall or a restore will do, for each recipient, before it is done: for the console and the command line. */
#ifndef FB_COMMON_RECALL_PREVIEW_H
#define FB_COMMON_RECALL_PREVIEW_H

#include <jansson.h>

#include "common/ledger/ledger.h"

/* NULL: it can be done.  Else why it cannot (Japanese or English): access by one link cannot be taken from one person.
 * count 0 = all. */
const char *fb_recall_why_not(const struct fb_ledger_message *m, const uint32_t *recipients,
                              size_t count, bool is_ja);
/* {id, preview, can, why_not (fb_recall_why_not's), recipients, can_restore}; recipients: [{address, effect, opened,
 * words}] of those asked for.  effect: "stop" (nothing was sent yet), "remove" (access is taken away), "plain" (the
 * mail itself went out: nothing can be taken back), "nothing" (there is no access any more).  evidence is
 * fb_ledger_evidence's.  The caller's. */
json_t *fb_recall_preview(const struct fb_ledger_message *m, const struct fb_evidence *evidence,
                          const bool *asked, const char *why_not, bool takes_content, bool is_ja);
/* {id, preview, restored (how many), recipients}, with recipients [{address, restored, reason (null: it is)}] of those
 * asked for; wanted is fb_restore_choose's.  The caller's. */
json_t *fb_restore_answer(const struct fb_ledger_message *m, const struct fb_evidence *evidence,
                          const bool *asked, const bool *wanted, bool is_preview, size_t count,
                          bool is_ja);

#endif
