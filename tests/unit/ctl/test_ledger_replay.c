/* SPDX-License-Identifier: Apache-2.0
 *
 * What Redis does not know is enqueued once, with the recalls that the sent journal remembers; what
 * it knows as ended is erased; what cannot be read stays and stops nobody.  The sweeper, which finds
 * what Redis knows and has no job of, remembers recalls, too.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/due.h"
#include "common/ledger/recall.h"
#include "common/ledger/replay.h"
#include "common/ledger/sweep.h"
#include "proto/plan.h"
#include "tests/unit/spool/fixture.h"

#define TTL_MS     (400LL * 86400 * 1000)
#define PEOPLE     4U
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct fx *fx;
static struct fb_spool_writer *writer;
static struct fb_journal *journal; /* the replay's */
static int64_t later_ms;

int64_t __wrap_fb_now_ms(void);
int64_t __real_fb_now_ms(void);

int64_t __wrap_fb_now_ms(void)
{
    return __real_fb_now_ms() + later_ms;
}

static int set_up(void **state)
{
    void *own = NULL;
    later_ms = 0;
    int rc = queue_test_wipe(state);
    if (rc == 0) {
        rc = fx_setup(&own);
        fx = own;
        writer = fx_writer(fx, "w");
    }
    return rc;
}

static int tear_down(void **state)
{
    void *own = fx;
    fb_journal_close(&journal);
    fb_spool_writer_free(&writer);
    int rc = fx_teardown(&own);
    return queue_test_close(state) != 0 ? -1 : rc;
}

/* A spooled mail to PEOPLE recipients. */
static void put(char msg_id[FB_ID_SIZE], char ref[FB_REF_SIZE])
{
    struct fb_recipient to[PEOPLE];
    char addresses[PEOPLE][32];
    char from[] = "taro@example.jp";
    struct fb_buf bytes;
    struct fx_done done = {0};
    memset(to, 0, sizeof to);
    for (unsigned i = 0; i < PEOPLE; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "r%u@example.com", i);
        to[i].address = addresses[i];
    }
    struct fb_envelope envelope = {.reverse_path = from,
                                   .recipients = to,
                                   .recipient_count = PEOPLE,
                                   .received_ms = fb_now_ms()};
    fb_trace_new(envelope.trace);
    fb_buf_init(&bytes, 1U << 20);
    assert_status(FB_OK, fb_envelope_encode(&envelope, &bytes));
    struct fb_spool_in *in = fx_message(writer, 1000, 1, msg_id);
    fb_spool_in_submit(&in, fb_slice_buf(&bytes), fx_on_done, &done);
    fx_wait(&done);
    assert_int_equal(done.status, FB_OK);
    memcpy(ref, done.ref, sizeof done.ref);
    fb_buf_deinit(&bytes);
}

/* Beside the mail, as render leaves it: 0 and 1 in one parcel, 2 in another, 3 untouched. */
static void put_plan(const char *msg_id, const char *ref)
{
    static uint32_t first[] = {0, 1}, second[] = {2}, third[] = {3};
    char none[] = "", box[] = "box", ja[] = "ja", rule[] = "r";
    struct fb_branch branches[3];
    memset(branches, 0, sizeof branches);
    for (size_t b = 0; b < 3; b++) {
        branches[b].kind = b < 2 ? FB_BRANCH_SECURE : FB_BRANCH_PASS;
        branches[b].recipients = b == 0 ? first : b == 1 ? second : third;
        branches[b].recipient_count = b == 0 ? 2 : 1;
        branches[b].rule = rule;
        branches[b].reason = rule;
        branches[b].storage = b < 2 ? box : none;
        branches[b].security = b < 2 ? box : none;
        branches[b].path = none;
    }
    struct fb_plan plan = {.content_size = 1000,
                           .subject = none,
                           .language = ja,
                           .branches = branches,
                           .branch_count = 3};
    (void)snprintf(plan.policy_version, sizeof plan.policy_version, "abcd");
    (void)snprintf(plan.msg_id, sizeof plan.msg_id, "%s", msg_id);
    struct fb_spool_msg *msg = NULL;
    struct fb_buf bytes;
    fb_buf_init(&bytes, 1U << 20);
    assert_status(FB_OK, fb_plan_encode(&plan, &bytes));
    assert_status(FB_OK, fb_spool_msg_open(fx->spool, ref, &msg, &q.err));
    assert_status(FB_OK, fb_spool_object_put(msg, "plan", fb_slice_buf(&bytes), false, &q.err));
    fb_spool_msg_close(&msg);
    fb_buf_deinit(&bytes);
}

static void remember(const char *msg_id, enum fb_sent_kind kind, const uint32_t *recipients,
                     size_t count)
{
    struct fb_journal *own = NULL;
    assert_status(FB_OK, fb_journal_open(fx->spool, "other", &own, &q.err));
    assert_status(FB_OK, fb_journal_commit(own, msg_id, 0, kind, recipients, count, &q.err));
    fb_journal_close(&own);
}

