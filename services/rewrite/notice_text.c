/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/notice_text.h"

#include <string.h>

#include "proto/limits.h"
#include "services/rewrite/notice_templates.h"

/* Shown by name; a list of hundreds helps nobody. */
#define MAX_READERS 20

static enum fb_status add_readers(struct words *w)
{
    const struct notice_facts *f = w->facts;
    if (!f->is_vault && strcmp(f->parcel->access, "anyone") == 0) {
        return fb_buf_add_str(w->out, w->is_ja ? "リンクを受け取った方" : "whoever has the link");
    }
    if (!f->is_vault && strcmp(f->parcel->access, "company") == 0) {
        return fb_buf_add_str(w->out, w->is_ja ? "差出人の組織の方"
                                               : "members of the sender's organisation");
    }
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < f->reader_count && s == FB_OK; i++) {
        if (i == MAX_READERS) {
            return fb_buf_printf(w->out, w->is_ja ? " ほか %zu 名" : " and %zu more",
                                 f->reader_count - i);
        }
        s = i > 0 ? fb_buf_add_str(w->out, ", ") : FB_OK;
        if (s == FB_OK) {
            s = words_escape(w, f->readers[i]);
        }
    }
    return s;
}

/* How a reader of the vault shows that the mailbox is theirs; nobody needs an account. */
static const char *vault_proof(const struct words *w)
{
    const struct notice_facts *f = w->facts;
    const struct fb_policy_security *security =
        f->branch->security != NULL ? fb_policy_find_security(f->policy, f->branch->security)
                                    : NULL;
    if (security != NULL && security->has_members && security->proof != FB_PROOF_LINK) {
        return w->is_ja
                   ? "アカウントの登録は不要です。リンク先の画面から、このメールを受け取ったアド"
                     "レスへ確認コードをお送りします。同じドメインのアドレスをお持ちの方は、ご"
                     "自分のアドレスでコードを受け取って開くこともできます。"
                   : "You need no account: the page behind the link mails a code to the "
                     "address at which you received this mail. People with an address in the "
                     "same domain can have a code mailed to their own.";
    }
    switch (security != NULL ? security->proof : FB_PROOF_CODE) {
    case FB_PROOF_LINK:
        return w->is_ja ? "アカウントの登録は不要です。このリンクはお一人ずつ異なり、リンクを知って"
                          "いる方は開けてしまうため、転送しないでください。"
                        : "You need no account. The link is yours alone, and whoever has it can "
                          "open it: do not forward this mail.";
    case FB_PROOF_TOTP:
        return w->is_ja
                   ? "アカウントの登録は不要です。初めて開くときは、リンク先の画面から、このメール"
                     "を"
                     "受け取ったアドレスへ確認コードをお送りし、続けて認証アプリを設定していただき"
                     "ま"
                     "す。次からは認証アプリの数字で開けます。リンクはお一人ずつ異なり、転送しても"
                     "、"
                     "ほかの方は開けません。"
                   : "You need no account. The first time, the page behind the link mails a code "
                     "to "
                     "the address at which you received this mail, and you set up an authenticator "
                     "app, which opens it from then on. The link is yours alone: nobody else can "
                     "open it when you forward this mail.";
    case FB_PROOF_CODE:
    default:
        return w->is_ja
                   ? "アカウントの登録は不要です。リンク先の画面から、このメールを受け取ったアド"
                     "レスへ確認コードをお送りします。リンクはお一人ずつ異なり、転送しても、"
                     "ほかの方は開けません。"
                   : "You need no account: the page behind the link mails a code to the "
                     "address at which you received this mail. The link is yours alone: "
                     "nobody else can open it when you forward this mail.";
    }
}

static const char *vault_password(const struct words *w)
{
    const struct fb_parcel *p = ((const struct notice_facts *)w->facts)->parcel;
    if (p->password == NULL || p->password[0] == '\0') {
        return "";
    }
    if (p->password_to_sender) {
        return w->is_ja ? "あわせてパスワードが必要です。パスワードは差出人からお受け取りください。"
                        : " A password is needed as well; ask the sender for it.";
    }
    return w->is_ja ? "あわせてパスワードが必要です。パスワードは別のメールでお送りします。"
                    : " A password is needed as well; it comes in another mail.";
}

/* How to get in, also for those who have no account. */
static const char *proof_text(const struct words *w)
{
    const struct notice_facts *f = w->facts;
    const struct fb_parcel *p = f->parcel;
    if (p->password != NULL && p->password[0] != '\0') {
        return w->is_ja ? "開くにはパスワードが必要です。パスワードは別のメールでお送りします。"
                        : "A password is needed to open it; the password comes in another mail.";
    }
    if (strcmp(p->access, "anyone") == 0) {
        return w->is_ja ? "ログインは不要です。このリンクを知っている方はどなたでも開けるため、転送"
                          "にはご注意ください。"
                        : "No login is needed. Whoever has this link can open it, so take care "
                          "when you forward this mail.";
    }
    if (strcmp(p->access, "company") == 0) {
        return w->is_ja
                   ? "差出人の組織の Box アカウントでログインして開きます。"
                   : "You open it by logging in with a Box account of the sender's organisation.";
    }
    return w->is_ja
               ? "Box にログインして開きます。Box "
                 "アカウントをお持ちでない方は、リンク先の画面から、こ"
                 "のメールを受け取ったアドレスで登録し(無料)、Box "
                 "から届く確認メールで登録を済ませたう"
                 "えで、もう一度リンクを開いてください。別のアドレスや別名(エイリアス)"
                 "で登録したアカウ"
                 "ントでは開けません。"
               : "You open it by logging in to Box. If you have no Box account, register (free) on "
                 "the page behind the link with exactly the address at which you received this "
                 "mail, confirm it with the mail that Box sends you, and open the link again. An "
                 "account with another address or an alias cannot open it.";
}

