/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/letter_text.h"

#include <string.h>

#include "common/evidence_text.h"
#include "proto/limits.h"
#include "services/rewrite/letter_result.h"
#include "services/rewrite/letter_templates.h"

/* Shown by name; those beyond are counted. */
#define MAX_PERSONS 500
#define DAY_MS      (24 * 3600 * 1000)

const char *letter_kind(enum fb_letter letter)
{
    switch (letter) {
    case FB_LETTER_RECEIPT:
        return "receipt";
    case FB_LETTER_HELD:
        return "held";
    case FB_LETTER_RECALL:
        return "recalled";
    case FB_LETTER_UNOPENED:
        return "reminder";
    default:
        return "";
    }
}

/* ---- persons ---- */

static enum fb_status add_mark(struct words *w, const struct letter_person *p)
{
    if (p->is_maybe_out) {
        return words_say(w, " (届いている可能性があります)", " (may have got it)");
    }
    if (p->is_fallback) {
        return words_say(w, " (アカウントがないため、アカウント不要のページで閲覧)",
                         " (no account: reads on a page that needs none)");
    }
    return p->is_pending ? words_say(w, " (アカウントの登録待ち)", " (no account yet)") : FB_OK;
}

/* The address, and behind or below it what there is to say. */
static enum fb_status add_person(struct words *w, const struct letter_person *p, bool is_first)
{
    bool is_html = w->form == NOTICE_HTML;
    enum fb_status s =
        !is_html ? words_say(w, "  ・", "  - ")
        : p->evidence == NULL
            ? fb_buf_add_str(w->out, is_first ? "" : "<br>")
            : fb_buf_add_str(w->out, is_first ? "<div style=\"padding:2px 0 6px\"><b>"
                                              : "<div style=\"padding:6px 0\"><b>");
    if (s == FB_OK) {
        s = words_escape(w, p->address);
    }
    if (s == FB_OK && p->evidence == NULL) {
        s = add_mark(w, p);
        return s == FB_OK && !is_html ? fb_buf_add_char(w->out, '\n') : s;
    }
    s = s == FB_OK ? fb_buf_add_str(w->out, is_html ? "</b><br>" : "\n    ") : s;
    s = s == FB_OK ? fb_evidence_words(p->evidence, w->is_ja ? "ja" : "en", w->out) : s;
    return s == FB_OK ? fb_buf_add_str(w->out, is_html ? "</div>" : "\n") : s;
}

static enum fb_status add_more(struct words *w, size_t n)
{
    enum fb_status s =
        w->form == NOTICE_HTML ? fb_buf_add_str(w->out, "<br>") : words_say(w, "  ・", "  - ");
    s = s == FB_OK ? fb_buf_printf(w->out, w->is_ja ? "ほか %zu 名" : "and %zu more", n) : s;
    return s == FB_OK && w->form == NOTICE_TEXT ? fb_buf_add_char(w->out, '\n') : s;
}

/* Whether there is more to say of them than of most: these are shown where not all can be. */
static bool is_loud(const struct letter_person *p)
{
    return p->is_pending || p->is_maybe_out ||
           (p->evidence != NULL && (fb_evidence_is_opened(p->evidence) || !p->evidence->is_final));
}

static enum fb_status add_persons(struct words *w)
{
    const struct letter_facts *f = w->facts;
    enum fb_status s = FB_OK;
    size_t shown = 0;
    bool is_long = f->person_count > MAX_PERSONS;
    for (int pass = is_long ? 0 : 1; pass < 2; pass++) {
        for (size_t i = 0; i < f->person_count && shown < MAX_PERSONS && s == FB_OK; i++) {
            if (!is_long || is_loud(&f->persons[i]) == (pass == 0)) {
                s = add_person(w, &f->persons[i], shown++ == 0);
            }
        }
    }
    return s == FB_OK && f->person_count > shown ? add_more(w, f->person_count - shown) : s;
}

static bool is_pending(const struct letter_person *p)
{
    return p->is_pending;
}

static bool is_opened(const struct letter_person *p)
{
    return p->evidence != NULL && fb_evidence_is_opened(p->evidence);
}

static bool is_unopened(const struct letter_person *p)
{
    return !is_opened(p);
}

