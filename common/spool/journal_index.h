/* SPDX-License-Identifier: Apache-2.0
 *
 * Which recipients of which message have which entry: the journal's memory.  Not thread-safe;
 * private to the journal.
 */
#ifndef FB_COMMON_SPOOL_JOURNAL_INDEX_H
#define FB_COMMON_SPOOL_JOURNAL_INDEX_H

#include "common/spool/journal.h"

#define FB_JOURNAL_KINDS ((unsigned)FB_SENT_RECALLED) /* fb_sent_kind counts from 1 */

struct fb_journal_index;

struct fb_journal_index *fb_journal_index_new(void);
void fb_journal_index_free(struct fb_journal_index **index);
/* recipient < FB_MAX_RECIPIENTS, kind 1 to FB_JOURNAL_KINDS: the caller checks. */
void fb_journal_index_add(struct fb_journal_index *index, const char *msg_id, unsigned kind,
                          uint32_t recipient);
bool fb_journal_index_has(const struct fb_journal_index *index, const char *msg_id, unsigned kind,
                          uint32_t recipient);
void fb_journal_index_remove(struct fb_journal_index *index, const char *msg_id);

#endif
