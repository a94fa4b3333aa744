/* SPDX-License-Identifier: Apache-2.0
 *
 * A sentence is made of clauses, each there or not: was the notice out, what became of the access,
 * what the storage recorded, and how far its record reaches. */
#include "common/evidence_text.h"

#include <string.h>
#include <time.h>

#define MINUTE_MS 60000

struct saying {
    struct fb_buf *out;
    bool is_ja;
    bool has_clause;
    enum fb_status status; /* the first failure; nothing is added behind it */
};

enum fb_status fb_text_time(struct fb_buf *out, int64_t ms, bool is_ja)
{
    char text[64];
    struct tm tm = {0};
    time_t seconds = (time_t)(ms / 1000) + (is_ja ? 9 * 3600 : 0);
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text, is_ja ? "%Y年%m月%d日 %H:%M (日本時間)" : "%Y-%m-%d %H:%M UTC",
                 &tm) == 0) {
        return FB_BUG;
    }
    return fb_buf_add_str(out, text);
}

bool fb_evidence_is_downloaded(const struct fb_evidence *e)
{
    return e->downloads > 0 || e->downloaded_ms > 0;
}

bool fb_evidence_is_opened(const struct fb_evidence *e)
{
    return fb_evidence_is_downloaded(e) || e->previews > 0 || e->opened_ms > 0 || e->by_others;
}

static void add(struct saying *s, const char *text)
{
    if (s->status == FB_OK) {
        s->status = fb_buf_add_str(s->out, text);
    }
}

/* A clause in the reader's language, with a time in place of its '@'.  A time that is lost (0) is
 * said to be so. */
static void say_at(struct saying *s, const char *ja, const char *en, int64_t ms)
{
    const char *text = s->is_ja ? ja : en;
    const char *at = strchr(text, '@');
    if (s->has_clause) {
        add(s, s->is_ja ? "。" : "; ");
    }
    if (at != NULL && s->status == FB_OK) {
        s->status = fb_buf_add(s->out, text, (size_t)(at - text));
        text = at + 1;
        if (ms <= 0) {
            add(s, s->is_ja ? "(日時の記録なし)" : "(time not recorded)");
        } else if (s->status == FB_OK) {
            s->status = fb_text_time(s->out, ms, s->is_ja);
        }
    }
    add(s, text);
    s->has_clause = true;
}

static void say(struct saying *s, const char *ja, const char *en)
{
    say_at(s, ja, en, 0);
}

/* ---- clauses ---- */

static void say_notice(struct saying *s, const struct fb_evidence *e)
{
    if (e->is_notice_out) {
        say(s, "お知らせのメールは送信済みでした", "the notice was out");
    } else {
        say(s, "お知らせのメールは送信していません", "the notice did not go out");
    }
}

static void say_removed(struct saying *s, const struct fb_evidence *e)
{
    if (e->kind == FB_EV_ENDED) {
        say_at(s, "アクセス権は @ に終了しました", "access ended at @", e->removed_ms);
    } else {
        say_at(s, "アクセス権は @ に取り消しました", "access was removed at @", e->removed_ms);
    }
}

static void say_others(struct saying *s, const struct fb_evidence *e)
{
    if (e->by_others) {
        say_at(s, "@ に、どなたかが開いています(保管場所の記録からは特定できません)",
               "opened at @ by somebody whom the storage's log does not name", e->others_ms);
    }
}

/* What was recorded, and as of when; nothing is said of a log that nobody reads. */
static void say_accesses(struct saying *s, const struct fb_evidence *e)
{
    bool is_opened = e->previews > 0 || e->opened_ms > 0;
    if (fb_evidence_is_downloaded(e)) {
        say_at(s, "@ にダウンロードされており、そのコピーは取り戻せません",
               "downloaded at @: a copy is out of reach", e->downloaded_ms);
    } else if (is_opened) {
        say_at(s, "@ に開かれています", "opened at @", e->opened_ms);
        if (e->log_until_ms > 0) {
            say_at(s, "@ の時点で、ダウンロードの記録はありません", "no download recorded as of @",
                   e->log_until_ms);
        }
    } else if (e->log_until_ms > 0 && !e->by_others) {
        say_at(s, "@ の時点で、開かれた記録はありません", "no access recorded as of @",
               e->log_until_ms);
    }
    say_others(s, e);
    if (e->log_from_ms > 0) {
        say_at(s, "@ より前の記録は失われている可能性があります",
               "records from before @ may be lost", e->log_from_ms);
    }
}

