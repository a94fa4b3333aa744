/* SPDX-License-Identifier: Apache-2.0 */
#include "common/dead_words.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/envelope.h"

struct pair {
    const char *ja, *en;
};

static const char *pick(const struct pair *p, bool is_ja)
{
    return is_ja ? p->ja : p->en;
}

/* ---- what happened ---- */

static const struct pair stage_failed[FB_STAGE_COUNT] = {
    [FB_STAGE_RENDER] = {"メールを読み取れないか、本文の PDF を作成できませんでした。",
                         "The mail could not be read, or its body could not be made a PDF."},
    [FB_STAGE_UPLOAD] = {"メールの内容を保管先に置けませんでした。",
                         "The content of the mail could not be put into the storage."},
    [FB_STAGE_REWRITE] = {"お知らせ (またはメール) を次のメールサーバーへ渡せませんでした。",
                          "The notice (or the mail) could not be handed to the next mail server."},
    [FB_STAGE_REVOKE] =
        {"保管先での閲覧権の変更 (取り消し・復元・期限切れ・削除) ができませんでした。",
         "The access in the storage could not be changed (recall, restore, expiry or "
         "purge)."},
};

static const struct pair letter_failed = {
    "差出人へのお知らせを送れませんでした。メールそのものの配送とは関係ありません。",
    "A letter to the sender could not be sent.  The mail itself is not concerned."};
static const struct pair code_failed = {
    "閲覧者への確認コードを送れませんでした。メールそのものの配送とは関係ありません。",
    "A code could not be mailed to its reader.  The mail itself is not concerned."};
static const struct pair unreadable = {
    "この版では読めないジョブです。より新しい (または壊れた) 形式で書かれています。",
    "A job that this version cannot read: its format is broken."};

/* Why, by status. */
static const struct pair cause[FB_STATUS_COUNT] = {
    [FB_AGAIN] = {"相手が混雑しているか、待つよう求め続けたため、試みを終えました。",
                  "The other side was busy, or asked to wait, until the tries were used up."},
    [FB_NETWORK] = {"相手に接続できない状態が続いたため、試みを終えました。",
                    "The other side could not be reached until the tries were used up."},
    [FB_NO_SPACE] = {"保存する空きがありませんでした。", "There was no room."},
    [FB_IO] = {"この機械での読み書きに失敗しました。",
               "Reading or writing failed on this machine."},
    [FB_CONFIG] = {"設定または認証情報が正しくありません。", "A setting or a credential is wrong."},
    [FB_INVALID] = {"メールの形式が壊れているため、扱えません。",
                    "The mail breaks its format and cannot be handled."},
    [FB_TOO_BIG] = {"大きさ、深さ、数のいずれかが上限を超えています。",
                    "A limit of size, depth or number was passed."},
    [FB_DENIED] = {"相手またはポリシーが拒否しました。", "The other side, or the policy, refused."},
    [FB_NOT_FOUND] = {"必要なものが見つかりませんでした (削除された可能性があります)。",
                      "Something that is needed is not there (any more)."},
    [FB_EXISTS] = {"同じ名前のものが既にあり、内容が異なります。",
                   "Something of that name exists, and is not the same."},
    [FB_CORRUPT] = {"保存されたデータが壊れています。", "Stored data is damaged."},
    [FB_CRASHED] = {"処理が異常終了したか、時間またはメモリの上限を超えました。",
                    "The work crashed, or ran out of time or memory."},
    [FB_BUG] = {"想定していない状態です。不具合の可能性があります。",
                "Something that we did not expect: perhaps a fault of ours."},
};

/* When another try makes sense. */
static const struct pair advice_cause = {"下の理由を直してから選んでください。",
                                         "Mend the cause below first."};
static const struct pair advice_same = {
    "メールは変わらないため、プログラムか上限を変えない限り、同じ結果になります。",
    "The mail does not change: it ends the same way unless program or limit does."};
static const struct pair advice_passing = {"相手が応答するようになっていれば、成功します。",
                                           "It works when the other side answers again."};

static enum fb_status status_of(const char *name)
{
    for (int s = FB_OK; s < FB_STATUS_COUNT; s++) {
        if (strcmp(fb_status_name((enum fb_status)s), name) == 0) {
            return (enum fb_status)s;
        }
    }
    return FB_BUG;
}

static const struct pair *advice_of(enum fb_status s)
{
    switch (s) {
    case FB_AGAIN:
    case FB_NETWORK:
        return &advice_passing;
    case FB_INVALID:
    case FB_TOO_BIG:
    case FB_CRASHED:
        return &advice_same;
    default:
        return &advice_cause;
    }
}

/* ---- mail ---- */

