/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/facts.h"

#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/limits.h"
#include "services/render/addresses.h"
#include "services/render/headers.h"
#include "services/render/language.h"
#include "services/render/names.h"
#include "services/render/words.h"

#define HEADER_FACT_MAX 65536 /* of one decoded value */
#define DATE_VALUE_MAX  256
#define REFERENCES_MAX  16384

/* All fields of that name as mailboxes. */
static enum fb_status read_addresses(struct fb_slice head, const char *name,
                                     struct render_addresses *list)
{
    struct render_field f = {0};
    enum fb_status status = FB_OK;
    while (status == FB_OK && render_field_next(&head, &f)) {
        if (fb_slice_ieq_str(f.name, name)) {
            status = render_addresses_add(f.value, FB_MAX_RECIPIENTS, list);
        }
    }
    return status;
}

/* What the letter shows for an address field: its mailboxes, else its text
 * ("undisclosed-recipients:;"). */
static char *address_text(struct fb_slice head, const char *name,
                          const struct render_addresses *list)
{
    struct render_field f = {0};
    char *text = render_addresses_dup_text(list);
    if (text == NULL && render_field_find(head, name, &f) && fb_slice_trim(f.value).len > 0) {
        text = render_words_dup(f.value, HEADER_FACT_MAX);
    }
    return text;
}

static enum fb_status add_visible(struct render_mail *m, struct render_addresses *list)
{
    size_t room = (size_t)m->visible_count + list->count;
    void *grown = realloc(m->visible, (room + 1) * sizeof *m->visible);
    if (grown == NULL) {
        return FB_NO_SPACE;
    }
    m->visible = grown;
    for (size_t i = 0; i < list->count; i++) {
        m->visible[m->visible_count++] = list->items[i].address;
        list->items[i].address = NULL;
    }
    return FB_OK;
}

static enum fb_status read_people(struct fb_slice head, struct render_mail *m)
{
    static const char *const names[] = {"From", "To", "Cc"};
    char **shown[] = {&m->letter.from, &m->letter.to, &m->letter.cc};
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < 3 && status == FB_OK; i++) {
        struct render_addresses list = {0};
        status = read_addresses(head, names[i], &list);
        if (status == FB_OK) {
            *shown[i] = address_text(head, names[i], &list);
            status = i > 0 ? add_visible(m, &list) : FB_OK;
        }
        render_addresses_deinit(&list);
    }
    return status;
}

static void read_date(struct fb_slice head, struct render_mail *m)
{
    struct render_field f = {0};
    char value[DATE_VALUE_MAX];
    if (!render_field_find(head, "Date", &f)) {
        return;
    }
    char *text = render_words_dup(f.value, sizeof value - 1);
    if (text != NULL && text[0] != '\0') {
        GDateTime *date = g_mime_utils_header_decode_date(text);
        if (date != NULL) {
            gint64 seconds = g_date_time_to_unix(date);
            /* 0001 to 9999 is what a date can show. */
            m->date_ms = seconds > 0 && seconds < 253402300800LL ? seconds * 1000 : 0;
            m->has_zone = m->date_ms > 0;
            m->zone_minutes = (int)(g_date_time_get_utc_offset(date) / G_TIME_SPAN_MINUTE);
            g_date_time_unref(date);
        }
        m->letter.date = text;
        text = NULL;
    }
    free(text);
    m->letter.date_ms = m->date_ms;
}

static char *dup_ids(struct fb_slice raw)
{
    char *ids = render_words_dup(raw, REFERENCES_MAX);
    if (ids != NULL && ids[0] == '\0') {
        free(ids);
        ids = NULL;
    }
    return ids;
}

/* References and In-Reply-To, as the painter and the receipt need them. */
static void read_ids(struct fb_slice head, struct render_mail *m)
{
    struct render_field f = {0};
    if (render_field_find(head, "Message-ID", &f)) {
        m->message_id = dup_ids(f.value);
    }
    char *references = render_field_find(head, "References", &f) ? dup_ids(f.value) : NULL;
    char *parent = render_field_find(head, "In-Reply-To", &f) ? dup_ids(f.value) : NULL;
    if (references != NULL && parent != NULL && strstr(references, parent) == NULL) {
        char *both = NULL;
        m->references = asprintf(&both, "%s %s", references, parent) >= 0 ? both : NULL;
    } else {
        m->references = fb_xstrdup(references != NULL ? references : parent != NULL ? parent : "");
    }
    if (m->references != NULL && m->references[0] == '\0') {
        free(m->references);
        m->references = NULL;
    }
    free(references);
    free(parent);
}

