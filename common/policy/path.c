/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent folders of a parcel: checks a rule's `path` and fills its placeholders in.  The values
 * come from mail, so whatever they hold, the result is a relative path whose components any storage
 * takes as names: Box forbids / \ and controls, dots and spaces at the ends, more than 255
 * characters, and its clients on Windows < > : " | ? * as well.
 *
 * The result is the same for every retry of a message: dates are UTC (replicas may have different
 * time zones) and addresses are in lower case (Box compares names without case).
 */
#include "common/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/policy/text.h"

#define MAX_COMPONENTS 10
#define MAX_NAME_CHARS 255
#define COMPONENT_BYTES                                                                            \
    ((size_t)MAX_NAME_CHARS * 3 + 1) /* code points above U+FFFF are mapped away */
#define DATE_DEFAULT     "%Y-%m-%d"
#define DATE_CONVERSIONS "YmdHjGVy%"
#define DATE_MAX_BYTES   64

enum token_kind {
    TOKEN_END,
    TOKEN_CHAR,
    TOKEN_SENDER,
    TOKEN_SENDER_DOMAIN,
    TOKEN_RECIPIENT_DOMAIN,
    TOKEN_RULE,
    TOKEN_MSG_ID,
    TOKEN_DATE,
    TOKEN_UNKNOWN,
    TOKEN_UNCLOSED
};

struct token {
    enum token_kind kind;
    uint32_t c;
    const char *text; /* of the braces; for a date its format */
    size_t len;
};

static struct token next_token(const char **p)
{
    static const struct {
        const char *name;
        enum token_kind kind;
    } names[] = {
        {"sender", TOKEN_SENDER},
        {"sender_domain", TOKEN_SENDER_DOMAIN},
        {"recipient_domain", TOKEN_RECIPIENT_DOMAIN},
        {"rule", TOKEN_RULE},
        {"msg_id", TOKEN_MSG_ID},
        {"date", TOKEN_DATE},
    };
    struct token token = {.kind = TOKEN_CHAR};
    if (**p == '\0') {
        token.kind = TOKEN_END;
        return token;
    }
    if (**p == '}') {
        token.kind = TOKEN_UNCLOSED;
        return token;
    }
    if (**p != '{') {
        token.c = fb_pol_utf8_next(p, *p + strlen(*p));
        return token;
    }
    const char *start = *p + 1;
    const char *end = strpbrk(start, "{}");
    if (end == NULL || *end == '{') {
        token.kind = TOKEN_UNCLOSED;
        return token;
    }
    *p = end + 1;
    token.kind = TOKEN_UNKNOWN;
    token.text = start;
    token.len = (size_t)(end - start);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == token.len && strncmp(names[i].name, start, token.len) == 0) {
            token.kind = names[i].kind;
        }
    }
    if (token.kind == TOKEN_DATE) {
        token.text = DATE_DEFAULT;
        token.len = sizeof(DATE_DEFAULT) - 1;
    } else if (token.len > 5 && strncmp(start, "date:", 5) == 0) {
        token.kind = TOKEN_DATE;
        token.text = start + 5;
        token.len -= 5;
    }
    return token;
}

/* ---- check ---- */

/* Box's list, controls, and what makes a name read differently from what it is (bidirectional
 * controls, zero-width characters, U+FEFF); bytes that are no UTF-8; beyond the BMP Box is not
 * known to be safe. */
static bool is_forbidden(uint32_t c)
{
    if (c < 0x80) {
        return c < 0x20 || c == 0x7f || strchr("/\\<>:\"|?*", (int)c) != NULL;
    }
    return c < 0xa0 || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || (c >= 0xd800 && c <= 0xdfff) || c == 0xfeff ||
           c >= 0xfff9;
}

struct checker {
    size_t component_count;
    bool has_any;     /* the component at hand has characters */
    bool has_content; /* and some that are neither dot nor space */
    bool has_mapped;  /* a literal character will become "_" */
};

static void check_char(struct checker *c, uint32_t ch)
{
    c->has_any = true;
    c->has_content = c->has_content || (ch != '.' && ch != ' ');
    c->has_mapped = c->has_mapped || is_forbidden(ch);
}

