/* SPDX-License-Identifier: Apache-2.0
 *
 * The organisation's logo (notices.logo of the policy), which travels in the notice itself: mail
 * readers do not load remote images unasked, and many refuse data: URLs. */
#ifndef FB_COMMON_LOGO_H
#define FB_COMMON_LOGO_H

#include "common/buf.h"

#define FB_LOGO_MAX_BYTES (256U * 1024)
#define FB_LOGO_CID       "logo@fumibako"

struct fb_logo {
    const char *type;    /* "image/png"; static */
    const char *name;    /* "logo.png"; static */
    struct fb_buf bytes; /* empty: there is none */
};

/* spec: absolute path of a PNG, JPEG or GIF file, or a data: URL of one.  logo_r is initialised in
 * every case (free it); FB_NOT_FOUND, FB_IO, FB_TOO_BIG, FB_INVALID: it is empty, and err says why.
 */
FB_MUST_USE enum fb_status fb_logo_load(const char *spec, struct fb_logo *logo_r,
                                        struct fb_error *err);
void fb_logo_deinit(struct fb_logo *logo);

#endif
