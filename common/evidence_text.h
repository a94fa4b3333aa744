/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of one recipient, in words: the same in the letter to the sender, on the sender's
 * page and in the command line, and in both languages.  Says what the evidence says
 * (ledger/evidence.h) and no more: what is not recorded is "not recorded as of" a time, never "not
 * opened".
 */
#ifndef FB_COMMON_EVIDENCE_TEXT_H
#define FB_COMMON_EVIDENCE_TEXT_H

#include "common/buf.h"
#include "common/ledger/evidence.h"

#define FB_EVIDENCE_WORDS 1024 /* bytes that fb_evidence_words adds at most */

/* Adds one or two plain sentences, without a line end and without any value that came from outside
 * (so nothing needs escaping).  language: "ja" is Japanese, everything else English.  Where an entry
 * with a removed access is not final it says that the storage's log is looked at again; a caller who
 * has stopped to look sets complete_ms to 0 in its copy, and it says that instead. */
FB_MUST_USE enum fb_status fb_evidence_words(const struct fb_evidence *e, const char *language,
                                             struct fb_buf *out);
/* Whether anybody is recorded to have opened or downloaded: this recipient, or somebody unknown. */
bool fb_evidence_is_opened(const struct fb_evidence *e);
bool fb_evidence_is_downloaded(const struct fb_evidence *e);

/* Adds a time to the minute.  Japan's time for Japanese readers, UTC for others: a server knows no
 * better, and says which. */
FB_MUST_USE enum fb_status fb_text_time(struct fb_buf *out, int64_t ms, bool is_ja);

#endif
