/* SPDX-License-Identifier: Apache-2.0
 *
 * Folding, "contains", globs and addresses: see text.h.  Sees untrusted text; every loop is bounded
 * by the lengths of its inputs (contains: their sum; glob: their product, and both are short).
 */
#include "common/policy/text.h"

#include <string.h>
#include <wctype.h>

uint32_t fb_pol_utf8_next(const char **p, const char *end)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)*p;
    size_t room = (size_t)(end - *p);
    uint32_t c = s[0];
    size_t len = 1;
    (*p)++;
    if (c < 0x80) {
        return c;
    }
    if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
        c &= 0x1f;
    } else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        c &= 0x0f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        c &= 0x07;
    } else {
        return 0xdc00 + c;
    }
    if (len > room) {
        return 0xdc00 + (uint32_t)s[0];
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0xdc00 + (uint32_t)s[0];
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0xdc00 + (uint32_t)s[0];
    }
    *p += len - 1;
    return c;
}

uint32_t fb_pol_fold(uint32_t c)
{
    if (c < 0x80) {
        return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    }
    locale_t locale = fb_pol_locale();
    if (locale == (locale_t)0) {
        return c;
    }
    /* By way of upper case, since some letters have two lower-case forms (Greek sigma). */
    return (uint32_t)towlower_l((wint_t)towupper_l((wint_t)c, locale), locale);
}

size_t fb_pol_bounded_len(const char *text, size_t max)
{
    return strnlen(text, max);
}

/* The table of Knuth-Morris-Pratt over folded code points; returns their number. */
static size_t make_table(const char *needle, uint32_t pattern[FB_POL_TERM_MAX],
                         uint16_t back[FB_POL_TERM_MAX])
{
    size_t count = 0;
    const char *end = needle + fb_pol_bounded_len(needle, FB_POL_TERM_MAX);
    for (const char *p = needle; p < end;) {
        pattern[count++] = fb_pol_fold(fb_pol_utf8_next(&p, end));
    }
    back[0] = 0;
    for (size_t i = 1, k = 0; i < count; i++) {
        while (k > 0 && pattern[i] != pattern[k]) {
            k = back[k - 1];
        }
        k += pattern[i] == pattern[k] ? 1 : 0;
        back[i] = (uint16_t)k;
    }
    return count;
}

/* A body of a megabyte of "a" must not cost more than another. */
bool fb_pol_find(const char *text, size_t max, const char *needle, size_t *offset_r, size_t *len_r)
{
    uint32_t pattern[FB_POL_TERM_MAX];
    uint16_t back[FB_POL_TERM_MAX];
    size_t count = make_table(needle, pattern, back);
    if (count == 0) {
        return false;
    }
    const char *end = text + fb_pol_bounded_len(text, max);
    size_t matched = 0;
    size_t seen = 0; /* code points so far */
    const char *p = text;
    while (p < end && matched < count) {
        uint32_t c = fb_pol_fold(fb_pol_utf8_next(&p, end));
        seen++;
        while (matched > 0 && c != pattern[matched]) {
            matched = back[matched - 1];
        }
        matched += c == pattern[matched] ? 1 : 0;
    }
    if (matched < count) {
        return false;
    }
    /* The occurrence can be longer or shorter in bytes than the needle (the Kelvin sign folds to
     * k), so its start is found by counting code points from the beginning. */
    const char *start = text;
    for (size_t i = 0; i < seen - count; i++) {
        (void)fb_pol_utf8_next(&start, end);
    }
    if (offset_r != NULL) {
        *offset_r = (size_t)(start - text);
    }
    if (len_r != NULL) {
        *len_r = (size_t)(p - start);
    }
    return true;
}

/* Where a line was broken: blanks and line ends, at least one line end among them. Returns what
 * stands behind, or p when there is no break; *seen is how far blanks were looked at in vain. */
static const char *skip_break(const char *p, const char *end, const char **seen)
{
    const char *at = p;
    bool is_break = false;
    while (p >= *seen && at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) {
        is_break = is_break || *at == '\n' || *at == '\r';
        at++;
    }
    *seen = at > *seen ? at : *seen;
    return is_break ? at : p;
}

