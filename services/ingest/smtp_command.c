/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of SMTP commands.  Strict about what ends up in an envelope, lenient where old mailers
 * are known to be sloppy: blanks behind the colon (Outlook, scripts), source routes (dropped, RFC
 * 5321 appendix C). */
#include "smtp_command.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

#define MAX_DOMAIN   255 /* RFC 5321 4.5.3.1.2 */
#define MAX_ENVID    100 /* RFC 3461 4.4 */
#define MAX_ORCPT    500 /* RFC 3461 4.2 */
#define MAX_XFORWARD 255 /* XFORWARD_README: attribute values */

static bool refuse(struct smtp_refusal *r, int code, const char *enhanced, const char *text)
{
    *r = (struct smtp_refusal){code, enhanced, text};
    return false;
}

/* ---- addresses ---- */

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_atext(uint8_t c)
{
    return is_alnum(c) || c > 127 || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool smtp_is_ascii(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] > 127) {
            return false;
        }
    }
    return true;
}

bool smtp_is_utf8(struct fb_slice s)
{
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.ptr[i];
        size_t more = c < 0x80                 ? 0
                      : c >= 0xc2 && c <= 0xdf ? 1
                      : c >= 0xe0 && c <= 0xef ? 2
                      : c >= 0xf0 && c <= 0xf4 ? 3
                                               : 4;
        if (more > 3 || s.len - i <= more) {
            return false;
        }
        for (size_t k = 1; k <= more; k++) {
            if ((s.ptr[i + k] & 0xc0) != 0x80) {
                return false;
            }
        }
        /* overlong forms, surrogates, above U+10FFFF */
        if ((c == 0xe0 && s.ptr[i + 1] < 0xa0) || (c == 0xed && s.ptr[i + 1] > 0x9f) ||
            (c == 0xf0 && s.ptr[i + 1] < 0x90) || (c == 0xf4 && s.ptr[i + 1] > 0x8f)) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

/* Length of the local part at the beginning of s, 0 when it is none. */
static size_t local_part(struct fb_slice s)
{
    size_t i = 0;
    if (s.len > 0 && s.ptr[0] == '"') {
        for (i = 1; i < s.len && s.ptr[i] != '"'; i++) {
            if (s.ptr[i] == '\\') {
                i++;
            }
            if (i >= s.len || s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) {
                return 0;
            }
        }
        return i < s.len ? i + 1 : 0;
    }
    while (i < s.len && (is_atext(s.ptr[i]) || s.ptr[i] == '.')) {
        i++;
    }
    return i;
}

static bool domain_is_valid(struct fb_slice d)
{
    if (d.len == 0 || d.len > MAX_DOMAIN) {
        return false;
    }
    if (d.ptr[0] == '[') { /* address literal */
        for (size_t i = 1; i + 1 < d.len; i++) {
            if (!is_alnum(d.ptr[i]) && d.ptr[i] != '.' && d.ptr[i] != ':' && d.ptr[i] != '-') {
                return false;
            }
        }
        return d.len > 2 && d.ptr[d.len - 1] == ']';
    }
    bool is_label_start = true;
    for (size_t i = 0; i < d.len; i++) {
        uint8_t c = d.ptr[i];
        if (c == '.') {
            if (is_label_start) {
                return false;
            }
            is_label_start = true;
        } else if (is_alnum(c) || c == '_' || c > 127 || (c == '-' && !is_label_start)) {
            is_label_start = false;
        } else {
            return false;
        }
    }
    return !is_label_start;
}

bool smtp_address_is_valid(struct fb_slice a, bool with_utf8)
{
    size_t local = local_part(a);
    if (a.len > FB_MAX_ADDRESS || local == 0 || local + 1 >= a.len || a.ptr[local] != '@') {
        return false;
    }
    return (smtp_is_ascii(a) || (with_utf8 && smtp_is_utf8(a))) &&
           domain_is_valid(fb_slice_sub(a, local + 1, SIZE_MAX));
}

/* ---- pieces of a command ---- */

static void skip_blanks(struct fb_slice *s)
{
    while (s->len > 0 && (s->ptr[0] == ' ' || s->ptr[0] == '\t')) {
        *s = fb_slice_sub(*s, 1, SIZE_MAX);
    }
}

static struct fb_slice next_word(struct fb_slice *s)
{
    skip_blanks(s);
    size_t n = 0;
    while (n < s->len && s->ptr[n] != ' ' && s->ptr[n] != '\t') {
        n++;
    }
    struct fb_slice word = fb_slice_sub(*s, 0, n);
    *s = fb_slice_sub(*s, n, SIZE_MAX);
    return word;
}

/* "FROM:<path>" into path, without < > and source route; rest stays in *s.  A quoted local part may
 * hold '>'. */
static bool take_path(struct fb_slice *s, const char *keyword, struct fb_slice *path_r)
{
    skip_blanks(s);
    if (!fb_slice_istarts(*s, keyword)) {
        return false;
    }
    *s = fb_slice_sub(*s, strlen(keyword), SIZE_MAX);
    skip_blanks(s);
    if (s->len == 0 || s->ptr[0] != '<') {
        return false;
    }
    bool is_quoted = false;
    size_t end = 1;
    for (; end < s->len && (is_quoted || s->ptr[end] != '>'); end++) {
        if (s->ptr[end] == '"') {
            is_quoted = !is_quoted;
        } else if (is_quoted && s->ptr[end] == '\\') {
            end++;
        }
    }
    if (end >= s->len) {
        return false;
    }
    struct fb_slice path = fb_slice_sub(*s, 1, end - 1);
    *s = fb_slice_sub(*s, end + 1, SIZE_MAX);
    if (path.len > 0 && path.ptr[0] == '@') {
        const uint8_t *colon = memchr(path.ptr, ':', path.len);
        if (colon == NULL) {
            return false;
        }
        path = fb_slice_sub(path, (size_t)(colon - path.ptr) + 1, SIZE_MAX);
    }
    *path_r = path;
    return s->len == 0 || s->ptr[0] == ' ' || s->ptr[0] == '\t';
}

/* "KEY=value"; value.ptr is NULL when there is no '='. */
static void split_parameter(struct fb_slice word, struct fb_slice *key_r, struct fb_slice *value_r)
{
    const uint8_t *equals = memchr(word.ptr, '=', word.len);
    *key_r = equals == NULL ? word : fb_slice_sub(word, 0, (size_t)(equals - word.ptr));
    *value_r = equals == NULL ? (struct fb_slice){NULL, 0}
                              : fb_slice_sub(word, (size_t)(equals - word.ptr) + 1, SIZE_MAX);
}

static bool parse_number(struct fb_slice s, uint64_t *value_r)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > 20) { /* RFC 1870: up to 20 digits */
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    *value_r = value;
    return true;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext of RFC 3461 4: printable ASCII but '+' and '=', and "+XX". */
static bool is_xtext(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c == '+') {
            if (s.len - i < 3 || hex_digit(s.ptr[i + 1]) < 0 || hex_digit(s.ptr[i + 2]) < 0) {
                return false;
            }
            i += 2;
        } else if (c < 33 || c > 126 || c == '=') {
            return false;
        }
    }
    return true;
}

