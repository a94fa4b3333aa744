/* SPDX-License-Identifier: Apache-2.0
 *
 * The Fontconfig file that all painters share (fonts/fonts.conf), as part of the program. */
#ifndef FB_RENDER_FONTS_H
#define FB_RENDER_FONTS_H

#include "common/buf.h"

/* Its text: XML, ended by NUL (not counted). Lent for ever. */
struct fb_slice render_fonts_conf(void);

#endif
