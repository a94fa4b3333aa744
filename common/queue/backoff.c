/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before a job is tried again: full jitter, because all jobs of an outage fail
 * together and must not come back together.  The cap of one hour stays flat, so that mail is tried
 * for days as an MTA does.
 */
#include "common/id.h"
#include "common/queue/queue.h"

#define FIRST_MS (5 * 1000)
#define CAP_MS   (60 * 60 * 1000)
#define FLOOR_MS 1000

int64_t fb_queue_backoff_ms(uint32_t attempt)
{
    int64_t top = CAP_MS;
    if (attempt < 10) { /* 5 s * 2^10 is past the cap */
        top = (int64_t)FIRST_MS << attempt;
        if (top > CAP_MS) {
            top = CAP_MS;
        }
    }
    int64_t ms = (int64_t)fb_random_below((uint64_t)top + 1);
    return ms < FLOOR_MS ? FLOOR_MS : ms;
}
