/* SPDX-License-Identifier: Apache-2.0
 *
 * RRULE (RFC 5545 3.3.10) in words: what calendars' own dialogues make.  A rule beyond that is shown
 * as it is written, which is better than half of it. */
#include <string.h>

#include "services/render/section_time.h"

#define EXCEPTIONS_MAX 12

static const char *const week_ja[] = {"日", "月", "火", "水", "木", "金", "土"};
static const char *const week_en[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
static const char *const months_en[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

static int length(const short *list, int max)
{
    int n = 0;
    while (n < max && list[n] != ICAL_RECURRENCE_ARRAY_MAX) {
        n++;
    }
    return n;
}

static int day_of(short coded)
{
    int day = (int)icalrecurrencetype_day_day_of_week(coded);
    return day >= 1 && day <= 7 ? day - 1 : 0;
}

static void put_interval(const struct section_list *l, const struct icalrecurrencetype *r,
                         struct fb_buf *out)
{
    static const char *const once_ja[] = {"毎日", "毎週", "毎月", "毎年"};
    static const char *const many_ja[] = {"日ごと", "週間ごと", "か月ごと", "年ごと"};
    static const char *const units[] = {"day", "week", "month", "year"};
    int k = r->freq == ICAL_DAILY_RECURRENCE     ? 0
            : r->freq == ICAL_WEEKLY_RECURRENCE  ? 1
            : r->freq == ICAL_MONTHLY_RECURRENCE ? 2
                                                 : 3;
    int n = r->interval;
    if (l->is_japanese && n <= 1) {
        section_put(out, "%s", once_ja[k]);
    } else if (l->is_japanese) {
        section_put(out, "%d%s", n, many_ja[k]);
    } else if (n <= 1) {
        section_put(out, "Every %s", units[k]);
    } else {
        section_put(out, "Every %d %ss", n, units[k]);
    }
}

static void put_week(const struct section_list *l, const struct icalrecurrencetype *r,
                     struct fb_buf *out)
{
    int n = length(r->by_day, 7);
    for (int i = 0; i < n; i++) {
        if (l->is_japanese) {
            section_put(out, "%s%s%s", i == 0 ? " " : "・", week_ja[day_of(r->by_day[i])],
                        i == n - 1 ? "曜日" : "");
        } else {
            const char *join = i == 0 ? " on " : i == n - 1 ? " and " : ", ";
            section_put(out, "%s%s", join, week_en[day_of(r->by_day[i])]);
        }
    }
}

static void put_place(const struct section_list *l, int place, int day, struct fb_buf *out)
{
    static const char *const nth[] = {"", "1st", "2nd", "3rd", "4th", "5th"};
    if (l->is_japanese && place < 0) {
        section_put(out, " 最終%s曜日", week_ja[day]);
    } else if (l->is_japanese) {
        section_put(out, " 第%d%s曜日", place, week_ja[day]);
    } else {
        section_put(out, " on the %s %s", place < 0 ? "last" : nth[place], week_en[day]);
    }
}

/* The day of a month: BYMONTHDAY, or a weekday with its place. False: more than we have words for. */
static bool put_month_day(const struct section_list *l, const struct icalrecurrencetype *r,
                          struct fb_buf *out)
{
    int dates = length(r->by_month_day, 4);
    int days = length(r->by_day, 3);
    int places = length(r->by_set_pos, 2);
    if (dates > 3 || days > 1 || places > 1 || (dates > 0 && days > 0)) {
        return false;
    }
    for (int i = 0; i < dates; i++) {
        int d = r->by_month_day[i];
        if (d < -1 || d == 0 || d > 31) {
            return false;
        }
        const char *join = section_say(l, i == 0 ? " " : "・", i == 0 ? " on day " : ", ");
        if (d == -1) {
            section_put(out, "%s", section_say(l, " 末日", " on the last day"));
        } else {
            section_put(out, "%s%d%s", join, d, section_say(l, "日", ""));
        }
    }
    if (days == 1) {
        int place = icalrecurrencetype_day_position(r->by_day[0]);
        place = place == 0 && places == 1 ? r->by_set_pos[0] : place;
        if (place == 0 || place < -1 || place > 5) {
            return false;
        }
        put_place(l, place, day_of(r->by_day[0]), out);
    }
    return days == 1 || places == 0;
}

static bool put_rule(const struct section_list *l, const struct icalrecurrencetype *r,
                     struct fb_buf *out)
{
    int months = length(r->by_month, 3);
    bool has_more = r->by_second[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                    r->by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                    r->by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                    r->by_year_day[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                    r->by_week_no[0] != ICAL_RECURRENCE_ARRAY_MAX;
    if (has_more || r->freq < ICAL_DAILY_RECURRENCE || r->freq > ICAL_YEARLY_RECURRENCE ||
        r->interval < 0) {
        return false;
    }
    put_interval(l, r, out);
    if (r->freq == ICAL_DAILY_RECURRENCE || r->freq == ICAL_WEEKLY_RECURRENCE) {
        if (r->by_month_day[0] != ICAL_RECURRENCE_ARRAY_MAX || months > 0 ||
            r->by_set_pos[0] != ICAL_RECURRENCE_ARRAY_MAX) {
            return false;
        }
        put_week(l, r, out);
        return true;
    }
    if (months > 1 || (months == 1 && r->freq == ICAL_MONTHLY_RECURRENCE)) {
        return false;
    }
    int month = months == 1 ? r->by_month[0] : 0;
    if (month < 0 || month > 12) {
        return false;
    }
    if (month > 0 && l->is_japanese) {
        section_put(out, " %d月", month);
    } else if (month > 0) {
        section_put(out, " in %s", months_en[month - 1]);
    }
    return put_month_day(l, r, out);
}

static void put_end(const struct section_list *l, const struct icalrecurrencetype *r,
                    struct fb_buf *out)
{
    if (r->count > 0) {
        section_put(out, SECTION_SAY(l, "、全%d回", ", %d times"), r->count);
    } else if (!icaltime_is_null_time(r->until) && r->until.year > 1900 && r->until.year < 2500 &&
               r->until.month >= 1 && r->until.month <= 12) {
        struct icaltimetype until = r->until;
        if (icaltime_is_utc(until) && !until.is_date && l->has_zone) {
            icaltime_adjust(&until, 0, 0, l->zone_minutes, 0);
        }
        section_put(out, "%s", section_say(l, "、", ", until "));
        section_time_day(l, &until, out);
        section_put(out, "%s", section_say(l, "まで", ""));
    }
}

static void put_exceptions(const struct section_list *l, icalcomponent *entry, struct fb_buf *out)
{
    int count = 0;
    icalproperty *p = icalcomponent_get_first_property(entry, ICAL_EXDATE_PROPERTY);
    for (; p != NULL; p = icalcomponent_get_next_property(entry, ICAL_EXDATE_PROPERTY)) {
        struct section_time t;
        if (!section_time_read(l, entry, p, &t)) {
            continue;
        }
        if (++count > EXCEPTIONS_MAX) {
            section_put(out, "%s", section_say(l, "、ほか", ", and more"));
            break;
        }
        section_put(out, "%s",
                    count == 1 ? section_say(l, "\n除外日：", "\nExcept: ")
                               : section_say(l, "、", "; "));
        section_time_day(l, &t.t, out);
    }
}

void section_recur_words(const struct section_list *l, icalcomponent *entry, struct fb_buf *out)
{
    icalproperty *p = icalcomponent_get_first_property(entry, ICAL_RRULE_PROPERTY);
    if (p == NULL) {
        return;
    }
    struct icalrecurrencetype r = icalproperty_get_rrule(p);
    size_t mark = out->len;
    if (put_rule(l, &r, out)) {
        put_end(l, &r, out);
    } else {
        out->len = mark;
        const char *raw = icalproperty_get_value_as_string(p);
        section_put(out, SECTION_SAY(l, "繰り返しあり（規則：%.300s）", "Repeats (rule: %.300s)"),
                    raw != NULL ? raw : "");
    }
    put_exceptions(l, entry, out);
}
