/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako storages: what upload services found of the policy's storages, and a test of one by upload, which alone has
 * the keys (common/storage_report.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/policy/policy.h"
#include "common/storage_report.h"
#include "services/ctl/ctl.h"

#define TEST_MS 60000

/* The policy in force; false: the reason was printed. */
static bool need_policy(struct ctl *c, struct fb_policy **policy_r, int *exit_r)
{
    struct fb_buf document = {0};
    struct fb_error err = {0};
    struct fb_policy_findings findings = {0};
    if (!ctl_need_redis(c, exit_r) || !ctl_policy_in_force(c, &document, exit_r)) {
        return false;
    }
    bool is_good = fb_policy_parse(fb_slice_buf(&document), policy_r, &findings) == FB_OK;
    if (!is_good) {
        (void)fb_error_set(&err, FB_INVALID, "the policy in force has errors");
        *exit_r = ctl_fail(c, &err);
    }
    fb_policy_findings_deinit(&findings);
    fb_buf_deinit(&document);
    return is_good;
}

/* ---- list ---- */

static json_t *storage_json(const struct ctl *c, const struct fb_policy_storage *s,
                            const struct fb_storage_report *report)
{
    bool is_box = s->type == FB_STORAGE_BOX;
    const char *place = is_box ? s->root_folder : s->url;
    return json_pack("{s:o,s:s,s:o,s:I,s:o,s:o}", "name", fb_json_text(s->name), "type",
                     is_box ? "box" : "vault", "place", fb_json_text(place != NULL ? place : ""),
                     "users", (json_int_t)s->user_count, "quota",
                     s->quota > 0 ? json_integer((json_int_t)s->quota) : json_null(), "state",
                     report != NULL ? fb_storage_report_json(report, ctl_language(c), ctl_json_time)
                                    : json_null());
}

static void size_text(int64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    if (bytes < 0) {
        (void)snprintf(out, 24, "-");
    } else {
        (void)snprintf(out, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    }
}

static void print_storage(const struct ctl *c, const struct fb_policy_storage *s,
                          const struct fb_storage_report *report)
{
    char used[24] = "-", quota[24] = "-", free_space[24] = "-", at[32] = "-";
    struct fb_buf words;
    if (report != NULL) {
        size_text(report->space.used, used);
        size_text(report->space.quota > 0 ? report->space.quota : -1, quota);
        size_text(report->space.free, free_space);
        ctl_time(report->at_ms, at);
    }
    ctl_print_clean(s->name);
    (void)printf("%*s %-6s %-8s %12s %12s %12s  %s\n",
                 strlen(s->name) < 20 ? (int)(20 - strlen(s->name)) : 0, "",
                 s->type == FB_STORAGE_BOX ? "box" : "vault",
                 report == NULL  ? "unknown"
                 : report->is_ok ? "ok"
                                 : "FAILED",
                 used, quota, free_space, at);
    for (size_t i = 0; report != NULL && i < report->step_count; i++) {
        if (report->steps[i].is_ok) {
            continue;
        }
        fb_buf_init(&words, 2048);
        if (fb_storage_step_words(&report->steps[i], ctl_language(c), &words) == FB_OK) {
            (void)printf("  ");
            ctl_print_clean(fb_buf_str(&words));
            (void)printf("\n");
        }
        fb_buf_deinit(&words);
    }
}

int ctl_storages_list(struct ctl *c)
{
    int code = 0;
    struct fb_policy *p = NULL;
    struct fb_error err = {0};
    enum fb_status s = FB_OK;
    if (!ctl_language_ok(c, &code) || !need_policy(c, &p, &code)) {
        return code;
    }
    json_t *items = json_array();
    if (!c->is_json && p->storage_count > 0) {
        (void)printf("%-20s %-6s %-8s %12s %12s %12s  %s\n", "name", "type", "state", "used",
                     "quota", "free", "as of");
    }
    for (size_t i = 0; i < p->storage_count && s == FB_OK; i++) {
        struct fb_storage_report report;
        s = fb_storage_report_get(c->redis, p->storages[i].name, &report, &err);
        bool is_known = s == FB_OK;
        s = s == FB_NOT_FOUND ? FB_OK : s;
        if (s == FB_OK && c->is_json) {
            (void)json_array_append_new(
                items, storage_json(c, &p->storages[i], is_known ? &report : NULL));
        } else if (s == FB_OK) {
            print_storage(c, &p->storages[i], is_known ? &report : NULL);
        }
    }
    if (s == FB_OK && c->is_json) {
        ctl_print_json(json_pack("{s:O}", "items", items));
    }
    json_decref(items);
    fb_policy_unref(&p);
    return s == FB_OK ? 0 : ctl_fail(c, &err);
}

/* ---- test ---- */

static void print_steps(const struct ctl *c, const struct fb_storage_report *report)
{
    for (size_t i = 0; i < report->step_count; i++) {
        struct fb_buf words;
        fb_buf_init(&words, 2048);
        (void)printf("%-6s %-8s ", report->steps[i].is_ok ? "ok" : "FAILED",
                     fb_storage_step_name(report->steps[i].step));
        if (fb_storage_step_words(&report->steps[i], ctl_language(c), &words) == FB_OK) {
            ctl_print_clean(fb_buf_str(&words));
        }
        (void)printf("\n");
        fb_buf_deinit(&words);
    }
}

int ctl_storages_test(struct ctl *c)
{
    int code = 0;
    int64_t asked_ms = 0;
    struct fb_policy *p = NULL;
    struct fb_error err = {0};
    struct fb_storage_report report;
    if (!ctl_language_ok(c, &code) || !need_policy(c, &p, &code)) {
        return code;
    }
    enum fb_status s =
        fb_policy_find_storage(p, c->words[0]) != NULL
            ? FB_OK
            : fb_error_set(&err, FB_NOT_FOUND, "the policy in force has no storage of that name");
    fb_policy_unref(&p);
    s = s == FB_OK ? fb_storage_ask(c->redis, c->words[0], &asked_ms, &err) : s;
    s = s == FB_OK ? fb_storage_wait(c->redis, c->words[0], asked_ms, TEST_MS, &report, &err) : s;
    if (s != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(fb_storage_report_json(&report, ctl_language(c), ctl_json_time));
    } else {
        print_steps(c, &report);
    }
    return report.is_ok ? 0 : FB_EXIT_FAILED;
}
