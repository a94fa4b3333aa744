/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger tells what happened to a message, for one recipient and for ten thousand.
 */
#include "tests/unit/queue/letter.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/title.h"

static void a_message_is_told_from_acceptance_to_its_end(void **state)
{
    (void)state;
    struct letter *l = letter_new(3, 1);
    accept_letter(l);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_string_equal(m.state, "queued");
    assert_string_equal(m.from, "Sender@Example.jp");
    assert_int_equal(m.size, 12345);
    assert_int_equal(m.recipient_count, 3);
    assert_int_equal(m.branch_count, 0);
    assert_string_equal(m.recipients[2].address, "User2@Example.COM");
    assert_string_equal(m.recipients[2].state, "waiting");
    fb_ledger_message_deinit(&m);
    plan_letter(l);
    upload_letter(l, fb_now_ms() + 30 * DAY_MS);
    m = get(l->job.msg_id);
    assert_string_equal(m.state, "planned");
    assert_int_equal(m.branch_count, 2);
    assert_string_equal(m.branches[0].kind, "secure");
    assert_string_equal(m.branches[0].state, "uploaded");
    assert_string_equal(m.branches[0].rule, "secure | outbound");
    assert_string_equal(m.branches[0].storage, "vault");
    assert_string_equal(m.branches[0].folder_id, "f-1");
    assert_true(m.branches[0].expires_ms > fb_now_ms());
    assert_string_equal(m.branches[1].kind, "pass");
    assert_int_equal(m.recipients[0].branch, 1);
    assert_int_equal(m.recipients[1].branch, 0);
    assert_string_equal(m.recipients[1].grant_state, "active");
    assert_string_equal(m.recipients[1].grant_id, "collab-9");
    assert_string_equal(m.recipients[0].grant_state, "");
    fb_ledger_message_deinit(&m);
    assert_false(send_branch(l, "refused"));
    assert_true(send_branch(l, "sent"));
    m = get(l->job.msg_id);
    assert_string_equal(m.state, "done");
    assert_string_equal(m.branches[0].state, "sent");
    assert_string_equal(m.recipients[0].state, "refused");
    assert_string_equal(m.recipients[1].state, "sent");
    fb_ledger_message_deinit(&m);
    letter_free(l);
}

static void held_is_shown_with_its_reason_until_it_goes_on(void **state)
{
    (void)state;
    struct letter *l = letter_new(1, 0);
    accept_letter(l);
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_error why = {.status = FB_OK};
    (void)fb_error_set(&why, FB_CRASHED, "painter died | twice");
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_held(q.r, ops, l->job.msg_id, 0, &why);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &why, ops, &q.err));
    fb_ops_free(&ops);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_string_equal(m.state, "held");
    assert_int_equal(m.branch_count, 1);
    assert_string_equal(m.branches[0].state, "held");
    assert_string_equal(m.branches[0].reason, "crashed|painter died | twice");
    fb_ledger_message_deinit(&m);
    letter_free(l);
}

static void ten_thousand_recipients_fit(void **state)
{
    (void)state;
    struct letter *l = letter_new(10000, 100);
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, 0);
    assert_false(send_branch(l, "sent"));
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_int_equal(m.recipient_count, 10000);
    assert_string_equal(m.recipients[9999].address, "User9999@Example.COM");
    assert_string_equal(m.recipients[9999].grant_state, "active");
    fb_ledger_message_deinit(&m);
    bool *out = calloc(10000, sizeof(bool));
    assert_non_null(out);
    assert_status(FB_OK, recall(q.r, l->job.msg_id, NULL, 0, true, "boss@example.jp", out, &q.err));
    assert_true(out[0]);
    assert_false(out[9999]);
    free(out);
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    bool *may = calloc(10000, sizeof(bool));
    assert_non_null(may);
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &claim, l->plan.branches[0].recipients,
                                                 9900, may, &q.err));
    for (int i = 0; i < 9900; i++) {
        assert_false(may[i]);
    }
    free(may);
    m = get(l->job.msg_id);
    assert_string_equal(m.recipients[50].state, "sent"); /* was out before */
    assert_string_equal(m.recipients[9999].state, "recalled");
    fb_ledger_message_deinit(&m);
    letter_free(l);
}

static size_t due_until(int64_t ms, struct fb_due_item *item_r)
{
    size_t count = 0;
    assert_status(FB_OK, fb_ledger_due_take(q.r, 0, ms, -2000, 1, item_r, &count, &q.err));
    return count;
}

