/* SPDX-License-Identifier: Apache-2.0 */
#include "pressure.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alarm.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/queue/queue.h"

#define SLOW_FROM        0.8
#define FULL_FROM        1.0
#define GOOD_BELOW       0.9
#define REDIS_TIMEOUT_MS 1000
#define REDIS_EVERY_MS   1000
#define KEPT_MS          30000 /* what Redis said, while it says nothing: a full one is a slow one */
#define SHARDS_A_SECOND  16    /* asked: more shards are asked less often */

struct pressure {
    const struct fb_config *config;
    struct fb_spool *spool;
    struct fb_redis *redis;
    struct pressure_state state;
    int64_t redis_next_ms;
    int64_t known_ms[PRESSURE_CAUSES]; /* when Redis last said it */
    bool is_slow, is_info_refused;
    char spool_error[FB_ERROR_MAX]; /* "" = it can be measured */
};

static const char *const names[] = {"spool", "redis", "age"};
static const char *const words[] = {"the spool is nearly full", "the queue's memory is nearly full",
                                    "mail waits too long to be processed"};
static const char *const advice[] = {
    "the spool is above ingest.high_water or ingest.spool_max, or near it",
    "Redis is near its maxmemory (ingest.redis_memory_max): give it more, or find what fills it",
    "jobs wait longer than ingest.queue_age_max: look at `fumibako queue` and at the workers"};

static atomic_int delay_now_ms;
static atomic_int cause_now;

int pressure_delay_ms(void)
{
    return atomic_load(&delay_now_ms);
}

const char *pressure_why(void)
{
    return words[atomic_load(&cause_now)];
}

/* ---- the rules ---- */

void pressure_decide(struct pressure_state *s)
{
    s->cause = PRESSURE_SPOOL;
    for (int i = 0; i < PRESSURE_CAUSES; i++) {
        s->cause = s->of[i] > s->of[s->cause] ? (enum pressure_cause)i : s->cause;
    }
    double all = s->of[s->cause];
    s->is_full = all >= FULL_FROM || (s->is_full && all >= GOOD_BELOW);
    double part = (all - SLOW_FROM) / (FULL_FROM - SLOW_FROM);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    s->delay_ms = (int)(part * PRESSURE_MAX_DELAY_MS);
}

double pressure_of_spool(uint64_t bytes, int percent, uint64_t capacity, int64_t high_water,
                         int64_t spool_max)
{
    double by_size = spool_max > 0 ? (double)bytes / (double)spool_max : 0;
    double by_place = 0;
    if (percent >= high_water) {
        by_place = (double)percent / (double)high_water;
    } else if (capacity > 0) {
        double room = (double)(high_water - percent) / 100 * (double)capacity;
        by_place = (double)bytes / ((double)bytes + room);
    }
    return by_size > by_place ? by_size : by_place;
}

static double number_of(const char *info, const char *name)
{
    const char *at = strstr(info, name);
    return at != NULL && (at == info || at[-1] == '\n') ? strtod(at + strlen(name), NULL) : 0;
}

double pressure_of_redis(const char *info, int64_t max_percent)
{
    double most = number_of(info, "maxmemory:");
    /* What replication and persistence buffer is not what noeviction looks at. */
    double used = number_of(info, "used_memory:") - number_of(info, "mem_not_counted_for_evict:");
    return most > 0 && used > 0 ? used / most / ((double)max_percent / 100) : 0;
}

/* ---- measuring ---- */

static double measure_spool(struct pressure *p)
{
    struct fb_error err = {0};
    uint64_t bytes = 0;
    int percent = 0;
    p->spool_error[0] = '\0';
    if (fb_spool_usage(p->spool, &bytes, &percent, &err) != FB_OK) {
        (void)snprintf(p->spool_error, sizeof p->spool_error, "%s", err.text);
        return FULL_FROM; /* a spool that cannot be looked at is not written to */
    }
    fb_metric_set("fumibako_spool_bytes", NULL, (double)bytes);
    return pressure_of_spool(bytes, percent, fb_spool_capacity(p->spool),
                             p->config->ingest.high_water, p->config->ingest.spool_max);
}

static enum fb_status measure_memory(struct pressure *p, double *of_r, struct fb_error *err)
{
    double most = 0;
    for (int shard = 0; shard < fb_redis_shard_count(p->redis); shard++) {
        redisReply *reply = NULL;
        enum fb_status s = fb_redis_call_at(p->redis, shard, &reply, err, "INFO", "memory", NULL);
        if (s != FB_OK) {
            return s;
        }
        double of = reply->type == REDIS_REPLY_STRING
                        ? pressure_of_redis(reply->str, p->config->ingest.redis_memory_max)
                        : 0;
        most = of > most ? of : most;
        freeReplyObject(reply);
    }
    *of_r = most;
    return FB_OK;
}

