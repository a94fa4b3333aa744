/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what follows the body of a letter: the first byte says as which kind (calendar, contact,
 * delivery report, reading report, signatures, EXIF) and in which language.  What comes out is bounded and
 * valid UTF-8, whatever goes in.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "services/render/charset.h"
#include "services/render/section_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(struct section_list *l, unsigned kind, struct fb_slice bytes)
{
    static const char *const types[] = {"application/pgp-signature", "application/pkcs7-signature",
                                        "application/pkcs7-mime"};
    struct fb_buf text;
    fb_buf_init(&text, 1U << 20);
    bool is_text = kind == 0 || kind == 2 || kind == 3;
    if (is_text && render_charset_to_utf8(bytes, "utf-8", &text) != FB_OK) {
        text.len = 0;
    }
    if (kind == 0) {
        section_calendar_text(l, fb_slice_buf(&text), "a.ics");
    } else if (kind == 1) {
        section_contact_bytes(l, bytes, NULL, "a.vcf");
    } else if (is_text) {
        section_report_text(l, fb_slice_buf(&text), kind == 3, "report");
    } else if (kind < 7) {
        section_signature_bytes(l, bytes, types[kind - 4], "signature");
    } else {
        int turn = section_image_turn(bytes);
        FB_ASSERT(turn >= 1 && turn <= 8);
    }
    fb_buf_deinit(&text);
}

static void look(const struct render_letter *l)
{
    FB_ASSERT(l->section_count <= RENDER_SECTIONS_MAX);
    for (size_t i = 0; i < l->section_count; i++) {
        const struct render_section *s = &l->sections[i];
        FB_ASSERT(s->title != NULL && render_utf8_is_valid(fb_slice_str(s->title)));
        FB_ASSERT(s->row_count <= RENDER_SECTION_ROWS_MAX);
        FB_ASSERT(render_utf8_is_valid(fb_slice_buf(&s->text)));
        for (size_t k = 0; k < s->row_count; k++) {
            FB_ASSERT(render_utf8_is_valid(fb_slice_str(s->rows[k].value)));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    render_mime_init();
    struct render_mail mail = {0};
    struct fb_error err = {0};
    struct section_list l = {.letter = &mail.letter,
                             .mail = &mail,
                             .err = &err,
                             .is_japanese = (data[0] & 8) != 0,
                             .has_zone = (data[0] & 16) != 0,
                             .zone_minutes = 540,
                             .level = 1};
    read_as(&l, data[0] & 7U, fb_slice_of(data + 1, size - 1));
    look(&mail.letter);
    for (size_t i = 0; i < l.seen_count; i++) {
        free(l.seen[i]);
    }
    render_sections_free(&mail.letter);
    return 0;
}