/* As revoke does it. */
static void remember_recall(const char *msg_id, const uint32_t *recipients, size_t count)
{
    remember(msg_id, FB_SENT_RECALLED, recipients, count);
}

static struct fb_replay_result replay_with(bool (*pause)(void *ctx), enum fb_status want)
{
    struct fb_replay_result result;
    const struct fb_replay replay = {.spool = fx->spool,
                                     .redis = q.r,
                                     .ledger_ttl_ms = TTL_MS,
                                     .journal = &journal,
                                     .pause = pause};
    assert_status(want, fb_replay(&replay, &result, &q.err));
    return result;
}

static struct fb_replay_result replay(void)
{
    return replay_with(NULL, FB_OK);
}

static void what_redis_does_not_know_is_enqueued_once(void **state)
{
    (void)state;
    char ids[130][FB_ID_SIZE], ref[FB_REF_SIZE]; /* more than a batch */
    for (size_t i = 0; i < 130; i++) {
        put(ids[i], ref);
    }
    struct fb_replay_result r = replay();
    assert_int_equal(r.seen, 130);
    assert_int_equal(r.enqueued, 130);
    assert_int_equal(r.known + r.failed + r.damaged, 0);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 130);
    r = replay();
    assert_int_equal(r.known, 130);
    assert_int_equal(r.enqueued, 0);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 130);
    struct fb_ledger_message m;
    assert_status(FB_OK, fb_ledger_get(q.r, ids[7], &m, &q.err));
    assert_string_equal(m.from, "taro@example.jp");
    assert_int_equal(m.recipient_count, PEOPLE);
    assert_string_equal(m.recipients[3].address, "r3@example.com");
    fb_ledger_message_deinit(&m);
    assert_false(message_has(ids[7], "recalled"));
    assert_false(message_has(ids[7], "x:0"));
}

static void who_was_recalled_is_recalled_again(void **state)
{
    (void)state;
    char one[FB_ID_SIZE], all[FB_ID_SIZE], ref[FB_REF_SIZE];
    static const uint32_t first[] = {1}, everybody[] = {0, 1, 2, 3};
    bool bits[PEOPLE];
    put(one, ref);
    put(all, ref);
    remember_recall(one, first, 1);
    remember_recall(all, everybody, 4);
    assert_int_equal(replay().enqueued, 2);
    assert_status(FB_OK, fb_ledger_recalled(q.r, one, everybody, PEOPLE, bits, &q.err));
    assert_true(!bits[0] && bits[1] && !bits[2] && !bits[3]);
    assert_false(message_has(one, "recalled"));
    assert_status(FB_OK, fb_ledger_recalled(q.r, all, everybody, PEOPLE, bits, &q.err));
    assert_true(bits[0] && bits[1] && bits[2] && bits[3]);
    assert_true(message_has(all, "recalled") && message_has(all, "x:2"));
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0); /* no plan, no parcel */
}

static void a_recall_of_another_process_is_seen_by_the_next_replay(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE];
    static const uint32_t one[] = {0};
    put(id, ref);
    assert_int_equal(replay().enqueued, 1); /* has the journal open from now on */
    remember_recall(id, one, 1);
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_int_equal(replay().enqueued, 1);
    assert_true(message_has(id, "x:0"));
}

static void parcels_that_may_be_open_are_closed_again(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE];
    static const uint32_t gone[] = {1, 2, 3};
    put(id, ref);
    put_plan(id, ref);
    remember_recall(id, gone, 3);
    assert_int_equal(replay().enqueued, 1);
    struct fb_claim claims[4];
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(claims[i].job.msg_id, id);
        assert_int_equal(claims[i].job.op, FB_REVOKE_RECALL);
        assert_int_equal(claims[i].job.branch, i);
    }
    assert_int_equal(claims[0].job.recipient_count, 1); /* of two */
    assert_int_equal(claims[0].job.recipients[0], 1);
    assert_int_equal(claims[1].job.recipient_count, 0); /* the whole branch */
}

