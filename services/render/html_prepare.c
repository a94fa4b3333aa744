/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts the steps together, and proves the result: the finished document is parsed once more, and
 * the mail must still lie in its container as a whole.  HTML that was cleaned can mean something
 * else when it is read again (a <fieldset> taken away between two <li>, for instance), and one
 * <div> closed too many would let the mail out over the header block.  When the proof fails, the
 * mail is written a second time with nothing but <div>, <span> and tables. */
#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

static const char end_of_mail[] = "</fb-body></fb-html></fb-mail>\n";
static const char end_of_document[] = "</body></html>\n";

static GumboOutput *parse(struct fb_slice html, GumboOptions *options)
{
    *options = kGumboDefaultOptions;
    options->max_errors = 0;
    return gumbo_parse_with_options(options, (const char *)html.ptr, html.len);
}

static const GumboNode *only_element(const GumboVector *children, const char *attribute,
                                     const char *value)
{
    const GumboNode *found = NULL;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *n = children->data[i];
        if (n->type == GUMBO_NODE_WHITESPACE) {
            continue;
        }
        if (n->type != GUMBO_NODE_ELEMENT || found != NULL) {
            return NULL;
        }
        found = n;
    }
    const GumboAttribute *a =
        found != NULL ? gumbo_get_attribute(&found->v.element.attributes, attribute) : NULL;
    size_t n = strlen(value);
    /* Classes of the mail may follow ours. */
    return a != NULL && strncmp(a->value, value, n) == 0 &&
                   (a->value[n] == '\0' || a->value[n] == ' ')
               ? found
               : NULL;
}

static bool has_id(const GumboNode *node, const char *id)
{
    const GumboAttribute *a = node->type == GUMBO_NODE_ELEMENT
                                  ? gumbo_get_attribute(&node->v.element.attributes, "id")
                                  : NULL;
    return a != NULL && strcmp(a->value, id) == 0;
}

/* Sections and nothing else: what an attached message brings must not stand beside them. */
static bool is_whole_more(const GumboNode *more)
{
    const GumboVector *children = &more->v.element.children;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *n = children->data[i];
        const GumboAttribute *a = n->type == GUMBO_NODE_ELEMENT
                                      ? gumbo_get_attribute(&n->v.element.attributes, "class")
                                      : NULL;
        bool is_style =
            i == 0 && n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == GUMBO_TAG_STYLE;
        bool is_part = a != NULL && strncmp(a->value, "fb-part ", 8) == 0;
        if (n->type != GUMBO_NODE_WHITESPACE && !is_style && !is_part) {
            return false;
        }
    }
    return true;
}

static bool is_whole_body(const GumboNode *body)
{
    const GumboVector *children = &body->v.element.children;
    const GumboNode *found[3] = {NULL, NULL, NULL};
    unsigned elements = 0;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *n = children->data[i];
        if (n->type == GUMBO_NODE_ELEMENT && elements < 3) {
            found[elements++] = n;
        } else if (n->type != GUMBO_NODE_WHITESPACE) {
            return false;
        }
    }
    if (elements < 2 || !has_id(found[1], "fb-mail") ||
        (elements == 3 && (!has_id(found[2], "fb-more") || !is_whole_more(found[2])))) {
        return false;
    }
    const GumboNode *html = only_element(&found[1]->v.element.children, "class", "fb-html");
    return html != NULL && only_element(&html->v.element.children, "class", "fb-body") != NULL;
}

/* <body> holds the header block and #fb-mail, that holds .fb-html, that .fb-body, and nothing else
 * but the sections in #fb-more. */
bool render_html_is_contained(const GumboOutput *document)
{
    const GumboVector *children = &document->root->v.element.children;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *n = children->data[i];
        if (n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == GUMBO_TAG_BODY) {
            return is_whole_body(n);
        }
    }
    return false;
}

void render_html_document_deinit(struct render_html_document *d)
{
    if (d->tree != NULL) {
        gumbo_destroy_output(&d->options, d->tree);
    }
    *d = (struct render_html_document){0};
}

/* A mail that is laid out wider than the page is made smaller; the header block is not.  Below what can be
 * read, the page becomes wider, by what the painters read here.  (What this does not see, they find when they
 * have laid it out: chromium_fit.c, native.c.) */
