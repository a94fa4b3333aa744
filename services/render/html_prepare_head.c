/* SPDX-License-Identifier: Apache-2.0
 *
 * The document around a mail: page, our own style, and the header block (subject, sender,
 * recipients, date, attachments), which looks as page_head.c paints it.  The mail follows in
 * #fb-mail; no selector of its style sheets leaves that (html_prepare_css.c), and what it moves
 * upwards is clipped at its edge, so it can neither change nor cover the block. */
#include "services/render/head_text.h"
#include "services/render/html_prepare_steps.h"

/* Text width 595 - 2 * 56 pt = 644 px on A4: newsletters are 600 to 640 px wide.  No `size`: the
 * driver says A4 or Letter. */
static const char style[] =
    "@page{margin:56pt 56pt 62pt;"
    "@bottom-center{content:counter(page);font:8.5pt 'Liberation Sans',"
    "sans-serif;color:#6b7380}}\n"
    "html{background:#fff;color-scheme:only "
    "light;-webkit-print-color-adjust:exact;print-color-adjust:exact}\n"
    "body{margin:0;background:#fff;color:#1a1c21;orphans:2;widows:2}\n"
    "#fb-head{display:block;font-size:9.5pt;line-height:1.42;border-bottom:.7pt solid "
    "#cdd1d9;padding:0 0 7pt;"
    "margin:0 0 14pt;overflow-wrap:anywhere;font-family:'Liberation Sans','BIZ "
    "UDPGothic',sans-serif}\n"
    "#fb-head:lang(ja){font-family:'BIZ UDPGothic','Liberation Sans',sans-serif}\n"
    "#fb-head h1{font-size:15pt;line-height:1.35;font-weight:bold;margin:0 0 8pt;text-align:left}\n"
    "#fb-head .fb-row{display:grid;grid-template-columns:66pt 1fr;margin:0 0 1.6pt}\n"
    "#fb-head .fb-label,#fb-head .fb-quiet{color:#6b7380}\n"
    "#fb-head .fb-value{text-align:left;min-width:0}\n"
    "#fb-head .fb-person{display:inline-block;max-width:100%}\n"
    "#fb-head .fb-file+.fb-file{margin-top:1.6pt}\n"
    "fb-html,fb-body{display:block}\n"
    "#fb-mail{display:block;position:relative;overflow-x:visible;overflow-y:clip;background:#fff;"
    "color:#1a1c21;"
    "font-size:10.5pt;"
    "line-height:1.5;overflow-wrap:break-word;font-family:'Liberation Sans','BIZ "
    "UDPGothic',sans-serif}\n"
    "#fb-mail:lang(ja){font-family:'BIZ UDPGothic','Liberation Sans',sans-serif}\n"
    "#fb-mail img{max-width:var(--fb-width,644px)}\n"
    ":where(#fb-mail img){break-inside:avoid}\n"
    /* What its own style for print has: the head of a table comes again on each page. */
    ":where(#fb-mail thead,#fb-mail tfoot){break-inside:avoid}\n"
    ":where(#fb-mail a[href]){color:#0d4fa1;text-decoration:underline}\n"
    ":where(#fb-mail pre){white-space:pre-wrap;font-family:'BIZ UDGothic','Liberation "
    "Mono',monospace}\n"
    ":where(#fb-mail blockquote[type=cite]){margin:.5em 0;padding:0 0 0 .8em;border-left:2px solid "
    "#cdd1d9;color:#4d576b}\n"
    ":where(#fb-mail) "
    ".fb-box{display:inline-flex;align-items:center;justify-content:center;box-sizing:border-box;"
    "max-width:100%;overflow:hidden;padding:3px "
    "8px;"
    "border:1px solid #cdd1d9;border-radius:3px;background:#f6f7f9;color:#5d6675;font:normal "
    "8.5pt/1.35 'BIZ UDPGothic',"
    "'Liberation Sans',sans-serif;text-align:center;vertical-align:middle;text-decoration:none}\n";

/* Nothing may be fetched; the driver says so a second time with a header and answers cid: alone. */
static const char policy[] = "default-src 'none'; img-src cid: data:; style-src 'unsafe-inline'";

static enum fb_status put_label(struct fb_buf *out, const struct render_letter *l,
                                enum render_head_row row)
{
    return fb_buf_printf(
        out, "<div class=\"fb-row\"><div class=\"fb-label\">%s</div><div class=\"fb-value\">",
        render_head_label(l->is_japanese, row));
}

static enum fb_status put_quiet(struct fb_buf *out, struct fb_slice text)
{
    enum fb_status s = text.len > 0 ? fb_buf_add_str(out, "<span class=\"fb-quiet\">") : FB_OK;
    s = s == FB_OK ? render_html_escape(out, text) : s;
    return s == FB_OK && text.len > 0 ? fb_buf_add_str(out, "</span>") : s;
}