/* Redis forgot the recall, and with it that its sender waits for the final word. */
static void the_sender_of_a_forgotten_recall_is_told_the_end(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE], key[80];
    static const uint32_t gone[] = {1, 2, 3};
    struct fb_recall *list = NULL;
    size_t count = 0;
    put(id, ref);
    put_plan(id, ref);
    remember_recall(id, gone, 3);
    for (int loss = 0; loss < 2; loss++) { /* the second one finds the same record */
        (void)snprintf(key, sizeof key, "fb:{s0}:m:%s", id);
        assert_int_equal(redis_fixture_int(&q.redis, "DEL", key, NULL), loss);
        assert_int_equal(replay().enqueued, 1);
        assert_status(FB_OK, fb_ledger_recalls(q.r, id, &list, &count, &q.err));
        assert_int_equal(count, 1);
        assert_false(list[0].is_all);
        assert_int_equal(list[0].count, 3);
        assert_int_equal(list[0].jobs_left, 2);
        assert_string_equal(list[0].told, "interim"); /* so that only the final letter follows */
        fb_recalls_free(list, count);
    }
    uint64_t due = 0;
    assert_status(FB_OK, fb_ledger_due_count(q.r, fb_now_ms() + 60000, &due, &q.err));
    assert_int_equal(due, 1);
    struct fb_claim claims[4];
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 4);
    for (size_t i = 0; i < 2; i++) { /* of the first loss; the others are no part of a report */
        struct fb_ops *ops = fb_ops_new();
        assert_string_equal(claims[i].job.recall_id, id);
        fb_ledger_recall_job_done(q.r, ops, &claims[i].job);
        assert_status(FB_OK, fb_queue_advance(q.r, "a", &claims[i], NULL, 0, ops, &q.err));
        fb_ops_free(&ops);
    }
    assert_status(FB_OK, fb_ledger_recalls(q.r, id, &list, &count, &q.err));
    assert_int_equal(list[0].jobs_left, 0);
    fb_recalls_free(list, count);
}

static void what_has_ended_is_erased_when_nobody_else_does(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE], key[80];
    struct fx_scan *scan = calloc(1, sizeof *scan);
    assert_non_null(scan);
    put(id, ref);
    assert_int_equal(replay().enqueued, 1);
    (void)snprintf(key, sizeof key, "fb:{s0}:m:%s", id);
    assert_int_equal(redis_fixture_int(&q.redis, "HSET", key, "state", "done", NULL), 0);
    assert_int_equal(replay().known, 1); /* the rewrite that ended it is about to erase it */
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 1);
    later_ms = 11000;
    assert_int_equal(replay().known, 1);
    memset(scan, 0, sizeof *scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 0);
    assert_int_equal(replay().seen, 0);
    free(scan);
}

static void a_message_that_cannot_be_read_stops_nobody(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE];
    struct fx_done done = {0};
    struct fb_spool_in *in = fx_message(writer, 10, 2, id);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("no envelope"), fx_on_done, &done);
    fx_wait(&done);
    put(id, ref);
    struct fb_replay_result r = replay();
    assert_int_equal(r.seen, 2);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.enqueued, 1);
}

static struct fb_sweep_result sweep(struct fb_sweeper *s)
{
    struct fb_sweep_result r;
    assert_status(FB_OK, fb_sweep(s, &r, &q.err));
    return r;
}

static void a_message_that_is_put_back_is_recalled_again_first(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE];
    static const uint32_t gone[] = {1, 2}, out[] = {2};
    struct fb_claim claim;
    put(id, ref);
    put_plan(id, ref);
    assert_int_equal(replay().enqueued, 1);
    remember_recall(id, gone, 2);
    remember(id, FB_SENT_NOTICE, out, 1); /* perhaps restored since: not the sweeper's to say */
    claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(redis_fixture_int(&q.redis, "XDEL", "fb:{s0}:render", claim.id, NULL), 1);
    struct fb_sweeper *s = fb_sweeper_new(fx->spool, q.r, 1, NULL, NULL);
    pause_ms(20);
    assert_int_equal(sweep(s).missing, 1);
    assert_false(message_has(id, "x:1")); /* not before it is sure */
    pause_ms(5100);
    assert_int_equal(sweep(s).requeued, 1);
    assert_true(message_has(id, "x:1"));
    assert_false(message_has(id, "x:2") || message_has(id, "x:0") || message_has(id, "recalled"));
    assert_string_equal(take(FB_STAGE_RENDER, "a").job.msg_id, id);
    claim = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(claim.job.branch, 0);
    assert_int_equal(claim.job.recipient_count, 1);
    assert_int_equal(claim.job.recipients[0], 1);
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0);
    assert_int_equal(replay().known, 1); /* nor does the replay do it once more */
    assert_int_equal(sweep(s).requeued, 0);
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0);
    fb_sweeper_free(&s);
}

static bool stop(void *ctx)
{
    (void)ctx;
    return false;
}

static void a_pause_may_end_it(void **state)
{
    (void)state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE];
    for (size_t i = 0; i < 130; i++) {
        put(id, ref);
    }
    struct fb_replay_result r = replay_with(stop, FB_AGAIN);
    assert_int_equal(r.enqueued, 128);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_redis_does_not_know_is_enqueued_once),
        TEST(who_was_recalled_is_recalled_again),
        TEST(a_recall_of_another_process_is_seen_by_the_next_replay),
        TEST(parcels_that_may_be_open_are_closed_again),
        TEST(the_sender_of_a_forgotten_recall_is_told_the_end),
        TEST(what_has_ended_is_erased_when_nobody_else_does),
        TEST(a_message_that_cannot_be_read_stops_nobody),
        TEST(a_message_that_is_put_back_is_recalled_again_first),
        TEST(a_pause_may_end_it),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
