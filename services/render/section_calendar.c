/* SPDX-License-Identifier: Apache-2.0
 *
 * Calendar entries: one section for each event or task of a calendar file.  The library parses, in
 * time and memory that grow with the file; which zone files the system has is not asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/section_steps.h"
#include "services/render/section_time.h"

#define ENTRIES_MAX 20 /* of one file; a whole calendar is opened in a calendar */

void render_sections_init(void)
{
    icalerror_set_errors_are_fatal(false);
    icaltimezone_set_builtin_tzdata(true);
}

/* A property's text, or "" */
static struct fb_slice text_of(icalproperty *p)
{
    icalvalue *v = p != NULL ? icalproperty_get_value(p) : NULL;
    if (v == NULL) {
        return (struct fb_slice){0};
    }
    bool is_text = icalvalue_isa(v) == ICAL_TEXT_VALUE;
    const char *text = is_text ? icalvalue_get_text(v) : icalproperty_get_value_as_string(p);
    return fb_slice_str(text);
}

static icalproperty *first(icalcomponent *c, icalproperty_kind kind)
{
    return icalcomponent_get_first_property(c, kind);
}

/* What the sender does with it (RFC 5546 1.4), as the heading of the section. */
static const char *heading_of(const struct section_list *l, icalproperty_method method,
                              icalcomponent *entry)
{
    icalproperty *status = first(entry, ICAL_STATUS_PROPERTY);
    bool is_cancelled = status != NULL && icalproperty_get_status(status) == ICAL_STATUS_CANCELLED;
    bool is_task = icalcomponent_isa(entry) == ICAL_VTODO_COMPONENT;
    switch (method) {
    case ICAL_METHOD_CANCEL:
        return section_say(l, "予定のキャンセル", "Cancelled");
    case ICAL_METHOD_REPLY:
        return section_say(l, "予定への返信", "Reply to an invitation");
    case ICAL_METHOD_COUNTER:
        return section_say(l, "日程変更の提案", "Proposed change");
    case ICAL_METHOD_DECLINECOUNTER:
        return section_say(l, "変更提案の辞退", "Proposed change declined");
    case ICAL_METHOD_REFRESH:
        return section_say(l, "予定の再送の依頼", "Request to send an event again");
    case ICAL_METHOD_ADD:
        return section_say(l, "日程の追加", "Additional date");
    case ICAL_METHOD_REQUEST:
        return is_cancelled ? section_say(l, "予定のキャンセル", "Cancelled")
               : is_task    ? section_say(l, "タスクの依頼", "Task")
                            : section_say(l, "予定への招待", "Invitation");
    default:
        return is_cancelled ? section_say(l, "予定のキャンセル", "Cancelled")
               : is_task    ? section_say(l, "タスク", "Task")
                            : section_say(l, "予定", "Event");
    }
}

/* ---- when ---- */

/* DTEND or DUE, or DTSTART and DURATION; false: no end. */
static bool end_of(const struct section_list *l, icalcomponent *calendar, icalcomponent *entry,
                   const struct section_time *start, struct section_time *end)
{
    icalproperty *p = first(entry, ICAL_DTEND_PROPERTY);
    p = p != NULL ? p : first(entry, ICAL_DUE_PROPERTY);
    if (section_time_read(l, calendar, p, end)) {
        return true;
    }
    p = first(entry, ICAL_DURATION_PROPERTY);
    if (p == NULL) {
        return false;
    }
    struct icaldurationtype d = icalproperty_get_duration(p);
    if (d.is_neg || d.weeks > 520 || d.days > 3660 || d.hours > 87600 || d.minutes > 5256000 ||
        d.seconds > 315360000) {
        return false;
    }
    *end = *start;
    icaltime_adjust(&end->t, (int)(d.days + 7 * d.weeks), (int)d.hours, (int)d.minutes,
                    (int)d.seconds);
    return true;
}

