/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/section.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/render/charset.h"
#include "services/render/section_steps.h"
#include "services/render/words.h"

const char *section_say(const struct section_list *l, const char *ja, const char *en)
{
    return l->is_japanese ? ja : en;
}

bool section_has_suffix(const char *name, const char *suffix)
{
    size_t n = name != NULL ? strlen(name) : 0;
    size_t k = strlen(suffix);
    return n > k && strcasecmp(name + n - k, suffix) == 0;
}

/* ---- text ---- */

static bool is_shown(uint32_t cp)
{
    bool is_control = cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
    bool is_turn = cp == 0x200E || cp == 0x200F || (cp >= 0x202A && cp <= 0x202E) ||
                   (cp >= 0x2066 && cp <= 0x2069);
    return cp == '\n' || cp == '\t' || !(is_control || is_turn || cp == 0xFEFF);
}

void section_clean(struct fb_slice text, size_t max, struct fb_buf *out)
{
    bool was_cr = false;
    while (text.len > 0 && out->len + 8 < max) {
        uint32_t cp = 0;
        size_t n = render_utf8_next(text, &cp);
        bool is_broken = n == 0;
        n = is_broken ? 1 : n;
        enum fb_status s = FB_OK;
        if (is_broken) {
            s = fb_buf_add_str(out, "\xEF\xBF\xBD");
        } else if (cp == '\r' || (cp == '\n' && was_cr)) {
            s = cp == '\r' ? fb_buf_add_char(out, '\n') : FB_OK;
        } else if (is_shown(cp)) {
            s = fb_buf_add(out, text.ptr, n);
        }
        was_cr = cp == '\r';
        text = fb_slice_sub(text, n, SIZE_MAX);
        if (s != FB_OK) {
            return; /* full: what is there is shown */
        }
    }
    if (text.len > 0 && fb_buf_add_str(out, "…") != FB_OK) {
        return;
    }
}

/* ---- sections ---- */

struct render_section *section_add(struct section_list *l, enum render_section_kind kind,
                                   const char *title)
{
    struct render_letter *letter = l->letter;
    if (letter->sections == NULL) {
        letter->sections = fb_xcalloc(RENDER_SECTIONS_MAX + 1, sizeof *letter->sections);
    }
    if (letter->section_count >= RENDER_SECTIONS_MAX) {
        l->left_out++;
        return NULL;
    }
    struct render_section *s = &letter->sections[letter->section_count++];
    *s = (struct render_section){
        .kind = kind, .level = l->level, .title = fb_xstrdup(title), .image_turn = 1};
    fb_buf_init(&s->text, RENDER_SECTION_TEXT_MAX + 256);
    fb_buf_init(&s->image.bytes, RENDER_IMAGE_MAX);
    return s;
}

struct render_section *section_add_of(struct section_list *l, enum render_section_kind kind,
                                      const char *heading, struct fb_slice what)
{
    struct fb_buf title;
    fb_buf_init(&title, 1024);
    struct fb_buf name;
    fb_buf_init(&name, 512);
    section_clean(fb_slice_trim(what), 500, &name);
    for (size_t i = 0; i < name.len; i++) {
        name.ptr[i] = name.ptr[i] < 0x20 ? ' ' : name.ptr[i];
    }
    const char *colon = section_say(l, "：", ": ");
    enum fb_status s =
        fb_buf_printf(&title, "%s%s%s", heading, name.len > 0 ? colon : "", fb_buf_str(&name));
    struct render_section *section =
        section_add(l, kind, s == FB_OK ? fb_buf_str(&title) : heading);
    fb_buf_deinit(&name);
    fb_buf_deinit(&title);
    return section;
}

void section_row(struct render_section *s, const char *label, struct fb_slice value)
{
    value = fb_slice_trim(value);
    if (s == NULL || value.len == 0 || s->row_count >= RENDER_SECTION_ROWS_MAX) {
        return;
    }
    if (s->rows == NULL) {
        s->rows = fb_xcalloc(RENDER_SECTION_ROWS_MAX, sizeof *s->rows);
    }
    struct fb_buf clean;
    fb_buf_init(&clean, RENDER_SECTION_VALUE_MAX + 64);
    section_clean(value, RENDER_SECTION_VALUE_MAX, &clean);
    s->rows[s->row_count++] = (struct render_section_row){.label = fb_xstrdup(label),
                                                          .value = fb_xstrdup(fb_buf_str(&clean))};
    fb_buf_deinit(&clean);
}

void section_row_str(struct render_section *s, const char *label, const char *value)
{
    section_row(s, label, fb_slice_str(value));
}

void section_text(struct render_section *s, struct fb_slice text)
{
    text = fb_slice_trim(text);
    if (s != NULL && text.len > 0) {
        section_clean(text, RENDER_SECTION_TEXT_MAX, &s->text);
    }
}

