/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of section*.c share. */
#ifndef FB_RENDER_SECTION_STEPS_H
#define FB_RENDER_SECTION_STEPS_H

#include "services/render/mime_walk.h"
#include "services/render/section.h"

/* What one reading carries along. */
struct section_list {
    struct render_letter *letter; /* gets the sections */
    const struct render_mail *mail;
    const struct render_source *source;
    const struct render_section_options *options;
    struct fb_error *err;
    bool is_japanese;
    bool has_zone; /* the sender's clock, in minutes east of UTC */
    int zone_minutes;
    int level;              /* of the message at hand: 1 for the mail itself */
    size_t left_out;        /* sections past the maximum */
    uint64_t message_bytes; /* attached messages read so far */
    uint64_t image_bytes;
    char *seen
        [RENDER_SECTIONS_MAX]; /* calendar entries that are shown: a mailer attaches them twice */
    size_t seen_count;
};

/* ---- section.c ---- */

/* The next section; NULL when the mail has its fill of them. */
struct render_section *section_add(struct section_list *l, enum render_section_kind kind,
                                   const char *title);
/* "heading: what" as a section's title; what is cleaned, and may be empty. */
struct render_section *section_add_of(struct section_list *l, enum render_section_kind kind,
                                      const char *heading, struct fb_slice what);
/* A row; nothing for an empty value.  Text of the mail: UTF-8, cleaned here. */
void section_row(struct render_section *s, const char *label, struct fb_slice value);
void section_row_str(struct render_section *s, const char *label, const char *value);
/* Adds text below the rows, cut at its maximum. */
void section_text(struct render_section *s, struct fb_slice text);
/* ja or en. */
const char *section_say(const struct section_list *l, const char *ja, const char *en);
/* The same for formats, which the compiler wants to see. */
#define SECTION_SAY(l, ja, en) ((l)->is_japanese ? (ja) : (en))
/* The decoded bytes of a part; FB_TOO_BIG beyond out's maximum. */
FB_MUST_USE enum fb_status section_bytes(const struct section_list *l,
                                         const struct render_extra *extra, struct fb_buf *out);
/* As text in UTF-8 with LF; its charset as given, else guessed. */
FB_MUST_USE enum fb_status section_decode(const struct section_list *l,
                                          const struct render_extra *extra, struct fb_buf *out);
/* Adds text without control characters (LF and HT stay) and without what turns the direction of
 * writing, which would make a name look like another. */
void section_clean(struct fb_slice text, size_t max, struct fb_buf *out);
bool section_has_suffix(const char *name, const char *suffix);

/* ---- one kind each: what cannot be read ends as a section that says so; only what source returns
 * and FB_NO_SPACE come back ---- */

FB_MUST_USE enum fb_status section_calendar_read(struct section_list *l,
                                                 const struct render_extra *extra);
FB_MUST_USE enum fb_status section_contact_read(struct section_list *l,
                                                const struct render_extra *extra);
FB_MUST_USE enum fb_status section_report_read(struct section_list *l,
                                               const struct render_extra *extra);
FB_MUST_USE enum fb_status section_message_read(struct section_list *l,
                                                const struct render_extra *extra);
FB_MUST_USE enum fb_status section_signature_read(struct section_list *l,
                                                  const struct render_extra *extra);
FB_MUST_USE enum fb_status section_image_read(struct section_list *l,
                                              const struct render_extra *extra);
/* Says that the mail is encrypted, and how it is read. */
void section_encrypted_add(struct section_list *l);
/* "<what> cannot be read; it is attached as <name>". */
void section_unreadable_add(struct section_list *l, enum render_section_kind kind, const char *what,
                            const char *name);

/* The same from bytes in memory, for tests: text is UTF-8 with LF. */
void section_calendar_text(struct section_list *l, struct fb_slice text, const char *name);
void section_contact_bytes(struct section_list *l, struct fb_slice bytes, const char *charset,
                           const char *name);
void section_report_text(struct section_list *l, struct fb_slice text, bool is_disposition,
                         const char *name);

void section_signature_bytes(struct section_list *l, struct fb_slice bytes, const char *type,
                             const char *name);
/* EXIF's orientation of a JPEG, 1 to 8; 1 where none is said. */
int section_image_turn(struct fb_slice jpeg);

/* All sections of m's extras into l->letter, at l->level. */
FB_MUST_USE enum fb_status section_read_all(struct section_list *l);

/* mime.c: remembers which parts sections may be made of; once the parts have their names.  Takes
 * what opaque signed mail was unpacked to. */
void section_extras_collect(struct mime_walk *w);
void section_extras_free(struct render_mail *m);

#endif
