/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections (section.h) for Chromium's document, below the mail, as page_section.c draws them.  The HTML
 * of an attached message is cleaned as that of the mail itself is, bound to a container of its own, and
 * proved to stay in it before it is let into the document. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/flowed.h"
#include "services/render/html_prepare_steps.h"
#include "services/render/links.h"

#define MESSAGE_BYTES (256U << 10) /* text of one attached message that is shown */
#define INNER_BYTES   (1U << 20)   /* more HTML is not laid out */
#define INNER_MAX     (4U << 20)
#define PIXELS_MAX    120000000 /* as html_prepare_image.c: all images of a letter */

/* Placed as #fb-mail is: what is not is drawn before it, and so found and read aloud before the mail. */
static const char style[] =
    "#fb-more{display:block;position:relative;background:#fff;color:#1a1c21;font-size:9.5pt;line-"
    "height:1.42;"
    "overflow-wrap:anywhere;font-family:'Liberation Sans','BIZ UDPGothic',sans-serif}\n"
    "#fb-more:lang(ja){font-family:'BIZ UDPGothic','Liberation Sans',sans-serif}\n"
    "#fb-more .fb-part{display:block;margin:20pt 0 0}\n"
    "#fb-more .fb-level2{margin-left:14pt}\n"
    "#fb-more .fb-level3{margin-left:28pt}\n"
    "#fb-more .fb-level4{margin-left:42pt}\n"
    "#fb-more .fb-title{font-size:11.5pt;line-height:1.35;font-weight:bold;margin:0 0 "
    "7pt;padding:4.5pt "
    "7pt;background:#f2f5f9;border-left:3pt solid #5c7399;text-align:left;break-after:avoid}\n"
    "#fb-more .fb-line{display:grid;grid-template-columns:92pt 1fr;margin:0 0 2pt}\n"
    "#fb-more .fb-label{color:#6b7380}\n"
    "#fb-more .fb-text{white-space:pre-wrap;text-align:left;min-width:0}\n"
    "#fb-more .fb-text a{color:#0d4fa1;text-decoration:none}\n"
    "#fb-more .fb-whole{break-inside:avoid}\n"
    "#fb-more .fb-words{margin:6pt 0 0}\n"
    "#fb-more .fb-plain{margin:8pt 0 0}\n" /* the fonts of text_paint.c */
    "#fb-more .fb-wide{font-family:'BIZ UDGothic','Noto Sans Mono',monospace;font-size:10.5pt}\n"
    "#fb-more .fb-latin{font-family:'Liberation Mono','BIZ UDGothic',monospace;font-size:9.5pt}\n"
    "#fb-more .fb-picture{display:block;width:auto;height:auto;max-width:100%;margin:4pt 0 0;"
    "break-inside:avoid}\n"
    "#fb-more .fb-inner{display:block;position:relative;overflow-x:visible;overflow-y:clip;"
    "font-size:10.5pt;line-height:1.5;overflow-wrap:break-word;margin:8pt 0 0}\n";

static enum fb_status put_with_links(struct fb_buf *out, struct fb_slice text)
{
    enum fb_status s = FB_OK;
    struct render_link link = {0};
    size_t at = 0;
    while (s == FB_OK && render_link_next(text, at, &link)) {
        struct fb_slice target = fb_slice_sub(text, link.start, link.end - link.start);
        s = render_html_escape(out, fb_slice_sub(text, at, link.start - at));
        s = s == FB_OK ? fb_buf_printf(out, "<a href=\"%s", link.prefix) : s;
        s = s == FB_OK ? render_html_escape(out, target) : s;
        s = s == FB_OK ? fb_buf_add_str(out, "\">") : s;
        s = s == FB_OK ? render_html_escape(out, target) : s;
        s = s == FB_OK ? fb_buf_add_str(out, "</a>") : s;
        at = link.end;
    }
    return s == FB_OK ? render_html_escape(out, fb_slice_sub(text, at, SIZE_MAX)) : s;
}

