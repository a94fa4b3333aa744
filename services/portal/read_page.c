/* SPDX-License-Identifier: Apache-2.0
 *
 * What a reader sees behind the door: whose mail it is, until when it can be read, the view, the files.  Everything but
 * pdf.js' view works without scripts.  Changes nothing and counts nothing. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "services/portal/assets.h"
#include "services/portal/read.h"
#include "services/portal/reply.h"

/* What of the parcel is shown, and how. */
struct view {
    const struct fb_vault_file *file; /* NULL: nothing can be shown here */
    bool is_pictures;                 /* painted, in place of pdf.js */
    bool is_broken;                   /* it cannot be painted */
    struct painter_answer pages;      /* of pictures */
    int64_t downloads;                /* made so far; < 0: not known */
};

static bool can_paint(const struct fb_vault_file *file)
{
    enum painter_kind kind;
    return painter_knows(file->type, &kind) && file->size > 0 && file->size <= PAINTER_MAX_INPUT;
}

/* ?show=<file> chooses one of the files, ?view=pictures the painted pages. */
static void choose(struct reader *r, struct view *view)
{
    const char *show = fb_http_query(r->visit->request, "show");
    const char *how = fb_http_query(r->visit->request, "view");
    const struct fb_vault_file *chosen = show != NULL ? read_find(r, show, strlen(show)) : NULL;
    view->file = chosen != NULL ? chosen : read_find_body(r);
    view->is_pictures = read_is_marked(r) || (how != NULL && strcmp(how, "pictures") == 0) ||
                        (view->file != NULL && !view->file->is_body);
    if (view->file != NULL && !can_paint(view->file)) {
        view->is_broken = view->is_pictures;
    } else if (view->file != NULL && view->is_pictures) {
        struct fb_error err = {0};
        struct fb_buf none;
        fb_buf_init(&none, 0);
        if (read_paint(r, view->file, 0, &view->pages, &none, &err) != FB_OK) {
            fb_log(FB_WARN, "a file of parcel %s cannot be shown: %s", r->parcel_id, err.text);
            view->is_broken = true;
        }
        fb_buf_deinit(&none);
    }
}

/* ---- the letter's head ---- */

static void add_downloads_left(struct reader *r, struct html *h, const struct view *view)
{
    if (!r->parcel.can_download || r->parcel.max_downloads == 0 || view->downloads < 0) {
        return;
    }
    int64_t left = r->parcel.max_downloads - view->downloads;
    left = left > 0 ? left : 0;
    html_say(h, "<dt>ダウンロード</dt><dd id=\"left\">", "<dt>Downloads</dt><dd id=\"left\">");
    if (h->is_ja) {
        html_printf(h, "残り %lld 回(上限 %lld 回)", (long long)left,
                    (long long)r->parcel.max_downloads);
    } else {
        html_printf(h, "%lld of %lld left", (long long)left, (long long)r->parcel.max_downloads);
    }
    html_raw(h, "</dd>");
}

static void add_head(struct reader *r, struct html *h, const struct view *view)
{
    const struct fb_vault_parcel *p = &r->parcel;
    html_raw(h, "<section class=\"card letter\"><h1>");
    if (p->subject[0] != '\0') {
        html_text(h, p->subject);
    } else {
        html_say(h, "(件名なし)", "(no subject)");
    }
    html_say(h, "</h1><dl><dt>差出人</dt><dd>", "</h1><dl><dt>From</dt><dd>");
    html_text(h, p->from);
    html_say(h, "</dd><dt>送信日時</dt><dd>", "</dd><dt>Date</dt><dd>");
    html_time(h, p->accepted_ms);
    html_say(h, "</dd><dt>閲覧者</dt><dd>", "</dd><dt>Opened as</dt><dd>");
    html_text(h, r->session.address);
    html_raw(h, "</dd>");
    if (p->expires_ms > 0) {
        html_say(h, "<dt>閲覧期限</dt><dd>", "<dt>Can be read until</dt><dd>");
        html_time(h, p->expires_ms);
        html_raw(h, "</dd>");
    }
    add_downloads_left(r, h, view);
    html_raw(h, "</dl>");
    if (!p->can_download) {
        html_say(h,
                 "<p class=\"note\">このメールは画面での閲覧のみ許可されています。各ページには"
                 "閲覧者のメールアドレスと日時が表示されます。ファイルが必要な場合は、差出人に"
                 "ご相談ください。</p>",
                 "<p class=\"note\">The sender lets this mail be read on this page only. Each page "
                 "carries your address and the time. If you need a file, please ask the "
                 "sender.</p>");
    }
    if (reply_is_on(r)) {
        html_printf(h, "<p class=\"actions\"><a class=\"button\" href=\"/r/%s/reply%s\">", r->text,
                    page_query(r->visit));
        html_say(h, "返信する</a></p>", "Reply</a></p>");
    }
    html_raw(h, "</section>\n");
}

