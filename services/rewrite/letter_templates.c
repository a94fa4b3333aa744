/* SPDX-License-Identifier: Apache-2.0
 *
 * A letter's HTML stands in the same frame as a notice's (notice_templates.c).  A block is there
 * when there is something to say in it; in text each brings the empty line behind it. */
#include "services/rewrite/letter_templates.h"

#include "services/rewrite/template_html.h"
#include "services/rewrite/words.h"

#define DIV(lang, text) "<div lang=\"" lang "\">" text "</div>"
#define LEAD(text)                                                                                 \
    "<p style=\"margin:0 0 18px;font-size:15px;line-height:1.7;color:#1f2530\">" text "</p>"
/* With addresses in it, which may be longer than a phone is wide. */
#define WRAPPED(margin, text)                                                                      \
    "<p style=\"margin:" margin ";font-size:13px;line-height:1.7;color:#3d4653;"                   \
    "word-break:break-word;overflow-wrap:anywhere\">" text "</p>"
#define MAIL_JA      ROW("件名", "{{subject}}") ROW("お送りになった日時", "{{date}}")
#define MAIL_EN      ROW("Subject", "{{subject}}") ROW("You sent it at", "{{date}}")
#define MAIL_JA_TEXT "件名: {{subject}}\nお送りになった日時: {{date}}\n"
#define MAIL_EN_TEXT "Subject: {{subject}}\nYou sent it at: {{date}}\n"
#define FOOT_JA                                                                                    \
    "このメールは自動でお送りしています。お問い合わせ先: {{postmaster}} (メール番号 {{msg_id}})"
#define FOOT_EN                                                                                    \
    "This mail was sent automatically. Questions: {{postmaster}} (mail number {{msg_id}})"

