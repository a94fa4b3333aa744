/* SPDX-License-Identifier: Apache-2.0
 *
 * The words about one recipient, exactly: what senders are told must be what the evidence says, in
 * both languages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/evidence_text.h"

#define MIN         60000
#define T0          (INT64_C(1795834800000)) /* 2026-11-28 03:00 UTC */
#define AT(minutes) (T0 + (int64_t)(minutes)*MIN)

#define REMOVED .is_notice_out = true, .removed_ms = AT(10), .complete_ms = AT(20)

static const struct {
    const char *name;
    struct fb_evidence e;
    const char *en, *ja;
} rows[] = {
    {"stopped",
     {.kind = FB_EV_STOPPED, .is_final = true},
     "Stopped in time: no mail went out.",
     "送信前に止めました。この方にはメールを送っていません。"},
    {"stopped, and found in the storage before",
     {.kind = FB_EV_STOPPED, .previews = 1, .opened_ms = AT(5), .log_until_ms = AT(30)},
     "Stopped in time: no mail went out; opened at 2026-11-28 03:05 UTC; no download recorded as "
     "of "
     "2026-11-28 03:30 UTC.",
     "送信前に止めました。この方にはメールを送っていません。2026年11月28日 12:05 (日本時間) "
     "に開かれています。2026年11月28日 12:30 (日本時間) "
     "の時点で、ダウンロードの記録はありません。"},
    {"stopped, though a grant was made for a moment",
     {.kind = FB_EV_STOPPED, .removed_ms = AT(10), .complete_ms = AT(20), .log_until_ms = AT(12)},
     "Stopped in time: no mail went out; the storage's log is not complete until 2026-11-28 03:20 "
     "UTC, checking again.",
     "送信前に止めました。この方にはメールを送っていません。保管場所の記録は 2026年11月28日 12:20 "
     "(日本時間) まで揃わないため、引き続き確認しています。"},
    {"closed, records lost",
     {.kind = FB_EV_CLOSED,
      REMOVED,
      .log_until_ms = AT(21),
      .log_from_ms = AT(1),
      .is_final = true},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; no access recorded as of "
     "2026-11-28 03:21 UTC; records from before 2026-11-28 03:01 UTC may be lost.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:21 (日本時間) "
     "の時点で、開かれた記録はありません。2026年11月28日 12:01 (日本時間) "
     "より前の記録は失われている可能性があります。"},
    {"maybe out",
     {.kind = FB_EV_MAYBE_OUT, .is_notice_out = true},
     "The mail may be out: the mail server's answer was lost; if it is out, it cannot be taken "
     "back.",
     "メールサーバーの応答がなく、メールが送信されたかどうかは分かりません。送信されていれば取り戻"
     "せ"
     "ません。"},
    {"plain",
     {.kind = FB_EV_PLAIN, .is_notice_out = true, .is_final = true},
     "Went out as an ordinary mail: it cannot be taken back.",
     "通常のメールとして送信済みのため、取り戻せません。"},
    {"refused",
     {.kind = FB_EV_REFUSED, .is_final = true},
     "Refused: the mail was not delivered.",
     "配送が拒否されたため、メールは届いていません。"},
    {"waiting", {.kind = FB_EV_WAITING}, "Not sent yet.", "まだ送信していません。"},
    {"open, nothing seen",
     {.kind = FB_EV_OPEN, .is_notice_out = true, .log_until_ms = AT(30)},
     "Has access; no access recorded as of 2026-11-28 03:30 UTC.",
     "開くことができます。2026年11月28日 12:30 (日本時間) の時点で、開かれた記録はありません。"},
    {"open, no account",
     {.kind = FB_EV_OPEN, .is_notice_out = true, .is_pending = true, .log_until_ms = AT(30)},
     "Invited, has no account yet; no access recorded as of 2026-11-28 03:30 UTC.",
     "招待済みですが、まだアカウントがありません。2026年11月28日 12:30 (日本時間) "
     "の時点で、開かれた記録はありません。"},
    {"open, nobody reads the log",
     {.kind = FB_EV_OPEN, .is_notice_out = true},
     "Has access; nobody reads the storage's log, so it is not known whether it was opened.",
     "開くことができます。保管場所の記録を読み取っていないため、開かれたかどうかは分かりません。"},
    {"open, downloaded",
     {.kind = FB_EV_OPEN,
      .is_notice_out = true,
      .downloads = 2,
      .downloaded_ms = AT(7),
      .log_until_ms = AT(30)},
     "Has access; downloaded at 2026-11-28 03:07 UTC: a copy is out of reach.",
     "開くことができます。2026年11月28日 12:07 (日本時間) "
     "にダウンロードされており、そのコピーは取り戻せません。"},
    {"closing",
     {.kind = FB_EV_CLOSING, .is_notice_out = true, .log_until_ms = AT(9)},
     "The notice was out; access is being removed; no access recorded as of 2026-11-28 03:09 UTC.",
     "お知らせのメールは送信済みでした。アクセス権を取り消しているところです。2026年11月28日 12:09 "
     "(日本時間) の時点で、開かれた記録はありません。"},
    {"failed",
     {.kind = FB_EV_FAILED, .is_notice_out = true, .log_until_ms = AT(9)},
     "The notice was out; access could not be removed: an administrator must end it in the "
     "storage; no access recorded as of 2026-11-28 03:09 UTC.",
     "お知らせのメールは送信済みでした。アクセス権を取り消せませんでした。管理者が保管場所で直接取"
     "り"
     "消す必要があります。2026年11月28日 12:09 (日本時間) の時点で、開かれた記録はありません。"},
    {"closed, nothing seen, log complete",
     {.kind = FB_EV_CLOSED, REMOVED, .log_until_ms = AT(21), .is_final = true},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; no access recorded as of "
     "2026-11-28 03:21 UTC.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:21 (日本時間) の時点で、開かれた記録はありません。"},
    {"closed before the notice",
     {.kind = FB_EV_CLOSED,
      .removed_ms = AT(10),
      .complete_ms = AT(20),
      .log_until_ms = AT(21),
      .is_final = true},
     "The notice did not go out; access was removed at 2026-11-28 03:10 UTC; no access recorded as "
     "of 2026-11-28 03:21 UTC.",
     "お知らせのメールは送信していません。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:21 (日本時間) の時点で、開かれた記録はありません。"},
    {"closed, the log is behind",
     {.kind = FB_EV_CLOSED,
      .is_notice_out = true,
      .removed_ms = AT(10),
      .complete_ms = AT(20) + 1,
      .log_until_ms = AT(12)},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; no access recorded as of "
     "2026-11-28 03:12 UTC; the storage's log is not complete until 2026-11-28 03:21 UTC, checking "
     "again.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:12 (日本時間) "
     "の時点で、開かれた記録はありません。保管場所の記録は 2026年11月28日 12:21 (日本時間) "
     "まで揃わないため、引き続き確認しています。"},
    {"closed, the log stays behind",
     {.kind = FB_EV_CLOSED, .is_notice_out = true, .removed_ms = AT(10), .log_until_ms = AT(12)},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; no access recorded as of "
     "2026-11-28 03:12 UTC; the storage's log could not be read to its end, so nothing is known of "
     "later accesses.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:12 (日本時間) "
     "の時点で、開かれた記録はありません。保管場所の記録を最後まで読み取れなかったため、その後のこ"
     "と"
     "は分かりません。"},
    {"closed, no log at all",
     {.kind = FB_EV_CLOSED, .is_notice_out = true, .removed_ms = AT(10)},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; nobody reads the storage's "
     "log, so it is not known whether it was opened.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。保管場所の記録を読み取っていないため、開かれたかどうかは分かりません。"},
    {"closed, opened",
     {.kind = FB_EV_CLOSED,
      REMOVED,
      .log_until_ms = AT(21),
      .is_final = true,
      .previews = 3,
      .opened_ms = AT(5)},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; opened at 2026-11-28 03:05 "
     "UTC; no download recorded as of 2026-11-28 03:21 UTC.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:05 (日本時間) に開かれています。2026年11月28日 12:21 "
     "(日本時間) の時点で、ダウンロードの記録はありません。"},
    {"closed, downloaded at a time that is lost",
     {.kind = FB_EV_CLOSED, REMOVED, .log_until_ms = AT(21), .is_final = true, .downloads = 1},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; downloaded at (time not "
     "recorded): a copy is out of reach.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。(日時の記録なし) にダウンロードされており、そのコピーは取り戻せません。"},
    {"closed, opened by somebody",
     {.kind = FB_EV_CLOSED,
      REMOVED,
      .log_until_ms = AT(21),
      .is_final = true,
      .by_others = true,
      .others_ms = AT(6)},
     "The notice was out; access was removed at 2026-11-28 03:10 UTC; opened at 2026-11-28 03:06 "
     "UTC by somebody whom the storage's log does not name.",
     "お知らせのメールは送信済みでした。アクセス権は 2026年11月28日 12:10 (日本時間) "
     "に取り消しました。2026年11月28日 12:06 (日本時間) "
     "に、どなたかが開いています(保管場所の記録からは特定できません)。"},
    {"ended",
     {.kind = FB_EV_ENDED, REMOVED, .log_until_ms = AT(21), .is_final = true},
     "Access ended at 2026-11-28 03:10 UTC; no access recorded as of 2026-11-28 03:21 UTC.",
     "アクセス権は 2026年11月28日 12:10 (日本時間) に終了しました。2026年11月28日 12:21 (日本時間) "
     "の時点で、開かれた記録はありません。"},
};

static void expect(const char *name, const struct fb_evidence *e, const char *language,
                   const char *want)
{
    struct fb_buf out;
    fb_buf_init(&out, FB_EVIDENCE_WORDS);
    assert_int_equal(fb_evidence_words(e, language, &out), FB_OK);
    if (strcmp(fb_buf_str(&out), want) != 0) {
        fail_msg("%s\nwant %s\ngot  %s", name, want, fb_buf_str(&out));
    }
    fb_buf_deinit(&out);
}

static void the_words_say_what_the_evidence_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i].name, &rows[i].e, "en", rows[i].en);
        expect(rows[i].name, &rows[i].e, "ja", rows[i].ja);
        expect(rows[i].name, &rows[i].e, "both", rows[i].en);
        expect(rows[i].name, &rows[i].e, NULL, rows[i].en);
    }
}