/* ---- the view ---- */

static void add_download(struct reader *r, struct html *h, const char *id, const char *button_class,
                         const char *ja, const char *en, const char *name)
{
    reader_form_begin(r, h, "download", "");
    html_printf(h, "<input type=\"hidden\" name=\"file\" value=\"%s\"><button type=\"submit\"%s>",
                id, button_class);
    html_say(h, ja, en);
    if (name != NULL) { /* buttons of one page are told apart by those who hear them */
        html_raw(h, "<span class=\"unseen\"> ");
        html_text(h, name);
        html_raw(h, "</span>");
    }
    html_raw(h, "</button></form>");
}

/* The letter's own pages by pdf.js; its labels are in attributes, in the reader's language. */
static void add_script_view(struct reader *r, struct html *h)
{
    char path[ASSETS_PATH_SIZE];
    assets_path(path);
    html_printf(h, "<div class=\"viewer\" id=\"viewer\" data-src=\"/r/%s/body.pdf\"", r->text);
    html_say(h,
             " data-loading=\"読み込んでいます…\" data-page=\"{n} / {count} ページ\""
             " data-failed=\"本文を表示できませんでした。下のボタンからダウンロードするか、"
             "ページを開き直してください。\" data-smaller=\"縮小\" data-larger=\"拡大\""
             " data-fit=\"幅に合わせる\" data-zoom=\"表示倍率\" data-document=\"メールの本文\">",
             " data-loading=\"Loading…\" data-page=\"Page {n} of {count}\""
             " data-failed=\"The text could not be shown. Please download it with the button "
             "below, or open this page again.\" data-smaller=\"Zoom out\" data-larger=\"Zoom in\""
             " data-fit=\"Fit to width\" data-zoom=\"Zoom\" data-document=\"Text of the mail\">");
    html_say(h,
             "<noscript><p>JavaScript が無効のため、本文をここに表示できません。画像で表示するか、"
             "ダウンロードしてご覧ください。</p></noscript></div>",
             "<noscript><p>The text cannot be shown here without JavaScript. Please have it shown "
             "as pictures, or download it.</p></noscript></div>");
    html_printf(h, "<script type=\"module\" src=\"%sviewer.mjs\"></script>", path);
}

/* What else can be done with the file that is shown. */
static void add_ways(struct reader *r, struct html *h, const struct view *view)
{
    const char *query = page_query(r->visit);
    bool is_body = view->file->is_body;
    bool may_choose = is_body && !read_is_marked(r);
    if (!(is_body && r->parcel.can_download) && (is_body || read_find_body(r) == NULL)) {
        return;
    }
    html_raw(h, "<div class=\"actions\">");
    if (is_body) {
        add_download(r, h, view->file->id, "", "本文をダウンロード", "Download the text", NULL);
    }
    if (may_choose && !view->is_pictures) {
        html_printf(h, "<a class=\"button\" href=\"/r/%s%s%sview=pictures\">", r->text, query,
                    query[0] != '\0' ? "&amp;" : "?");
        html_say(h, "画像で表示</a>", "Show as pictures</a>");
    } else if (may_choose || !is_body) {
        html_printf(h, "<a class=\"button\" href=\"/r/%s%s\">", r->text, query);
        html_say(h, is_body ? "文字として表示</a>" : "本文に戻る</a>",
                 is_body ? "Show as text</a>" : "Back to the mail</a>");
    }
    html_raw(h, "</div>");
}