static enum fb_status measure_age(struct pressure *p, double *of_r, struct fb_error *err)
{
    int64_t age_ms = 0;
    if (p->config->ingest.queue_age_max_ms == 0) {
        return FB_OK;
    }
    enum fb_status s = fb_queue_waiting_age(p->redis, &age_ms, err);
    if (s == FB_OK) {
        *of_r = (double)age_ms / (double)p->config->ingest.queue_age_max_ms;
    }
    return s;
}

/* A Redis that is away for longer takes no jobs, and so no mail is held back for its sake: the spool takes it. */
static void learn(struct pressure *p, enum pressure_cause cause, enum fb_status known, double of)
{
    int64_t now_ms = fb_mono_ms();
    if (known == FB_OK) {
        p->state.of[cause] = of;
        p->known_ms[cause] = now_ms;
    } else if (now_ms - p->known_ms[cause] >= KEPT_MS) {
        p->state.of[cause] = 0;
    }
}

static void measure_redis(struct pressure *p)
{
    struct fb_error err = {0};
    double memory = 0, age = 0;
    if (fb_mono_ms() < p->redis_next_ms) {
        return;
    }
    enum fb_status s = measure_memory(p, &memory, &err);
    learn(p, PRESSURE_REDIS, s, memory);
    if (s == FB_CONFIG && !p->is_info_refused) {
        p->is_info_refused = true;
        fb_log(FB_WARN,
               "Redis does not let ingest see its memory (+info in deploy/redis/users.acl.sample): "
               "it cannot be taken care of: %s",
               err.text);
    }
    s = measure_age(p, &age, &err);
    learn(p, PRESSURE_AGE, s, age);
    if (s != FB_OK) {
        fb_log(FB_DEBUG, "the queues' age is not known: %s", err.text);
    }
    int shards = fb_redis_shard_count(p->redis);
    p->redis_next_ms =
        fb_mono_ms() + REDIS_EVERY_MS * (1 + (shards - 1) / SHARDS_A_SECOND) - REDIS_EVERY_MS / 10;
}

static void tell(struct pressure *p, bool was_full)
{
    const struct pressure_state *s = &p->state;
    const char *why = p->spool_error[0] != '\0' ? p->spool_error : advice[s->cause];
    bool is_slow = s->delay_ms > 0 && !s->is_full;
    if (s->is_full && !was_full) {
        fb_log(FB_ERROR, "no mail is taken: %s", why);
    } else if (!s->is_full && was_full) {
        fb_log(FB_INFO, "mail is taken again: the %s is below its mark", names[s->cause]);
    } else if (is_slow && !p->is_slow && !s->is_full) {
        fb_log(FB_WARN, "mail is taken slowly: %s", why);
    }
    p->is_slow = is_slow || s->is_full;
    for (int i = 0; i < PRESSURE_CAUSES; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "cause=\"%s\"", names[i]);
        fb_metric_set("fumibako_ingest_pressure", labels, s->of[i]);
    }
    if (s->of[PRESSURE_SPOOL] >= SLOW_FROM) {
        fb_alarm_raise(FB_ALARM_SPOOL, "",
                       "%s: mail is taken slowly, and put off with 452 when it "
                       "is full",
                       p->spool_error[0] != '\0' ? p->spool_error : advice[PRESSURE_SPOOL]);
    } else {
        fb_alarm_clear(FB_ALARM_SPOOL, "");
    }
}

bool pressure_measure(struct pressure *p)
{
    bool was_full = p->state.is_full;
    p->state.of[PRESSURE_SPOOL] = measure_spool(p);
    measure_redis(p);
    pressure_decide(&p->state);
    atomic_store(&cause_now, (int)p->state.cause);
    atomic_store(&delay_now_ms, p->state.delay_ms);
    tell(p, was_full);
    return p->state.is_full;
}

enum fb_status pressure_new(const struct fb_config *config, struct fb_spool *spool,
                            struct pressure **pressure_r, struct fb_error *err)
{
    struct pressure *p = fb_xcalloc(1, sizeof *p);
    p->config = config;
    p->spool = spool;
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &p->redis, err);
    if (s != FB_OK) {
        free(p);
        return s;
    }
    *pressure_r = p;
    return FB_OK;
}

void pressure_free(struct pressure **pressure)
{
    struct pressure *p = *pressure;
    if (p != NULL) {
        fb_redis_free(&p->redis);
        free(p);
        *pressure = NULL;
    }
}
