/* SPDX-License-Identifier: Apache-2.0
 *
 * The code is large, and stands alone, so that it is found and copied at a glance; then what it is
 * for, and what to do when nobody asked for it. */
#include "services/rewrite/code_text.h"

#include <string.h>

#include "services/rewrite/template_html.h"

#define CODE                                                                                       \
    TABLE " style=\"margin:18px 0\"><tr><td bgcolor=\"#f2f4f7\" "                                  \
          "style=\"background:#f2f4f7;border:1px solid #d5dae1;border-radius:6px;"                 \
          "padding:14px 28px;font-family:Consolas,Menlo,'Courier New',monospace;font-size:32px;"   \
          "line-height:1.2;letter-spacing:4px;font-weight:bold;color:#1f2530\">{{code}}</td></tr>" \
          "</table>"

static const struct words_text standard[] = {
    {"code.ja.text",
     "確認コード: {{code}}\n\n"
     "{{lead}}{{valid_minutes}} 分間、一度だけ使えます。\n\n"
     "このコードは、どなたにも伝えないでください。私どもからお尋ねすることもありません。\n\n"
     "お心当たりのない場合は、何もなさらなくて構いません。このコードがなければ開けません。"
     "どなたかがあなた宛てのリンクを開こうとした可能性がありますので、たびたび届くときは、差出人ま"
     "たは "
     "{{postmaster}} へお知らせください。\n"},
    {"code.en.text",
     "Your code is {{code}}\n\n"
     "{{lead}} It can be used once, within {{valid_minutes}} minutes.\n\n"
     "Do not tell it to anybody; we will never ask you for it.\n\n"
     "If you did not ask for a code you need not do anything: nothing opens without it. Somebody "
     "may have tried to open the link that was sent to you. If such mails keep coming, please tell "
     "the sender or {{postmaster}}.\n"},
    {"code.ja.html",
     "<div lang=\"ja\">" TEXT("確認コード") CODE TEXT(
         "{{lead}}{{valid_minutes}} "
         "分間、一度だけ使えます。") NOTE("このコードは、どなたにも伝えないでください。私どもからお"
                                          "尋ねすることもありません。")
         SMALL(
             "お心当たりのない場合は、何もなさらなくて構いません。このコードがなければ開けません。"
             "どなたかがあなた宛てのリンクを開こうとした可能性がありますので、たびたび届くときは、"
             "差出人または {{postmaster}} へお知らせください。") "</div>"},
    {"code.en.html",
     "<div lang=\"en\">" TEXT("Your code")
         CODE TEXT("{{lead}} It can be used once, within {{valid_minutes}} minutes.")
             NOTE("Do not tell it to anybody; we will never ask you for it.") SMALL(
                 "If you did not ask for a code you need not do anything: nothing opens without "
                 "it. Somebody may have tried to open the link that was sent to you. If such mails "
                 "keep coming, please tell the sender or {{postmaster}}.") "</div>"},
};

static const char *standard_of(const char *key)
{
    return words_standard(standard, sizeof standard / sizeof standard[0], key);
}

static enum fb_status add_lead(struct words *w)
{
    const struct code_facts *f = w->facts;
    if (f->sender[0] == '\0') {
        return words_say(w,
                         "メールを開くためのコードです。開こうとしている画面に入力してください。",
                         "It opens the mail that was sent to you. Enter it on the page that asked "
                         "for it.");
    }
    enum fb_status s = words_say(w, "", "It opens the mail that ");
    s = s == FB_OK ? words_escape(w, f->sender) : s;
    return s == FB_OK
               ? words_say(w,
                           " からのメールを開くためのコードです。開こうとしている画面に入力し"
                           "てください。",
                           " sent you. Enter it on the page that asked for it.")
               : s;
}

static enum fb_status add_placeholder(struct words *w, const char *name, size_t len)
{
    const struct code_facts *f = w->facts;
    const struct {
        const char *name, *value;
    } values[] = {
        {"code", f->code},     {"sender", f->sender},         {"recipient", f->to},
        {"msg_id", f->msg_id}, {"postmaster", f->postmaster},
    };
    if (words_is(name, len, "lead")) {
        return add_lead(w);
    }
    if (words_is(name, len, "valid_minutes")) {
        return words_number(w, f->minutes > 0 ? (uint64_t)f->minutes : 0);
    }
    if (words_is(name, len, "date")) {
        return words_time(w, f->sent_ms, "");
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (words_is(name, len, values[i].name)) {
            return words_escape(w, values[i].value);
        }
    }
    return FB_OK;
}

enum fb_status code_write_subject(const struct code_facts *f, struct fb_buf *out)
{
    bool has[2] = {false, false};
    words_pick(&f->policy->notices, f->language, has);
    return fb_buf_add_str(out, has[0] && has[1] ? "確認コードのお知らせ (Your code)"
                               : has[0]         ? "確認コードのお知らせ"
                                                : "Your code");
}

enum fb_status code_write(const struct code_facts *f, enum notice_form form, struct fb_buf *out)
{
    bool has[2] = {false, false};
    struct words w = {.notices = &f->policy->notices,
                      .has_logo = f->has_logo,
                      .form = form,
                      .out = out,
                      .standard = standard_of,
                      .placeholder = add_placeholder,
                      .facts = f};
    words_pick(w.notices, f->language, has);
    return words_write(&w, "code", has);
}
