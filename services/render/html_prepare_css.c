/* SPDX-License-Identifier: Apache-2.0
 *
 * A mail's style sheets: each selector is bound below our container (#fb-mail), so that no rule can
 * name the header block, which is what a reader trusts; <html> and <body> mean the elements that
 * stand in their place.  Only @media and @supports are known; @import, @font-face, @page,
 * @keyframes and all others are left out. */
#include <ctype.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

#define MAX_LEVELS 6
#define SCOPE      "#fb-mail " /* where h has none of its own */

static bool is_ident(uint8_t c)
{
    return isalnum(c) || c == '-' || c == '_' || c >= 0x80;
}

/* Behind the block whose '{' is at `open`. */
static size_t block_end(struct fb_slice css, size_t open)
{
    int level = 0;
    for (size_t at = open; (at = render_css_find(css, at, "{}")) < css.len; at++) {
        level += css.ptr[at] == '{' ? 1 : -1;
        if (level == 0) {
            return at + 1;
        }
    }
    return css.len;
}

/* Type selectors of the elements that our document has outside the container. */
static const char *own_name(struct fb_slice sel, size_t at, size_t end)
{
    struct fb_slice word = fb_slice_sub(sel, at, end - at);
    bool is_type = at == 0 || strchr(".#:[-", sel.ptr[at - 1]) == NULL;
    bool is_root = at > 0 && sel.ptr[at - 1] == ':' && (at < 2 || sel.ptr[at - 2] != ':');
    if (is_type && fb_slice_ieq_str(word, "body")) {
        return ".fb-body";
    }
    if (is_type && fb_slice_ieq_str(word, "html")) {
        return ".fb-html";
    }
    return is_root && fb_slice_ieq_str(word, "root") ? ".fb-html" : NULL;
}

/* One selector of a list; FB_NOT_FOUND when it is none that we let through. */
static enum fb_status put_selector(const struct render_html *h, struct fb_slice sel,
                                   struct fb_buf *out)
{
    if (sel.len == 0 || strchr(">+~|&", sel.ptr[0]) != NULL) {
        return FB_NOT_FOUND;
    }
    enum fb_status s = fb_buf_add_str(out, h->scope != NULL ? h->scope : SCOPE);
    for (size_t i = 0; i < sel.len && s == FB_OK;) {
        uint8_t c = sel.ptr[i];
        size_t end = i + 1;
        if (c == '\\') {
            end = i + 2 <= sel.len ? i + 2 : sel.len;
            s = end > i + 1 && sel.ptr[i + 1] != '<' ? fb_buf_add(out, sel.ptr + i, end - i)
                                                     : FB_NOT_FOUND;
        } else if (c == '"' || c == '\'' || c == '[') {
            end = c == '[' ? render_css_find(sel, i + 1, "]") : i + 1;
            while (c != '[' && end < sel.len && sel.ptr[end] != c) {
                end += sel.ptr[end] == '\\' ? 2 : 1;
            }
            end = end < sel.len ? end + 1 : sel.len;
            struct fb_slice text = fb_slice_sub(sel, i, end - i);
            bool is_whole = text.len > 1 && text.ptr[text.len - 1] == (c == '[' ? ']' : c);
            s = is_whole && memchr(text.ptr, '<', text.len) == NULL ? fb_buf_add_slice(out, text)
                                                                    : FB_NOT_FOUND;
        } else if (is_ident(c)) {
            while (end < sel.len && is_ident(sel.ptr[end])) {
                end++;
            }
            const char *own = own_name(sel, i, end);
            if (own != NULL && i > 0 && sel.ptr[i - 1] == ':') {
                out->len--; /* the ':' of :root */
            }
            s = own != NULL ? fb_buf_add_str(out, own) : fb_buf_add(out, sel.ptr + i, end - i);
        } else if (strchr(" .#:>+~*(),=|", c) != NULL) {
            s = fb_buf_add_char(out, (char)c);
        } else {
            s = FB_NOT_FOUND;
        }
        i = end;
    }
    return s;
}

/* The list, each part bound; nothing (FB_NOT_FOUND) when a part is not let through, as CSS itself
 * has it. */
