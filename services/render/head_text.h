/* SPDX-License-Identifier: Apache-2.0
 *
 * What the header block says, for both that paint it: page_head.c (Pango and Cairo) and
 * html_prepare_head.c (Chromium). */
#ifndef FB_RENDER_HEAD_TEXT_H
#define FB_RENDER_HEAD_TEXT_H

#include "services/render/letter.h"

/* Of a field with more mailboxes these are shown, the others counted: who got the mail stands in its
 * own header, and a letter does not begin with six pages of addresses. */
#define RENDER_HEAD_PEOPLE 20

enum render_head_row {
    RENDER_HEAD_FROM,
    RENDER_HEAD_TO,
    RENDER_HEAD_CC,
    RENDER_HEAD_DATE,
    RENDER_HEAD_ATTACHMENTS,
};

const char *render_head_label(bool is_japanese, enum render_head_row row);
/* The subject, or what stands for none; lent. */
struct fb_slice render_head_subject(const struct render_letter *l);
/* The size of its letters in points: long ones are smaller. */
double render_head_subject_pt(struct fb_slice subject);
/* The next mailbox of an address field (one a line), taken off *rest: name and " <address>"; one without a
 * name is all name.  False at the end. */
bool render_head_person(struct fb_slice *rest, struct fb_slice *name_r, struct fb_slice *address_r);
/* How many mailboxes there are. */
size_t render_head_count(const char *people);
/* "and 980 more", not to be broken. */
void render_head_more(bool is_japanese, size_t count, char out[48]);
/* "1.2 MB", not to be broken. */
void render_head_size(uint64_t bytes, char out[32]);

#endif
