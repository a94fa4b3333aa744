/* SPDX-License-Identifier: Apache-2.0
 *
 * File names of attachments: what a sender wrote becomes a name that can be shown and stored.
 */
#ifndef FB_RENDER_NAMES_H
#define FB_RENDER_NAMES_H

#include "common/buf.h"

/* Heap copy of a decoded name (caller frees): the part behind the last slash or backslash, without
 * control characters, bidi overrides and zero-width characters, blanks trimmed, at most
 * FB_MAX_FILE_NAME characters with the extension kept.  "" when nothing is left ("..", "/").  NULL
 * without memory. */
char *render_name_clean(const char *name);
/* "attachment-<number>.<extension by type>", heap. */
char *render_name_default(const char *type, unsigned number);
/* The usual type of a file with that name; "application/octet-stream" when unknown.  Static. */
const char *render_name_type(const char *name);

/* Makes count names different from each other without case: "a.pdf", "A (2).pdf".  Replaces heap
 * strings in place. */
void render_names_unique(char **names[], size_t count);

#endif
