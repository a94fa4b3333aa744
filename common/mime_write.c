/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mime_write.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/id.h"

#define LINE_MAX_CHARS 76

enum fb_status fb_mime_write_base64(struct fb_buf *out, struct fb_slice bytes)
{
    enum fb_status s = FB_OK;
    while (bytes.len > 0 && s == FB_OK) {
        struct fb_slice line = fb_slice_sub(bytes, 0, LINE_MAX_CHARS / 4 * 3);
        s = fb_base64_encode(line, out);
        if (s == FB_OK) {
            s = fb_buf_add_str(out, "\r\n");
        }
        bytes = fb_slice_sub(bytes, line.len, SIZE_MAX);
    }
    return s;
}

enum fb_status fb_mime_write_qp(struct fb_buf *out, struct fb_slice text)
{
    enum fb_status s = FB_OK;
    size_t column = 0;
    for (size_t i = 0; i < text.len && s == FB_OK; i++) {
        uint8_t c = text.ptr[i];
        bool is_line_end = c == '\n' || (c == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n');
        if (is_line_end) {
            i += c == '\r';
            column = 0;
            s = fb_buf_add_str(out, "\r\n");
            continue;
        }
        bool ends_line = i + 1 == text.len || text.ptr[i + 1] == '\n' || text.ptr[i + 1] == '\r';
        bool is_plain =
            (c >= 33 && c <= 126 && c != '=') || ((c == ' ' || c == '\t') && !ends_line);
        if (column + (is_plain ? 1 : 3) > LINE_MAX_CHARS - 1) {
            s = fb_buf_add_str(out, "=\r\n");
            column = 0;
        }
        if (s == FB_OK) {
            s = is_plain ? fb_buf_add_char(out, (char)c) : fb_buf_printf(out, "=%02X", c);
            column += is_plain ? 1 : 3;
        }
    }
    return s == FB_OK && column > 0 ? fb_buf_add_str(out, "\r\n") : s;
}

/* Mostly ASCII reads better, and compresses no worse, as quoted-printable. */
static bool is_mostly_ascii(struct fb_slice text)
{
    size_t high = 0;
    for (size_t i = 0; i < text.len; i++) {
        high += text.ptr[i] >= 0x80;
    }
    return high * 6 < text.len;
}

/* RFC 2045 6.8: base64 of text is base64 of its CRLF form. */
static enum fb_status write_base64_text(struct fb_buf *out, struct fb_slice text)
{
    struct fb_buf lines;
    enum fb_status s = FB_OK;
    fb_buf_init(&lines, text.len * 2 + 1);
    for (size_t i = 0; i < text.len && s == FB_OK; i++) {
        bool is_bare = text.ptr[i] == '\n' && (i == 0 || text.ptr[i - 1] != '\r');
        s = is_bare ? fb_buf_add_str(&lines, "\r\n") : fb_buf_add_char(&lines, (char)text.ptr[i]);
    }
    if (s == FB_OK) {
        s = fb_mime_write_base64(out, fb_slice_buf(&lines));
    }
    fb_buf_deinit(&lines);
    return s;
}

enum fb_status fb_mime_write_text(struct fb_buf *out, const char *subtype, struct fb_slice text)
{
    bool is_qp = is_mostly_ascii(text);
    enum fb_status s = fb_buf_printf(out,
                                     "Content-Type: text/%s; charset=utf-8\r\n"
                                     "Content-Transfer-Encoding: %s\r\n\r\n",
                                     subtype, is_qp ? "quoted-printable" : "base64");
    if (s == FB_OK) {
        s = is_qp ? fb_mime_write_qp(out, text) : write_base64_text(out, text);
    }
    return s;
}

/* Can it stand as it is?  A word that no line can hold (RFC 5322 2.1.1) is encoded, too. */
static bool is_ascii_text(const char *value)
{
    size_t word = 0;
    for (const char *p = value; *p != '\0'; p++) {
        word = *p == ' ' ? 0 : word + 1;
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f || word > 900) {
            return false;
        }
    }
    return strstr(value, "=?") == NULL;
}

/* The next piece of at most 39 bytes that ends between characters: 52 base64 characters, an
 * encoded-word of 64.  Only a run of stray continuation bytes is cut in the middle. */
static size_t piece_length(const char *value)
{
    size_t n = strlen(value);
    if (n <= 39) {
        return n;
    }
    n = 39;
    while (n > 1 && ((unsigned char)value[n] & 0xC0) == 0x80) {
        n--;
    }
    return n;
}

