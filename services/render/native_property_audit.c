/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties that native does not paint: which values of theirs change nothing, and which feature any
 * other one is. */
#include <string.h>
#include <strings.h>

#include "services/render/native_property.h"

static bool is_one_of(struct fb_slice v, const char *list)
{
    for (const char *at = list; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (v.len == len && strncasecmp((const char *)v.ptr, at, len) == 0) {
            return true;
        }
        at += len + (at[len] == ' ');
    }
    return false;
}

static const struct {
    const char *name;
    const char *harmless; /* values that change nothing; NULL: any */
    enum nd_feature feature;
} looked_at[] = {
    {"align-content", "normal", ND_FLEX},
    {"align-items", NULL, ND_FLEX}, /* without effect outside of flex and grid */
    {"align-self", NULL, ND_FLEX},
    {"aspect-ratio", NULL, ND_PROPERTY}, /* ours, of wide pictures: native_image.c */
    {"background-attachment", NULL, ND_BACKGROUND_IMAGE},
    {"background-blend-mode", "normal", ND_OPACITY},
    {"background-clip", "border-box initial", ND_BACKGROUND_IMAGE},
    {"background-origin", NULL, ND_BACKGROUND_IMAGE},
    {"background-position", NULL, ND_BACKGROUND_IMAGE},
    {"background-position-x", NULL, ND_BACKGROUND_IMAGE},
    {"background-position-y", NULL, ND_BACKGROUND_IMAGE},
    {"background-repeat", NULL, ND_BACKGROUND_IMAGE},
    {"background-size", NULL, ND_BACKGROUND_IMAGE},
    {"border-image", "none initial", ND_BORDER_STYLE},
    {"border-image-source", "none initial", ND_BORDER_STYLE},
    {"bottom", "0 0px auto initial", ND_POSITION},
    {"box-shadow", "none initial", ND_SHADOW},
    {"caption-side", "top initial", ND_TABLE_FRAME},
    {"clear", NULL, ND_FLOAT}, /* without floats nothing to clear */
    {"clip", "auto", ND_OVERFLOW},
    {"column-count", "auto 1", ND_COLUMNS},
    {"column-width", "auto", ND_COLUMNS},
    {"columns", "auto", ND_COLUMNS},
    {"content", "normal none initial", ND_CONTENT},
    {"counter-increment", "none", ND_CONTENT},
    {"counter-reset", "none", ND_CONTENT},
    {"direction", "ltr initial inherit", ND_DIRECTION},
    {"empty-cells", "show", ND_TABLE_FRAME},
    {"flex", NULL, ND_FLEX},
    {"float", "none initial", ND_FLOAT},
    {"font-feature-settings", "normal", ND_FONT},
    {"font-kerning", NULL, ND_FONT},
    {"font-stretch", "normal 100% inherit initial", ND_FONT},
    {"font-size-adjust", "none", ND_FONT},
    {"font-variant", "normal initial inherit", ND_FONT},
    {"font-variant-caps", "normal inherit initial", ND_FONT},
    {"font-variant-ligatures", "normal inherit initial none", ND_FONT},
    {"font-variant-east-asian", "normal inherit initial", ND_FONT},
    {"font-variant-numeric", "normal inherit initial", ND_FONT},
    {"font-variant-alternates", "normal inherit initial", ND_FONT},
    {"font-variant-position", "normal inherit initial", ND_FONT},
    {"font-optical-sizing", NULL, ND_FONT},
    {"font-variation-settings", "normal", ND_FONT},
    {"font-language-override", "normal", ND_FONT},
    {"font-palette", "normal", ND_FONT},
    {"font-synthesis", NULL, ND_FONT},
    {"gap", NULL, ND_FLEX},
    {"hyphens", "none manual", ND_BREAK},
    {"justify-content", NULL, ND_FLEX},
    {"left", "0 0px auto initial", ND_POSITION},
    {"line-break", "auto after-white-space", ND_BREAK},
    {"object-fit", "fill initial", ND_IMAGE_TYPE},
    {"opacity", "1 1.0 100% initial", ND_OPACITY},
    {"order", NULL, ND_FLEX},
    {"orphans", NULL, ND_PROPERTY},
    {"outline", "none 0 medium initial 0px", ND_SHADOW},
    {"outline-width", "0 0px", ND_SHADOW},
    {"outline-color", NULL, ND_SHADOW},
    {"outline-style", "none initial", ND_SHADOW},
    {"outline-offset", NULL, ND_SHADOW},
    {"overflow", "visible initial", ND_OVERFLOW},
    {"overflow-wrap", NULL, ND_BREAK},
    {"overflow-x", "visible initial", ND_OVERFLOW},
    {"overflow-y", "visible initial", ND_OVERFLOW},
    {"position", "static relative initial", ND_POSITION},
    {"quotes", NULL, ND_CONTENT},
    {"right", "0 0px auto initial", ND_POSITION},
    {"tab-size", "8", ND_WHITE_SPACE},
    {"text-align-last", "auto", ND_SPACING},
    {"text-autospace", NULL, ND_SPACING},
    {"text-decoration-color", "initial currentcolor", ND_PROPERTY},
    {"text-decoration-style", "solid initial", ND_PROPERTY},
    {"text-decoration-thickness", "auto initial", ND_PROPERTY},
    {"text-decoration-skip-ink", NULL, ND_PROPERTY},
    {"text-emphasis", "none", ND_PROPERTY},
    {"text-justify", NULL, ND_SPACING},
    {"text-justify-trim", NULL, ND_SPACING},
    {"text-kashida", NULL, ND_SPACING},
    {"text-kashida-space", NULL, ND_SPACING},
    {"text-orientation", NULL, ND_DIRECTION},
    {"text-overflow", NULL, ND_OVERFLOW},
    {"text-rendering", NULL, ND_FONT},
    {"text-shadow", "none initial", ND_SHADOW},
    {"text-size-adjust", NULL, ND_FONT},
    {"text-underline-offset", "auto", ND_PROPERTY},
    {"text-wrap", "wrap initial", ND_WHITE_SPACE},
    {"text-wrap-mode", "wrap initial", ND_WHITE_SPACE},
    {"text-autosize", NULL, ND_FONT},
    {"top", "0 0px auto initial", ND_POSITION},
    {"transform", "none initial", ND_OPACITY},
    {"transform-origin", NULL, ND_OPACITY},
    {"unicode-bidi", "normal initial isolate", ND_DIRECTION},
    {"widows", NULL, ND_PROPERTY},
    {"word-break", "normal initial break-word", ND_BREAK},
    {"word-wrap", NULL, ND_BREAK},
    {"writing-mode", "horizontal-tb initial lr-tb", ND_DIRECTION},
    {"z-index", NULL, ND_POSITION},
    {"zoom", "1 normal 100%", ND_OPACITY},
};

bool nd_property_audit(struct nd_property *c, struct fb_slice name)
{
    for (size_t i = 0; i < sizeof looked_at / sizeof looked_at[0]; i++) {
        if (nd_is(name, looked_at[i].name)) {
            if (looked_at[i].harmless != NULL && !is_one_of(c->value, looked_at[i].harmless)) {
                nd_note(c->n, looked_at[i].feature);
            }
            return true;
        }
    }
    return false;
}
