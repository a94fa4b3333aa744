/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/head_text.h"

#include <stdio.h>
#include <string.h>

#define NO_BREAK "\xC2\xA0"

const char *render_head_label(bool is_japanese, enum render_head_row row)
{
    static const char *const labels[][2] = {
        [RENDER_HEAD_FROM] = {"From", "差出人"},
        [RENDER_HEAD_TO] = {"To", "宛先"},
        [RENDER_HEAD_CC] = {"Cc", "CC"},
        [RENDER_HEAD_DATE] = {"Date", "日時"},
        [RENDER_HEAD_ATTACHMENTS] = {"Attachments", "添付ファイル"},
    };
    return labels[row][is_japanese ? 1 : 0];
}

struct fb_slice render_head_subject(const struct render_letter *l)
{
    struct fb_slice subject = fb_slice_trim(fb_slice_str(l->subject));
    return subject.len > 0 ? subject
                           : fb_slice_str(l->is_japanese ? "（件名なし）" : "(no subject)");
}

double render_head_subject_pt(struct fb_slice subject)
{
    return subject.len <= 240 ? 15 : subject.len <= 600 ? 12.5 : 10.5;
}

bool render_head_person(struct fb_slice *rest, struct fb_slice *name_r, struct fb_slice *address_r)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    struct fb_slice line =
        fb_slice_sub(*rest, 0, end != NULL ? (size_t)(end - rest->ptr) : rest->len);
    *rest = fb_slice_sub(*rest, line.len + 1, SIZE_MAX);
    *name_r = line;
    *address_r = (struct fb_slice){0};
    for (size_t i = line.len; i-- > 1;) {
        if (line.ptr[i] == '<' && line.ptr[i - 1] == ' ' && line.ptr[line.len - 1] == '>') {
            *name_r = fb_slice_sub(line, 0, i - 1);
            *address_r = fb_slice_sub(line, i - 1, SIZE_MAX);
            break;
        }
    }
    return true;
}

size_t render_head_count(const char *people)
{
    struct fb_slice rest = fb_slice_str(people);
    struct fb_slice name, address;
    size_t count = 0;
    while (render_head_person(&rest, &name, &address)) {
        count++;
    }
    return count;
}

void render_head_more(bool is_japanese, size_t count, char out[48])
{
    (void)snprintf(out, 48,
                   is_japanese ? "ほか" NO_BREAK "%zu" NO_BREAK "名"
                               : "and" NO_BREAK "%zu" NO_BREAK "more",
                   count);
}

void render_head_size(uint64_t bytes, char out[32])
{
    if (bytes < 1024) {
        (void)snprintf(out, 32, "%u" NO_BREAK "B", (unsigned)bytes);
    } else if (bytes < 1024 * 1024) {
        (void)snprintf(out, 32, "%.1f" NO_BREAK "KB", (double)bytes / 1024);
    } else {
        (void)snprintf(out, 32, "%.1f" NO_BREAK "MB", (double)bytes / (1024 * 1024));
    }
}
