/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own texts of the letters to a sender, where the policy has none. */
#ifndef FB_REWRITE_LETTER_TEMPLATES_H
#define FB_REWRITE_LETTER_TEMPLATES_H

/* Our own text for a template key ("receipt.ja.text"), and for the blocks that stand in several of
 * them ("page_block.ja.text"); NULL for an unknown key. */
const char *letter_template_standard(const char *key);

#endif
