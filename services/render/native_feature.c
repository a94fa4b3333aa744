/* SPDX-License-Identifier: Apache-2.0
 *
 * The classifier's data: what "native" does not paint as Chromium does.  Each row names a mail of
 * tests/fixtures/html/outside that shows it; tests/integration/render/native.test.mjs holds both against
 * each other: a row without its mail, or a mail that is not sent to Chromium by its row, fails. */
#include "services/render/glyphs.h"
#include "services/render/native_internal.h"

static const struct render_native_feature features[] = {
    [ND_ELEMENT] = {"element", "an element that native does not know", "ruby.html"},
    [ND_POSITION] = {"position", "boxes moved out of the flow", "position.html"},
    [ND_FLOAT] = {"float", "text beside a box: float, align=left of images and tables",
                  "float.html"},
    [ND_FLEX] = {"flex", "flex and grid", "flex.html"},
    [ND_INLINE_BLOCK] = {"inline-block", "blocks on a line", "inline-block.html"},
    [ND_DISPLAY] = {"display", "another display, or one that makes a table of what is none",
                    "display.html"},
    [ND_BACKGROUND_IMAGE] = {"background-image", "pictures and gradients behind text",
                             "background-image.html"},
    [ND_SHADOW] = {"shadow", "shadows, outlines, filters", "shadow.html"},
    [ND_OPACITY] = {"opacity", "things that shine through, and transforms", "opacity.html"},
    [ND_OVERFLOW] = {"overflow", "content that is cut off at its box", "overflow.html"},
    [ND_MIN_MAX] = {"max-height", "a height that its content may not pass", "max-height.html"},
    [ND_CALC] = {"calc", "values that are computed: calc(), var(), attr()", "calc.html"},
    [ND_UNIT] = {"unit", "a length that is not understood", "unit.html"},
    [ND_DIRECTION] = {"direction", "right to left, or from top to bottom", "rtl.html"},
    [ND_NEGATIVE_MARGIN] = {"negative-margin", "boxes drawn over each other",
                            "negative-margin.html"},
    [ND_INLINE_BOX] = {"inline-box", "padding, border or margin around a part of a line",
                       "inline-box.html"},
    [ND_CONTENT] = {"content", "generated content and counters", "content.html"},
    [ND_COLUMNS] = {"columns", "text in columns", "columns.html"},
    [ND_BREAK] = {"line-break", "rules for breaking words", "word-break.html"},
    [ND_SPACING] = {"spacing", "distances between words", "word-spacing.html"},
    [ND_WHITE_SPACE] = {"white-space", "another treatment of white space", "white-space.html"},
    [ND_LIST_STYLE] = {"list-style", "another marker of list items", "list-style.html"},
    [ND_BORDER_STYLE] = {"border", "another kind of border", "border-image.html"},
    [ND_FONT] = {"font", "another choice within a font", "font-stretch.html"},
    [ND_COLOUR] = {"colour", "a colour that is not understood", "colour.html"},
    [ND_PROPERTY] = {"property", "a property that native does not know", "property.html"},
    [ND_SELECTOR] = {"selector", "a selector that native does not know", "selector.html"},
    [ND_MEDIA] = {"media", "a condition that native cannot decide", "media.html"},
    [ND_IMAGE_TYPE] = {"image-type", "pictures other than PNG, GIF and plain JPEG",
                       "image-webp.html"},
    [ND_SCRIPT] = {"script", "writing that is shaped (Arabic, Hebrew, Thai, Indic scripts)",
                   "arabic.html"},
    [ND_GLYPH] = {"glyph", "characters that no font has: native's boxes are no text",
                  "private.html"},
    [ND_EMOJI] = {"emoji", "digits that are pictures (1️⃣): native's are no text",
                  "keycaps.html"},
    [ND_LONG_WORD] = {"long-word", "words of hundreds of letters", "long-word.html"},
    [ND_TABLE_DEPTH] = {"table-depth", "tables more than 4 deep", "tables-deep.html"},
    [ND_TABLE_SPAN] = {"table-span", "cells over more than 100 columns or rows, or into nothing",
                       "table-span.html"},
    [ND_TABLE_PERCENT] = {"table-width", "columns whose widths contradict each other",
                          "table-percent.html"},
    [ND_TABLE_FRAME] = {"table-frame", "frame= and rules= of tables", "table-rules.html"},
    [ND_DEPTH] = {"depth", "elements more than 100 deep", "depth.html"},
    [ND_WIDE] = {"wide", "content that is wider than the page, and is made smaller", "wide.html"},
    [ND_SIZE] = {"size", "more than 20,000 elements, or 32 KiB in one paragraph", "size.html"},
};
_Static_assert(sizeof features / sizeof features[0] == ND_FEATURE_COUNT, "one row each");
_Static_assert(ND_FEATURE_COUNT <= 64, "a bit each");

const struct render_native_feature *render_native_features(size_t *count_r)
{
    *count_r = ND_FEATURE_COUNT;
    return features;
}

const char *nd_feature_name(enum nd_feature f)
{
    return features[f].name;
}

/* Writing that native was not looked at with. */
void nd_audit_char(struct render_native *n, gunichar c)
{
    if ((c >= 0x590 && c < 0x10A0) || (c >= 0x1200 && c < 0x1D00 && c != 0x1680) ||
        (c >= 0xFB1D && c < 0xFE00) || (c >= 0xFE70 && c < 0xFEFF) ||
        (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
        (c >= 0x0300 && c < 0x0370)) {
        nd_note(n, ND_SCRIPT);
    }
    if (render_glyphs_is_missing(c)) {
        nd_note(n, ND_GLYPH);
    }
    if (c == 0x20E3) {
        nd_note(n, ND_EMOJI);
    }
}