static enum fb_status open_mail(const struct render_html *h, struct fb_buf *out)
{
    if (h->widest <= RENDER_HTML_PAGE_PX) {
        return fb_buf_add_str(out, "<fb-mail id=\"fb-mail\">");
    }
    long width = h->widest < RENDER_HTML_WIDEST ? h->widest : RENDER_HTML_WIDEST;
    double zoom = (double)RENDER_HTML_PAGE_PX / (double)width;
    zoom = zoom > RENDER_HTML_ZOOM_MIN ? zoom : RENDER_HTML_ZOOM_MIN;
    return fb_buf_printf(out, "<fb-mail id=\"fb-mail\" style=\"zoom:%.3f;--fb-width:%ldpx\">", zoom,
                         width);
}

static enum fb_status assemble(struct render_html *h, struct fb_buf *out)
{
    enum fb_status s = render_html_head(h->letter, fb_slice_buf(&h->css), out);
    s = s == FB_OK ? open_mail(h, out) : s;
    s = s == FB_OK ? render_html_container(h, h->html_tag, "fb-html", out) : s;
    s = s == FB_OK ? render_html_container(h, h->body_tag, "fb-body", out) : s;
    s = s == FB_OK ? fb_buf_add_slice(out, fb_slice_buf(&h->body)) : s;
    s = s == FB_OK ? fb_buf_add_str(out, end_of_mail) : s;
    s = s == FB_OK ? render_html_sections(h, out) : s;
    return s == FB_OK ? fb_buf_add_str(out, end_of_document) : s;
}

static enum fb_status write_document(struct render_html *h, const GumboNode *root,
                                     struct fb_buf *out, struct fb_error *err)
{
    const struct render_letter *l = h->letter;
    fb_buf_clear(&h->css);
    fb_buf_clear(&h->body);
    h->pixels = 0;
    h->widest = 0;
    memset(h->is_image_counted, 0, l->image_count);
    struct fb_error why = {0};
    enum fb_status s = render_html_tree(h, root, &why);
    s = s == FB_OK ? assemble(h, out) : s;
    if (s != FB_OK) {
        (void)fb_error_set(err, s, "%s",
                           why.text[0] != '\0' ? why.text
                           : s == FB_TOO_BIG   ? "the HTML body grows too large when it is prepared"
                                               : "out of memory");
    }
    return s;
}

/* Writes it and reads it again; FB_NOT_FOUND when the mail does not lie in its container. */
static enum fb_status write_and_prove(struct render_html *h, const GumboNode *root,
                                      struct fb_buf *html_r, struct render_html_document *d,
                                      struct fb_error *err)
{
    size_t mark = html_r->len;
    enum fb_status s = write_document(h, root, html_r, err);
    if (s == FB_OK) {
        d->tree = parse(fb_slice_sub(fb_slice_buf(html_r), mark, SIZE_MAX), &d->options);
        if (!render_html_is_contained(d->tree)) {
            render_html_document_deinit(d);
            s = FB_NOT_FOUND;
        }
    }
    if (s != FB_OK) {
        html_r->len = mark;
    }
    return s;
}

enum fb_status render_html_prepare_document(const struct render_letter *letter,
                                            struct fb_buf *html_r,
                                            struct render_html_document *document_r,
                                            struct fb_error *err)
{
    struct render_html h = {.letter = letter,
                            .is_image_counted = fb_xcalloc(letter->image_count + 1, sizeof(bool))};
    struct fb_buf trimmed;
    GumboOptions options;
    GumboOutput *parsed = NULL;
    *document_r = (struct render_html_document){0};
    fb_buf_init(&trimmed, RENDER_HTML_MAX * 2U);
    fb_buf_init(&h.css, html_r->max);
    fb_buf_init(&h.body, html_r->max);
    enum fb_status s = render_html_trim(fb_slice_buf(&letter->body), &trimmed, err);
    if (s == FB_OK) {
        parsed = parse(fb_slice_of(fb_buf_str(&trimmed), trimmed.len), &options);
        s = write_and_prove(&h, parsed->root, html_r, document_r, err);
    }
    if (s == FB_NOT_FOUND) {
        h.is_plain = true;
        s = write_and_prove(&h, parsed->root, html_r, document_r, err);
    }
    if (s == FB_NOT_FOUND) {
        s = fb_error_set(err, FB_INVALID,
                         "the HTML body cannot be separated from the letter's head");
    }
    if (parsed != NULL) {
        gumbo_destroy_output(&options, parsed);
    }
    fb_buf_deinit(&h.body);
    fb_buf_deinit(&h.css);
    fb_buf_deinit(&trimmed);
    free(h.is_image_counted);
    return s;
}

enum fb_status render_html_prepare(const struct render_letter *letter, struct fb_buf *html_r,
                                   struct fb_error *err)
{
    struct render_html_document document;
    enum fb_status s = render_html_prepare_document(letter, html_r, &document, err);
    render_html_document_deinit(&document);
    return s;
}
