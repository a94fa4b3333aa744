/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail about an alarm, in Japanese and English: what happened, what it means for mail, what to
 * do, and where.  The texts of the entries are the programs' own (English), as in the log. */
#include <stdio.h>
#include <string.h>

#include "common/id.h"
#include "common/mime_write.h"
#include "proto/trace_header.h"
#include "services/rewrite/alarm_mail.h"
#include "services/rewrite/compose.h"

#define MAX_TEXT  (256U << 10)
#define MAX_LINES 50

static const struct {
    const char *title_ja, *title_en, *ja, *en;
} words[FB_ALARM_COUNT] = {
    [FB_ALARM_HELD] =
        {"保留中のメールがあります", "mail is held",
         "処理できなかったメールを保留しています。保留中のメールは送信されません。\n"
         "`fumibako dead list` で一覧を、`fumibako dead show 番号` で理由と選べる処置を確認し、\n"
         "再試行 (retry)、保護なしの送信 (release)、差し戻し (reject) のいずれかを選んでください。",
         "Mail that could not be processed is held; it is not sent.  See `fumibako dead list`, "
         "and\n"
         "with `fumibako dead show ID` why and what you can do: retry, release (sent "
         "UNPROTECTED),\n"
         "or reject (its sender is told)."},
    [FB_ALARM_HELD_ENDING] =
        {"保留中のメールの期限が近づいています", "held mail is about to be given up",
         "保留中のメールのうち、期限 (retention.dead) が近いものがあります。期限までに処置が\n"
         "なければ、差出人へ配送不能の通知を送り、メールを破棄します。\n"
         "`fumibako dead list` で確認し、処置を選んでください。",
         "Some held mail is close to its end (retention.dead).  If nobody decides until then, its\n"
         "sender gets a delivery report and the mail is given up.  See `fumibako dead list`."},
    [FB_ALARM_STORAGE] =
        {"保管先に接続できません", "a storage cannot be used",
         "保管先が応答しないか、ログインを拒否しています。この保管先へのメールは待機しており、\n"
         "失われません。`fumibako doctor` で原因を確認し、保管先または認証情報を直してください。\n"
         "ほかの保管先のメールには影響しません。",
         "A storage does not answer, or refuses our login.  Mail that goes there waits and is not\n"
         "lost.  `fumibako doctor` looks for the reason; mend the storage or the credentials.\n"
         "Mail for other storages goes on."},
    [FB_ALARM_QUEUE_AGE] =
        {"処理が滞っています", "mail waits too long",
         "いちばん古いメールの待ち時間が上限 (ingest.queue_age_max) を超えました。\n"
         "`fumibako queue` でどの段階が滞っているかを確認し、その段階のサービスが動いているか、\n"
         "台数が足りているかを確かめてください。",
         "The oldest mail waits longer than ingest.queue_age_max.  `fumibako queue` says in which\n"
         "stage; see whether its service runs, and whether there are enough of them."},
    [FB_ALARM_SPOOL] =
        {"スプールの空きが少なくなっています", "the spool is nearly full",
         "スプールの使用量が上限 (ingest.high_water または ingest.spool_max) に近づいています。\n"
         "上限に達すると新しいメールは一時的に拒否されます (452)。空きを増やすか、`fumibako "
         "queue`\n"
         "で滞っている原因を取り除いてください。",
         "The spool is near ingest.high_water or ingest.spool_max.  At the mark new mail is "
         "answered\n"
         "452 for the time being.  Make room, or find out with `fumibako queue` what holds mail "
         "up."},
    [FB_ALARM_REPAIRED] =
        {"失われた処理を復元しました", "lost work was found",
         "Redis から失われた処理を、スプールをもとに復元しました。メールは失われていません。\n"
         "Redis のフェイルオーバーや、データの変更がなかったかを確認してください。\n"
         "スプールに見つからないメールがある場合は、下に記しています。",
         "Jobs that Redis had lost were put back from the spool; no mail is lost.  See whether "
         "Redis\n"
         "failed over or somebody changed its data.  Mail that is not in the spool is named "
         "below."},
    [FB_ALARM_RELAY] =
        {"メールサーバーに接続できません", "the mail server cannot be reached",
         "送信先のメールサーバー (rewrite.relay) がメールを受け取りません。メールは待機しており、\n"
         "rewrite.lifetime の間、再送を試みます。メールサーバーを確認してください。",
         "The mail server (rewrite.relay) does not take mail.  Mail waits and is tried again for\n"
         "rewrite.lifetime.  Look at the mail server."},
    [FB_ALARM_POLICY] =
        {"ポリシーがありません", "no policy is known",
         "適用できるポリシーがないため、メールは待機しています (送信されません)。\n"
         "`fumibako policy apply ファイル` で適用するか、policy.source を確認してください。",
         "No policy is known, so mail waits and nothing goes out.  `fumibako policy apply FILE`, "
         "or\n"
         "look at policy.source."},
    [FB_ALARM_GUESSING] =
        {"確認コードの推測が疑われます", "somebody guesses at the portal's door",
         "受信者のページで、誤った確認コードやパスワードが短時間に多数入力されています。\n"
         "回数の制限を超えた入力は照合していません。\n"
         "ポータルのログ (code wrong、code locked) で送信元のネットワークを確認し、必要に応じて\n"
         "プロキシで遮断してください。",
         "Many wrong codes or passwords were entered on recipients' pages within an hour.  What "
         "goes\n"
         "beyond the limits is not even looked at.  The portal's log (\"code wrong\", \"code "
         "locked\")\n"
         "names the networks; shut them out at the proxy if need be."},
};

