/* SPDX-License-Identifier: Apache-2.0
 *
 * The sender's page: the mail, what became of it for each recipient, recalls under way, and the
 * form for one.  Says what the evidence says and no more (common/evidence_text.h). */
#include <stdlib.h>
#include <string.h>

#include "common/evidence_text.h"
#include "services/portal/sender.h"

#define MAX_RECALLS_SHOWN 20
#define MAX_NAMES_SHOWN   3

/* ---- one recipient ---- */

struct pill {
    const char *class, *ja, *en;
};

static const struct pill pills[] = {
    [FB_EV_STOPPED] = {"good", "送信前に中止", "Stopped"},
    [FB_EV_MAYBE_OUT] = {"warn", "送信済みの可能性", "May be out"},
    [FB_EV_PLAIN] = {"calm", "通常のメール", "Ordinary mail"},
    [FB_EV_REFUSED] = {"calm", "未配達", "Not delivered"},
    [FB_EV_WAITING] = {"calm", "送信前", "Not sent yet"},
    [FB_EV_OPEN] = {"calm", "公開中", "Has access"},
    [FB_EV_CLOSING] = {"warn", "取り消し中", "Removing access"},
    [FB_EV_FAILED] = {"bad", "取り消し失敗", "Removal failed"},
    [FB_EV_CLOSED] = {"good", "取り消し済み", "Access removed"},
    [FB_EV_ENDED] = {"calm", "公開終了", "Access ended"},
};

/* An access by somebody unknown says nothing of this recipient. */
static struct pill pill_of(const struct fb_evidence *e)
{
    if (e->kind != FB_EV_OPEN) {
        return pills[e->kind];
    }
    if (fb_evidence_is_downloaded(e)) {
        return (struct pill){"warn", "ダウンロード済み", "Downloaded"};
    }
    if (e->opened_ms > 0 || e->previews > 0) {
        return (struct pill){"warn", "開封済み", "Opened"};
    }
    return e->is_pending ? (struct pill){"calm", "招待中", "Invited"} : pills[FB_EV_OPEN];
}

static void add_pill(struct html *h, struct pill p)
{
    html_printf(h, "<span class=\"pill %s\">%s</span>", p.class, h->is_ja ? p.ja : p.en);
}

static void add_person(struct html *h, const struct sender_view *view, size_t i)
{
    const struct fb_evidence *e = &view->evidence[i];
    bool can_choose = sender_can_choose(view, i);
    html_raw(h, "<li><div class=\"person\">");
    if (can_choose) {
        html_printf(h,
                    "<label><input type=\"checkbox\" name=\"r\" value=\"%zu\" "
                    "aria-describedby=\"e%zu\"><span>",
                    i, i);
        html_text(h, view->m.recipients[i].address);
        html_raw(h, "</span></label>");
    } else {
        html_raw(h, "<div class=\"name\"><span>");
        html_text(h, view->m.recipients[i].address);
        html_raw(h, "</span></div>");
    }
    add_pill(h, pill_of(e));
    html_printf(h, "</div><p class=\"said\" id=\"e%zu\">", i);
    if (h->status == FB_OK) {
        h->status = fb_evidence_words(e, h->is_ja ? "ja" : "en", h->out);
    }
    html_raw(h, "</p></li>\n");
}

/* ---- the recipients of one branch ---- */

static void add_expiry(struct html *h, const struct fb_ledger_branch *b)
{
    if (b->uploaded_ms == 0) {
        return;
    }
    html_raw(h, "<p class=\"soft\">");
    if (b->expires_ms > 0) {
        html_say(h, "有効期限: ", "Available until ");
        html_time(h, b->expires_ms);
    } else {
        html_say(h, "有効期限: なし", "Available without an end");
    }
    html_raw(h, "</p>");
}

