/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *next,
                const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "FAIL"};
    char text[FB_ERROR_MAX + 200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, doctor_words(d, fmt), args);
    va_end(args);
    next = doctor_words(d, next);
    d->failed += level == DOCTOR_FAIL;
    d->warned += level == DOCTOR_WARN;
    if (d->c->is_json) {
        (void)json_array_append_new(d->checks,
                                    json_pack("{s:s,s:s,s:s,s:s}", "check", check, "result",
                                              words[level], "text", text, "next", next));
        return;
    }
    (void)printf("%-5s %-16s ", words[level], check);
    ctl_print_clean(text);
    (void)printf("\n");
    if (next[0] != '\0') {
        (void)printf("%-5s %-16s   -> ", "", "");
        ctl_print_clean(next);
        (void)printf("\n");
    }
    (void)fflush(stdout); /* some checks wait: what is known is shown */
}

static int finish(struct doctor *d, int code)
{
    if (d->c->is_json) {
        ctl_print_json(json_pack("{s:O,s:i,s:i}", "checks", d->checks, "failed", d->failed,
                                 "warned", d->warned));
    } else if (d->failed + d->warned == 0) {
        (void)printf("%s\n", doctor_words(d, "everything is right"));
    } else {
        (void)printf(doctor_words(d, "%d failed, %d warned"), d->failed, d->warned);
        (void)printf("\n");
    }
    json_decref(d->checks);
    return code != 0 ? code : d->failed > 0 ? FB_EXIT_FAILED : 0;
}

int ctl_doctor(struct ctl *c)
{
    struct fb_error err = {0};
    int code = 0;
    if (!ctl_language_ok(c, &code)) {
        return code;
    }
    struct doctor d = {.c = c, .checks = json_array(), .is_ja = ctl_is_ja(c)};
    if (fb_config_load(c->config_path, &c->config, &err) != FB_OK) {
        doctor_say(&d, DOCTOR_FAIL, "configuration",
                   "correct that line; nothing else can be looked at before", "%s", err.text);
        return finish(&d, FB_EXIT_CONFIG);
    }
    const char *path = c->config_path != NULL ? c->config_path : ctl_config_path();
    doctor_say(&d, DOCTOR_OK, "configuration", "", "%s",
               path != NULL ? path : doctor_words(&d, "defaults and environment"));
    doctor_spool_key(&d);
    doctor_spool(&d);
    doctor_signing_key(&d);
    doctor_redis(&d);
    doctor_policy(&d);
    doctor_relay(&d);
    doctor_services(&d);
    return finish(&d, 0);
}
