/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures: today's, over time, of the queues; versions and processes. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alarm.h"
#include "common/figures.h"
#include "common/ledger/stats.h"
#include "common/policy/store.h"
#include "common/queue/queue.h"
#include "common/yaml.h"
#include "services/console/api.h"

#define MINUTE_MS  INT64_C(60000)
#define MAX_OFFSET 840 /* minutes: the zones of the world */

/* ---- queues ---- */

static json_t *stage_json(struct call *c, enum fb_stage stage, struct fb_error *err)
{
    struct fb_queue_stats q = {0};
    int64_t newer = 0;
    if (fb_queue_stats(c->redis, stage, &q, err) != FB_OK ||
        fb_queue_newer(c->redis, stage, &newer, err) != FB_OK) {
        return NULL;
    }
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "stage", fb_stage_name(stage), "waiting",
                     (json_int_t)q.waiting, "inflight", (json_int_t)q.inflight, "bulk",
                     (json_int_t)q.bulk, "delayed", (json_int_t)q.delayed, "dead",
                     (json_int_t)q.dead, "newer", (json_int_t)newer, "oldest_age_ms",
                     (json_int_t)q.oldest_age_ms);
}

/* The storage is the whole cause, or what stands before ", login" (services/upload/away.c). */
static bool is_of_storage(const struct fb_alarm_entry *e, const char *storage)
{
    size_t len = strlen(storage);
    return e->kind == FB_ALARM_STORAGE && strncmp(e->cause, storage, len) == 0 &&
           (e->cause[len] == '\0' || strcmp(e->cause + len, ", login") == 0);
}

json_t *api_alarms(struct call *c, const char *storage, struct fb_error *err)
{
    struct fb_alarm_entry *list = NULL;
    size_t count = 0;
    if (fb_alarm_list(c->redis, &list, &count, err) != FB_OK) {
        return NULL;
    }
    json_t *alarms = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct fb_alarm_entry *e = &list[i];
        bool is_wanted = storage == NULL || is_of_storage(e, storage);
        if (is_wanted) {
            (void)json_array_append_new(
                alarms, json_pack("{s:s,s:o,s:o,s:o,s:o}", "kind", fb_alarm_name(e->kind), "cause",
                                  fb_json_text(e->cause), "who", fb_json_text(e->who), "text",
                                  fb_json_text(e->text), "since", call_json_time(e->since_ms)));
        }
    }
    free(list);
    return alarms;
}

/* {"stages", "alarms", "due"}; NULL with an error.  held_r may be NULL. */
static json_t *queues_json(struct call *c, int64_t *held_r, struct fb_error *err)
{
    int64_t held = 0;
    uint64_t due = 0;
    json_t *stages = json_array();
    bool is_good = true;
    for (int stage = 0; stage < FB_STAGE_COUNT && is_good; stage++) {
        json_t *one = stage_json(c, (enum fb_stage)stage, err);
        is_good = one != NULL;
        held += json_integer_value(json_object_get(one, "dead"));
        (void)json_array_append_new(stages, one);
    }
    json_t *alarms = is_good ? api_alarms(c, NULL, err) : NULL;
    is_good = alarms != NULL && fb_ledger_due_count(c->redis, fb_now_ms(), &due, err) == FB_OK;
    if (!is_good) {
        json_decref(stages);
        json_decref(alarms);
        return NULL;
    }
    if (held_r != NULL) {
        *held_r = held;
    }
    return json_pack("{s:o,s:o,s:I}", "stages", stages, "alarms", alarms, "due", (json_int_t)due);
}

void api_queues(struct call *c)
{
    struct fb_error err = {0};
    json_t *queues = queues_json(c, NULL, &err);
    if (queues == NULL) {
        answer_error(c, &err);
    } else {
        answer_json(c, 200, queues);
    }
}

/* ---- today ---- */

static json_t *head_json(const struct fb_policy_version *v)
{
    return json_pack("{s:s,s:I,s:o,s:o,s:o}", "version", v->version, "number",
                     (json_int_t)v->number, "at", call_json_time(v->at_ms), "author",
                     fb_json_text(v->author), "comment", fb_json_text(v->comment));
}

/* null where there is none. */
static json_t *policy_json(struct call *c, struct fb_error *err)
{
    struct fb_policy_version v;
    enum fb_status s = fb_policy_current(c->console->config, c->redis, &v, err);
    if (s == FB_NOT_FOUND) {
        return json_null();
    }
    if (s != FB_OK) {
        return NULL;
    }
    json_t *head = head_json(&v);
    fb_policy_version_deinit(&v);
    return head;
}

static json_t *counts_json(const int64_t *counts)
{
    json_t *o = json_object();
    for (int k = 0; k < FB_STAT_COUNT; k++) {
        if (k != FB_STAT_LATENCY_MS) {
            (void)json_object_set_new(o, fb_stat_name((enum fb_stat)k),
                                      json_integer((json_int_t)counts[k]));
        }
    }
    return o;
}

/* Minutes east of UTC, by the query; false: answered. */
static bool take_offset(struct call *c, int64_t *offset_r)
{
    const char *given = fb_http_query(c->request, "offset");
    if (given == NULL) {
        return true;
    }
    if (!fb_parse_int(given, offset_r) || *offset_r > MAX_OFFSET || *offset_r < -MAX_OFFSET) {
        answer_invalid(c, "offset", "offset は -840 から 840 までの分数です。",
                       "offset is a number of minutes from -840 to 840.");
        return false;
    }
    return true;
}

void api_overview(struct call *c)
{
    struct fb_error err = {0};
    int64_t offset = 0;
    int64_t held = 0;
    if (!take_offset(c, &offset)) {
        return;
    }
    int64_t now = fb_now_ms();
    int64_t since = now - (now + offset * MINUTE_MS) % FB_STATS_DAY_MS;
    since -= since % FB_STATS_SLOT_MS;
    int64_t counts[FB_STAT_COUNT] = {0};
    enum fb_status s =
        fb_ledger_stats(c->redis, since, FB_STATS_DAY_MS + FB_STATS_SLOT_MS, 1, counts, &err);
    json_t *queues = s == FB_OK ? queues_json(c, &held, &err) : NULL;
    json_t *policy = queues != NULL ? policy_json(c, &err) : NULL;
    if (policy == NULL) {
        json_decref(queues);
        answer_error(c, &err);
        return;
    }
    (void)json_object_update_new(
        queues, json_pack("{s:o,s:o,s:o,s:I,s:o}", "at", call_json_time(now), "since",
                          call_json_time(since), "today", counts_json(counts), "held_now",
                          (json_int_t)held, "policy", policy));
    answer_json(c, 200, queues);
}

/* ---- over time ---- */

void api_series(struct call *c)
{
    struct fb_error err = {0};
    json_t *series = NULL;
    const char *name = fb_http_query(c->request, "range");
    enum fb_status s = fb_figures_series(c->redis, name != NULL ? name : "day", &series, &err);
    if (s == FB_OK) {
        answer_json(c, 200, series);
    } else if (s == FB_INVALID) {
        answer_invalid(c, "range", "range は hour、day、week、month のいずれかです。",
                       "range is hour, day, week or month.");
    } else {
        answer_error(c, &err);
    }
}
