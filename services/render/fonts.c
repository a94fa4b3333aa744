/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/fonts.h"

static const uint8_t text[] = {
#include "fonts_conf.inc"
    0};

struct fb_slice render_fonts_conf(void)
{
    return fb_slice_of(text, sizeof text - 1);
}
