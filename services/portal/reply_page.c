/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of a reply, and the page that says it was sent.  Needs no script; what was typed is kept when it has to be
 * sent again. */
#include <string.h>

#include "common/ledger/reply.h"
#include "services/portal/reply.h"

static const struct {
    unsigned status;
    const char *ja, *en;
} alerts[REPLY_ALERT_COUNT] = {
    [REPLY_FINE] = {200, "", ""},
    [REPLY_EMPTY] = {400, "まだ送信していません。本文を入力するか、ファイルを添付してください。",
                     "Nothing was sent yet. Please write something, or attach a file."},
    [REPLY_LONG] =
        {413,
         "まだ送信していません。本文が長すぎます。短くするか、ファイルとして添付して"
         "ください。",
         "Nothing was sent yet. The text is too long: please shorten it, or attach it as "
         "a file."},
    [REPLY_MANY_FILES] = {413, "まだ送信していません。添付できるファイルは 10 個までです。",
                          "Nothing was sent yet. At most ten files can be attached."},
    [REPLY_UNREADABLE] = {400,
                          "まだ送信していません。本文に読み取れない文字が含まれています。"
                          "もう一度入力してください。",
                          "Nothing was sent yet. The text holds characters that cannot be read; "
                          "please type it again."},
    [REPLY_HOURLY] =
        {429,
         "この返信は送信していません。1 時間に送信できる返信は 10 通までです。"
         "しばらくしてから、もう一度お試しください。",
         "This reply was not sent. Ten replies can be sent in an hour; please try again "
         "later."},
    [REPLY_CROWDED] =
        {503,
         "ただいま混み合っているため、まだ送信していません。1 "
         "分ほど待ってから、もう一度送信してください。",
         "Too busy at the moment: nothing was sent yet. Please send it again in a minute."},
    [REPLY_FAILED] = {502,
                      "送信できませんでした。しばらくしてから、もう一度送信してください。繰り返し"
                      "失敗する場合は、通常のメールで差出人にご連絡ください。",
                      "The reply could not be sent. Please send it again in a while. If it fails "
                      "again, please write to the sender by ordinary mail."},
};

bool reply_is_on(const struct reader *r)
{
    const struct fb_config *c = r->visit->portal->config;
    const char *from = r->parcel.from;
    return c->portal.reply_max > 0 && c->ingest.token != NULL &&
           (c->portal.ingest_url != NULL || c->ingest.http != NULL) &&
           c->rewrite.postmaster != NULL && r->parcel.may_reply && from != NULL &&
           strchr(from, '@') != NULL;
}

static void add_alert(struct html *h, enum reply_alert alert, bool has_lost_files)
{
    if (alert == REPLY_FINE) {
        return;
    }
    html_raw(h, "<p class=\"note bad\" role=\"alert\">");
    html_say(h, alerts[alert].ja, alerts[alert].en);
    if (has_lost_files) {
        html_say(h, "添付ファイルは、もう一度選択してください。",
                 " Files have to be chosen again.");
    }
    html_raw(h, "</p>\n");
}

static void add_facts(struct reader *r, struct html *h)
{
    char subject[REPLY_MAX_SUBJECT];
    reply_subject(r->parcel.subject != NULL ? r->parcel.subject : "", subject);
    html_say(h, "<dl><dt>宛先</dt><dd>", "<dl><dt>To</dt><dd>");
    html_text(h, r->parcel.from);
    html_say(h, "</dd><dt>返信者</dt><dd>", "</dd><dt>From</dt><dd>");
    html_text(h, r->session.address);
    html_say(h, "</dd><dt>件名</dt><dd>", "</dd><dt>Subject</dt><dd>");
    html_text(h, subject);
    html_raw(h, "</dd></dl>\n");
}

/* The token is in the URL, for it is looked at before the body is read (reply_body_limit). */
static void add_form_begin(struct reader *r, struct html *h)
{
    struct visit *v = r->visit;
    char id[FB_ID_SIZE];
    char token[FORM_TOKEN_SIZE];
    fb_id_new(id);
    const struct form_binding binding = {.key = v->portal->form_key,
                                         .step = REPLY_STEP,
                                         .link = r->text,
                                         .cookie = r->session.id_hash,
                                         .id = id};
    form_token_make(&binding, fb_now_ms() + FORM_TOKEN_MS, token);
    html_printf(h,
                "<form method=\"post\" enctype=\"multipart/form-data\" accept-charset=\"utf-8\" "
                "autocomplete=\"off\" action=\"/r/%s/reply?t=%s&amp;id=%s%s%s\">\n",
                r->text, token, id, page_query(v)[0] != '\0' ? "&amp;lang=" : "",
                page_query(v)[0] != '\0' ? v->chosen : "");
}

