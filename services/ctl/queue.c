/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako queue */
#include "common/queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alarm.h"
#include "common/ledger/ledger.h"
#include "common/spool/spool.h"
#include "services/ctl/ctl.h"

/* Jobs that wait for upgraded workers: a rollout that stands still shows here. */
static bool add_newer(const struct ctl *c, json_t *all, struct fb_error *err)
{
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        int64_t newer = 0;
        if (fb_queue_newer(c->redis, (enum fb_stage)stage, &newer, err) != FB_OK) {
            return false;
        }
        const char *name = fb_stage_name((enum fb_stage)stage);
        if (c->is_json) {
            (void)json_object_set_new(json_object_get(all, name), "newer",
                                      json_integer((json_int_t)newer));
        } else if (newer > 0) {
            (void)printf(
                "%s: %lld of the delayed jobs are of a newer version and wait for upgraded "
                "workers: upgrade fumibako-%s\n",
                name, (long long)newer, name);
        }
    }
    return true;
}

static bool add_alarms(const struct ctl *c, json_t *all, struct fb_error *err)
{
    struct fb_alarm_entry *list = NULL;
    size_t count = 0;
    if (fb_alarm_list(c->redis, &list, &count, err) != FB_OK) {
        return false;
    }
    json_t *alarms = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct fb_alarm_entry *e = &list[i];
        (void)json_array_append_new(
            alarms, json_pack("{s:s,s:o,s:o,s:o,s:o}", "kind", fb_alarm_name(e->kind), "cause",
                              fb_json_text(e->cause), "who", fb_json_text(e->who), "text",
                              fb_json_text(e->text), "since", ctl_json_time(e->since_ms)));
        if (!c->is_json) {
            (void)printf("alarm %s%s%s: ", fb_alarm_name(e->kind), e->cause[0] != '\0' ? " " : "",
                         e->cause);
            ctl_print_clean(e->text);
            (void)printf(" [%s]\n", e->who);
        }
    }
    free(list);
    if (c->is_json) {
        (void)json_object_set_new(all, "alarms", alarms);
    } else {
        json_decref(alarms);
    }
    return true;
}

int ctl_queue(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    json_t *stages = json_object();
    if (!c->is_json) {
        (void)printf("%-8s %8s %8s %8s %8s %8s %10s\n", "stage", "waiting", "inflight", "bulk",
                     "delayed", "dead", "oldest");
    }
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        struct fb_queue_stats q = {0};
        if (fb_queue_stats(c->redis, (enum fb_stage)stage, &q, &err) != FB_OK) {
            json_decref(stages);
            return ctl_fail(c, &err);
        }
        const char *name = fb_stage_name((enum fb_stage)stage);
        if (c->is_json) {
            (void)json_object_set_new(
                stages, name,
                json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "waiting", (json_int_t)q.waiting, "inflight",
                          (json_int_t)q.inflight, "bulk", (json_int_t)q.bulk, "delayed",
                          (json_int_t)q.delayed, "dead", (json_int_t)q.dead, "oldest_age_ms",
                          (json_int_t)q.oldest_age_ms));
        } else {
            (void)printf("%-8s %8lld %8lld %8lld %8lld %8lld %8.1f s\n", name, (long long)q.waiting,
                         (long long)q.inflight, (long long)q.bulk, (long long)q.delayed,
                         (long long)q.dead, (double)q.oldest_age_ms / 1000);
        }
    }
    if (!add_newer(c, stages, &err) || !add_alarms(c, stages, &err)) {
        json_decref(stages);
        return ctl_fail(c, &err);
    }
    uint64_t due = 0; /* before the revoke stage: what fell due and has no job yet */
    if (fb_ledger_due_count(c->redis, fb_now_ms(), &due, &err) != FB_OK) {
        json_decref(stages);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        (void)json_object_set_new(stages, "due", json_integer((json_int_t)due));
        ctl_print_json(stages);
    } else {
        json_decref(stages);
        (void)printf("due and not taken yet (expiry, purge, reminders, reports): %llu\n",
                     (unsigned long long)due);
    }
    return 0;
}