static void add_branch_head(struct html *h, const struct fb_ledger_branch *b, bool is_shared)
{
    bool is_out = b != NULL && (b->ended_ms > 0 || strcmp(b->state, "sent") == 0);
    bool is_secure = b != NULL && strcmp(b->kind, "secure") == 0 && b->forced[0] == '\0';
    bool is_reject =
        b != NULL && (strcmp(b->kind, "reject") == 0 || strcmp(b->forced, "reject") == 0);
    html_raw(h, "<legend>");
    if (b == NULL || b->kind[0] == '\0') {
        html_say(h, "準備中", "Being prepared");
    } else if (is_secure) {
        html_say(h, is_out ? "保護して送信" : "保護して送信(未送信)",
                 is_out ? "Sent protected" : "To be sent protected");
    } else if (is_reject) {
        html_say(h, "送信しません(差し戻し)", "Not sent (returned to you)");
    } else {
        html_say(h, is_out ? "通常のメールとして送信" : "通常のメールとして送信(未送信)",
                 is_out ? "Sent as ordinary mail" : "To be sent as ordinary mail");
    }
    html_raw(h, "</legend>");
    if (is_secure) {
        add_expiry(h, b);
    }
    if (b != NULL && b->is_held) {
        html_say(h,
                 "<p class=\"note "
                 "warn\">"
                 "処理できなかったため保留しています。どうするかはメールの管理者が判断します。</p>",
                 "<p class=\"note warn\">It could not be processed and is held. Your mail "
                 "administrator decides what "
                 "becomes of it.</p>");
    }
    if (is_secure && is_shared) {
        html_say(h,
                 "<p class=\"note\">全員で 1 "
                 "つのリンクを使うため、取り消しは全員分のみとなります。</p>",
                 "<p class=\"note\">These recipients share one link, so the mail can only be taken "
                 "back from "
                 "everybody.</p>");
    }
}

/* Those of [from, to) that are in the same branch as recipient i, who is the first of them. */
static void add_branch(struct html *h, const struct sender_view *view, size_t i, size_t to)
{
    uint32_t number = view->m.recipients[i].branch;
    const struct fb_ledger_branch *b =
        number < view->m.branch_count ? &view->m.branches[number] : NULL;
    bool can_choose = false;
    for (size_t k = i; k < to; k++) {
        can_choose =
            can_choose || (view->m.recipients[k].branch == number && sender_can_choose(view, k));
    }
    html_raw(h, "<section class=\"card\"><fieldset>");
    add_branch_head(h, b, sender_is_shared(view, i));
    html_raw(h, can_choose ? "<ul class=\"people indent\">\n" : "<ul class=\"people\">\n");
    for (size_t k = i; k < to; k++) {
        if (view->m.recipients[k].branch == number && sender_is_known(view, k)) {
            add_person(h, view, k);
        }
    }
    html_raw(h, "</ul></fieldset></section>\n");
}

static void add_recipients(struct html *h, const struct sender_view *view, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        bool is_first = sender_is_known(view, i);
        for (size_t k = from; k < i && is_first; k++) {
            is_first = view->m.recipients[k].branch != view->m.recipients[i].branch ||
                       !sender_is_known(view, k);
        }
        if (is_first) {
            add_branch(h, view, i, to);
        }
    }
}

/* ---- recalls ---- */

struct progress {
    bool is_closing, is_failed, is_restored, is_final;
};

static void look_at(const struct sender_view *view, size_t i, struct progress *p)
{
    if (i >= view->m.recipient_count || !sender_is_known(view, i)) {
        return;
    }
    const struct fb_evidence *e = &view->evidence[i];
    p->is_closing = p->is_closing || e->kind == FB_EV_CLOSING;
    p->is_failed = p->is_failed || e->kind == FB_EV_FAILED;
    p->is_restored = p->is_restored && !view->m.recipients[i].is_recalled && !view->m.is_recalled;
    p->is_final = p->is_final && e->is_final;
}

static struct progress progress_of(const struct sender_view *view, const struct fb_recall *c)
{
    struct progress p = {.is_restored = true, .is_final = true};
    size_t count = c->is_all ? view->m.recipient_count : c->count;
    for (size_t i = 0; i < count; i++) {
        look_at(view, c->is_all ? i : c->recipients[i], &p);
    }
    p.is_failed = p.is_failed || c->has_failed;
    p.is_closing = p.is_closing || c->jobs_left > 0;
    return p;
}

