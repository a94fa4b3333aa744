/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/read_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/shown.h"
#include "services/portal/form.h"

#define MAX_END 16 /* letters of an end as ".tar.gz" that a cut name keeps */

/* What means something to a system of files, or to a shell's user. */
#define FORBIDDEN "/\\:*?\"<>|"

/* The bytes of a cut that ends between two characters. */
static size_t whole_characters(const char *text, size_t len)
{
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

/* Where the end ".pdf" begins; the length where there is none that is worth keeping. */
static size_t end_of(const char *name)
{
    size_t len = strlen(name);
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot > name && (size_t)(name + len - dot) <= MAX_END ? (size_t)(dot - name)
                                                                              : len;
}

/* Cuts before the end, so that all of it with more bytes between fits. */
static void join(const char *name, const char *between, char out_r[READ_NAME_SIZE])
{
    size_t at = end_of(name);
    const char *end = name + at;
    size_t room = READ_NAME_SIZE - 1 - strlen(end) - strlen(between);
    if (at > room) {
        at = whole_characters(name, room);
    }
    (void)snprintf(out_r, READ_NAME_SIZE, "%.*s%s%s", (int)at, name, between, end);
}

/* Names of devices, with any end: CON, NUL.txt, COM1. */
static bool is_device(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul"};
    size_t len = strcspn(name, ".");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (len == 3 && strncasecmp(name, devices[i], 3) == 0) {
            return true;
        }
    }
    return len == 4 && (strncasecmp(name, "com", 3) == 0 || strncasecmp(name, "lpt", 3) == 0) &&
           isdigit((unsigned char)name[3]);
}

void read_name_safe(const char *name, char out_r[READ_NAME_SIZE])
{
    struct fb_buf text;
    fb_buf_init(&text, 1U << 16);
    bool is_utf8 = form_is_utf8(name);
    /* Control characters, line ends, what is invisible or turns the order: blanks. */
    if (fb_shown_add(&text, name, false) != FB_OK || text.len == 0) {
        fb_buf_clear(&text);
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = text.ptr[i];
        bool is_bad =
            c < 0x20 || c == 0x7f || strchr(FORBIDDEN, c) != NULL || (!is_utf8 && c >= 0x80);
        text.ptr[i] = is_bad ? '_' : c;
    }
    struct fb_slice left = fb_slice_trim(fb_slice_buf(&text));
    while (left.len > 0 && (left.ptr[0] == '.' || left.ptr[0] == ' ')) { /* hidden files, ".." */
        left = fb_slice_sub(left, 1, SIZE_MAX);
    }
    while (left.len > 0 && (left.ptr[left.len - 1] == '.' || left.ptr[left.len - 1] == ' ')) {
        left.len--;
    }
    char *plain = left.len > 0 ? fb_slice_dup_str(left) : NULL;
    if (plain == NULL) {
        plain = fb_xstrdup("file");
    }
    join(plain, "", out_r);
    if (is_device(plain)) {
        char copy[READ_NAME_SIZE];
        (void)snprintf(copy, sizeof copy, "_%.*s", READ_NAME_SIZE - 2, plain);
        join(copy, "", out_r);
    }
    free(plain);
    fb_buf_deinit(&text);
}

void read_name_numbered(const char *safe, unsigned n, char out_r[READ_NAME_SIZE])
{
    char between[16];
    (void)snprintf(between, sizeof between, " (%u)", n);
    join(safe, between, out_r);
}

static enum fb_status add_percent(struct fb_buf *out, const char *text, const char *plain)
{
    enum fb_status s = FB_OK;
    for (; *text != '\0' && s == FB_OK; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = c < 0x80 && (isalnum(c) || strchr(plain, c) != NULL);
        s = is_plain ? fb_buf_add_char(out, (char)c) : fb_buf_printf(out, "%%%02X", c);
    }
    return s;
}

enum fb_status read_name_disposition(const char *safe, struct fb_buf *out)
{
    enum fb_status s = fb_buf_add_str(out, "attachment; filename=\"");
    /* For programs that know only this form: one '_' for a character that is not ASCII. */
    for (const char *p = safe; *p != '\0' && s == FB_OK; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x80) {
            s = fb_buf_add_char(
                out, c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '%' ? (char)c : '_');
        } else if ((c & 0xc0) != 0x80) {
            s = fb_buf_add_char(out, '_');
        }
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(out, "\"; filename*=UTF-8''");
    }
    return s == FB_OK ? add_percent(out, safe, "!#$&+-.^_`|~") : s; /* attr-char of RFC 8187 */
}

enum fb_status read_name_url(const char *safe, struct fb_buf *out)
{
    return add_percent(out, safe, "-._~");
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (!isalnum(c) && strchr("!#$&-^_.+", c) == NULL)) {
            return false;
        }
    }
    return len > 0;
}

void read_name_type(const char *type, char out_r[READ_TYPE_SIZE])
{
    /* With nosniff, as an attachment and in a sandbox none of them runs; a saved file has its name all the same. */
    static const char *const active[] = {"html", "xml", "svg", "script", "xsl", "x-shockwave"};
    size_t len = strcspn(type, "; \t");
    size_t slash = strcspn(type, "/");
    bool is_good = len < READ_TYPE_SIZE && slash < len && is_token(type, slash) &&
                   is_token(type + slash + 1, len - slash - 1);
    char known[READ_TYPE_SIZE] = "application/octet-stream";
    if (is_good) {
        (void)snprintf(known, sizeof known, "%.*s", (int)len, type);
    }
    for (size_t i = 0; i < sizeof active / sizeof active[0]; i++) {
        is_good = is_good && strcasestr(known, active[i]) == NULL;
    }
    (void)snprintf(out_r, READ_TYPE_SIZE, "%s", is_good ? known : "application/octet-stream");
}
