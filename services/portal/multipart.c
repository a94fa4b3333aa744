/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/shown.h"
#include "services/portal/form.h"

#define MAX_BOUNDARY  70 /* RFC 2046 5.1.1 */
#define MAX_DELIMITER (MAX_BOUNDARY + 5)
#define MAX_RAW_NAME  2048 /* a file name before it is tidied */
#define NAME_TAIL     40   /* of a name that is too long: its extension stays */
#define LETTERS       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS        "0123456789"
#define TOKEN         LETTERS DIGITS "!#$%&'*+-.^_`|~" /* RFC 9110 5.6.2 */
#define TYPE          LETTERS DIGITS "!#$&^_.+-"       /* RFC 6838 4.2 */
#define BOUNDARY      LETTERS DIGITS "'()+_,-./:=? "   /* RFC 2046 5.1.1 */

/* ---- header values with parameters ---- */

static size_t span(struct fb_slice s, const char *set)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] != '\0' && strchr(set, s.ptr[n]) != NULL) {
        n++;
    }
    return n;
}

static struct fb_slice skip(struct fb_slice s, size_t n)
{
    return fb_slice_sub(s, n, SIZE_MAX);
}

static bool starts(struct fb_slice s, char c)
{
    return s.len > 0 && s.ptr[0] == (uint8_t)c;
}

/* The next `; name=value` of *rest.  False at the end; is_bad_r when what is there is none.  In quotes a backslash is
 * itself: browsers write a quote as %22, and older ones sent whole paths of Windows. */
static bool next_parameter(struct fb_slice *rest, struct fb_slice *name_r, struct fb_slice *value_r,
                           bool *is_bad_r)
{
    struct fb_slice at = skip(*rest, span(*rest, " \t"));
    if (at.len == 0) {
        return false;
    }
    *is_bad_r = true;
    if (!starts(at, ';')) {
        return false;
    }
    at = skip(at, 1);
    at = skip(at, span(at, " \t"));
    size_t n = span(at, TOKEN);
    *name_r = fb_slice_sub(at, 0, n);
    at = skip(at, n);
    if (n == 0 || !starts(at, '=')) {
        return false;
    }
    at = skip(at, 1);
    if (starts(at, '"')) {
        at = skip(at, 1);
        size_t end = fb_slice_find(at, FB_SLICE_LITERAL("\""));
        if (end == SIZE_MAX) {
            return false;
        }
        *value_r = fb_slice_sub(at, 0, end);
        at = skip(at, end + 1);
    } else {
        n = span(at, TOKEN);
        *value_r = fb_slice_sub(at, 0, n);
        at = skip(at, n);
        if (n == 0) {
            return false;
        }
    }
    *is_bad_r = false;
    *rest = at;
    return true;
}

/* ---- the request's type ---- */

static const char form_type[] = "multipart/form-data";

bool multipart_is(const char *content_type)
{
    size_t len = sizeof form_type - 1;
    return content_type != NULL && strncasecmp(content_type, form_type, len) == 0 &&
           (content_type[len] == ';' || content_type[len] == ' ' || content_type[len] == '\0');
}

/* CRLF "--" boundary */
static enum fb_status make_delimiter(const char *content_type, char delimiter_r[MAX_DELIMITER],
                                     size_t *len_r)
{
    struct fb_slice rest = fb_slice_str(content_type);
    struct fb_slice name, value;
    bool is_bad = false;
    *len_r = 0;
    if (!multipart_is(content_type)) {
        return FB_INVALID;
    }
    rest = skip(rest, sizeof form_type - 1);
    while (next_parameter(&rest, &name, &value, &is_bad)) {
        if (!fb_slice_ieq_str(name, "boundary")) {
            continue;
        }
        bool is_good = *len_r == 0 && value.len > 0 && value.len <= MAX_BOUNDARY &&
                       span(value, BOUNDARY) == value.len && value.ptr[value.len - 1] != ' ';
        if (!is_good) {
            return FB_INVALID;
        }
        memcpy(delimiter_r, "\r\n--", 4);
        memcpy(delimiter_r + 4, value.ptr, value.len);
        *len_r = value.len + 4;
    }
    return is_bad || *len_r == 0 ? FB_INVALID : FB_OK;
}

/* ---- file names ---- */

