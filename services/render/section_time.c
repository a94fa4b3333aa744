/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/section_time.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ZONES_MAX       20
#define OBSERVANCES_MAX 60 /* of one zone: Outlook writes 2, those with history about 40 */
#define FIRST_YEAR      1900
#define LAST_YEAR       2500

void section_put(struct fb_buf *out, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0 &&
        fb_buf_add(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) != FB_OK) {
        return; /* full */
    }
}

/* ---- zones ---- */

static bool is_plain_rule(icalcomponent *observance)
{
    icalproperty *p = icalcomponent_get_first_property(observance, ICAL_RRULE_PROPERTY);
    int rules = 0;
    for (; p != NULL; p = icalcomponent_get_next_property(observance, ICAL_RRULE_PROPERTY)) {
        struct icalrecurrencetype r = icalproperty_get_rrule(p);
        if (r.freq != ICAL_YEARLY_RECURRENCE || ++rules > 1 ||
            r.by_second[0] != ICAL_RECURRENCE_ARRAY_MAX ||
            r.by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX ||
            r.by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX) {
            return false;
        }
    }
    return true;
}

static bool is_plain_zone(icalcomponent *zone)
{
    int count = 0;
    icalcomponent *c = icalcomponent_get_first_component(zone, ICAL_ANY_COMPONENT);
    for (; c != NULL; c = icalcomponent_get_next_component(zone, ICAL_ANY_COMPONENT)) {
        icalproperty *p = icalcomponent_get_first_property(c, ICAL_DTSTART_PROPERTY);
        struct icaltimetype t = p != NULL ? icalproperty_get_dtstart(p) : icaltime_null_time();
        if (++count > OBSERVANCES_MAX || !is_plain_rule(c) || t.year < 1600 || t.year > LAST_YEAR) {
            return false;
        }
    }
    return count > 0;
}

void section_time_trim_zones(icalcomponent *calendar)
{
    int count = 0;
    icalcomponent *zone = icalcomponent_get_first_component(calendar, ICAL_VTIMEZONE_COMPONENT);
    while (zone != NULL) {
        icalcomponent *next = icalcomponent_get_next_component(calendar, ICAL_VTIMEZONE_COMPONENT);
        if (++count > ZONES_MAX || !is_plain_zone(zone)) {
            icalcomponent_remove_component(calendar, zone);
            icalcomponent_free(zone);
            /* The walk stands behind what was removed: it begins anew. */
            next = icalcomponent_get_first_component(calendar, ICAL_VTIMEZONE_COMPONENT);
            count = 0;
        }
        zone = next;
    }
}

static bool is_sane(const struct icaltimetype *t)
{
    return t->year >= FIRST_YEAR && t->year <= LAST_YEAR && t->month >= 1 && t->month <= 12 &&
           t->day >= 1 && t->day <= 31 && t->hour >= 0 && t->hour <= 24 && t->minute >= 0 &&
           t->minute <= 59;
}

/* Of a time in UTC the zone is the sender's: he wrote it by his clock. */
static void use_senders_clock(const struct section_list *l, struct section_time *out)
{
    out->has_offset = true;
    out->offset_s = l->has_zone ? l->zone_minutes * 60 : 0;
    icaltime_adjust(&out->t, 0, 0, 0, out->offset_s);
}

bool section_time_read(const struct section_list *l, icalcomponent *calendar,
                       icalproperty *property, struct section_time *out)
{
    const char *text = property != NULL ? icalproperty_get_value_as_string(property) : NULL;
    *out = (struct section_time){.t = icaltime_from_string(text != NULL ? text : "")};
    struct icaltimetype *t = &out->t;
    if (icaltime_is_null_time(*t) || !is_sane(t)) {
        return false;
    }
    bool is_utc = icaltime_is_utc(*t);
    t->zone = NULL;
    if (t->is_date) {
        return true;
    }
    if (is_utc) {
        use_senders_clock(l, out);
        return is_sane(t);
    }
    icalparameter *p = icalproperty_get_first_parameter(property, ICAL_TZID_PARAMETER);
    const char *id = p != NULL ? icalparameter_get_tzid(p) : NULL;
    icaltimezone *zone = id != NULL ? icalcomponent_get_timezone(calendar, id) : NULL;
    if (zone != NULL) {
        int is_daylight = 0;
        out->offset_s = icaltimezone_get_utc_offset(zone, t, &is_daylight);
        out->has_offset = out->offset_s > -86400 && out->offset_s < 86400;
    }
    if (id != NULL) {
        struct fb_buf name;
        fb_buf_init(&name, sizeof out->zone);
        section_clean(fb_slice_str(id), sizeof out->zone - 8, &name);
        (void)snprintf(out->zone, sizeof out->zone, "%s", fb_buf_str(&name));
        fb_buf_deinit(&name);
    }
    return true;
}

