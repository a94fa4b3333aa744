/* SPDX-License-Identifier: Apache-2.0
 *
 * What falls due: parcels past their expiry are closed, those past their purge deleted, senders are
 * reminded of what is not opened and told what became of a recall; mail held for longer than
 * retention.dead is given up and its sender told.
 * A thread in every fumibako-revoke looks; what one of them takes no other takes (common/ledger/due.h).
 */
#ifndef FB_REVOKE_SCHEDULE_H
#define FB_REVOKE_SCHEDULE_H

#include "common/config.h"

struct revoke_schedule;

/* Starts the thread; config is kept by reference. */
FB_MUST_USE enum fb_status revoke_schedule_new(const struct fb_config *config,
                                               struct revoke_schedule **schedule_r,
                                               struct fb_error *err);
void revoke_schedule_free(struct revoke_schedule **schedule);

#endif