void section_unreadable_add(struct section_list *l, enum render_section_kind kind, const char *what,
                            const char *name)
{
    struct render_section *s = section_add(l, kind, what);
    section_row_str(s, section_say(l, "ファイル", "File"), name);
    if (s != NULL) {
        section_text(s,
                     fb_slice_str(section_say(
                         l,
                         "この部分は読み取れなかったため、内容を表示できません。添付ファイルとして"
                         "そのまま保存されていますので、対応するソフトで開いてください。",
                         "This part could not be read, so that its content is not shown here. It "
                         "is among the attachments as it came: open it with a program that knows "
                         "its kind.")));
    }
}

void render_sections_free(struct render_letter *l)
{
    for (size_t i = 0; i < l->section_count; i++) {
        struct render_section *s = &l->sections[i];
        free(s->title);
        for (size_t k = 0; k < s->row_count; k++) {
            free(s->rows[k].label);
            free(s->rows[k].value);
        }
        free(s->rows);
        fb_buf_deinit(&s->text);
        if (s->message != NULL) {
            render_letter_deinit(s->message);
            free(s->message);
        }
        free(s->image.type);
        fb_buf_deinit(&s->image.bytes);
    }
    free(l->sections);
    l->sections = NULL;
    l->section_count = 0;
}

/* ---- parts ---- */

enum fb_status section_bytes(const struct section_list *l, const struct render_extra *extra,
                             struct fb_buf *out)
{
    struct fb_slice unpacked = fb_slice_buf(&l->mail->unpacked);
    struct render_source memory = mime_source_memory(&unpacked);
    struct mime_leaf leaf = {.source = extra->is_spooled ? l->source : &memory,
                             .encoding = extra->encoding,
                             .offset = extra->offset,
                             .length = extra->length};
    return extra->size > out->max ? FB_TOO_BIG : mime_leaf_decode(&leaf, out, l->err);
}

enum fb_status section_decode(const struct section_list *l, const struct render_extra *extra,
                              struct fb_buf *out)
{
    struct fb_buf raw;
    fb_buf_init(&raw, RENDER_SECTION_FILE_MAX);
    enum fb_status s = section_bytes(l, extra, &raw);
    s = s == FB_OK ? render_charset_to_utf8(fb_slice_buf(&raw), extra->charset, out) : s;
    size_t n = 0;
    for (size_t i = 0; s == FB_OK && i < out->len; i++) {
        bool is_crlf = out->ptr[i] == '\r' && i + 1 < out->len && out->ptr[i + 1] == '\n';
        if (!is_crlf) {
            out->ptr[n++] = out->ptr[i] == '\r' ? '\n' : out->ptr[i];
        }
    }
    if (s == FB_OK && out->ptr != NULL) {
        out->len = n;
        out->ptr[n] = '\0';
    }
    fb_buf_deinit(&raw);
    return s;
}

enum extra_kind {
    EXTRA_NONE,
    EXTRA_CALENDAR,
    EXTRA_CONTACT,
    EXTRA_MESSAGE,
    EXTRA_REPORT,
    EXTRA_SIGNATURE,
    EXTRA_IMAGE
};

static enum extra_kind kind_of(const char *type, const char *name)
{
    static const struct {
        const char *type;
        enum extra_kind kind;
    } types[] = {{"text/calendar", EXTRA_CALENDAR},
                 {"application/ics", EXTRA_CALENDAR},
                 {"text/vcard", EXTRA_CONTACT},
                 {"text/x-vcard", EXTRA_CONTACT},
                 {"text/directory", EXTRA_CONTACT},
                 {"message/rfc822", EXTRA_MESSAGE},
                 {"message/global", EXTRA_MESSAGE},
                 {"text/rfc822-headers", EXTRA_MESSAGE},
                 {"message/global-headers", EXTRA_MESSAGE},
                 {"message/delivery-status", EXTRA_REPORT},
                 {"message/global-delivery-status", EXTRA_REPORT},
                 {"message/disposition-notification", EXTRA_REPORT},
                 {"message/global-disposition-notification", EXTRA_REPORT},
                 {"application/pgp-signature", EXTRA_SIGNATURE},
                 {"application/pkcs7-signature", EXTRA_SIGNATURE},
                 {"application/x-pkcs7-signature", EXTRA_SIGNATURE},
                 {"application/pkcs7-mime", EXTRA_SIGNATURE},
                 {"application/x-pkcs7-mime", EXTRA_SIGNATURE}};
    static const struct {
        const char *suffix;
        enum extra_kind kind;
    } names[] = {{".ics", EXTRA_CALENDAR}, {".vcf", EXTRA_CONTACT}, {".eml", EXTRA_MESSAGE},
                 {".png", EXTRA_IMAGE},    {".jpg", EXTRA_IMAGE},   {".jpeg", EXTRA_IMAGE},
                 {".gif", EXTRA_IMAGE},    {".webp", EXTRA_IMAGE}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i].type) == 0) {
            return types[i].kind;
        }
    }
    if (strncmp(type, "image/", 6) == 0) {
        return EXTRA_IMAGE;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type, "application/octet-stream") == 0 &&
            section_has_suffix(name, names[i].suffix)) {
            return names[i].kind;
        }
    }
    return EXTRA_NONE;
}

