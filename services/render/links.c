/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/links.h"

#include <ctype.h>
#include <string.h>

#define MAX_URL 2048

/* Characters of RFC 3986 that may stand in a URL; ' is left out, since it ends PDF strings and
 * Japanese and English text put URLs in quotes. */
static bool is_url_char(uint8_t c)
{
    return c < 0x80 && (isalnum(c) || strchr("-._~:/?#[]@!$&()*+,;=%", c) != NULL) && c != '\0';
}

static bool is_local_char(uint8_t c)
{
    return c < 0x80 && c != '\0' && (isalnum(c) || strchr("!#$%&*+/=?^_{|}~.-", c) != NULL);
}

static size_t count(struct fb_slice text, size_t start, size_t end, uint8_t c)
{
    size_t n = 0;
    for (size_t i = start; i < end; i++) {
        n += text.ptr[i] == c;
    }
    return n;
}

/* Punctuation that ends the sentence, not the URL; a ')' counts only without its '('. */
static size_t without_tail(struct fb_slice text, size_t start, size_t end)
{
    while (end > start) {
        uint8_t c = text.ptr[end - 1];
        if (c == ')' && count(text, start, end, '(') >= count(text, start, end, ')')) {
            break;
        }
        if (strchr(".,;:!?)]*", c) == NULL) {
            break;
        }
        end--;
    }
    return end;
}

static bool try_url(struct fb_slice text, size_t at, struct render_link *link_r)
{
    static const struct {
        const char *scheme, *prefix;
    } known[] = {{"https://", ""}, {"http://", ""}, {"mailto:", ""}, {"www.", "https://"}};
    struct fb_slice here = fb_slice_sub(text, at, SIZE_MAX);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!fb_slice_istarts(here, known[i].scheme)) {
            continue;
        }
        size_t end = at;
        while (end < text.len && is_url_char(text.ptr[end]) && end - at < MAX_URL) {
            end++;
        }
        end = without_tail(text, at, end);
        if (end > at + strlen(known[i].scheme)) {
            *link_r = (struct render_link){at, end, known[i].prefix};
            return true;
        }
    }
    return false;
}

static bool try_address(struct fb_slice text, size_t sign, size_t from, struct render_link *link_r)
{
    size_t start = sign;
    size_t end = sign + 1;
    bool has_dot = false;
    while (start > from && is_local_char(text.ptr[start - 1]) && sign - start < 64) {
        start--;
    }
    while (end < text.len &&
           (isalnum(text.ptr[end]) || text.ptr[end] == '-' || text.ptr[end] == '.') &&
           end - sign < 255) {
        has_dot = has_dot || text.ptr[end] == '.';
        end++;
    }
    while (end > sign + 1 && (text.ptr[end - 1] == '.' || text.ptr[end - 1] == '-')) {
        end--;
    }
    if (start == sign || end <= sign + 3 || !has_dot ||
        memchr(text.ptr + sign, '.', end - sign) == NULL) {
        return false;
    }
    *link_r = (struct render_link){start, end, "mailto:"};
    return true;
}

bool render_link_next(struct fb_slice text, size_t from, struct render_link *link_r)
{
    for (size_t i = from; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_word_start = i == from || !isalnum(text.ptr[i - 1]) || text.ptr[i - 1] >= 0x80;
        if (is_word_start &&
            (c == 'h' || c == 'H' || c == 'm' || c == 'M' || c == 'w' || c == 'W') &&
            try_url(text, i, link_r)) {
            return true;
        }
        if (c == '@' && try_address(text, i, from, link_r)) {
            return true;
        }
    }
    return false;
}
