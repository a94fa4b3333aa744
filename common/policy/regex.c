/* SPDX-License-Identifier: Apache-2.0
 *
 * POSIX extended regular expressions (REG_EXTENDED | REG_ICASE | REG_NOSUB), compiled from the
 * policy and run on untrusted text.  The matcher is TRE's, which is linear in the text as long as
 * there are no back-references (the C library's is quadratic for "(a|aa)+$b": half an hour for one
 * body); its compiler copies a repeated part as often as its count says.  Both are bounded here,
 * before it sees the pattern, and so are TRE's own extensions, which would switch to a slower
 * matcher.
 */
#include "common/policy/text.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* Copies of atoms after all {n,m} are written out.  A domain label [a-z0-9-]{1,63} costs 63. */
#define REGEX_MAX_COST  5000
#define REGEX_MAX_DEPTH 32

static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t utf8_locale;

static void load_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

locale_t fb_pol_locale(void)
{
    return pthread_once(&locale_once, load_locale) == 0 ? utf8_locale : (locale_t)0;
}

/* Letters fold, and classes such as [[:alpha:]] are asked, by the thread's locale, while compiling and
 * while matching.
 */
static locale_t enter_locale(void)
{
    locale_t locale = fb_pol_locale();
    return locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
}

static void leave_locale(locale_t old)
{
    if (old != (locale_t)0) {
        (void)uselocale(old);
    }
}

/* Walks the pattern and adds up what the compiler will make of it. */
struct walk {
    const char *p;
    uint64_t total[REGEX_MAX_DEPTH]; /* cost of the open groups */
    uint64_t last[REGEX_MAX_DEPTH];  /* cost of the atom that a repetition would copy */
    size_t depth;
};

static void add_atom(struct walk *w, uint64_t cost)
{
    w->last[w->depth] = cost;
    w->total[w->depth] += cost;
}

/* A bracket expression; the pattern moves to its "]" (or the end, which regcomp will complain
 * about). */
static void skip_bracket(struct walk *w)
{
    const char *p = w->p + 1;
    p += *p == '^' ? 1 : 0;
    p += *p == ']' ? 1 : 0;
    while (*p != '\0' && *p != ']') {
        if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
            char kind = p[1];
            p += 2;
            while (*p != '\0' && !(*p == kind && p[1] == ']')) {
                p++;
            }
            p += *p != '\0' ? 1 : 0;
        }
        p += *p != '\0' ? 1 : 0;
    }
    w->p = *p != '\0' ? p : p - 1;
    add_atom(w, 1);
}

/* "{n}", "{n,}", "{n,m}": the atom before it is copied max(n, m) times.  NULL, or why it is refused. */
static const char *count_interval(struct walk *w)
{
    uint64_t value = 0;
    uint64_t most = 1;
    const char *p = w->p + 1;
    for (; isdigit((unsigned char)*p) || *p == ','; p++) {
        value = *p == ',' ? 0 : value * 10 + (uint64_t)(*p - '0');
        value = value > REGEX_MAX_COST ? REGEX_MAX_COST + 1 : value;
        most = value > most ? value : most;
    }
    if (*p != '}' || p == w->p + 1 || w->p[1] == ',') {
        return "\"{\" begins {n}, {n,} or {n,m}; write [{] for the character";
    }
    w->total[w->depth] += w->last[w->depth] * (most - 1);
    w->last[w->depth] *= most;
    w->p = p;
    return NULL;
}

/* The escapes that mean something to Perl and something else, or nothing, to POSIX. */
static const char *check_escape(char c)
{
    if (c >= '1' && c <= '9') {
        return "back-references are not supported (they can take forever)";
    }
    if (c == 'd' || c == 'D') {
        return "\\d is not POSIX; write [0-9]";
    }
    if (c == 't' || c == 'n' || c == 'r' || c == 'x' || c == 'u' || c == 'p') {
        return "escapes such as \\t, \\n or \\x are not POSIX; write the character, or [[:space:]]";
    }
    return c == '\0' ? "ends with a lone backslash" : NULL;
}

