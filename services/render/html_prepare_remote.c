/* SPDX-License-Identifier: Apache-2.0
 *
 * Which images of a mail lie on the web: a list for the service, which may have them fetched before the mail is
 * prepared.  Their URLs are put into the one form that HTTP takes, and nothing is looked up here. */
#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

struct remotes {
    struct render_html_remote *list;
    size_t count;
};

/* Bytes that a URL cannot hold are written as %XX, as browsers do; line ends in it are left out. */
static bool put_url(struct fb_buf *out, struct fb_slice source)
{
    static const char hex[] = "0123456789ABCDEF";
    enum fb_status s = fb_slice_istarts(source, "//") ? fb_buf_add_str(out, "https:") : FB_OK;
    for (size_t i = 0; i < source.len && s == FB_OK; i++) {
        uint8_t c = source.ptr[i];
        if (c == '\t' || c == '\n' || c == '\r') {
            continue;
        }
        if (c == '#') {
            break;
        }
        if (c <= 0x20 || c >= 0x7F || strchr("\"<>\\^`{|}", c) != NULL) {
            const char coded[3] = {'%', hex[c >> 4], hex[c & 15]};
            s = fb_buf_add(out, coded, sizeof coded);
        } else {
            s = fb_buf_add_char(out, (char)c);
        }
    }
    return s == FB_OK;
}

static void note(struct remotes *r, struct fb_slice source)
{
    static const char *const schemes[] = {"http://", "https://", "//"};
    bool is_web = false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        is_web =
            is_web || (fb_slice_istarts(source, schemes[i]) && source.len > strlen(schemes[i]));
    }
    for (size_t i = 0; i < r->count && is_web; i++) {
        is_web = !fb_slice_eq_str(source, r->list[i].source);
    }
    if (!is_web || r->count == RENDER_REMOTE_COUNT) {
        return;
    }
    struct fb_buf url;
    fb_buf_init(&url, RENDER_REMOTE_URL);
    char *copy = put_url(&url, source) ? fb_slice_dup_str(source) : NULL;
    if (copy != NULL) {
        r->list[r->count++] =
            (struct render_html_remote){.source = copy, .url = fb_xstrdup(fb_buf_str(&url))};
    }
    fb_buf_deinit(&url);
}

static const GumboVector *children_of(const GumboNode *n)
{
    bool has_children = n->type == GUMBO_NODE_ELEMENT || n->type == GUMBO_NODE_TEMPLATE;
    return has_children ? &n->v.element.children : NULL;
}

const GumboNode *render_html_next(const GumboNode *n, const GumboNode *root)
{
    const GumboVector *children = children_of(n);
    if (children != NULL && children->length > 0) {
        return children->data[0];
    }
    while (n != root) {
        const GumboVector *list = children_of(n->parent);
        size_t at = n->index_within_parent + 1;
        if (list != NULL && at < list->length) {
            return list->data[at];
        }
        n = n->parent;
    }
    return NULL;
}

enum fb_status render_html_remote(const struct render_letter *letter,
                                  struct render_html_remote list_r[RENDER_REMOTE_COUNT],
                                  size_t *count_r, struct fb_error *err)
{
    struct remotes r = {.list = list_r};
    struct fb_buf trimmed;
    GumboOptions options = kGumboDefaultOptions;
    options.max_errors = 0;
    fb_buf_init(&trimmed, RENDER_HTML_MAX * 2U);
    enum fb_status s = render_html_trim(fb_slice_buf(&letter->body), &trimmed, err);
    if (s == FB_OK) {
        GumboOutput *tree = gumbo_parse_with_options(&options, fb_buf_str(&trimmed), trimmed.len);
        for (const GumboNode *n = tree->root; n != NULL; n = render_html_next(n, tree->root)) {
            if (n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == GUMBO_TAG_IMG &&
                !render_html_is_counter(n)) {
                note(&r, render_html_attribute(n, "src"));
            }
        }
        gumbo_destroy_output(&options, tree);
    }
    fb_buf_deinit(&trimmed);
    *count_r = r.count;
    return s;
}