/* What browsers encode in a name (WHATWG HTML 4.10.21.8); other per cent signs are the file's own. */
static enum fb_status decode_name(struct fb_slice raw, struct fb_buf *out)
{
    static const struct {
        const char *from;
        char to;
    } codes[] = {{"%22", '"'}, {"%0D", ' '}, {"%0A", ' '}, {"%0d", ' '}, {"%0a", ' '}};
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < raw.len && s == FB_OK; i++) {
        char c = (char)raw.ptr[i];
        for (size_t k = 0; k < sizeof codes / sizeof codes[0]; k++) {
            if (fb_slice_eq_str(fb_slice_sub(raw, i, 3), codes[k].from)) {
                c = codes[k].to;
                i += 2;
                break;
            }
        }
        s = c == '/' || c == '\\' ? (fb_buf_clear(out), FB_OK) : fb_buf_add_char(out, c);
    }
    return s;
}

static void replace_high(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (unsigned char)*text >= 0x80 ? '_' : *text;
    }
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0U) == 0x80;
}

/* At most MULTIPART_MAX_NAME bytes: its beginning and its end, cut between characters. */
static void shorten(const char *name, size_t len, char out[MULTIPART_MAX_NAME + 1])
{
    if (len <= MULTIPART_MAX_NAME) {
        memcpy(out, name, len);
        out[len] = '\0';
        return;
    }
    size_t tail = len - NAME_TAIL;
    size_t head = MULTIPART_MAX_NAME - NAME_TAIL;
    while (tail < len && is_continuation(name[tail])) {
        tail++;
    }
    while (head > 0 && is_continuation(name[head])) {
        head--;
    }
    memcpy(out, name, head);
    memcpy(out + head, name + tail, len - tail);
    out[head + len - tail] = '\0';
}

static enum fb_status tidy_name(struct fb_slice raw, char out[MULTIPART_MAX_NAME + 1])
{
    struct fb_buf plain, shown;
    fb_buf_init(&plain, MAX_RAW_NAME);
    fb_buf_init(&shown, MAX_RAW_NAME);
    enum fb_status s = decode_name(raw, &plain);
    if (s == FB_OK && plain.len > 0) {
        char *text = (char *)plain.ptr; /* no NUL in it: read_head */
        if (!form_is_utf8(text)) {
            replace_high(text);
        }
        s = fb_shown_add(&shown, text, false);
    }
    if (s == FB_OK) {
        struct fb_slice name = fb_slice_trim(fb_slice_buf(&shown));
        while (name.len > 0 && (name.ptr[name.len - 1] == '.' || name.ptr[name.len - 1] == ' ')) {
            name.len--;
        }
        shorten(name.len > 0 ? (const char *)name.ptr : "", name.len, out);
    }
    fb_buf_deinit(&plain);
    fb_buf_deinit(&shown);
    return s == FB_OK ? FB_OK : FB_INVALID;
}

/* ---- one part ---- */

static enum fb_status take_disposition(struct fb_slice value, struct multipart_part *part)
{
    struct fb_slice name, given;
    bool is_bad = false;
    size_t n = span(value, TOKEN);
    if (!fb_slice_ieq_str(fb_slice_sub(value, 0, n), "form-data") || part->name.ptr != NULL) {
        return FB_INVALID;
    }
    struct fb_slice rest = skip(value, n);
    while (next_parameter(&rest, &name, &given, &is_bad)) {
        if (fb_slice_ieq_str(name, "name")) {
            if (part->name.ptr != NULL) {
                return FB_INVALID;
            }
            part->name = given;
        } else if (fb_slice_ieq_str(name, "filename")) {
            if (part->is_file || tidy_name(given, part->file_name) != FB_OK) {
                return FB_INVALID;
            }
            part->is_file = true;
        } /* RFC 7578 4.2: no filename*; what else there is means nothing to us */
    }
    return is_bad || part->name.ptr == NULL ? FB_INVALID : FB_OK;
}

static void take_type(struct fb_slice value, struct multipart_part *part)
{
    size_t end = fb_slice_find(value, FB_SLICE_LITERAL(";"));
    struct fb_slice type = fb_slice_trim(fb_slice_sub(value, 0, end));
    size_t main = span(type, TYPE);
    bool is_good = main > 0 && main + 1 < type.len && type.ptr[main] == '/' &&
                   span(skip(type, main + 1), TYPE) == type.len - main - 1 &&
                   type.len <= MULTIPART_MAX_TYPE;
    if (is_good) {
        memcpy(part->type, type.ptr, type.len);
        part->type[type.len] = '\0';
    }
}