static void add_progress(struct html *h, const struct sender_view *view, const struct fb_recall *c)
{
    struct progress p = progress_of(view, c);
    if (p.is_failed) {
        add_pill(h, (struct pill){"bad", "失敗", "Failed"});
        html_say(
            h,
            "</div><p "
            "class=\"said\">取り消せなかったアクセス権があります。メールの管理者にご連絡ください。",
            "</div><p class=\"said\">Some access could not be removed. Please contact your mail "
            "administrator.");
    } else if (p.is_closing) {
        add_pill(h, (struct pill){"warn", "取り消し中", "Removing access"});
        html_say(
            h,
            "</div><p class=\"said\">アクセス権を取り消しています。通常は 1 分以内に終わります。",
            "</div><p class=\"said\">Access is being removed. This takes less than a minute as a "
            "rule.");
    } else if (p.is_restored) {
        add_pill(h, (struct pill){"calm", "復元済み", "Undone"});
        html_say(h, "</div><p class=\"said\">この取り消しは、後から元に戻されました。",
                 "</div><p class=\"said\">This recall was undone later.");
    } else if (p.is_final) {
        add_pill(h, (struct pill){"good", "完了", "Complete"});
        html_say(h, "</div><p class=\"said\">アクセス権の取り消しと、記録の確認が終わりました。",
                 "</div><p class=\"said\">Access is removed, and the storage's log was read to its "
                 "end.");
    } else {
        add_pill(h, (struct pill){"good", "取り消し済み", "Access removed"});
        html_say(h,
                 "</div><p "
                 "class=\"said\">"
                 "アクセス権を取り消しました。その前に開かれていないか、記録の確認を続けています。",
                 "</div><p class=\"said\">Access is removed. The storage's log is still being "
                 "checked for what happened "
                 "before.");
    }
    if (strcmp(c->told, "final") == 0) {
        html_say(h, "最終結果をメールでお送りしました。",
                 " The final report was mailed to the sender.");
    } else if (strcmp(c->told, "interim") == 0) {
        html_say(h, "途中経過をメールでお送りしました。最終結果もお送りします。",
                 " A first report was mailed to the sender; the final one follows.");
    }
    html_raw(h, "</p>");
}

static void add_whom(struct html *h, const struct sender_view *view, const struct fb_recall *c)
{
    if (c->is_all) {
        html_say(h, "全員", "From everybody");
        return;
    }
    html_say(h, "", "From ");
    for (size_t i = 0; i < c->count && i < MAX_NAMES_SHOWN; i++) {
        html_raw(h, i > 0 ? ", " : "");
        if (sender_is_known(view, c->recipients[i])) {
            html_text(h, view->m.recipients[c->recipients[i]].address);
        }
    }
    if (c->count > MAX_NAMES_SHOWN) {
        html_printf(h, h->is_ja ? " ほか %zu 名" : " and %zu more", c->count - MAX_NAMES_SHOWN);
    }
}

static void add_recalls(struct html *h, const struct sender_view *view)
{
    if (view->recall_count == 0) {
        return;
    }
    html_say(
        h, "<section class=\"card\" id=\"recalls\"><h2>取り消しの状況</h2><ol class=\"recalls\">\n",
        "<section class=\"card\" id=\"recalls\"><h2>Recalls</h2><ol class=\"recalls\">\n");
    for (size_t n = 0; n < view->recall_count && n < MAX_RECALLS_SHOWN; n++) {
        const struct fb_recall *c = &view->recalls[view->recall_count - 1 - n];
        html_raw(h, "<li><div class=\"person\"><div class=\"name\"><span>");
        add_whom(h, view, c);
        html_raw(h, "</span></div>");
        add_progress(h, view, c);
        html_raw(h, "<p class=\"said\">");
        html_say(h, "受付: ", "Asked for at ");
        html_time(h, c->at_ms);
        if (strcmp(c->source, "portal") == 0) {
            html_say(h, "、このページから", ", on this page");
        } else {
            html_say(h, "、管理者", ", by an administrator");
        }
        html_raw(h, "</p>");
        if (c->reason[0] != '\0') {
            html_say(h, "<p class=\"said\">理由: ", "<p class=\"said\">Reason: ");
            html_text(h, c->reason);
            html_raw(h, "</p>");
        }
        html_raw(h, "</li>\n");
    }
    html_raw(h, "</ol></section>\n");
}

/* ---- the page ---- */

/* Behind a recall: that it is accepted only when there is one of that id, whatever the query says.
 * One that no replica confirmed may be gone with a fail-over (fb_ledger_recall): then the reader must
 * know. */
