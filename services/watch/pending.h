/* SPDX-License-Identifier: Apache-2.0
 *
 * Recipients without an account: the storage is asked about each pending grant, once an hour at
 * most, and soon after an event that says that somebody accepted.  Also tells of their two-step
 * login, where the storage does. */
#ifndef FB_WATCH_PENDING_H
#define FB_WATCH_PENDING_H

#include "services/watch/follow.h"

/* A few of those that are due. */
FB_MUST_USE enum fb_status watch_ask_pending(struct watch_round *w, struct fb_error *err);

#endif