static enum fb_status read_subject(struct fb_slice head, struct render_mail *m)
{
    struct render_field f = {0};
    if (!render_field_find(head, "Subject", &f)) {
        m->subject = fb_xstrdup("");
        return FB_OK;
    }
    struct fb_buf raw = {0};
    fb_buf_init(&raw, FB_MAX_HEADER_BYTES);
    for (size_t i = 0; i < f.value.len; i++) { /* a C string: NULs go, folding stays */
        if (f.value.ptr[i] != '\0' && fb_buf_add(&raw, f.value.ptr + i, 1) != FB_OK) {
            fb_buf_deinit(&raw);
            return FB_NO_SPACE;
        }
    }
    m->raw_subject = fb_slice_dup_str(fb_slice_trim(fb_slice_buf(&raw)));
    fb_buf_deinit(&raw);
    m->subject = render_words_dup(f.value, FB_MAX_SUBJECT);
    m->letter.subject = m->subject != NULL ? fb_xstrdup(m->subject) : NULL;
    return m->subject != NULL && m->raw_subject != NULL ? FB_OK : FB_NO_SPACE;
}

static enum fb_status read_header_facts(struct fb_slice head, struct render_mail *m)
{
    struct render_field f = {0};
    struct fb_slice rest = head;
    size_t count = 0;
    while (render_field_next(&rest, &f)) {
        count++;
    }
    m->header_facts = fb_xcalloc(count + 1, sizeof *m->header_facts);
    while (render_field_next(&head, &f)) {
        char *name = fb_slice_dup_str(f.name);
        char *value = render_words_dup(f.value, HEADER_FACT_MAX);
        if (name == NULL || value == NULL) {
            free(name);
            free(value);
            return FB_NO_SPACE;
        }
        m->header_facts[m->facts.header_count++] =
            (struct fb_policy_header_fact){.name = name, .value = value};
    }
    return FB_OK;
}

/* RFC 3834 5: any value but "no". */
static bool is_auto_reply(struct fb_slice head)
{
    struct render_field f = {0};
    if (!render_field_find(head, "Auto-Submitted", &f)) {
        return false;
    }
    char *value = render_words_dup(f.value, 256);
    bool is_one = value != NULL && value[0] != '\0' &&
                  !(g_ascii_strncasecmp(value, "no", 2) == 0 && !g_ascii_isalnum(value[2]) &&
                    value[2] != '-');
    free(value);
    return is_one;
}

enum fb_status facts_read_head(struct fb_slice head, struct render_mail *m, struct fb_error *err)
{
    fb_buf_init(&m->head, 2U * FB_MAX_HEADER_BYTES);
    enum fb_status status = render_head_build(head, &m->head);
    if (status == FB_OK) {
        status = read_subject(head, m);
    }
    if (status == FB_OK) {
        status = read_people(head, m);
    }
    if (status == FB_OK) {
        status = read_header_facts(head, m);
    }
    if (status == FB_OK) {
        read_date(head, m);
        read_ids(head, m);
        m->is_auto_reply = is_auto_reply(head);
    }
    return status == FB_OK ? FB_OK : fb_error_set(err, status, "reading the header");
}

static enum fb_status make_names_unique(struct render_mail *m)
{
    char ***names = calloc(m->part_count + 1U, sizeof *names);
    if (names == NULL) {
        return FB_NO_SPACE;
    }
    for (uint32_t i = 0; i < m->part_count; i++) {
        names[i] = &m->parts[i].name;
    }
    render_names_unique(names, m->part_count);
    free(names);
    return FB_OK;
}

static void list_attachments(struct render_mail *m)
{
    struct render_letter *l = &m->letter;
    l->attachments = fb_xcalloc(m->part_count + 1U, sizeof *l->attachments);
    m->attachment_facts =
        fb_xcalloc(m->part_count + m->nested_count + 1U, sizeof *m->attachment_facts);
    for (uint32_t i = 0; i < m->part_count; i++) {
        const struct fb_part *p = &m->parts[i];
        if (p->is_inline) {
            continue;
        }
        m->attachment_facts[l->attachment_count] =
            (struct fb_policy_attachment_fact){.name = p->name, .type = p->type, .size = p->size};
        l->attachments[l->attachment_count++] = (struct render_attachment_line){
            .name = fb_xstrdup(p->name), .type = fb_xstrdup(p->type), .size = p->size};
    }
    if (m->nested_count > 0) {
        memcpy(m->attachment_facts + l->attachment_count, m->nested,
               m->nested_count * sizeof *m->nested);
    }
}