/* "a@x, b@x and 3 more". */
static enum fb_status add_some(struct words *w, bool (*is_one)(const struct letter_person *p))
{
    const struct letter_facts *f = w->facts;
    enum fb_status s = FB_OK;
    size_t found = 0;
    for (size_t i = 0; i < f->person_count && s == FB_OK; i++) {
        if (!is_one(&f->persons[i]) || ++found > MAX_PERSONS) {
            continue;
        }
        s = found > 1 ? fb_buf_add_str(w->out, ", ") : FB_OK;
        s = s == FB_OK ? words_escape(w, f->persons[i].address) : s;
    }
    return s == FB_OK && found > MAX_PERSONS
               ? fb_buf_printf(w->out, w->is_ja ? " ほか %zu 名" : " and %zu more",
                               found - MAX_PERSONS)
               : s;
}

static bool has_pending(const struct letter_facts *f)
{
    for (size_t i = 0; i < f->person_count; i++) {
        if (f->persons[i].is_pending) {
            return true;
        }
    }
    return false;
}

/* ---- held ---- */

static enum fb_status add_held_lead(struct words *w)
{
    const struct letter_facts *f = w->facts;
    size_t maybe = 0;
    for (size_t i = 0; i < f->person_count; i++) {
        maybe += f->persons[i].is_maybe_out;
    }
    if (maybe == 0) {
        return words_say(
            w, "お送りになったメールを保留しています。次の方には、内容もお知らせも届いていません。",
            "Your mail is held. These recipients have got neither its content nor a "
            "notice.");
    }
    return words_say(
        w,
        "お送りになったメールを保留しています。印のある方には、送信の途中で処理が中断したため"
        "、お知らせが届いている可能性があります。それ以外の方には届いていません。",
        "Your mail is held. Those who are marked may have got a notice, because sending "
        "broke off half-way; the others have got nothing.");
}

static enum fb_status add_why(struct words *w)
{
    const struct letter_facts *f = w->facts;
    switch (f->why) {
    case FB_INVALID:
        return words_say(w, "メールの形式を処理できませんでした。",
                         "Its format could not be processed.");
    case FB_TOO_BIG:
        return words_say(w, "大きさ、または件数の上限を超えています。",
                         "It passes a limit of size or number.");
    case FB_DENIED:
        return words_say(w, "保管場所が受け付けませんでした。", "The storage refused it.");
    case FB_NOT_FOUND:
    case FB_CORRUPT:
        return words_say(w, "処理に必要な情報が見つかりませんでした。",
                         "Something that is needed for it is missing.");
    case FB_CRASHED:
        return words_say(w, "処理が繰り返し中断しました。", "Its processing broke off repeatedly.");
    case FB_CONFIG:
        return words_say(w, "システムの設定に誤りがあります。",
                         "A setting of the system is wrong.");
    case FB_AGAIN:
    case FB_NETWORK:
    case FB_NO_SPACE:
    case FB_IO:
        return words_say(w, "保管場所、またはシステムが長い間応答しませんでした。",
                         "The storage, or a system in between, did not answer for a long time.");
    default:
        return words_say(w, "処理中に予期しない問題が起きました。",
                         "An unexpected problem came up while it was processed.");
    }
}

static enum fb_status add_next(struct words *w)
{
    const struct letter_facts *f = w->facts;
    enum fb_status s = words_say(
        w, "管理者が対応するまで、この方々への配送は止まっています。操作は必要ありません。",
        "Nothing goes out to them until an administrator has dealt with it. You need not do "
        "anything.");
    if (s == FB_OK) {
        s = words_say(w, "", " If it is not settled by ");
    }
    if (s == FB_OK) {
        s = words_time(w, f->until_ms, "");
    }
    if (s == FB_OK) {
        s = words_say(
            w,
            " までに解決しない場合は、配送できなかったことをお知らせします。お急ぎのときは、送り直"
            "す前に"
            "管理者へご相談ください。保留中のメールが後から配送され、二重に届くことがあります。",
            ", you will get a report that it was not delivered. When it is urgent, ask the "
            "administrator before you send it again: the held mail may still be delivered, and "
            "would arrive twice.");
    }
    return s;
}

/* ---- help ---- */

