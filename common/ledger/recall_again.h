/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sent journal remembers of recalls, for a Redis that forgot them.  For the replay and the
 * sweeper, which put a message back, and for rewrite, which is about to send one.
 */
#ifndef FB_COMMON_LEDGER_RECALL_AGAIN_H
#define FB_COMMON_LEDGER_RECALL_AGAIN_H

#include "common/queue/ops.h"
#include "common/redis.h"
#include "common/spool/journal.h"
#include "proto/envelope.h"

/* Adds to ops what makes the recipients recalled again, and a revoke job for each parcel of the plan
 * that may be open to them; nothing where nobody was.  is_known: Redis knows the message; only what
 * it does not have is added then, and who has the notice is left as they are (the recall may have
 * been undone since, and nothing goes out to them any more).  *journal is opened when it is NULL,
 * and is the caller's. */
FB_MUST_USE enum fb_status fb_recall_again(struct fb_spool *spool, struct fb_redis *redis,
                                           struct fb_journal **journal, struct fb_spool_msg *msg,
                                           const struct fb_envelope *envelope, bool is_known,
                                           struct fb_ops *ops, struct fb_error *err);

#endif