/* ---- MAIL ---- */

static const struct smtp_refusal bad_parameter = {501, "5.5.4", "bad parameter value"};
static const struct smtp_refusal twice = {501, "5.5.4", "parameter given twice"};

static bool mail_parameter(struct smtp_mail *m, struct fb_slice key, struct fb_slice value,
                           struct smtp_refusal *refusal)
{
    bool is_good = true;
    if (fb_slice_ieq_str(key, "SIZE")) {
        is_good = parse_number(value, &m->size);
    } else if (fb_slice_ieq_str(key, "BODY")) {
        m->is_8bit = fb_slice_ieq_str(value, "8BITMIME");
        if (fb_slice_ieq_str(value, "BINARYMIME")) {
            return refuse(refusal, 504, "5.5.4", "BINARYMIME is not supported");
        }
        is_good = m->is_8bit || fb_slice_ieq_str(value, "7BIT");
    } else if (fb_slice_ieq_str(key, "SMTPUTF8")) {
        m->is_smtputf8 = true;
        is_good = value.ptr == NULL;
    } else if (fb_slice_ieq_str(key, "RET")) {
        if (m->ret.ptr != NULL) {
            *refusal = twice;
            return false;
        }
        m->ret = value;
        is_good = fb_slice_ieq_str(value, "FULL") || fb_slice_ieq_str(value, "HDRS");
    } else if (fb_slice_ieq_str(key, "ENVID")) {
        if (m->envid.ptr != NULL) {
            *refusal = twice;
            return false;
        }
        m->envid = value;
        is_good = value.len > 0 && value.len <= MAX_ENVID && is_xtext(value);
    } else {
        return refuse(refusal, 555, "5.5.4", "unknown parameter of MAIL");
    }
    if (!is_good) {
        *refusal = bad_parameter;
    }
    return is_good;
}

