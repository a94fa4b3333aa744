/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner, and what is made with it.  Every byte is looked at a fixed number of times: an open
 * quote or comment takes the rest of the document instead of being tried again.
 */
#include "services/render/html_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/plan.h"
#include "services/render/charset.h"
#include "services/render/html_entities.h"

enum html_token_kind { HTML_TEXT, HTML_START, HTML_END, HTML_OTHER };

struct html_token {
    enum html_token_kind kind;
    struct fb_slice whole;
    struct fb_slice name;       /* of a tag, as written */
    struct fb_slice attributes; /* behind the name, without the last '>' */
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of the tag at s, with its '>'; a quote counts only behind '='. */
static size_t tag_length(struct fb_slice s)
{
    uint8_t quote = 0;
    bool after_equals = false;
    for (size_t i = 1; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '>') {
            return i + 1;
        } else if (after_equals && (c == '"' || c == '\'')) {
            quote = c;
        }
        after_equals = c == '=' || (after_equals && is_space(c));
    }
    return s.len;
}

/* Length up to and with the end tag of a raw text element whose start tag is `from` bytes long. */
static size_t raw_text_length(struct fb_slice s, size_t from, struct fb_slice name)
{
    for (size_t i = from; i + 2 + name.len <= s.len; i++) {
        const uint8_t *lt = memchr(s.ptr + i, '<', s.len - i);
        if (lt == NULL) {
            break;
        }
        i = (size_t)(lt - s.ptr);
        if (i + 2 + name.len <= s.len && s.ptr[i + 1] == '/' &&
            strncasecmp((const char *)s.ptr + i + 2, (const char *)name.ptr, name.len) == 0) {
            return i + tag_length(fb_slice_sub(s, i, s.len));
        }
    }
    return s.len;
}

static size_t declaration_length(struct fb_slice s)
{
    if (s.len >= 4 && memcmp(s.ptr, "<!--", 4) == 0) {
        if (s.len > 4 && s.ptr[4] == '>') {
            return 5;
        }
        size_t end = fb_slice_find(fb_slice_sub(s, 4, s.len), FB_SLICE_LITERAL("-->"));
        return end == SIZE_MAX ? s.len : end + 7;
    }
    const uint8_t *gt = memchr(s.ptr, '>', s.len);
    return gt != NULL ? (size_t)(gt - s.ptr) + 1 : s.len;
}

static bool is_raw_text(struct fb_slice name)
{
    return fb_slice_ieq_str(name, "script") || fb_slice_ieq_str(name, "style") ||
           fb_slice_ieq_str(name, "title") || fb_slice_ieq_str(name, "textarea") ||
           fb_slice_ieq_str(name, "iframe") || fb_slice_ieq_str(name, "xmp");
}

static size_t read_tag(struct fb_slice s, struct html_token *t)
{
    size_t from = s.ptr[1] == '/' ? 2 : 1;
    size_t n = from;
    while (n < s.len && !is_space(s.ptr[n]) && s.ptr[n] != '>' && s.ptr[n] != '/') {
        n++;
    }
    t->kind = from == 2 ? HTML_END : HTML_START;
    t->name = fb_slice_sub(s, from, n - from);
    size_t length = tag_length(s);
    t->attributes = fb_slice_sub(s, n, length > n ? length - n - 1 : 0);
    if (t->kind == HTML_START && is_raw_text(t->name)) {
        t->kind = HTML_OTHER;
        length = raw_text_length(s, length, t->name);
    }
    return length;
}

/* Takes the next token off *rest; false at the end.  Script and style come with their content as
 * HTML_OTHER. */
static bool next_token(struct fb_slice *rest, struct html_token *t_r)
{
    struct fb_slice s = *rest;
    size_t n = 0;
    *t_r = (struct html_token){.kind = HTML_TEXT};
    if (s.len == 0) {
        return false;
    }
    uint8_t next = s.len > 1 ? s.ptr[1] : 0;
    bool is_end = next == '/' && s.len > 2 && is_letter(s.ptr[2]);
    if (s.ptr[0] == '<' && (is_letter(next) || is_end)) {
        n = read_tag(s, t_r);
    } else if (s.ptr[0] == '<' && (next == '!' || next == '?' || next == '/')) {
        t_r->kind = HTML_OTHER;
        n = declaration_length(s);
    } else {
        const uint8_t *lt = s.len > 1 ? memchr(s.ptr + 1, '<', s.len - 1) : NULL;
        n = lt != NULL ? (size_t)(lt - s.ptr) : s.len;
    }
    t_r->whole = fb_slice_sub(s, 0, n);
    *rest = fb_slice_sub(s, n, s.len);
    return true;
}

