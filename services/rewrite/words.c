/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/words.h"

#include <stdio.h>
#include <string.h>

#include "common/evidence_text.h"
#include "common/logo.h"
#include "common/policy/template.h"
#include "common/shown.h"
#include "services/rewrite/notice_templates.h"

#define MAX_FILES 50 /* shown by name */

/* ---- values ---- */

enum fb_status words_escape(struct words *w, const char *text)
{
    return fb_shown_add(w->out, text, w->form == NOTICE_HTML);
}

enum fb_status words_say(struct words *w, const char *ja, const char *en)
{
    return fb_buf_add_str(w->out, w->is_ja ? ja : en);
}

enum fb_status words_number(struct words *w, uint64_t n)
{
    return fb_buf_printf(w->out, "%llu", (unsigned long long)n);
}

enum fb_status words_time(struct words *w, int64_t ms, const char *none)
{
    return ms > 0 ? fb_text_time(w->out, ms, w->is_ja) : fb_buf_add_str(w->out, none);
}

bool words_is(const char *name, size_t len, const char *what)
{
    return strlen(what) == len && memcmp(name, what, len) == 0;
}

/* ---- files ---- */

static void format_size(uint64_t size, char *out, size_t out_size)
{
    const char *const units[] = {"B", "KB", "MB", "GB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit < 3) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, out_size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static enum fb_status add_file(struct words *w, const struct fb_parcel_file *file)
{
    char size[32];
    bool is_text = w->form == NOTICE_TEXT;
    format_size(file->size, size, sizeof size);
    enum fb_status s = is_text ? words_say(w, "  ・", "  - ") : FB_OK;
    if (s == FB_OK) {
        s = words_escape(w, file->name);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(w->out,
                          is_text ? " (%s)\n"
                                  : " <span style=\"color:#5b6472;white-space:nowrap\">(%s)</span>",
                          size);
    }
    return s;
}

enum fb_status words_files(struct words *w, const struct fb_parcel_file *files, uint32_t count)
{
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < count && i < MAX_FILES && s == FB_OK; i++) {
        s = i > 0 && w->form == NOTICE_HTML ? fb_buf_add_str(w->out, "<br>") : FB_OK;
        if (s == FB_OK) {
            s = add_file(w, &files[i]);
        }
    }
    if (s == FB_OK && count > MAX_FILES) {
        s = w->form == NOTICE_HTML ? fb_buf_add_str(w->out, "<br>") : words_say(w, "  ・", "  - ");
        if (s == FB_OK) {
            s = fb_buf_printf(w->out, w->is_ja ? "ほか %u 件" : "and %u more", count - MAX_FILES);
        }
        if (s == FB_OK && w->form == NOTICE_TEXT) {
            s = fb_buf_add_char(w->out, '\n');
        }
    }
    return s;
}

enum fb_status words_size(struct words *w, const struct fb_parcel_file *files, uint32_t count)
{
    uint64_t total = 0;
    char size[32];
    for (uint32_t i = 0; i < count; i++) {
        total += files[i].size;
    }
    format_size(total, size, sizeof size);
    return fb_buf_add_str(w->out, size);
}

/* ---- letterhead ---- */

/* alt is empty: the name stands beside it, and a reader that blocks images would show it twice. */
static enum fb_status add_logo(struct words *w)
{
    return w->has_logo && w->form == NOTICE_HTML
               ? fb_buf_add_str(w->out, "<img src=\"cid:" FB_LOGO_CID
                                        "\" height=\"40\" alt=\"\" style=\"height:40px;"
                                        "width:auto;border:0;vertical-align:middle\">")
               : FB_OK;
}

/* The head of our own frame; nothing where the policy names neither logo nor organisation. */
static enum fb_status add_letterhead(struct words *w)
{
    const char *organisation = w->notices->organisation;
    bool has_name = organisation != NULL && organisation[0] != '\0';
    if (!has_name && !w->has_logo) {
        return FB_OK;
    }
    enum fb_status s = fb_buf_add_str(
        w->out, "<tr><td style=\"padding:20px 28px;border-bottom:1px solid #d5dae1;font-size:"
                "15px;font-weight:bold;color:#1f2530\">");
    if (s == FB_OK) {
        s = add_logo(w);
    }
    if (s == FB_OK && has_name) {
        s = fb_buf_add_str(w->out, w->has_logo
                                       ? "<span style=\"padding-left:12px;vertical-align:middle\">"
                                       : "<span>");
        s = s == FB_OK ? words_escape(w, organisation) : s;
        s = s == FB_OK ? fb_buf_add_str(w->out, "</span>") : s;
    }
    return s == FB_OK ? fb_buf_add_str(w->out, "</td></tr>") : s;
}

/* ---- templates ---- */

static enum fb_status add_placeholder(struct words *w, const char *name, size_t len)
{
    if (words_is(name, len, "logo")) {
        return add_logo(w);
    }
    if (words_is(name, len, "letterhead")) {
        return add_letterhead(w);
    }
    if (words_is(name, len, "organisation")) {
        return words_escape(w, w->notices->organisation != NULL ? w->notices->organisation : "");
    }
    return w->placeholder(w, name, len);
}

/* Adds text with its placeholders filled in. */
static enum fb_status fill(struct words *w, const char *text)
{
    enum fb_status s = FB_OK;
    while (s == FB_OK) {
        size_t len = 0;
        const char *rest = NULL;
        const char *name = fb_policy_template_next(text, &len, &rest);
        if (name == NULL) {
            return fb_buf_add_str(w->out, text);
        }
        const char *open = name - 2;
        while (open > text && memcmp(open, "{{", 2) != 0) {
            open--; /* blanks may stand between the braces and the name */
        }
        s = fb_buf_add(w->out, text, (size_t)(open - text));
        if (s == FB_OK) {
            s = add_placeholder(w, name, len);
        }
        text = rest;
    }
    return s;
}

const char *words_standard(const struct words_text *list, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].key, key) == 0) {
            return list[i].text;
        }
    }
    return NULL;
}

