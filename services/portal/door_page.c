/* SPDX-License-Identifier: Apache-2.0
 *
 * The door's page: what is to be done next, one thing at a time.  Before anything is proved it shows neither sender nor
 * subject nor the whole address: whoever was passed the link learns nothing but that there is something. */
#include <stdio.h>
#include <string.h>

#include "services/portal/door.h"

enum step { STEP_OPEN, STEP_ASK, STEP_ENTER, STEP_TOTP, STEP_ENROL, STEP_PASSWORD };

struct door_view {
    enum step step;
    struct door_said said;
    struct fb_door_code code;
    bool is_member; /* the code, or the session, is of somebody else than the grant's address */
    char masked[READER_ADDRESS + 16];
};

/* ---- what is next ---- */

static bool is_grants(const struct reader *r, const char *address)
{
    char mine[FB_DOOR_HASH], theirs[FB_DOOR_HASH];
    fb_door_owner(address, mine);
    fb_door_owner(r->grant->address, theirs);
    return strcmp(mine, theirs) == 0;
}

static void step_of_session(const struct reader *r, struct door_view *d)
{
    d->step = r->session.need == READER_NEEDS_TOTP    ? STEP_TOTP
              : r->session.need == READER_NEEDS_ENROL ? STEP_ENROL
                                                      : STEP_PASSWORD;
    d->is_member = !is_grants(r, r->session.address);
    door_masked(r->session.address, d->masked, sizeof d->masked);
}

static enum fb_status step_of_mail(struct reader *r, struct door_view *d, struct fb_error *err)
{
    const struct fb_door_grant grant = {.parcel_id = r->parcel_id, .recipient = r->recipient};
    char browser[FB_DOOR_HASH];
    bool has_app = false, is_stale = false;
    enum fb_status s = FB_OK;
    door_browser(r, browser);
    s = fb_door_code_get(r->redis, &grant, browser, fb_now_ms(), &d->code, err);
    if (s == FB_OK && d->code.is_waiting) {
        d->step = STEP_ENTER;
        d->is_member = !is_grants(r, d->code.to);
        door_masked(d->code.to, d->masked, sizeof d->masked);
        return FB_OK;
    }
    d->step = STEP_ASK;
    if (s == FB_OK && door_required(r) == READER_PROOF_TOTP) {
        s = door_has_app(r, r->grant->address, &has_app, &is_stale, err);
        d->step = has_app ? STEP_TOTP : STEP_ASK;
    }
    return s;
}

static enum fb_status find_step(struct reader *r, struct door_view *d, struct fb_error *err)
{
    enum reader_proof proof = READER_PROOF_LINK;
    bool is_trusted = false;
    door_masked(r->grant->address, d->masked, sizeof d->masked);
    if (r->session.id_hash[0] != '\0') {
        step_of_session(r, d);
        return FB_OK;
    }
    if (door_required(r) == READER_PROOF_LINK) {
        d->step = r->parcel.has_password ? STEP_PASSWORD : STEP_OPEN;
        return FB_OK;
    }
    enum fb_status s = door_is_trusted(r, &is_trusted, &proof, err);
    if (s == FB_OK && is_trusted) {
        d->step = STEP_OPEN;
        return FB_OK;
    }
    return s == FB_OK ? step_of_mail(r, d, err) : s;
}

/* ---- pieces ---- */