static void add_pictures(struct reader *r, struct html *h, const struct view *view)
{
    uint32_t shown = view->pages.pages < PAINTER_MAX_PAGES ? view->pages.pages : PAINTER_MAX_PAGES;
    html_raw(h, "<div class=\"viewer\">");
    for (uint32_t n = 1; n <= shown; n++) {
        html_printf(h,
                    "<img class=\"sheet\" src=\"/r/%s/page/%s/%u.png\" width=\"%u\" height=\"%u\""
                    "%s alt=\"",
                    r->text, view->file->id, n, view->pages.width, view->pages.height,
                    n > 1 ? " loading=\"lazy\"" : "");
        if (h->is_ja) {
            html_printf(h, "%u / %u ページ(画像)\">", n, view->pages.pages);
        } else {
            html_printf(h, "Page %u of %u, as a picture\">", n, view->pages.pages);
        }
    }
    html_raw(h, "</div>");
    if (shown < view->pages.pages) {
        html_say(h, "<p>", "<p>");
        html_printf(h,
                    h->is_ja ? "このページでは先頭の %u ページまで表示します。</p>"
                             : "The first %u pages are shown here.</p>",
                    shown);
    }
}

static void add_view(struct reader *r, struct html *h, const struct view *view)
{
    if (view->file == NULL) {
        return;
    }
    html_raw(h, "<section class=\"card\" id=\"view\"><h2>");
    if (view->file->is_body) {
        html_say(h, "本文", "The mail");
    } else {
        html_text(h, view->file->name);
    }
    html_raw(h, "</h2>");
    if (view->is_broken) {
        html_say(h,
                 "<p>このファイルはここに表示できません。内容が必要な場合は、差出人にお問い合わせ"
                 "ください。</p>",
                 "<p>This file cannot be shown here. If you need it, please ask the sender.</p>");
    } else if (view->is_pictures) {
        add_pictures(r, h, view);
    } else {
        add_script_view(r, h);
    }
    add_ways(r, h, view);
    html_raw(h, "</section>\n");
}

/* ---- the files ---- */