static void expiry_is_due_until_it_is_done(void **state)
{
    (void)state;
    struct letter *l = letter_new(1, 0);
    struct fb_due_item item;
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, fb_now_ms() + 60000);
    assert_int_equal(due_until(fb_now_ms(), &item), 0);
    assert_int_equal(due_until(fb_now_ms() + 120000, &item), 1);
    assert_int_equal(item.kind, FB_DUE_EXPIRE);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_grant(q.r, ops, item.id, 0, "active", "expired", "collab-9", "", "expiry");
    fb_ledger_due_set(q.r, ops, item.id, 0);
    struct fb_job job = l->job;
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    struct fb_due_item none;
    assert_int_equal(due_until(fb_now_ms() + 120000, &none), 0);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_string_equal(m.recipients[0].grant_state, "expired");
    fb_ledger_message_deinit(&m);
    struct names history = {.max = 16};
    assert_status(FB_OK, fb_ledger_history(q.r, item.id, 10, collect, &history, &q.err));
    assert_int_equal(history.count, 2); /* granted, expired */
    letter_free(l);
}

static void the_title_is_sealed_once_and_opens_with_the_key(void **state)
{
    (void)state;
    static const char key[] = "0123456789abcdef0123456789abcdef";
    char subject[] = "見積書";
    char language[] = "ja";
    struct fb_title t;
    struct letter *l = letter_new(1, 0);
    accept_letter(l);
    l->plan.subject = subject;
    l->plan.language = language;
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_null(m.title);
    fb_ledger_message_deinit(&m);
    char first[FB_TITLE_SEALED] = "";
    struct fb_job job = l->job;
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    for (int round = 0; round < 2; round++) { /* render may run again */
        struct fb_ops *ops = fb_ops_new();
        fb_ledger_planned(q.r, ops, &l->plan, key);
        assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
        fb_ops_free(&ops);
        m = get(l->job.msg_id);
        assert_non_null(m.title);
        assert_true(round == 0 || strcmp(first, m.title) == 0);
        (void)snprintf(first, sizeof first, "%s", m.title);
        assert_status(FB_OK, fb_title_open(key, l->job.msg_id, m.title, &t));
        assert_string_equal(t.subject, subject);
        fb_ledger_message_deinit(&m);
    }
    letter_free(l);
}

static void one_of_a_branch_can_be_refused(void **state)
{
    (void)state;
    struct letter *l = letter_new(2, 2);
    const uint32_t second[] = {1};
    accept_letter(l);
    plan_letter(l);
    (void)take(FB_STAGE_UPLOAD, "b"); /* branch 0 has nobody */
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    bool may[2];
    bool last = false;
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &claim, l->plan.branches[1].recipients,
                                                 2, may, &q.err));
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_sent(q.r, ops, l->job.msg_id, 1, "sent");
    fb_ledger_refused(q.r, ops, l->job.msg_id, second, 1);
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, ops, &last, &q.err));
    fb_ops_free(&ops);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_string_equal(m.recipients[0].state, "sent");
    assert_true(m.recipients[0].is_claimed);
    assert_string_equal(m.recipients[1].state, "refused");
    assert_false(m.recipients[1].is_claimed);
    fb_ledger_message_deinit(&m);
    letter_free(l);
}

static void dates_of_a_parcel_are_due_and_keep_it_known(void **state)
{
    (void)state;
    struct letter *l = letter_new(1, 0);
    struct fb_due_item items[4];
    size_t count = 0;
    int64_t now = fb_now_ms();
    accept_letter(l);
    plan_letter(l);
    l->remind_ms = now + DAY_MS;
    l->purge_ms = now + 60 * DAY_MS;
    upload_letter(l, now + 30 * DAY_MS);
    assert_status(FB_OK,
                  fb_ledger_due_take(q.r, 0, now + 90 * DAY_MS, 1, 4, items, &count, &q.err));
    assert_int_equal(count, 3);
    assert_int_equal(items[0].kind, FB_DUE_UNOPENED);
    assert_int_equal(items[1].kind, FB_DUE_EXPIRE);
    assert_int_equal(items[2].kind, FB_DUE_PURGE);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_int_equal(m.branches[0].remind_ms, l->remind_ms);
    assert_int_equal(m.branches[0].purge_ms, l->purge_ms);
    assert_true(m.branches[0].sends_receipt && m.branches[0].uploaded_ms >= now);
    fb_ledger_message_deinit(&m);
    char key[128];
    (void)snprintf(key, sizeof(key), "fb:{s0}:g:%s", items[0].id);
    assert_in_range(redis_fixture_int(&q.redis, "TTL", key, NULL), 459 * 86400, 460 * 86400);
    letter_free(l);
}