static enum fb_status add_recall_help(struct words *w)
{
    const struct letter_facts *f = w->facts;
    bool has_page = f->page[0] != '\0';
    if (has_page && f->letter == FB_LETTER_RECALL) {
        return words_say(
            w,
            "宛先ごとの最新の状況は、この専用ページで確認できます。リンクを知っている人は誰でも"
            "操作できるため、転送しないでください。",
            "This page shows each recipient's state as it is now. Whoever has the link "
            "can use it: do not forward it.");
    }
    if (has_page) {
        return words_say(
            w,
            "宛先ごとの状況の確認と、送信の取り消しは、この専用ページでできます。リンクを知ってい"
            "る人は誰でも操作できるため、転送しないでください。",
            "On this page you see each recipient's state and can recall the mail. Whoever "
            "has the link can do so, too: do not forward it.");
    }
    enum fb_status s = words_say(w, "状況の確認や送信の取り消しは、管理者 (",
                                 "To learn more, or to recall the mail, ask the administrator (");
    s = s == FB_OK ? words_escape(w, f->postmaster) : s;
    s = s == FB_OK ? words_say(w, ") へ、メール番号 ", ") and give the mail number ") : s;
    s = s == FB_OK ? words_escape(w, f->msg_id) : s;
    return s == FB_OK ? words_say(w, " を添えてご依頼ください。", ".") : s;
}

static const char *account_help(const struct words *w)
{
    return w->is_ja
               ? "お知らせのリンクを開き、お知らせを受け取ったアドレスとまったく同じアドレスで Box "
                 "に登録(無料)すると、開けるようになります。別のアドレスや別名(エイリアス)"
                 "のアカウントでは"
                 "開けません。お困りのようでしたら、お伝えください。"
               : "They can open it once they have registered with Box (free), from the link in the "
                 "notice, with exactly the address at which they got the notice. An account with "
                 "another address or an alias cannot open it. Please tell them if they have "
                 "trouble.";
}

static bool has_password_to_tell(const struct letter_facts *f)
{
    return f->password != NULL && f->password[0] != '\0';
}

/* In a vault each has a link of their own, and the proof decides who can use it. */
static enum fb_status add_vault_access(struct words *w)
{
    const struct letter_facts *f = w->facts;
    const struct fb_policy_security *security = fb_policy_find_security(f->policy, f->security);
    if (security != NULL && security->proof == FB_PROOF_LINK) {
        return words_say(
            w, "お一人ずつ別のリンクを受け取った、上記の宛先の方 (リンクを知っていれば開けます)",
            "these recipients, each with a link of their own; whoever has it can open "
            "it");
    }
    if (security != NULL && security->has_members) {
        return words_say(w, "上記の宛先の方と、同じドメインのアドレスをお持ちの方",
                         "these recipients, and people with an address in their domain");
    }
    return words_say(w, "上記の宛先の方だけ (お一人ずつ別のリンク)",
                     "these recipients only, each with a link of their own");
}

static enum fb_status add_access(struct words *w)
{
    const struct letter_facts *f = w->facts;
    enum fb_status s =
        f->is_vault ? add_vault_access(w)
        : strcmp(f->access, "anyone") == 0
            ? words_say(w, "リンクを知っている方はどなたでも", "whoever has the link")
        : strcmp(f->access, "company") == 0
            ? words_say(w, "リンクを知っている、差出人の組織の方",
                        "members of your organisation who have the link")
            : words_say(w, "上記の宛先の方だけ", "these recipients only");
    if (s == FB_OK && has_password_to_tell(f)) {
        s = words_say(w, " (パスワードは、あなたからお伝えください)",
                      " (with the password, which you tell them)");
    } else if (s == FB_OK && f->has_password) {
        s = words_say(w, " (パスワードは、宛先の方へ別のメールで送りました)",
                      " (the password went to them in another mail)");
    }
    return s;
}

static enum fb_status add_log(struct words *w)
{
    const struct letter_facts *f = w->facts;
    if (f->log_until_ms <= 0) {
        return words_say(
            w,
            "ただし、保管場所の記録を読み取っていないため、実際には開かれている可能性があります。",
            "But nobody reads the storage's log, so they may well have opened it.");
    }
    enum fb_status s = words_say(w, "保管場所の記録は ", "The storage's log was read up to ");
    s = s == FB_OK ? words_time(w, f->log_until_ms, "") : s;
    return s == FB_OK ? words_say(w, " の分まで確認しました。", ".") : s;
}

