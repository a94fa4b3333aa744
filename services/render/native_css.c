/* SPDX-License-Identifier: Apache-2.0
 *
 * The style sheets of a prepared document: what html_prepare_css.c let through, so that strings and
 * brackets are whole.  Our own sheet is not read: native_style.c has it. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "services/render/html_prepare_steps.h"
#include "services/render/native_internal.h"

#define SCOPE "#fb-mail "

static bool is_ident(uint8_t c)
{
    return isalnum(c) || c == '-' || c == '_' || c >= 0x80;
}

static struct fb_slice take_ident(struct fb_slice s, size_t *at)
{
    size_t from = *at;
    while (*at < s.len && is_ident(s.ptr[*at])) {
        (*at)++;
    }
    return fb_slice_sub(s, from, *at - from);
}

/* Pseudo-classes that never hold on paper; what else they stand with does not matter then. */
static bool is_never(struct fb_slice name)
{
    static const char *const never[] = {"hover",  "active",        "focus",        "visited",
                                        "target", "focus-visible", "focus-within", "checked"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (fb_slice_ieq_str(name, never[i])) {
            return true;
        }
    }
    return false;
}

enum verdict { SELECTOR_GOOD, SELECTOR_NEVER, SELECTOR_UNKNOWN };

static enum verdict take_pseudo(struct fb_slice text, size_t *at, struct nd_compound *c)
{
    bool is_element = *at < text.len && text.ptr[*at] == ':';
    *at += is_element;
    struct fb_slice name = take_ident(text, at);
    if (!is_element && is_never(name)) {
        return SELECTOR_NEVER;
    }
    if (fb_slice_istarts(name, "-moz-") || fb_slice_istarts(name, "-ms-")) {
        return SELECTOR_NEVER; /* Chromium drops the rule */
    }
    if (!is_element && fb_slice_ieq_str(name, "link")) {
        c->is_link = true;
        return SELECTOR_GOOD;
    }
    return SELECTOR_UNKNOWN;
}

static enum verdict take_compound(struct fb_slice text, size_t *at, struct nd_compound *c,
                                  int *specificity)
{
    enum verdict v = SELECTOR_GOOD;
    while (*at < text.len && v == SELECTOR_GOOD) {
        uint8_t b = text.ptr[*at];
        if (b == '*') {
            (*at)++;
        } else if (b == '.' || b == '#') {
            (*at)++;
            struct fb_slice name = take_ident(text, at);
            if (name.len == 0 || (b == '.' && c->class_count == 4)) {
                return SELECTOR_UNKNOWN;
            }
            if (b == '.') {
                c->classes[c->class_count++] = name;
            } else {
                c->id = name;
            }
            *specificity += b == '.' ? 256 : 65536;
        } else if (b == ':') {
            (*at)++;
            v = take_pseudo(text, at, c);
            *specificity += 256;
        } else if (is_ident(b) && !c->has_tag) {
            c->name = take_ident(text, at);
            c->has_tag = true;
            c->tag = gumbo_tagn_enum((const char *)c->name.ptr, (unsigned)c->name.len);
            *specificity += 1;
        } else if (b == ' ' || b == '>') {
            break;
        } else {
            v = SELECTOR_UNKNOWN;
        }
    }
    return v;
}

static enum verdict parse_selector(struct fb_slice text, struct nd_selector *s)
{
    size_t at = 0;
    enum nd_combinator how = ND_SELF;
    enum verdict v = SELECTOR_GOOD;
    while (at < text.len && v == SELECTOR_GOOD) {
        if (s->count == (int)(sizeof s->parts / sizeof s->parts[0])) {
            return SELECTOR_UNKNOWN;
        }
        struct nd_compound *c = &s->parts[s->count++];
        c->combinator = how;
        size_t before = at;
        v = take_compound(text, &at, c, &s->specificity);
        if (v == SELECTOR_GOOD && at == before) {
            return SELECTOR_UNKNOWN;
        }
        how = ND_DESCENDANT;
        while (at < text.len && strchr(" >", text.ptr[at]) != NULL) {
            how = text.ptr[at] == '>' ? ND_CHILD : how;
            at++;
        }
    }
    return v == SELECTOR_GOOD && s->count == 0 ? SELECTOR_UNKNOWN : v;
}

static unsigned hash(char kind, struct fb_slice s)
{
    unsigned h = 2166136261U ^ (unsigned)kind;
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (unsigned)tolower(s.ptr[i])) * 16777619U;
    }
    return h % (ND_BUCKETS - 1);
}

