/* SPDX-License-Identifier: Apache-2.0 */
#include "common/figures.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_words.h"
#include "common/ledger/stats.h"

/* ---- how often each rule took a recipient ---- */

struct hits {
    json_t *rules; /* by name: [today, week, month, shadow...] */
    int64_t age;   /* days before today */
};

static void add_hits(void *ctx, const char *rule, bool is_shadow, int64_t count)
{
    struct hits *h = ctx;
    static const char *const fields[2][3] = {{"today", "week", "month"},
                                             {"shadow_today", "shadow_week", "shadow_month"}};
    json_t *one = json_object_get(h->rules, rule);
    if (one == NULL) {
        json_t *name = fb_json_text(rule);
        one = json_pack("{s:o,s:i,s:i,s:i,s:i,s:i,s:i}", "rule", name, "today", 0, "week", 0,
                        "month", 0, "shadow_today", 0, "shadow_week", 0, "shadow_month", 0);
        if (one == NULL || json_object_set_new(h->rules, rule, one) != 0) {
            return; /* a name that is no UTF-8 cannot be a rule's */
        }
    }
    for (size_t i = 0; i < 3; i++) {
        if ((i == 0 && h->age > 0) || (i == 1 && h->age > 6)) {
            continue;
        }
        json_int_t old = json_integer_value(json_object_get(one, fields[is_shadow][i]));
        (void)json_object_set_new(one, fields[is_shadow][i], json_integer(old + (json_int_t)count));
    }
}

enum fb_status fb_figures_hits(struct fb_redis *r, json_t **items_r, struct fb_error *err)
{
    const char *name;
    json_t *one;
    struct hits h = {.rules = json_object()};
    enum fb_status s = FB_OK;
    for (h.age = 0; h.age < 31 && s == FB_OK; h.age++) {
        s = fb_ledger_rule_hits(r, fb_now_ms() - h.age * FB_STATS_DAY_MS, add_hits, &h, err);
    }
    if (s == FB_OK) {
        *items_r = json_array();
        json_object_foreach(h.rules, name, one)
        {
            (void)json_array_append(*items_r, one);
        }
    }
    json_decref(h.rules);
    return s;
}

/* ---- over time ---- */

static const struct range {
    const char *name;
    int64_t step_ms;
    size_t count;
} ranges[] = {{"day", 2 * FB_STATS_SLOT_MS, 144},
              {"hour", FB_STATS_SLOT_MS, 13},
              {"week", 12 * FB_STATS_SLOT_MS, 168},
              {"month", 72 * FB_STATS_SLOT_MS, 120}};

static json_t *series_json(const struct range *range, int64_t from, const int64_t *slots)
{
    json_t *o = json_pack("{s:I}", "interval_ms", (json_int_t)range->step_ms);
    json_t *times = json_array();
    for (size_t i = 0; i < range->count; i++) {
        (void)json_array_append_new(
            times, json_integer((json_int_t)((from + (int64_t)i * range->step_ms) / 1000)));
    }
    (void)json_object_set_new(o, "times", times);
    for (int k = 0; k < FB_STAT_COUNT; k++) {
        json_t *list = json_array();
        for (size_t i = 0; i < range->count; i++) {
            const int64_t *at = slots + i * FB_STAT_COUNT;
            bool is_mean = k == FB_STAT_LATENCY_MS;
            json_t *value = !is_mean ? json_integer((json_int_t)at[k])
                            : at[FB_STAT_SENT] > 0
                                ? json_integer((json_int_t)(at[k] / at[FB_STAT_SENT]))
                                : json_null();
            (void)json_array_append_new(list, value);
        }
        (void)json_object_set_new(o, fb_stat_name((enum fb_stat)k), list);
    }
    return o;
}

enum fb_status fb_figures_series(struct fb_redis *r, const char *name, json_t **series_r,
                                 struct fb_error *err)
{
    const struct range *range = NULL;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && range == NULL; i++) {
        range = strcmp(ranges[i].name, name) == 0 ? &ranges[i] : NULL;
    }
    if (range == NULL) {
        return fb_error_set(err, FB_INVALID, "a range is hour, day, week or month");
    }
    int64_t last = fb_now_ms();
    last -= last % range->step_ms;
    int64_t from = last - (int64_t)(range->count - 1) * range->step_ms;
    int64_t *slots = fb_xcalloc(range->count * FB_STAT_COUNT, sizeof *slots);
    enum fb_status s = fb_ledger_stats(r, from, range->step_ms, range->count, slots, err);
    if (s == FB_OK) {
        *series_r = series_json(range, from, slots);
    }
    free(slots);
    return s;
}
