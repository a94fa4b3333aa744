/* SPDX-License-Identifier: Apache-2.0
 *
 * Between asking and acting: says for each recipient what a recall will do and what it cannot, and
 * changes nothing.  The recall gets its id here, so that sending the form twice asks once. */
#include <string.h>

#include "common/evidence_text.h"
#include "common/metrics.h"
#include "services/portal/sender.h"

#define MAX_NAMES 50 /* of one group; a longer list is not read */

/* What the recall will do, by what is known now. */
enum effect {
    STOPS,
    CLOSES,
    CLOSES_UNKNOWN,
    CLOSES_OPENED,
    CLOSES_DOWNLOADED,
    PERHAPS,
    NOTHING,
    EFFECT_COUNT
};

static const struct {
    const char *class, *title_ja, *title_en, *text_ja, *text_en;
} effects[EFFECT_COUNT] = {
    [STOPS] = {"good", "送信を止めます", "Will be stopped",
               "まだ送信していません。送信が始まる前であれば、メールは届きません。",
               "Not sent yet. Unless sending begins first, nothing will arrive."},
    [CLOSES] = {"good", "開けなくなります", "Will lose access",
                "お知らせのメールは届いている場合がありますが、リンクから開けなくなります。開いたと"
                "いう記録は、"
                "今のところありません。",
                "The notice may have arrived, but its link will no longer open anything. So far no "
                "access is recorded."},
    [CLOSES_UNKNOWN] =
        {"good", "開けなくなります", "Will lose access",
         "お知らせのメールは届いている場合がありますが、リンクから開けなくなります。これまでに開"
         "かれたかどうかは、記録を読み取って"
         "いないため分かりません。",
         "The notice may have arrived, but its link will no longer open anything. "
         "Whether it was opened "
         "so far is not known, as the storage's log is not read."},
    [CLOSES_OPENED] = {"warn", "今後は開けなくなりますが、すでに開かれています",
                       "Will lose access, but it was opened already",
                       "すでに読まれた内容を、読まれなかったことにはできません。",
                       "What was read cannot be made unread."},
    [CLOSES_DOWNLOADED] = {"warn", "今後は開けなくなりますが、すでにダウンロードされています",
                           "Will lose access, but it was downloaded already",
                           "受信者の手元にあるコピーは取り戻せません。",
                           "The recipient's copy cannot be taken back."},
    [PERHAPS] = {"warn", "すでに送信された可能性があります", "May be out already",
                 "まだであれば送信を止めます。送信されていれば、取り消せません。",
                 "If it is not, it will be stopped. If it is, it cannot be taken back."},
    [NOTHING] = {"calm", "変わりません", "Nothing changes for",
                 "通常のメールとして送信済みか、すでに取り消し済みか、届いていません。",
                 "It went out as ordinary mail, was taken back before, or did not arrive."},
};

static enum effect effect_on(const struct sender_view *view, size_t i)
{
    const struct fb_evidence *e = &view->evidence[i];
    if (!sender_can_recall(view, i)) {
        return NOTHING;
    }
    if (e->kind == FB_EV_WAITING ||
        (!e->is_notice_out && e->kind == FB_EV_OPEN && !fb_evidence_is_opened(e))) {
        return STOPS;
    }
    if (e->kind == FB_EV_MAYBE_OUT) {
        return PERHAPS;
    }
    return fb_evidence_is_downloaded(e) ? CLOSES_DOWNLOADED
           : fb_evidence_is_opened(e)   ? CLOSES_OPENED
           : e->log_until_ms > 0        ? CLOSES
                                        : CLOSES_UNKNOWN;
}

static void add_group(struct html *h, const struct sender_view *view, const struct form *form,
                      enum effect effect)
{
    size_t shown = 0;
    size_t found = 0;
    size_t count = form->is_all ? view->m.recipient_count : form->count;
    for (size_t n = 0; n < count; n++) {
        size_t i = form->is_all ? n : form->recipients[n];
        if (!sender_is_known(view, i) || effect_on(view, i) != effect) {
            continue;
        }
        if (found++ == 0) {
            html_printf(h, "<section class=\"note %s\"><h2>", effects[effect].class);
            html_say(h, effects[effect].title_ja, effects[effect].title_en);
            html_raw(h, "</h2><ul>");
        }
        if (shown < MAX_NAMES) {
            html_raw(h, "<li>");
            html_text(h, view->m.recipients[i].address);
            html_raw(h, "</li>");
            shown++;
        }
    }
    if (found == 0) {
        return;
    }
    if (found > shown) {
        html_printf(h, h->is_ja ? "<li>ほか %zu 名</li>" : "<li>and %zu more</li>", found - shown);
    }
    html_raw(h, "</ul><p>");
    html_say(h, effects[effect].text_ja, effects[effect].text_en);
    html_raw(h, "</p></section>\n");
}