static unsigned bucket_of(const struct nd_compound *c)
{
    if (c->id.len > 0) {
        return hash('#', c->id);
    }
    if (c->class_count > 0) {
        return hash('.', c->classes[0]);
    }
    return c->has_tag ? hash('t', c->name) : ND_BUCKETS - 1;
}

static void add_selector(struct render_native *n, struct fb_slice text, struct nd_rule *rule)
{
    struct nd_selector *s = nd_alloc(n, sizeof *s);
    if (fb_slice_istarts(text, SCOPE)) {
        text = fb_slice_sub(text, sizeof SCOPE - 1, SIZE_MAX);
    }
    enum verdict v = parse_selector(fb_slice_trim(text), s);
    if (v == SELECTOR_UNKNOWN) {
        nd_note(n, ND_SELECTOR);
    }
    if (v == SELECTOR_GOOD) {
        s->rule = rule;
        s->order = n->sheet.order++;
        struct nd_selector **bucket = &n->sheet.buckets[bucket_of(&s->parts[s->count - 1])];
        s->next = *bucket;
        *bucket = s;
    }
}

/* One condition of a media query: 1 true, 0 false, -1 cannot be said.  Pages are between 600 and 700
 * px wide, and Chromium has its own idea of which width counts. */
static int holds_feature(struct fb_slice f)
{
    size_t colon = render_css_find(f, 0, ":");
    struct fb_slice name = fb_slice_trim(fb_slice_sub(f, 0, colon));
    struct fb_slice value = fb_slice_trim(fb_slice_sub(f, colon + 1, SIZE_MAX));
    struct nd_units units = {16, 16, 644};
    struct nd_length l;
    bool is_length = nd_parse_length(value, &units, &l) && l.unit == ND_PX;
    if (fb_slice_ieq_str(name, "max-width") || fb_slice_ieq_str(name, "max-device-width")) {
        return !is_length ? -1 : l.v < 600 ? 0 : l.v > 850 ? 1 : -1;
    }
    if (fb_slice_ieq_str(name, "min-width") || fb_slice_ieq_str(name, "min-device-width")) {
        return !is_length ? -1 : l.v < 600 ? 1 : l.v > 850 ? 0 : -1;
    }
    if (fb_slice_istarts(name, "-webkit-") || fb_slice_istarts(name, "-moz-") ||
        fb_slice_istarts(name, "-ms-")) {
        return fb_slice_ieq_str(name, "-webkit-min-device-pixel-ratio") && value.len > 0
                   ? value.ptr[0] == '0'
                   : -1;
    }
    return -1;
}

/* "only screen and (max-width: 480px)" */
static int holds_query(struct fb_slice q)
{
    int result = 1;
    bool is_negated = false;
    for (struct fb_slice word; (word = nd_word(&q)).len > 0;) {
        int one = 1;
        if (fb_slice_ieq_str(word, "only") || fb_slice_ieq_str(word, "and")) {
            continue;
        }
        if (fb_slice_ieq_str(word, "not")) {
            is_negated = true;
            continue;
        }
        if (word.ptr[0] == '(') {
            size_t end = word.ptr[word.len - 1] == ')' ? word.len - 2 : word.len - 1;
            one = holds_feature(fb_slice_sub(word, 1, end));
        } else {
            one = fb_slice_ieq_str(word, "all") || fb_slice_ieq_str(word, "screen") ? 1
                  : fb_slice_ieq_str(word, "print")                                 ? 0
                  : isalpha(word.ptr[0])                                            ? 0
                                                                                    : -1;
        }
        result = one == 0 || result == 0 ? 0 : one < 0 || result < 0 ? -1 : 1;
    }
    return result < 0 || !is_negated ? result : !result;
}

static bool holds_media(struct render_native *n, struct fb_slice list)
{
    bool holds = false;
    for (size_t at = 0; at < list.len;) {
        size_t end = render_css_find(list, at, ",");
        int one = holds_query(fb_slice_trim(fb_slice_sub(list, at, end - at)));
        if (one < 0) {
            nd_note(n, ND_MEDIA);
        }
        holds = holds || one == 1;
        at = end + 1;
    }
    return holds;
}

static size_t block_end(struct fb_slice css, size_t open)
{
    int level = 0;
    for (size_t at = open; (at = render_css_find(css, at, "{}")) < css.len; at++) {
        level += css.ptr[at] == '{' ? 1 : -1;
        if (level == 0) {
            return at;
        }
    }
    return css.len;
}