/* What went wrong, in words, with the focus. */
static void alert_box(struct html *h, const struct door_said *said)
{
    static const struct {
        const char *ja, *en;
    } words[DOOR_ALERT_COUNT] = {
        [DOOR_NOT_A_CODE] = {"コードの形式が正しくありません。もう一度ご確認ください。",
                             "This is not such a code. Please check it."},
        [DOOR_WRONG] = {"入力内容が正しくありません。", "This is not right."},
        [DOOR_LOCKED] = {"誤った入力が続いたため、しばらく受け付けません。",
                         "There were too many wrong entries, so none is taken for a while."},
        [DOOR_NO_CODE] =
            {"このブラウザーで有効な確認コードがありません。期限が切れたか、すでに使われたか、"
             "別のブラウザーで送信されたものです。新しいコードを送信してください。",
             "There is no code for this browser: it has expired, was used, or was asked "
             "for in another browser. Please have a new one sent."},
        [DOOR_EARLY] = {"確認コードはまだ再送信できません。", "Another code cannot be sent yet."},
        [DOOR_USED] =
            {"このコードは使用済みです。アプリに次のコードが表示されたら入力してください。",
             "This code was used before. Please wait for the next one in the app."},
        [DOOR_BAD_ADDRESS] = {"メールアドレスを正しく入力してください。",
                              "Please enter a mail address."},
        [DOOR_LEFT] = {"終了しました。このブラウザーでは、もう開けません。",
                       "You are signed out: this browser can no longer open it."},
    };
    if (said->alert == DOOR_NO_ALERT) {
        return;
    }
    bool is_calm = said->alert == DOOR_LEFT;
    html_printf(h, "<div class=\"note %s\" id=\"alert\" role=\"%s\" tabindex=\"-1\" autofocus><p>",
                is_calm ? "good" : "bad", is_calm ? "status" : "alert");
    if (said->at != NULL && said->at[0] != '\0') {
        html_printf(h, "<a href=\"#%s\">", said->at);
    }
    html_say(h, words[said->alert].ja, words[said->alert].en);
    if (said->at != NULL && said->at[0] != '\0') {
        html_raw(h, "</a>");
    }
    if (said->alert == DOOR_WRONG && said->tries_left > 0) {
        html_printf(h, h->is_ja ? " あと %u 回入力できます。" : " Tries left: %u.",
                    said->tries_left);
    } else if ((said->alert == DOOR_LOCKED || said->alert == DOOR_EARLY) && said->until_ms > 0) {
        html_say(h, " 次の時刻以降にお試しください: ", " Please come again after ");
        html_time(h, said->until_ms + 59999); /* shown to the minute */
        html_say(h, "", ".");
    }
    html_raw(h, "</p></div>\n");
}

void door_trust_field(struct html *h, const struct reader *r, bool is_offered)
{
    if (!is_offered || r->parcel.trusted_days <= 0) {
        return;
    }
    html_raw(h, "<p class=\"field\"><label class=\"check\"><input type=\"checkbox\" name=\"trust\" "
                "value=\"1\"><span>");
    html_printf(h,
                h->is_ja
                    ? "この端末では %lld 日間、確認を省略する (共用の端末では選ばないでください)"
                    : "Do not ask again on this device for %lld days (not on a shared one)",
                (long long)r->parcel.trusted_days);
    html_raw(h, "</span></label></p>");
}

void door_code_field(struct html *h, const struct door_said *said, bool is_app)
{
    bool is_wrong = said->at != NULL && strcmp(said->at, "code") == 0;
    html_raw(h, "<p class=\"field\"><label for=\"code\">");
    if (is_app) {
        html_say(h, "アプリに表示された 6 桁のコード", "The 6 digits that the app shows");
    } else {
        html_say(h, "確認コード (6 桁)", "Code (6 digits)");
    }
    html_printf(
        h,
        "</label><input id=\"code\" name=\"code\" class=\"code\" type=\"text\" "
        "inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"20\" required%s></p>",
        is_wrong ? " aria-invalid=\"true\" aria-describedby=\"alert\""
        : !is_app && said->alert == DOOR_NO_ALERT ? " autofocus"
                                                  : "");
}

void door_button(struct html *h, const char *ja, const char *en)
{
    html_raw(h, "<p class=\"actions\"><button class=\"main\">");
    html_say(h, ja, en);
    html_raw(h, "</button></p></form>\n");
}

/* ---- steps ---- */

static void add_open(struct reader *r, struct html *h)
{
    html_say(h, "<p>あなた宛ての保護されたメールがあります。ボタンを押すと表示します。</p>",
             "<p>There is a protected mail for you. Press the button to read it.</p>");
    reader_form_begin(r, h, "open", "");
    door_button(h, "メールを開く", "Open the mail");
}

