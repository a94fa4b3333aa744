/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces of our own HTML, as string literals to be put together: written for mail readers of all
 * ages, with tables, attributes and inline styles.  Each text colour stands on a background of
 * ours. */
#ifndef FB_REWRITE_TEMPLATE_HTML_H
#define FB_REWRITE_TEMPLATE_HTML_H

#define TABLE "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\""
#define FONT                                                                                       \
    "font-family:'Hiragino Kaku Gothic ProN','Yu Gothic',Meiryo,'Noto Sans CJK JP','Segoe "        \
    "UI',Arial,sans-serif;"

#define BUTTON_TO(link, label)                                                                     \
    TABLE " style=\"margin:22px 0 24px\"><tr><td align=\"center\" bgcolor=\"#1d4f91\" "            \
          "style=\"background:#1d4f91;"                                                            \
          "border-radius:6px\"><a href=\"" link "\" style=\"display:inline-block;padding:13px "    \
          "32px;font-size:16px;"                                                                   \
          "line-height:1.3;font-weight:bold;color:#ffffff;text-decoration:none\">" label           \
          "</a></td></tr></table>"
#define ROWS_OPEN                                                                                  \
    TABLE " width=\"100%\" style=\"border-top:1px solid #d5dae1;border-bottom:1px solid "          \
          "#d5dae1\">"
/* Label above value: nothing to squeeze on a phone, whatever the length of a name. */
#define ROW(label, value)                                                                          \
    "<tr><td style=\"padding:8px "                                                                 \
    "0;font-size:14px;line-height:1.6;color:#1f2530;word-break:break-word;"                        \
    "overflow-wrap:anywhere\"><span style=\"font-size:12px;color:#5b6472\">" label                 \
    "</span><br>" value "</td></tr>"
#define ROWS_CLOSE "</table>"
#define TEXT(text) "<p style=\"margin:0;font-size:15px;line-height:1.7;color:#1f2530\">" text "</p>"
#define NOTE(text)                                                                                 \
    "<p style=\"margin:16px 0 0;font-size:13px;line-height:1.7;color:#3d4653\">" text "</p>"
#define SMALL(text)                                                                                \
    "<p style=\"margin:14px 0 "                                                                    \
    "0;font-size:12px;line-height:1.6;color:#5b6472;word-break:break-word;"                        \
    "overflow-wrap:anywhere\">" text "</p>"
#define LINK_TO(link)                                                                              \
    "<a href=\"" link "\" style=\"color:#1d4f91;word-break:break-all\">" link "</a>"

#endif
