/* SPDX-License-Identifier: Apache-2.0
 *
 * The standard texts.  HTML is written for mail readers of all ages: tables, attributes and inline
 * styles, no image that is needed.  Each text colour stands on a background of ours, so that a dark
 * mode that inverts changes both. */
#include "services/rewrite/notice_templates.h"

#include "services/rewrite/template_html.h"
#include "services/rewrite/words.h"

#define PASSWORD                                                                                   \
    TABLE " style=\"margin:20px 0\"><tr><td bgcolor=\"#f2f4f7\" "                                  \
          "style=\"background:#f2f4f7;border:1px solid #d5dae1;"                                   \
          "border-radius:6px;padding:12px 20px;font-family:Consolas,Menlo,'Courier "               \
          "New',monospace;font-size:20px;"                                                         \
          "color:#1f2530;word-break:break-all\">{{password}}</td></tr></table>"
#define BLOCK_OPEN(lang)                                                                           \
    TABLE " width=\"100%\" lang=\"" lang                                                           \
          "\" style=\"margin:0 0 16px\"><tr><td bgcolor=\"#f2f4f7\" style=\"background:#f2f4f7;"   \
          "border:1px solid #c5ccd6;border-radius:6px;padding:14px 18px;" FONT                     \
          "font-size:14px;line-height:1.6;"                                                        \
          "color:#1f2530;word-break:break-word\">"
#define BLOCK_CLOSE "</td></tr></table>"
#define BLOCK_LINK(label)                                                                          \
    "<br><a href=\"{{link}}\" style=\"color:#1d4f91;font-weight:bold\">" label "</a><br>"
#define BLOCK_SMALL(text) "<span style=\"font-size:12px;color:#5b6472\">" text "</span>"

const char notice_frame_open[] = TABLE
    " width=\"100%\" bgcolor=\"#f2f4f7\" style=\"background:#f2f4f7\"><tr><td align=\"center\" "
    "style=\"padding:24px 12px\">" TABLE
    " width=\"100%\" bgcolor=\"#ffffff\" style=\"max-width:580px;"
    "background:#ffffff;border:1px solid #d5dae1;border-radius:8px;text-align:left;" FONT
    "\">{{letterhead}}"
    "<tr><td style=\"padding:26px 28px\">\n";
const char notice_english_below_html[] =
    "<p lang=\"en\" style=\"margin:0 0 14px;font-size:12px;line-height:1.6;color:#5b6472\">English "
    "follows below.</p>\n";
const char notice_english_below_text[] = "(English follows below.)\n\n";
const char notice_frame_divider[] =
    "\n</td></tr><tr><td style=\"padding:26px 28px;border-top:1px solid #d5dae1\">\n";
const char notice_frame_close[] = "\n</td></tr></table></td></tr></table>";