static void add_form(struct visit *v, struct html *h, const struct form *form)
{
    char id[FB_ID_SIZE], token[FORM_TOKEN_SIZE];
    fb_id_new(id);
    const struct form_binding binding = {.key = v->portal->form_key,
                                         .step = "recall",
                                         .link = v->link,
                                         .cookie = v->cookie,
                                         .id = id};
    form_token_make(&binding, fb_now_ms() + FORM_TOKEN_MS, token);
    html_printf(h,
                "<form method=\"post\" action=\"/s/%s/recall%s\" autocomplete=\"off\">"
                "<input type=\"hidden\" name=\"token\" value=\"%s\"><input type=\"hidden\" "
                "name=\"id\" value=\"%s\">"
                "<input type=\"hidden\" name=\"scope\" value=\"%s\">",
                v->link, page_query(v), token, id, form->is_all ? "all" : "chosen");
    for (size_t i = 0; i < form->count && !form->is_all; i++) {
        html_printf(h, "<input type=\"hidden\" name=\"r\" value=\"%u\">", form->recipients[i]);
    }
    html_raw(h, "<input type=\"hidden\" name=\"reason\" value=\"");
    html_text(h, form->reason);
    html_raw(h, "\"><p class=\"actions\">");
    html_say(h, "<button class=\"main\">取り消す</button>",
             "<button class=\"main\">Take it back</button>");
    html_printf(h, "<a class=\"button\" href=\"/s/%s%s\">", v->link, page_query(v));
    html_say(h, "やめる</a></p></form>\n", "Cancel</a></p></form>\n");
}

static void write_page(struct visit *v, const struct sender_view *view, const struct form *form)
{
    struct html h;
    page_begin(v, &h, v->is_ja ? "送信の取り消しの確認" : "Confirm the recall", false);
    html_raw(&h, "<section class=\"card\"><p class=\"kind\">");
    html_text(&h, sender_title(view, v->is_ja));
    html_raw(&h, "</p><h1>");
    if (form->is_all) {
        html_say(&h, "全員への送信を取り消しますか?", "Take the mail back from everybody?");
    } else {
        html_printf(&h,
                    v->is_ja          ? "%zu 名への送信を取り消しますか?"
                    : form->count > 1 ? "Take the mail back from %zu recipients?"
                                      : "Take the mail back from %zu recipient?",
                    form->count);
    }
    html_say(&h, "</h1><p>まだ何も変更していません。</p>\n",
             "</h1><p>Nothing has been changed yet.</p>\n");
    for (int e = 0; e < EFFECT_COUNT; e++) {
        add_group(&h, view, form, (enum effect)e);
    }
    if (form->reason[0] != '\0') {
        html_say(&h, "<dl><dt>理由</dt><dd>", "<dl><dt>Reason</dt><dd>");
        html_text(&h, form->reason);
        html_raw(&h, "</dd></dl>\n");
    }
    html_say(&h,
             "<p "
             "class=\"soft\">"
             "受信者には通知しません。取り消しを元に戻せるのは、メールの管理者だけです。</p>\n",
             "<p class=\"soft\">Recipients are not told. Only your mail administrator can undo "
             "it.</p>\n");
    add_form(v, &h, form);
    html_raw(&h, "</section>\n");
    page_end(v, &h, 200);
}

static bool has_effect(const struct sender_view *view, const struct form *form)
{
    bool has = false;
    size_t count = form->is_all ? view->m.recipient_count : form->count;
    for (size_t n = 0; n < count && !has; n++) {
        has = sender_can_recall(view, form->is_all ? n : form->recipients[n]);
    }
    return has;
}

/* False, with an error page, when the form asks for what cannot be. */
static bool is_possible(struct visit *v, const struct sender_view *view, const struct form *form)
{
    enum page_error wrong = PAGE_ERROR_COUNT;
    if (!form->is_all && form->count == 0) {
        wrong = PAGE_NOBODY;
    }
    for (size_t i = 0; i < form->count && !form->is_all && wrong == PAGE_ERROR_COUNT; i++) {
        wrong = !sender_is_known(view, form->recipients[i])   ? PAGE_BAD_FORM
                : sender_is_shared(view, form->recipients[i]) ? PAGE_ONLY_WHOLE
                                                              : PAGE_ERROR_COUNT;
    }
    if (wrong == PAGE_ERROR_COUNT && !has_effect(view, form)) {
        wrong = PAGE_NOTHING;
    }
    if (wrong != PAGE_ERROR_COUNT) {
        page_error(v, wrong);
    }
    return wrong == PAGE_ERROR_COUNT;
}

void confirm_page(struct visit *v, const struct form *form)
{
    struct fb_error err = {0};
    struct sender_view view;
    struct fb_redis *r = fb_redis_pool_take(v->portal->pool);
    enum fb_status s = sender_load(v, r, &view, &err);
    fb_redis_pool_give(v->portal->pool, r);
    if (s == FB_OK && is_possible(v, &view, form)) {
        write_page(v, &view, form);
    } else if (s == FB_NOT_FOUND) {
        page_error(v, PAGE_NO_RECORD);
    } else if (s != FB_OK) {
        page_unavailable(v, &err);
    }
    sender_deinit(&view);
}
