/* SPDX-License-Identifier: Apache-2.0
 *
 * Recall against sending, and recall against an upload that is under way: somebody wins, never
 * both, never nobody.
 */
#include "tests/unit/queue/queue_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 1000

/* A planned message with n recipients in one parcel, told to the ledger by hand. */
static struct fb_job planned(int n)
{
    struct fb_job job = rendered(1);
    char key[64];
    char value[64];
    char parcel[FB_PARCEL_ID_SIZE];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job.msg_id);
    fb_parcel_id_make(job.msg_id, 0, parcel);
    (void)snprintf(value, sizeof(value), "secure|%s|rule", parcel);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", key, "branches", "1", "b:0", value, "bs:0", "rendered", NULL);
    for (int i = 0; i < n; i++) {
        char r[16];
        char b[16];
        (void)snprintf(r, sizeof(r), "r:%d", i);
        (void)snprintf(b, sizeof(b), "i:%d", i);
        fb_ops_add(ops, "HSET", key, r, "a@example.jp", b, "0", NULL);
    }
    struct fb_job other = job;
    other.stage = FB_STAGE_REVOKE;
    other.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &other, ops, &q.err));
    fb_ops_free(&ops);
    struct fb_claim claim = take(FB_STAGE_REVOKE, "setup");
    assert_status(FB_OK, fb_queue_advance(q.r, "setup", &claim, NULL, 0, NULL, &q.err));
    return job;
}

static enum fb_status to_rewrite(const struct fb_claim *claim, bool has_parcel)
{
    struct fb_job next;
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", claim->job.msg_id);
    fb_job_follow(claim, FB_STAGE_REWRITE, 0, &next);
    struct fb_ops *ops = fb_ops_new();
    if (has_parcel) {
        fb_ops_add(ops, "HSET", key, "u:0", "1", "bs:0", "uploaded", NULL);
    }
    enum fb_status s = fb_queue_advance(q.r, "a", claim, &next, 1, ops, &q.err);
    fb_ops_free(&ops);
    return s;
}

static void what_is_recalled_is_not_sent(void **state)
{
    (void)state;
    struct fb_job job = planned(3);
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, to_rewrite(&up, true));
    const uint32_t one[] = {1};
    bool out[3] = {true, true, true};
    assert_status(FB_OK, recall(q.r, job.msg_id, one, 1, false, "boss", out, &q.err));
    assert_false(out[0]);
    const uint32_t all[] = {0, 1, 2};
    bool bits[3];
    assert_status(FB_OK, fb_ledger_recalled(q.r, job.msg_id, all, 3, bits, &q.err));
    assert_true(!bits[0] && bits[1] && !bits[2]);
    struct fb_claim re = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &re, all, 3, bits, &q.err));
    assert_true(bits[0] && !bits[1] && bits[2]);
    struct fb_claim revoke = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(revoke.job.op, FB_REVOKE_RECALL);
    assert_int_equal(revoke.job.recipient_count, 1);
    assert_int_equal(revoke.job.recipients[0], 1);
    assert_false(revoke.job.takes_content);
    const uint32_t wrong[] = {3};
    assert_status(FB_NOT_FOUND, recall(q.r, job.msg_id, wrong, 1, false, "boss", NULL, &q.err));
}

static void what_is_out_is_told_and_stays_claimed(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, to_rewrite(&up, true));
    struct fb_claim re = take(FB_STAGE_REWRITE, "a");
    const uint32_t first[] = {0};
    const uint32_t both[] = {0, 1};
    bool may[2] = {false, false};
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &re, first, 1, may, &q.err));
    assert_true(may[0]);
    bool out[2];
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, true, "boss", out, &q.err));
    assert_true(out[0] && !out[1]);
    /* After a crash the same claim again: neither is sent (any more). */
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &re, both, 2, may, &q.err));
    assert_true(!may[0] && !may[1]);
    assert_status(FB_LOST, fb_ledger_claim_sending(q.r, "zombie", &re, both, 2, may, &q.err));
    struct fb_claim revoke = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(revoke.job.recipient_count, 0); /* the whole parcel */
    assert_true(revoke.job.takes_content);
}

static void a_recall_before_the_parcel_follows_its_upload(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    const uint32_t zero[] = {0};
    assert_status(FB_OK, recall(q.r, job.msg_id, zero, 1, false, "boss", NULL, &q.err));
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, false, "boss", NULL, &q.err));
    struct fb_claim revoke[2];
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", revoke, 2), 2); /* for the journal */
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, to_rewrite(&up, true));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", revoke, 2), 2);
    assert_int_equal(revoke[0].job.recipient_count, 1);
    assert_int_equal(revoke[1].job.recipient_count, 0);
    assert_false(message_has(job.msg_id, "v:0:0"));
}

/* A rewrite that lost the parcel sends the branch through upload again, and that one's grants go into the
 * ledger once more: over what revoke wrote, unless it comes behind it. */
static void a_recall_before_an_upload_that_is_repeated_follows_it_too(void **state)
{
    (void)state;
    struct fb_job job = planned(1);
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, to_rewrite(&up, true));
    struct fb_claim re = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, fb_queue_restart(q.r, "a", &re, &q.err));
    struct fb_claim render = take(FB_STAGE_RENDER, "a");
    struct fb_job next;
    fb_job_follow(&render, FB_STAGE_UPLOAD, 0, &next);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &render, &next, 1, NULL, &q.err));
    up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, false, "cli:test", NULL, &q.err));
    struct fb_claim revoke = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &revoke, NULL, 0, NULL, &q.err));
    assert_status(FB_OK, to_rewrite(&up, true));
    assert_int_equal(1, stats(FB_STAGE_REVOKE).waiting);
}

