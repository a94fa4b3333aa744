/* SPDX-License-Identifier: Apache-2.0 */
#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum fb_class class;
    int smtp;
    const char *enhanced;
} table[FB_STATUS_COUNT] = {
    [FB_OK] = {"ok", FB_CLASS_OK, 250, "2.0.0"},
    [FB_AGAIN] = {"again", FB_CLASS_RETRY, 451, "4.3.2"},
    [FB_NETWORK] = {"network", FB_CLASS_RETRY, 451, "4.4.1"},
    [FB_NO_SPACE] = {"no_space", FB_CLASS_RETRY, 452, "4.3.1"},
    [FB_IO] = {"io", FB_CLASS_RETRY, 451, "4.3.0"},
    [FB_CONFIG] = {"config", FB_CLASS_RETRY, 451, "4.3.5"},
    [FB_INVALID] = {"invalid", FB_CLASS_REJECT, 550, "5.6.0"},
    [FB_TOO_BIG] = {"too_big", FB_CLASS_REJECT, 552, "5.3.4"},
    [FB_DENIED] = {"denied", FB_CLASS_REJECT, 550, "5.7.1"},
    [FB_NOT_FOUND] = {"not_found", FB_CLASS_REJECT, 550, "5.3.0"},
    [FB_EXISTS] = {"exists", FB_CLASS_REJECT, 550, "5.3.0"},
    [FB_CORRUPT] = {"corrupt", FB_CLASS_REJECT, 554, "5.3.0"},
    [FB_LOST] = {"lost", FB_CLASS_REJECT, 451, "4.3.0"},
    [FB_RECALLED] = {"recalled", FB_CLASS_REJECT, 550, "5.7.1"},
    [FB_CRASHED] = {"crashed", FB_CLASS_RETRY, 451, "4.3.0"},
    [FB_BUG] = {"bug", FB_CLASS_BUG, 451, "4.3.0"},
};

enum fb_class fb_status_class(enum fb_status s)
{
    return s < FB_STATUS_COUNT ? table[s].class : FB_CLASS_BUG;
}

const char *fb_status_name(enum fb_status s)
{
    return s < FB_STATUS_COUNT ? table[s].name : "bug";
}

int fb_status_smtp(enum fb_status s, const char **enhanced_r)
{
    if (s >= FB_STATUS_COUNT) {
        s = FB_BUG;
    }
    *enhanced_r = table[s].enhanced;
    return table[s].smtp;
}

static void clean(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
}

enum fb_status fb_error_set(struct fb_error *err, enum fb_status s, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        clean(err->text);
        err->status = s;
    }
    return s;
}

enum fb_status fb_error_errno(struct fb_error *err, enum fb_status s, int errnum, const char *fmt,
                              ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        size_t len = strlen(err->text);
        char reason[128];
        (void)snprintf(err->text + len, sizeof err->text - len, ": %s",
                       strerror_r(errnum, reason, sizeof reason));
        clean(err->text);
        err->status = s;
    }
    return s;
}

enum fb_status fb_error_prefix(struct fb_error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return FB_BUG;
    }
    char old[FB_ERROR_MAX];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t len = strlen(err->text);
    (void)snprintf(err->text + len, sizeof err->text - len, ": %s", old);
    clean(err->text);
    return err->status;
}

_Noreturn void fb_assert_failed(const char *expression, const char *file, int line)
{
    char text[512]; /* no buffer of ours here: memory may be what is missing */
    size_t n = 0;
    for (const char *p = expression; *p != '\0' && n + 3 < sizeof text; p++) {
        if (*p == '"' || *p == '\\') {
            text[n++] = '\\';
        }
        text[n++] = *p;
    }
    text[n] = '\0';
    (void)fprintf(stderr, "{\"level\":\"panic\",\"text\":\"%s:%d: assertion failed: %s\"}\n", file,
                  line, text);
    abort();
}
