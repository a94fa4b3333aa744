/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/json_words.h"
#include "common/ledger/ledger.h"
#include "common/run.h"
#include "common/title.h"
#include "common/yaml.h"
#include "services/ctl/ctl.h"

#define DEFAULT_CONFIG "/etc/fumibako/fumibako.yaml"
#define MAX_ANSWER     (16U << 20) /* of another program of ours */

int ctl_fail(const struct ctl *c, const struct fb_error *err)
{
    if (c->is_json) {
        ctl_print_json(json_pack("{s:{s:s,s:s}}", "error", "code", fb_status_name(err->status),
                                 "message", err->text));
    } else {
        bool is_redis = err->status == FB_NETWORK && strstr(err->text, "redis: ") != NULL;
        (void)fprintf(stderr, "fumibako: %s%s\n",
                      err->text, /* without control characters, see fb_error_set */
                      is_redis ? "; is Redis running? `fumibako doctor` looks at everything" : "");
    }
    return err->status == FB_CONFIG ? FB_EXIT_CONFIG : FB_EXIT_FAILED;
}

const char *ctl_language(const struct ctl *c)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    if (c->language != NULL) {
        return c->language;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]); /* the first that is set counts (setlocale(3)) */
        if (value != NULL && value[0] != '\0') {
            return strncmp(value, "ja", 2) == 0 ? "ja" : "en";
        }
    }
    return "en";
}

bool ctl_is_ja(const struct ctl *c)
{
    return strcmp(ctl_language(c), "ja") == 0;
}

int ctl_usage_error(const struct ctl *c, const char *text)
{
    struct fb_error err = {0};
    (void)fb_error_set(&err, FB_INVALID, "%s", text);
    (void)ctl_fail(c, &err);
    return FB_EXIT_USAGE;
}

const char *ctl_config_path(void)
{
    const char *path = getenv("FUMIBAKO_CONFIG"); /* as fb_config_load does */
    if (path != NULL && path[0] != '\0') {
        return path;
    }
    return access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
}

void ctl_print_clean(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            (void)putchar('?');
        } else if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) { /* C1 controls in UTF-8 */
            (void)putchar('?');
            at++;
        } else {
            (void)putchar(*at);
        }
    }
}

bool ctl_need_config(struct ctl *c, int *exit_r)
{
    struct fb_error err = {0};
    if (c->config == NULL && fb_config_load(c->config_path, &c->config, &err) != FB_OK) {
        (void)ctl_fail(c, &err);
        *exit_r = FB_EXIT_CONFIG; /* also when the file cannot be read */
        return false;
    }
    return true;
}