enum fb_status fb_mime_write_folded(struct fb_buf *out, const char *name, const char *value)
{
    enum fb_status s = fb_buf_printf(out, "%s:", name);
    size_t column = strlen(name) + 1;
    value += strspn(value, " \t\r\n");
    for (bool is_first = true; *value != '\0' && s == FB_OK; is_first = false) {
        size_t blank = strspn(value, " \t\r\n");
        size_t n = strcspn(value + blank, " \t\r\n");
        if (n == 0) {
            break;
        }
        if (!is_first && column + blank + n > LINE_MAX_CHARS) {
            s = fb_buf_add_str(out, "\r\n");
            column = 0;
        }
        /* blanks stay as they are, and none stays at a line's end */
        for (size_t i = 0; i < blank && s == FB_OK; i++) {
            s = value[i] == ' ' || value[i] == '\t' ? fb_buf_add_char(out, value[i]) : FB_OK;
        }
        if (s == FB_OK) {
            s = fb_buf_printf(out, is_first ? " %.*s" : "%.*s", (int)n, value + blank);
        }
        column += blank + n + is_first;
        value += blank + n;
    }
    return s == FB_OK ? fb_buf_add_str(out, "\r\n") : s;
}

enum fb_status fb_mime_write_field(struct fb_buf *out, const char *name, const char *value)
{
    if (is_ascii_text(value)) {
        return fb_mime_write_folded(out, name, value);
    }
    enum fb_status s = fb_buf_printf(out, "%s:", name);
    size_t column = strlen(name) + 1;
    bool is_first = true;
    while (*value != '\0' && s == FB_OK) {
        size_t n = piece_length(value);
        s = fb_buf_add_str(out, is_first && column < 12 ? " =?UTF-8?B?" : "\r\n =?UTF-8?B?");
        if (s == FB_OK) {
            s = fb_base64_encode(fb_slice_of(value, n), out);
        }
        if (s == FB_OK) {
            s = fb_buf_add_str(out, "?=");
        }
        is_first = false;
        value += n;
    }
    return s == FB_OK ? fb_buf_add_str(out, "\r\n") : s;
}

enum fb_status fb_mime_write_mailbox(struct fb_buf *out, const char *name, const char *display,
                                     const char *address)
{
    enum fb_status s = fb_buf_printf(out, "%s:", name);
    bool has_name = display != NULL && display[0] != '\0';
    bool is_quoted = has_name && is_ascii_text(display) && strpbrk(display, "\"\\") == NULL &&
                     strlen(display) < 60;
    if (s == FB_OK && is_quoted) {
        s = fb_buf_printf(out, " \"%s\"\r\n", display);
    }
    while (s == FB_OK && has_name && !is_quoted && *display != '\0') {
        size_t n = piece_length(display);
        s = fb_buf_add_str(out, " =?UTF-8?B?");
        if (s == FB_OK) {
            s = fb_base64_encode(fb_slice_of(display, n), out);
        }
        if (s == FB_OK) {
            s = fb_buf_add_str(out, "?=\r\n");
        }
        display += n;
    }
    return s == FB_OK ? fb_buf_printf(out, " <%s>\r\n", address) : s;
}

enum fb_status fb_mime_write_parameter(struct fb_buf *out, const char *name, const char *value)
{
    if (is_ascii_text(value) && strpbrk(value, "\"\\") == NULL && strlen(value) < 60) {
        return fb_buf_printf(out, ";\r\n %s=\"%s\"", name, value);
    }
    /* RFC 2231 continuations: each line at most 60 encoded characters. */
    enum fb_status s = FB_OK;
    for (int section = 0; *value != '\0' && s == FB_OK; section++) {
        s = fb_buf_printf(out, ";\r\n %s*%d*=%s", name, section, section == 0 ? "UTF-8''" : "");
        for (size_t column = 0; *value != '\0' && column < 48 && s == FB_OK; value++) {
            unsigned char c = (unsigned char)*value;
            bool is_plain =
                c < 0x80 &&
                strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) !=
                    NULL;
            s = is_plain ? fb_buf_add_char(out, (char)c) : fb_buf_printf(out, "%%%02X", c);
            column += is_plain ? 1 : 3;
        }
    }
    return s;
}

void fb_mime_boundary(char boundary[48])
{
    uint8_t bytes[16];
    char hex[33];
    fb_random(bytes, sizeof bytes);
    fb_hex(bytes, sizeof bytes, hex);
    (void)snprintf(boundary, 48, "=_fb_%s", hex);
}

void fb_mime_date(int64_t ms, char out[48])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(out, 48, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday % 7],
                   tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
}
