/* SPDX-License-Identifier: Apache-2.0
 *
 * Contacts: one section for each vCard, 2.1 as Japanese phones write it, 3.0 and 4.0.  Photographs and
 * keys are left to the attachment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/content_line.h"
#include "services/render/section_steps.h"

#define CARDS_MAX 30 /* of one file */

struct card {
    struct section_list *l;
    struct render_section *s;
    struct render_section_row fields[RENDER_SECTION_ROWS_MAX]; /* until the name is known */
    size_t count;
    char *full_name, *name, *reading, *company, *note;
    bool has_photo;
};

static void keep(char **at, const char *text)
{
    if (*at == NULL && text != NULL && text[0] != '\0') {
        *at = fb_xstrdup(text);
    }
}

static void field(struct card *c, const char *label, const char *value)
{
    if (c->count < RENDER_SECTION_ROWS_MAX - 8 && value != NULL && value[0] != '\0') {
        c->fields[c->count++] =
            (struct render_section_row){.label = fb_xstrdup(label), .value = fb_xstrdup(value)};
    }
}

/* The parts of a structured value, those that are wanted in their order, joined. */
static char *dup_parts(struct fb_slice value, const int *order, size_t count, const char *join)
{
    struct fb_buf parts[8];
    struct fb_buf all;
    fb_buf_init(&all, RENDER_SECTION_VALUE_MAX);
    size_t n = 0;
    for (; n < 8; n++) {
        fb_buf_init(&parts[n], RENDER_SECTION_VALUE_MAX);
        if (!content_value_next(&value, ';', &parts[n])) {
            fb_buf_deinit(&parts[n]);
            break;
        }
    }
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        struct fb_slice part =
            (size_t)order[i] < n ? fb_slice_trim(fb_slice_buf(&parts[order[i]])) : fb_slice_str("");
        if (part.len > 0) {
            s = all.len > 0 ? fb_buf_add_str(&all, join) : FB_OK;
            s = s == FB_OK ? fb_buf_add_slice(&all, part) : s;
        }
    }
    char *text = fb_slice_dup_str(fb_slice_buf(&all));
    for (size_t i = 0; i < n; i++) {
        fb_buf_deinit(&parts[i]);
    }
    fb_buf_deinit(&all);
    return text;
}

static char *dup_text(struct fb_slice value)
{
    struct fb_buf text;
    fb_buf_init(&text, RENDER_SECTION_VALUE_MAX * 4U);
    bool has_some = content_value_next(&value, '\0', &text);
    char *copy = has_some ? fb_slice_dup_str(fb_slice_trim(fb_slice_buf(&text))) : NULL;
    fb_buf_deinit(&text);
    return copy;
}

static const char *telephone_of(const struct section_list *l, const struct content_line *line)
{
    if (content_line_has_type(line, "FAX")) {
        return section_say(l, "FAX", "Fax");
    }
    if (content_line_has_type(line, "CELL")) {
        return section_say(l, "携帯電話", "Mobile");
    }
    if (content_line_has_type(line, "WORK")) {
        return section_say(l, "電話（勤務先）", "Phone (work)");
    }
    if (content_line_has_type(line, "HOME")) {
        return section_say(l, "電話（自宅）", "Phone (home)");
    }
    return section_say(l, "電話", "Phone");
}

static const char *place_of(const struct section_list *l, const struct content_line *line)
{
    if (content_line_has_type(line, "WORK")) {
        return section_say(l, "住所（勤務先）", "Address (work)");
    }
    return content_line_has_type(line, "HOME") ? section_say(l, "住所（自宅）", "Address (home)")
                                               : section_say(l, "住所", "Address");
}