static enum fb_status take_line(struct fb_slice line, struct multipart_part *part)
{
    size_t n = span(line, TOKEN);
    if (n == 0 || n >= line.len || line.ptr[n] != ':') {
        return FB_INVALID; /* a folded line, too: no browser writes one */
    }
    struct fb_slice name = fb_slice_sub(line, 0, n);
    struct fb_slice value = fb_slice_trim(skip(line, n + 1));
    if (fb_slice_ieq_str(name, "Content-Disposition")) {
        return take_disposition(value, part);
    }
    if (fb_slice_ieq_str(name, "Content-Type")) {
        take_type(value, part);
    } else if (fb_slice_ieq_str(name, "Content-Transfer-Encoding") &&
               !fb_slice_ieq_str(value, "binary") && !fb_slice_ieq_str(value, "8bit") &&
               !fb_slice_ieq_str(value, "7bit")) {
        return FB_INVALID; /* deprecated (RFC 7578 4.7), and not to be taken for the content */
    }
    return FB_OK;
}

/* From behind the delimiter's CRLF to the content. */
static enum fb_status read_head(struct fb_slice part, struct multipart_part *part_r,
                                size_t *content_r)
{
    struct fb_slice head = fb_slice_sub(part, 0, MULTIPART_MAX_HEAD);
    size_t at = 0;
    for (;;) {
        struct fb_slice rest = skip(head, at);
        size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n"));
        if (end == SIZE_MAX) {
            return FB_INVALID;
        }
        struct fb_slice line = fb_slice_sub(rest, 0, end);
        at += end + 2;
        if (end == 0) {
            break;
        }
        if (memchr(line.ptr, '\0', line.len) != NULL || memchr(line.ptr, '\r', line.len) != NULL ||
            memchr(line.ptr, '\n', line.len) != NULL || take_line(line, part_r) != FB_OK) {
            return FB_INVALID;
        }
    }
    *content_r = at;
    return part_r->name.ptr != NULL ? FB_OK : FB_INVALID;
}

/* ---- the form ---- */

/* What stands behind a delimiter: CRLF before another part, "--" at the end. */
static bool is_last(struct fb_slice rest)
{
    bool ends = rest.len >= 2 && rest.ptr[0] == '-' && rest.ptr[1] == '-';
    return ends && (rest.len == 2 || fb_slice_eq_str(skip(rest, 2), "\r\n"));
}

enum fb_status multipart_parse(const char *content_type, struct fb_slice body,
                               struct multipart *form)
{
    char text[MAX_DELIMITER];
    size_t len = 0;
    form->count = 0;
    if (make_delimiter(content_type, text, &len) != FB_OK) {
        return FB_INVALID;
    }
    struct fb_slice delimiter = fb_slice_of(text, len);
    struct fb_slice first = skip(delimiter, 2); /* nothing stands before it, not even its CRLF */
    if (body.len < first.len || !fb_slice_eq(fb_slice_sub(body, 0, first.len), first)) {
        return FB_INVALID;
    }
    struct fb_slice rest = skip(body, first.len);
    while (!is_last(rest)) {
        struct multipart_part *part = &form->parts[form->count];
        size_t content = 0;
        if (form->count == MULTIPART_MAX_PARTS) {
            return FB_TOO_BIG;
        }
        if (rest.len < 2 || rest.ptr[0] != '\r' || rest.ptr[1] != '\n') {
            return FB_INVALID;
        }
        memset(part, 0, sizeof *part);
        rest = skip(rest, 2);
        enum fb_status s = read_head(rest, part, &content);
        if (s != FB_OK) {
            return s;
        }
        /* The CRLF of an empty content's delimiter is the one that ends the header. */
        struct fb_slice from = skip(rest, content - 2);
        size_t end = fb_slice_find(from, delimiter);
        if (end == SIZE_MAX) {
            return FB_INVALID;
        }
        part->content = end >= 2 ? fb_slice_sub(from, 2, end - 2) : fb_slice_sub(from, 2, 0);
        rest = skip(from, end + delimiter.len);
        form->count++;
    }
    return FB_OK;
}

const struct multipart_part *multipart_find(const struct multipart *form, const char *name)
{
    const struct multipart_part *found = NULL;
    for (size_t i = 0; i < form->count; i++) {
        if (fb_slice_eq_str(form->parts[i].name, name)) {
            if (found != NULL) {
                return NULL;
            }
            found = &form->parts[i];
        }
    }
    return found;
}
