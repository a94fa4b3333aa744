/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/portal/portal.h"

#define WARN_EVERY_MS 10000
#define RETRY_S       10

void page_headers(struct visit *v)
{
    struct fb_http_answer *a = v->answer;
    fb_http_answer_header(a, "Content-Security-Policy", "%s", v->portal->policy);
    fb_http_answer_header(a, "Referrer-Policy", "no-referrer");
    fb_http_answer_header(a, "X-Content-Type-Options", "nosniff");
    fb_http_answer_header(a, "X-Frame-Options", "DENY");
    fb_http_answer_header(a, "Cross-Origin-Opener-Policy", "same-origin");
    fb_http_answer_header(a, "Cross-Origin-Resource-Policy", "same-origin");
    fb_http_answer_header(a, "Cache-Control", "no-store");
    fb_http_answer_header(a, "X-Robots-Tag", "noindex, nofollow, noarchive");
    if (v->portal->is_https) {
        fb_http_answer_header(a, "Strict-Transport-Security", "max-age=31536000");
    }
}

/* Not known to any script, not sent by any other site, not sent anywhere but to this link's pages. */
void page_set_cookie(struct visit *v)
{
    if (v->has_cookie) {
        return;
    }
    form_cookie_new(v->cookie);
    v->has_cookie = true;
    fb_http_answer_header(v->answer, "Set-Cookie", "%s=%s; Path=/s/%s; HttpOnly; SameSite=Strict%s",
                          v->portal->is_https ? "__Secure-fumibako" : "fumibako", v->cookie,
                          v->link, v->portal->is_https ? "; Secure" : "");
}

const char *page_query(const struct visit *v)
{
    return strcmp(v->chosen, "ja") == 0   ? "?lang=ja"
           : strcmp(v->chosen, "en") == 0 ? "?lang=en"
                                          : "";
}

static bool has_owner(const struct visit *v)
{
    return v->brand != NULL && v->brand->organisation[0] != '\0';
}

static void add_owner(struct visit *v, struct html *h)
{
    if (has_owner(v)) {
        html_text(h, v->brand->organisation);
    } else {
        html_say(h, "文箱", "Fumibako");
    }
}

/* The organisation that sent the mail is who the reader knows; without one, what this program is called. */
static void add_brand(struct visit *v, struct html *h)
{
    if (v->brand != NULL && v->brand->path[0] != '\0') {
        html_printf(h, "<img src=\"%s\" height=\"40\" alt=\"\">", v->brand->path);
    }
    if (has_owner(v)) {
        html_raw(h, "<b>");
        add_owner(v, h);
        html_raw(h, "</b>");
    } else {
        html_say(h, "文箱<span lang=\"en\">Fumibako</span>",
                 "Fumibako<span lang=\"ja\">文箱</span>");
    }
}

static void add_languages(struct visit *v, struct html *h)
{
    html_raw(h, "<nav aria-label=\"言語 / Language\"><ul class=\"lang\"><li><a href=\"?lang=ja\" "
                "lang=\"ja\" "
                "hreflang=\"ja\"");
    html_raw(h, v->is_ja ? " aria-current=\"true\"" : "");
    html_raw(h, ">日本語</a></li><li><a href=\"?lang=en\" lang=\"en\" hreflang=\"en\"");
    html_raw(h, v->is_ja ? "" : " aria-current=\"true\"");
    html_raw(h, ">English</a></li></ul></nav>");
}

void page_begin(struct visit *v, struct html *h, const char *title, bool has_languages)
{
    *h = (struct html){.out = &v->answer->body, .is_ja = v->is_ja};
    html_raw(h, v->is_ja ? "<!DOCTYPE html>\n<html lang=\"ja\">"
                         : "<!DOCTYPE html>\n<html lang=\"en\">");
    /* The header says no-referrer.  With that alone browsers send "Origin: null" with our own forms; same-origin tells
     * no other site anything either. */
    html_raw(h, "<head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                "content=\"width=device-width, initial-scale=1\">"
                "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" "
                "content=\"same-origin\">"
                "<meta name=\"format-detection\" content=\"telephone=no\"><title>");
    html_text(h, title);
    html_raw(h, " - ");
    add_owner(v, h);
    html_raw(h, "</title><style>");
    html_raw(h, portal_style);
    html_raw(h, "</style></head>\n<body><a class=\"skip\" href=\"#main\">");
    html_say(h, "本文へ移動", "Skip to the content");
    html_raw(h, "</a><header class=\"top\"><div class=\"wrap\"><div class=\"brand\">");
    add_brand(v, h);
    html_raw(h, "</div>");
    if (has_languages) {
        add_languages(v, h);
    }
    html_raw(h, "</div></header>\n<main id=\"main\" class=\"wrap\">\n");
}