static void put_when(const struct section_list *l, icalcomponent *calendar, icalcomponent *entry,
                     struct render_section *s)
{
    struct section_time start;
    struct section_time end;
    struct fb_buf words;
    fb_buf_init(&words, 2048);
    bool is_task = icalcomponent_isa(entry) == ICAL_VTODO_COMPONENT;
    if (section_time_read(l, calendar, first(entry, ICAL_DTSTART_PROPERTY), &start)) {
        bool has_end = end_of(l, calendar, entry, &start, &end);
        section_time_range(l, &start, has_end ? &end : NULL, &words);
        section_row(s, section_say(l, "日時", "When"), fb_slice_buf(&words));
    } else if (is_task && section_time_read(l, calendar, first(entry, ICAL_DUE_PROPERTY), &end)) {
        section_time_range(l, &end, NULL, &words);
        section_row(s, section_say(l, "期限", "Due"), fb_slice_buf(&words));
    } else if (first(entry, ICAL_DTSTART_PROPERTY) != NULL) {
        section_row_str(s, section_say(l, "日時", "When"),
                        section_say(l, "（読み取れません）", "(cannot be read)"));
    }
    fb_buf_clear(&words);
    section_recur_words(l, entry, &words);
    section_row(s, section_say(l, "繰り返し", "Repeats"), fb_slice_buf(&words));
    fb_buf_clear(&words);
    if (section_time_read(l, calendar, first(entry, ICAL_RECURRENCEID_PROPERTY), &start)) {
        section_time_range(l, &start, NULL, &words);
        section_row(s, section_say(l, "対象の回", "This date only"), fb_slice_buf(&words));
    }
    fb_buf_deinit(&words);
}

/* ---- who ---- */

static const char *state_of(const struct section_list *l, icalproperty *attendee)
{
    icalparameter *p = icalproperty_get_first_parameter(attendee, ICAL_PARTSTAT_PARAMETER);
    switch (p != NULL ? icalparameter_get_partstat(p) : ICAL_PARTSTAT_NEEDSACTION) {
    case ICAL_PARTSTAT_ACCEPTED:
        return section_say(l, "出席", "accepted");
    case ICAL_PARTSTAT_DECLINED:
        return section_say(l, "欠席", "declined");
    case ICAL_PARTSTAT_TENTATIVE:
        return section_say(l, "仮承諾", "tentative");
    case ICAL_PARTSTAT_DELEGATED:
        return section_say(l, "代理に依頼", "delegated");
    case ICAL_PARTSTAT_COMPLETED:
        return section_say(l, "完了", "completed");
    case ICAL_PARTSTAT_INPROCESS:
        return section_say(l, "作業中", "in process");
    default:
        return section_say(l, "未回答", "no answer yet");
    }
}

static const char *role_of(const struct section_list *l, icalproperty *attendee)
{
    icalparameter *kind = icalproperty_get_first_parameter(attendee, ICAL_CUTYPE_PARAMETER);
    icalparameter_cutype type =
        kind != NULL ? icalparameter_get_cutype(kind) : ICAL_CUTYPE_INDIVIDUAL;
    if (type == ICAL_CUTYPE_ROOM || type == ICAL_CUTYPE_RESOURCE) {
        return section_say(l, "会議室・設備、", "room or equipment, ");
    }
    icalparameter *p = icalproperty_get_first_parameter(attendee, ICAL_ROLE_PARAMETER);
    switch (p != NULL ? icalparameter_get_role(p) : ICAL_ROLE_REQPARTICIPANT) {
    case ICAL_ROLE_CHAIR:
        return section_say(l, "議長、", "chair, ");
    case ICAL_ROLE_OPTPARTICIPANT:
        return section_say(l, "任意、", "optional, ");
    case ICAL_ROLE_NONPARTICIPANT:
        return section_say(l, "参考、", "for information, ");
    default:
        return "";
    }
}

/* "Name <address>" */
static void put_person(icalproperty *p, struct fb_buf *out)
{
    icalparameter *cn = icalproperty_get_first_parameter(p, ICAL_CN_PARAMETER);
    struct fb_slice name = fb_slice_trim(fb_slice_str(cn != NULL ? icalparameter_get_cn(cn) : ""));
    struct fb_slice address = text_of(p);
    address = fb_slice_istarts(address, "mailto:") ? fb_slice_sub(address, 7, SIZE_MAX) : address;
    bool has_both = name.len > 0 && address.len > 0 &&
                    !(name.len == address.len && memcmp(name.ptr, address.ptr, name.len) == 0);
    section_clean(name.len > 0 ? name : address, out->len + 200, out);
    if (has_both) {
        section_put(out, " <");
        section_clean(address, out->len + 300, out);
        section_put(out, ">");
    }
}

