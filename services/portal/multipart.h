/* SPDX-License-Identifier: Apache-2.0
 *
 * A form with files as browsers send it (multipart/form-data, RFC 7578; WHATWG HTML 4.10.21.8), from the whole body,
 * without a copy: what is given out points into the body.
 *
 * (libmicrohttpd's post processor would do, but it hands out copies piece by piece, and can be fed by nothing but a
 * live connection: neither a test nor a fuzzer could reach it, and it has a history of memory errors.)
 *
 * Everything is bounded and nothing is repaired: a body that breaks the format is refused as a whole. */
#ifndef FB_PORTAL_MULTIPART_H
#define FB_PORTAL_MULTIPART_H

#include "common/buf.h"

#define MULTIPART_MAX_PARTS 64
#define MULTIPART_MAX_HEAD  4096 /* bytes of one part's header */
#define MULTIPART_MAX_NAME  255  /* of a file, UTF-8 bytes; a longer one is cut in its middle */
#define MULTIPART_MAX_TYPE  100

struct multipart_part {
    struct fb_slice name;    /* of the field, as it was sent */
    struct fb_slice content; /* lent by the body */
    bool is_file;            /* had a file name, though perhaps an empty one: no file was chosen */
    /* Tidied: the last component, valid UTF-8, no control character, nothing that turns the order of others, no blank
     * or dot at its end; "" when there is none. */
    char file_name[MULTIPART_MAX_NAME + 1];
    char type[MULTIPART_MAX_TYPE +
              1]; /* "type/subtype", letters, digits and !#$&^_.+- only; "" = not said */
};

struct multipart {
    struct multipart_part parts[MULTIPART_MAX_PARTS];
    size_t count;
};

/* content_type: the request's header.  FB_INVALID: not such a form; FB_TOO_BIG: more parts than may be. */
FB_MUST_USE enum fb_status multipart_parse(const char *content_type, struct fb_slice body,
                                           struct multipart *form_r);
/* Whether the header says multipart/form-data. */
bool multipart_is(const char *content_type);
/* The only part of that name, or NULL: not there, or there more than once. */
const struct multipart_part *multipart_find(const struct multipart *form, const char *name);

#endif
