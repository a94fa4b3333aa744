/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/evidence_text.h"
#include "common/shown.h"

void html_raw(struct html *h, const char *markup)
{
    if (h->status == FB_OK) {
        h->status = fb_buf_add_str(h->out, markup);
    }
}

void html_say(struct html *h, const char *ja, const char *en)
{
    html_raw(h, h->is_ja ? ja : en);
}

void html_printf(struct html *h, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    FB_ASSERT(n >= 0 && (size_t)n < sizeof text);
    html_raw(h, text);
}

void html_text(struct html *h, const char *text)
{
    if (h->status == FB_OK) {
        h->status = fb_shown_add(h->out, text, true);
    }
}

void html_lines(struct html *h, const char *text)
{
    while (h->status == FB_OK && *text != '\0') {
        size_t n = strcspn(text, "\n");
        char *line = fb_slice_dup_str(fb_slice_of(text, n));
        h->status = line != NULL ? fb_shown_add(h->out, line, true) : FB_NO_SPACE;
        free(line);
        text += n;
        if (*text == '\n') {
            html_raw(h, "\n");
            text++;
        }
    }
}

void html_time(struct html *h, int64_t ms)
{
    char iso[32];
    struct tm tm = {0};
    time_t seconds = (time_t)(ms / 1000);
    if (gmtime_r(&seconds, &tm) == NULL || strftime(iso, sizeof iso, "%Y-%m-%dT%H:%MZ", &tm) == 0) {
        h->status = h->status == FB_OK ? FB_BUG : h->status;
        return;
    }
    html_printf(h, "<time datetime=\"%s\">", iso);
    if (h->status == FB_OK) {
        h->status = fb_text_time(h->out, ms, h->is_ja);
    }
    html_raw(h, "</time>");
}