/* The subject as the recipient sees it: without the tag, where the rule takes it out (the plan has
 * it decoded only with it). */
static enum fb_status add_subject(struct words *w)
{
    const struct notice_facts *f = w->facts;
    struct fb_buf text;
    size_t at = 0;
    size_t len = 0;
    const struct fb_policy_rule *rule = f->branch->subject != NULL && f->branch->rule != NULL
                                            ? fb_policy_find_rule(f->policy, f->branch->rule)
                                            : NULL;
    const char *tag = rule != NULL ? fb_policy_matched_tag(rule, f->plan->subject) : NULL;
    if (tag == NULL || !fb_policy_find_tag(f->plan->subject, tag, &at, &len)) {
        return words_escape(w, f->plan->subject);
    }
    const char *rest = f->plan->subject + at + len;
    rest += strspn(rest, " \t");
    fb_buf_init(&text, FB_MAX_SUBJECT * 4);
    enum fb_status s = fb_buf_printf(&text, "%.*s%s", (int)at, f->plan->subject, rest);
    if (s == FB_OK) {
        s = words_escape(w, fb_buf_str(&text));
    }
    fb_buf_deinit(&text);
    return s;
}

static enum fb_status add_proof(struct words *w)
{
    const struct notice_facts *f = w->facts;
    if (!f->is_vault) {
        return words_escape(w, proof_text(w));
    }
    enum fb_status s = words_escape(w, vault_proof(w));
    return s == FB_OK ? words_escape(w, vault_password(w)) : s;
}

static enum fb_status add_placeholder(struct words *w, const char *name, size_t len)
{
    const struct notice_facts *f = w->facts;
    const char *value = "";
    if (words_is(name, len, "files")) {
        return words_files(w, f->parcel->files, f->parcel->file_count);
    } else if (words_is(name, len, "subject")) {
        return add_subject(w);
    } else if (words_is(name, len, "expires")) {
        return words_time(w, f->parcel->expires_ms, w->is_ja ? "期限なし" : "no end");
    } else if (words_is(name, len, "date")) {
        return words_time(w, f->plan->date_ms, "");
    } else if (words_is(name, len, "recipients")) {
        return add_readers(w);
    } else if (words_is(name, len, "file_count")) {
        return words_number(w, f->parcel->file_count);
    } else if (words_is(name, len, "size")) {
        return words_size(w, f->parcel->files, f->parcel->file_count);
    } else if (words_is(name, len, "link")) {
        value = f->link;
    } else if (words_is(name, len, "password")) {
        value = f->parcel->password;
    } else if (words_is(name, len, "sender")) {
        value = f->envelope->reverse_path;
    } else if (words_is(name, len, "recipient")) {
        value = f->recipient != NULL ? f->recipient : "";
    } else if (words_is(name, len, "msg_id")) {
        value = f->plan->msg_id;
    } else if (words_is(name, len, "storage")) {
        value = f->storage;
    } else if (words_is(name, len, "proof")) {
        return add_proof(w);
    } else if (words_is(name, len, "download")) {
        value = f->parcel->can_download
                    ? (w->is_ja ? "ダウンロードできます" : "may be downloaded")
                    : (w->is_ja ? "閲覧のみ (ダウンロード不可)" : "reading only, no download");
    }
    return words_escape(w, value);
}

static struct words words_of(const struct notice_facts *f, enum notice_form form,
                             struct fb_buf *out)
{
    return (struct words){.notices = &f->policy->notices,
                          .has_logo = f->has_logo,
                          .form = form,
                          .out = out,
                          .standard = notice_template_standard,
                          .placeholder = add_placeholder,
                          .facts = f};
}

enum fb_status notice_write(const struct notice_facts *f, const char *kind, enum notice_form form,
                            struct fb_buf *out)
{
    bool has[2] = {false, false};
    struct words w = words_of(f, form, out);
    words_pick(w.notices, f->plan->language, has);
    return words_write(&w, kind, has);
}

enum fb_status notice_write_block(const struct notice_facts *f, enum notice_form form,
                                  struct fb_buf *out)
{
    bool has[2] = {false, false};
    enum fb_status s = FB_OK;
    struct words w = words_of(f, form, out);
    words_pick(w.notices, f->plan->language, has);
    for (int i = 0; i < 2 && s == FB_OK; i++) {
        w.is_ja = i == 0;
        s = has[i] ? words_write_block(&w, "block") : FB_OK;
    }
    return s;
}

enum fb_status notice_write_password_subject(const struct notice_facts *f, struct fb_buf *out)
{
    bool has[2] = {false, false};
    struct words w = words_of(f, NOTICE_TEXT, out);
    words_pick(w.notices, f->plan->language, has);
    enum fb_status s = fb_buf_add_str(out, has[0] && has[1] ? "パスワードのお知らせ (Password): "
                                           : has[0]         ? "パスワードのお知らせ: "
                                                            : "Password for: ");
    return s == FB_OK ? add_subject(&w) : s;
}
