/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweeper's thread (common/ledger/sweep.h), beside the enqueue thread and with a connection of
 * its own: it may take its time. */
#ifndef FB_INGEST_SWEEPER_H
#define FB_INGEST_SWEEPER_H

#include "common/config.h"
#include "common/spool/spool.h"

struct sweeper;
FB_MUST_USE enum fb_status sweeper_new(const struct fb_config *config, struct fb_spool *spool,
                                       struct sweeper **sweeper_r, struct fb_error *err);
/* Ends the thread, between two steps of a sweep. */
void sweeper_free(struct sweeper **sweeper);

#endif
