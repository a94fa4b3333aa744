/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy check|show|apply|history|rollback */
#include "common/policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy/store.h"
#include "common/yaml.h"
#include "services/ctl/ctl.h"

/* "error" and "warning" stay: editors read the lines. */
static void print_findings(const struct ctl *c, const char *path,
                           const struct fb_policy_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        (void)fprintf(f->items[i].is_error ? stderr : stdout, "%s:%d: %s: %s\n", path,
                      f->items[i].line, f->items[i].is_error ? "error" : "warning",
                      f->items[i].text);
    }
    if (f->error_count > 0 && ctl_is_ja(c)) {
        (void)fprintf(stderr, "%s: 誤りが %zu 件あるため、有効にできません\n", path,
                      f->error_count);
    } else if (f->error_count > 0) {
        (void)fprintf(stderr, "%s: %zu error%s: it cannot be put in force\n", path, f->error_count,
                      f->error_count == 1 ? "" : "s");
    }
}

/* Reads and parses.  What the parser found is printed, or with --json kept for the one answer
 * (findings_r, the caller's; NULL when the file could not be read, which was said). */
static int load(struct ctl *c, const char *path, struct fb_buf *document,
                struct fb_policy **policy_r, json_t **findings_r)
{
    struct fb_error err = {0};
    struct fb_policy_findings findings = {0};
    *findings_r = NULL;
    if (fb_read_file(path, FB_POLICY_MAX, document, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    enum fb_status s =
        fb_policy_parse_in(fb_slice_buf(document), ctl_is_ja(c), policy_r, &findings);
    if (c->is_json) {
        *findings_r = fb_json_findings(&findings);
    } else {
        print_findings(c, path, &findings);
    }
    fb_policy_findings_deinit(&findings);
    return s == FB_OK ? 0 : FB_EXIT_FAILED;
}

int ctl_policy_check(struct ctl *c)
{
    struct fb_buf document = {0};
    struct fb_policy *policy = NULL;
    json_t *findings = NULL;
    int code = 0;
    if (!ctl_language_ok(c, &code)) {
        return code;
    }
    code = load(c, c->words[0], &document, &policy, &findings);
    if (findings != NULL) {
        ctl_print_json(json_pack("{s:b,s:o}", "valid", code == 0, "findings", findings));
    } else if (code == 0) {
        (void)printf(ctl_is_ja(c) ? "%s: 誤りはありません: ルール %zu 件、保管先 %zu 件、版 %.12s\n"
                                  : "%s: good: %zu rules, %zu storages, version %.12s\n",
                     c->words[0], policy->rule_count, policy->storage_count, policy->version);
    }
    fb_policy_unref(&policy);
    fb_buf_deinit(&document);
    return code;
}

enum fb_status ctl_policy_read(struct ctl *c, struct fb_buf *document, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    struct fb_policy_version v = {0};
    bool is_file = strncmp(c->config->policy.source, "file:", 5) == 0;
    if (c->redis == NULL && !is_file) {
        s = fb_redis_new(c->config, CTL_REDIS_TIMEOUT_MS, &c->redis, err);
    }
    if (s == FB_OK) {
        s = fb_policy_current(c->config, c->redis, &v, err);
    }
    if (s == FB_OK) {
        *document = v.document; /* its own now */
    }
    return s;
}

bool ctl_policy_in_force(struct ctl *c, struct fb_buf *document, int *exit_r)
{
    struct fb_error err = {0};
    if (!ctl_need_config(c, exit_r)) {
        return false;
    }
    if (ctl_policy_read(c, document, &err) != FB_OK) {
        *exit_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

static int show(const struct ctl *c, struct fb_slice document)
{
    if (c->is_json) {
        char version[65];
        fb_policy_version_name(document, version);
        ctl_print_json(json_pack("{s:s,s:s,s:o}", "version", version, "source",
                                 c->config->policy.source, "document",
                                 json_stringn((const char *)document.ptr, document.len)));
        return 0;
    }
    return fwrite(document.ptr, 1, document.len, stdout) == document.len ? 0 : FB_EXIT_FAILED;
}

/* One of the history. */
static int show_version(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_policy_version v = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_policy_version_get(c->redis, c->words[0], &v, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    code = show(c, fb_slice_buf(&v.document));
    fb_policy_version_deinit(&v);
    return code;
}

int ctl_policy_show(struct ctl *c)
{
    int code = 0;
    struct fb_buf document = {0};
    if (c->word_count > 0) {
        return show_version(c);
    }
    if (!ctl_policy_in_force(c, &document, &code)) {
        return code;
    }
    code = show(c, fb_slice_buf(&document));
    fb_buf_deinit(&document);
    return code;
}

/* The findings of the answer, or on the terminal.  Takes nothing. */
static json_t *tell_findings(const struct ctl *c, const char *path,
                             const struct fb_policy_findings *f)
{
    if (c->is_json) {
        return fb_json_findings(f);
    }
    print_findings(c, path, f);
    return NULL;
}

static int tell_applied(const struct ctl *c, const struct fb_policy_version *v, json_t *findings)
{
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:I,s:o}", "version", v->version, "number",
                                 (json_int_t)v->number, "findings", findings));
    } else {
        (void)printf(ctl_is_ja(c)
                         ? "有効になりました: 版 %.12s、ルール %zu 件、番号 %lld。サービスには"
                           "数秒で反映されます\n"
                         : "in force: version %.12s, %zu rules, number %lld; services follow "
                           "within seconds\n",
                     v->version, v->rule_count, (long long)v->number);
    }
    return 0;
}

/* Written down before it is in force, where nothing is known to stand against it. */
static enum fb_status audit(struct ctl *c, const char *action, struct fb_slice document,
                            struct fb_error *err)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    struct fb_policy_version now = {0};
    struct fb_audit_what what;
    bool is_good = fb_policy_parse(document, &policy, &f) == FB_OK;
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
    enum fb_status s = fb_policy_current(c->config, c->redis, &now, err);
    if (s == FB_NOT_FOUND) {
        s = FB_OK;
    }
    bool is_other = c->expected != NULL && strcmp(c->expected, now.version) != 0;
    if (s == FB_OK && is_good && !is_other && strcmp(c->config->policy.source, "redis") == 0) {
        fb_audit_of_policy(now.version, document, c->comment, &what);
        s = ctl_audit_what(c, action, &what, err);
    }
    fb_policy_version_deinit(&now);
    return s;
}

