/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako overview: figures; fumibako system: versions and processes. */
#include "common/system_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/figures.h"
#include "common/json_words.h"
#include "common/ledger/stats.h"
#include "services/ctl/ctl.h"

/* ---- overview ---- */

static const json_t *value_at(const json_t *series, const char *name, size_t i)
{
    return json_array_get(json_object_get(series, name), i);
}

/* A line for each interval in which something happened. */
static void print_series(const json_t *series)
{
    const json_t *times = json_object_get(series, "times");
    (void)printf("%-19s", "from");
    for (int k = 0; k < FB_STAT_COUNT; k++) {
        (void)printf(" %10s", fb_stat_name((enum fb_stat)k));
    }
    (void)printf("\n");
    for (size_t i = 0; i < json_array_size(times); i++) {
        char when[32];
        json_int_t sum = 0;
        ctl_time(json_integer_value(json_array_get(times, i)) * 1000, when);
        for (int k = 0; k < FB_STAT_COUNT; k++) {
            sum += json_integer_value(value_at(series, fb_stat_name((enum fb_stat)k), i));
        }
        if (sum == 0) {
            continue;
        }
        (void)printf("%-19s", when);
        for (int k = 0; k < FB_STAT_COUNT; k++) {
            (void)printf(" %10lld", (long long)json_integer_value(
                                        value_at(series, fb_stat_name((enum fb_stat)k), i)));
        }
        (void)printf("\n");
    }
}

static int show_series(struct ctl *c)
{
    struct fb_error err = {0};
    json_t *series = NULL;
    enum fb_status s = fb_figures_series(c->redis, c->range, &series, &err);
    if (s != FB_OK) {
        return s == FB_INVALID ? ctl_usage_error(c, "--range takes hour, day, week or month")
                               : ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(series);
    } else {
        print_series(series);
        json_decref(series);
    }
    return 0;
}

int ctl_overview(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    int64_t counts[FB_STAT_COUNT] = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (c->range != NULL) {
        return show_series(c);
    }
    int64_t now = fb_now_ms();
    int64_t since = now - FB_STATS_DAY_MS;
    since -= since % FB_STATS_SLOT_MS;
    if (fb_ledger_stats(c->redis, since, FB_STATS_DAY_MS + FB_STATS_SLOT_MS, 1, counts, &err) !=
        FB_OK) {
        return ctl_fail(c, &err);
    }
    json_t *o = json_object();
    for (int k = 0; k < FB_STAT_COUNT; k++) {
        const char *name = fb_stat_name((enum fb_stat)k);
        bool is_mean = k == FB_STAT_LATENCY_MS;
        int64_t sent = counts[FB_STAT_SENT];
        int64_t value = !is_mean ? counts[k] : sent > 0 ? counts[k] / sent : 0;
        if (c->is_json) {
            (void)json_object_set_new(o, name, json_integer((json_int_t)value));
        } else {
            (void)printf("%-12s %lld%s\n", name, (long long)value, is_mean ? " (mean)" : "");
        }
    }
    if (c->is_json) {
        (void)json_object_set_new(o, "since", ctl_json_time(since));
        ctl_print_json(o);
    } else {
        json_decref(o);
        (void)printf("of the last 24 hours; `fumibako queue` shows what waits\n");
    }
    return 0;
}

/* ---- system ---- */

static void print_system(const json_t *info)
{
    size_t i;
    json_t *p;
    const json_t *redis = json_object_get(info, "redis");
    (void)printf("Fumibako %s, policy from %s\n", fb_json_text_of(info, "version"),
                 fb_json_text_of(info, "policy_source"));
    (void)printf("Redis %s, %lld shard(s), %lld of %lld bytes, up %lld s\n",
                 fb_json_text_of(redis, "version"),
                 (long long)json_integer_value(json_object_get(redis, "shards")),
                 (long long)json_integer_value(json_object_get(redis, "used_memory")),
                 (long long)json_integer_value(json_object_get(redis, "max_memory")),
                 (long long)json_integer_value(json_object_get(redis, "uptime_s")));
    json_array_foreach(json_object_get(info, "processes"), i, p)
    {
        (void)printf("%-20s ", fb_json_text_of(p, "service"));
        ctl_print_clean(fb_json_text_of(p, "who"));
        (void)printf(", asked for work %.1f s ago\n",
                     (double)json_integer_value(json_object_get(p, "idle_ms")) / 1000);
    }
    if (i == 0) {
        (void)printf("no worker reads a queue; `fumibako doctor` looks at the services\n");
    }
}

int ctl_system(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    json_t *info = NULL;
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_system_info(c->redis, c->config, &info, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(info);
    } else {
        print_system(info);
        json_decref(info);
    }
    return 0;
}
