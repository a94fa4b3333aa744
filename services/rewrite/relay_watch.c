/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/relay_watch.h"

#include <stdatomic.h>

#include "common/alarm.h"

#define TOO_MANY 3

void relay_watch(enum fb_status s, const struct fb_error *err)
{
    static atomic_int failures;
    if (s == FB_NETWORK) {
        if (atomic_fetch_add(&failures, 1) + 1 >= TOO_MANY) {
            fb_alarm_raise(FB_ALARM_RELAY, "",
                           "the mail server (rewrite.relay) does not take mail, it waits: %s",
                           err->text);
        }
    } else if (s == FB_OK) { /* others say nothing about the relay */
        atomic_store(&failures, 0);
        fb_alarm_clear(FB_ALARM_RELAY, "");
    }
}