/* Whether the storage's log is looked at again, where the access has ended. */
static void say_waiting(struct saying *s, const struct fb_evidence *e)
{
    if (e->removed_ms <= 0 || e->is_final) {
        return;
    }
    if (e->complete_ms > 0) {
        say_at(s, "保管場所の記録は @ まで揃わないため、引き続き確認しています",
               "the storage's log is not complete until @, checking again",
               (e->complete_ms + MINUTE_MS - 1) / MINUTE_MS * MINUTE_MS);
    } else if (e->log_until_ms > 0) {
        say(s, "保管場所の記録を最後まで読み取れなかったため、その後のことは分かりません",
            "the storage's log could not be read to its end, so nothing is known of later "
            "accesses");
    }
}

static void say_log(struct saying *s, const struct fb_evidence *e)
{
    if (e->log_until_ms <= 0 && fb_evidence_is_opened(e)) {
        say(s, "保管場所の記録を読み取っていないため、それ以外のことは分かりません",
            "nobody reads the storage's log, so nothing else is known");
    } else if (e->log_until_ms <= 0) {
        say(s, "保管場所の記録を読み取っていないため、開かれたかどうかは分かりません",
            "nobody reads the storage's log, so it is not known whether it was opened");
    }
    say_waiting(s, e);
}

/* ---- kinds ---- */

static void say_without_access(struct saying *s, const struct fb_evidence *e)
{
    switch (e->kind) {
    case FB_EV_STOPPED:
        say(s, "送信前に止めました。この方にはメールを送っていません",
            "stopped in time: no mail went out");
        break;
    case FB_EV_MAYBE_OUT:
        say(s,
            "メールサーバーの応答がなく、メールが送信されたかどうかは分かりません。"
            "送信されていれば取り戻せません",
            "the mail may be out: the mail server's answer was lost; if it is out, it cannot be "
            "taken back");
        break;
    case FB_EV_PLAIN:
        say(s, "通常のメールとして送信済みのため、取り戻せません",
            "went out as an ordinary mail: it cannot be taken back");
        break;
    case FB_EV_REFUSED:
        say(s, "配送が拒否されたため、メールは届いていません",
            "refused: the mail was not delivered");
        break;
    default:
        say(s, "まだ送信していません", "not sent yet");
        break;
    }
    if (fb_evidence_is_opened(e)) { /* a grant comes before its notice */
        say_accesses(s, e);
    }
    say_waiting(s, e);
}

static void say_open(struct saying *s, const struct fb_evidence *e)
{
    if (e->is_pending) {
        say(s, "招待済みですが、まだアカウントがありません", "invited, has no account yet");
    } else if (e->is_notice_out) {
        say(s, "開くことができます", "has access");
    } else {
        say(s, "開くことができますが、お知らせのメールはまだ送信していません",
            "has access, the notice is not out yet");
    }
    say_accesses(s, e);
    say_log(s, e);
}

static void say_closed(struct saying *s, const struct fb_evidence *e)
{
    if (e->kind != FB_EV_ENDED) {
        say_notice(s, e);
    }
    switch (e->kind) {
    case FB_EV_CLOSING:
        say(s, "アクセス権を取り消しているところです", "access is being removed");
        break;
    case FB_EV_FAILED:
        say(s, "アクセス権を取り消せませんでした。管理者が保管場所で直接取り消す必要があります",
            "access could not be removed: an administrator must end it in the storage");
        break;
    default:
        say_removed(s, e);
        break;
    }
    say_accesses(s, e);
    say_log(s, e);
}

enum fb_status fb_evidence_words(const struct fb_evidence *e, const char *language,
                                 struct fb_buf *out)
{
    struct saying s = {.out = out, .is_ja = language != NULL && strcmp(language, "ja") == 0};
    size_t from = out->len;
    switch (e->kind) {
    case FB_EV_OPEN:
        say_open(&s, e);
        break;
    case FB_EV_CLOSING:
    case FB_EV_FAILED:
    case FB_EV_CLOSED:
    case FB_EV_ENDED:
        say_closed(&s, e);
        break;
    default:
        say_without_access(&s, e);
        break;
    }
    add(&s, s.is_ja ? "。" : ".");
    if (s.status == FB_OK && !s.is_ja && out->ptr[from] >= 'a' && out->ptr[from] <= 'z') {
        out->ptr[from] = (uint8_t)(out->ptr[from] - 'a' + 'A');
    }
    return s.status;
}