static enum fb_status add_lines(struct fb_buf *text, enum fb_alarm kind,
                                const struct fb_alarm_entry *entries, size_t count)
{
    enum fb_status s = fb_buf_add_str(text, "\n");
    size_t shown = 0;
    for (size_t i = 0; i < count && s == FB_OK && shown < MAX_LINES; i++) {
        const struct fb_alarm_entry *e = &entries[i];
        char date[48];
        if (e->kind != kind) {
            continue;
        }
        shown++;
        fb_mime_date(e->since_ms, date);
        s = fb_buf_printf(text, "  - %s%s%s\n    %s, %s\n", e->cause,
                          e->cause[0] != '\0' ? ": " : "", e->text, e->who, date);
    }
    return s;
}

static enum fb_status add_head(enum fb_alarm kind, const char *postmaster, const char *id,
                               struct fb_buf *to)
{
    char date[48];
    char subject[256];
    const char *at = strrchr(postmaster, '@');
    fb_mime_date(fb_now_ms(), date);
    (void)snprintf(subject, sizeof subject, "[Fumibako] %s (%s)", words[kind].title_ja,
                   words[kind].title_en);
    enum fb_status s = fb_mime_write_mailbox(to, "From", "Fumibako", postmaster);
    if (s == FB_OK) {
        s = fb_buf_printf(to,
                          "To: <%s>\r\nDate: %s\r\nMessage-ID: <alarm-%s-%s%s>\r\n"
                          "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"
                          "MIME-Version: 1.0\r\n",
                          postmaster, date, fb_alarm_name(kind), id,
                          at != NULL ? at : "@localhost");
    }
    return s == FB_OK ? fb_mime_write_field(to, "Subject", subject) : s;
}

enum fb_status compose_alarm(enum fb_alarm kind, const struct fb_alarm_entry *entries, size_t count,
                             const char *postmaster, const char *key, struct content *out,
                             struct fb_error *err)
{
    char id[FB_ID_SIZE];
    struct fb_buf text;
    struct fb_buf *to = content_tail(out);
    fb_id_new(id);
    fb_buf_init(&text, MAX_TEXT);
    enum fb_status s = add_head(kind, postmaster, id, to);
    if (s == FB_OK) {
        s = fb_buf_printf(&text, "%s\n", words[kind].ja);
    }
    s = s == FB_OK ? add_lines(&text, kind, entries, count) : s;
    if (s == FB_OK) {
        s = fb_buf_printf(&text,
                          "\n同じ種類のお知らせは、多くても 1 時間に 1 通です。\n\n----\n\n%s\n",
                          words[kind].en);
    }
    s = s == FB_OK ? add_lines(&text, kind, entries, count) : s;
    if (s == FB_OK) {
        s = fb_buf_add_str(&text, "\nMails of this kind come at most once an hour.\n");
    }
    if (s == FB_OK) {
        s = fb_mime_write_text(to, "plain", fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    if (s != FB_OK) {
        return fb_error_set(err, s, "the mail about an alarm is larger than its limits");
    }
    return compose_sign(out, key, id, FB_TRACE_LETTER, err);
}
