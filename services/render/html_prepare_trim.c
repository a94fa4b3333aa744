/* SPDX-License-Identifier: Apache-2.0
 *
 * One linear pass over the mail's HTML before gumbo sees it: 100,000 nested elements, 200,000
 * attributes or formatting that is opened again in every paragraph cost a parser quadratic time and
 * memory.
 *
 * It keeps a stack of what is probably open, with HTML's rules for end tags that may be missing and
 * for the borders that an end tag does not cross (HTML living standard, 13.2.4.2), so that 5,000
 * rows without end tags are not 5,000 levels.  Where it errs only tags are lost, never text. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

#define MAX_NAME       32
#define MAX_VALUE      65536 /* of an attribute that is no image */
#define MAX_FORMATTING 50    /* <font>, <b>... open at once; more are dropped */
#define MAX_REOPENED                                                                               \
    1000000 /* formatting elements that the parser has to open again, all in all                   \
             */

enum kind { KIND_NONE, KIND_VOID, KIND_FORMAT, KIND_CELL, KIND_TABLE, KIND_RAW, KIND_UNWRAP };

static const struct {
    const char *name;
    enum kind kind;
} known[] = {
    {"area", KIND_VOID},       {"base", KIND_VOID},        {"br", KIND_VOID},
    {"col", KIND_VOID},        {"embed", KIND_VOID},       {"hr", KIND_VOID},
    {"img", KIND_VOID},        {"input", KIND_VOID},       {"link", KIND_VOID},
    {"meta", KIND_VOID},       {"param", KIND_VOID},       {"source", KIND_VOID},
    {"track", KIND_VOID},      {"wbr", KIND_VOID},         {"b", KIND_FORMAT},
    {"big", KIND_FORMAT},      {"code", KIND_FORMAT},      {"em", KIND_FORMAT},
    {"font", KIND_FORMAT},     {"i", KIND_FORMAT},         {"s", KIND_FORMAT},
    {"small", KIND_FORMAT},    {"strike", KIND_FORMAT},    {"strong", KIND_FORMAT},
    {"tt", KIND_FORMAT},       {"u", KIND_FORMAT},         {"td", KIND_CELL},
    {"th", KIND_CELL},         {"caption", KIND_CELL},     {"table", KIND_TABLE},
    {"script", KIND_RAW},      {"iframe", KIND_RAW},       {"noembed", KIND_RAW},
    {"noframes", KIND_RAW},    {"xmp", KIND_RAW},          {"title", KIND_RAW},
    {"textarea", KIND_UNWRAP}, {"plaintext", KIND_UNWRAP}, {"frameset", KIND_UNWRAP},
    {"template", KIND_UNWRAP}, {"select", KIND_UNWRAP},
};

struct open {
    char name[MAX_NAME];
    enum kind kind;
    int formatting; /* what was open outside: a cell begins anew */
};

struct trim {
    struct fb_slice in;
    size_t at;
    struct fb_buf *out;
    size_t elements, reopened;
    int depth, formatting;
    struct open stack[RENDER_HTML_DEPTH];
};

