/* SPDX-License-Identifier: Apache-2.0
 *
 * One job at a time for a parcel.  Recall, restore, expiry and purge of one parcel read its manifest, change the
 * storage and write both manifest and ledger; two at once could leave a ledger that says "recalled" over a parcel that
 * is open.  The turn is a lock of the queue (fb_queue_lock); the step that ends the claim gives it back, whether or not
 * taking it was answered.  A claim that another worker took over from a dead one has its turn at once.
 */
#ifndef FB_REVOKE_TURN_H
#define FB_REVOKE_TURN_H

#include "common/queue/queue.h"

/* FB_EXISTS: another job has it, come back a little later.  FB_LOST: the claim is not ours any more. */
FB_MUST_USE enum fb_status revoke_turn_take(struct fb_redis *r, const struct fb_claim *claim,
                                            const char *parcel_id, struct fb_error *err);
/* With the end of the claim, if it has the turn. */
void revoke_turn_end(struct fb_ops *ops, const struct fb_claim *claim, const char *parcel_id);

#endif
