/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy diff|rollback: what changed from one version to another, and back to an earlier one; overview. */
#include <stdio.h>
#include <stdlib.h>

#include "common/ledger/stats.h"
#include "common/policy/diff.h"
#include "common/policy/store.h"
#include "services/ctl/ctl.h"

struct diff {
    const struct ctl *c;
    json_t *lines;
    int added, removed;
};

static void tell_line(void *ctx, const struct fb_diff_line *l)
{
    struct diff *d = ctx;
    if (l->kind == ' ') {
        return;
    }
    d->added += l->kind == '+';
    d->removed += l->kind == '-';
    char *text = fb_slice_dup_str(l->text);
    size_t number = l->kind == '+' ? l->new_ : l->old;
    if (text != NULL && d->c->is_json) {
        char kind[2] = {l->kind, '\0'};
        (void)json_array_append_new(d->lines,
                                    json_pack("{s:s,s:I,s:o}", "kind", kind, "line",
                                              (json_int_t)number, "text", fb_json_text(text)));
    } else if (text != NULL) {
        (void)printf("%c%5zu  ", l->kind, number);
        ctl_print_clean(text);
        (void)printf("\n");
    }
    free(text);
}

/* The version that a word names; without one, what is in force. */
static enum fb_status get(struct ctl *c, const char *name, struct fb_policy_version *v,
                          struct fb_error *err)
{
    return name != NULL ? fb_policy_version_get(c->redis, name, v, err)
                        : fb_policy_current(c->config, c->redis, v, err);
}

int ctl_policy_diff(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_policy_version from = {0}, to = {0};
    struct diff d = {.c = c};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    enum fb_status s = get(c, c->words[0], &from, &err);
    if (s == FB_OK) {
        s = get(c, c->word_count > 1 ? c->words[1] : NULL, &to, &err);
    }
    if (s != FB_OK) {
        fb_policy_version_deinit(&from);
        return ctl_fail(c, &err);
    }
    d.lines = json_array();
    fb_diff(fb_slice_buf(&from.document), fb_slice_buf(&to.document), tell_line, &d);
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s,s:i,s:i,s:o}", "from", from.version, "to", to.version,
                                 "added", d.added, "removed", d.removed, "lines", d.lines));
    } else {
        json_decref(d.lines);
        (void)printf("%d added, %d removed\n", d.added, d.removed);
    }
    fb_policy_version_deinit(&from);
    fb_policy_version_deinit(&to);
    return 0;
}

/* ---- overview ---- */

#define DAY_MS INT64_C(86400000)

int ctl_overview(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    int64_t counts[FB_STAT_COUNT] = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    int64_t now = fb_now_ms();
    int64_t since = now - DAY_MS;
    since -= since % FB_STATS_SLOT_MS;
    if (fb_ledger_stats(c->redis, since, DAY_MS + FB_STATS_SLOT_MS, 1, counts, &err) != FB_OK) {
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