static const struct words_text standard[] = {
    /* ---- receipt ---- */
    {"receipt.ja.text",
     "お送りになったメールの内容を安全な保管場所に置き、次の方へお知らせのメールを送り"
     "ました。\n\n" MAIL_JA_TEXT "宛先:\n{{recipients}}"
     "{{files_block}}{{parcel_block}}\n"
     "{{password_block}}{{pending_block}}{{page_block}}" FOOT_JA "\n"},
    {"receipt.en.text",
     "The content of your mail was put in a secure place, and a notice was sent to "
     "these recipients.\n\n" MAIL_EN_TEXT "To:\n{{recipients}}"
     "{{files_block}}{{parcel_block}}\n"
     "{{password_block}}{{pending_block}}{{page_block}}" FOOT_EN "\n"},
    {"receipt.ja.html",
     DIV("ja", LEAD("お送りになったメールの内容を安全な保管場所に置き、次の方へお知らせのメールを送"
                    "りました。") ROWS_OPEN MAIL_JA
                   ROW("宛先",
                       "{{recipients}}") "{{files_block}}{{parcel_block}}" ROWS_CLOSE
                                         "{{password_block}}{{pending_block}}{{page_block}}" SMALL(
                                             FOOT_JA))},
    {"receipt.en.html",
     DIV("en",
         LEAD("The content of your mail was put in a secure place, and a notice was sent to "
              "these recipients.") ROWS_OPEN MAIL_EN
             ROW("To", "{{recipients}}") "{{files_block}}{{parcel_block}}" ROWS_CLOSE
                                         "{{password_block}}{{pending_block}}{{page_block}}" SMALL(
                                             FOOT_EN))},
    /* ---- held ---- */
    {"held.ja.text", "{{lead}}\n\n" MAIL_JA_TEXT "宛先:\n{{recipients}}"
                     "理由: {{reason}}\n\n{{next}}\n\n" FOOT_JA "\n"},
    {"held.en.text", "{{lead}}\n\n" MAIL_EN_TEXT "To:\n{{recipients}}"
                     "Why: {{reason}}\n\n{{next}}\n\n" FOOT_EN "\n"},
    {"held.ja.html", DIV("ja", LEAD("{{lead}}") ROWS_OPEN MAIL_JA ROW("宛先", "{{recipients}}")
                                   ROW("理由", "{{reason}}")
                                       ROWS_CLOSE WRAPPED("16px 0 0", "{{next}}") SMALL(FOOT_JA))},
    {"held.en.html", DIV("en", LEAD("{{lead}}") ROWS_OPEN MAIL_EN ROW("To", "{{recipients}}")
                                   ROW("Why", "{{reason}}")
                                       ROWS_CLOSE WRAPPED("16px 0 0", "{{next}}") SMALL(FOOT_EN))},
    /* ---- recalled ---- */
    {"recalled.ja.text",
     "{{result}}\n\n" MAIL_JA_TEXT "取り消しの依頼: {{recalled_at}} {{actor}}\n{{reason_block}}"
     "宛先ごとの結果:\n{{recipients}}\n{{page_block}}" FOOT_JA "\n"},
    {"recalled.en.text",
     "{{result}}\n\n" MAIL_EN_TEXT "Recall asked for: {{recalled_at}} {{actor}}\n{{reason_block}}"
     "What became of it, for each recipient:\n{{recipients}}\n{{page_block}}" FOOT_EN "\n"},
    {"recalled.ja.html",
     DIV("ja",
         LEAD("<b>{{result}}</b>") ROWS_OPEN MAIL_JA
             ROW("取り消しの依頼", "{{recalled_at}}<br>{{actor}}") "{{reason_block}}" ROW(
                 "宛先ごとの結果", "{{recipients}}") ROWS_CLOSE "{{page_block}}" SMALL(FOOT_JA))},
    {"recalled.en.html",
     DIV("en", LEAD("<b>{{result}}</b>") ROWS_OPEN MAIL_EN
                   ROW("Recall asked for", "{{recalled_at}}<br>{{actor}}") "{{reason_block}}" ROW(
                       "What became of it, for each recipient", "{{recipients}}") ROWS_CLOSE
         "{{page_block}}" SMALL(FOOT_EN))},
    /* ---- reminder ---- */
    {"reminder.ja.text",
     "次の方については、お送りになったメールの内容が開かれた記録がまだありません。\n{{log}}"
     "\n\n" MAIL_JA_TEXT "お知らせを送った日時: {{since}} ({{days}} 日前)\n期限: {{expires}}\n"
     "宛先:\n{{recipients}}\n{{pending_block}}{{page_block}}" FOOT_JA "\n"},
    {"reminder.en.text", "For these recipients no access to the content of your mail is recorded "
                         "yet.\n{{log}}\n\n" MAIL_EN_TEXT
                         "Notice sent at: {{since}} ({{days}} day(s) ago)\nUntil: {{expires}}\n"
                         "To:\n{{recipients}}\n{{pending_block}}{{page_block}}" FOOT_EN "\n"},
    {"reminder.ja.html",
     DIV("ja",
         LEAD("次の方については、お送りになったメールの内容が開かれた記録がまだありません。<br>{{"
              "log}}") ROWS_OPEN MAIL_JA ROW("お知らせを送った日時", "{{since}} ({{days}} 日前)")
             ROW("期限", "{{expires}}") ROW("宛先", "{{recipients}}") ROWS_CLOSE
         "{{pending_block}}{{page_block}}" SMALL(FOOT_JA))},
    {"reminder.en.html",
     DIV("en", LEAD("For these recipients no access to the content of your mail is recorded "
                    "yet.<br>{{log}}")
                   ROWS_OPEN MAIL_EN ROW("Notice sent at", "{{since}} ({{days}} day(s) ago)")
                       ROW("Until", "{{expires}}") ROW("To", "{{recipients}}") ROWS_CLOSE
         "{{pending_block}}{{page_block}}" SMALL(FOOT_EN))},
    /* ---- blocks ---- */
    {"files_block.ja.text", "内容:\n{{files}}"},
    {"files_block.en.text", "Inside:\n{{files}}"},
    {"files_block.ja.html", ROW("内容", "{{files}}")},
    {"files_block.en.html", ROW("Inside", "{{files}}")},
    {"parcel_block.ja.text", "開ける方: {{access}}\n期限: {{expires}}\n保存: {{download}}\n"},
    {"parcel_block.en.text",
     "Can be opened by: {{access}}\nUntil: {{expires}}\nSaving: {{download}}\n"},
    {"parcel_block.ja.html",
     ROW("開ける方", "{{access}}") ROW("期限", "{{expires}}") ROW("保存", "{{download}}")},
    {"parcel_block.en.html", ROW("Can be opened by", "{{access}}") ROW("Until", "{{expires}}")
                                 ROW("Saving", "{{download}}")},
    {"reason_block.ja.text", "取り消しの理由: {{reason}}\n"},
    {"reason_block.en.text", "Reason given: {{reason}}\n"},
    {"reason_block.ja.html", ROW("取り消しの理由", "{{reason}}")},
    {"reason_block.en.html", ROW("Reason given", "{{reason}}")},
    {"password_block.ja.text",
     "パスワード: "
     "{{password}}\n宛先の方には送っていません。電話など、メールとは別の方法でお伝えくだ"
     "さい。\n\n"},
    {"password_block.en.text",
     "Password: {{password}}\nIt was not sent to the recipients. Please tell it to them by another "
     "way than mail, on the telephone for instance.\n\n"},
    {"password_block.ja.html",
     WRAPPED("16px 0 0", "<b>パスワード:</b> {{password}}<br>宛先の方には送っていません。電話など、"
                         "メールとは別の方法でお伝えください。")},
    {"password_block.en.html",
     WRAPPED("16px 0 0",
             "<b>Password:</b> {{password}}<br>It was not sent to the recipients. Please "
             "tell it to them by another way than mail, on the telephone for "
             "instance.")},
    {"pending_block.ja.text", "まだアカウントをお持ちでない方: {{pending}}\n{{account_help}}\n\n"},
    {"pending_block.en.text", "No account yet: {{pending}}\n{{account_help}}\n\n"},
    {"pending_block.ja.html",
     WRAPPED("16px 0 0", "<b>まだアカウントをお持ちでない方:</b> {{pending}}<br>{{account_help}}")},
    {"pending_block.en.html",
     WRAPPED("16px 0 0", "<b>No account yet:</b> {{pending}}<br>{{account_help}}")},
    {"page_block.ja.text", "{{recall_help}}\n{{recall_link}}\n\n"},
    {"page_block.en.text", "{{recall_help}}\n{{recall_link}}\n\n"},
    {"page_block.ja.html",
     BUTTON_TO("{{recall_link}}", "状況を確認する") WRAPPED("0", "{{recall_help}}")
         SMALL("ボタンが使えない場合: " LINK_TO("{{recall_link}}"))},
    {"page_block.en.html",
     BUTTON_TO("{{recall_link}}", "See how things stand") WRAPPED("0", "{{recall_help}}")
         SMALL("If the button does not work: " LINK_TO("{{recall_link}}"))},
    {"nopage_block.ja.text", "{{recall_help}}\n\n"},
    {"nopage_block.en.text", "{{recall_help}}\n\n"},
    {"nopage_block.ja.html", WRAPPED("16px 0 0", "{{recall_help}}")},
    {"nopage_block.en.html", WRAPPED("16px 0 0", "{{recall_help}}")},
};

const char *letter_template_standard(const char *key)
{
    return words_standard(standard, sizeof standard / sizeof standard[0], key);
}
