/* SPDX-License-Identifier: Apache-2.0
 *
 * The authenticator app's pages.  The square (QR code) is drawn as SVG into the page: no picture is fetched, and none
 * can stay in a cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/portal/door.h"

#define QR_PATH (512U << 10)
#define GROUP   4 /* letters of the secret that stand together */

void door_qr(struct html *h, const char *text, const char *label)
{
    struct fb_buf path;
    int size = 0;
    fb_buf_init(&path, QR_PATH);
    if (fb_totp_qr(text, &path, &size) == FB_OK) {
        html_printf(h,
                    "<svg class=\"qr\" role=\"img\" aria-label=\"%s\" viewBox=\"0 0 %d %d\" "
                    "width=\"232\" height=\"232\" shape-rendering=\"crispEdges\"><rect "
                    "width=\"%d\" height=\"%d\" fill=\"#fff\"/><path fill=\"#000\" d=\"",
                    label, size, size, size, size);
        html_raw(h, fb_buf_str(&path));
        html_raw(h, "\"/></svg>\n");
    } /* else the secret stands beside it, in letters */
    if (path.ptr != NULL) {
        fb_wipe(path.ptr, path.len);
    }
    fb_buf_deinit(&path);
}

/* False: it has no room, which a secret always has. */
static bool make_uri(const struct reader *r, const char *secret, char out_r[FB_TOTP_URI])
{
    const struct brand *brand = r->visit->brand;
    const char *issuer =
        brand != NULL && brand->organisation[0] != '\0' ? brand->organisation : "Fumibako";
    return fb_totp_uri(issuer, r->session.address, secret, out_r);
}

void door_app_form(struct reader *r, struct html *h, const struct door_said *said,
                   bool offers_trust)
{
    bool is_wrong = said->at != NULL && strcmp(said->at, "recovery") == 0;
    html_say(
        h,
        "<p>認証アプリを開き、このメールの送信元の項目に表示されたコードを入力してください。</p>",
        "<p>Please open your authenticator app and enter the code that it shows for this "
        "sender.</p>");
    reader_form_begin(r, h, "totp", "");
    door_code_field(h, said, true);
    door_trust_field(h, r, offers_trust);
    door_button(h, "確認する", "Go on");
    html_raw(h, is_wrong ? "<details class=\"more\" open><summary>"
                         : "<details class=\"more\"><summary>");
    html_say(h, "アプリを使えない場合", "You cannot use the app?");
    html_say(h,
             "</summary><p>登録時に控えたリカバリーコードを 1 つ入力してください。同じコードは 1 "
             "回のみ使えま"
             "す。控えがない場合は、差出人の組織にお問い合わせください。</p>",
             "</summary><p>Enter one of the recovery codes that you kept. Each works once. Without "
             "them, please ask the organisation that sent the mail.</p>");
    reader_form_begin(r, h, "recovery", "");
    html_raw(h, "<p class=\"field\"><label for=\"recovery\">");
    html_say(h, "リカバリーコード", "Recovery code");
    html_printf(
        h,
        "</label><input id=\"recovery\" name=\"recovery\" type=\"text\" autocomplete=\"off\" "
        "autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"40\" required%s></p>",
        is_wrong ? " aria-invalid=\"true\" aria-describedby=\"alert\"" : "");
    html_raw(h, "<p class=\"field\"><label class=\"check\"><input type=\"checkbox\" name=\"again\" "
                "value=\"1\"><span>");
    html_say(h, "アプリをなくしたので、新しく登録し直す", "The app is lost: set up a new one");
    html_raw(h, "</span></label></p>");
    door_button(h, "確認する", "Go on");
    html_raw(h, "</details>\n");
}

/* "ABCD EFGH ..." */
static void add_secret(struct html *h, const char *secret)
{
    html_raw(h, "<p><code class=\"secret\">");
    for (size_t i = 0; secret[i] != '\0'; i++) {
        html_printf(h, i > 0 && i % GROUP == 0 ? " %c" : "%c", secret[i]);
    }
    html_raw(h, "</code></p>\n");
}