/* ---- placeholders ---- */

static enum fb_status add_subject(struct words *w)
{
    const struct letter_facts *f = w->facts;
    if (f->subject[0] != '\0') {
        return words_escape(w, f->subject);
    }
    return f->has_title ? words_say(w, "(件名なし)", "(no subject)")
                        : words_say(w, "(記録がありません)", "(not recorded)");
}

/* FB_NOT_FOUND: it is none of these. */
static enum fb_status add_block(struct words *w, const char *name, size_t len)
{
    const struct letter_facts *f = w->facts;
    if (words_is(name, len, "files_block")) {
        return f->file_count > 0 ? words_write_block(w, "files_block") : FB_OK;
    }
    if (words_is(name, len, "parcel_block")) {
        return f->has_parcel ? words_write_block(w, "parcel_block") : FB_OK;
    }
    if (words_is(name, len, "password_block")) {
        bool is_told = f->letter == FB_LETTER_RECEIPT && has_password_to_tell(f);
        return is_told ? words_write_block(w, "password_block") : FB_OK;
    }
    if (words_is(name, len, "reason_block")) {
        return f->reason[0] != '\0' ? words_write_block(w, "reason_block") : FB_OK;
    }
    if (words_is(name, len, "pending_block")) {
        return has_pending(f) ? words_write_block(w, "pending_block") : FB_OK;
    }
    if (words_is(name, len, "page_block")) {
        return words_write_block(w, f->page[0] != '\0' ? "page_block" : "nopage_block");
    }
    return FB_NOT_FOUND;
}

static enum fb_status add_sentence(struct words *w, const char *name, size_t len)
{
    const struct letter_facts *f = w->facts;
    if (words_is(name, len, "lead")) {
        return add_held_lead(w);
    }
    if (words_is(name, len, "next")) {
        return add_next(w);
    }
    if (words_is(name, len, "reason")) {
        return f->letter == FB_LETTER_HELD ? add_why(w) : words_escape(w, f->reason);
    }
    if (words_is(name, len, "result")) {
        return letter_add_result(w, f);
    }
    if (words_is(name, len, "recall_help")) {
        return add_recall_help(w);
    }
    if (words_is(name, len, "account_help")) {
        return has_pending(f) ? words_escape(w, account_help(w)) : FB_OK;
    }
    if (words_is(name, len, "access")) {
        return add_access(w);
    }
    if (words_is(name, len, "download")) {
        return f->can_download
                   ? words_say(w, "ダウンロードできます", "may be downloaded")
                   : words_say(w, "閲覧のみ (ダウンロード不可)", "reading only, no download");
    }
    return words_is(name, len, "log") ? add_log(w) : FB_NOT_FOUND;
}

static enum fb_status add_list(struct words *w, const char *name, size_t len)
{
    const struct letter_facts *f = w->facts;
    if (words_is(name, len, "recipients")) {
        return add_persons(w);
    }
    if (words_is(name, len, "pending")) {
        return add_some(w, is_pending);
    }
    if (words_is(name, len, "opened")) {
        return add_some(w, is_opened);
    }
    if (words_is(name, len, "unopened")) {
        return add_some(w, is_unopened);
    }
    if (words_is(name, len, "files")) {
        return words_files(w, f->files, f->file_count);
    }
    if (words_is(name, len, "file_count")) {
        return words_number(w, f->file_count);
    }
    return words_is(name, len, "size") ? words_size(w, f->files, f->file_count) : FB_NOT_FOUND;
}

static enum fb_status add_date(struct words *w, const char *name, size_t len)
{
    const struct letter_facts *f = w->facts;
    if (words_is(name, len, "date")) {
        return words_time(w, f->accepted_ms, "");
    }
    if (words_is(name, len, "expires")) {
        return words_time(w, f->expires_ms, w->is_ja ? "期限なし" : "no end");
    }
    if (words_is(name, len, "since")) {
        return words_time(w, f->since_ms, "");
    }
    if (words_is(name, len, "until")) {
        return words_time(w, f->until_ms, "");
    }
    if (words_is(name, len, "recalled_at")) {
        return words_time(w, f->recalled_ms, "");
    }
    if (words_is(name, len, "days")) {
        int64_t days = (f->now_ms - f->since_ms) / DAY_MS;
        return words_number(w, days > 0 ? (uint64_t)days : 0);
    }
    return FB_NOT_FOUND;
}

