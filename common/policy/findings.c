/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of what a policy check found.  Bounded: a document of 4 MiB can be wrong in a million
 * places, and nobody reads beyond the first few hundred.  Texts end in terminals, logs and web
 * pages: control characters become "?", and a cut never splits a UTF-8 character.
 */
#include "common/policy/read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy/text.h"

#define FINDINGS_MAX 300
/* English stays within what a struct fb_error has room for, with a name before it; Japanese needs more bytes. */
#define ENGLISH_MAX 300

void fb_policy_findings_deinit(struct fb_policy_findings *f)
{
    free(f->items);
    memset(f, 0, sizeof(*f));
}

/* Controls (C0, DEL, C1) and bytes that are no UTF-8, also those of a character that a cut left
 * incomplete. */
void fb_pol_clean_text(char *text, size_t size)
{
    size_t len = strlen(text);
    char *end = text + len;
    if (len + 1 >= size && size > 4) {
        char *cut = text + size - 4;
        while (cut > text && ((unsigned char)*cut & 0xc0) == 0x80) {
            cut--;
        }
        memcpy(cut, "...", 4);
        end = cut + 3;
    }
    for (char *p = text; p < end;) {
        const char *next = p;
        uint32_t c = fb_pol_utf8_next(&next, end);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xdc00 && c <= 0xdcff)) {
            memset(p, '?', (size_t)(next - p));
        }
        p += next - p;
    }
}

void fb_pol_finding(struct fb_pol_reader *r, bool is_error, int line, const char *fmt, ...)
{
    struct fb_policy_findings *f = r->findings;
    f->error_count += is_error ? 1 : 0;
    if (f->count > FINDINGS_MAX) {
        return;
    }
    if (f->items == NULL) {
        f->items = fb_xcalloc(FINDINGS_MAX + 1, sizeof(f->items[0]));
    }
    struct fb_policy_finding *item = &f->items[f->count++];
    size_t size = r->is_ja ? sizeof(item->text) : ENGLISH_MAX;
    item->line = line;
    item->is_error = is_error;
    if (f->count > FINDINGS_MAX) {
        item->line = 0;
        (void)snprintf(item->text, size,
                       fb_pol_words(r, "more than %d findings: the rest is not listed"),
                       FINDINGS_MAX);
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(item->text, size, fb_pol_words(r, fmt), args);
    va_end(args);
    fb_pol_clean_text(item->text, size);
}

/* By line, and in the order of their discovery within one: insertion keeps it, and the list is
 * short. */
void fb_pol_findings_sort(struct fb_policy_findings *f)
{
    for (size_t i = 1; i < f->count; i++) {
        struct fb_policy_finding item = f->items[i];
        size_t j = i;
        while (j > 0 && f->items[j - 1].line > item.line) {
            f->items[j] = f->items[j - 1];
            j--;
        }
        f->items[j] = item;
    }
}