bool smtp_parse_mail(struct fb_slice arg, struct smtp_mail *mail_r, struct smtp_refusal *refusal_r)
{
    struct smtp_mail m = {0};
    if (!take_path(&arg, "FROM:", &m.path)) {
        return refuse(refusal_r, 501, "5.5.4", "syntax: MAIL FROM:<address>");
    }
    for (struct fb_slice word = next_word(&arg); word.len > 0; word = next_word(&arg)) {
        struct fb_slice key, value;
        split_parameter(word, &key, &value);
        if (!mail_parameter(&m, key, value, refusal_r)) {
            return false;
        }
    }
    if (m.path.len > 0 && !smtp_address_is_valid(m.path, m.is_smtputf8)) {
        return smtp_is_ascii(m.path) || m.is_smtputf8
                   ? refuse(refusal_r, 501, "5.1.7", "bad sender address")
                   : refuse(refusal_r, 553, "5.6.7", "this address needs SMTPUTF8");
    }
    *mail_r = m;
    return true;
}

/* ---- RCPT ---- */

static bool notify_is_valid(struct fb_slice value)
{
    if (fb_slice_ieq_str(value, "NEVER")) {
        return true;
    }
    bool has[3] = {false};
    static const char *const names[3] = {"SUCCESS", "FAILURE", "DELAY"};
    for (;;) {
        const uint8_t *comma = value.len > 0 ? memchr(value.ptr, ',', value.len) : NULL;
        struct fb_slice word =
            comma == NULL ? value : fb_slice_sub(value, 0, (size_t)(comma - value.ptr));
        size_t i = 0;
        while (i < 3 && !fb_slice_ieq_str(word, names[i])) {
            i++;
        }
        if (i == 3 || has[i]) {
            return false;
        }
        has[i] = true;
        if (comma == NULL) {
            return true;
        }
        value = fb_slice_sub(value, word.len + 1, SIZE_MAX);
    }
}

/* "rfc822;xtext"; with SMTPUTF8 also "utf-8;..." whose UTF-8 form RFC 6533 3 allows. */
static bool orcpt_is_valid(struct fb_slice value, bool is_smtputf8)
{
    const uint8_t *semicolon = value.len > 0 ? memchr(value.ptr, ';', value.len) : NULL;
    if (semicolon == NULL || semicolon == value.ptr || value.len > MAX_ORCPT) {
        return false;
    }
    struct fb_slice type = fb_slice_sub(value, 0, (size_t)(semicolon - value.ptr));
    struct fb_slice address = fb_slice_sub(value, type.len + 1, SIZE_MAX);
    for (size_t i = 0; i < type.len; i++) {
        if (!is_alnum(type.ptr[i]) && type.ptr[i] != '-') {
            return false;
        }
    }
    if (address.len == 0) {
        return false;
    }
    if (is_smtputf8 && fb_slice_ieq_str(type, "utf-8")) {
        return smtp_is_utf8(address);
    }
    return is_xtext(address);
}

static bool rcpt_parameter(struct smtp_rcpt *r, struct fb_slice key, struct fb_slice value,
                           bool is_smtputf8, struct smtp_refusal *refusal)
{
    struct fb_slice *slot = NULL;
    bool is_good = false;
    if (fb_slice_ieq_str(key, "NOTIFY")) {
        slot = &r->notify;
        is_good = notify_is_valid(value);
    } else if (fb_slice_ieq_str(key, "ORCPT")) {
        slot = &r->orcpt;
        is_good = orcpt_is_valid(value, is_smtputf8);
    } else {
        return refuse(refusal, 555, "5.5.4", "unknown parameter of RCPT");
    }
    if (slot->ptr != NULL) {
        *refusal = twice;
        return false;
    }
    *slot = value;
    if (!is_good) {
        *refusal = bad_parameter;
    }
    return is_good;
}

