/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/evidence_text.h"

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

/* Bytes of a character at p that could deceive: control characters, U+061C, U+200B, U+200E-200F,
 * U+2028-202E, U+2060-206F, U+FEFF; 0 when it is none. */
static size_t trick_length(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x20 || u[0] == 0x7f) {
        return 1;
    }
    if ((u[0] == 0xC2 && u[1] >= 0x80 && u[1] <= 0x9F) || (u[0] == 0xD8 && u[1] == 0x9C)) {
        return 2;
    }
    bool is_format =
        u[0] == 0xE2 && ((u[1] == 0x80 && ((u[2] == 0x8B || u[2] == 0x8E || u[2] == 0x8F) ||
                                           (u[2] >= 0xA8 && u[2] <= 0xAE))) ||
                         (u[1] == 0x81 && u[2] >= 0xA0 && u[2] <= 0xAF));
    bool is_bom = u[0] == 0xEF && u[1] == 0xBB && u[2] == 0xBF;
    return is_format || is_bom ? 3 : 0;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(struct html *h, const char *text)
{
    while (*text != '\0' && h->status == FB_OK) {
        size_t trick = trick_length(text);
        const char *as = entity(*text);
        h->status = trick > 0    ? fb_buf_add_char(h->out, ' ')
                    : as != NULL ? fb_buf_add_str(h->out, as)
                                 : fb_buf_add_char(h->out, *text);
        text += trick > 0 ? trick : 1;
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
