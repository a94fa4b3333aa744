/* SPDX-License-Identifier: Apache-2.0
 *
 * Paper sizes, and the dates in a PDF's information dictionary (ISO 32000-1, 7.9.4 and 14.3.3):
 * Chromium writes the time of printing, which would make equal mails differ. */
#include "services/render/chromium_internal.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MM_PER_INCH 25.4
#define ID_DIGITS   8
#define DATE_LEN    14                /* YYYYMMDDHHmmSS */
#define ZONE        "+00'00'"         /* a date ends with it; UTC, as the browser is told */
#define LAST_MS     253402300799000LL /* the year 9999 ends */

bool render_chromium_pdf_paper(const char *name, double *width_in_r, double *height_in_r)
{
    static const struct {
        const char *name;
        double width_in, height_in;
    } papers[] = {
        {"A4", 210 / MM_PER_INCH, 297 / MM_PER_INCH},
        {"A3", 297 / MM_PER_INCH, 420 / MM_PER_INCH},
        {"A5", 148 / MM_PER_INCH, 210 / MM_PER_INCH},
        {"Letter", 8.5, 11},
        {"Legal", 8.5, 14},
    };
    for (size_t i = 0; i < sizeof papers / sizeof papers[0]; i++) {
        if (strcmp(name, papers[i].name) == 0) {
            *width_in_r = papers[i].width_in;
            *height_in_r = papers[i].height_in;
            return true;
        }
    }
    return false;
}

static bool is_date(const uint8_t *p, size_t len)
{
    if (len < DATE_LEN + sizeof ZONE - 1) {
        return false;
    }
    for (size_t i = 0; i < DATE_LEN; i++) {
        if (isdigit(p[i]) == 0) {
            return false;
        }
    }
    return memcmp(p + DATE_LEN, ZONE, sizeof ZONE - 1) == 0;
}

/* "(node00001234)": ISO 32000-1, 14.7.2, /ID.  Their order stays, by which the file's tree of names is
 * sorted. */
static size_t next_id(const uint8_t *pdf, size_t len, size_t at, unsigned long *number_r)
{
    static const char key[] = "(node";
    enum { KEY = sizeof key - 1, ALL = KEY + ID_DIGITS + 1 };
    while (at + ALL <= len) {
        size_t found = fb_slice_find(fb_slice_of(pdf + at, len - at), fb_slice_str(key));
        if (found == SIZE_MAX || at + found + ALL > len) {
            return SIZE_MAX;
        }
        at += found + KEY;
        unsigned long n = 0;
        size_t i = 0;
        for (; i < ID_DIGITS && isdigit(pdf[at + i]) != 0; i++) {
            n = n * 10 + (unsigned long)(pdf[at + i] - '0');
        }
        if (i == ID_DIGITS && pdf[at + i] == ')') {
            *number_r = n;
            return at;
        }
    }
    return SIZE_MAX;
}

void render_chromium_pdf_ids(uint8_t *pdf, size_t len)
{
    unsigned long least = ULONG_MAX;
    unsigned long n = 0;
    for (size_t at = 0; (at = next_id(pdf, len, at, &n)) != SIZE_MAX;) {
        least = n < least ? n : least;
    }
    for (size_t at = 0; (at = next_id(pdf, len, at, &n)) != SIZE_MAX;) {
        char text[ID_DIGITS + 1];
        (void)snprintf(text, sizeof text, "%0*lu", ID_DIGITS, (n - least + 1) % 100000000UL);
        memcpy(pdf + at, text, ID_DIGITS);
    }
}

void render_chromium_pdf_date(uint8_t *pdf, size_t len, int64_t date_ms)
{
    time_t seconds = date_ms > 0 && date_ms <= LAST_MS ? (time_t)(date_ms / 1000) : 0;
    struct tm tm;
    char text[DATE_LEN + 1];
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text, "%Y%m%d%H%M%S", &tm) != DATE_LEN) {
        return;
    }
    static const char *const keys[] = {"/CreationDate (D:", "/ModDate (D:"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        struct fb_slice key = fb_slice_str(keys[k]);
        size_t at = 0;
        for (;;) {
            size_t found = fb_slice_find(fb_slice_of(pdf + at, len - at), key);
            if (found == SIZE_MAX) {
                break;
            }
            at += found + key.len;
            if (is_date(pdf + at, len - at)) {
                memcpy(pdf + at, text, DATE_LEN);
            }
        }
    }
}