static void put_people(const struct section_list *l, icalcomponent *entry, struct render_section *s)
{
    struct fb_buf words;
    fb_buf_init(&words, 2048);
    icalproperty *organizer = first(entry, ICAL_ORGANIZER_PROPERTY);
    if (organizer != NULL) {
        put_person(organizer, &words);
        section_row(s, section_say(l, "主催者", "Organiser"), fb_slice_buf(&words));
    }
    int count = 0;
    icalproperty *p = first(entry, ICAL_ATTENDEE_PROPERTY);
    for (; p != NULL; p = icalcomponent_get_next_property(entry, ICAL_ATTENDEE_PROPERTY)) {
        if (++count > RENDER_SECTION_PEOPLE_MAX) {
            continue;
        }
        fb_buf_clear(&words);
        put_person(p, &words);
        section_put(&words, SECTION_SAY(l, "（%s%s）", " (%s%s)"), role_of(l, p), state_of(l, p));
        section_row(s, count == 1 ? section_say(l, "出席者", "Attendees") : "",
                    fb_slice_buf(&words));
    }
    if (count > RENDER_SECTION_PEOPLE_MAX) {
        char more[64];
        (void)snprintf(more, sizeof more, SECTION_SAY(l, "ほか%d名", "and %d more"),
                       count - RENDER_SECTION_PEOPLE_MAX);
        section_row_str(s, "", more);
    }
    fb_buf_deinit(&words);
}

/* ---- an entry ---- */

static void put_state(const struct section_list *l, icalcomponent *entry, struct render_section *s)
{
    icalproperty *p = first(entry, ICAL_STATUS_PROPERTY);
    const char *word = NULL;
    switch (p != NULL ? icalproperty_get_status(p) : ICAL_STATUS_NONE) {
    case ICAL_STATUS_TENTATIVE:
        word = section_say(l, "仮の予定", "tentative");
        break;
    case ICAL_STATUS_CANCELLED:
        word = section_say(l, "キャンセルされました", "cancelled");
        break;
    case ICAL_STATUS_COMPLETED:
        word = section_say(l, "完了", "completed");
        break;
    case ICAL_STATUS_INPROCESS:
        word = section_say(l, "作業中", "in process");
        break;
    default:
        break;
    }
    section_row_str(s, section_say(l, "状態", "Status"), word);
}

static void put_entry(struct section_list *l, icalcomponent *calendar, icalcomponent *entry,
                      icalproperty_method method)
{
    struct fb_slice summary = text_of(first(entry, ICAL_SUMMARY_PROPERTY));
    struct render_section *s = section_add_of(
        l, RENDER_SECTION_CALENDAR, heading_of(l, method, entry),
        summary.len > 0 ? summary : fb_slice_str(section_say(l, "（件名なし）", "(no title)")));
    if (s == NULL) {
        return;
    }
    put_when(l, calendar, entry, s);
    section_row(s, section_say(l, "場所", "Where"), text_of(first(entry, ICAL_LOCATION_PROPERTY)));
    put_state(l, entry, s);
    put_people(l, entry, s);
    section_row(s, section_say(l, "コメント", "Comment"),
                text_of(first(entry, ICAL_COMMENT_PROPERTY)));
    section_row(s, "URL", text_of(first(entry, ICAL_URL_PROPERTY)));
    section_text(s, text_of(first(entry, ICAL_DESCRIPTION_PROPERTY)));
}

