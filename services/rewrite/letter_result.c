/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/letter_result.h"

#include <stdint.h>

#include "common/evidence_text.h"

struct tally {
    size_t all;
    size_t stopped;    /* nothing went out to them */
    size_t closing;    /* access not yet removed */
    size_t failed;     /* access that could not be removed */
    size_t copies;     /* downloaded, or out as an ordinary mail */
    size_t opened;     /* opened, and no more than that is recorded */
    size_t restored;   /* given back since */
    size_t unsettled;  /* the log does not reach far enough */
    int64_t log_until; /* of those whose access was removed: as of when nothing was recorded */
    int64_t log_from;  /* before it records may be lost */
    int64_t complete;  /* when the last of their logs is complete */
};

static void count(struct tally *t, const struct fb_evidence *e)
{
    bool is_stopped = e->kind == FB_EV_STOPPED || e->kind == FB_EV_REFUSED;
    bool is_out = e->kind == FB_EV_PLAIN || e->kind == FB_EV_MAYBE_OUT;
    t->all++;
    /* a grant may just be being made for somebody who was stopped */
    t->closing += e->kind == FB_EV_CLOSING || (is_stopped && !e->is_final && e->removed_ms == 0);
    t->failed += e->kind == FB_EV_FAILED;
    t->restored += e->kind == FB_EV_OPEN || e->kind == FB_EV_WAITING;
    t->stopped += is_stopped;
    if (fb_evidence_is_downloaded(e) || is_out) {
        t->copies++;
    } else if (fb_evidence_is_opened(e)) {
        t->opened++;
    }
    if (e->removed_ms > 0) {
        t->unsettled += !e->is_final;
        t->complete = e->complete_ms > t->complete ? e->complete_ms : t->complete;
        t->log_from = e->log_from_ms > t->log_from ? e->log_from_ms : t->log_from;
    }
    if (e->kind == FB_EV_CLOSED || e->kind == FB_EV_ENDED) {
        t->log_until = e->log_until_ms < t->log_until ? e->log_until_ms : t->log_until;
    }
}

static enum fb_status say_count(struct words *w, size_t n, size_t all, const char *ja,
                                const char *en)
{
    enum fb_status s = w->is_ja
                           ? fb_buf_printf(w->out, "宛先 %zu 名のうち %zu 名%s", all, n, ja)
                           : fb_buf_printf(w->out, " For %zu of %zu recipients %s", n, all, en);
    return s;
}

static enum fb_status say_at(struct words *w, const char *ja, const char *en, int64_t ms,
                             const char *ja_end, const char *en_end)
{
    enum fb_status s = words_say(w, ja, en);
    s = s == FB_OK ? fb_text_time(w->out, ms, w->is_ja) : s;
    return s == FB_OK ? words_say(w, ja_end, en_end) : s;
}

/* What was not in time, whatever else is to come. */
static enum fb_status add_losses(struct words *w, const struct tally *t)
{
    enum fb_status s = FB_OK;
    if (t->failed > 0) {
        s = say_count(w, t->failed, t->all,
                      "のアクセス権を取り消せませんでした。管理者の対応が必要です。",
                      "access could not be removed: an administrator must end it.");
    }
    if (s == FB_OK && t->copies > 0) {
        s = say_count(w, t->copies, t->all, "については、取り戻せないコピーがあります。",
                      "a copy is out of reach.");
    }
    if (s == FB_OK && t->opened > 0) {
        s = say_count(w, t->opened, t->all, "については、取り消しの前に開かれています。",
                      "the content had been opened before.");
    }
    if (s == FB_OK && t->restored > 0) {
        s = say_count(w, t->restored, t->all, "については、取り消しのあとで元に戻されています。",
                      "the recall was undone since.");
    }
    return s;
}

static enum fb_status add_interim(struct words *w, const struct tally *t)
{
    enum fb_status s =
        words_say(w, "取り消しの途中経過です。", "This is an interim report of the recall.");
    if (s == FB_OK && t->closing > 0) {
        s = say_count(w, t->closing, t->all, "のアクセス権は、まだ取り消している途中です。",
                      "access is still being removed.");
    }
    if (s == FB_OK) {
        s = add_losses(w, t);
    }
    if (s == FB_OK && t->complete > 0 && t->unsettled > 0) {
        s = say_at(w, "保管場所の記録は ", " The storage's log is not complete until ",
                   (t->complete + 59999) / 60000 * 60000,
                   " まで揃わないため、引き続き確認しています。", ", checking again.");
    }
    return s == FB_OK ? words_say(w, "確認が終わりましたら、もう一度お知らせします。",
                                  " You will get another report when this has ended.")
                      : s;
}

static enum fb_status add_final(struct words *w, const struct tally *t, bool is_given_up)
{
    size_t bad = t->failed + t->copies + t->opened + t->restored + t->closing;
    size_t unknown = is_given_up ? t->unsettled : 0;
    bool is_whole = t->log_from == 0; /* with a gap nobody can say that it was in time */
    enum fb_status s = FB_OK;
    if (bad + unknown == 0 && is_whole && t->stopped == t->all) {
        return words_say(w, "すべて送信前に止めました。どなたにもメールは届いていません。",
                         "Everything was stopped in time: no mail went out.");
    }
    if (bad + unknown == 0 && is_whole) {
        return say_at(w, "すべて取り消しが間に合いました。",
                      "Everything was taken back in time: as of ", t->log_until,
                      " の時点で、どの宛先の方についても開かれた記録はありません。",
                      " no access is recorded for any of the recipients.");
    }
    s = words_say(w, "取り消しは終わりました。", "The recall has ended.");
    if (s == FB_OK && t->closing > 0) {
        s = say_count(w, t->closing, t->all,
                      "のアクセス権をまだ取り消せていません。管理者の対応が必要です。",
                      "access is not removed yet: an administrator must look into it.");
    }
    if (s == FB_OK) {
        s = add_losses(w, t);
    }
    if (s == FB_OK && unknown > 0) {
        s = say_count(
            w, unknown, t->all,
            "については、保管場所の記録を最後まで読み取れず、その後に開かれたかどうかは分"
            "かりません。",
            "the storage's log could not be read to its end, so nothing is known of later "
            "accesses.");
    }
    return s;
}

enum fb_status letter_add_result(struct words *w, const struct letter_facts *f)
{
    struct tally t = {.log_until = INT64_MAX};
    for (size_t i = 0; i < f->person_count; i++) {
        count(&t, f->persons[i].evidence);
    }
    enum fb_status s = f->is_final ? add_final(w, &t, f->is_given_up) : add_interim(w, &t);
    if (s == FB_OK && t.log_from > 0) {
        s = say_at(w, "なお、", " Records from before ", t.log_from,
                   " より前の記録は失われている可能性があります。", " may be lost.");
    }
    return s;
}
