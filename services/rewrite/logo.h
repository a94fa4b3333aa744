/* SPDX-License-Identifier: Apache-2.0
 *
 * The organisation's logo (notices.logo of the policy), which travels in the notice itself: mail
 * readers do not load remote images unasked, and many refuse data: URLs. */
#ifndef FB_REWRITE_LOGO_H
#define FB_REWRITE_LOGO_H

#include "common/buf.h"

#define LOGO_MAX_BYTES (256U * 1024)
#define LOGO_CID       "logo@fumibako"

struct logo {
    const char *type;    /* "image/png"; static */
    const char *name;    /* "logo.png"; static */
    struct fb_buf bytes; /* empty: there is none */
};

/* spec: absolute path of a PNG, JPEG or GIF file, or a data: URL of one.  logo_r is initialised in
 * every case (free it); FB_NOT_FOUND, FB_IO, FB_TOO_BIG, FB_INVALID: it is empty, and err says why.
 */
FB_MUST_USE enum fb_status logo_load(const char *spec, struct logo *logo_r, struct fb_error *err);
void logo_deinit(struct logo *logo);

#endif