/* "19850403" and "1985-04-03" with slashes of the reader. */
static void birthday(struct card *c, const char *text)
{
    char digits[9] = "";
    size_t n = 0;
    for (const char *p = text; *p != '\0' && *p != 'T' && n < 8; p++) {
        if (*p >= '0' && *p <= '9') {
            digits[n++] = *p;
        }
    }
    char shown[32];
    bool has_year = n == 8;
    bool has_day = n == 4 && strncmp(text, "--", 2) == 0; /* RFC 6350 4.3.1: no year */
    (void)snprintf(shown, sizeof shown, "%.4s-%.2s-%.2s", digits, digits + (has_year ? 4 : 0),
                   digits + (has_year ? 6 : 0));
    if (has_day) {
        (void)snprintf(shown, sizeof shown, "%.2s-%.2s", digits, digits + 2);
    }
    field(c, section_say(c->l, "誕生日", "Birthday"), has_year || has_day ? shown : text);
}

/* An address in kana or kanji runs from the large to the small, whoever reads it. */
static bool is_east_asian(struct fb_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 0xE3 && text.ptr[i] <= 0xE9) { /* U+3000 to U+9FFF */
            return true;
        }
    }
    return false;
}

/* Names, organisations and addresses: values with ';' between their parts. */
static bool take_structured(struct card *c, const struct content_line *line)
{
    static const int japanese_name[] = {0, 2, 1};
    static const int western_name[] = {3, 1, 2, 0, 4};
    static const int reading[] = {0, 1};
    static const int organisation[] = {0, 1, 2, 3};
    static const int japanese_place[] = {5, 4, 3, 2, 1, 0, 6};
    static const int western_place[] = {0, 1, 2, 3, 4, 5, 6};
    bool ja = c->l->is_japanese;
    struct fb_slice v = fb_slice_buf(&line->value);
    char *text = NULL;
    if (strcmp(line->name, "N") == 0) {
        text = ja ? dup_parts(v, japanese_name, 3, " ") : dup_parts(v, western_name, 5, " ");
        keep(&c->name, text);
    } else if (strcmp(line->name, "SOUND") == 0 && content_line_has_type(line, "X-IRMC-N")) {
        text = dup_parts(v, reading, 2, " ");
        keep(&c->reading, text);
    } else if (strcmp(line->name, "ORG") == 0) {
        text = dup_parts(v, organisation, 4, " ");
        keep(&c->company, text);
        field(c, section_say(c->l, "会社", "Organisation"), text);
    } else if (strcmp(line->name, "ADR") == 0) {
        text = is_east_asian(v) ? dup_parts(v, japanese_place, 7, " ")
                                : dup_parts(v, western_place, 7, ", ");
        field(c, place_of(c->l, line), text);
    } else {
        return false;
    }
    free(text);
    return true;
}

static void take_line(struct card *c, const struct content_line *line)
{
    static const struct {
        const char *name, *ja, *en;
    } simple[] = {{"TITLE", "役職", "Title"},
                  {"ROLE", "役割", "Role"},
                  {"EMAIL", "メール", "Mail"},
                  {"URL", "URL", "URL"},
                  {"IMPP", "連絡先", "Messaging"}};
    const char *name = line->name;
    if (strcmp(name, "PHOTO") == 0 || strcmp(name, "LOGO") == 0) {
        c->has_photo = true;
        return;
    }
    if (take_structured(c, line)) {
        return;
    }
    char *text = dup_text(fb_slice_buf(&line->value));
    if (strcmp(name, "FN") == 0) {
        keep(&c->full_name, text);
    } else if (strcmp(name, "X-PHONETIC-LAST-NAME") == 0 && c->reading == NULL) {
        keep(&c->reading, text);
    } else if (strcmp(name, "X-PHONETIC-FIRST-NAME") == 0 && text != NULL) {
        char *both = NULL;
        if (c->reading != NULL && asprintf(&both, "%s %s", c->reading, text) >= 0) {
            free(c->reading);
            c->reading = both;
        }
    } else if (strcmp(name, "TEL") == 0 && text != NULL) {
        field(c, telephone_of(c->l, line), strncmp(text, "tel:", 4) == 0 ? text + 4 : text);
    } else if (strcmp(name, "BDAY") == 0 && text != NULL) {
        birthday(c, text);
    } else if (strcmp(name, "NOTE") == 0) {
        keep(&c->note, text);
    }
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        if (strcmp(name, simple[i].name) == 0) {
            field(c, section_say(c->l, simple[i].ja, simple[i].en), text);
        }
    }
    free(text);
}

