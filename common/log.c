/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"

#define LINE_MAX_BYTES 4096

static struct {
    const char *service;
    enum fb_level level;
    bool is_json;
} settings = {"fumibako", FB_INFO, true};

static _Thread_local struct {
    char msg_id[FB_ID_SIZE];
    char parcel_id[FB_PARCEL_ID_SIZE];
    char stage[16];
    char trace[FB_TRACE_SIZE];
    uint32_t attempt;
    bool has_attempt;
} context;

static const char *const level_names[] = {"debug", "info", "warn", "error", "fatal"};

void fb_log_init(const char *service, enum fb_level level, bool is_json)
{
    settings.service = service;
    settings.level = level;
    settings.is_json = is_json;
}

bool fb_log_level_parse(const char *name, enum fb_level *level_r)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level_r = (enum fb_level)i;
            return true;
        }
    }
    return false;
}

static void keep(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from != NULL ? from : "");
}

void fb_log_context(const char *msg_id, const char *parcel_id, const char *stage, const char *trace,
                    uint32_t attempt)
{
    keep(context.msg_id, sizeof context.msg_id, msg_id);
    keep(context.parcel_id, sizeof context.parcel_id, parcel_id);
    keep(context.stage, sizeof context.stage, stage);
    keep(context.trace, sizeof context.trace, trace);
    context.attempt = attempt;
    context.has_attempt = true;
}

void fb_log_context_clear(void)
{
    memset(&context, 0, sizeof context);
}

/* JSON string escaping; the text form escapes the same way, so that one record stays one line.
 * Bytes that are not UTF-8 cannot reach here from callers (fb_error cleans, ids are ASCII), so they
 * pass as they are. */
static void add_escaped(struct fb_buf *b, const char *s)
{
    enum fb_status ignored = FB_OK; /* a full line is cut, the log goes on */
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            ignored = fb_buf_printf(b, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            ignored = fb_buf_printf(b, "\\u%04x", c);
        } else {
            ignored = fb_buf_add_char(b, (char)c);
        }
    }
    (void)ignored;
}

static void add_field(struct fb_buf *b, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return;
    }
    enum fb_status s = fb_buf_printf(b, settings.is_json ? ",\"%s\":\"" : " %s=\"", key);
    if (s == FB_OK) {
        add_escaped(b, value);
        s = fb_buf_add_str(b, "\"");
    }
    (void)s;
}

static void add_head(struct fb_buf *b, enum fb_level level, const char *text)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    char when[40] = "";
    if (gmtime_r(&now.tv_sec, &tm) != NULL) {
        size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    }
    enum fb_status s;
    if (settings.is_json) {
        s = fb_buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"service\":\"%s\",\"text\":\"",
                          when, level_names[level], settings.service);
    } else {
        s = fb_buf_printf(b, "%s %-5s %s: ", when, level_names[level], settings.service);
    }
    if (s == FB_OK) {
        add_escaped(b, text);
    }
    if (settings.is_json) {
        s = fb_buf_add_char(b, '"');
    }
    (void)s;
    add_field(b, "msg_id", context.msg_id);
    add_field(b, "parcel_id", context.parcel_id);
    add_field(b, "stage", context.stage);
    add_field(b, "trace_id", context.trace);
    if (context.has_attempt) {
        char attempt[16];
        (void)snprintf(attempt, sizeof attempt, "%u", context.attempt);
        add_field(b, "attempt", attempt);
    }
}

/* One write() a line, so that lines of several threads and processes do not mix. */
static void end_line(struct fb_buf *b)
{
    b->max += 8; /* the end always fits */
    enum fb_status s = fb_buf_add_str(b, settings.is_json ? "}\n" : "\n");
    if (s == FB_OK) {
        ssize_t n = write(STDERR_FILENO, b->ptr, b->len);
        (void)n; /* nobody is left to tell */
    }
    fb_buf_deinit(b);
}

void fb_log(enum fb_level level, const char *fmt, ...)
{
    if (level < settings.level) {
        return;
    }
    char text[LINE_MAX_BYTES / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct fb_buf line;
    fb_buf_init(&line, LINE_MAX_BYTES);
    add_head(&line, level, text);
    end_line(&line);
}

void fb_log_fields(enum fb_level level, const char *text, ...)
{
    if (level < settings.level) {
        return;
    }
    struct fb_buf line;
    fb_buf_init(&line, LINE_MAX_BYTES);
    add_head(&line, level, text);
    va_list ap;
    va_start(ap, text);
    for (const char *key = va_arg(ap, const char *); key != NULL; key = va_arg(ap, const char *)) {
        const char *value = va_arg(ap, const char *);
        if (value == NULL) {
            break; /* the pair is incomplete: the list ends here */
        }
        add_field(&line, key, value);
    }
    va_end(ap);
    end_line(&line);
}