/* NULL, or why the pattern is refused. */
static const char *check_pattern(const char *pattern)
{
    struct walk w = {.p = pattern};
    for (; *w.p != '\0'; w.p++) {
        const char *why = NULL;
        switch (*w.p) {
        case '\\':
            w.p++;
            why = check_escape(*w.p);
            add_atom(&w, 1);
            break;
        case '[':
            skip_bracket(&w);
            break;
        case '(':
            if (w.depth + 1 >= REGEX_MAX_DEPTH) {
                return "has more than 31 nested groups";
            }
            w.depth++;
            w.total[w.depth] = 0;
            w.last[w.depth] = 0;
            break;
        case ')':
            if (w.depth > 0) {
                uint64_t cost = w.total[w.depth];
                w.depth--;
                add_atom(&w, cost > 0 ? cost : 1);
            }
            break;
        case '{':
            why = count_interval(&w);
            break;
        default:
            add_atom(&w, 1);
            break;
        }
        if (why != NULL) {
            return why;
        }
        if (w.total[w.depth] > REGEX_MAX_COST) {
            return "repeats too much: its {n,m} add up to more than 5000";
        }
    }
    return NULL;
}

/* UTF-8 as the matcher's wide characters; a byte that is none becomes a value that no pattern names,
 * so that "." and "[^a]" still take it and the search goes on behind it.  NULL without memory. */
static wchar_t *widen(const char *text, size_t len, size_t *count_r)
{
    wchar_t *wide =
        fb_alloc_bounded((len + 1) * sizeof(*wide), (FB_POL_BODY_MAX + 1) * sizeof(*wide));
    const char *p = text;
    size_t n = 0;
    while (wide != NULL && p < text + len) {
        wide[n++] = (wchar_t)fb_pol_utf8_next(&p, text + len);
    }
    if (wide != NULL) {
        wide[n] = L'\0';
        *count_r = n;
    }
    return wide;
}

/* The same words whatever the version of the library. */
static const char *what_is_wrong(int code)
{
    switch (code) {
    case REG_EPAREN:
        return "\"(\" and \")\" do not match";
    case REG_EBRACK:
        return "a \"[\" is not closed";
    case REG_EBRACE:
        return "a \"{\" is not closed";
    case REG_BADBR:
        return "the numbers between \"{\" and \"}\" are no range from 0 to 255";
    case REG_ERANGE:
        return "a range such as [z-a] ends before it begins";
    case REG_ECTYPE:
        return "there is no such class [[:name:]]";
    case REG_ECOLLATE:
        return "there is no such collating element";
    case REG_BADRPT:
        return "\"*\", \"+\", \"?\" or \"{\" has nothing to repeat";
    case REG_ESPACE:
        return "it needs too much memory";
    default:
        return "it is not an extended regular expression (POSIX)";
    }
}

bool fb_pol_regex_compile(regex_t *regex, const char *pattern, char *why, size_t why_size)
{
    const char *refused = check_pattern(pattern);
    size_t count = 0;
    wchar_t *wide = refused == NULL ? widen(pattern, strlen(pattern), &count) : NULL;
    if (wide == NULL) {
        (void)snprintf(why, why_size, "%s",
                       refused != NULL ? refused : "there is no memory for it");
        return false;
    }
    locale_t old = enter_locale();
    int code = tre_regwncomp(regex, wide, count, REG_EXTENDED | REG_ICASE | REG_NOSUB);
    if (code != 0) {
        (void)snprintf(why, why_size, "%s", what_is_wrong(code));
    }
    leave_locale(old);
    free(wide);
    return code == 0;
}

bool fb_pol_regex_matches(const regex_t *regex, const char *text, size_t max)
{
    size_t count = 0;
    wchar_t *wide = widen(text, fb_pol_bounded_len(text, max), &count);
    FB_ASSERT(wide != NULL);
    locale_t old = enter_locale();
    int code = tre_regwnexec(regex, wide, count, 0, NULL, 0);
    leave_locale(old);
    free(wide);
    /* Without memory there is no answer, and a wrong one could let mail out: stop as fb_xcalloc()
     * does. */
    FB_ASSERT(code == 0 || code == REG_NOMATCH);
    return code == 0;
}

void fb_pol_regex_free(regex_t *regex)
{
    tre_regfree(regex);
}