struct tag {
    char name[MAX_NAME];
    enum kind kind;
    bool is_end;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct fb_slice rest_at(const struct trim *t, size_t at)
{
    return fb_slice_sub(t->in, at, SIZE_MAX);
}

static size_t find_from(const struct trim *t, size_t from, const char *needle)
{
    size_t n = fb_slice_find(rest_at(t, from), fb_slice_str(needle));
    return n == SIZE_MAX ? SIZE_MAX : from + n;
}

/* Behind the comment that begins at `lt`: "-->", and "--!>", as the standard has it. */
static size_t comment_end(const struct trim *t, size_t lt)
{
    size_t at = lt + 2;
    while ((at = find_from(t, at, "--")) != SIZE_MAX) {
        struct fb_slice after = rest_at(t, at + 2);
        if (fb_slice_istarts(after, ">")) {
            return at + 3;
        }
        if (fb_slice_istarts(after, "!>") && at >= lt + 4) {
            return at + 4;
        }
        at++;
    }
    return t->in.len;
}

/* Offset of "</name" behind `from`, or the end. */
static size_t find_end_tag(const struct trim *t, size_t from, const char *name)
{
    size_t n = strlen(name);
    while ((from = find_from(t, from, "</")) != SIZE_MAX) {
        struct fb_slice rest = rest_at(t, from + 2);
        if (fb_slice_istarts(rest, name) && (rest.len == n || !isalnum(rest.ptr[n]))) {
            return from;
        }
        from += 2;
    }
    return t->in.len;
}

/* Behind the value that begins at `at`. */
static size_t value_end(const struct trim *t, size_t at)
{
    if (at < t->in.len && (t->in.ptr[at] == '"' || t->in.ptr[at] == '\'')) {
        const uint8_t *quote = memchr(t->in.ptr + at + 1, t->in.ptr[at], t->in.len - at - 1);
        return quote != NULL ? (size_t)(quote - t->in.ptr) + 1 : t->in.len;
    }
    while (at < t->in.len && !is_space(t->in.ptr[at]) && t->in.ptr[at] != '>') {
        at++;
    }
    return at;
}

static size_t skip_space(const struct trim *t, size_t at)
{
    while (at < t->in.len && is_space(t->in.ptr[at])) {
        at++;
    }
    return at;
}

/* One attribute at `at`; behind it. */
static size_t attribute_end(const struct trim *t, size_t at, size_t *name_end_r)
{
    size_t end = at + 1; /* a name may begin with '=' */
    while (end < t->in.len && !is_space(t->in.ptr[end]) && strchr("/>=", t->in.ptr[end]) == NULL) {
        end++;
    }
    *name_end_r = end;
    size_t next = skip_space(t, end);
    if (next < t->in.len && t->in.ptr[next] == '=') {
        return value_end(t, skip_space(t, next + 1));
    }
    return end;
}

static bool is_value_too_long(struct fb_slice name, size_t length)
{
    bool is_image = fb_slice_ieq_str(name, "src") || fb_slice_ieq_str(name, "background") ||
                    fb_slice_ieq_str(name, "style");
    return length > (is_image ? RENDER_HTML_DATA_URL : MAX_VALUE);
}

/* Copies the attributes behind a tag's name; *end_r is behind its ">", or the end. */
static enum fb_status copy_attributes(struct trim *t, size_t at, bool is_wanted, size_t *end_r)
{
    enum fb_status s = FB_OK;
    int count = 0;
    for (;;) {
        while (at < t->in.len && (is_space(t->in.ptr[at]) || t->in.ptr[at] == '/')) {
            at++;
        }
        if (at >= t->in.len || t->in.ptr[at] == '>') {
            break;
        }
        size_t name_end = 0;
        size_t end = attribute_end(t, at, &name_end);
        struct fb_slice name = fb_slice_sub(t->in, at, name_end - at);
        if (is_wanted && s == FB_OK && count < RENDER_HTML_ATTRIBUTES &&
            !is_value_too_long(name, end - at)) {
            s = fb_buf_add_char(t->out, ' ');
            s = s == FB_OK ? fb_buf_add_slice(t->out, fb_slice_sub(t->in, at, end - at)) : s;
            count++;
        }
        at = end;
    }
    *end_r = at < t->in.len ? at + 1 : t->in.len;
    return s;
}

static bool is_named(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const table_parts[] = {"table", "tr",    "td",      "th",       "tbody",
                                          "thead", "tfoot", "caption", "colgroup", NULL};

/* What its own kind, or the start of another, closes without an end tag. */
static const char *const closed_by_li[] = {"li", NULL};
static const char *const closed_by_cell[] = {"td", "th", "caption", "colgroup", NULL};
static const char *const closed_by_row[] = {"tr", "td", "th", "caption", "colgroup", NULL};
static const char *const closed_by_body[] = {"tr",    "td",    "th",    "caption", "colgroup",
                                             "tbody", "thead", "tfoot", NULL};
static const char *const closed_by_term[] = {"dt", "dd", NULL};
static const char *const closed_by_option[] = {"option", NULL};
static const char *const closed_by_block[] = {"p", NULL};
static const char *const inline_names[] = {"span", "a",      "b",    "i",     "u",   "s",
                                           "em",   "strong", "font", "small", "big", "code",
                                           "tt",   "strike", "nobr", "sub",   "sup", "label",
                                           "cite", "q",      "abbr", "time",  "o:p", NULL};

static const char *const *closes(const char *name)
{
    static const struct {
        const char *name;
        const char *const *closed;
    } rules[] = {
        {"li", closed_by_li},         {"td", closed_by_cell},     {"th", closed_by_cell},
        {"tr", closed_by_row},        {"tbody", closed_by_body},  {"thead", closed_by_body},
        {"tfoot", closed_by_body},    {"dt", closed_by_term},     {"dd", closed_by_term},
        {"option", closed_by_option}, {"caption", closed_by_cell}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(name, rules[i].name) == 0) {
            return rules[i].closed;
        }
    }
    return is_named(name, inline_names) ? NULL : closed_by_block;
}

static void pop_to(struct trim *t, int level)
{
    while (t->depth > level) {
        const struct open *o = &t->stack[--t->depth];
        if (o->kind == KIND_CELL) {
            t->formatting = o->formatting;
        }
    }
}

/* Closes the outermost open element of `list` that no border hides. */
static void close_implied(struct trim *t, const char *const *list, bool is_table_part)
{
    int level = -1;
    for (int i = t->depth - 1; i >= 0; i--) {
        const struct open *o = &t->stack[i];
        if (is_named(o->name, list)) {
            level = i;
            if (!is_table_part) {
                break;
            }
        } else if (o->kind == KIND_TABLE || (o->kind == KIND_CELL && !is_table_part)) {
            break;
        } else if (!is_table_part &&
                   (strcmp(o->name, "ul") == 0 || strcmp(o->name, "ol") == 0 ||
                    strcmp(o->name, "dl") == 0 || strcmp(o->name, "button") == 0)) {
            break;
        }
    }
    if (level >= 0) {
        pop_to(t, level);
    }
}

/* False when the end tag is to be left out. */
static bool on_end_tag(struct trim *t, const struct tag *tag)
{
    if (strcmp(tag->name, "form") == 0 &&
        (t->depth == 0 || strcmp(t->stack[t->depth - 1].name, "form") != 0)) {
        return false; /* it would close nothing else that is open in it */
    }
    bool is_table_part = is_named(tag->name, table_parts);
    if (tag->kind == KIND_FORMAT && t->formatting > 0) {
        t->formatting--;
    }
    for (int i = t->depth - 1; i >= 0; i--) {
        const struct open *o = &t->stack[i];
        if (strcmp(o->name, tag->name) == 0) {
            pop_to(t, i);
            return true;
        }
        if (o->kind == KIND_TABLE || (o->kind == KIND_CELL && !is_table_part)) {
            return true;
        }
    }
    return true;
}

/* False when the start tag is to be left out. */
static bool on_start_tag(struct trim *t, const struct tag *tag)
{
    const char *const *closed = closes(tag->name);
    if (closed != NULL) {
        close_implied(t, closed, is_named(tag->name, table_parts));
    }
    if (tag->kind == KIND_VOID) {
        return true;
    }
    bool is_link = strcmp(tag->name, "a") == 0 || strcmp(tag->name, "nobr") == 0;
    if (is_link && t->depth > 0 && strcmp(t->stack[t->depth - 1].name, tag->name) == 0) {
        pop_to(t, t->depth - 1); /* the next one closes it */
    }
    if (t->depth >= RENDER_HTML_DEPTH ||
        (tag->kind == KIND_FORMAT && t->formatting >= MAX_FORMATTING)) {
        return false;
    }
    struct open *o = &t->stack[t->depth++];
    memcpy(o->name, tag->name, sizeof o->name);
    o->kind = tag->kind;
    o->formatting = t->formatting;
    if (tag->kind == KIND_CELL) {
        t->formatting = 0;
    } else if (tag->kind == KIND_FORMAT) {
        t->formatting++;
    } else {
        t->reopened += (size_t)t->formatting;
    }
    return true;
}

/* The tag's name at `at`; behind it. */
static size_t read_name(const struct trim *t, size_t at, struct tag *tag)
{
    size_t end = at;
    while (end < t->in.len && !is_space(t->in.ptr[end]) && t->in.ptr[end] != '/' &&
           t->in.ptr[end] != '>') {
        end++;
    }
    size_t n = end - at < MAX_NAME - 1 ? end - at : MAX_NAME - 1;
    for (size_t i = 0; i < n; i++) {
        tag->name[i] = (char)tolower(t->in.ptr[at + i]);
    }
    tag->name[n] = '\0';
    tag->kind = KIND_NONE;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(tag->name, known[i].name) == 0) {
            tag->kind = known[i].kind;
        }
    }
    return end;
}