static enum fb_status put_selectors(const struct render_html *h, struct fb_slice list,
                                    struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    for (size_t at = 0; s == FB_OK;) {
        size_t end = render_css_find(list, at, ",");
        s = put_selector(h, fb_slice_trim(fb_slice_sub(list, at, end - at)), out);
        if (end >= list.len) {
            break;
        }
        s = s == FB_OK ? fb_buf_add_char(out, ',') : s;
        at = end + 1;
    }
    return s;
}

static enum fb_status put_rule(struct render_html *h, struct fb_slice selectors,
                               struct fb_slice declarations, struct fb_buf *out)
{
    size_t mark = out->len;
    enum fb_status s = put_selectors(h, fb_slice_trim(selectors), out);
    s = s == FB_OK ? fb_buf_add_char(out, '{') : s;
    size_t begin = out->len;
    s = s == FB_OK ? render_css_declarations(h, declarations, out) : s;
    bool is_empty = out->len == begin;
    s = s == FB_OK ? fb_buf_add_str(out, "}\n") : s;
    if (s == FB_NOT_FOUND || (s == FB_OK && is_empty)) {
        out->len = mark;
        return FB_OK;
    }
    return s;
}

static bool is_condition(struct fb_slice prelude)
{
    for (size_t i = 0; i < prelude.len; i++) {
        if (!isalnum(prelude.ptr[i]) && strchr(" ():,.%/-_>=#*!", prelude.ptr[i]) == NULL) {
            return false;
        }
    }
    /* Paper is white: a style for dark screens would leave light text on it. */
    return fb_slice_find(prelude, FB_SLICE_LITERAL("dark")) == SIZE_MAX;
}

static enum fb_status put_rules(struct render_html *h, struct fb_slice css, int level,
                                struct fb_buf *out);

static enum fb_status put_at_rule(struct render_html *h, struct fb_slice prelude,
                                  struct fb_slice block, int level, struct fb_buf *out)
{
    bool is_known =
        (fb_slice_istarts(prelude, "@media") && prelude.len > 6 && !is_ident(prelude.ptr[6])) ||
        (fb_slice_istarts(prelude, "@supports") && prelude.len > 9 && !is_ident(prelude.ptr[9]));
    if (!is_known || level >= MAX_LEVELS || !is_condition(fb_slice_sub(prelude, 1, SIZE_MAX))) {
        return FB_OK;
    }
    enum fb_status s = fb_buf_add_slice(out, prelude);
    s = s == FB_OK ? fb_buf_add_char(out, '{') : s;
    s = s == FB_OK ? put_rules(h, block, level + 1, out) : s;
    return s == FB_OK ? fb_buf_add_str(out, "}\n") : s;
}

static enum fb_status put_rules(struct render_html *h, struct fb_slice css, int level,
                                struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    for (size_t at = 0; at < css.len && s == FB_OK;) {
        bool is_at = css.ptr[at] == '@';
        if (css.ptr[at] == ' ' || css.ptr[at] == '}' || css.ptr[at] == ';') {
            at++;
            continue;
        }
        size_t open = render_css_find(css, at, is_at ? ";{}" : "{}");
        if (open >= css.len || css.ptr[open] != '{') { /* a statement, or what a stray '}' ends */
            at = open < css.len ? open + 1 : open;
            continue;
        }
        size_t end = block_end(css, open);
        size_t close = css.ptr[end - 1] == '}' && end > open + 1 ? end - 1 : end;
        struct fb_slice prelude = fb_slice_trim(fb_slice_sub(css, at, open - at));
        struct fb_slice block = fb_slice_sub(css, open + 1, close - open - 1);
        s = is_at ? put_at_rule(h, prelude, block, level, out) : put_rule(h, prelude, block, out);
        at = end;
    }
    return s;
}

enum fb_status render_css_sheet(struct render_html *h, struct fb_slice css, struct fb_buf *out)
{
    struct fb_buf clean;
    fb_buf_init(&clean, css.len * 2 + 16);
    enum fb_status s = render_css_clean(css, &clean);
    s = s == FB_OK ? put_rules(h, fb_slice_buf(&clean), 0, out) : s;
    fb_buf_deinit(&clean);
    return s;
}