/* The form for colleagues who read a shared mailbox. */
static void add_members(struct reader *r, struct html *h, const struct door_view *d)
{
    bool is_wrong = d->said.at != NULL && strcmp(d->said.at, "address") == 0;
    if (!r->parcel.has_members) {
        return;
    }
    html_raw(h, is_wrong ? "<details class=\"more\" open><summary>"
                         : "<details class=\"more\"><summary>");
    html_say(h, "ご自分のアドレスで受け取る (グループや共有のアドレス宛ての場合)",
             "Use your own address (for mail to a group or a shared mailbox)");
    html_raw(h, "</summary>");
    reader_form_begin(r, h, "code", "");
    html_raw(h, "<p class=\"field\"><label for=\"address\">");
    html_say(h, "ご自分のメールアドレス", "Your mail address");
    html_printf(
        h,
        "</label><input id=\"address\" name=\"address\" type=\"email\" autocomplete=\"email\" "
        "maxlength=\"320\" required%s></p><p class=\"soft\">",
        is_wrong ? " aria-invalid=\"true\" aria-describedby=\"alert\"" : "");
    html_say(
        h,
        "宛先と同じ組織のアドレスにのみ、コードをお送りします。届かない場合は、アドレスをご確認"
        "ください。",
        "A code is sent only to addresses of the same organisation as the recipient's. If none "
        "arrives, please check the address.");
    html_raw(h, "</p>");
    door_button(h, "このアドレスへコードを送信", "Send a code to this address");
    html_raw(h, "</details>\n");
}

static void add_ask(struct reader *r, struct html *h, const struct door_view *d)
{
    html_say(h, "<p>ご本人であることを確認するため、",
             "<p>To make sure that it is you, a code is sent to ");
    html_raw(h, "<strong>");
    html_text(h, d->masked);
    html_raw(h, "</strong>");
    html_say(
        h,
        " へ 6 桁の確認コードをお送りします。コードは 10 分間、このブラウザーでのみ有効です。</p>",
        ". It is good for 10 minutes, in this browser only.</p>");
    if (d->code.next_ms > 0 && d->said.alert == DOOR_NO_ALERT) {
        html_say(h, "<p class=\"soft\">次に送信できる時刻: ",
                 "<p class=\"soft\">The next one can be sent after ");
        html_time(h, d->code.next_ms + 59999);
        html_say(h, "</p>", ".</p>");
    }
    reader_form_begin(r, h, "code", "");
    door_button(h, "確認コードを送信", "Send the code");
    add_members(r, h, d);
}

static void add_again(struct reader *r, struct html *h, const struct door_view *d)
{
    html_say(h, "<h2>届かないとき</h2><p class=\"soft\">迷惑メールのフォルダーもご確認ください。",
             "<h2>Nothing arrived?</h2><p class=\"soft\">Please look into the junk folder, too. ");
    if (d->code.next_ms > 0) {
        html_say(h, "再送信できる時刻: ", "Another code can be sent after ");
        html_time(h, d->code.next_ms + 59999);
        html_say(h, "", ".");
    }
    html_raw(h, "</p>");
    reader_form_begin(r, h, "code", "");
    html_raw(h, "<p class=\"actions\"><button>");
    html_say(h, "コードを再送信", "Send another code");
    html_raw(h, "</button></p></form>\n");
    add_members(r, h, d);
}

static void add_enter(struct reader *r, struct html *h, const struct door_view *d)
{
    /* Whether a colleague's address may read is not said. */
    html_say(h, "<p>", d->is_member ? "<p>If it may read this mail, " : "<p>A code was sent to ");
    html_raw(h, "<strong>");
    html_text(h, d->masked);
    html_raw(h, "</strong>");
    html_say(h,
             d->is_member ? " がこのメールの宛先に含まれる場合、確認コードをお送りしています。"
                          : " へ確認コードを送信しました。",
             d->is_member ? " was sent a code. " : ". ");
    html_say(h, "届いた 6 桁の数字を入力してください。有効期限: ",
             "Please enter its 6 digits. It is good until ");
    html_time(h, d->code.until_ms);
    html_say(h, "</p>\n", ".</p>\n");
    reader_form_begin(r, h, "enter", "");
    door_code_field(h, &d->said, false);
    /* Where an app is asked for, that is what a device is trusted for. */
    door_trust_field(h, r, !d->is_member && door_required(r) == READER_PROOF_CODE);
    door_button(h, "メールを開く", "Open the mail");
    add_again(r, h, d);
}