/* Every combination: it fits, and it never says what is not known. */
static void no_combination_says_more_than_is_known(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 10U << 9; n++) {
        unsigned bits = n >> 0;
        struct fb_evidence e = {.kind = (enum fb_evidence_kind)(n >> 9),
                                .is_notice_out = bits & 1,
                                .is_pending = bits >> 1 & 1,
                                .opened_ms = (bits >> 2 & 1) ? AT(1) : 0,
                                .downloads = bits >> 3 & 1,
                                .by_others = bits >> 4 & 1,
                                .log_until_ms = (bits >> 5 & 1) ? AT(30) : 0,
                                .complete_ms = (bits >> 6 & 1) ? AT(40) : 0,
                                .is_final = bits >> 7 & 1,
                                .removed_ms = (bits >> 8 & 1) ? AT(3) : 0};
        struct fb_buf en, ja;
        fb_buf_init(&en, FB_EVIDENCE_WORDS);
        fb_buf_init(&ja, FB_EVIDENCE_WORDS);
        assert_int_equal(fb_evidence_words(&e, "en", &en), FB_OK);
        assert_int_equal(fb_evidence_words(&e, "ja", &ja), FB_OK);
        bool says_none = strstr(fb_buf_str(&en), "no access recorded") != NULL;
        bool is_seen = fb_evidence_is_opened(&e);
        assert_false(says_none && (is_seen || e.log_until_ms == 0));
        assert_int_equal(says_none, strstr(fb_buf_str(&ja), "開かれた記録はありません") != NULL);
        assert_int_equal(strstr(fb_buf_str(&en), "out of reach") != NULL,
                         strstr(fb_buf_str(&ja), "取り戻せません") != NULL &&
                             strstr(fb_buf_str(&ja), "ダウンロードされて") != NULL);
        assert_int_equal(strstr(fb_buf_str(&en), "checking again") != NULL,
                         strstr(fb_buf_str(&ja), "引き続き確認") != NULL);
        assert_false(e.is_final && strstr(fb_buf_str(&en), "checking again") != NULL);
        if (is_seen && e.downloads > 0) {
            assert_non_null(strstr(fb_buf_str(&en), "ownloaded at"));
        }
        fb_buf_deinit(&en);
        fb_buf_deinit(&ja);
    }
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    for (size_t max = 0; max < 60; max++) {
        struct fb_buf out;
        fb_buf_init(&out, max);
        assert_int_equal(fb_evidence_words(&rows[8].e, "ja", &out), FB_TOO_BIG);
        fb_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_say_what_the_evidence_says),
        cmocka_unit_test(no_combination_says_more_than_is_known),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
