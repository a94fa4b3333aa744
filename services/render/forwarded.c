/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/forwarded.h"

#include <stdio.h>
#include <string.h>

#define LINES 12

/* Of Outlook, Gmail, Apple Mail, Thunderbird, Becky! and their like, without dashes. */
static const char *const lines[] = {
    "Original Message",        "Forwarded message",        "Forwarded Message",
    "Original message",        "Begin forwarded message:", "元のメッセージ",
    "転送されたメッセージ",    "転送メッセージ",           "Forwarded by",
    "ここから転送メッセージ:", "以下、転送メッセージ",     "Original Appointment",
    "オリジナル メッセージ",   "オリジナルメッセージ",
};
static const char *const subjects[] = {"Subject:", "件名:", "件名：", "*Subject:*", "表題:"};

static struct fb_slice line_of(struct fb_slice *rest)
{
    size_t n = fb_slice_find(*rest, fb_slice_str("\n"));
    struct fb_slice line = fb_slice_sub(*rest, 0, n == SIZE_MAX ? rest->len : n);
    *rest = fb_slice_sub(*rest, line.len + 1, SIZE_MAX);
    return fb_slice_trim(line);
}

static struct fb_slice without_dashes(struct fb_slice s)
{
    while (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == ' ')) {
        s = fb_slice_sub(s, 1, SIZE_MAX);
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == '-' || s.ptr[s.len - 1] == ' ')) {
        s.len--;
    }
    return s;
}

static bool starts(struct fb_slice s, const char *word)
{
    size_t n = strlen(word);
    return s.len >= n && memcmp(s.ptr, word, n) == 0;
}

/* Whole characters. */
static void copy(struct fb_slice s, char out[RENDER_FORWARDED_TITLE])
{
    size_t n = s.len < RENDER_FORWARDED_TITLE - 1 ? s.len : RENDER_FORWARDED_TITLE - 1;
    while (n < s.len && n > 0 && (s.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    (void)snprintf(out, RENDER_FORWARDED_TITLE, "%.*s", (int)n,
                   s.ptr != NULL ? (const char *)s.ptr : "");
}

bool render_forwarded_begins(struct fb_slice text, char title_r[RENDER_FORWARDED_TITLE])
{
    bool may_be = text.len > 8 && (starts(text, "--") || text.ptr[0] == 'B' || text.ptr[0] >= 0xE3);
    struct fb_slice rest = text;
    struct fb_slice first = may_be ? line_of(&rest) : (struct fb_slice){0};
    struct fb_slice words = without_dashes(first);
    bool is_dashed = words.len + 4 <= first.len;
    bool is_separator = false;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && may_be && !is_separator; i++) {
        is_separator = is_dashed || lines[i][strlen(lines[i]) - 1] == ':'
                           ? starts(words, lines[i]) && words.len < strlen(lines[i]) + 40
                           : false;
    }
    if (!is_separator) {
        return false;
    }
    copy(words, title_r);
    for (int i = 0; i < LINES && rest.len > 0; i++) {
        struct fb_slice line = line_of(&rest);
        for (size_t k = 0; k < sizeof subjects / sizeof subjects[0]; k++) {
            struct fb_slice subject = fb_slice_trim(fb_slice_sub(
                line, starts(line, subjects[k]) ? strlen(subjects[k]) : SIZE_MAX, SIZE_MAX));
            if (subject.len > 0) {
                copy(subject, title_r);
                return true;
            }
        }
    }
    return true;
}
