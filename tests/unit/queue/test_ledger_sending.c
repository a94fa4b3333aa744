/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending against recall, when the first try does not succeed: who was recalled gets no second one,
 * and nobody is said to have got nothing who may have got it.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 4 };
static const uint32_t all[COUNT] = {0, 1, 2, 3};

/* A message whose branch 0 has four recipients, at rewrite. */
static struct fb_claim ready(struct fb_job *job_r)
{
    *job_r = rendered(1);
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    struct fb_job next;
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job_r->msg_id);
    fb_job_follow(&up, FB_STAGE_REWRITE, 0, &next);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", key, "n", "4", "branches", "1", "b:0", "secure||r", "u:0", "1", "bs:0",
               "uploaded", NULL);
    for (int i = 0; i < COUNT; i++) {
        char r[16];
        char b[16];
        (void)snprintf(r, sizeof(r), "r:%d", i);
        (void)snprintf(b, sizeof(b), "i:%d", i);
        fb_ops_add(ops, "HSET", key, r, "a@example.jp", b, "0", NULL);
    }
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &up, &next, 1, ops, &q.err));
    fb_ops_free(&ops);
    return take(FB_STAGE_REWRITE, "a");
}

/* "1011": who may be sent. */
static void claim_all(const struct fb_claim *claim, const char *want)
{
    bool may[COUNT];
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", claim, all, COUNT, may, &q.err));
    char got[COUNT + 1] = "";
    for (int i = 0; i < COUNT; i++) {
        got[i] = may[i] ? '1' : '0';
    }
    assert_string_equal(got, want);
}

static void expect_states(const struct fb_job *job, const char *const want[COUNT])
{
    struct fb_ledger_message m;
    assert_status(FB_OK, fb_ledger_get(q.r, job->msg_id, &m, &q.err));
    assert_int_equal(m.recipient_count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(m.recipients[i].state, want[i]);
    }
    fb_ledger_message_deinit(&m);
}

/* Retries with what is certain: `count` recipients have got nothing. */
static struct fb_claim retry(const struct fb_claim *claim, const uint32_t *recipients, size_t count)
{
    struct fb_error why = {.status = FB_OK};
    struct fb_ops *ops = fb_ops_new();
    size_t promoted = 0;
    (void)fb_error_set(&why, FB_NETWORK, "greylisted");
    fb_ledger_release_sending(q.r, ops, claim->job.msg_id, recipients, count);
    assert_status(FB_OK, fb_queue_retry(q.r, "a", claim, 0, &why, ops, &q.err));
    fb_ops_free(&ops);
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_REWRITE, 0, 1, &promoted, &q.err));
    assert_int_equal(promoted, 1);
    return take(FB_STAGE_REWRITE, "a");
}

static void what_certainly_did_not_go_out_can_still_be_stopped(void **state)
{
    (void)state;
    struct fb_job job;
    struct fb_claim claim = ready(&job);
    claim_all(&claim, "1111");
    claim = retry(&claim, (const uint32_t[]){0, 2}, 2);
    expect_states(&job, (const char *const[]){"waiting", "sending", "waiting", "sending"});
    bool was_out[COUNT];
    assert_status(FB_OK, recall(q.r, job.msg_id, NULL, 0, false, "boss", was_out, &q.err));
    assert_true(!was_out[0] && was_out[1] && !was_out[2] && was_out[3]);
    claim_all(&claim, "0000");
    expect_states(&job, (const char *const[]){"recalled", "sending", "recalled", "sending"});
}

static void a_recall_after_an_unknown_outcome_stops_the_second_try(void **state)
{
    (void)state;
    struct fb_job job;
    struct fb_claim claim = ready(&job);
    claim_all(&claim, "1111");
    claim = retry(&claim, NULL, 0); /* the connection was lost behind the final dot */
    bool was_out[1];
    assert_status(
        FB_OK, recall(q.r, job.msg_id, (const uint32_t[]){1}, 1, false, "boss", was_out, &q.err));
    assert_true(was_out[0]);
    claim_all(&claim, "1011");
    expect_states(&job, (const char *const[]){"sending", "sending", "sending", "sending"});
}

static void what_may_be_out_from_an_earlier_try_is_never_released(void **state)
{
    (void)state;
    struct fb_job job;
    struct fb_claim claim = ready(&job);
    claim_all(&claim, "1111");
    claim = retry(&claim, (const uint32_t[]){3}, 1);
    claim_all(&claim, "1111");
    /* The second try is refused for all, which says nothing about the first. */
    claim = retry(&claim, all, COUNT);
    expect_states(&job, (const char *const[]){"sending", "sending", "sending", "waiting"});
    claim_all(&claim, "1111");
    claim = retry(&claim, all, COUNT);
    expect_states(&job, (const char *const[]){"sending", "sending", "sending", "waiting"});
}

static void a_release_changes_nothing_but_claims(void **state)
{
    (void)state;
    struct fb_job job;
    struct fb_claim claim = ready(&job);
    assert_status(FB_OK,
                  recall(q.r, job.msg_id, (const uint32_t[]){2}, 1, false, "boss", NULL, &q.err));
    claim_all(&claim, "1101");
    claim = retry(&claim, all, COUNT);
    expect_states(&job, (const char *const[]){"waiting", "waiting", "recalled", "waiting"});
    assert_int_equal(stats(FB_STAGE_REWRITE).inflight, 1);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(what_certainly_did_not_go_out_can_still_be_stopped),
        PROMISE(a_recall_after_an_unknown_outcome_stops_the_second_try),
        PROMISE(what_may_be_out_from_an_earlier_try_is_never_released),
        PROMISE(a_release_changes_nothing_but_claims),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
