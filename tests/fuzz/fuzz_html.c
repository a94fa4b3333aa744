/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as the HTML body of a mail, made ready for Chromium.
 *
 * Checked: the document is UTF-8, and no script, no frame, no form and no address but the mail's own
 * images, data and links is left in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gumbo.h>

#include "services/render/charset.h"
#include "services/render/html_prepare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_element(const GumboElement *element)
{
    switch (element->tag) {
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_FRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_EMBED:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_BASE:
    case GUMBO_TAG_LINK:
        FB_ASSERT(!"an element that the preparation must have dropped");
        break;
    default:
        break;
    }
    for (unsigned i = 0; i < element->attributes.length; i++) {
        const GumboAttribute *a = element->attributes.data[i];
        FB_ASSERT(strncasecmp(a->name, "on", 2) != 0);
        FB_ASSERT(strcasecmp(a->name, "src") != 0 || strncasecmp(a->value, "data:", 5) == 0);
    }
}

/* The document as a browser's parser reads it: the same words in a text or a style sheet do nothing. */
static void check_tree(const GumboNode *root)
{
    for (const GumboNode *n = root; n != NULL;) {
        bool is_parent = n->type == GUMBO_NODE_ELEMENT || n->type == GUMBO_NODE_TEMPLATE;
        if (is_parent) {
            check_element(&n->v.element);
        }
        if (is_parent && n->v.element.children.length > 0) {
            n = n->v.element.children.data[0];
            continue;
        }
        while (n != root && n->index_within_parent + 1 == n->parent->v.element.children.length) {
            n = n->parent;
        }
        n = n == root ? NULL : n->parent->v.element.children.data[n->index_within_parent + 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "logo";
    char type[] = "image/png";
    char subject[] = "</title><script>alert(1)</script>";
    struct render_image image = {.cid = name, .type = type};
    struct render_letter letter = {.is_html = true,
                                   .is_japanese = size % 2 == 0,
                                   .subject = subject,
                                   .images = &image,
                                   .image_count = 1};
    struct fb_buf html;
    struct fb_error err = {0};
    fb_buf_init(&letter.body, RENDER_HTML_MAX + 1024);
    fb_buf_init(&html, 64U << 20);
    FB_ASSERT(render_charset_to_utf8(fb_slice_of(data, size), "utf-8", &letter.body) == FB_OK);
    enum fb_status s = render_html_prepare(&letter, &html, &err);
    FB_ASSERT(s == FB_OK || s == FB_TOO_BIG);
    if (s == FB_OK) {
        struct fb_slice out = fb_slice_buf(&html);
        FB_ASSERT(render_utf8_is_valid(out));
        GumboOutput *tree =
            gumbo_parse_with_options(&kGumboDefaultOptions, (const char *)out.ptr, out.len);
        check_tree(tree->root);
        gumbo_destroy_output(&kGumboDefaultOptions, tree);
    }
    fb_buf_deinit(&letter.body);
    fb_buf_deinit(&html);
    return 0;
}
