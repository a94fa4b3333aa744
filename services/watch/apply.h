/* SPDX-License-Identifier: Apache-2.0
 *
 * From the storage's events to the ledger: whose parcel, which recipient, what it changes.
 *
 * 1. What has an effect outside (a link that is ended) is done before the page is recorded: it may
 *    be done twice, but is never recorded undone.
 * 2. Events of a folder that no parcel has are put by for a day: a recipient may be faster than
 *    upload's last step.  After that they are of something that is not ours.
 * 3. Our own accounts' doings are not accesses. */
#ifndef FB_WATCH_APPLY_H
#define FB_WATCH_APPLY_H

#include "common/ledger/access.h"
#include "services/watch/follow.h"

/* Records a page and its position, in one step.  FB_LOST: another process is leader; FB_AGAIN: the
 * position is another one, read it again. */
FB_MUST_USE enum fb_status watch_apply(struct watch_round *w, const struct storage_events *page,
                                       const char *stream, const char *old_position,
                                       struct fb_error *err);
/* Looks again at what was put by. */
FB_MUST_USE enum fb_status watch_apply_parked(struct watch_round *w, struct fb_error *err);

#endif
