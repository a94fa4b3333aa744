/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the relay answers, as all threads of the process see it: several failures in a row are an
 * alarm (common/alarm.h), one success ends it. */
#ifndef FB_REWRITE_RELAY_WATCH_H
#define FB_REWRITE_RELAY_WATCH_H

#include "common/status.h"

/* With the result of each mail handed to the relay (smtp_client_send); err says why it failed. */
void relay_watch(enum fb_status s, const struct fb_error *err);

#endif
