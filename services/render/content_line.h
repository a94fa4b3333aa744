/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of a vCard: NAME;PARAM=value:value, folded, with the quoted-printable and charset parameters
 * of vCard 2.1.  Bounded, without recursion, and total: a line that is none is skipped. */
#ifndef FB_RENDER_CONTENT_LINE_H
#define FB_RENDER_CONTENT_LINE_H

#include <stdbool.h>

#include "common/buf.h"

#define CONTENT_VALUE_MAX (64U << 10) /* of one line; a longer one (a photograph) is skipped */

struct content_line {
    char name[48];         /* upper case, without a group ("item1.") */
    struct fb_slice types; /* parameters as they are, without name and value: ";TYPE=WORK;..." */
    struct fb_buf value;   /* UTF-8; still with its ";" and backslashes */
};

struct content_lines {
    struct fb_slice rest;
    const char *charset; /* of the file, for lines that name none; NULL: guessed */
    struct fb_buf joined;
};

void content_lines_init(struct content_lines *c, struct fb_slice bytes, const char *charset);
void content_lines_deinit(struct content_lines *c);
/* The next line; false at the end.  line: init'ed zero, reused, its value freed by content_line_deinit;
 * what it lends lasts until the next call. */
bool content_lines_next(struct content_lines *c, struct content_line *line);
void content_line_deinit(struct content_line *line);
/* Whether a parameter has the word, as TYPE=WORK, TYPE=work,voice or (2.1) a bare WORK. */
bool content_line_has_type(const struct content_line *line, const char *word);
/* Takes the next part of a value off *rest, ended by `stop` (";" or ","), without its backslashes;
 * false at the end. */
bool content_value_next(struct fb_slice *rest, char stop, struct fb_buf *part);

#endif