static void add_size(struct html *h, int64_t bytes)
{
    int64_t kib = bytes / 1024;
    if (kib >= 1024) {
        html_printf(h, "%lld MB", (long long)(kib / 1024));
    } else {
        html_printf(h, "%lld KB", (long long)kib);
    }
}

static void add_fields(struct reader *r, struct html *h, const char *text, bool is_bad)
{
    html_say(h, "<div class=\"field\"><label for=\"text\">本文</label>",
             "<div class=\"field\"><label for=\"text\">Message</label>");
    html_raw(h, is_bad ? "<textarea id=\"text\" name=\"text\" rows=\"10\" maxlength=\"20000\" "
                         "class=\"long\" aria-invalid=\"true\">\n"
                       : "<textarea id=\"text\" name=\"text\" rows=\"10\" maxlength=\"20000\" "
                         "class=\"long\">\n");
    html_lines(h, text);
    html_say(h,
             "</textarea></div><div class=\"field\"><label "
             "for=\"files\">添付ファイル(任意)</label>",
             "</textarea></div><div class=\"field\"><label for=\"files\">Attachments "
             "(optional)</label>");
    html_raw(h, "<input type=\"file\" id=\"files\" name=\"files\" multiple "
                "aria-describedby=\"files-help\"><p class=\"said\" id=\"files-help\">");
    html_say(h, "10 個まで、本文と合わせて ", "Up to ten files; with the text at most ");
    add_size(h, r->visit->portal->config->portal.reply_max);
    html_say(h, " まで。", ".");
    html_raw(h, "</p></div>\n");
}

void reply_form(struct reader *r, enum reply_alert alert, const char *text)
{
    struct visit *v = r->visit;
    struct html h;
    bool is_bad = alert == REPLY_EMPTY || alert == REPLY_LONG || alert == REPLY_UNREADABLE;
    page_begin(v, &h, v->is_ja ? "返信" : "Reply", strcmp(v->request->method, "POST") != 0);
    add_alert(&h, alert, alert != REPLY_FINE && alert != REPLY_EMPTY);
    html_raw(&h, "<section class=\"card letter\"><h1>");
    html_say(&h, "差出人に返信する", "Reply to the sender");
    html_raw(&h, "</h1>\n");
    add_facts(r, &h);
    add_form_begin(r, &h);
    add_fields(r, &h, text, is_bad);
    html_raw(&h, "<p class=\"actions\"><button class=\"main\">");
    html_say(&h, "返信を送信する", "Send the reply");
    html_printf(&h, "</button><a class=\"button\" href=\"/r/%s%s\">", r->text, page_query(v));
    html_say(&h, "メールに戻る", "Back to the mail");
    html_raw(&h, "</a></p><p class=\"said\">");
    html_say(&h,
             "この画面までの通信は暗号化されています。返信は差出人にメールとして届き、あなたの"
             "メールアドレスが添えられます。",
             "What you send from this page travels encrypted. The sender gets it as a mail that "
             "names your address.");
    html_raw(&h, "</p></form></section>\n");
    page_end(v, &h, alerts[alert].status);
}

static void write_sent(struct reader *r)
{
    struct visit *v = r->visit;
    struct html h;
    page_begin(v, &h, v->is_ja ? "返信を送信しました" : "Your reply was sent", false);
    html_raw(&h, "<section class=\"card letter\"><h1 role=\"status\">");
    html_say(&h, "返信を送信しました", "Your reply was sent");
    html_raw(&h, "</h1><p>");
    html_text(&h, r->parcel.from);
    html_say(&h, " に、メールとして届きます。返信の内容は、このページには残りません。",
             " gets it as a mail. Nothing of the reply is kept on this page.");
    html_printf(&h, "</p><p class=\"actions\"><a class=\"button main\" href=\"/r/%s%s\">", r->text,
                page_query(v));
    html_say(&h, "メールに戻る", "Back to the mail");
    html_printf(&h, "</a><a class=\"button\" href=\"/r/%s/reply%s\">", r->text, page_query(v));
    html_say(&h, "もう一通返信する", "Write another reply");
    html_raw(&h, "</a></p></section>\n");
    page_end(v, &h, 200);
}

/* What the query says is believed only where Redis says the same. */
void reply_page(struct reader *r)
{
    const char *id = fb_http_query(r->visit->request, "done");
    enum fb_reply_state state = FB_REPLY_NEW;
    struct fb_error err = {0};
    if (!reply_is_on(r)) {
        page_error(r->visit, PAGE_NO_REPLY);
        return;
    }
    if (id != NULL && fb_id_is_valid(id) &&
        fb_ledger_reply_state(r->redis, r->shard, id, &state, &err) != FB_OK) {
        reader_unavailable(r, &err);
    } else if (state == FB_REPLY_DONE) {
        write_sent(r);
    } else {
        reply_form(r, REPLY_FINE, "");
    }
}