static void add_result(struct visit *v, struct html *h, const struct sender_view *view)
{
    const char *id = fb_http_query(v->request, "done");
    bool is_unsure = fb_http_query(v->request, "unsure") != NULL;
    bool is_there = false;
    for (size_t i = 0; id != NULL && i < view->recall_count; i++) {
        is_there = is_there || strcmp(view->recalls[i].id, id) == 0;
    }
    if (is_there && !is_unsure) {
        html_say(h,
                 "<p class=\"note good\" "
                 "role=\"status\">取り消しを受け付けました。経過は下でご確認いただけます。"
                 "結果はメールでもお知らせします。</p>\n",
                 "<p class=\"note good\" role=\"status\">The recall has been accepted. See "
                 "below how it goes; the "
                 "result is mailed to the sender, too.</p>\n");
    } else if (is_there) {
        html_say(
            h,
            "<p class=\"note warn\" role=\"status\">取り消しを受け付けましたが、記録の複製を"
            "確認できていません。1 分ほど後にこのページを再度読み込み、この取り消しが下の一覧に"
            "ない場合は、もう一度お手続きください。</p>\n",
            "<p class=\"note warn\" role=\"status\">The recall has been accepted, but no copy of "
            "its record is confirmed yet. Please load this page again in a minute; if the recall "
            "is not in the list below then, ask for it once more.</p>\n");
    } else if (is_unsure && id != NULL && fb_id_is_valid(id)) {
        html_say(h,
                 "<p class=\"note bad\" role=\"alert\">取り消しの記録がありません。"
                 "お手数ですが、もう一度お手続きください。</p>\n",
                 "<p class=\"note bad\" role=\"alert\">The recall is not on record. Please ask for "
                 "it once more.</p>\n");
    }
}

static void add_facts(struct visit *v, struct html *h, const struct sender_view *view)
{
    html_raw(h, "<section class=\"card\"><p class=\"kind\">");
    html_say(h, "送信したメール", "A mail that you sent");
    html_raw(h, "</p><h1>");
    html_text(h, sender_title(view, v->is_ja));
    html_raw(h, "</h1><dl><dt>");
    html_say(h, "差出人", "From");
    html_raw(h, "</dt><dd>");
    html_text(h, view->m.from != NULL ? view->m.from : "");
    html_say(h, "</dd><dt>受付日時</dt><dd>", "</dd><dt>Accepted</dt><dd>");
    html_time(h, view->m.accepted_ms);
    html_say(h, "</dd><dt>受信者</dt><dd>", "</dd><dt>Recipients</dt><dd>");
    html_printf(h, v->is_ja ? "%zu 名" : "%zu", sender_count(view));
    html_say(h, "</dd><dt>この表示の日時</dt><dd>", "</dd><dt>State as of</dt><dd>");
    html_time(h, fb_now_ms());
    html_printf(h, "</dd></dl><p class=\"actions\"><a class=\"button\" href=\"/s/%s%s\">", v->link,
                page_query(v));
    html_say(h, "最新の状態を表示", "Show the current state");
    html_raw(h, "</a></p></section>\n");
}

static void add_form_end(struct html *h, const struct sender_view *view)
{
    bool has_single = false;
    for (size_t i = 0; i < view->m.recipient_count && !has_single; i++) {
        has_single = sender_can_choose(view, i);
    }
    html_say(
        h,
        "<section class=\"card ask\"><h2>送信を取り消す</h2>"
        "<p>"
        "取り消すと、受信者はリンクから内容を開けなくなります。すでに読まれた内容や、ダウンロードさ"
        "れたコピーは"
        "取り消せません。通常のメールとして送信済みのものは取り消せません。</p>"
        "<div class=\"field\"><label for=\"reason\">理由(任意)</label><textarea id=\"reason\" "
        "name=\"reason\" "
        "maxlength=\"160\" rows=\"2\" aria-describedby=\"reason-help\"></textarea>"
        "<p class=\"said\" id=\"reason-help\">記録に残り、管理者も確認できます。160 "
        "文字まで。</p></div>",
        "<section class=\"card ask\"><h2>Take the mail back</h2>"
        "<p>Afterwards the recipients can no longer open it by their link. What was read already, "
        "and copies that "
        "were downloaded, cannot be taken back, nor can what went out as ordinary mail.</p>"
        "<div class=\"field\"><label for=\"reason\">Reason (optional)</label><textarea "
        "id=\"reason\" "
        "name=\"reason\" maxlength=\"160\" rows=\"2\" aria-describedby=\"reason-help\"></textarea>"
        "<p class=\"said\" id=\"reason-help\">It is kept on record and administrators can see it. "
        "Up to 160 "
        "characters.</p></div>");
    html_raw(h, "<p class=\"actions\">");
    if (has_single) {
        html_say(h,
                 "<button class=\"main\" name=\"scope\" "
                 "value=\"chosen\">選択した方への送信を取り消す…</button>",
                 "<button class=\"main\" name=\"scope\" value=\"chosen\">Take it back from those "
                 "ticked…</button>");
    }
    html_printf(h, "<button%s name=\"scope\" value=\"all\">", has_single ? "" : " class=\"main\"");
    if (sender_count(view) > 1) {
        html_say(h, "全員への送信を取り消す…", "Take it back from everybody…");
    } else {
        html_say(h, "送信を取り消す…", "Take it back…");
    }
    html_say(
        h,
        "</button></p><p class=\"said\">次の画面で内容を確認してから実行します。</p></section>\n",
        "</button></p><p class=\"said\">You confirm it on the next page.</p></section>\n");
}