void page_end(struct visit *v, struct html *h, unsigned status)
{
    html_raw(h, "</main>\n<footer class=\"wrap\">");
    if (v->ends_ms > 0 && status == 200) {
        html_say(h,
                 "<p>"
                 "このページは、メールの差出人のためのものです。リンクを知っている人は誰でもこのメ"
                 "ールの送信を取り消せるため、"
                 "転送しないでください。リンクの有効期限は ",
                 "<p>This page is for the sender of the mail. Whoever has its link can take the "
                 "mail back, so do not "
                 "pass it on. The link works until ");
        html_time(h, v->ends_ms);
        html_say(h, " です。</p>", ".</p>");
    }
    if (has_owner(v)) {
        html_say(h,
                 "<p class=\"made\">文箱 <span lang=\"en\">Fumibako</span> で保護されています</p>",
                 "<p class=\"made\">Protected by Fumibako</p>");
    }
    html_raw(h, "</footer></body></html>\n");
    if (h->status != FB_OK) {
        fb_log(FB_ERROR, "a page could not be written: %s", fb_status_name(h->status));
        fb_buf_clear(&v->answer->body);
        v->answer->status = 500;
        return;
    }
    fb_http_answer_header(v->answer, "Content-Type", "text/html; charset=utf-8");
    fb_http_answer_header(v->answer, "Content-Language", v->is_ja ? "ja" : "en");
    fb_http_answer_header(v->answer, "Vary", "Accept-Language, Cookie");
    v->answer->status = status;
}

/* ---- when something is not as it should be ---- */

enum way { WAY_NONE, WAY_PAGE, WAY_RETRY }; /* where the reader can go on */

