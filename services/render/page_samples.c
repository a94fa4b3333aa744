/* SPDX-License-Identifier: Apache-2.0
 *
 * Letters that are painted before the fork, so that each child finds in memory what nearly every
 * letter needs: fonts as the mailers of most people name them (asking Fontconfig for one takes
 * milliseconds), the shapes of the characters that are met most, and the libraries' own tables. */
#include <stdlib.h>

#include "common/log.h"
#include "services/render/html_prepare.h"
#include "services/render/native.h"
#include "services/render/page.h"
#include "services/render/text_paint.h"

#define SAMPLE_MS 10000

static const char scripts[] =
    "件名 日本語 Latin 123 ①㈱ ｶﾅ “é” עברית العربية 한국어 😀 Ελληνικά Русский ไทย";

/* Kana, and Chinese characters in the order in which newspapers use them. */
static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?("
                             ")[]{}<>+-*/=_@#$%&'\"~^|\n"
                             "ぁあいうぇえおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづ"
                             "てでとどなにぬねのはばぱひびぴふぶぷへべぺほぼぽ"
                             "まみむめもゃやゅゆょよらりるれろわをん"
                             "ァアィイゥウェエォオカガキギクグケゲコゴサザシジスズセゼソゾタダチヂ"
                             "ッツヅテデトドナニヌネノハバパヒビピフブプヘベペホボポ"
                             "マミムメモャヤュユョヨラリルレロワヲンヴー"
                             "、。・「」『』（）【】〈〉〒※→←↑↓■□◆◇○●◎★☆―〜～…：；！？＋－＝／％＆"
                             "＃＠￥０１２３４５６７８９　"
                             "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対"
                             "上部東者党地合市業内相方四定今回新場金員九入選立"
                             "開手米力学問高代明実円関決子動京全目表戦経通外最言氏現理調体化田当八"
                             "六約主題下首意法不来作性的要用制治度務強気小七"
                             "成期公持野協取都和統以機平総加山思家話世受区領多県続進正安設保改数記"
                             "院女初北午指権心界支第産結百派点教報済書府活原先"
                             "共得解名交資予川向際査勝面委告軍文反元重近千考判認画海参売利組知案道"
                             "信策集在件団別物側任引使求所次水半品昨論計死官増"
                             "係感特情投示変打男基私各始島直両朝革価式確村提運終挙果西勢減台広容必"
                             "応演電歳住争談能無再位置企真流格有疑口過局少放税"
                             "検藤町常校料沢裁状工建語球営空職証土与急止送援供可役構木割聞身費付施"
                             "切由説転食比難防補車優夫研収断井何南石足違消境神番"
                             "規術護展態導鮮備宅害配副算視条幹独警宮究育席輸訪楽起万着乗店述残想線"
                             "率病農州武声質念待試族象銀域助労例衛然早張映限親額"
                             "監環験追審商葉義伝働形景落欧担好退準賞訴辺造英被株頭技低毎医復仕去姿"
                             "味負閣韓渡失移差衆個門写評課末守若脳極種美岡影命含"
                             "福蔵量望松非撃佐核観察整段横融型白深字答夜製票況音申様財港識注呼渉達"
                             "願致貴弊頂戴拝承存御礼詳細添確認納請見積修訂稿";

/* As Outlook, Gmail, Apple's Mail, Thunderbird and Japanese web mail write it. */
static const char html[] =
    "<html><body><p>%1$s</p><p style=\"font-family:'Yu "
    "Gothic',Meiryo,sans-serif;font-size:11pt\">%1$s<b>%1$s</b></p>"
    "<p style=\"font-family:'游ゴシック';font-size:10.5pt\">%1$s<b>%1$s</b></p>"
    "<p style=\"font-family:'メイリオ','Meiryo',sans-serif;font-size:10pt\">%1$s<b>%1$s</b></p>"
    "<p style=\"font-family:'ＭＳ Ｐゴシック';font-size:10pt\">%1$s<b>%1$s</b></p>"
    "<p style=\"font-family:'Yu Gothic',sans-serif;font-size:12pt\">%1$s<b>%1$s</b></p>"
    "<div style=\"font-family:sans-serif;font-size:14px\">%1$s<b>%1$s</b></div>"
    "<div style=\"font-family:arial,sans-serif;font-size:small\">%1$s<b>%1$s</b></div>"
    "<p style=\"font-family:Calibri,sans-serif;font-size:11pt\">%1$s<b>%1$s</b></p>"
    "<p style=\"font-family:'Times New Roman',serif;font-size:12pt\">%1$s<b>%1$s</b></p>"
    "<blockquote type=cite><ul><li>%1$s</ul><pre>%1$s</pre></blockquote>"
    "<table border=1><tr><th>%1$s<td><a "
    "href=\"https://example.com/\">%1$s</a></table></body></html>";

static enum fb_status paint_html(const struct render_letter *l, struct fb_buf *pdf,
                                 struct fb_error *err)
{
    struct fb_buf prepared;
    struct render_html_document document;
    fb_buf_init(&prepared, 1U << 20);
    enum fb_status s = render_html_prepare_document(l, &prepared, &document, err);
    if (s == FB_OK) {
        struct render_native *n = render_native_new(l, document.tree, "A4", false, SAMPLE_MS);
        s = render_native_paint(n, pdf, err);
        render_native_free(&n);
    }
    render_html_document_deinit(&document);
    fb_buf_deinit(&prepared);
    return s;
}

static void paint_sample(bool is_japanese, bool is_html)
{
    struct fb_buf pdf;
    struct fb_error err = {0};
    struct render_letter l = {.is_japanese = is_japanese,
                              .is_tagged = true,
                              .is_html = is_html,
                              .subject = fb_xstrdup(scripts),
                              .from = fb_xstrdup(scripts),
                              .to = fb_xstrdup("花子 <hanako@example.com>"),
                              .date = fb_xstrdup("2026-11-27"),
                              .attachments = fb_xcalloc(1, sizeof *l.attachments),
                              .attachment_count = 1};
    l.attachments[0] = (struct render_attachment_line){.name = fb_xstrdup(scripts)};
    fb_buf_init(&pdf, 16U << 20);
    fb_buf_init(&l.body, 64U << 10);
    enum fb_status s =
        is_html ? fb_buf_printf(&l.body, html, is_japanese ? "日本語 Abc 123" : "Abc 123")
                : fb_buf_printf(&l.body, "%s\n> %s\nhttps://example.com/\n%s\n", scripts, scripts,
                                is_japanese ? common : "");
    if (s == FB_OK) {
        s = is_html ? paint_html(&l, &pdf, &err) : render_text_paint(&l, "A4", &pdf, &err);
    }
    if (s != FB_OK) {
        fb_log(FB_WARN, "the sample letter cannot be painted: %s", err.text);
    }
    fb_buf_deinit(&pdf);
    render_letter_deinit(&l);
}

static void paint_samples(void)
{
    paint_sample(true, false);
    paint_sample(false, false);
    paint_sample(true, true);
    paint_sample(false, true);
}

void render_text_warm(void)
{
    render_page_warm(paint_samples);
}
