/* SPDX-License-Identifier: Apache-2.0
 *
 * Characters that no font of ours has: painters show a box for them, the reader does not know what
 * stood there.  They are counted and told with the names of their blocks, never with the text. */
#ifndef FB_RENDER_GLYPHS_H
#define FB_RENDER_GLYPHS_H

#include <fontconfig/fontconfig.h>
#include <gumbo.h>

#include "services/render/letter.h"

#define RENDER_GLYPH_BLOCKS 4 /* told of one mail: the first ones met */

struct render_glyphs {
    uint64_t missing; /* characters, each time they stand in the text */
    uint32_t blocks[RENDER_GLYPH_BLOCKS];
    uint32_t block_count;
};

/* Remembers what the fonts of a configuration have; before the fork.  Until then nothing is
 * missing. */
void render_glyphs_learn(FcConfig *config);
/* Whether a character is one that painters show a box for. */
bool render_glyphs_is_missing(uint32_t c);
/* Adds what is missing of UTF-8 text to g.  What has no shape (controls, blanks, joiners, variation
 * selectors) never is; private characters always are, since fonts that have them mean others. */
void render_glyphs_look(struct render_glyphs *g, struct fb_slice text);
/* The same for the header block, the text (where it is no HTML) and the sections of a letter. */
void render_glyphs_look_letter(struct render_glyphs *g, const struct render_letter *l);
/* The same for the text below a node of a prepared document; style sheets left out. */
void render_glyphs_look_tree(struct render_glyphs *g, const GumboNode *node);
/* The name of a block, as Unicode has it; NULL past the last one. */
const char *render_glyphs_block(uint32_t index);

#endif
