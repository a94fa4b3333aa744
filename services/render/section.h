/* SPDX-License-Identifier: Apache-2.0
 *
 * The rest of the mail: what is attached to a letter and can be read like it (calendar entries,
 * contacts, attached messages, delivery reports), what its signature or encryption says, and attached
 * images where the rule wants them.  The sections follow the body in the PDF; the files stay
 * attachments as they are.  Runs inside of the sandboxed child, for mails whose body is painted.
 *
 *   section.c            which parts become sections, and the limits on all of them
 *   section_calendar.c   text/calendar (RFC 5545, 5546, 6047), read by libical
 *   section_time.c       times, with their zone and by the sender's clock
 *   section_recur.c      what comes again and again, in words
 *   section_contact.c    vCards (2.1, RFC 2426, RFC 6350), lines by content_line.c
 *   section_report.c     delivery and disposition reports (RFC 3464, RFC 8098)
 *   section_message.c    attached messages
 *   section_signature.c  signed and encrypted mail: said, never verified
 *   section_image.c      attached images
 *
 * Painted by page_section.c and html_prepare_section.c.
 */
#ifndef FB_RENDER_SECTION_H
#define FB_RENDER_SECTION_H

#include "services/render/mime.h"

/* A sender decides how much of this a mail has; a reader turns few of these pages. */
#define RENDER_SECTIONS_MAX        60          /* of one mail, all kinds together */
#define RENDER_SECTION_ROWS_MAX    160         /* of one section */
#define RENDER_SECTION_VALUE_MAX   4096        /* bytes of one row's value */
#define RENDER_SECTION_TEXT_MAX    (64U << 10) /* a description; longer ones are cut */
#define RENDER_SECTION_FILE_MAX    (2U << 20)  /* a calendar, contact or report file */
#define RENDER_SECTION_PEOPLE_MAX  100         /* attendees shown; the others are counted */
#define RENDER_SECTION_MESSAGE_MAX (20U << 20) /* all attached messages, as they came */
#define RENDER_SECTION_DEPTH       3           /* a message in a message in a message */

/* A part that may become a section; made while the mail is read, since its leaves do not live on. */
struct render_extra {
    char *name;    /* as the attachment list shows it */
    char *charset; /* NULL: not given */
    char type[128];
    enum fb_encoding encoding;
    uint64_t offset, length, size; /* size: decoded */
    bool is_spooled;               /* a range of the message itself, else of what was unpacked */
};

struct render_section_options {
    bool has_images; /* attached images, too */
};

/* Fills m->letter.sections.  source: the message again.  What cannot be read says so in its section
 * and fails nothing: FB_NO_SPACE, and what source returns. */
FB_MUST_USE enum fb_status render_sections_read(struct render_mail *m,
                                                const struct render_source *source,
                                                const struct render_section_options *options,
                                                struct fb_error *err);
/* Frees the sections of a letter. */
void render_sections_free(struct render_letter *l);

/* The library of calendars is told to be quiet, and to read no file.  Idempotent; before the sandbox
 * closes. */
void render_sections_init(void);

#endif
