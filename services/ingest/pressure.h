/* SPDX-License-Identifier: Apache-2.0
 *
 * How near the whole is to its limits, measured once a second by the housekeeper, and what follows for new mail.
 *
 *   spool   what it holds / what it may hold (ingest.high_water, ingest.spool_max)
 *   redis   used_memory / maxmemory / ingest.redis_memory_max; without a maxmemory it does not count
 *   age     the oldest job that waits in a normal lane / ingest.queue_age_max
 *
 * Pressure is the largest of the three.  Below 0.8 nothing happens; from there to 1 the answer to each MAIL and to each
 * POST comes later and later, up to 5 s; from 1 on mail is refused for now (452, 503) until the pressure is below 0.9.
 * What Redis does not answer counts as it was last known, for half a minute: a full Redis is a slow one.  When it stays
 * away redis and age count as 0: mail is taken into the spool, which is the truth.
 */
#ifndef FB_INGEST_PRESSURE_H
#define FB_INGEST_PRESSURE_H

#include "common/config.h"
#include "common/redis.h"
#include "common/spool/spool.h"

enum pressure_cause { PRESSURE_SPOOL, PRESSURE_REDIS, PRESSURE_AGE, PRESSURE_CAUSES };

#define PRESSURE_MAX_DELAY_MS 5000

/* The rules by themselves: no clock, no input. */
struct pressure_state {
    double of[PRESSURE_CAUSES];
    bool is_full;
    enum pressure_cause cause; /* of the largest */
    int delay_ms;
};
/* Takes the new quotients in `of` and decides. */
void pressure_decide(struct pressure_state *state);
/* bytes: the spool's; percent: how full its file system of `capacity` bytes is (0 = has none).  What others keep there
 * takes room from the spool, but is not pressure by itself. */
double pressure_of_spool(uint64_t bytes, int percent, uint64_t capacity, int64_t high_water,
                         int64_t spool_max);
/* From the text of INFO memory; max_percent of its maxmemory is 1. */
double pressure_of_redis(const char *info, int64_t max_percent);

struct pressure;
/* spool is lent. */
FB_MUST_USE enum fb_status pressure_new(const struct fb_config *config, struct fb_spool *spool,
                                        struct pressure **pressure_r, struct fb_error *err);
/* Measures, tells metrics, log and alarms; may wait a second or two for Redis.  Whether mail is to be refused now. */
bool pressure_measure(struct pressure *p);
void pressure_free(struct pressure **p);

/* As of the last measurement, for any thread.  How late the answer to a MAIL or POST shall be. */
int pressure_delay_ms(void);
/* Why mail is refused, for the peer: "the spool is nearly full". */
const char *pressure_why(void);

#endif