/* The date as a letter bears it, by the sender's clock; one that cannot be read stays as it came.
 */
static void show_date(struct render_letter *l)
{
    static const char *const days_ja[] = {"月", "火", "水", "木", "金", "土", "日"};
    static const char *const days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    GDateTime *d =
        l->date_ms > 0 && l->date != NULL ? g_mime_utils_header_decode_date(l->date) : NULL;
    if (d == NULL) {
        return;
    }
    int zone = (int)(g_date_time_get_utc_offset(d) / G_TIME_SPAN_MINUTE);
    int minutes = zone < 0 ? -zone : zone;
    int day = g_date_time_get_day_of_week(d) - 1;
    int month = g_date_time_get_month(d);
    char clock[48];
    char text[160];
    (void)snprintf(clock, sizeof clock, "%02d:%02d (UTC%c%02d:%02d)", g_date_time_get_hour(d),
                   g_date_time_get_minute(d), zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
    if (l->is_japanese) {
        (void)snprintf(text, sizeof text, "%d年%d月%d日（%s） %s", g_date_time_get_year(d), month,
                       g_date_time_get_day_of_month(d), days_ja[day], clock);
    } else {
        (void)snprintf(text, sizeof text, "%s, %d %s %d, %s", days[day],
                       g_date_time_get_day_of_month(d), months[month - 1], g_date_time_get_year(d),
                       clock);
    }
    g_date_time_unref(d);
    free(l->date);
    l->date = fb_xstrdup(text);
}

/* Conditions on the body see each of its forms: which one is shown is the reader's choice. */
static enum fb_status join_texts(struct render_mail *m)
{
    fb_buf_init(&m->all_text, m->text.len + m->other_text.len + 2);
    enum fb_status status = fb_buf_add_slice(&m->all_text, fb_slice_buf(&m->text));
    if (status == FB_OK && m->other_text.len > 0) {
        status = fb_buf_add_char(&m->all_text, '\n');
    }
    return status == FB_OK ? fb_buf_add_slice(&m->all_text, fb_slice_buf(&m->other_text)) : status;
}

enum fb_status facts_finish(const struct fb_envelope *envelope, uint64_t size,
                            bool has_japanese_charset, struct render_mail *m, struct fb_error *err)
{
    enum fb_status status = make_names_unique(m);
    if (status != FB_OK) {
        return fb_error_set(err, status, "naming the parts");
    }
    status = m->other_text.len > 0 ? join_texts(m) : FB_OK;
    if (status != FB_OK) {
        return fb_error_set(err, status, "joining the texts");
    }
    list_attachments(m);
    struct fb_slice subject = fb_slice_str(m->subject);
    struct fb_slice text = fb_slice_buf(&m->text);
    m->language = render_language(subject, text);
    m->letter.is_japanese =
        render_language_is_japanese(m->language, subject, text, has_japanese_charset);
    show_date(&m->letter);
    m->facts.from = envelope->reverse_path != NULL ? envelope->reverse_path : "";
    m->facts.subject = m->subject;
    m->facts.headers = m->header_facts;
    m->facts.body = fb_buf_str(m->other_text.len > 0 ? &m->all_text : &m->text);
    m->facts.is_body_cut =
        m->has_unread_text || m->other_text.len + 1 >= RENDER_BODY_FACT_MAX ||
        (m->other_text.len > 0 ? m->all_text.len : m->text.len) > RENDER_BODY_FACT_MAX;
    m->facts.attachments = m->attachment_facts;
    m->facts.attachment_count = m->letter.attachment_count + m->nested_count;
    m->facts.size = size;
    m->facts.is_delivery_report = m->is_delivery_report;
    m->facts.is_auto_reply = m->is_auto_reply;
    m->facts.is_encrypted = m->is_encrypted;
    return FB_OK;
}

void facts_deinit(struct render_mail *m)
{
    for (size_t i = 0; i < m->facts.header_count; i++) {
        free((char *)(uintptr_t)m->header_facts[i].name);
        free((char *)(uintptr_t)m->header_facts[i].value);
    }
    free(m->header_facts);
    free(m->attachment_facts);
    for (size_t i = 0; i < m->nested_count; i++) {
        free((char *)(uintptr_t)m->nested[i].name);
        free((char *)(uintptr_t)m->nested[i].type);
    }
    free(m->nested);
    m->nested = NULL;
    m->nested_count = 0;
    m->header_facts = NULL;
    m->attachment_facts = NULL;
    m->facts = (struct fb_policy_facts){0};
}