static const struct words_text standard[] = {
    {"notice.ja.text", "このメールの内容は、安全な保管場所に置かれています。\n"
                       "次のリンクを開いてご覧ください。\n"
                       "\n"
                       "{{link}}\n"
                       "\n"
                       "差出人: {{sender}}\n"
                       "件名: {{subject}}\n"
                       "内容:\n"
                       "{{files}}"
                       "開ける方: {{recipients}}\n"
                       "期限: {{expires}}\n"
                       "保存: {{download}}\n"
                       "\n"
                       "{{proof}}\n"
                       "\n"
                       "お心当たりのない場合は、リンクを開かずに差出人へお確かめください。\n"},
    {"notice.en.text",
     "The content of this mail is kept in a secure place.\n"
     "Please open this link to read it:\n"
     "\n"
     "{{link}}\n"
     "\n"
     "From: {{sender}}\n"
     "Subject: {{subject}}\n"
     "Inside:\n"
     "{{files}}"
     "Can be opened by: {{recipients}}\n"
     "Until: {{expires}}\n"
     "Saving: {{download}}\n"
     "\n"
     "{{proof}}\n"
     "\n"
     "If you did not expect this mail, do not open the link; ask the sender first.\n"},
    {"notice.ja.html",
     "<div lang=\"ja\">" TEXT(
         "このメールの内容は、安全な保管場所に置かれています。<br>"
         "次のボタンから開いてご覧ください。") BUTTON_TO("{{link}}",
                                                         "メールを開く") ROWS_OPEN ROW("差出人",
                                                                                       "{{sender}}")
         ROW("件名", "{{subject}}") ROW("内容", "{{files}}") ROW("開ける方", "{{recipients}}") ROW(
             "期限", "{{expires}}") ROW("保存", "{{download}}") ROWS_CLOSE NOTE("{{proof}}")
             SMALL("ボタンが使えない場合: " LINK_TO("{{link}}")) SMALL(
                 "お心当たりのない場合は、リンクを開かずに差出人へお確かめください。") "</div>"},
    {"notice.en.html",
     "<div lang=\"en\">" TEXT(
         "The content of this mail is kept in a secure place.<br>Please open it with this button.")
         BUTTON_TO("{{link}}", "Open the mail") ROWS_OPEN ROW("From", "{{sender}}")
             ROW("Subject", "{{subject}}") ROW("Inside", "{{files}}")
                 ROW("Can be opened by", "{{recipients}}") ROW("Until", "{{expires}}")
                     ROW("Saving", "{{download}}") ROWS_CLOSE NOTE("{{proof}}")
                         SMALL("If the button does not work: " LINK_TO("{{link}}"))
                             SMALL("If you did not expect this mail, do not open the link; ask the "
                                   "sender first.") "</div>"},
    {"password.ja.text", "別のメールでお送りしたリンクを開くためのパスワードです。\n"
                         "\n"
                         "{{password}}\n"
                         "\n"
                         "差出人: {{sender}}\n"
                         "件名: {{subject}}\n"
                         "期限: {{expires}}\n"},
    {"password.en.text", "This is the password for the link that you received in another mail.\n"
                         "\n"
                         "{{password}}\n"
                         "\n"
                         "From: {{sender}}\n"
                         "Subject: {{subject}}\n"
                         "Until: {{expires}}\n"},
    {"password.ja.html", TEXT("別のメールでお送りしたリンクを開くためのパスワードです。")
                             PASSWORD ROWS_OPEN ROW("差出人", "{{sender}}")
                                 ROW("件名", "{{subject}}") ROW("期限", "{{expires}}") ROWS_CLOSE},
    {"password.en.html",
     TEXT("This is the password for the link that you received in another mail.")
         PASSWORD ROWS_OPEN ROW("From", "{{sender}}") ROW("Subject", "{{subject}}")
             ROW("Until", "{{expires}}") ROWS_CLOSE},
    /* The block above a body that was kept: not a template of the policy, since it stands inside
       somebody's words. */
    {"block.ja.text", "---- 添付ファイルは安全な保管場所にあります ----\n"
                      "{{link}}\n"
                      "{{files}}"
                      "開ける方: {{recipients}}\n"
                      "期限: {{expires}} / {{download}}\n"
                      "{{proof}}\n"
                      "------------------------------------------------\n\n"},
    {"block.en.text", "---- The attachments are kept in a secure place ----\n"
                      "{{link}}\n"
                      "{{files}}"
                      "Can be opened by: {{recipients}}\n"
                      "Until: {{expires}} / {{download}}\n"
                      "{{proof}}\n"
                      "----------------------------------------------------\n\n"},
    {"block.ja.html",
     BLOCK_OPEN("ja") "<b>添付ファイルは安全な保管場所にあります</b><br>{{files}}" BLOCK_LINK(
         "添付ファイルを開く")
         BLOCK_SMALL("開ける方: {{recipients}}<br>期限: {{expires}} / {{download}}<br>{{proof}}")
             BLOCK_CLOSE},
    {"block.en.html",
     BLOCK_OPEN("en") "<b>The attachments are kept in a secure place</b><br>{{files}}" BLOCK_LINK(
         "Open the attachments")
         BLOCK_SMALL(
             "Can be opened by: {{recipients}}<br>Until: {{expires}} / {{download}}<br>{{proof}}")
             BLOCK_CLOSE},
};

const char *notice_template_standard(const char *key)
{
    return words_standard(standard, sizeof standard / sizeof standard[0], key);
}