/* NULL, or what is wrong with the component that ends here. */
static const char *check_component(struct checker *c)
{
    const char *wrong = NULL;
    if (!c->has_any) {
        wrong = "has an empty folder name; write it without \"/\" at the ends and without \"//\"";
    } else if (!c->has_content) {
        wrong = "has a folder name of dots or spaces alone; a path cannot leave its root folder";
    } else if (++c->component_count > MAX_COMPONENTS) {
        wrong = "has more than 10 folders";
    }
    c->has_any = false;
    c->has_content = false;
    return wrong;
}

static const char *check_date(struct checker *c, const struct token *token)
{
    if (token->len > DATE_MAX_BYTES) {
        return "has a date format of more than 64 bytes";
    }
    const char *end = token->text + token->len;
    const char *wrong = NULL;
    for (const char *p = token->text; p < end && wrong == NULL;) {
        uint32_t ch = fb_pol_utf8_next(&p, end);
        if (ch == '/') {
            wrong = check_component(c);
        } else if (ch != '%') {
            check_char(c, ch);
        } else if (p >= end || strchr(DATE_CONVERSIONS, *p) == NULL) {
            wrong = "has a date conversion that is none of %Y %m %d %H %j %G %V %y";
        } else {
            p++;
            check_char(c, 'x');
        }
    }
    return wrong;
}

const char *fb_pol_path_check(const struct fb_pol_reader *r, const char *path, char *why,
                              size_t why_size, const char **warning_r)
{
    struct checker c = {0};
    const char *p = path;
    const char *wrong = NULL;
    struct token token = {0};
    do {
        token = next_token(&p);
        switch (token.kind) {
        case TOKEN_END:
            wrong = check_component(&c);
            break;
        case TOKEN_CHAR:
            if (token.c == '/') {
                wrong = check_component(&c);
            } else {
                check_char(&c, token.c);
            }
            break;
        case TOKEN_DATE:
            wrong = check_date(&c, &token);
            break;
        case TOKEN_UNCLOSED:
            wrong = "has a \"{\" or \"}\" without its counterpart";
            break;
        case TOKEN_UNKNOWN:
            (void)snprintf(why, why_size,
                           fb_pol_words(r, "unknown placeholder {%.*s}; known: {sender} "
                                           "{sender_domain} {recipient_domain} {rule} "
                                           "{date:%%Y-%%m} {msg_id}"),
                           token.len < 32 ? (int)token.len : 32, token.text);
            wrong = why;
            break;
        default:
            check_char(&c, 'x');
            break;
        }
    } while (wrong == NULL && token.kind != TOKEN_END);
    if (warning_r != NULL && c.has_mapped) {
        *warning_r = "\\ < > : \" | ? * in folder names become \"_\"";
    }
    return wrong;
}

/* ---- expansion ---- */

struct expander {
    char full[MAX_COMPONENTS * (COMPONENT_BYTES + 1)];
    size_t full_len;
    size_t component_count;
    char name[COMPONENT_BYTES];
    size_t len;
    size_t char_count;
};

static void add_char(struct expander *e, uint32_t c)
{
    if (e->char_count == 0 && (c == ' ' || c == '.')) {
        return;
    }
    if (e->char_count >= MAX_NAME_CHARS) {
        return;
    }
    c = is_forbidden(c) ? '_' : c;
    if (c < 0x80) {
        e->name[e->len++] = (char)c;
    } else if (c < 0x800) {
        e->name[e->len++] = (char)(0xc0 | c >> 6);
        e->name[e->len++] = (char)(0x80 | (c & 0x3f));
    } else {
        e->name[e->len++] = (char)(0xe0 | c >> 12);
        e->name[e->len++] = (char)(0x80 | (c >> 6 & 0x3f));
        e->name[e->len++] = (char)(0x80 | (c & 0x3f));
    }
    e->char_count++;
}

static void end_component(struct expander *e)
{
    while (e->len > 0 && (e->name[e->len - 1] == ' ' || e->name[e->len - 1] == '.')) {
        e->len--;
    }
    if (e->len == 0) {
        e->name[e->len++] = '_';
    }
    if (e->component_count < MAX_COMPONENTS) {
        if (e->component_count > 0) {
            e->full[e->full_len++] = '/';
        }
        memcpy(e->full + e->full_len, e->name, e->len);
        e->full_len += e->len;
        e->component_count++;
    }
    e->len = 0;
    e->char_count = 0;
}