static enum fb_status put_tag(struct trim *t, const struct tag *tag, size_t name_end,
                              bool is_wanted)
{
    size_t mark = t->out->len;
    size_t end = 0;
    enum fb_status s = FB_OK;
    if (is_wanted) {
        s = fb_buf_printf(t->out, "<%s%s", tag->is_end ? "/" : "", tag->name);
    }
    s = s == FB_OK ? copy_attributes(t, name_end, is_wanted && !tag->is_end, &end) : s;
    if (s == FB_OK && end == t->in.len && (end == name_end || t->in.ptr[end - 1] != '>')) {
        t->out->len = mark; /* a tag that never ends is none */
        is_wanted = false;
    }
    t->at = end;
    return s == FB_OK && is_wanted ? fb_buf_add_char(t->out, '>') : s;
}

static enum fb_status take_tag(struct trim *t, size_t lt, struct fb_error *err)
{
    struct tag tag = {.is_end = t->in.ptr[lt + 1] == '/'};
    size_t name_end = read_name(t, lt + 1 + tag.is_end, &tag);
    if (++t->elements > RENDER_HTML_ELEMENTS * 2U) { /* start and end tags */
        return fb_error_set(err, FB_TOO_BIG, "the HTML body has more than %d elements",
                            RENDER_HTML_ELEMENTS);
    }
    if (tag.kind == KIND_UNWRAP || tag.kind == KIND_RAW) {
        enum fb_status s = put_tag(t, &tag, name_end, false);
        if (tag.kind == KIND_RAW && !tag.is_end) {
            t->at = find_end_tag(t, t->at, tag.name);
        }
        return s;
    }
    bool is_wanted = true;
    if (tag.is_end) {
        is_wanted = on_end_tag(t, &tag);
    } else {
        is_wanted = on_start_tag(t, &tag);
    }
    if (t->reopened > MAX_REOPENED) {
        return fb_error_set(err, FB_TOO_BIG,
                            "the HTML body opens too much formatting that it never closes");
    }
    enum fb_status s = put_tag(t, &tag, name_end, is_wanted);
    if (s == FB_OK && is_wanted && !tag.is_end && strcmp(tag.name, "style") == 0) {
        size_t end = find_end_tag(t, t->at, "style"); /* raw text: its filter comes later */
        s = fb_buf_add_slice(t->out, fb_slice_sub(t->in, t->at, end - t->at));
        t->at = end;
    }
    return s;
}