static bool is_block(struct fb_slice name)
{
    static const char *const names[] = {
        "p",          "div", "br", "tr",    "li",      "ul",      "ol",      "table",
        "h1",         "h2",  "h3", "h4",    "h5",      "h6",      "pre",     "hr",
        "blockquote", "dt",  "dd", "body",  "section", "article", "header",  "footer",
        "center",     "td",  "th", "title", "address", "option",  "caption", "legend"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (fb_slice_ieq_str(name, names[i])) {
            return true;
        }
    }
    return false;
}

struct writer {
    struct fb_buf *out;
    size_t line_start; /* where the output of this call began */
    bool wants_blank;
    bool wants_line;
};

static enum fb_status put(struct writer *w, const uint8_t *bytes, size_t len)
{
    enum fb_status status = FB_OK;
    if (w->out->len > w->line_start && (w->wants_line || w->wants_blank)) {
        status = fb_buf_add_char(w->out, w->wants_line ? '\n' : ' ');
    }
    w->wants_line = false;
    w->wants_blank = false;
    return status == FB_OK ? fb_buf_add(w->out, bytes, len) : status;
}

static enum fb_status put_text(struct writer *w, struct fb_slice s)
{
    enum fb_status status = FB_OK;
    size_t i = 0;
    while (i < s.len && status == FB_OK) {
        if (is_space(s.ptr[i])) {
            w->wants_blank = true;
            i++;
            continue;
        }
        if (s.ptr[i] == '&') {
            uint8_t utf8[8];
            size_t n = 0;
            size_t used = html_entity_read(fb_slice_sub(s, i, s.len), utf8, &n);
            if (used > 0 && n == 2 && memcmp(utf8, "\xC2\xA0", 2) == 0) {
                w->wants_blank = true; /* &nbsp; */
                i += used;
                continue;
            }
            status = used > 0 ? put(w, utf8, n) : put(w, s.ptr + i, 1);
            i += used > 0 ? used : 1;
            continue;
        }
        size_t run = i;
        while (run < s.len && !is_space(s.ptr[run]) && s.ptr[run] != '&') {
            run++;
        }
        status = put(w, s.ptr + i, run - i);
        i = run;
    }
    return status;
}

enum fb_status html_text_add(struct fb_slice html, struct fb_buf *out)
{
    struct writer w = {.out = out, .line_start = out->len};
    struct html_token t;
    enum fb_status status = FB_OK;
    while (status == FB_OK && next_token(&html, &t)) {
        if (t.kind == HTML_TEXT) {
            status = put_text(&w, t.whole);
        } else if ((t.kind == HTML_START || t.kind == HTML_END) && is_block(t.name)) {
            w.wants_line = true;
        }
    }
    return status == FB_TOO_BIG ? FB_OK : status;
}

bool html_text_has_content(struct fb_slice html)
{
    struct html_token t;
    while (next_token(&html, &t)) {
        if (t.kind == HTML_START &&
            (fb_slice_ieq_str(t.name, "img") || fb_slice_ieq_str(t.name, "svg"))) {
            return true;
        }
        if (t.kind == HTML_TEXT) {
            struct fb_buf probe;
            fb_buf_init(&probe, 16);
            struct writer w = {.out = &probe};
            enum fb_status status = put_text(&w, fb_slice_sub(t.whole, 0, 4096));
            bool has_text = probe.len > 0 || status == FB_TOO_BIG;
            fb_buf_deinit(&probe);
            if (has_text || fb_slice_trim(t.whole).len > 4096) {
                return true;
            }
        }
    }
    return false;
}

/* Copies what follows "charset=" in s. */
static bool copy_charset(struct fb_slice s, char *charset, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i + 7 < s.len; i++) {
        if (!fb_slice_istarts(fb_slice_sub(s, i, 7), "charset")) {
            continue;
        }
        i += 7;
        while (i < s.len && (is_space(s.ptr[i]) || strchr("='\"", s.ptr[i]) != NULL)) {
            i++;
        }
        while (i < s.len && n + 1 < size &&
               (is_letter(s.ptr[i]) || strchr("0123456789-_.:", s.ptr[i]) != NULL)) {
            if (s.ptr[i] == '\0') {
                break;
            }
            charset[n++] = (char)s.ptr[i++];
        }
        charset[n] = '\0';
        return n > 0;
    }
    return false;
}