/* The same entry comes twice in mails of some senders: in the alternative, and as a file. */
static bool is_seen(struct section_list *l, icalcomponent *entry, icalproperty_method method)
{
    struct fb_buf key;
    bool is_known = false;
    fb_buf_init(&key, 2048);
    const icalproperty_kind kinds[] = {ICAL_UID_PROPERTY, ICAL_RECURRENCEID_PROPERTY,
                                       ICAL_DTSTART_PROPERTY, ICAL_SEQUENCE_PROPERTY};
    section_put(&key, "%d", (int)method);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        icalproperty *p = first(entry, kinds[i]);
        const char *value = p != NULL ? icalproperty_get_value_as_string(p) : NULL;
        section_put(&key, " %.300s", value != NULL ? value : "");
    }
    for (size_t i = 0; i < l->seen_count && !is_known; i++) {
        is_known = strcmp(l->seen[i], fb_buf_str(&key)) == 0;
    }
    if (first(entry, ICAL_UID_PROPERTY) == NULL) {
        is_known = false;
    } else if (!is_known && l->seen_count < RENDER_SECTIONS_MAX) {
        l->seen[l->seen_count++] = fb_xstrdup(fb_buf_str(&key));
    }
    fb_buf_deinit(&key);
    return is_known;
}

/* Entries of a VCALENDAR; false when it has none that are shown. */
static bool put_calendar(struct section_list *l, icalcomponent *calendar)
{
    icalproperty *m = first(calendar, ICAL_METHOD_PROPERTY);
    icalproperty_method method = m != NULL ? icalproperty_get_method(m) : ICAL_METHOD_NONE;
    int count = 0;
    section_time_trim_zones(calendar);
    icalcomponent *c = icalcomponent_get_first_component(calendar, ICAL_ANY_COMPONENT);
    for (; c != NULL; c = icalcomponent_get_next_component(calendar, ICAL_ANY_COMPONENT)) {
        icalcomponent_kind kind = icalcomponent_isa(c);
        if (kind != ICAL_VEVENT_COMPONENT && kind != ICAL_VTODO_COMPONENT) {
            continue;
        }
        if (++count <= ENTRIES_MAX && !is_seen(l, c, method)) {
            put_entry(l, calendar, c, method);
        }
    }
    if (count > ENTRIES_MAX) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       SECTION_SAY(l,
                                   "この予定表にはほか%d件あります。添付ファイルをご覧ください。",
                                   "This calendar has %d more entries: see the attachment."),
                       count - ENTRIES_MAX);
        struct render_section *s =
            section_add(l, RENDER_SECTION_CALENDAR, section_say(l, "予定の続き", "More events"));
        if (s != NULL) {
            section_text(s, fb_slice_str(text));
        }
    }
    return count > 0;
}

void section_calendar_text(struct section_list *l, struct fb_slice text, const char *name)
{
    bool has_some = false;
    /* The parser reads a C string; what follows a NUL is no calendar. */
    struct fb_buf copy;
    fb_buf_init(&copy, text.len + 16);
    icalcomponent *root = NULL;
    if (fb_buf_add_slice(&copy, text) == FB_OK && fb_buf_add_str(&copy, "\n") == FB_OK) {
        root = icalparser_parse_string(fb_buf_str(&copy));
    }
    if (root != NULL && icalcomponent_isa(root) == ICAL_VCALENDAR_COMPONENT) {
        has_some = put_calendar(l, root);
    } else if (root != NULL) { /* several calendars in one file stand in a root of their own */
        icalcomponent *c = icalcomponent_get_first_component(root, ICAL_VCALENDAR_COMPONENT);
        for (int i = 0; c != NULL && i < ENTRIES_MAX; i++) {
            has_some = put_calendar(l, c) || has_some;
            c = icalcomponent_get_next_component(root, ICAL_VCALENDAR_COMPONENT);
        }
    }
    if (root != NULL) {
        icalcomponent_free(root);
    }
    icalmemory_free_ring();
    fb_buf_deinit(&copy);
    if (!has_some) {
        section_unreadable_add(l, RENDER_SECTION_CALENDAR,
                               section_say(l, "予定表", "Calendar file"), name);
    }
}

enum fb_status section_calendar_read(struct section_list *l, const struct render_extra *extra)
{
    struct fb_buf text;
    fb_buf_init(&text, 3U * RENDER_SECTION_FILE_MAX);
    enum fb_status s = section_decode(l, extra, &text);
    if (s == FB_OK) {
        section_calendar_text(l, fb_slice_buf(&text), extra->name);
    } else if (s == FB_TOO_BIG) {
        section_unreadable_add(l, RENDER_SECTION_CALENDAR,
                               section_say(l, "予定表", "Calendar file"), extra->name);
        s = FB_OK;
    }
    fb_buf_deinit(&text);
    return s;
}
