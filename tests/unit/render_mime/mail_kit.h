/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of render's MIME half: a message in memory, a sink in memory, and an independent
 * look at the result.
 */
#ifndef FB_TESTS_UNIT_RENDER_MIME_MAIL_KIT_H
#define FB_TESTS_UNIT_RENDER_MIME_MAIL_KIT_H

#include "services/render/mime.h"

struct kit_object {
    char name[40];
    struct fb_buf bytes;
    bool is_committed;
};

struct kit {
    struct fb_slice message;
    size_t read_max; /* bytes a read gives at most; 0 = as asked */
    struct kit_object *objects;
    size_t object_count;
    struct render_source source;
    struct render_sink sink;
    struct fb_envelope envelope;
    struct render_mail mail;
    struct fb_error err;
    enum fb_status status;
};

/* Parses message (kept by reference until kit_end). */
void kit_parse(struct kit *k, struct fb_slice message);
void kit_parse_as(struct kit *k, struct fb_slice message, const char *reverse_path,
                  size_t read_max);
void kit_end(struct kit *k);
const struct kit_object *kit_find(const struct kit *k, const char *name);
/* LF, CR LF or a mix to CRLF; heap in out. */
void kit_crlf(struct fb_slice in, struct fb_buf *out);
/* NULL when size, SHA-1, range, name and facts of every part are what they should be, else what is
 * wrong. */
const char *kit_check(const struct kit *k);

#endif