static enum fb_status put_people(struct fb_buf *out, const struct render_letter *l,
                                 enum render_head_row row, const char *people)
{
    struct fb_slice rest = fb_slice_str(people);
    struct fb_slice name, address;
    size_t count = render_head_count(people);
    if (count == 0) {
        return FB_OK;
    }
    enum fb_status s = put_label(out, l, row);
    for (size_t i = 0;
         i < RENDER_HEAD_PEOPLE && s == FB_OK && render_head_person(&rest, &name, &address); i++) {
        s = fb_buf_add_str(out, i > 0 ? ", <span class=\"fb-person\"><bdi>"
                                      : "<span class=\"fb-person\"><bdi>");
        s = s == FB_OK ? render_html_escape(out, name) : s;
        s = s == FB_OK ? fb_buf_add_str(out, "</bdi>") : s;
        s = s == FB_OK ? put_quiet(out, address) : s;
        s = s == FB_OK ? fb_buf_add_str(out, "</span>") : s;
    }
    if (s == FB_OK && count > RENDER_HEAD_PEOPLE) {
        char more[48];
        render_head_more(l->is_japanese, count - RENDER_HEAD_PEOPLE, more);
        s = fb_buf_printf(out, ", %s", more);
    }
    return s == FB_OK ? fb_buf_add_str(out, "</div></div>\n") : s;
}

static enum fb_status put_date(struct fb_buf *out, const struct render_letter *l)
{
    if (l->date == NULL || l->date[0] == '\0') {
        return FB_OK;
    }
    enum fb_status s = put_label(out, l, RENDER_HEAD_DATE);
    s = s == FB_OK ? render_html_escape(out, fb_slice_str(l->date)) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</div></div>\n") : s;
}

static enum fb_status put_attachments(struct fb_buf *out, const struct render_letter *l)
{
    if (l->attachment_count == 0) {
        return FB_OK;
    }
    enum fb_status s = put_label(out, l, RENDER_HEAD_ATTACHMENTS);
    for (size_t i = 0; i < l->attachment_count && s == FB_OK; i++) {
        const struct render_attachment_line *a = &l->attachments[i];
        char size[32];
        render_head_size(a->size, size);
        s = fb_buf_add_str(out, "<div class=\"fb-file\"><bdi>");
        s = s == FB_OK ? render_html_escape(out, fb_slice_str(a->name != NULL ? a->name : "")) : s;
        s = s == FB_OK ? fb_buf_printf(
                             out, "</bdi> &nbsp;<span class=\"fb-quiet\">(%s)</span></div>", size)
                       : s;
    }
    return s == FB_OK ? fb_buf_add_str(out, "</div></div>\n") : s;
}

static enum fb_status put_block(struct fb_buf *out, const struct render_letter *l,
                                struct fb_slice subject)
{
    int tenths = (int)(render_head_subject_pt(subject) * 10);
    enum fb_status s =
        fb_buf_printf(out, "<header id=\"fb-head\"><h1 dir=\"auto\" style=\"font-size:%d.%dpt\">",
                      tenths / 10, tenths % 10);
    s = s == FB_OK ? render_html_escape(out, subject) : s;
    s = s == FB_OK ? fb_buf_add_str(out, "</h1>\n") : s;
    s = s == FB_OK ? put_people(out, l, RENDER_HEAD_FROM, l->from) : s;
    s = s == FB_OK ? put_people(out, l, RENDER_HEAD_TO, l->to) : s;
    s = s == FB_OK ? put_people(out, l, RENDER_HEAD_CC, l->cc) : s;
    s = s == FB_OK ? put_date(out, l) : s;
    s = s == FB_OK ? put_attachments(out, l) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</header>\n") : s;
}

enum fb_status render_html_head(const struct render_letter *l, struct fb_slice mail_css,
                                struct fb_buf *out)
{
    struct fb_slice subject = render_head_subject(l);
    enum fb_status s =
        fb_buf_printf(out,
                      "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n<title>",
                      l->is_japanese ? "ja" : "en", policy);
    s = s == FB_OK ? render_html_escape(out, subject) : s;
    s = s == FB_OK ? fb_buf_printf(out, "</title>\n<style>\n%s</style>\n<style>\n", style) : s;
    s = s == FB_OK ? fb_buf_add_slice(out, mail_css) : s;
    s = s == FB_OK ? fb_buf_add_str(out, "</style></head><body>\n") : s;
    return s == FB_OK ? put_block(out, l, subject) : s;
}