/* Which recipients are shown: page 1, 2, ... of the query; anything else is the first. */
static size_t first_shown(struct visit *v, size_t count)
{
    const char *text = fb_http_query(v->request, "page");
    size_t page = 0;
    for (size_t i = 0; text != NULL && text[i] >= '0' && text[i] <= '9' && i < 4; i++) {
        page = page * 10 + (size_t)(text[i] - '0');
    }
    size_t from = page > 0 ? (page - 1) * SENDER_PAGE_SIZE : 0;
    return from < count ? from : 0;
}

static void add_page_links(struct visit *v, struct html *h, size_t count, size_t from)
{
    size_t page = from / SENDER_PAGE_SIZE + 1;
    const char *lang = page_query(v)[0] != '\0' ? v->chosen : "";
    if (count <= SENDER_PAGE_SIZE) {
        return;
    }
    html_say(h, "<nav class=\"card pages\" aria-label=\"受信者のページ\">",
             "<nav class=\"card pages\" aria-label=\"Recipients\">");
    if (page > 1) {
        html_printf(h, "<a rel=\"prev\" href=\"?page=%zu%s%s\">", page - 1,
                    lang[0] != '\0' ? "&amp;lang=" : "", lang);
        html_say(h, "前の受信者</a>", "Previous recipients</a>");
    }
    html_printf(h, v->is_ja ? "<span>%zu 名中 %zu - %zu</span>" : "<span>of %zu: %zu to %zu</span>",
                count, from + 1, from + SENDER_PAGE_SIZE < count ? from + SENDER_PAGE_SIZE : count);
    if (from + SENDER_PAGE_SIZE < count) {
        html_printf(h, "<a rel=\"next\" href=\"?page=%zu%s%s\">", page + 1,
                    lang[0] != '\0' ? "&amp;lang=" : "", lang);
        html_say(h, "次の受信者</a>", "Next recipients</a>");
    }
    html_raw(h, "</nav>\n");
}

static void add_form_begin(struct visit *v, struct html *h)
{
    char token[FORM_TOKEN_SIZE];
    const struct form_binding binding = {.key = v->portal->form_key,
                                         .step = "confirm",
                                         .link = v->link,
                                         .cookie = v->cookie,
                                         .id = ""};
    form_token_make(&binding, fb_now_ms() + FORM_TOKEN_MS, token);
    html_printf(h,
                "<form method=\"post\" action=\"/s/%s/confirm%s\" autocomplete=\"off\">"
                "<input type=\"hidden\" name=\"token\" value=\"%s\">\n",
                v->link, page_query(v), token);
}

static void write_page(struct visit *v, const struct sender_view *view)
{
    struct html h;
    size_t count = view->m.recipient_count;
    size_t from = first_shown(v, count);
    size_t to = count - from > SENDER_PAGE_SIZE ? from + SENDER_PAGE_SIZE : count;
    bool can_recall = false;
    for (size_t i = 0; i < count && !can_recall; i++) {
        can_recall = sender_can_recall(view, i);
    }
    page_set_cookie(v);
    page_begin(v, &h, sender_title(view, v->is_ja), true);
    add_result(v, &h, view);
    add_facts(v, &h, view);
    add_recalls(&h, view);
    if (can_recall) {
        add_form_begin(v, &h);
    }
    add_recipients(&h, view, from, to);
    add_page_links(v, &h, count, from);
    if (can_recall) {
        add_form_end(&h, view);
        html_raw(&h, "</form>\n");
    } else {
        html_say(
            &h, "<p class=\"note\">このメールについて、これ以上取り消せるものはありません。</p>\n",
            "<p class=\"note\">There is nothing left of this mail that could be taken back.</p>\n");
    }
    page_end(v, &h, 200);
}

void sender_page(struct visit *v)
{
    struct fb_error err = {0};
    struct sender_view view;
    struct fb_redis *r = fb_redis_pool_take(v->portal->pool);
    enum fb_status s = sender_load(v, r, &view, &err);
    fb_redis_pool_give(v->portal->pool, r);
    if (s == FB_OK) {
        write_page(v, &view);
    } else if (s == FB_NOT_FOUND) {
        page_error(v, PAGE_NO_RECORD);
    } else {
        page_unavailable(v, &err);
    }
    sender_deinit(&view);
}
