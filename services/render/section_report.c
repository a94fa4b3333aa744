/* SPDX-License-Identifier: Apache-2.0
 *
 * Reports of delivery (RFC 3464) and of reading (RFC 8098): fields in blocks, in words.  The report's
 * own text is the body and is painted as such; this says what its fields say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/headers.h"
#include "services/render/section_steps.h"
#include "services/render/words.h"

#define RECIPIENTS_MAX 40

struct words {
    const char *key, *ja, *en;
};

static const struct words actions[] = {
    {"failed", "配信できませんでした", "could not be delivered"},
    {"delayed", "配信が遅れています（引き続き試みます）", "is delayed; delivery is still tried"},
    {"delivered", "配信されました", "was delivered"},
    {"relayed", "配信通知に対応しないサーバーへ渡されました",
     "was passed to a server that sends no delivery reports"},
    {"expanded", "複数の宛先へ展開されました", "was expanded to several recipients"},
};

/* RFC 3463: the whole code, else its class and subject. */
static const struct words statuses[] = {
    {"5.1.1", "宛先のメールアドレスがありません", "there is no such address"},
    {"5.1.2", "宛先のドメインが見つかりません", "the recipient's domain does not exist"},
    {"5.1.3", "宛先のメールアドレスの書き方が誤っています", "the address is not valid"},
    {"5.1.10", "宛先のメールアドレスがありません", "there is no such address"},
    {"5.2.1", "宛先のメールボックスは使われていません", "the mailbox is disabled"},
    {"5.2.2", "宛先のメールボックスがいっぱいです", "the mailbox is full"},
    {"4.2.2", "宛先のメールボックスがいっぱいです", "the mailbox is full"},
    {"5.2.3", "メールが大きすぎます", "the message is too large"},
    {"5.3.4", "メールが大きすぎます", "the message is too large"},
    {"4.4.1", "宛先のサーバーが応答しません", "the recipient's server does not answer"},
    {"5.4.1", "宛先のサーバーが受け付けません", "the recipient's server does not accept it"},
    {"4.4.7", "期限までに配信できませんでした", "it could not be delivered in time"},
    {"5.4.7", "期限までに配信できませんでした", "it could not be delivered in time"},
    {"5.4.6", "転送が循環しています", "the mail goes round in a circle"},
    {"5.7.1", "宛先のサーバーの方針により拒否されました",
     "the recipient's server refuses it by its policy"},
    {"5.7.26", "送信元の認証（SPF、DKIM）に失敗しました",
     "the sender could not be authenticated (SPF, DKIM)"},
    {"x.1", "宛先に問題があります", "a problem with the address"},
    {"x.2", "宛先のメールボックスに問題があります", "a problem with the mailbox"},
    {"x.3", "メールシステムに問題があります", "a problem with the mail system"},
    {"x.4", "経路に問題があります", "a problem with network or routing"},
    {"x.5", "プロトコルの問題です", "a protocol error"},
    {"x.6", "内容の形式に問題があります", "a problem with the content's form"},
    {"x.7", "セキュリティまたは方針による拒否です", "refused for security or policy"},
};

static const struct words dispositions[] = {
    {"displayed", "表示されました", "was displayed"},
    {"deleted", "表示されずに削除されました（削除後の動作は不明です）", "was deleted"},
    {"dispatched", "表示されずに処理されました", "was passed on without being displayed"},
    {"processed", "表示されずに処理されました", "was processed without being displayed"},
    {"denied", "受信者が通知を断りました", "the recipient does not want to say"},
    {"failed", "処理に失敗しました", "processing failed"},
};

static const char *find(const struct section_list *l, const struct words *list, size_t count,
                        const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].key, key) == 0) {
            return section_say(l, list[i].ja, list[i].en);
        }
    }
    return NULL;
}

/* A field's decoded value; heap, NULL when it is missing. */
static char *value_of(struct fb_slice block, const char *name)
{
    struct render_field f = {0};
    char *text = render_field_find(block, name, &f) ? render_words_dup(f.value, 1000) : NULL;
    if (text != NULL && text[0] == '\0') {
        free(text);
        text = NULL;
    }
    return text;
}

/* What stands behind "rfc822;" or "smtp;". */
static const char *behind_type(const char *text)
{
    const char *semicolon = text != NULL ? strchr(text, ';') : NULL;
    const char *rest = semicolon != NULL ? semicolon + 1 : text;
    while (rest != NULL && *rest == ' ') {
        rest++;
    }
    return rest;
}

static void row_behind_type(struct render_section *s, const char *label, struct fb_slice block,
                            const char *name)
{
    char *text = value_of(block, name);
    section_row_str(s, label, behind_type(text));
    free(text);
}

/* The first word, lower case. */
static void word_of(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; text != NULL && n + 1 < size &&
           ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
            text[n] == '-');
         n++) {
        out[n] = (char)(text[n] | (text[n] == '-' ? 0 : 0x20));
    }
    out[n] = '\0';
}

static void put_status(const struct section_list *l, struct render_section *s,
                       struct fb_slice block)
{
    char *text = value_of(block, "Status");
    char code[16] = "";
    char subject[8] = "";
    size_t n = 0;
    for (; text != NULL && n + 1 < sizeof code &&
           ((text[n] >= '0' && text[n] <= '9') || text[n] == '.');
         n++) {
        code[n] = text[n];
    }
    code[n] = '\0';
    if (n > 3 && code[1] == '.' && code[3] == '.') {
        (void)snprintf(subject, sizeof subject, "x.%c", code[2]);
    }
    size_t count = sizeof statuses / sizeof statuses[0];
    const char *why = find(l, statuses, count, code);
    why = why != NULL || code[0] == '2' ? why : find(l, statuses, count, subject);
    char shown[256];
    (void)snprintf(shown, sizeof shown, SECTION_SAY(l, "%s（%s）", "%s (%s)"),
                   why != NULL ? why : code, code);
    section_row_str(s, section_say(l, "理由", "Reason"), why != NULL ? shown : code);
    free(text);
}