const char *fb_dead_untold(const char *from, bool is_ja)
{
    if (from != NULL && from[0] == '\0') {
        return is_ja ? "差出人がない (空の差出人で送られた) ため"
                     : "it has no sender (it came from the null sender)";
    }
    if (from != NULL && !fb_address_is_writable(from)) {
        return is_ja ? "差出人のアドレスに山括弧または制御文字があり、メールを送れないため"
                     : "its sender's address has an angle bracket or a control character, and no "
                       "mail can be written to it";
    }
    return NULL;
}

/* In place of what is said of a sender who can be told.  Nor can the mail itself be sent on from an address that cannot
 * stand in an envelope; from the null sender it can. */
static void untold_words(const char *untold, bool can_release, const char *out, const char *until,
                         bool is_ja, struct fb_dead_words *w)
{
    (void)snprintf(
        w->meaning, sizeof w->meaning,
        is_ja ? "メールは保留中です。%s保管先に置いたものは閉じてあります。\n%s "
                "までに処置がなければ、破棄します。%s、差出人には通知できません。"
              : "The mail is held.  %s  What was shared of it is closed.\nIf nobody decides until "
                "%s, it is given up.  Its sender cannot be told: %s.",
        out, until, untold);
    (void)snprintf(w->reject, sizeof w->reject,
                   is_ja ? "配送をやめ、メールを破棄します。%s、通知は送られません。必要なら関係者"
                           "へ別の方法でお知らせください。"
                         : "Gives the mail up, and nobody is told: %s.  Tell those concerned in "
                           "another way where it matters.",
                   untold);
    if (!can_release) {
        w->can_release = false;
        (void)snprintf(w->release, sizeof w->release,
                       is_ja ? "選べません。%s、どのサーバーにも渡せません。"
                             : "not possible: %s, nor sent on from it.",
                       untold);
    }
}

static void mail_words(const struct fb_dead *d, const char *from, const char *until, bool is_ja,
                       struct fb_dead_words *w)
{
    const char *untold = fb_dead_untold(from, is_ja);
    bool is_sending = d->job.stage == FB_STAGE_REWRITE;
    const char *out_ja = is_sending
                             ? "すでに届いた宛先があるかもしれません (下のコマンドで確認できます)。"
                             : "どの宛先にも何も届いていません。";
    const char *out_en = is_sending ? "Some recipients may have it (see below)."
                                    : "Nothing of it has reached any of these recipients.";
    (void)snprintf(
        w->meaning, sizeof w->meaning,
        is_ja ? "メールは保留中です。%s保管先に置いたものは閉じてあります。\n%s "
                "までに処置がなければ、"
                "差出人へ配送不能の通知を送り、破棄します。差出人には保留をお知らせ済みです。"
              : "The mail is held.  %s  What was shared of it is closed.\nIf nobody decides until "
                "%s, "
                "its sender gets a delivery report and it is given up.  The sender was told that "
                "it is "
                "held.",
        is_ja ? out_ja : out_en, until);
    (void)snprintf(w->retry, sizeof w->retry,
                   is_ja ? "もう一度 %s から処理します。%s" : "Does the stage %s again.  %s",
                   fb_stage_name(d->job.stage), pick(advice_of(status_of(d->status)), is_ja));
    w->can_release = true;
    (void)snprintf(
        w->release, sizeof w->release, "%s",
        is_ja ? "まだ届いていない宛先へ、元のメールを添付ファイルも含めて【保護なしで】そのまま"
                "送ります。取り消しはできません。"
              : "Sends the mail as it came, content and attachments, UNPROTECTED, to those who "
                "have nothing yet.  It cannot be taken back.");
    (void)snprintf(
        w->reject, sizeof w->reject, "%s",
        is_ja ? "配送をやめます。差出人へ配送不能の通知を送り、メールを破棄します。"
              : "Gives the mail up: its sender gets a delivery report, its recipients nothing.");
    if (untold != NULL) {
        untold_words(untold, fb_address_is_writable(from), is_ja ? out_ja : out_en, until, is_ja,
                     w);
    }
}

/* ---- what is no mail ---- */

static const struct pair op_now[] = {
    [FB_REVOKE_NONE] = {"", ""},
    [FB_REVOKE_RECALL] =
        {"取り消しが済んでいません。宛先の方がまだ内容を開ける可能性があります。",
         "The recall is not done: the recipients may still be able to open the content."},
    [FB_REVOKE_RESTORE] =
        {"閲覧権は戻されていません。宛先の方は内容を開けません。",
         "The access was not given back: the recipients cannot open the content."},
    [FB_REVOKE_EXPIRE] =
        {"期限が過ぎましたが、宛先の方がまだ内容を開ける可能性があります。"
         "1 日後に自動でもう一度試みます。",
         "Its time is over, and the recipients may still be able to open the content.  "
         "It is tried again by itself after a day."},
    [FB_REVOKE_PURGE] =
        {"保管先のファイルがまだ削除されていません。1 日後に自動でもう一度試みます。",
         "The files are still in the storage.  It is tried again by itself after a day."},
};