static void clear(struct card *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->fields[i].label);
        free(c->fields[i].value);
    }
    free(c->full_name);
    free(c->name);
    free(c->reading);
    free(c->company);
    free(c->note);
    *c = (struct card){.l = c->l};
}

static void put_card(struct card *c)
{
    struct section_list *l = c->l;
    const char *name = c->full_name != NULL ? c->full_name : c->name != NULL ? c->name : c->company;
    struct render_section *s = section_add_of(
        l, RENDER_SECTION_CONTACT, section_say(l, "連絡先", "Contact"),
        fb_slice_str(name != NULL ? name : section_say(l, "（名前なし）", "(no name)")));
    section_row_str(s, section_say(l, "氏名", "Name"),
                    c->full_name != NULL ? c->full_name : c->name);
    section_row_str(s, section_say(l, "ふりがな", "Reading"), c->reading);
    for (size_t i = 0; i < c->count; i++) {
        section_row_str(s, c->fields[i].label, c->fields[i].value);
    }
    section_row_str(s, section_say(l, "メモ", "Note"), c->note);
    if (c->has_photo) {
        section_row_str(s, section_say(l, "写真", "Photo"),
                        section_say(l, "（添付ファイルに含まれています）", "(in the attachment)"));
    }
    clear(c);
}

void section_contact_bytes(struct section_list *l, struct fb_slice bytes, const char *charset,
                           const char *name)
{
    struct content_lines lines;
    struct content_line line = {0};
    struct card *c = fb_xcalloc(1, sizeof *c);
    int count = 0;
    int depth = 0;
    c->l = l;
    content_lines_init(&lines, bytes, charset);
    while (content_lines_next(&lines, &line)) {
        struct fb_slice value = fb_slice_trim(fb_slice_buf(&line.value));
        if (strcmp(line.name, "BEGIN") == 0) { /* 2.1 has cards inside of cards (AGENT) */
            depth += depth < 100;
        } else if (strcmp(line.name, "END") == 0 && fb_slice_ieq_str(value, "VCARD")) {
            bool is_whole = depth == 1;
            depth -= depth > 0;
            if (is_whole && ++count <= CARDS_MAX) {
                put_card(c);
            }
        } else if (depth == 1) {
            take_line(c, &line);
        }
    }
    if (depth > 0 && (c->count > 0 || c->full_name != NULL) && count < CARDS_MAX) {
        put_card(c); /* the file ends in the middle of it */
        count++;
    }
    clear(c);
    free(c);
    content_line_deinit(&line);
    content_lines_deinit(&lines);
    if (count == 0) {
        section_unreadable_add(l, RENDER_SECTION_CONTACT,
                               section_say(l, "連絡先のファイル", "Contact file"), name);
    } else if (count > CARDS_MAX) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       SECTION_SAY(l, "ほか%d件の連絡先は添付ファイルにあります。",
                                   "%d more contacts are in the attachment."),
                       count - CARDS_MAX);
        struct render_section *s =
            section_add(l, RENDER_SECTION_CONTACT, section_say(l, "連絡先の続き", "More contacts"));
        section_text(s, fb_slice_str(text));
    }
}

enum fb_status section_contact_read(struct section_list *l, const struct render_extra *extra)
{
    struct fb_buf bytes;
    fb_buf_init(&bytes, RENDER_SECTION_FILE_MAX);
    enum fb_status s = section_bytes(l, extra, &bytes);
    if (s == FB_OK) {
        section_contact_bytes(l, fb_slice_buf(&bytes), extra->charset, extra->name);
    } else if (s == FB_TOO_BIG) {
        section_unreadable_add(l, RENDER_SECTION_CONTACT,
                               section_say(l, "連絡先のファイル", "Contact file"), extra->name);
        s = FB_OK;
    }
    fb_buf_deinit(&bytes);
    return s;
}