static const struct {
    unsigned status;
    enum way way;
    const char *reason; /* metric of what was refused; NULL = not counted as that */
    const char *title_ja, *title_en, *text_ja, *text_en;
} errors[PAGE_ERROR_COUNT] = {
    [PAGE_NOT_FOUND] =
        {404, WAY_NONE, NULL, "ページが見つかりません", "There is no such page",
         "リンクが途中で切れていないかご確認ください。メールのリンクを、最後の文字までコピーして開"
         "いてください。それでも開けない場合は、リンクの書かれたメールの送信元にお問い合わせくださ"
         "い。",
         "Please check that the link is whole: copy it from the mail up to its last character. If "
         "it "
         "still does not open, please ask whoever sent you the mail with the link."},
    [PAGE_ENDED] =
        {410, WAY_NONE, NULL, "このリンクの有効期限は終了しました", "This link has ended",
         "このメールのページを表示できる期間が過ぎました。"
         "記録の確認や送信の取り消しが必要な場合は、メールの管理者にお問い合わせください。",
         "The time in which this mail's page can be shown is over. If you need its "
         "record, or need to take the "
         "mail back, ask your mail administrator."},
    [PAGE_NO_RECORD] =
        {410, WAY_NONE, NULL, "このメールの記録がありません", "There is no record of this mail",
         "このメールの記録は残っていません。送信の取り消しが必要な場合は、メールの管理者に"
         "ご連絡ください。",
         "Nothing is on record about this mail (any more). If you need to take it "
         "back, contact your mail "
         "administrator."},
    [PAGE_UNAVAILABLE] = {503, WAY_RETRY, NULL, "ただいま表示できません", "Not available right now",
                          "記録を読み書きできない状態です。何も変更していません。しばらくしてから、"
                          "もう一度お試しください。",
                          "The record cannot be reached at the moment, and nothing was changed. "
                          "Please try again in a while."},
    [PAGE_UNSURE] =
        {503, WAY_PAGE, NULL, "取り消しを受け付けられたか確認できません",
         "It is not known whether the recall was accepted",
         "取り消しを依頼しましたが、応答がありませんでした。ページを開き直してください。「取り消し"
         "の"
         "状況」に表示されていれば受け付け済みです。表示されていなければ、もう一度操作してください"
         "。",
         "It was asked for, but no answer came. Please open the page again: if the recall is "
         "listed "
         "there, it was accepted; if it is not, please repeat it."},
    [PAGE_TOO_MANY] =
        {429, WAY_NONE, "rate", "アクセスが多すぎます", "Too many requests",
         "短い時間に多くのアクセスがありました。1 分ほど待ってから、もう一度お試しください。",
         "There were too many requests in a short time. Please wait a minute and try again."},
    [PAGE_BAD_METHOD] = {405, WAY_NONE, NULL, "この操作はできません", "This cannot be done here",
                         "メールのリンクからページを開き直してください。",
                         "Please open the page again by the link in the mail."},
    [PAGE_BAD_TYPE] = {415, WAY_PAGE, "form", "送信された内容を受け付けられません",
                       "This form cannot be read",
                       "何も変更していません。ページを開き直して、もう一度お試しください。",
                       "Nothing was changed. Please open the page again and repeat."},
    [PAGE_TOO_BIG] = {413, WAY_PAGE, "size", "送信された内容が大きすぎます", "Too much was sent",
                      "何も変更していません。ページを開き直して、もう一度お試しください。",
                      "Nothing was changed. Please open the page again and repeat."},
    [PAGE_BAD_FORM] = {400, WAY_PAGE, "form", "送信された内容を読み取れません",
                       "This form cannot be read",
                       "何も変更していません。ページを開き直して、もう一度お試しください。",
                       "Nothing was changed. Please open the page again and repeat."},
    [PAGE_LONG_REASON] = {400, WAY_PAGE, NULL, "理由が長すぎます", "The reason is too long",
                          "何も変更していません。理由は 160 文字以内で入力してください。",
                          "Nothing was changed. Please keep the reason below 160 characters."},
    [PAGE_NOBODY] = {400, WAY_PAGE, NULL, "受信者が選択されていません", "Nobody is selected",
                     "何も変更していません。取り消す受信者にチェックを入れるか、「全員への送信を取"
                     "り消す」をお選びください。",
                     "Nothing was changed. Tick the recipients from whom you want to take the mail "
                     "back, or choose to take it "
                     "back from everybody."},
    [PAGE_ONLY_WHOLE] = {400, WAY_PAGE, NULL, "受信者ごとには取り消せません",
                         "This cannot be taken back person by person",
                         "何も変更していません。このメールは全員で 1 "
                         "つのリンクを使うため、取り消しは全員分のみとなります。",
                         "Nothing was changed. The recipients share one link, so it can only be "
                         "taken back from everybody."},
    [PAGE_NOTHING] = {409, WAY_PAGE, NULL, "取り消せるものはありません",
                      "There is nothing to take back",
                      "何も変更していません。すでに取り消し済みか、通常のメールとして送信済みか、公"
                      "開が終了しています。",
                      "Nothing was changed. It was taken back before, went out as ordinary mail, "
                      "or its time is over."},
    [PAGE_OTHER_SITE] = {403, WAY_PAGE, "origin", "この操作は受け付けられません",
                         "This was not accepted",
                         "何も変更していません。このページ以外から送信されたか、ブラウザーが送信元"
                         "を伝えていません。"
                         "ページを開き直し、そこから操作してください。",
                         "Nothing was changed. The form was sent from elsewhere, or your browser "
                         "did not say from where. "
                         "Please open the page again and repeat it there."},
    [PAGE_STALE_FORM] = {403, WAY_PAGE, "token", "ページの有効時間が過ぎました",
                         "The page was open for too long",
                         "何も変更していません。時間が経ったか、別のタブで開き直したか、Cookie "
                         "が無効になっています。"
                         "ページを開き直して、もう一度操作してください。",
                         "Nothing was changed. The page was open for long, was opened again in "
                         "another tab, or your browser "
                         "keeps no cookies. Please open it again and repeat."},
    [PAGE_MANY_RECALLS] = {409, WAY_PAGE, NULL, "取り消しの回数が上限に達しました",
                           "Too many recalls of this mail",
                           "今回の操作は行っていません。メールの管理者にご連絡ください。",
                           "This one was not carried out. Please contact your mail administrator."},
    [PAGE_READ_RECALLED] =
        {410, WAY_NONE, "recalled", "送信が取り消されました", "This mail has been taken back",
         "差出人が送信を取り消したため、内容を表示できません。内容が必要な場合は、"
         "差出人にお問い合わせください。",
         "The sender has taken it back, so it can no longer be read. If you need "
         "it, please ask the sender."},
    [PAGE_READ_EXPIRED] =
        {410, WAY_NONE, "expired", "公開期間が終了しました", "This mail is no longer available",
         "このメールを閲覧できる期間が過ぎました。内容が必要な場合は、差出人に再送をご依頼ください"
         "。",
         "The time in which it could be read is over. If you still need it, please ask the sender "
         "to send it again."},
    [PAGE_READ_USED_UP] =
        {403, WAY_PAGE, "used_up", "ダウンロード回数の上限に達しました",
         "It has been downloaded as often as allowed",
         "このメールのファイルは、差出人が定めた回数までダウンロードされました。さらに"
         "必要な場合は、差出人にご相談ください。",
         "The sender limits how often the files can be downloaded, and that many "
         "downloads were made. If you need more, please ask the sender."},
    [PAGE_READ_ONLY] =
        {403, WAY_PAGE, "preview_only", "ダウンロードはできません", "It cannot be downloaded",
         "このメールは画面での閲覧のみ許可されています。ファイルが必要な場合は、差出人に"
         "ご相談ください。",
         "The sender lets this mail be read on the page only. If you need a file, "
         "please ask the sender."},
    [PAGE_READ_BROKEN] =
        {500, WAY_PAGE, NULL, "内容を表示できません", "It cannot be shown",
         "保管されている内容を読み取れませんでした。お手数ですが、差出人にご連絡ください。"
         "管理者には記録が残っています。",
         "What is stored could not be read. Please tell the sender; the "
         "administrator has a record of it."},
    [PAGE_NO_REPLY] =
        {404, WAY_PAGE, NULL, "ここからは返信できません", "Replies cannot be sent from here",
         "このメールへの返信は、このページでは受け付けていません。通常のメールで差出人に"
         "ご連絡ください。",
         "This page takes no reply to this mail. Please write to the sender by "
         "ordinary mail."},
    [PAGE_REPLY_TOO_BIG] =
        {413, WAY_PAGE, "size", "添付ファイルが大きすぎます", "The attachments are too large",
         "この返信は送信していません。ファイルを減らすか小さくして、もう一度お試し"
         "ください。上限は返信の画面に表示されています。",
         "This reply was not sent. Please attach fewer or smaller files; the "
         "limit is shown on the page of the reply."},
    [PAGE_REPLY_BUSY] = {503, WAY_PAGE, NULL, "ただいま混み合っています", "Too busy at the moment",
                         "この返信は送信していません。1 分ほど待ってから、もう一度お試しください。",
                         "This reply was not sent. Please try again in a minute."},
    [PAGE_REPLY_UNSURE] =
        {504, WAY_PAGE, NULL, "返信が送信されたか確認できません",
         "It is not known whether the reply was sent",
         "返信を渡しましたが、応答がありませんでした。届いているかどうか、差出人に"
         "ご確認ください。",
         "It was handed over, but no answer came. Please ask the sender whether "
         "it has arrived."},
};