static void nothing_is_kept_for_ever(void **state)
{
    (void)state;
    struct letter *l = letter_new(2, 1);
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, 0);
    char parcel[FB_PARCEL_ID_SIZE];
    char key[128];
    fb_parcel_id_make(l->job.msg_id, 0, parcel);
    (void)snprintf(key, sizeof(key), "fb:{s0}:g:%s", parcel);
    assert_in_range(redis_fixture_int(&q.redis, "TTL", key, NULL), 399 * 86400, 400 * 86400);
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", l->job.msg_id);
    assert_in_range(redis_fixture_int(&q.redis, "TTL", key, NULL), 489 * 86400, 490 * 86400);
    long long hour = fb_id_time_ms(l->job.msg_id) / 3600000;
    char lists[3][128];
    (void)snprintf(lists[0], sizeof lists[0], "fb:{s0}:l:t:%lld", hour);
    (void)snprintf(lists[1], sizeof lists[1], "fb:{s0}:l:s:%lld:sender@example.jp", hour / 720);
    (void)snprintf(lists[2], sizeof lists[2], "fb:{s0}:l:hours");
    for (int i = 0; i < 3; i++) {
        assert_in_range(redis_fixture_int(&q.redis, "TTL", lists[i], NULL), 489 * 86400,
                        490 * 86400 + 3600);
    }
    assert_in_range(redis_fixture_int(&q.redis, "TTL", "fb:{s0}:l:a:user0@example.com", NULL),
                    489 * 86400, 490 * 86400 + 3600);
    letter_free(l);
}

static void unknown_messages_are_not_found(void **state)
{
    (void)state;
    struct fb_ledger_message m;
    struct fb_job job = render_job();
    assert_status(FB_NOT_FOUND, fb_ledger_get(q.r, job.msg_id, &m, &q.err));
    assert_status(FB_NOT_FOUND, fb_ledger_get(q.r, "../../etc/passwd", &m, &q.err));
    assert_status(FB_NOT_FOUND, recall(q.r, job.msg_id, NULL, 0, false, "x", NULL, &q.err));
}

static void a_mark_overrules_the_plan(void **state)
{
    (void)state;
    struct letter *l = letter_new(2, 1);
    accept_letter(l);
    char what[16] = "x";
    assert_status(FB_OK, fb_ledger_forced(q.r, l->job.msg_id, 1, what, &q.err));
    assert_string_equal(what, "");
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_force(q.r, ops, l->job.msg_id, UINT32_MAX, "deliver");
    fb_ledger_force(q.r, ops, l->job.msg_id, 1, "reject");
    struct fb_job job = l->job;
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    assert_status(FB_OK, fb_ledger_forced(q.r, l->job.msg_id, 1, what, &q.err));
    assert_string_equal(what, "reject");
    assert_status(FB_OK, fb_ledger_forced(q.r, l->job.msg_id, 0, what, &q.err));
    assert_string_equal(what, "deliver");
    letter_free(l);
}

static void what_only_the_way_needed_goes_with_the_end(void **state)
{
    (void)state;
    struct letter *l = letter_new(2, 0);
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, 0);
    assert_true(message_has(l->job.msg_id, "d:upload:0") && message_has(l->job.msg_id, "i:1"));
    assert_true(send_branch(l, "sent"));
    static const char *const gone[] = {"d:render:0", "d:upload:0", "ttl", "i:0", "i:1"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        assert_false(message_has(l->job.msg_id, gone[i]));
    }
    assert_true(message_has(l->job.msg_id, "d:rewrite:0"));
    assert_in_range(message_field(l->job.msg_id, "d:rewrite:0"), 0, 1 << 28);
    struct fb_ledger_message m = get(l->job.msg_id);
    assert_string_equal(m.state, "done");
    assert_int_equal(m.recipients[1].branch, 0);
    assert_string_equal(m.recipients[1].state, "sent");
    fb_ledger_message_deinit(&m);
    letter_free(l);
}

struct lines {
    char text[8][300];
    size_t count;
};

static bool add_line(void *ctx, const char *line)
{
    struct lines *all = ctx;
    assert_true(all->count < 8);
    (void)snprintf(all->text[all->count++], sizeof all->text[0], "%s", line);
    return true;
}

