/* SPDX-License-Identifier: Apache-2.0
 *
 * One declaration on its way into a style, for native_property*.c. */
#ifndef FB_RENDER_NATIVE_PROPERTY_H
#define FB_RENDER_NATIVE_PROPERTY_H

#include "services/render/native_internal.h"

struct nd_property {
    struct render_native *n;
    const struct nd_style *parent;
    struct nd_style *s;
    struct fb_slice value;
    int arg;
};

bool nd_is(struct fb_slice v, const char *word);
struct nd_units nd_units_of(const struct nd_property *c);
/* Whether it calls a function other than rgb(). */
bool nd_is_computed(struct fb_slice v);
/* A length, a colour; false, and noted where it matters, when the word is none. */
bool nd_take_length(struct nd_property *c, struct fb_slice v, struct nd_length *out);
bool nd_take_colour(struct nd_property *c, struct fb_slice v, uint32_t *out);
/* native_property_box.c: margins, borders, sizes, display.  False: not one of these. */
bool nd_property_box(struct nd_property *c, struct fb_slice name);
/* native_property_audit.c: what is looked at and not painted.  False: not one of these. */
bool nd_property_audit(struct nd_property *c, struct fb_slice name);

#endif