static void add_password(struct reader *r, struct html *h, const struct door_view *d)
{
    bool is_wrong = d->said.at != NULL && strcmp(d->said.at, "password") == 0;
    html_say(h,
             "<p>このメールはパスワードでも保護されています。別のメール、または差出人からお伝えした"
             "パスワードを入力してください。</p>",
             "<p>This mail has a password besides. You have got it in another mail, or get it from "
             "the sender.</p>");
    reader_form_begin(r, h, "password", "");
    html_raw(h, "<p class=\"field\"><label for=\"password\">");
    html_say(h, "パスワード", "Password");
    html_printf(h,
                "</label><input id=\"password\" name=\"password\" type=\"password\" "
                "autocomplete=\"off\" maxlength=\"128\" required%s></p>",
                is_wrong ? " aria-invalid=\"true\" aria-describedby=\"alert\"" : "");
    door_button(h, "メールを開く", "Open the mail");
}

/* Out of a session that is half way in. */
static void add_start_again(struct reader *r, struct html *h)
{
    if (r->session.id_hash[0] == '\0') {
        return;
    }
    reader_form_begin(r, h, "leave", "");
    html_raw(h, "<p class=\"actions\"><button>");
    html_say(h, "最初からやり直す", "Start again");
    html_raw(h, "</button></p></form>\n");
}

static void add_step(struct reader *r, struct html *h, const struct door_view *d)
{
    switch (d->step) {
    case STEP_OPEN:
        add_open(r, h);
        break;
    case STEP_ASK:
        add_ask(r, h, d);
        break;
    case STEP_ENTER:
        add_enter(r, h, d);
        break;
    case STEP_TOTP:
        door_app_form(r, h, &d->said, !d->is_member);
        if (r->session.id_hash[0] == '\0') {
            add_members(r, h, d);
        }
        break;
    case STEP_ENROL:
        door_enrol_form(r, h, &d->said, !d->is_member);
        break;
    case STEP_PASSWORD:
        add_password(r, h, d);
        break;
    }
}

void door_page(struct reader *r, const struct door_said *said)
{
    static const char *const titles[][2] = {
        [STEP_OPEN] = {"保護されたメール", "A protected mail"},
        [STEP_ASK] = {"ご本人の確認", "Is it you?"},
        [STEP_ENTER] = {"確認コードの入力", "Enter the code"},
        [STEP_TOTP] = {"認証アプリのコードの入力", "Enter the app's code"},
        [STEP_ENROL] = {"認証アプリの登録", "Set up an authenticator app"},
        [STEP_PASSWORD] = {"パスワードの入力", "Enter the password"}};
    struct door_view d = {.said = *said};
    struct fb_error err = {0};
    struct html h;
    door_set_browser(r, false);
    enum fb_status s = find_step(r, &d, &err);
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
        return;
    }
    if (said->status == 429) {
        int64_t left_ms = said->until_ms - fb_now_ms();
        fb_http_answer_header(r->visit->answer, "Retry-After", "%lld",
                              (long long)(left_ms > 0 ? left_ms / 1000 + 1 : 1));
    }
    const char *title = titles[d.step][r->visit->is_ja ? 0 : 1];
    page_begin(r->visit, &h, title, strcmp(r->visit->request->method, "POST") != 0);
    html_raw(&h, "<section class=\"card\">");
    alert_box(&h, said);
    html_raw(&h, "<h1>");
    html_raw(&h, title);
    html_raw(&h, "</h1>");
    add_step(r, &h, &d);
    add_start_again(r, &h);
    html_raw(&h, "</section>\n");
    page_end(r->visit, &h, said->status);
}
