/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker sees of its stage that somebody must look at: held jobs, and jobs that wait too
 * long.  From the promoting thread, each few seconds; also carries the process's alarms to Redis. */
#include <inttypes.h>

#include "common/alarm.h"
#include "common/log.h"
#include "common/queue/worker_internal.h"

#define WATCH_MS 5000

static void tell_dead(struct fb_worker *worker, int64_t dead)
{
    const char *stage = fb_stage_name(worker->w->stage);
    if (dead > worker->dead_seen) {
        fb_alarm_raise(FB_ALARM_HELD, stage,
                       "%" PRId64 " held in stage %s: decide with `fumibako dead list`, `fumibako "
                       "dead show ID`",
                       dead, stage);
    } else if (dead == 0) {
        fb_alarm_clear(FB_ALARM_HELD, stage);
    }
    worker->dead_seen = dead; /* fewer than before is no news */
}

static void tell_age(struct fb_worker *worker, int64_t age_ms)
{
    const char *stage = fb_stage_name(worker->w->stage);
    int64_t limit_ms = worker->config->ingest.queue_age_max_ms;
    if (limit_ms > 0 && age_ms > limit_ms) {
        fb_alarm_raise(FB_ALARM_QUEUE_AGE, stage,
                       "the oldest job of stage %s waits longer than ingest.queue_age_max (%" PRId64
                       " s): look at `fumibako queue` and at the workers of this stage",
                       stage, limit_ms / 1000);
    } else {
        fb_alarm_clear(FB_ALARM_QUEUE_AGE, stage);
    }
}

void fb_worker_watch(struct fb_worker *worker, struct fb_redis *r)
{
    struct fb_error err = {0};
    if (fb_mono_ms() < worker->watch_next_ms) {
        return;
    }
    worker->watch_next_ms = fb_mono_ms() + WATCH_MS;
    struct fb_queue_stats stats;
    enum fb_status s = fb_queue_stats(r, worker->w->stage, &stats, &err);
    if (s == FB_OK) {
        tell_dead(worker, stats.dead);
        tell_age(worker, stats.oldest_age_ms);
        s = fb_alarm_publish(r, &err);
    }
    if (s != FB_OK) {
        fb_log(FB_DEBUG, "alarms cannot be looked at now: %s", err.text);
    }
}
