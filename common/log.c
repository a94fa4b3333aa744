/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"

#define LINE_MAX_BYTES 4096
#define TEXT_MAX_BYTES 3072 /* of them the text may take, escaped: the ids behind it always fit */
#define END_MAX_BYTES  16   /* what closes a value and a line comes on top */

static struct {
    const char *service;
    enum fb_level level;
    bool is_json;
} settings = {"fumibako", FB_INFO, true};

static _Thread_local struct {
    char msg_id[FB_ID_SIZE];
    char parcel_id[FB_PARCEL_ID_SIZE];
    char stage[16];
    char trace_id[33], span_id[17]; /* of W3C's traceparent */
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
    bool has_trace = trace != NULL && fb_trace_is_valid(trace);
    (void)snprintf(context.trace_id, sizeof context.trace_id, "%.32s", has_trace ? trace + 3 : "");
    (void)snprintf(context.span_id, sizeof context.span_id, "%.16s", has_trace ? trace + 36 : "");
    context.attempt = attempt;
    context.has_attempt = true;
}

void fb_log_context_clear(void)
{
    memset(&context, 0, sizeof context);
}

/* Bytes of the UTF-8 character at p (RFC 3629); 0 when there is none.  A NUL ends the text, so no byte
 * behind it is looked at. */
static size_t character_length(const unsigned char *p)
{
    static const struct {
        unsigned char first, last, second_from, second_to;
        size_t length;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (p[0] < forms[i].first || p[0] > forms[i].last) {
            continue;
        }
        if (forms[i].length > 1 && (p[1] < forms[i].second_from || p[1] > forms[i].second_to)) {
            return 0;
        }
        for (size_t k = 2; k < forms[i].length; k++) {
            if (p[k] < 0x80 || p[k] > 0xbf) {
                return 0;
            }
        }
        return forms[i].length;
    }
    return 0;
}

/* JSON string escaping, up to the line's length `most`; the text form escapes the same way, so that one
 * record stays one line.  Names of files and words of peers come in here: what is not UTF-8 becomes
 * U+FFFD, and no control character passes, C1 included. */
static void add_escaped(struct fb_buf *b, const char *text, size_t most)
{
    const unsigned char *p = (const unsigned char *)text;
    enum fb_status s = FB_OK; /* a full line is cut between two characters, the log goes on */
    while (*p != '\0' && s == FB_OK) {
        char out[8];
        size_t n = character_length(p);
        if (n == 1 && (*p == '"' || *p == '\\')) {
            (void)snprintf(out, sizeof out, "\\%c", *p);
        } else if (n == 1 && (*p < 0x20 || *p == 0x7f)) {
            (void)snprintf(out, sizeof out, "\\u%04x", *p);
        } else if (n == 0) {
            (void)snprintf(out, sizeof out, "\\ufffd");
        } else if (n == 2 && *p == 0xc2 && p[1] < 0xa0) {
            (void)snprintf(out, sizeof out, "\\u%04x", p[1]);
        } else {
            (void)snprintf(out, sizeof out, "%.*s", (int)n, (const char *)p);
        }
        s = b->len + strlen(out) <= most ? fb_buf_add_str(b, out) : FB_TOO_BIG;
        p += n > 0 ? n : 1;
    }
}

static void add_field(struct fb_buf *b, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0' || b->len + strlen(key) + 8 > LINE_MAX_BYTES) {
        return;
    }
    enum fb_status s = fb_buf_printf(b, settings.is_json ? ",\"%s\":\"" : " %s=\"", key);
    if (s == FB_OK) {
        add_escaped(b, value, LINE_MAX_BYTES);
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
        add_escaped(b, text, TEXT_MAX_BYTES);
    }
    if (settings.is_json) {
        s = fb_buf_add_char(b, '"');
    }
    (void)s;
    add_field(b, "msg_id", context.msg_id);
    add_field(b, "parcel_id", context.parcel_id);
    add_field(b, "stage", context.stage);
    add_field(b, "trace_id", context.trace_id);
    add_field(b, "span_id", context.span_id);
    if (context.has_attempt) {
        char attempt[16];
        (void)snprintf(attempt, sizeof attempt, "%u", context.attempt);
        add_field(b, "attempt", attempt);
    }
}

/* One write() a line, so that lines of several threads and processes do not mix. */
static void end_line(struct fb_buf *b)
{
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
    fb_buf_init(&line, LINE_MAX_BYTES + END_MAX_BYTES);
    add_head(&line, level, text);
    end_line(&line);
}

void fb_log_fields(enum fb_level level, const char *text, ...)
{
    if (level < settings.level) {
        return;
    }
    struct fb_buf line;
    fb_buf_init(&line, LINE_MAX_BYTES + END_MAX_BYTES);
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