static void put_recipient(struct section_list *l, struct fb_slice block)
{
    char *final = value_of(block, "Final-Recipient");
    char *original = value_of(block, "Original-Recipient");
    char *action = value_of(block, "Action");
    char word[24];
    const char *who = behind_type(final != NULL ? final : original);
    word_of(action, word, sizeof word);
    const char *what = find(l, actions, sizeof actions / sizeof actions[0], word);
    struct render_section *s = section_add_of(
        l, RENDER_SECTION_REPORT, section_say(l, "配信状況", "Delivery report"), fb_slice_str(who));
    section_row_str(s, section_say(l, "宛先", "Recipient"), who);
    if (original != NULL && final != NULL &&
        strcmp(behind_type(original), behind_type(final)) != 0) {
        section_row_str(s, section_say(l, "元の宛先", "Sent to"), behind_type(original));
    }
    section_row_str(s, section_say(l, "結果", "Result"), what != NULL ? what : action);
    put_status(l, s, block);
    row_behind_type(s, section_say(l, "詳細", "Details"), block, "Diagnostic-Code");
    row_behind_type(s, section_say(l, "相手のサーバー", "Their server"), block, "Remote-MTA");
    row_behind_type(s, section_say(l, "最後の試行", "Last tried"), block, "Last-Attempt-Date");
    row_behind_type(s, section_say(l, "再送の期限", "Tried until"), block, "Will-Retry-Until");
    free(final);
    free(original);
    free(action);
}

static void put_disposition(struct section_list *l, struct fb_slice block)
{
    char *final = value_of(block, "Final-Recipient");
    char *text = value_of(block, "Disposition");
    const char *type = text != NULL ? strchr(text, ';') : NULL;
    char word[24];
    type = type != NULL ? type + 1 : text;
    while (type != NULL && *type == ' ') {
        type++;
    }
    word_of(type, word, sizeof word);
    const char *what = find(l, dispositions, sizeof dispositions / sizeof dispositions[0], word);
    bool is_automatic = text != NULL && strstr(text, "automatic-action") != NULL;
    struct render_section *s =
        section_add_of(l, RENDER_SECTION_REPORT, section_say(l, "開封通知", "Reading report"),
                       fb_slice_str(behind_type(final)));
    section_row_str(s, section_say(l, "受信者", "Recipient"), behind_type(final));
    section_row_str(s, section_say(l, "結果", "Result"), what != NULL ? what : text);
    if (is_automatic) {
        section_row_str(s, section_say(l, "動作", "How"),
                        section_say(l, "受信者の操作によらない自動の処理です",
                                    "by a program, not by the recipient"));
    }
    row_behind_type(s, section_say(l, "元のメール", "Message"), block, "Original-Message-ID");
    row_behind_type(s, section_say(l, "エラー", "Error"), block, "Error");
    free(final);
    free(text);
}

/* The next block of fields, ended by an empty line. */
static bool next_block(struct fb_slice *rest, struct fb_slice *block)
{
    while (rest->len > 0 && (rest->ptr[0] == '\n' || rest->ptr[0] == '\r')) {
        *rest = fb_slice_sub(*rest, 1, SIZE_MAX);
    }
    size_t end = fb_slice_find(*rest, FB_SLICE_LITERAL("\n\n"));
    end = end == SIZE_MAX ? rest->len : end + 1;
    *block = fb_slice_sub(*rest, 0, end);
    *rest = fb_slice_sub(*rest, end, SIZE_MAX);
    return block->len > 0;
}

void section_report_text(struct section_list *l, struct fb_slice text, bool is_disposition,
                         const char *name)
{
    struct fb_slice block;
    int count = 0;
    while (next_block(&text, &block)) {
        struct render_field f = {0};
        bool is_recipient = render_field_find(block, "Final-Recipient", &f) ||
                            render_field_find(block, "Action", &f) ||
                            render_field_find(block, "Disposition", &f);
        if (!is_recipient || ++count > RECIPIENTS_MAX) {
            continue; /* about the message, or of no known kind */
        }
        if (is_disposition) {
            put_disposition(l, block);
        } else {
            put_recipient(l, block);
        }
    }
    if (count == 0) {
        section_unreadable_add(l, RENDER_SECTION_REPORT,
                               section_say(l, "配信状況の報告", "Delivery report"), name);
    } else if (count > RECIPIENTS_MAX) {
        l->left_out += (size_t)(count - RECIPIENTS_MAX);
    }
}

enum fb_status section_report_read(struct section_list *l, const struct render_extra *extra)
{
    struct fb_buf text;
    fb_buf_init(&text, 3U * RENDER_SECTION_FILE_MAX);
    enum fb_status s = section_decode(l, extra, &text);
    bool is_disposition = strstr(extra->type, "disposition") != NULL;
    if (s == FB_OK) {
        section_report_text(l, fb_slice_buf(&text), is_disposition, extra->name);
    } else if (s == FB_TOO_BIG) {
        section_unreadable_add(l, RENDER_SECTION_REPORT,
                               section_say(l, "配信状況の報告", "Delivery report"), extra->name);
        s = FB_OK;
    }
    fb_buf_deinit(&text);
    return s;
}
