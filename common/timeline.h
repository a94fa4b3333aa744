/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened to a mail, in order, for each of its recipients: for the console and the command line. */
#ifndef FB_COMMON_TIMELINE_H
#define FB_COMMON_TIMELINE_H

#include <jansson.h>

#include "common/ledger/ledger.h"

/* A list with one list of {at, what, source, actor, network, agent, by_others} for each recipient, the oldest first.
 * by_others: somebody did it who is none of them.  time writes
 * the moments.  The caller's. */
FB_MUST_USE enum fb_status fb_timeline(struct fb_redis *r, const struct fb_ledger_message *m,
                                       json_t *(*time)(int64_t ms), json_t **lines_r,
                                       struct fb_error *err);

#endif
