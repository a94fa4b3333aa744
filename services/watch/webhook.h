/* SPDX-License-Identifier: Apache-2.0
 *
 * Listener for Box webhooks.  A webhook only wakes the reading of the streams: what happened is
 * taken from there alone, so that a lost or invented delivery changes nothing but the moment. */
#ifndef FB_WATCH_WEBHOOK_H
#define FB_WATCH_WEBHOOK_H

#include "common/config.h"

struct watch_webhook;

FB_MUST_USE enum fb_status watch_webhook_new(const struct fb_config *config,
                                             struct watch_webhook **webhook_r,
                                             struct fb_error *err);
/* Closes connections that take too long; call it every second or so.  NULL is none. */
void watch_webhook_tick(struct watch_webhook *webhook);
void watch_webhook_free(struct watch_webhook **webhook);

#endif