static void read_rules(struct render_native *n, struct fb_slice css, int level)
{
    for (size_t at = 0; at < css.len;) {
        size_t open = render_css_find(css, at, "{");
        if (open >= css.len) {
            return;
        }
        size_t close = block_end(css, open);
        struct fb_slice prelude = fb_slice_trim(fb_slice_sub(css, at, open - at));
        struct fb_slice block = fb_slice_sub(css, open + 1, close - open - 1);
        if (prelude.len > 0 && prelude.ptr[0] == '@') {
            if (!fb_slice_istarts(prelude, "@media")) {
                nd_note(n, ND_MEDIA);
            } else if (level < 8 &&
                       holds_media(n, fb_slice_trim(fb_slice_sub(prelude, 6, SIZE_MAX)))) {
                read_rules(n, block, level + 1);
            }
        } else {
            struct nd_rule *rule = nd_alloc(n, sizeof *rule);
            rule->declarations = block;
            for (size_t from = 0; from < prelude.len;) {
                size_t end = render_css_find(prelude, from, ",");
                add_selector(n, fb_slice_trim(fb_slice_sub(prelude, from, end - from)), rule);
                from = end + 1;
            }
        }
        at = close + 1;
    }
}

/* The second <style> is the mail's. */
void nd_read_sheets(struct render_native *n, const GumboNode *head)
{
    int seen = 0;
    for (unsigned i = 0; head != NULL && i < head->v.element.children.length; i++) {
        const GumboNode *style = head->v.element.children.data[i];
        if (style->type != GUMBO_NODE_ELEMENT || style->v.element.tag != GUMBO_TAG_STYLE ||
            seen++ == 0) {
            continue;
        }
        for (unsigned k = 0; k < style->v.element.children.length; k++) {
            const GumboNode *text = style->v.element.children.data[k];
            read_rules(n, fb_slice_str(text->v.text.text), 0);
        }
    }
}

/* ---- matching ---- */

struct fb_slice nd_attribute(const GumboNode *node, const char *name)
{
    const GumboAttribute *a = gumbo_get_attribute(&node->v.element.attributes, name);
    return fb_slice_trim(fb_slice_str(a != NULL ? a->value : NULL));
}

static bool has_class(struct fb_slice list, struct fb_slice name)
{
    for (size_t at = 0; at < list.len;) {
        size_t end = at;
        while (end < list.len && !isspace(list.ptr[end])) {
            end++;
        }
        if (fb_slice_eq(fb_slice_sub(list, at, end - at), name)) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

static bool is_named(const GumboNode *node, struct fb_slice name)
{
    GumboStringPiece tag = node->v.element.original_tag;
    gumbo_tag_from_original_text(&tag);
    return tag.length == name.len && strncasecmp((const char *)name.ptr, tag.data, name.len) == 0;
}

static bool matches_one(const struct nd_compound *c, const GumboNode *node)
{
    const GumboElement *e = &node->v.element;
    if (c->has_tag &&
        (c->tag != e->tag || (c->tag == GUMBO_TAG_UNKNOWN && !is_named(node, c->name)))) {
        return false;
    }
    if (c->id.len > 0 && !fb_slice_eq(nd_attribute(node, "id"), c->id)) {
        return false;
    }
    if (c->is_link && (e->tag != GUMBO_TAG_A || nd_attribute(node, "href").len == 0)) {
        return false;
    }
    if (c->class_count > 0) {
        struct fb_slice list = nd_attribute(node, "class");
        for (int i = 0; i < c->class_count; i++) {
            if (!has_class(list, c->classes[i])) {
                return false;
            }
        }
    }
    return true;
}

static bool is_outside(const GumboNode *node)
{
    return node == NULL || node->type != GUMBO_NODE_ELEMENT ||
           node->v.element.tag == GUMBO_TAG_BODY ||
           fb_slice_eq_str(nd_attribute(node, "id"), "fb-mail");
}

/* Descendants greedily, with one step back to the last of them: exact for what mails have, and
 * linear. */
bool nd_matches(const struct nd_selector *s, const GumboNode *node)
{
    int part = s->count - 1;
    if (!matches_one(&s->parts[part], node)) {
        return false;
    }
    int back_part = -1;
    const GumboNode *back_node = NULL;
    while (part > 0) {
        enum nd_combinator how = s->parts[part].combinator;
        const GumboNode *up = node->parent;
        if (how == ND_DESCENDANT) {
            while (!is_outside(up) && !matches_one(&s->parts[part - 1], up)) {
                up = up->parent;
            }
            back_part = part;
            back_node = up;
        }
        if (is_outside(up)) {
            return false;
        }
        if (how == ND_CHILD && !matches_one(&s->parts[part - 1], up)) {
            if (back_part < 0) {
                return false;
            }
            part = back_part;
            node = back_node;
            continue;
        }
        part--;
        node = up;
    }
    return true;
}