/* document is applied; path is for messages. */
static int apply(struct ctl *c, const char *path, const char *action, struct fb_slice document)
{
    struct fb_error err = {0};
    if (audit(c, action, document, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    struct fb_policy_version v;
    struct fb_policy_findings f;
    const struct fb_policy_change change = {.document = document,
                                            .author = ctl_author(),
                                            .comment = c->comment,
                                            .expected = c->expected,
                                            .is_ja = ctl_is_ja(c)};
    enum fb_status s = fb_policy_apply(c->config, c->redis, &change, &v, &f, &err);
    json_t *findings = tell_findings(c, path, &f);
    int code = FB_EXIT_FAILED;
    if (s == FB_OK) {
        code = tell_applied(c, &v, findings);
    } else if (s == FB_INVALID && f.error_count > 0) {
        if (c->is_json) {
            ctl_print_json(json_pack("{s:{s:s,s:s},s:o}", "error", "code", fb_status_name(s),
                                     "message", err.text, "findings", findings));
        }
    } else {
        json_decref(findings);
        code = ctl_fail(c, &err);
    }
    fb_policy_version_deinit(&v);
    fb_policy_findings_deinit(&f);
    return code;
}

int ctl_policy_apply(struct ctl *c)
{
    struct fb_buf document = {0};
    struct fb_error err = {0};
    int code = 0;
    if (!ctl_language_ok(c, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_read_file(c->words[0], FB_POLICY_MAX, &document, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    code = apply(c, c->words[0], "policy.put", fb_slice_buf(&document));
    fb_buf_deinit(&document);
    return code;
}

int ctl_policy_rollback(struct ctl *c)
{
    struct fb_error err = {0};
    struct fb_policy_version v = {0};
    int code = 0;
    if (!ctl_language_ok(c, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_policy_version_get(c->redis, c->words[0], &v, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    code = apply(c, c->words[0], "policy.rollback", fb_slice_buf(&v.document));
    fb_policy_version_deinit(&v);
    return code;
}

struct history {
    const struct ctl *c;
    json_t *list;
};

static bool tell_version(void *ctx, const struct fb_policy_version *v)
{
    struct history *h = ctx;
    char when[32];
    ctl_time(v->at_ms, when);
    if (h->c->is_json) {
        (void)json_array_append_new(
            h->list, json_pack("{s:I,s:s,s:o,s:o,s:o}", "number", (json_int_t)v->number, "version",
                               v->version, "at", ctl_json_time(v->at_ms), "author",
                               fb_json_text(v->author), "comment", fb_json_text(v->comment)));
    } else {
        (void)printf("%s  %5lld  %.12s  %-12s ", when, (long long)v->number, v->version, v->author);
        ctl_print_clean(v->comment);
        (void)printf("\n");
    }
    return true;
}

int ctl_policy_history(struct ctl *c)
{
    int code = 0;
    int64_t below = 0;
    struct fb_error err = {0};
    if (c->after != NULL && (!fb_parse_int(c->after, &below) || below <= 0)) {
        return ctl_usage_error(c, "--after takes the number of a version");
    }
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    struct history h = {.c = c, .list = json_array()};
    if (fb_policy_versions(c->redis, below, (size_t)c->limit, tell_version, &h, &err) != FB_OK) {
        json_decref(h.list);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(h.list);
    } else {
        json_decref(h.list);
    }
    return 0;
}