bool ctl_need_redis(struct ctl *c, int *exit_r)
{
    struct fb_error err = {0};
    if (!ctl_need_config(c, exit_r)) {
        return false;
    }
    if (c->redis == NULL &&
        fb_redis_new(c->config, CTL_REDIS_TIMEOUT_MS, &c->redis, &err) != FB_OK) {
        *exit_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

bool ctl_need_message(struct ctl *c, struct fb_ledger_message *m_r, int *exit_r)
{
    struct fb_error err = {0};
    if (!ctl_need_redis(c, exit_r)) {
        return false;
    }
    if (fb_ledger_get(c->redis, c->words[0], m_r, &err) != FB_OK) {
        *exit_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

bool ctl_need_spool(struct ctl *c, int *exit_r)
{
    struct fb_error err = {0};
    if (!ctl_need_config(c, exit_r)) {
        return false;
    }
    if (c->spool == NULL &&
        fb_spool_open(c->config->spool.url, c->config->spool.key_file, &c->spool, &err) != FB_OK) {
        *exit_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

bool ctl_language_ok(const struct ctl *c, int *exit_r)
{
    if (c->language != NULL && strcmp(c->language, "ja") != 0 && strcmp(c->language, "en") != 0) {
        *exit_r = ctl_usage_error(c, "--language takes ja or en");
        return false;
    }
    return true;
}

void ctl_subject(const struct ctl *c, const struct fb_ledger_message *m, char *out)
{
    struct fb_title title = {.subject = ""};
    const char *key = c->config->rewrite.key;
    if (m->title == NULL || key == NULL ||
        fb_title_open(key, m->msg_id, m->title, &title) != FB_OK) {
        title.subject[0] = '\0';
    }
    memcpy(out, title.subject, FB_TITLE_SUBJECT);
}

void ctl_print_json(json_t *value)
{
    if (value == NULL || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII * 0) != 0) {
        (void)fputs("null", stdout);
    }
    (void)fputc('\n', stdout);
    json_decref(value);
}

static int tell(const struct ctl *c, const struct fb_buf *answer, int exit_code,
                const char *program, const char *file, void (*print)(const json_t *answer))
{
    size_t i;
    json_t *f;
    struct fb_error err = {0};
    json_t *root =
        answer->len > 0 ? json_loadb((const char *)answer->ptr, answer->len, 0, NULL) : NULL;
    const json_t *error = json_object_get(root, "error");
    const json_t *findings = json_object_get(root, "findings");
    if (root == NULL || (exit_code != 0 && error == NULL)) {
        json_decref(root);
        (void)fb_error_set(&err, FB_BUG, "%s ended with %d and without an answer", program,
                           exit_code);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(root);
        return exit_code;
    }
    if (error == NULL) {
        print(root);
    } else if (findings == NULL) {
        (void)fprintf(stderr, "fumibako: %s\n", fb_json_text_of(error, "message"));
    }
    json_array_foreach(findings, i, f)
    {
        (void)fprintf(stderr, "%s:%lld: %s: %s\n", file,
                      (long long)json_integer_value(json_object_get(f, "line")),
                      fb_json_text_of(f, "severity"), fb_json_text_of(f, "text"));
    }
    json_decref(root);
    return exit_code;
}

int ctl_ask(struct ctl *c, const char *program, const char *file,
            enum fb_status (*ask)(const struct ctl *c, const char *path, int fd, struct fb_buf *out,
                                  int *exit_r, struct fb_error *err),
            void (*print)(const json_t *answer))
{
    int code = 0;
    int fd = -1;
    char path[32] = "";
    struct fb_error err = {0};
    struct fb_buf document = {0};
    struct fb_buf out;
    if (file == NULL && !ctl_policy_in_force(c, &document, &code)) {
        return code;
    }
    enum fb_status s = file == NULL ? fb_run_file(fb_slice_buf(&document), &fd, path, &err) : FB_OK;
    fb_buf_init(&out, MAX_ANSWER);
    s = s == FB_OK ? ask(c, file == NULL ? path : file, fd, &out, &code, &err) : s;
    code = s == FB_OK ? tell(c, &out, code, program, file == NULL ? "policy in force" : file, print)
                      : ctl_fail(c, &err);
    if (fd >= 0) {
        (void)close(fd);
    }
    fb_buf_deinit(&out);
    fb_buf_deinit(&document);
    return code;
}

void ctl_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    (void)snprintf(out, 32, "-");
    if (ms > 0 && localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
    }
}

json_t *ctl_local_time(int64_t ms)
{
    char text[32];
    ctl_time(ms, text);
    return json_string(text);
}

json_t *ctl_json_time(int64_t ms)
{
    char text[40];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms <= 0 || gmtime_r(&seconds, &tm) == NULL) {
        return json_null();
    }
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

bool ctl_parse_time(const char *text, int64_t *ms_r)
{
    int64_t ago = 0;
    struct tm tm = {.tm_isdst = -1};
    if (fb_parse_duration(text, &ago)) {
        *ms_r = fb_now_ms() - ago;
        return true;
    }
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && (*end == 'T' || *end == ' ')) {
        end = strptime(end + 1, "%H:%M:%S", &tm);
    }
    bool is_utc = end != NULL && strcmp(end, "Z") == 0; /* as our JSON writes it */
    if (end == NULL || (*end != '\0' && !is_utc)) {
        return false;
    }
    time_t seconds = is_utc ? timegm(&tm) : mktime(&tm);
    *ms_r = (int64_t)seconds * 1000;
    return seconds != (time_t)-1;
}