/* Text: what would begin no tag stays as it is; NUL is nothing. */
static enum fb_status put_text(struct trim *t, size_t end)
{
    enum fb_status s = FB_OK;
    while (t->at < end && s == FB_OK) {
        const uint8_t *nul = memchr(t->in.ptr + t->at, '\0', end - t->at);
        size_t stop = nul != NULL ? (size_t)(nul - t->in.ptr) : end;
        s = fb_buf_add_slice(t->out, fb_slice_sub(t->in, t->at, stop - t->at));
        t->at = stop + (nul != NULL);
    }
    return s;
}

static enum fb_status take_markup(struct trim *t, struct fb_error *err)
{
    struct fb_slice rest = rest_at(t, t->at);
    size_t gt;
    if (fb_slice_istarts(rest, "<!--")) {
        t->at = comment_end(t, t->at);
        return FB_OK;
    }
    bool is_end = rest.len > 2 && rest.ptr[1] == '/';
    if (rest.len > 1 && isalpha(rest.ptr[1 + is_end])) {
        return take_tag(t, t->at, err);
    }
    if (is_end || fb_slice_istarts(rest, "<!") || fb_slice_istarts(rest, "<?")) {
        gt = find_from(t, t->at, ">");
        t->at = gt == SIZE_MAX ? t->in.len : gt + 1;
        return FB_OK;
    }
    t->at++;
    return fb_buf_add_str(t->out, "&lt;");
}

enum fb_status render_html_trim(struct fb_slice html, struct fb_buf *out, struct fb_error *err)
{
    if (html.len > RENDER_HTML_MAX) {
        return fb_error_set(err, FB_TOO_BIG, "the HTML body is larger than %u MiB",
                            RENDER_HTML_MAX >> 20);
    }
    struct trim *t = fb_xcalloc(1, sizeof *t);
    t->in = html;
    t->out = out;
    enum fb_status s = FB_OK;
    while (t->at < html.len && s == FB_OK) {
        const uint8_t *lt = memchr(html.ptr + t->at, '<', html.len - t->at);
        size_t end = lt != NULL ? (size_t)(lt - html.ptr) : html.len;
        s = put_text(t, end);
        if (s == FB_OK && t->at < html.len) {
            s = take_markup(t, err);
        }
    }
    if (s != FB_OK && (err == NULL || err->status != s)) {
        (void)fb_error_set(err, s, "the HTML body is too large for this machine");
    }
    free(t);
    return s;
}