bool fb_pol_find_wrapped(const char *text, size_t max, const char *needle, bool has_blank)
{
    uint32_t pattern[FB_POL_TERM_MAX];
    uint16_t back[FB_POL_TERM_MAX];
    size_t count = make_table(needle, pattern, back);
    const char *end = text + fb_pol_bounded_len(text, max);
    const char *seen = text;
    size_t matched = 0;
    for (const char *p = text; p < end && matched < count;) {
        const char *behind = skip_break(p, end, &seen);
        uint32_t c = ' ';
        if (behind != p) {
            p = behind;
            if (!has_blank) {
                continue;
            }
        } else {
            c = fb_pol_fold(fb_pol_utf8_next(&p, end));
        }
        while (matched > 0 && c != pattern[matched]) {
            matched = back[matched - 1];
        }
        matched += c == pattern[matched] ? 1 : 0;
    }
    return count > 0 && matched == count;
}

bool fb_pol_glob(const char *pattern, const char *text)
{
    const char *pattern_end = pattern + fb_pol_bounded_len(pattern, FB_POL_TERM_MAX);
    const char *text_end = text + fb_pol_bounded_len(text, FB_POL_SUBJECT_MAX);
    const char *star = NULL;   /* behind the last "*" */
    const char *resume = NULL; /* where the text goes on when that "*" takes one character more */
    while (text < text_end) {
        const char *p = pattern;
        const char *t = text;
        uint32_t want = p < pattern_end ? fb_pol_utf8_next(&p, pattern_end) : 0;
        if (want == '*') {
            pattern = p;
            star = p;
            resume = text;
            continue;
        }
        uint32_t have = fb_pol_utf8_next(&t, text_end);
        if (pattern < pattern_end && (want == '?' || fb_pol_fold(want) == fb_pol_fold(have))) {
            pattern = p;
            text = t;
            continue;
        }
        if (star == NULL) {
            return false;
        }
        (void)fb_pol_utf8_next(&resume, text_end);
        text = resume;
        pattern = star;
    }
    while (pattern < pattern_end && *pattern == '*') {
        pattern++;
    }
    return pattern == pattern_end;
}

/* Copies the local part; inside quotes, RFC 5321 4.1.2 "\x" means x. */
static size_t copy_local(const char *local, size_t len, char *out)
{
    bool is_quoted = len >= 2 && local[0] == '"' && local[len - 1] == '"';
    size_t used = 0;
    size_t i = is_quoted ? 1 : 0;
    size_t end = is_quoted ? len - 1 : len;
    for (; i < end; i++) {
        if (is_quoted && local[i] == '\\' && i + 1 < end) {
            i++;
        }
        out[used++] = local[i];
    }
    return used;
}

const char *fb_pol_address(const char *address, char out[FB_POL_ADDRESS_MAX])
{
    size_t len = fb_pol_bounded_len(address, FB_POL_ADDRESS_MAX);
    if (len >= FB_POL_ADDRESS_MAX) {
        return address;
    }
    const char *at = memrchr(address, '@', len);
    size_t local_len = at != NULL ? (size_t)(at - address) : len;
    size_t used = copy_local(address, local_len, out);
    if (at != NULL) {
        memcpy(out + used, at, len - local_len);
        used += len - local_len;
        if (used > 0 && out[used - 1] == '.') {
            used--;
        }
    }
    out[used] = '\0';
    for (size_t i = 0; i < used; i++) {
        if (out[i] >= 'A' && out[i] <= 'Z') {
            out[i] = (char)(out[i] + ('a' - 'A'));
        }
    }
    return out;
}

bool fb_pol_route(const char *address, char out[FB_POL_ADDRESS_MAX])
{
    size_t len = fb_pol_bounded_len(address, FB_POL_ADDRESS_MAX);
    const char *at = len < FB_POL_ADDRESS_MAX ? memrchr(address, '@', len) : NULL;
    if (at == NULL) {
        return false;
    }
    size_t local = (size_t)(at - address);
    const char *inner = memrchr(address, '@', local);
    const char *percent = memrchr(address, '%', local);
    const char *bang = memchr(address, '!', local);
    memcpy(out, address, local);
    out[local] = '\0';
    if (inner != NULL) {
        return true;
    }
    if (percent != NULL) {
        out[percent - address] = '@';
        return true;
    }
    if (bang == NULL) {
        return false;
    }
    size_t host = (size_t)(bang - address);
    size_t user = local - host - 1;
    memcpy(out, bang + 1, user);
    out[user] = '@';
    memcpy(out + user + 1, address, host);
    return true;
}
