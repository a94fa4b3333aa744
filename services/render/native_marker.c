/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "services/render/native_internal.h"

static void roman(int number, char *out, size_t size)
{
    static const struct {
        int value;
        const char *text;
    } digits[] = {{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"},
                  {90, "xc"},  {50, "l"},   {40, "xl"}, {10, "x"},   {9, "ix"},
                  {5, "v"},    {4, "iv"},   {1, "i"}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof digits / sizeof digits[0]; i++) {
        while (number >= digits[i].value && at + 4 < size) {
            at += (size_t)snprintf(out + at, size - at, "%s", digits[i].text);
            number -= digits[i].value;
        }
    }
}

char *nd_marker(struct render_native *n, uint8_t list, int number)
{
    char text[48] = "";
    switch (list) {
    case ND_DISC:
        return nd_copy(n, fb_slice_str("•"));
    case ND_CIRCLE:
        return nd_copy(n, fb_slice_str("◦"));
    case ND_SQUARE:
        return nd_copy(n, fb_slice_str("▪"));
    case ND_NO_MARKER:
        return NULL;
    case ND_LOWER_ROMAN:
    case ND_UPPER_ROMAN:
        if (number > 0 && number < 4000) {
            roman(number, text, sizeof text);
        }
        break;
    case ND_LOWER_ALPHA:
    case ND_UPPER_ALPHA: {
        char reversed[8];
        size_t count = 0;
        for (int rest = number; rest > 0 && count < sizeof reversed; rest = (rest - 1) / 26) {
            reversed[count++] = (char)('a' + (rest - 1) % 26);
        }
        for (size_t i = 0; i < count; i++) {
            text[i] = reversed[count - 1 - i];
        }
        break;
    }
    default:
        break;
    }
    if (text[0] == '\0') {
        (void)snprintf(text, sizeof text, "%d", number);
    }
    for (char *c = text; *c != '\0' && (list == ND_UPPER_ALPHA || list == ND_UPPER_ROMAN); c++) {
        *c = (char)toupper((uint8_t)*c);
    }
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), ".");
    return nd_copy(n, fb_slice_str(text));
}
