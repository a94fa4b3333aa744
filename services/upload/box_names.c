/* SPDX-License-Identifier: Apache-2.0
 *
 * Names as Box takes them (contract: at most 255 characters, unique in a folder without case).
 * Decides about what Box
 * refuses, what Windows refuses when the recipient saves the file, and what would show another name
 * than it is.
 */
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <wctype.h>

#include "services/upload/box_internal.h"

#define MAX_NAME      255
#define MAX_EXTENSION 16 /* with its dot; a longer tail is a sentence, not an extension */
#define MAX_POINTS    4096
#define FEW_TRIES     4
#define BAD           0xfffdU

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void open_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* The next code point; BAD for bytes that are no UTF-8. */
static uint32_t decode(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    uint32_t c = *p++;
    int more = c < 0x80                ? 0
               : c >= 0xc2 && c < 0xe0 ? 1
               : c >= 0xe0 && c < 0xf0 ? 2
               : c >= 0xf0 && c < 0xf5 ? 3
                                       : -1;
    if (more < 0) {
        *at = p;
        return BAD;
    }
    uint32_t least = more == 0 ? 0 : more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
    c &= more == 0 ? 0x7fU : more == 1 ? 0x1fU : more == 2 ? 0x0fU : 0x07U;
    for (int i = 0; i < more; i++) {
        if (p == end || (*p & 0xc0) != 0x80) {
            *at = p;
            return BAD;
        }
        c = c << 6 | (*p++ & 0x3fU);
    }
    *at = p;
    return c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? BAD : c;
}

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3; /* there is none above U+FFFF any more */
}

static uint32_t tame(uint32_t c)
{
    bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
    /* Right-to-left marks make "gpj.exe" read as "exe.jpg". */
    bool is_bidi = c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                   (c >= 0x2066 && c <= 0x2069);
    bool is_refused = c < 0x80 && c != 0 && strchr("/\\<>:\"|?*", (int)c) != NULL;
    bool is_strange = c > 0xffff || c == BAD || c == 0xfffe || c == 0xffff || c == 0xfeff;
    return is_control || is_bidi || is_refused || is_strange ? '_' : c;
}

static bool is_edge(uint32_t c)
{
    return c == ' ' || c == '.' || c == 0xa0 || c == 0x3000;
}

struct name {
    uint32_t c[MAX_POINTS];
    size_t len;
    size_t stem; /* where the extension begins; len when there is none */
};

static void trim(struct name *n)
{
    size_t from = 0;
    while (n->len > 0 && is_edge(n->c[n->len - 1])) {
        n->len--;
    }
    while (from < n->len && is_edge(n->c[from])) {
        from++;
    }
    memmove(n->c, n->c + from, (n->len - from) * sizeof n->c[0]);
    n->len -= from;
}

/* Too long a name keeps its beginning and, from its end, what may be the extension. */
static void read_name(const char *text, struct name *n)
{
    const uint8_t *at = (const uint8_t *)text;
    const uint8_t *end = at + strlen(text);
    n->len = 0;
    while (at < end) {
        if (n->len == MAX_POINTS) {
            memmove(n->c + MAX_POINTS / 2, n->c + MAX_POINTS / 2 + 1,
                    (MAX_POINTS / 2 - 1) * sizeof n->c[0]);
            n->len--;
        }
        n->c[n->len++] = tame(decode(&at, end));
    }
    trim(n);
    n->stem = n->len;
    for (size_t i = n->len; i > 1 && n->len - i < MAX_EXTENSION; i--) {
        if (n->c[i - 1] == '.') {
            n->stem = i - 1;
            break;
        }
    }
}

/* stem + suffix + extension, together at most 255 characters. */
static enum fb_status compose(const struct name *n, const char *suffix, struct fb_buf *out)
{
    size_t extension = n->len - n->stem;
    size_t room = MAX_NAME - extension - strlen(suffix);
    size_t stem = n->stem < room ? n->stem : room;
    while (stem > 1 && stem < n->stem && is_edge(n->c[stem - 1])) {
        stem--;
    }
    enum fb_status s = FB_OK;
    fb_buf_clear(out);
    for (size_t i = 0; i < stem && s == FB_OK; i++) {
        char bytes[4];
        s = fb_buf_add(out, bytes, encode(n->c[i], bytes));
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(out, suffix);
    }
    for (size_t i = n->stem; i < n->len && s == FB_OK; i++) {
        char bytes[4];
        s = fb_buf_add(out, bytes, encode(n->c[i], bytes));
    }
    return s;
}

static uint32_t fold(uint32_t c)
{
    if (c < 0x80 || unicode == (locale_t)0) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }
    /* By way of the capital: letters with two small forms (final sigma, long s) are the same name.
     * */
    return (uint32_t)towlower_l(towupper_l((wint_t)c, unicode), unicode);
}

static bool is_same(const char *a, const char *b)
{
    const uint8_t *p = (const uint8_t *)a;
    const uint8_t *q = (const uint8_t *)b;
    const uint8_t *p_end = p + strlen(a);
    const uint8_t *q_end = q + strlen(b);
    while (p < p_end && q < q_end) {
        if (*p == *q && *p < 0x80) {
            p++;
            q++;
        } else if (fold(decode(&p, p_end)) != fold(decode(&q, q_end))) {
            return false;
        }
    }
    return p == p_end && q == q_end;
}

static bool is_taken(const char *name, char *const *taken, size_t taken_count)
{
    for (size_t i = 0; i < taken_count; i++) {
        if (taken[i] != NULL && is_same(name, taken[i])) {
            return true;
        }
    }
    return false;
}

enum fb_status box_safe_name(const char *name, char *const *taken, size_t taken_count,
                             struct fb_buf *out)
{
    struct name n;
    (void)pthread_once(&unicode_once, open_unicode);
    read_name(name, &n);
    if (n.len == 0) {
        read_name("file", &n);
    }
    enum fb_status s = compose(&n, "", out);
    /* Few tries with small numbers: two thousand files of one name must not cost a million
     * comparisons each. */
    size_t number = 2;
    for (size_t i = 0; s == FB_OK && is_taken(fb_buf_str(out), taken, taken_count); i++, number++) {
        char suffix[32];
        if (i == FEW_TRIES && number < taken_count) {
            number = taken_count + 1;
        }
        (void)snprintf(suffix, sizeof suffix, " (%zu)", number);
        s = i <= taken_count + FEW_TRIES ? compose(&n, suffix, out) : FB_BUG;
    }
    return s;
}
