/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own texts, where the policy has none.  Their HTML stands within a frame that a mail has once:
 * the letterhead (logo and organisation) on top of a card. */
#ifndef FB_REWRITE_NOTICE_TEMPLATES_H
#define FB_REWRITE_NOTICE_TEMPLATES_H

/* Our own text for a template key ("notice.ja.text"); NULL for an unknown key. */
const char *notice_template_standard(const char *key);

/* On top of a mail in both languages. */
extern const char notice_english_below_text[], notice_english_below_html[];
extern const char notice_frame_open[], notice_frame_divider[], notice_frame_close[];

#endif