static void restore_takes_the_mark_away(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    const uint32_t zero[] = {0};
    const uint32_t all[] = {0, 1};
    bool bits[2];
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, false, "boss", NULL, &q.err));
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_restored(q.r, ops, job.msg_id, 0, zero, 1);
    struct fb_job revoke = job;
    revoke.stage = FB_STAGE_REVOKE;
    revoke.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &revoke, ops, &q.err));
    fb_ops_free(&ops);
    assert_status(FB_OK, fb_ledger_recalled(q.r, job.msg_id, all, 2, bits, &q.err));
    assert_true(!bits[0] && bits[1]);
}

/* ---- races ---- */

struct race {
    pthread_barrier_t start;
    const char *msg_id;
    bool was_out;
    enum fb_status status;
};

static void *recaller(void *arg)
{
    struct race *race = arg;
    struct fb_redis *r = redis_fixture_connect(&q.redis);
    const uint32_t zero[] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        (void)pthread_barrier_wait(&race->start);
        race->status = recall(r, race->msg_id, zero, 1, false, "boss", &race->was_out, NULL);
        (void)pthread_barrier_wait(&race->start);
    }
    fb_redis_free(&r);
    return NULL;
}

static void of_recall_and_sending_exactly_one_wins(void **state)
{
    (void)state;
    struct race race = {.msg_id = NULL};
    pthread_t thread;
    int sent = 0;
    assert_int_equal(pthread_barrier_init(&race.start, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, recaller, &race), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct fb_job job = planned(1);
        struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
        assert_status(FB_OK, to_rewrite(&up, true));
        struct fb_claim re = take(FB_STAGE_REWRITE, "a");
        const uint32_t zero[] = {0};
        bool may = false;
        race.msg_id = job.msg_id;
        (void)pthread_barrier_wait(&race.start);
        if (i % 2 == 0) { /* give each side its chance */
            for (volatile unsigned spin = 0; spin < (unsigned)fb_random_below(200000); spin++) {
            }
        }
        enum fb_status s = fb_ledger_claim_sending(q.r, "a", &re, zero, 1, &may, &q.err);
        (void)pthread_barrier_wait(&race.start);
        assert_status(FB_OK, s);
        assert_status(FB_OK, race.status);
        if (may != race.was_out) {
            fail_msg("round %d: may send %d, recall says it was out %d", i, may, race.was_out);
        }
        sent += may ? 1 : 0;
        assert_status(FB_OK, to_rewrite(&re, false)); /* off our hands */
        struct fb_claim rest = take(FB_STAGE_REWRITE, "a");
        bool last = false;
        assert_status(FB_OK, fb_queue_finish(q.r, "a", &rest, NULL, &last, &q.err));
        rest = take(FB_STAGE_REVOKE, "a");
        assert_status(FB_OK, fb_queue_advance(q.r, "a", &rest, NULL, 0, NULL, &q.err));
    }
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&race.start);
    print_message("%d of %d were sent\n", sent, ROUNDS);
}

static void a_recall_while_the_upload_ends_always_leads_to_a_revoke_job_behind_it(void **state)
{
    (void)state;
    struct race race = {.msg_id = NULL};
    pthread_t thread;
    assert_int_equal(pthread_barrier_init(&race.start, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, recaller, &race), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct fb_job job = planned(1);
        struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
        race.msg_id = job.msg_id;
        (void)pthread_barrier_wait(&race.start);
        enum fb_status s = to_rewrite(&up, true);
        (void)pthread_barrier_wait(&race.start);
        assert_status(FB_OK, s);
        assert_status(FB_OK, race.status);
        /* Before: one at once and one behind the upload.  After: the one that is enough. */
        struct fb_claim rest[3];
        size_t jobs = take_all(FB_STAGE_REVOKE, "a", rest, 3);
        assert_in_range(jobs, 1, 2);
        for (size_t k = 0; k < jobs; k++) {
            assert_status(FB_OK, fb_queue_advance(q.r, "a", &rest[k], NULL, 0, NULL, &q.err));
        }
        assert_false(message_has(job.msg_id, "v:0:0"));
        bool last = false;
        struct fb_claim re = take(FB_STAGE_REWRITE, "a");
        assert_status(FB_OK, fb_queue_finish(q.r, "a", &re, NULL, &last, &q.err));
    }
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&race.start);
}

/* The history is the proof of who opened what: a recall adds to it. */
static void a_recall_keeps_the_history(void **state)
{
    (void)state;
    struct fb_job job = planned(1);
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:h:%s-0", job.msg_id);
    for (int i = 0; i < 1500; i++) {
        assert_int_equal(redis_fixture_int(&q.redis, "RPUSH", key, "{}", NULL), i + 1);
    }
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, false, "boss", NULL, &q.err));
    assert_int_equal(redis_fixture_int(&q.redis, "LLEN", key, NULL), 1501);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(what_is_recalled_is_not_sent),
        PROMISE(what_is_out_is_told_and_stays_claimed),
        PROMISE(a_recall_before_the_parcel_follows_its_upload),
        PROMISE(a_recall_before_an_upload_that_is_repeated_follows_it_too),
        PROMISE(restore_takes_the_mark_away),
        PROMISE(a_recall_keeps_the_history),
        PROMISE(of_recall_and_sending_exactly_one_wins),
        PROMISE(a_recall_while_the_upload_ends_always_leads_to_a_revoke_job_behind_it),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
