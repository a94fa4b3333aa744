/* SPDX-License-Identifier: Apache-2.0
 *
 * A MIME field's value and parameters (RFC 2045 5.1, RFC 2183), with RFC 2231 and with what mailers
 * write in its place: encoded-words in quotes, raw 8-bit and ISO-2022-JP bytes, unquoted blanks.
 */
#ifndef FB_RENDER_PARAMS_H
#define FB_RENDER_PARAMS_H

#include <stdbool.h>

#include "common/buf.h"

#define RENDER_PARAMS_MAX                                                                          \
    128 /* more are not read: no mailer comes near, and lists cost square time */

struct render_param {
    struct fb_slice name;  /* without the "*0*" */
    struct fb_slice bytes; /* unquoted */
    int section;           /* -1: not continued */
    bool is_extended;      /* charset'language'%41... */
};

struct render_params {
    char value[128]; /* "text/plain", lower case, without blanks and comments; cut when longer */
    struct render_param items[RENDER_PARAMS_MAX];
    size_t count;
    struct fb_buf text; /* owns what the slices lend */
};

/* Reads a raw field value.  Total: broken input gives fewer parameters.  FB_NO_SPACE without
 * memory. */
FB_MUST_USE enum fb_status render_params_parse(struct fb_slice raw, struct render_params *p);
void render_params_deinit(struct render_params *p);
/* The parameter's decoded value (UTF-8, one line) as a heap string of at most max bytes; NULL when absent. */
char *render_params_dup(const struct render_params *p, const char *name, size_t max);
/* Undecoded bytes of a parameter that is not continued (boundary, charset); empty when absent. */
struct fb_slice render_params_raw(const struct render_params *p, const char *name);

#endif