/* ---- words ---- */

void section_time_day(const struct section_list *l, const struct icaltimetype *t,
                      struct fb_buf *out)
{
    static const char *const days_ja[] = {"日", "月", "火", "水", "木", "金", "土"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    int day = icaltime_day_of_week(*t);
    day = day >= 1 && day <= 7 ? day - 1 : 0;
    if (l->is_japanese) {
        section_put(out, "%d年%d月%d日（%s）", t->year, t->month, t->day, days_ja[day]);
    } else {
        section_put(out, "%s, %d %s %d", days[day], t->day, months[(t->month - 1) % 12], t->year);
    }
}

static bool is_same_day(const struct icaltimetype *a, const struct icaltimetype *b)
{
    return a->year == b->year && a->month == b->month && a->day == b->day;
}

static void put_clock(const struct icaltimetype *t, struct fb_buf *out)
{
    section_put(out, "%02d:%02d", t->hour, t->minute);
}

static void put_zone(const struct section_list *l, const struct section_time *t, struct fb_buf *out)
{
    int minutes = (t->offset_s < 0 ? -t->offset_s : t->offset_s) / 60;
    if (t->has_offset) {
        section_put(out, " (UTC%c%02d:%02d%s%s)", t->offset_s < 0 ? '-' : '+', minutes / 60,
                    minutes % 60, t->zone[0] != '\0' ? section_say(l, "、", ", ") : "", t->zone);
    } else if (t->zone[0] != '\0') {
        section_put(out, " (%s)", t->zone);
    } else {
        section_put(out, " (%s)", section_say(l, "現地時刻", "local time"));
    }
}

static void put_span(const struct section_list *l, const struct section_time *start,
                     const struct section_time *end, struct fb_buf *out)
{
    section_time_day(l, &start->t, out);
    section_put(out, "%s", section_say(l, " ", ", "));
    put_clock(&start->t, out);
    bool is_other_clock =
        end != NULL && (end->has_offset != start->has_offset || end->offset_s != start->offset_s ||
                        strcmp(end->zone, start->zone) != 0);
    if (end != NULL) {
        if (is_other_clock) {
            put_zone(l, start, out);
        }
        section_put(out, "%s", section_say(l, " ～ ", " – "));
        if (!is_same_day(&start->t, &end->t)) {
            section_time_day(l, &end->t, out);
            section_put(out, "%s", section_say(l, " ", ", "));
        }
        put_clock(&end->t, out);
    }
    put_zone(l, is_other_clock ? end : start, out);
}

static void put_days(const struct section_list *l, const struct section_time *start,
                     const struct section_time *end, struct fb_buf *out)
{
    section_time_day(l, &start->t, out);
    if (end != NULL && end->t.is_date) {
        struct icaltimetype last = end->t;
        icaltime_adjust(&last, -1, 0, 0, 0);
        if (icaltime_compare_date_only(last, start->t) > 0) {
            section_put(out, "%s", section_say(l, " ～ ", " – "));
            section_time_day(l, &last, out);
        }
    }
    section_put(out, "%s", section_say(l, " 終日", ", all day"));
}

static struct section_time by_senders_clock(const struct section_list *l,
                                            const struct section_time *t)
{
    struct section_time own = *t;
    icaltime_adjust(&own.t, 0, 0, 0, l->zone_minutes * 60 - t->offset_s);
    own.offset_s = l->zone_minutes * 60;
    own.zone[0] = '\0';
    return own;
}

void section_time_range(const struct section_list *l, const struct section_time *start,
                        const struct section_time *end, struct fb_buf *out)
{
    if (start->t.is_date) {
        put_days(l, start, end, out);
        return;
    }
    end = end != NULL && !end->t.is_date ? end : NULL;
    put_span(l, start, end, out);
    if (l->has_zone && start->has_offset && start->offset_s != l->zone_minutes * 60 &&
        (end == NULL || end->has_offset)) {
        struct section_time from = by_senders_clock(l, start);
        struct section_time to = end != NULL ? by_senders_clock(l, end) : from;
        section_put(out, "\n%s", section_say(l, "差出人の時計では ", "By the sender's clock: "));
        put_span(l, &from, end != NULL ? &to : NULL, out);
    }
}