static enum fb_status put_words(struct fb_buf *out, const char *kind, struct fb_slice text)
{
    enum fb_status s = fb_buf_printf(out, "<div class=\"fb-text %s\">", kind);
    s = s == FB_OK ? put_with_links(out, text) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</div>\n") : s;
}

static enum fb_status put_row(struct fb_buf *out, const struct render_section_row *row)
{
    enum fb_status s = fb_buf_add_str(out, "<div class=\"fb-line\"><div class=\"fb-label\">");
    s = s == FB_OK ? render_html_escape(out, fb_slice_str(row->label)) : s;
    s = s == FB_OK ? fb_buf_add_str(out, "</div>") : s;
    s = s == FB_OK ? put_words(out, "fb-value", fb_slice_str(row->value)) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</div>\n") : s;
}

/* ---- an attached message ---- */

static enum fb_status put_plain(struct fb_buf *out, const struct render_letter *message)
{
    struct render_paragraphs paragraphs;
    struct render_paragraph p;
    struct fb_slice body = fb_slice_buf(&message->body);
    size_t n = body.len < MESSAGE_BYTES ? body.len : MESSAGE_BYTES;
    while (n > 0 && n < body.len && (body.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    render_paragraphs_init(&paragraphs, fb_slice_sub(body, 0, n), message->is_flowed,
                           message->is_delsp);
    enum fb_status s = fb_buf_printf(out, "<div class=\"fb-text fb-plain %s\">",
                                     message->is_japanese ? "fb-wide" : "fb-latin");
    while (s == FB_OK && render_paragraphs_next(&paragraphs, &p)) {
        for (int d = 0; p.is_flowed && d < p.depth && d < 12 && s == FB_OK; d++) {
            s = fb_buf_add_str(out, "&gt; ");
        }
        s = s == FB_OK ? put_with_links(out, p.text) : s;
        s = s == FB_OK ? fb_buf_add_char(out, '\n') : s;
    }
    render_paragraphs_deinit(&paragraphs);
    if (s == FB_OK && n < body.len) {
        s = fb_buf_add_str(out, message->is_japanese ? "（続きは添付ファイルをご覧ください）"
                                                     : "(It goes on: see the attachment.)");
    }
    return s == FB_OK ? fb_buf_add_str(out, "</div>\n") : s;
}

/* What lies in the container: <fb-html>, <fb-body>, the message. */
static enum fb_status put_inside(struct render_html *inner, const GumboNode *root,
                                 struct fb_buf *out)
{
    struct fb_error ignored = {0};
    fb_buf_clear(&inner->css);
    fb_buf_clear(&inner->body);
    fb_buf_clear(out);
    inner->pixels = 0;
    inner->widest = 0;
    memset(inner->is_image_counted, 0, inner->letter->image_count);
    enum fb_status s = render_html_tree(inner, root, &ignored);
    s = s == FB_OK ? render_html_container(inner, inner->html_tag, "fb-html", out) : s;
    s = s == FB_OK ? render_html_container(inner, inner->body_tag, "fb-body", out) : s;
    s = s == FB_OK ? fb_buf_add_slice(out, fb_slice_buf(&inner->body)) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</fb-body></fb-html>") : s;
}

/* Read again in a document of its own, as html_prepare.c does with the whole. */
static enum fb_status prove(struct fb_slice inside)
{
    struct fb_buf document;
    GumboOptions options = kGumboDefaultOptions;
    options.max_errors = 0;
    fb_buf_init(&document, inside.len + 256);
    enum fb_status s = fb_buf_add_str(&document, "<!DOCTYPE html><html><body><header></header>"
                                                 "<fb-mail id=\"fb-mail\">");
    s = s == FB_OK ? fb_buf_add_slice(&document, inside) : s;
    s = s == FB_OK ? fb_buf_add_str(&document, "</fb-mail></body></html>\n") : s;
    if (s == FB_OK) {
        GumboOutput *tree =
            gumbo_parse_with_options(&options, (const char *)document.ptr, document.len);
        s = render_html_is_contained(tree) ? FB_OK : FB_NOT_FOUND;
        gumbo_destroy_output(&options, tree);
    }
    fb_buf_deinit(&document);
    return s;
}

static enum fb_status put_container(const struct render_html *inner, size_t number,
                                    struct fb_slice inside, struct fb_buf *css, struct fb_buf *out)
{
    enum fb_status s =
        fb_buf_printf(out, "<fb-inner class=\"fb-inner\" id=\"fb-inner-%zu\"", number);
    if (s == FB_OK && inner->widest > RENDER_HTML_PAGE_PX) {
        long width = inner->widest < RENDER_HTML_INNER ? inner->widest : RENDER_HTML_INNER;
        s = fb_buf_printf(out, " style=\"zoom:%.3f\"", (double)RENDER_HTML_PAGE_PX / (double)width);
    }
    s = s == FB_OK ? fb_buf_add_char(out, '>') : s;
    s = s == FB_OK ? fb_buf_add_slice(out, inside) : s;
    s = s == FB_OK ? fb_buf_add_str(out, "</fb-inner>\n") : s;
    return s == FB_OK ? fb_buf_add_slice(css, fb_slice_buf(&inner->css)) : s;
}

/* FB_NOT_FOUND: it cannot be shown as HTML. */
static enum fb_status put_html(struct render_html *h, const struct render_section *section,
                               size_t number, size_t image_base, struct fb_buf *css,
                               struct fb_buf *out)
{
    const struct render_letter *message = section->message;
    struct fb_error ignored = {0};
    struct fb_buf trimmed;
    struct fb_buf inside;
    char scope[32];
    GumboOptions options = kGumboDefaultOptions;
    GumboOutput *tree = NULL;
    (void)snprintf(scope, sizeof scope, "#fb-inner-%zu ", number);
    struct render_html inner = {.letter = message,
                                .scope = scope,
                                .image_base = image_base,
                                .is_plain = h->is_plain,
                                .is_image_counted =
                                    fb_xcalloc(message->image_count + 1, sizeof(bool))};
    options.max_errors = 0;
    fb_buf_init(&trimmed, 2U * INNER_BYTES);
    fb_buf_init(&inside, INNER_MAX);
    fb_buf_init(&inner.css, INNER_MAX);
    fb_buf_init(&inner.body, INNER_MAX);
    enum fb_status s = message->body.len <= INNER_BYTES
                           ? render_html_trim(fb_slice_buf(&message->body), &trimmed, &ignored)
                           : FB_TOO_BIG;
    if (s == FB_OK) {
        tree = gumbo_parse_with_options(&options, fb_buf_str(&trimmed), trimmed.len);
        s = put_inside(&inner, tree->root, &inside);
        s = s == FB_OK ? prove(fb_slice_buf(&inside)) : s;
        if (s == FB_NOT_FOUND && !inner.is_plain) {
            inner.is_plain = true;
            s = put_inside(&inner, tree->root, &inside);
            s = s == FB_OK ? prove(fb_slice_buf(&inside)) : s;
        }
        gumbo_destroy_output(&options, tree);
    }
    s = s == FB_OK ? put_container(&inner, number, fb_slice_buf(&inside), css, out) : FB_NOT_FOUND;
    fb_buf_deinit(&inner.body);
    fb_buf_deinit(&inner.css);
    fb_buf_deinit(&inside);
    fb_buf_deinit(&trimmed);
    free(inner.is_image_counted);
    return s;
}

static enum fb_status put_message(struct render_html *h, const struct render_section *section,
                                  size_t number, size_t image_base, struct fb_buf *css,
                                  struct fb_buf *out)
{
    if (!section->message->is_html) {
        return put_plain(out, section->message);
    }
    size_t mark = out->len;
    enum fb_status s = put_html(h, section, number, image_base, css, out);
    if (s == FB_OK) {
        return FB_OK;
    }
    out->len = mark;
    return put_words(
        out, "fb-words",
        fb_slice_str(h->letter->is_japanese
                         ? "このメールの本文はここには表示できません。添付ファイルをご覧ください。"
                         : "The text of this message cannot be shown here: see the "
                           "attachment."));
}

/* ---- a picture ---- */

static enum fb_status put_image(struct render_html *h, const struct render_section *section,
                                size_t image_base, struct fb_buf *out)
{
    uint64_t pixels = (uint64_t)section->image_width * section->image_height;
    if (h->pixels + pixels > PIXELS_MAX) {
        return put_words(
            out, "fb-words",
            fb_slice_str(h->letter->is_japanese
                             ? "この画像はここには表示できません。添付ファイルをご覧ください。"
                             : "This image cannot be shown here: see the attachment."));
    }
    h->pixels += pixels;
    bool is_wide = section->image_turn > 4 ? section->image_height > section->image_width
                                           : section->image_width >= section->image_height;
    enum fb_status s = fb_buf_printf(
        out, "<img class=\"fb-picture\" src=\"cid:%zu\" style=\"max-height:%dpt\" alt=\"",
        image_base, is_wide ? 270 : 620);
    s = s == FB_OK ? render_html_escape(out, fb_slice_str(section->title)) : s;
    return s == FB_OK ? fb_buf_add_str(out, "\">\n") : s;
}

static enum fb_status put_all(struct render_html *h, struct fb_buf *css, struct fb_buf *out)
{
    const struct render_letter *l = h->letter;
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < l->section_count && s == FB_OK; i++) {
        const struct render_section *section = &l->sections[i];
        size_t base = render_letter_image_base(l, i);
        int level = section->level < 4 ? section->level : 4;
        const char *whole = section->kind == RENDER_SECTION_IMAGE ? " fb-whole" : "";
        s = fb_buf_printf(out, "<section class=\"fb-part fb-level%d%s\"><h2 class=\"fb-title\">",
                          level, whole);
        s = s == FB_OK ? render_html_escape(out, fb_slice_str(section->title)) : s;
        s = s == FB_OK ? fb_buf_add_str(out, "</h2>\n") : s;
        for (size_t k = 0; k < section->row_count && s == FB_OK; k++) {
            s = put_row(out, &section->rows[k]);
        }
        if (s == FB_OK && section->text.len > 0) {
            s = put_words(out, "fb-words", fb_slice_buf(&section->text));
        }
        if (s == FB_OK && section->message != NULL) {
            s = put_message(h, section, i, base, css, out);
        }
        if (s == FB_OK && section->image.bytes.len > 0) {
            s = put_image(h, section, base, out);
        }
        s = s == FB_OK ? fb_buf_add_str(out, "</section>\n") : s;
    }
    return s;
}

/* Their style stands beside them and not in the head: native looks for the mail's there. */
enum fb_status render_html_sections(struct render_html *h, struct fb_buf *out)
{
    struct fb_buf css;
    struct fb_buf markup;
    if (h->letter->section_count == 0) {
        return FB_OK;
    }
    fb_buf_init(&css, out->max);
    fb_buf_init(&markup, out->max);
    enum fb_status s = put_all(h, &css, &markup);
    s = s == FB_OK ? fb_buf_printf(out, "<fb-more id=\"fb-more\"><style>\n%s", style) : s;
    s = s == FB_OK ? fb_buf_add_slice(out, fb_slice_buf(&css)) : s;
    s = s == FB_OK ? fb_buf_add_str(out, "</style>\n") : s;
    s = s == FB_OK ? fb_buf_add_slice(out, fb_slice_buf(&markup)) : s;
    fb_buf_deinit(&css);
    fb_buf_deinit(&markup);
    return s == FB_OK ? fb_buf_add_str(out, "</fb-more>\n") : s;
}