void html_text_charset(struct fb_slice bytes, char *charset, size_t size)
{
    struct fb_slice s = fb_slice_sub(bytes, 0, 4096);
    struct html_token t;
    charset[0] = '\0';
    if (s.len >= 3 && memcmp(s.ptr, "\xEF\xBB\xBF", 3) == 0) {
        (void)snprintf(charset, size, "utf-8");
        return;
    }
    while (next_token(&s, &t)) {
        if (t.kind == HTML_START && fb_slice_ieq_str(t.name, "meta") &&
            copy_charset(t.attributes, charset, size)) {
            if (strncasecmp(charset, "utf-16", 6) == 0) {
                (void)snprintf(charset, size, "utf-8"); /* readable as ASCII: it cannot be UTF-16 */
            }
            return;
        }
        charset[0] = '\0';
    }
}

enum fb_status html_text_from_plain(struct fb_slice text, struct fb_buf *out)
{
    enum fb_status status =
        fb_buf_add_str(out, "<pre style=\"white-space:pre-wrap;font-family:inherit\">");
    for (size_t i = 0; i < text.len && status == FB_OK; i++) {
        switch (text.ptr[i]) {
        case '&':
            status = fb_buf_add_str(out, "&amp;");
            break;
        case '<':
            status = fb_buf_add_str(out, "&lt;");
            break;
        case '>':
            status = fb_buf_add_str(out, "&gt;");
            break;
        default:
            status = fb_buf_add(out, text.ptr + i, 1);
            break;
        }
    }
    return status == FB_OK ? fb_buf_add_str(out, "</pre>") : status;
}

/* Where does the content begin: behind the first <body>, else behind </head> or what else stands in
 * front of text? */
static size_t content_at(struct fb_slice html, size_t *head_r)
{
    struct fb_slice rest = html;
    struct html_token t;
    size_t at = 0;
    bool in_front = true;
    *head_r = SIZE_MAX;
    while (next_token(&rest, &t)) {
        size_t end = (size_t)(rest.ptr - html.ptr);
        bool is_head = fb_slice_ieq_str(t.name, "head");
        if (t.kind == HTML_START && fb_slice_ieq_str(t.name, "body")) {
            return end;
        }
        if (t.kind == HTML_START && is_head && *head_r == SIZE_MAX) {
            *head_r = end;
        }
        bool is_frame = is_head || fb_slice_ieq_str(t.name, "html") ||
                        fb_slice_ieq_str(t.name, "meta") || fb_slice_ieq_str(t.name, "link") ||
                        fb_slice_ieq_str(t.name, "base");
        bool is_blank = t.kind == HTML_TEXT && fb_slice_trim(t.whole).len == 0;
        in_front = in_front && (t.kind == HTML_OTHER || is_frame || is_blank);
        at = in_front || (t.kind == HTML_END && is_head) ? end : at;
    }
    return at;
}

enum fb_status html_keep(struct fb_slice html, struct fb_buf *out)
{
    size_t head = SIZE_MAX;
    size_t mark = content_at(html, &head);
    struct fb_slice rest = html;
    struct html_token t;
    char charset[40];
    bool is_marked = false;
    size_t at = 0;
    enum fb_status status = mark == 0 ? fb_buf_add_str(out, FB_PLAN_MARK) : FB_OK;
    is_marked = mark == 0;
    while (status == FB_OK && next_token(&rest, &t)) {
        bool is_charset = t.kind == HTML_START && fb_slice_ieq_str(t.name, "meta") &&
                          copy_charset(t.attributes, charset, sizeof charset);
        status = is_charset ? FB_OK : fb_buf_add_slice(out, t.whole);
        at += t.whole.len;
        if (status == FB_OK && at == head) {
            status = fb_buf_add_str(out, "<meta charset=\"utf-8\">");
        }
        if (status == FB_OK && !is_marked && at >= mark) {
            status = fb_buf_add_str(out, FB_PLAN_MARK);
            is_marked = true;
        }
    }
    return status;
}