void door_enrol_form(struct reader *r, struct html *h, const struct door_said *said,
                     bool offers_trust)
{
    uint8_t secret[FB_TOTP_SECRET];
    char owner[FB_DOOR_HASH], uri[FB_TOTP_URI];
    char *text = NULL;
    fb_door_owner(r->session.address, owner);
    bool is_open = fb_totp_unseal(r->visit->portal->door_key, owner, r->session.sealed, secret) &&
                   (text = fb_totp_base32(secret)) != NULL && make_uri(r, text, uri);
    if (!is_open) {
        html_say(h, "<p>登録を続けられません。最初からやり直してください。</p>",
                 "<p>This cannot go on. Please start again.</p>");
        free(text);
        return;
    }
    html_say(
        h,
        "<p>このメールには認証アプリが必要です。次回からは、アプリのコードで開けます。</p><ol><li>"
        "認証アプリ (Google Authenticator、Microsoft Authenticator など) を用意します。</li><li>"
        "アプリで下の図を読み取ります。",
        "<p>This mail asks for an authenticator app. From the next time on, the app's code "
        "opens it.</p><ol><li>Have an authenticator app ready (Google Authenticator, Microsoft "
        "Authenticator or any other).</li><li>Scan the square with it. ");
    html_raw(h, "<a href=\"");
    html_text(h, uri);
    html_say(h,
             "\">この端末のアプリで開く</a>こともできます。</"
             "li><li>アプリに表示されたコードを入力します。</li></ol>",
             "\">Or open it in the app on this device.</a></li><li>Enter the code that the app "
             "shows.</li></ol>");
    door_qr(h, uri,
            h->is_ja ? "認証アプリで読み取る二次元コード" : "Square to be scanned with the app");
    html_say(h,
             "<p class=\"soft\">読み取れない場合は、次のキーをアプリに入力してください "
             "(時間ベース、6 桁)。</p>",
             "<p class=\"soft\">If it cannot be scanned, type this key into the app (time based, 6 "
             "digits).</p>");
    add_secret(h, text);
    reader_form_begin(r, h, "enrol", "");
    door_code_field(h, said, true);
    door_trust_field(h, r, offers_trust);
    door_button(h, "登録する", "Set it up");
    fb_wipe(secret, sizeof secret);
    fb_wipe(text, strlen(text));
    fb_wipe(uri, sizeof uri);
    free(text);
}

void door_recovery_page(struct reader *r, char codes[FB_DOOR_RECOVERY][FB_TOTP_RECOVERY])
{
    struct html h;
    const char *title = r->visit->is_ja ? "リカバリーコード" : "Your recovery codes";
    page_begin(r->visit, &h, title, false);
    html_raw(&h, "<section class=\"card\"><h1>");
    html_raw(&h, title);
    html_say(
        &h,
        "</h1><div class=\"note warn\" "
        "role=\"status\"><p>認証アプリを登録しました。次のコードは、アプリを"
        "使えなくなったときに 1 つずつ使えます。<strong>この画面でのみ表示します</strong>。"
        "印刷するか、安全な場所に控えてください。</p></div><ol class=\"codes\">",
        "</h1><div class=\"note warn\" role=\"status\"><p>The app is set up. When you cannot use "
        "it, one of these opens the mail instead, each once. <strong>They are shown only "
        "now</strong>: print them, or keep them in a safe place.</p></div><ol class=\"codes\">");
    for (size_t i = 0; i < FB_DOOR_RECOVERY; i++) {
        html_printf(&h, "<li><code>%s</code></li>", codes[i]);
    }
    html_printf(&h, "</ol><p class=\"actions\"><a class=\"button\" href=\"/r/%s%s\">", r->text,
                page_query(r->visit));
    html_say(&h, "控えたので、次へ進む", "I have kept them: go on");
    html_raw(&h, "</a></p></section>\n");
    page_end(r->visit, &h, 200);
}
