/* SPDX-License-Identifier: Apache-2.0
 *
 * Times of calendar entries in words: by the clock they were written for, with its zone, and by the
 * sender's clock where that is another one. */
#ifndef FB_RENDER_SECTION_TIME_H
#define FB_RENDER_SECTION_TIME_H

#include <libical/ical.h>

#include "services/render/section_steps.h"

struct section_time {
    struct icaltimetype t; /* as shown by its clock; its zone is not used */
    bool has_offset;       /* offset_s: of its clock, east of UTC */
    int offset_s;
    char zone[72]; /* its name as the mail has it; "" when there is none */
};

/* Takes out of the calendar the time zones whose rules are not the yearly ones of real zones: to
 * expand them would take as long as their writer likes. */
void section_time_trim_zones(icalcomponent *calendar);
/* The time of DTSTART, DTEND, DUE, RECURRENCE-ID, EXDATE..., zones looked up in calendar alone; false
 * when it is none. */
bool section_time_read(const struct section_list *l, icalcomponent *calendar,
                       icalproperty *property, struct section_time *out);
/* Adds "2026年12月3日（木）" or "Thursday, 3 December 2026". */
void section_time_day(const struct section_list *l, const struct icaltimetype *t,
                      struct fb_buf *out);
/* Adds a moment, or the time from start to end (which may be NULL) with zone; on a second line by the
 * sender's clock where that differs.  end of whole days: the first day that is not part of it. */
void section_time_range(const struct section_list *l, const struct section_time *start,
                        const struct section_time *end, struct fb_buf *out);
/* Adds formatted text; what does not fit is left out. */
void section_put(struct fb_buf *out, const char *format, ...) FB_PRINTF(2, 3);

/* section_recur.c: "every 2 weeks on Tuesday, until ..."; nothing when there is no rule. */
void section_recur_words(const struct section_list *l, icalcomponent *entry, struct fb_buf *out);

#endif
