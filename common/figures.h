/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures (ledger/stats.h) as JSON, for the console and the command line. */
#ifndef FB_COMMON_FIGURES_H
#define FB_COMMON_FIGURES_H

#include <jansson.h>

#include "common/redis.h"

/* [{rule, today, week, month, shadow_today, shadow_week, shadow_month}]: recipients that each rule took, and those that
 * a rule in shadow would have taken; days are UTC's.  The caller's. */
FB_MUST_USE enum fb_status fb_figures_hits(struct fb_redis *r, json_t **items_r,
                                           struct fb_error *err);
/* {interval_ms, times (seconds), and for each figure a list with a value for each interval}.  name: hour, day, week or
 * month; FB_INVALID for another one.  The caller's. */
FB_MUST_USE enum fb_status fb_figures_series(struct fb_redis *r, const char *name,
                                             json_t **series_r, struct fb_error *err);

#endif