static void add_way(struct visit *v, struct html *h, enum way way)
{
    const char *back = v->back[0] != '\0' ? v->back : v->link;
    if (way == WAY_NONE || back[0] == '\0') {
        return;
    }
    html_printf(h, "<p class=\"actions\"><a class=\"button\" href=\"%s%s%s\">",
                v->back[0] != '\0' ? "" : "/s/", back, page_query(v));
    if (way == WAY_RETRY) {
        html_say(h, "もう一度開く", "Try again");
    } else {
        html_say(h, "ページを開き直す", "Open the page again");
    }
    html_raw(h, "</a></p>");
}

void page_error(struct visit *v, enum page_error what)
{
    struct html h;
    bool is_get = strcmp(v->request->method, "GET") == 0 || strcmp(v->request->method, "HEAD") == 0;
    const char *title = v->is_ja ? errors[what].title_ja : errors[what].title_en;
    if (errors[what].reason != NULL) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "reason=\"%s\"", errors[what].reason);
        fb_metric_add("fumibako_portal_refused_total", labels, 1);
    }
    if (errors[what].status == 503 || what == PAGE_TOO_MANY) {
        fb_http_answer_header(v->answer, "Retry-After", "%d", what == PAGE_TOO_MANY ? 60 : RETRY_S);
    }
    page_begin(v, &h, title, is_get);
    html_raw(&h, "<section class=\"card\"><h1>");
    html_raw(&h, title);
    html_raw(&h, "</h1><p>");
    html_say(&h, errors[what].text_ja, errors[what].text_en);
    html_raw(&h, "</p>");
    add_way(v, &h, errors[what].way);
    html_raw(&h, "</section>\n");
    page_end(v, &h, errors[what].status);
}

void page_unavailable(struct visit *v, const struct fb_error *err)
{
    struct portal *p = v->portal;
    int64_t now_ms = fb_mono_ms();
    (void)pthread_mutex_lock(&p->lock);
    bool says = p->warned_ms == 0 || now_ms - p->warned_ms >= WARN_EVERY_MS;
    p->warned_ms = says ? now_ms : p->warned_ms;
    (void)pthread_mutex_unlock(&p->lock);
    if (says) {
        fb_log(FB_WARN, "a page is answered with 503: %s", err->text);
    }
    page_error(v, PAGE_UNAVAILABLE);
}
