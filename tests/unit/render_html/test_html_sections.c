/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTML of attached messages in Chromium's document: in its own container, with its own style sheet,
 * and never over the letter or its header block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare.h"

#define MAX_OUT (40U << 20)

static void letter_with(struct render_letter *l, const char *inner_html, bool is_html)
{
    *l = (struct render_letter){.subject = fb_xstrdup("subject"), .is_html = true};
    fb_buf_init(&l->body, 1U << 20);
    assert_int_equal(fb_buf_add_str(&l->body, "<p>outer letter</p>"), FB_OK);
    l->sections = fb_xcalloc(1, sizeof *l->sections);
    l->section_count = 1;
    struct render_section *s = &l->sections[0];
    *s = (struct render_section){.kind = RENDER_SECTION_MESSAGE,
                                 .level = 1,
                                 .title = fb_xstrdup("Attached <b>message</b>"),
                                 .rows = fb_xcalloc(1, sizeof *s->rows),
                                 .row_count = 1,
                                 .message = fb_xcalloc(1, sizeof *s->message)};
    s->rows[0] = (struct render_section_row){fb_xstrdup("From"), fb_xstrdup("a\" <x@y.z>")};
    s->message->is_html = is_html;
    fb_buf_init(&s->message->body, 4U << 20);
    assert_int_equal(fb_buf_add_str(&s->message->body, inner_html), FB_OK);
}

static const GumboNode *by_id(const GumboNode *n, const char *id)
{
    if (n->type != GUMBO_NODE_ELEMENT) {
        return NULL;
    }
    const GumboAttribute *a = gumbo_get_attribute(&n->v.element.attributes, "id");
    const GumboNode *found = a != NULL && strcmp(a->value, id) == 0 ? n : NULL;
    for (unsigned i = 0; i < n->v.element.children.length && found == NULL; i++) {
        found = by_id(n->v.element.children.data[i], id);
    }
    return found;
}

static bool has_text(const GumboNode *n, const char *text)
{
    if (n->type == GUMBO_NODE_TEXT) {
        return strstr(n->v.text.text, text) != NULL;
    }
    bool is_there = false;
    for (unsigned i = 0;
         n->type == GUMBO_NODE_ELEMENT && i < n->v.element.children.length && !is_there; i++) {
        is_there = has_text(n->v.element.children.data[i], text);
    }
    return is_there;
}

static void test_an_attached_message_stays_in_its_container(void **state)
{
    static const char *const inner[] = {
        "<p>INNER</p>",
        "</fb-body></fb-html></fb-inner></section></fb-more><h1>INNER</h1>",
        "</body></html><div id=fb-head>INNER</div>",
        "<table><tr><td>INNER</table></table></section></section><p>x",
        "<select><option></select></div></div></div></div></div>INNER",
        "<svg><title><style></svg></title><img src=x>INNER",
        "<form><form></form></form></p></h2><a>INNER<a>x<a><table><a>",
        "<li>INNER<fieldset><li></fieldset></li></ul></ol></section>",
        "<style>body{display:none}#fb-head{display:none}@import url(x);</style><b>INNER",
        "<plaintext>INNER</plaintext></section>",
        "<!--><template></section></fb-more></template>INNER",
        "<frameset><noframes></section></noframes>INNER",
    };
    (void)state;
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        struct render_letter l;
        struct fb_buf out;
        struct fb_error err = {0};
        struct render_html_document d;
        letter_with(&l, inner[i], true);
        fb_buf_init(&out, MAX_OUT);
        assert_int_equal(render_html_prepare_document(&l, &out, &d, &err), FB_OK);
        const GumboNode *root = d.tree->root;
        const GumboNode *mail = by_id(root, "fb-mail");
        const GumboNode *more = by_id(root, "fb-more");
        assert_non_null(mail);
        assert_non_null(more);
        assert_true(more->parent == mail->parent);
        assert_false(has_text(mail, "INNER"));
        const GumboNode *container = by_id(more, "fb-inner-0");
        if (container == NULL || !has_text(container, "INNER")) {
            fail_msg("message %zu is not in its container: %s", i, fb_buf_str(&out));
        }
        render_html_document_deinit(&d);
        fb_buf_deinit(&out);
        render_letter_deinit(&l);
    }
}

static void test_its_style_sheet_names_nothing_outside_and_rows_are_text(void **state)
{
    struct render_letter l;
    struct fb_buf out;
    struct fb_error err = {0};
    (void)state;
    letter_with(&l, "<style>p{color:red} body,#fb-head{margin:1px}</style><p>INNER", true);
    fb_buf_init(&out, MAX_OUT);
    assert_int_equal(render_html_prepare(&l, &out, &err), FB_OK);
    const char *text = fb_buf_str(&out);
    assert_non_null(strstr(text, "#fb-inner-0 p{color:red;}"));
    assert_non_null(strstr(text, "#fb-inner-0 .fb-body,#fb-inner-0 #fb-head{"));
    assert_null(strstr(text, "\n#fb-mail p{color:red"));
    assert_non_null(strstr(text, "Attached &lt;b&gt;message&lt;/b&gt;"));
    assert_non_null(strstr(text, "a&quot; &lt;"));
    fb_buf_deinit(&out);
    render_letter_deinit(&l);
}

static void test_too_much_html_is_said_and_text_is_escaped(void **state)
{
    struct render_letter l;
    struct fb_buf out;
    struct fb_error err = {0};
    char *much = fb_xcalloc(1, (2U << 20) + 1);
    (void)state;
    memset(much, 'x', 2U << 20);
    letter_with(&l, much, true);
    fb_buf_init(&out, MAX_OUT);
    assert_int_equal(render_html_prepare(&l, &out, &err), FB_OK);
    assert_non_null(strstr(fb_buf_str(&out), "cannot be shown here"));
    fb_buf_deinit(&out);
    render_letter_deinit(&l);
    free(much);
    letter_with(&l, "<b>plain</b> https://example.com/?a=1&b=2\n", false);
    fb_buf_init(&out, MAX_OUT);
    assert_int_equal(render_html_prepare(&l, &out, &err), FB_OK);
    assert_non_null(strstr(fb_buf_str(&out),
                           "&lt;b&gt;plain&lt;/b&gt; <a href=\"https://example.com/"
                           "?a=1&amp;b=2\">"));
    fb_buf_deinit(&out);
    render_letter_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attached_message_stays_in_its_container),
        cmocka_unit_test(test_its_style_sheet_names_nothing_outside_and_rows_are_text),
        cmocka_unit_test(test_too_much_html_is_said_and_text_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
