/* SPDX-License-Identifier: Apache-2.0
 *
 * Attached messages: each is read as a mail of its own, by the same code and within the same limits;
 * what it unpacks goes nowhere.  What it brings itself (messages, calendars) follows one level below. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/section_steps.h"
#include "services/render/section_time.h"

static enum fb_status drop_begin(void *ctx, const char *name, struct fb_error *err)
{
    (void)ctx;
    (void)name;
    (void)err;
    return FB_OK;
}

static enum fb_status drop_add(void *ctx, const void *bytes, size_t len, struct fb_error *err)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    (void)err;
    return FB_OK;
}

static enum fb_status drop_commit(void *ctx, struct fb_error *err)
{
    (void)ctx;
    (void)err;
    return FB_OK;
}

static void drop_abandon(void *ctx)
{
    (void)ctx;
}

static void put_files(const struct section_list *l, const struct render_letter *inner,
                      struct render_section *s)
{
    for (size_t i = 0; i < inner->attachment_count; i++) {
        const struct render_attachment_line *a = &inner->attachments[i];
        struct fb_buf row;
        fb_buf_init(&row, 4096);
        section_clean(fb_slice_str(a->name), 1024, &row);
        if (a->size < 1024) {
            section_put(&row, "  (%" PRIu64 " B)", a->size);
        } else if (a->size < 1024 * 1024) {
            section_put(&row, "  (%.1f KB)", (double)a->size / 1024);
        } else {
            section_put(&row, "  (%.1f MB)", (double)a->size / (1024 * 1024));
        }
        section_row(s, i == 0 ? section_say(l, "添付ファイル", "Attachments") : "",
                    fb_slice_buf(&row));
        fb_buf_deinit(&row);
    }
}

static bool has_body(const struct render_letter *l)
{
    return fb_slice_trim(fb_slice_buf(&l->body)).len > 0;
}

/* By its sender's clock, in the reader's language. */
static void put_date(const struct section_list *l, const struct render_mail *inner,
                     struct render_section *s)
{
    if (!inner->has_zone) {
        section_row_str(s, section_say(l, "日時", "Date"), inner->letter.date);
        return;
    }
    struct section_list clock = *l;
    clock.has_zone = false;
    struct section_time t = {.has_offset = true, .offset_s = inner->zone_minutes * 60};
    struct fb_buf words;
    fb_buf_init(&words, 256);
    t.t = icaltime_from_timet_with_zone((time_t)(inner->date_ms / 1000 + t.offset_s), 0, NULL);
    section_time_range(&clock, &t, NULL, &words);
    section_row(s, section_say(l, "日時", "Date"), fb_slice_buf(&words));
    fb_buf_deinit(&words);
}

/* The section of a message that was read; its letter goes into it. */
static struct render_section *put_message(struct section_list *l, struct render_mail *inner)
{
    struct render_letter *letter = &inner->letter;
    struct render_section *s = section_add_of(
        l, RENDER_SECTION_MESSAGE, section_say(l, "添付されたメール", "Attached message"),
        fb_slice_str(letter->subject != NULL && letter->subject[0] != '\0'
                         ? letter->subject
                         : section_say(l, "(件名なし)", "(no subject)")));
    if (s == NULL) {
        return NULL;
    }
    section_row_str(s, section_say(l, "差出人", "From"), letter->from);
    section_row_str(s, section_say(l, "宛先", "To"), letter->to);
    section_row_str(s, section_say(l, "CC", "Cc"), letter->cc);
    put_date(l, inner, s);
    put_files(l, letter, s);
    if (has_body(letter)) {
        s->message = fb_xcalloc(1, sizeof *s->message);
        *s->message = *letter;
        *letter = (struct render_letter){0};
        s->message->is_japanese = l->is_japanese;
        s->message->is_tagged = l->letter->is_tagged;
    }
    return s;
}

static enum fb_status read_inner(struct section_list *l, const struct render_source *source,
                                 struct render_mail *inner)
{
    struct section_list own = *l;
    own.mail = inner;
    own.source = source;
    own.level = l->level + 1;
    own.has_zone = inner->has_zone;
    own.zone_minutes = inner->zone_minutes;
    if (put_message(l, inner) == NULL || l->level >= RENDER_SECTION_DEPTH) {
        return FB_OK;
    }
    enum fb_status s = section_read_all(&own);
    l->left_out = own.left_out;
    l->message_bytes = own.message_bytes;
    l->image_bytes = own.image_bytes;
    l->seen_count = own.seen_count;
    memcpy(l->seen, own.seen, sizeof l->seen);
    return s;
}

enum fb_status section_message_read(struct section_list *l, const struct render_extra *extra)
{
    static const struct render_sink nowhere = {
        .begin = drop_begin, .add = drop_add, .commit = drop_commit, .abandon = drop_abandon};
    const char *what = section_say(l, "添付されたメール", "Attached message");
    struct fb_buf bytes;
    struct fb_error why = {0};
    struct fb_envelope envelope = {0};
    struct render_mail *inner = fb_xcalloc(1, sizeof *inner);
    fb_buf_init(&bytes, RENDER_SECTION_MESSAGE_MAX - l->message_bytes);
    enum fb_status s = section_bytes(l, extra, &bytes);
    if (s == FB_OK) {
        l->message_bytes += bytes.len;
        struct fb_slice slice = fb_slice_buf(&bytes);
        struct render_source source = mime_source_memory(&slice);
        s = render_mime_parse(&source, &nowhere, &envelope, inner, &why);
        if (s == FB_OK) {
            s = read_inner(l, &source, inner);
            render_mail_deinit(inner);
        }
    }
    if (s == FB_TOO_BIG || s == FB_INVALID) {
        section_unreadable_add(l, RENDER_SECTION_MESSAGE, what, extra->name);
        s = FB_OK;
    } else if (s != FB_OK && why.text[0] != '\0') {
        s = fb_error_set(l->err, s, "%s", why.text);
    }
    free(inner);
    fb_buf_deinit(&bytes);
    return s;
}