static void revoke_words(const struct fb_dead *d, bool is_ja, struct fb_dead_words *w)
{
    (void)snprintf(w->meaning, sizeof w->meaning, "%s", pick(&op_now[d->job.op], is_ja));
    (void)snprintf(w->retry, sizeof w->retry,
                   is_ja ? "もう一度試みます。%s" : "Tries it again.  %s",
                   pick(advice_of(status_of(d->status)), is_ja));
    (void)snprintf(w->release, sizeof w->release, "%s",
                   is_ja ? "選べません。メールではないため、送るものがありません。"
                         : "not possible: this is no mail, there is nothing to send.");
    (void)snprintf(
        w->reject, sizeof w->reject, "%s",
        is_ja ? "あきらめます。閲覧権は今のままになり、記録には失敗として残ります。保管先で直接"
                "閉じてからにしてください。"
              : "Gives it up: the access stays as it is now, and the record says that it failed.  "
                "Close it in the storage by hand first.");
}

static void letter_words(bool is_ja, struct fb_dead_words *w)
{
    (void)snprintf(w->meaning, sizeof w->meaning, "%s",
                   is_ja ? "差出人はまだ知らされていません。" : "The sender does not know yet.");
    (void)snprintf(w->retry, sizeof w->retry, "%s",
                   is_ja ? "もう一度送ります。" : "Sends the letter again.");
    (void)snprintf(w->release, sizeof w->release, "%s",
                   is_ja ? "選べません。保留中のメールではありません。"
                         : "not possible: this is no held mail.");
    (void)snprintf(w->reject, sizeof w->reject, "%s",
                   is_ja ? "送らずに終わります。必要なら差出人へ直接お知らせください。"
                         : "Ends without the letter.  Tell the sender yourself where it matters.");
}

/* It is over long before anybody looks here. */
static void code_words(bool is_ja, struct fb_dead_words *w)
{
    (void)snprintf(w->meaning, sizeof w->meaning, "%s",
                   is_ja
                       ? "コードの期限は過ぎています。閲覧者は、もう一度コードを求めれば開けます。"
                       : "The code is over.  The reader can ask for another one.");
    (void)snprintf(w->retry, sizeof w->retry, "%s",
                   is_ja ? "期限が過ぎているため、何も送らずに終わります。"
                         : "Ends without a mail, as the code is over.");
    (void)snprintf(w->release, sizeof w->release, "%s",
                   is_ja ? "選べません。保留中のメールではありません。"
                         : "not possible: this is no held mail.");
    (void)snprintf(w->reject, sizeof w->reject, "%s",
                   is_ja ? "一覧から除きます。" : "Takes it off the list.");
}

static void unreadable_words(bool is_ja, struct fb_dead_words *w)
{
    (void)snprintf(
        w->meaning, sizeof w->meaning, "%s",
        is_ja ? "どのメールのものかは分かりません。メールがスプールにあれば、失われていません。"
              : "Whose it is cannot be told.  A mail that is in the spool is not lost.");
    (void)snprintf(w->retry, sizeof w->retry, "%s",
                   is_ja
                       ? "この版では試みられません。書いた版の `fumibako` を使ってください。"
                       : "not with this version: use the `fumibako` of the version that wrote it.");
    (void)snprintf(w->release, sizeof w->release, "%s", is_ja ? "選べません。" : "not possible.");
    (void)snprintf(
        w->reject, sizeof w->reject, "%s",
        is_ja
            ? "一覧から除きます。メールがスプールにあれば、ingest.sweep_after の後に自動で処理が"
              "やり直されます。"
            : "Takes it off the list.  A mail that is in the spool gets a new job by itself after "
              "ingest.sweep_after.");
}

static void local_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    (void)snprintf(out, 32, "-");
    if (localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
    }
}

void fb_dead_words_make(const struct fb_dead *d, const char *from, int64_t dead_ms, bool is_ja,
                        struct fb_dead_words *w_r)
{
    char until[32];
    const struct pair *what = &stage_failed[d->job.stage];
    *w_r = (struct fb_dead_words){0};
    local_time(d->died_ms + dead_ms, until);
    if (d->job.msg_id[0] == '\0') {
        what = &unreadable;
        unreadable_words(is_ja, w_r);
    } else if (d->job.letter == FB_LETTER_CODE) {
        what = &code_failed;
        code_words(is_ja, w_r);
    } else if (d->job.letter != FB_LETTER_NONE) {
        what = &letter_failed;
        letter_words(is_ja, w_r);
    } else if (d->job.stage == FB_STAGE_REVOKE) {
        revoke_words(d, is_ja, w_r);
    } else {
        mail_words(d, from, until, is_ja, w_r);
    }
    const struct pair *why = &cause[status_of(d->status)];
    (void)snprintf(w_r->what, sizeof w_r->what, "%s%s%s", pick(what, is_ja), is_ja ? "" : "  ",
                   why->ja != NULL ? pick(why, is_ja) : "");
}
