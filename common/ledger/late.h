/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail that is late: whether its sender was told (RFC 3461: a delay is told once), and where it
 * waits. */
#ifndef FB_COMMON_LEDGER_LATE_H
#define FB_COMMON_LEDGER_LATE_H

#include "common/queue/queue.h"

/* Whether the sender was told that this branch is late, or that the whole mail is. */
FB_MUST_USE enum fb_status fb_ledger_late_told(struct fb_redis *r, const char *msg_id,
                                               uint32_t branch, bool *is_told_r,
                                               struct fb_error *err);
/* With the step that puts the job off: he is told.  For a job of render: of the whole mail. */
void fb_ledger_late_tell(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job);
/* Whether the branch is still under way (known, not ended, not held) and its sender is to be told
 * that it is late, and was not yet; and where it was put off last. */
FB_MUST_USE enum fb_status fb_ledger_late_get(struct fb_redis *r, const char *msg_id,
                                              uint32_t branch, bool *is_late_r,
                                              enum fb_stage *stage_r, struct fb_error *err);
/* With the end of the letter: it was sent. */
void fb_ledger_late_sent(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *letter);

#endif