static void add_size(struct html *h, uint64_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    html_printf(h, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

/* In words where there are any; the end of the name says the rest. */
static void add_type(struct html *h, const char *type)
{
    static const struct {
        const char *type, *ja, *en;
    } known[] = {
        {"application/pdf", "PDF 文書", "PDF document"},
        {"application/zip", "ZIP 書庫", "ZIP archive"},
        {"application/msword", "Word 文書", "Word document"},
        {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "Word 文書",
         "Word document"},
        {"application/vnd.ms-excel", "Excel ブック", "Excel workbook"},
        {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Excel ブック",
         "Excel workbook"},
        {"application/vnd.ms-powerpoint", "PowerPoint プレゼンテーション",
         "PowerPoint presentation"},
        {"application/vnd.openxmlformats-officedocument.presentationml.presentation",
         "PowerPoint プレゼンテーション", "PowerPoint presentation"},
        {"message/rfc822", "メール", "Mail"},
        {"image/", "画像", "Image"},
        {"text/", "テキスト", "Text"},
        {"audio/", "音声", "Sound"},
        {"video/", "動画", "Video"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t len = strlen(known[i].type);
        bool is_group = known[i].type[len - 1] == '/';
        if (strncasecmp(type, known[i].type, len) == 0 && (is_group || type[len] == '\0')) {
            html_say(h, known[i].ja, known[i].en);
            return;
        }
    }
    html_say(h, "ファイル", "File");
}

static void add_file(struct reader *r, struct html *h, const struct fb_vault_file *file)
{
    html_raw(h, "<li><div class=\"name\"><span>");
    html_text(h, file->name);
    html_raw(h, "</span><small>");
    add_type(h, file->type);
    html_say(h, "、", ", ");
    add_size(h, file->size);
    html_raw(h, "</small></div>");
    if (r->parcel.can_download) {
        add_download(r, h, file->id, "", "ダウンロード", "Download", file->name);
    }
    if (can_paint(file) && !file->is_body) {
        const char *query = page_query(r->visit);
        html_printf(h, "<a class=\"button\" href=\"/r/%s%s%sshow=%s#view\">", r->text, query,
                    query[0] != '\0' ? "&amp;" : "?", file->id);
        html_say(h, "表示", "Show");
        html_raw(h, "<span class=\"unseen\"> ");
        html_text(h, file->name);
        html_raw(h, "</span></a>");
    } else if (!r->parcel.can_download && !file->is_body) {
        html_say(
            h,
            "<p class=\"said\">この種類のファイルは画面に表示できません。必要な場合は差出人に"
            "ご相談ください。</p>",
            "<p class=\"said\">Files of this kind cannot be shown here. If you need it, please "
            "ask the sender.</p>");
    }
    html_raw(h, "</li>");
}

static void add_files(struct reader *r, struct html *h)
{
    const struct fb_vault_parcel *p = &r->parcel;
    uint32_t attachments = 0;
    for (uint32_t i = 0; i < p->file_count; i++) {
        attachments += p->files[i].is_body ? 0 : 1;
    }
    if (attachments == 0) {
        return;
    }
    html_raw(h, "<section class=\"card\"><h2>");
    html_say(h, "添付ファイル", "Attachments");
    html_printf(h, " (%u)</h2><ul class=\"files\">", attachments);
    for (uint32_t i = 0; i < p->file_count; i++) {
        if (!p->files[i].is_body) {
            add_file(r, h, &p->files[i]);
        }
    }
    html_raw(h, "</ul>");
    if (p->can_download && p->file_count > 1) {
        html_raw(h, "<div class=\"actions\">");
        add_download(r, h, READ_ALL, "", "すべてダウンロード(ZIP)", "Download all (ZIP)", NULL);
        html_raw(h, "</div>");
    }
    html_raw(h, "</section>\n");
}

static void add_leave(struct reader *r, struct html *h)
{
    html_raw(h, "<section class=\"card\">");
    html_say(h,
             "<p class=\"soft\">共用の端末でご覧の場合は、閲覧を終えたら「閲覧を終了する」を"
             "押してください。</p>",
             "<p class=\"soft\">If others use this device too, please leave when you have read "
             "the mail.</p>");
    reader_form_begin(r, h, "leave", "");
    html_say(h, "<button type=\"submit\">閲覧を終了する</button></form></section>\n",
             "<button type=\"submit\">Leave</button></form></section>\n");
}

void read_page(struct reader *r)
{
    struct visit *v = r->visit;
    struct view view = {.downloads = -1};
    struct fb_error err = {0};
    struct html h;
    char policy[2000], path[ASSETS_PATH_SIZE];
    choose(r, &view);
    if (r->parcel.max_downloads > 0 &&
        fb_ledger_reading_downloads(r->redis, r->parcel_id, r->recipient, &view.downloads, &err) !=
            FB_OK) {
        reader_unavailable(r, &err);
        return;
    }
    assets_policy(v->portal, policy, sizeof policy);
    assets_path(path);
    fb_http_answer_replace(v->answer, "Content-Security-Policy", "%s", policy);
    page_begin(v, &h,
               r->parcel.subject[0] != '\0' ? r->parcel.subject
               : v->is_ja                   ? "(件名なし)"
                                            : "(no subject)",
               true);
    html_printf(&h, "<link rel=\"stylesheet\" href=\"%sviewer.css\">", path);
    add_head(r, &h, &view);
    add_view(r, &h, &view);
    add_files(r, &h);
    add_leave(r, &h);
    page_end(v, &h, 200);
}