/* A value from outside: no "/" of it separates anything. */
static void add_value(struct expander *e, const char *value, bool is_lowered)
{
    const char *end = value + fb_pol_bounded_len(value, FB_POL_ADDRESS_MAX);
    while (value < end) {
        uint32_t c = fb_pol_utf8_next(&value, end);
        add_char(e, is_lowered && c < 0x80 ? fb_pol_fold(c) : c);
    }
}

/* One of DATE_CONVERSIONS, as strftime(3) has them; which conversions there are was checked with
 * the policy. */
static void add_conversion(struct expander *e, char conversion, const struct tm *tm)
{
    char text[32] = "";
    switch (conversion) {
    case 'Y':
        (void)snprintf(text, sizeof(text), "%04d", tm->tm_year + 1900);
        break;
    case 'y':
        (void)snprintf(text, sizeof(text), "%02d", tm->tm_year % 100);
        break;
    case 'm':
        (void)snprintf(text, sizeof(text), "%02d", tm->tm_mon + 1);
        break;
    case 'd':
        (void)snprintf(text, sizeof(text), "%02d", tm->tm_mday);
        break;
    case 'H':
        (void)snprintf(text, sizeof(text), "%02d", tm->tm_hour);
        break;
    case 'j':
        (void)snprintf(text, sizeof(text), "%03d", tm->tm_yday + 1);
        break;
    case 'G':
        (void)strftime(text, sizeof(text), "%G", tm);
        break;
    case 'V':
        (void)strftime(text, sizeof(text), "%V", tm);
        break;
    default:
        (void)snprintf(text, sizeof(text), "%c", conversion);
        break;
    }
    add_value(e, text, false);
}

static void add_date(struct expander *e, const struct token *token, const struct tm *tm)
{
    const char *end = token->text + token->len;
    for (const char *p = token->text; p < end;) {
        uint32_t c = fb_pol_utf8_next(&p, end);
        if (c == '/') {
            end_component(e);
        } else if (c == '%' && p < end) {
            add_conversion(e, *p++, tm);
        } else {
            add_char(e, c);
        }
    }
}

enum fb_status fb_policy_expand_path(const struct fb_policy_rule *rule, const char *sender,
                                     const char *recipient_domain, int64_t when_ms,
                                     const char *msg_id, struct fb_buf *out, struct fb_error *err)
{
    const char *path = rule->path != NULL ? rule->path : "";
    const char *at = strrchr(sender, '@');
    struct expander *e = NULL;
    struct token token = {0};
    struct tm tm = {0};
    time_t when_s = (time_t)(when_ms / 1000);
    enum fb_status status = FB_OK;
    if (path[0] == '\0') {
        return FB_OK;
    }
    if (when_ms < 0 || gmtime_r(&when_s, &tm) == NULL || tm.tm_year > 8099) {
        return fb_error_set(err, FB_INVALID, "path of rule: no such date");
    }
    e = fb_xcalloc(1, sizeof(*e));
    do {
        token = next_token(&path);
        switch (token.kind) {
        case TOKEN_END:
            end_component(e);
            break;
        case TOKEN_CHAR:
            if (token.c == '/') {
                end_component(e);
            } else {
                add_char(e, token.c);
            }
            break;
        case TOKEN_SENDER:
            add_value(e, sender, true);
            break;
        case TOKEN_SENDER_DOMAIN:
            add_value(e, at != NULL ? at + 1 : "", true);
            break;
        case TOKEN_RECIPIENT_DOMAIN:
            add_value(e, recipient_domain, true);
            break;
        case TOKEN_RULE:
            add_value(e, rule->name, false);
            break;
        case TOKEN_MSG_ID:
            add_value(e, msg_id, false);
            break;
        case TOKEN_DATE:
            add_date(e, &token, &tm);
            break;
        default:
            status = fb_error_set(err, FB_BUG, "path of rule %.64s was not checked", rule->name);
            break;
        }
    } while (status == FB_OK && token.kind != TOKEN_END);
    if (status == FB_OK) {
        status = fb_buf_add(out, e->full, e->full_len);
        if (status != FB_OK) {
            (void)fb_error_set(err, status, "path of rule %.64s: no room for it", rule->name);
        }
    }
    free(e);
    return status;
}