void section_extras_collect(struct mime_walk *w)
{
    struct render_mail *m = w->mail;
    m->extras = fb_xcalloc(m->part_count + 1U, sizeof *m->extras);
    for (uint32_t i = 0; i < m->part_count; i++) {
        const struct mime_leaf *leaf = &w->leaves[i];
        if (leaf->source == NULL || m->parts[i].is_inline ||
            kind_of(leaf->type, m->parts[i].name) == EXTRA_NONE) {
            continue; /* of winmail.dat: nothing of it is here any more */
        }
        struct render_extra *e = &m->extras[m->extra_count++];
        *e = (struct render_extra){.name = fb_xstrdup(m->parts[i].name),
                                   .charset =
                                       leaf->charset != NULL ? fb_xstrdup(leaf->charset) : NULL,
                                   .encoding = leaf->encoding,
                                   .offset = leaf->offset,
                                   .length = leaf->length,
                                   .size = m->parts[i].size,
                                   .is_spooled = leaf->source != &w->unpacked_source};
        (void)snprintf(e->type, sizeof e->type, "%s", leaf->type);
    }
    m->unpacked = w->unpacked;
    fb_buf_init(&w->unpacked, 0);
}

void section_extras_free(struct render_mail *m)
{
    for (size_t i = 0; i < m->extra_count; i++) {
        free(m->extras[i].name);
        free(m->extras[i].charset);
    }
    free(m->extras);
    m->extras = NULL;
    m->extra_count = 0;
    fb_buf_deinit(&m->unpacked);
}

/* ---- all of them ---- */

static enum fb_status read_one(struct section_list *l, const struct render_extra *e,
                               enum extra_kind kind)
{
    switch (kind) {
    case EXTRA_CALENDAR:
        return section_calendar_read(l, e);
    case EXTRA_CONTACT:
        return section_contact_read(l, e);
    case EXTRA_REPORT:
        return section_report_read(l, e);
    case EXTRA_MESSAGE:
        return section_message_read(l, e);
    case EXTRA_SIGNATURE:
        return section_signature_read(l, e);
    case EXTRA_IMAGE:
        return section_image_read(l, e);
    default:
        return FB_OK;
    }
}

/* What the mail is comes first, then its parts as they stand in it, pictures at the end. */
enum fb_status section_read_all(struct section_list *l)
{
    const struct render_mail *m = l->mail;
    enum fb_status s = FB_OK;
    if (m->is_encrypted) {
        section_encrypted_add(l);
    }
    for (int pass = 0; pass < 3 && s == FB_OK; pass++) {
        for (size_t i = 0; i < m->extra_count && s == FB_OK; i++) {
            enum extra_kind kind = kind_of(m->extras[i].type, m->extras[i].name);
            int when = kind == EXTRA_SIGNATURE ? 0 : kind == EXTRA_IMAGE ? 2 : 1;
            if (when == pass && !(kind == EXTRA_SIGNATURE && m->is_encrypted)) {
                s = read_one(l, &m->extras[i], kind);
            }
        }
    }
    return s;
}

static void say_left_out(struct section_list *l)
{
    struct render_letter *letter = l->letter;
    char text[160];
    if (l->left_out == 0) {
        return;
    }
    (void)snprintf(text, sizeof text,
                   SECTION_SAY(l, "ほか%zu件は表示していません。添付ファイルをご覧ください。",
                               "%zu more are not shown here: see the attachments."),
                   l->left_out);
    struct render_section *s =
        &letter->sections[letter->section_count++]; /* there is room for it */
    *s = (struct render_section){.kind = RENDER_SECTION_NOTE,
                                 .level = 1,
                                 .title = fb_xstrdup(section_say(l, "続き", "More"))};
    fb_buf_init(&s->text, 512);
    section_text(s, fb_slice_str(text));
}

enum fb_status render_sections_read(struct render_mail *m, const struct render_source *source,
                                    const struct render_section_options *options,
                                    struct fb_error *err)
{
    struct section_list l = {.letter = &m->letter,
                             .mail = m,
                             .source = source,
                             .options = options,
                             .err = err,
                             .is_japanese = m->letter.is_japanese,
                             .has_zone = m->has_zone,
                             .zone_minutes = m->zone_minutes,
                             .level = 1};
    render_sections_free(&m->letter);
    enum fb_status s = section_read_all(&l);
    if (s == FB_OK) {
        say_left_out(&l);
    }
    for (size_t i = 0; i < l.seen_count; i++) {
        free(l.seen[i]);
    }
    return s;
}