/* An end by date has no line, and is told where it belongs, also when another state came over it. */
static void an_end_by_date_is_told_without_a_line(void **state)
{
    (void)state;
    struct letter *l = letter_new(2, 0);
    char parcel[FB_PARCEL_ID_SIZE];
    char h[64];
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, fb_now_ms() + 20);
    fb_parcel_id_make(l->job.msg_id, 0, parcel);
    (void)snprintf(h, sizeof h, "fb:{s0}:h:%s", parcel);
    struct fb_job job = l->job;
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    struct fb_ops *ops = fb_ops_new();
    for (uint32_t i = 0; i < 2; i++) {
        fb_ledger_grant(q.r, ops, parcel, i, "active", "expired", "c", "schedule", "revoke");
    }
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(redis_fixture_int(&q.redis, "LLEN", h, NULL), 0);
    ops = fb_ops_new();
    fb_ledger_grant(q.r, ops, parcel, 1, "expired", "purged", "c", "anna", "fumibako");
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    struct lines all = {.count = 0};
    assert_status(FB_OK, fb_ledger_history(q.r, parcel, 10, add_line, &all, &q.err));
    assert_int_equal(all.count, 5); /* two were given, two expired, one deleted */
    size_t expired = 0;
    for (size_t i = 0; i < all.count; i++) {
        expired += strstr(all.text[i], "\"from\":\"active\",\"to\":\"expired\"") != NULL;
    }
    assert_int_equal(expired, 2);
    all.count = 0;
    assert_status(FB_OK, fb_ledger_history(q.r, parcel, 1, add_line, &all, &q.err));
    assert_int_equal(all.count, 1);
    letter_free(l);
}

static void the_grant_of_a_vault_keeps_its_id_in_a_compact_record(void **state)
{
    (void)state;
    static const char id[] = "00ff1122334455667788990011223344556677889900aabbccddeeff00112233";
    struct letter *l = letter_new(1, 0);
    char parcel[FB_PARCEL_ID_SIZE];
    char g[64];
    accept_letter(l);
    plan_letter(l);
    upload_letter(l, 0);
    fb_parcel_id_make(l->job.msg_id, 0, parcel);
    (void)snprintf(g, sizeof g, "fb:{s0}:g:%s", parcel);
    struct fb_job job = l->job;
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    for (int round = 0; round < 2; round++) {
        const char *grant = round == 0 ? id : "collab-7";
        struct fb_ops *ops = fb_ops_new();
        fb_ledger_grant(q.r, ops, parcel, 0, "active", "recalled", grant,
                        "somebody.with.a.long.address@department.example.co.jp", "fumibako");
        assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
        fb_ops_free(&ops);
        struct fb_ledger_message m = get(l->job.msg_id);
        assert_string_equal(m.recipients[0].grant_id, grant);
        assert_int_equal(m.recipients[0].is_vault, round == 0);
        fb_ledger_message_deinit(&m);
        redisReply *reply = NULL;
        assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, "OBJECT", "ENCODING", g, NULL));
        assert_string_equal(reply->str, "listpack");
        freeReplyObject(reply);
    }
    letter_free(l);
}

static void the_epoch_changes_with_a_wipe_only(void **state)
{
    (void)state;
    char first[FB_ID_SIZE];
    char second[FB_ID_SIZE];
    bool is_new = false;
    assert_status(FB_OK, fb_ledger_epoch(q.r, 0, first, &is_new, &q.err));
    assert_true(is_new);
    assert_status(FB_OK, fb_ledger_epoch(q.r, 0, second, &is_new, &q.err));
    assert_false(is_new);
    assert_string_equal(first, second);
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_status(FB_OK, fb_ledger_epoch(q.r, 0, second, &is_new, &q.err));
    assert_true(is_new);
    assert_string_not_equal(first, second);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(a_message_is_told_from_acceptance_to_its_end),
        PROMISE(held_is_shown_with_its_reason_until_it_goes_on),
        PROMISE(ten_thousand_recipients_fit),
        PROMISE(what_only_the_way_needed_goes_with_the_end),
        PROMISE(an_end_by_date_is_told_without_a_line),
        PROMISE(the_grant_of_a_vault_keeps_its_id_in_a_compact_record),
        PROMISE(expiry_is_due_until_it_is_done),
        PROMISE(dates_of_a_parcel_are_due_and_keep_it_known),
        PROMISE(the_title_is_sealed_once_and_opens_with_the_key),
        PROMISE(one_of_a_branch_can_be_refused),
        PROMISE(nothing_is_kept_for_ever),
        PROMISE(unknown_messages_are_not_found),
        PROMISE(a_mark_overrules_the_plan),
        PROMISE(the_epoch_changes_with_a_wipe_only),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