/* What is no address but our own word for who asked is in the reader's language. */
static const char *actor_words(const struct words *w, const char *actor)
{
    if (strcmp(actor, "operator") == 0) {
        return w->is_ja ? "(管理者)" : "by the administrator";
    }
    if (strcmp(actor, "sender") == 0) {
        return w->is_ja ? "(差出人)" : "by the sender";
    }
    return actor;
}

static enum fb_status add_value(struct words *w, const char *name, size_t len)
{
    const struct letter_facts *f = w->facts;
    const struct {
        const char *name, *value;
    } values[] = {
        {"sender", f->sender},
        {"recipient", f->sender},
        {"msg_id", f->msg_id},
        {"postmaster", f->postmaster},
        {"recall_link", f->page},
        {"rule", f->rule},
        {"security", f->security},
        {"storage", f->storage},
        {"actor", actor_words(w, f->actor)},
    };
    if (words_is(name, len, "password")) {
        bool is_told = f->letter == FB_LETTER_RECEIPT && has_password_to_tell(f);
        return is_told ? words_escape(w, f->password) : FB_OK;
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (words_is(name, len, values[i].name)) {
            return words_escape(w, values[i].value);
        }
    }
    return FB_OK;
}

static enum fb_status add_placeholder(struct words *w, const char *name, size_t len)
{
    static enum fb_status (*const adders[])(struct words *, const char *, size_t) = {
        add_block, add_sentence, add_list, add_date, add_value};
    if (words_is(name, len, "subject")) {
        return add_subject(w);
    }
    enum fb_status s = FB_NOT_FOUND;
    for (size_t i = 0; i < sizeof adders / sizeof adders[0] && s == FB_NOT_FOUND; i++) {
        s = adders[i](w, name, len);
    }
    return s;
}

/* ---- the whole ---- */

static const struct {
    enum fb_letter letter;
    bool is_interim;
    const char *ja, *en;
} titles[] = {
    {FB_LETTER_RECEIPT, false, "送信の控え", "Receipt"},
    {FB_LETTER_HELD, false, "配送を保留しています", "Held"},
    {FB_LETTER_UNOPENED, false, "まだ開かれていません", "Not opened yet"},
    {FB_LETTER_RECALL, true, "取り消しの途中経過", "Recall, interim report"},
    {FB_LETTER_RECALL, false, "取り消しの結果", "Recall report"},
};

enum fb_status letter_write_subject(const struct letter_facts *f, struct fb_buf *out)
{
    bool has[2] = {false, false};
    struct words w = {.form = NOTICE_TEXT, .out = out, .facts = f};
    enum fb_status s = FB_OK;
    words_pick(&f->policy->notices, f->language, has);
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        bool is_interim = f->letter == FB_LETTER_RECALL && !f->is_final;
        if (titles[i].letter != f->letter || titles[i].is_interim != is_interim) {
            continue;
        }
        s = has[0] && has[1] ? fb_buf_printf(out, "%s (%s)", titles[i].ja, titles[i].en)
                             : fb_buf_add_str(out, has[0] ? titles[i].ja : titles[i].en);
    }
    if (s == FB_OK && f->subject[0] != '\0') {
        s = fb_buf_add_str(out, ": ");
        s = s == FB_OK ? words_escape(&w, f->subject) : s;
    }
    return s;
}

enum fb_status letter_write(const struct letter_facts *f, enum notice_form form, struct fb_buf *out)
{
    bool has[2] = {false, false};
    struct words w = {.notices = &f->policy->notices,
                      .has_logo = f->has_logo,
                      .form = form,
                      .out = out,
                      .standard = letter_template_standard,
                      .placeholder = add_placeholder,
                      .facts = f};
    words_pick(w.notices, f->language, has);
    return words_write(&w, letter_kind(f->letter), has);
}