bool smtp_parse_rcpt(struct fb_slice arg, bool is_smtputf8, struct smtp_rcpt *rcpt_r,
                     struct smtp_refusal *refusal_r)
{
    struct smtp_rcpt r = {0};
    if (!take_path(&arg, "TO:", &r.path)) {
        return refuse(refusal_r, 501, "5.5.4", "syntax: RCPT TO:<address>");
    }
    /* RFC 5321 4.1.1.3: postmaster needs no domain. */
    if (!fb_slice_ieq_str(r.path, "postmaster") && !smtp_address_is_valid(r.path, is_smtputf8)) {
        return smtp_is_ascii(r.path) || is_smtputf8
                   ? refuse(refusal_r, 501, "5.1.3", "bad recipient address")
                   : refuse(refusal_r, 553, "5.6.7", "this address needs SMTPUTF8");
    }
    for (struct fb_slice word = next_word(&arg); word.len > 0; word = next_word(&arg)) {
        struct fb_slice key, value;
        split_parameter(word, &key, &value);
        if (!rcpt_parameter(&r, key, value, is_smtputf8, refusal_r)) {
            return false;
        }
    }
    *rcpt_r = r;
    return true;
}

/* ---- BDAT, XFORWARD ---- */

bool smtp_parse_bdat(struct fb_slice arg, uint64_t *size_r, bool *is_last_r,
                     struct smtp_refusal *refusal_r)
{
    struct fb_slice size = next_word(&arg);
    struct fb_slice last = next_word(&arg);
    skip_blanks(&arg);
    *is_last_r = fb_slice_ieq_str(last, "LAST");
    if (!parse_number(size, size_r) || (last.len > 0 && !*is_last_r) || arg.len > 0) {
        return refuse(refusal_r, 501, "5.5.4", "syntax: BDAT size [LAST]");
    }
    return true;
}

/* Decoded xtext in which nothing can harm a log or a header: what is not printable becomes '?'.
 * NULL = unknown. */
static char *xforward_value(struct fb_slice value)
{
    if (fb_slice_ieq_str(value, "[UNAVAILABLE]") || fb_slice_ieq_str(value, "[TEMPUNAVAIL]")) {
        return NULL;
    }
    char *out = fb_xcalloc(1, value.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        int c = value.ptr[i];
        if (c == '+') { /* is_xtext has seen the digits */
            c = hex_digit(value.ptr[i + 1]) * 16 + hex_digit(value.ptr[i + 2]);
            i += 2;
        }
        out[n++] = (char)(c < 32 || c > 126 ? '?' : c);
    }
    return out;
}

bool smtp_parse_xforward(struct fb_slice arg, struct smtp_xforward *x,
                         struct smtp_refusal *refusal_r)
{
    const struct {
        const char *name;
        char **slot;
    } attributes[] = {{"NAME", &x->name},    {"ADDR", &x->addr}, {"PORT", &x->port},
                      {"PROTO", &x->proto},  {"HELO", &x->helo}, {"IDENT", &x->ident},
                      {"SOURCE", &x->source}};
    size_t count = 0;
    for (struct fb_slice word = next_word(&arg); word.len > 0; word = next_word(&arg), count++) {
        struct fb_slice key, value;
        split_parameter(word, &key, &value);
        size_t i = 0;
        while (i < sizeof attributes / sizeof attributes[0] &&
               !fb_slice_ieq_str(key, attributes[i].name)) {
            i++;
        }
        if (i == sizeof attributes / sizeof attributes[0] || value.len > MAX_XFORWARD ||
            !is_xtext(value)) {
            return refuse(refusal_r, 501, "5.5.4", "bad attribute of XFORWARD");
        }
        /* Postfix writes IPv6 addresses as address literals do (RFC 5321 4.1.3). */
        if (attributes[i].slot == &x->addr && fb_slice_istarts(value, "IPV6:")) {
            value = fb_slice_sub(value, 5, SIZE_MAX);
        }
        free(*attributes[i].slot);
        *attributes[i].slot = xforward_value(value);
    }
    return count > 0 || refuse(refusal_r, 501, "5.5.4", "syntax: XFORWARD attribute=value ...");
}

void smtp_xforward_deinit(struct smtp_xforward *x)
{
    char **all[] = {&x->name, &x->addr, &x->port, &x->proto, &x->helo, &x->ident, &x->source};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(*all[i]);
        *all[i] = NULL;
    }
}