/* The policy's text, or else ours (is_standard_r). */
static const char *find_template(const struct words *w, const char *kind, bool *is_standard_r)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s.%s.%s", kind, w->is_ja ? "ja" : "en",
                   w->form == NOTICE_TEXT ? "text" : "html");
    *is_standard_r = false;
    for (size_t i = 0; i < w->notices->template_count; i++) {
        if (strcmp(w->notices->templates[i].key, key) == 0) {
            return w->notices->templates[i].text;
        }
    }
    *is_standard_r = true;
    const char *text = w->standard(key);
    FB_ASSERT(text != NULL);
    return text;
}

void words_pick(const struct fb_policy_notices *notices, const char *language, bool has_r[2])
{
    if (notices->language != NULL && strcmp(notices->language, "auto") != 0) {
        language = notices->language;
    }
    has_r[0] = strcmp(language, "en") != 0;
    has_r[1] = strcmp(language, "ja") != 0;
}

/* What stands between two parts: HTML of ours is in one frame, HTML of the policy brings its own.
 */
static enum fb_status change_frame(struct words *w, bool *is_framed, bool wants_frame,
                                   bool is_first)
{
    if (w->form == NOTICE_TEXT) {
        return is_first ? FB_OK
                        : fb_buf_add_str(w->out, "\n----------------------------------------\n\n");
    }
    enum fb_status s = FB_OK;
    if (*is_framed && wants_frame) {
        return fb_buf_add_str(w->out, notice_frame_divider);
    }
    if (*is_framed) {
        s = fb_buf_add_str(w->out, notice_frame_close);
    } else if (wants_frame) {
        s = fill(w, notice_frame_open);
    } else if (!is_first) {
        s = fb_buf_add_str(w->out, "<hr>");
    }
    *is_framed = wants_frame;
    return s;
}

enum fb_status words_write_block(struct words *w, const char *kind)
{
    bool is_standard = false;
    return fill(w, find_template(w, kind, &is_standard));
}

enum fb_status words_write(struct words *w, const char *kind, const bool has[2])
{
    bool is_first = true;
    bool is_framed = false;
    enum fb_status s = FB_OK;
    if (w->form == NOTICE_HTML) {
        s = fb_buf_printf(
            w->out,
            "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"><meta "
            "name=\"viewport\" "
            "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" "
            "content=\"light\"></head>\n<body style=\"margin:0;padding:0\">\n",
            has[0] ? "ja" : "en");
    }
    for (int i = 0; i < 2 && s == FB_OK; i++) {
        bool is_standard = false;
        w->is_ja = i == 0;
        if (!has[i]) {
            continue;
        }
        const char *text = find_template(w, kind, &is_standard);
        s = change_frame(w, &is_framed, is_standard, is_first);
        if (s == FB_OK && is_first && has[0] && has[1] && is_standard) {
            s = fb_buf_add_str(w->out, w->form == NOTICE_TEXT ? notice_english_below_text
                                                              : notice_english_below_html);
        }
        if (s == FB_OK) {
            s = fill(w, text);
        }
        is_first = false;
    }
    if (s == FB_OK && is_framed) {
        s = fb_buf_add_str(w->out, notice_frame_close);
    }
    return s == FB_OK && w->form == NOTICE_HTML ? fb_buf_add_str(w->out, "\n</body></html>\n") : s;
}
