/* SPDX-License-Identifier: Apache-2.0
 *
 * What each script of the queue promises, against a real Redis.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fb_job follow(const struct fb_claim *claim, enum fb_stage stage, uint32_t branch)
{
    struct fb_job job;
    fb_job_follow(claim, stage, branch, &job);
    return job;
}

static struct fb_error reason(enum fb_status s, const char *text)
{
    struct fb_error e = {.status = FB_OK};
    (void)fb_error_set(&e, s, "%s", text);
    return e;
}

static enum fb_status advance(const char *me, const struct fb_claim *claim, enum fb_stage stage)
{
    struct fb_job next = follow(claim, stage, claim->job.branch);
    return fb_queue_advance(q.r, me, claim, &next, 1, NULL, &q.err);
}

static enum fb_status finish(const char *me, const struct fb_claim *claim, bool *is_last_r)
{
    return fb_queue_finish(q.r, me, claim, NULL, is_last_r, &q.err);
}

static void enqueue_of_a_known_message_is_told_so(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    enum fb_status s = FB_BUG;
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_int_equal(s, FB_EXISTS);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 1);
    assert_true(message_field(job.msg_id, "queued") > 0);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:open", NULL), 1);
}

static void enqueue_pipelines_any_number(void **state)
{
    (void)state;
    enum { N = 300 };
    struct fb_job *jobs = calloc(N, sizeof(*jobs));
    enum fb_status *status = calloc(N, sizeof(*status));
    assert_non_null(jobs);
    assert_non_null(status);
    for (int i = 0; i < N; i++) {
        jobs[i] = render_job();
    }
    jobs[200] = jobs[100]; /* twice in one call */
    assert_status(FB_OK, fb_queue_enqueue(q.r, jobs, NULL, N, status, &q.err));
    for (int i = 0; i < N; i++) {
        assert_int_equal(status[i], i == 200 ? FB_EXISTS : FB_OK);
    }
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, N - 1);
    free(jobs);
    free(status);
}

static void what_is_wrong_with_one_message_is_told_of_that_one(void **state)
{
    (void)state;
    enum { N = 40 };
    static const int bad[] = {0, 21, 22, 39}; /* first, inside and last of a call */
    struct fb_job jobs[N];
    enum fb_status status[N];
    struct fb_ops *ops[N];
    for (int i = 0; i < N; i++) {
        jobs[i] = render_job();
        ops[i] = fb_ops_new();
        fb_ops_add(ops[i], "LISTIN", "fb:{s0}:t", "5", jobs[i].msg_id, "-1", "100000", NULL);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "fb:{s0}:m:%s", jobs[bad[i]].msg_id);
        assert_int_equal(redis_fixture_int(&q.redis, "APPEND", key, "not a hash", NULL), 10);
    }
    fb_ops_add(ops[30], "HSET", "fb:{s0}:t", "not", "a hash", NULL); /* the ledger's part fails */
    assert_status(
        FB_OK, fb_queue_enqueue(q.r, jobs, (const struct fb_ops *const *)ops, N, status, &q.err));
    size_t next = 0;
    for (int i = 0; i < N; i++) {
        bool is_bad = next < sizeof bad / sizeof bad[0] && bad[next] == i;
        next += is_bad;
        if (is_bad) {
            assert_int_not_equal(status[i], FB_OK);
            assert_int_not_equal(status[i], FB_EXISTS);
        } else if (i != 30) { /* EXISTS: added by a call that told of it, and asked again */
            assert_int_equal(status[i], FB_OK);
        }
        fb_ops_free(&ops[i]);
    }
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, N - 4);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:open", NULL), N - 4);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:t", NULL), N - 4);
}

static void a_listing_lives_on_and_loses_what_is_old_once_a_day(void **state)
{
    (void)state;
    for (int day = 0; day < 2; day++) {
        struct fb_job job = render_job();
        struct fb_ops *ops = fb_ops_new();
        enum fb_status s = FB_BUG;
        assert_int_equal(redis_fixture_int(&q.redis, "ZADD", "fb:{s0}:t", "1", "old", NULL), 1);
        fb_ops_add(ops, "LISTIN", "fb:{s0}:t", "100", job.msg_id, "50", "200000", NULL);
        const struct fb_ops *list[1] = {ops};
        for (int again = 0; again < 2; again++) {
            job = render_job();
            assert_status(FB_OK, fb_queue_enqueue(q.r, &job, list, 1, &s, &q.err));
            assert_int_equal(s, FB_OK);
            assert_in_range(redis_fixture_int(&q.redis, "TTL", "fb:{s0}:t", NULL), 199000, 200000);
            if (again == 0) {
                assert_int_equal(redis_fixture_int(&q.redis, "ZREM", "fb:{s0}:t", "old", NULL), 0);
                assert_int_equal(redis_fixture_int(&q.redis, "ZADD", "fb:{s0}:t", "1", "old", NULL),
                                 1);
            } else { /* not again on the same day */
                assert_int_equal(redis_fixture_int(&q.redis, "ZREM", "fb:{s0}:t", "old", NULL), 1);
            }
        }
        fb_ops_free(&ops);
        assert_int_equal(redis_fixture_int(&q.redis, "EXPIRE", "fb:{s0}:t", "113000", NULL), 1);
    }
}

static void a_listing_takes_any_number_at_once(void **state)
{
    (void)state;
    enum { N = 2002 }; /* two writes of 1,001 members: nothing is left for the end of the call */
    struct fb_job job = render_job();
    struct fb_ops *ops = fb_ops_new();
    enum fb_status s = FB_BUG;
    for (int i = 0; i < N; i++) {
        char member[16];
        (void)snprintf(member, sizeof member, "m%d", i);
        fb_ops_add(ops, "LISTIN", "fb:{s0}:t", "100", member, "50", "200000", NULL);
    }
    const struct fb_ops *list[1] = {ops};
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, list, 1, &s, &q.err));
    assert_int_equal(s, FB_OK);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:t", NULL), N);
    assert_in_range(redis_fixture_int(&q.redis, "TTL", "fb:{s0}:t", NULL), 199000, 200000);
    fb_ops_free(&ops);
}

static void a_job_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_string_equal(claim.job.msg_id, job.msg_id);
    assert_string_equal(claim.job.spool_ref, job.spool_ref);
    assert_string_equal(claim.job.trace, job.trace);
    assert_int_equal(claim.job.first_ms, job.first_ms);
    assert_int_equal(claim.deliveries, 1);
    assert_int_equal(claim.job.attempt, 0);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 0);
}

static void advance_moves_the_job_in_one_step(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_job next[3] = {follow(&claim, FB_STAGE_UPLOAD, 0), follow(&claim, FB_STAGE_UPLOAD, 1),
                             follow(&claim, FB_STAGE_REWRITE, 2)};
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job.msg_id);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", key, "proof", "42", NULL);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, next, 3, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 0);
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:render", NULL), 0);
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting, 2);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 1);
    assert_int_equal(message_field(job.msg_id, "left"), 3);
    assert_int_equal(message_field(job.msg_id, "proof"), 42);
    assert_true(message_has(job.msg_id, "d:render:0"));
}

static void a_refused_step_changes_nothing(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_job next = follow(&claim, FB_STAGE_UPLOAD, 0);
    (void)redis_fixture_int(&q.redis, "SET", "fb:{s0}:text", "x", NULL);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", "fb:{s0}:text", "a", "b", NULL); /* WRONGTYPE */
    assert_status(FB_BUG, fb_queue_advance(q.r, "a", &claim, &next, 1, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting, 0);
    assert_false(message_has(claim.job.msg_id, "d:render:0"));
    assert_status(FB_OK, advance("a", &claim, FB_STAGE_UPLOAD));
}

static void a_zombie_is_told_lost_and_changes_nothing(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim zombie = take(FB_STAGE_RENDER, "zombie");
    struct fb_claim claim;
    size_t count = 0;
    pause_ms(5);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "heir", 1, 10, 1, &claim, &count, &q.err));
    assert_int_equal(count, 1);
    assert_int_equal(claim.deliveries, 2);
    struct fb_error why = reason(FB_AGAIN, "x");
    bool last = true;
    assert_status(FB_LOST, fb_queue_check(q.r, "zombie", &zombie, &q.err));
    assert_status(FB_LOST, advance("zombie", &zombie, FB_STAGE_UPLOAD));
    assert_status(FB_LOST, finish("zombie", &zombie, &last));
    assert_false(last);
    assert_status(FB_LOST, fb_queue_retry(q.r, "zombie", &zombie, 0, &why, NULL, &q.err));
    assert_status(FB_LOST, fb_queue_bury(q.r, "zombie", &zombie, &why, NULL, &q.err));
    assert_status(FB_LOST, fb_queue_release(q.r, "zombie", &zombie, &q.err));
    assert_status(FB_LOST,
                  fb_queue_touch(q.r, "zombie", &zombie, 1, &q.err)); /* does not steal it back */
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting, 0);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
    assert_status(FB_OK, advance("heir", &claim, FB_STAGE_UPLOAD));
    assert_status(FB_LOST, advance("zombie", &zombie, FB_STAGE_UPLOAD));
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting, 1);
}

static void an_end_whose_reply_was_lost_may_be_sent_again(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, advance("a", &claim, FB_STAGE_REWRITE));
    assert_status(FB_OK, advance("a", &claim, FB_STAGE_REWRITE));
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 1);
    claim = take(FB_STAGE_REWRITE, "a");
    bool last = false;
    assert_status(FB_OK, finish("a", &claim, &last));
    assert_true(last);
    last = false;
    assert_status(FB_OK, finish("a", &claim, &last));
    assert_true(last);
    assert_int_equal(message_field(claim.job.msg_id, "left"), 0);
}

static void a_repetition_of_done_work_is_dropped(void **state)
{
    (void)state;
    (void)rendered(1);
    struct fb_claim first = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, fb_queue_add(q.r, &first.job, NULL, &q.err)); /* its twin */
    struct fb_claim twin = take(FB_STAGE_UPLOAD, "b");
    assert_status(FB_OK, advance("a", &first, FB_STAGE_REWRITE));
    assert_status(FB_EXISTS, advance("b", &twin, FB_STAGE_REWRITE));
    assert_int_equal(stats(FB_STAGE_UPLOAD).inflight, 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 1);
}

static void left_goes_down_once_a_branch_and_the_last_ends_the_message(void **state)
{
    (void)state;
    struct fb_job job = rendered(2);
    struct fb_claim up[2];
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", up, 2), 2);
    assert_status(FB_OK, advance("a", &up[0], FB_STAGE_REWRITE));
    assert_status(FB_OK, advance("a", &up[1], FB_STAGE_REWRITE));
    struct fb_claim re[2];
    assert_int_equal(take_all(FB_STAGE_REWRITE, "a", re, 2), 2);
    assert_status(FB_OK, fb_queue_add(q.r, &re[0].job, NULL, &q.err));
    bool last = true;
    assert_status(FB_OK, finish("a", &re[0], &last));
    assert_false(last);
    struct fb_claim twin = take(FB_STAGE_REWRITE, "b");
    assert_status(FB_EXISTS, finish("b", &twin, &last));
    assert_false(last);
    assert_int_equal(message_field(job.msg_id, "left"), 1);
    assert_status(FB_OK, finish("a", &re[1], &last));
    assert_true(last);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:open", NULL), 0);
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job.msg_id);
    assert_in_range(redis_fixture_int(&q.redis, "TTL", key, NULL), 1, 400 * 86400);
}

static void advance_without_next_jobs_ends_the_branch(void **state)
{
    (void)state;
    struct fb_job job = rendered(2);
    struct fb_claim echo = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &echo, NULL, 0, NULL, &q.err));
    assert_int_equal(message_field(job.msg_id, "left"), 1);
    assert_true(message_has(job.msg_id, "d:rewrite:0"));
}

static void a_stage_may_go_on_in_another_job(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, advance("a", &claim, FB_STAGE_REWRITE));
    claim = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, advance("a", &claim, FB_STAGE_REWRITE)); /* a bounce in its place */
    assert_false(message_has(job.msg_id, "d:rewrite:0"));
    claim = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, fb_queue_check(q.r, "a", &claim, &q.err));
    bool last = false;
    assert_status(FB_OK, finish("a", &claim, &last));
    assert_true(last);
}

static void retry_waits_and_counts(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_error why = reason(FB_NETWORK, "Box is away");
    size_t count = 9;
    assert_status(FB_OK, fb_queue_retry(q.r, "a", &claim, 300, &why, NULL, &q.err));
    assert_int_equal(stats(FB_STAGE_RENDER).delayed, 1);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight + stats(FB_STAGE_RENDER).waiting, 0);
    assert_true(message_has(job.msg_id, "e:render:0"));
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 10, &count, &q.err));
    assert_int_equal(count, 0);
    pause_ms(320);
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 10, &count, &q.err));
    assert_int_equal(count, 1);
    claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(claim.job.attempt, 1);
    assert_int_equal(claim.deliveries, 1);
    assert_int_equal(claim.job.first_ms, job.first_ms);
    assert_status(FB_OK, fb_queue_defer(q.r, "a", &claim, 0, &why, NULL, &q.err));
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 10, &count, &q.err));
    claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(claim.job.attempt, 1); /* not counted */
}

static void promote_moves_no_more_than_asked(void **state)
{
    (void)state;
    struct fb_error why = reason(FB_AGAIN, "x");
    for (int i = 0; i < 5; i++) {
        (void)enqueue();
        struct fb_claim claim = take(FB_STAGE_RENDER, "a");
        assert_status(FB_OK, fb_queue_retry(q.r, "a", &claim, 0, &why, NULL, &q.err));
    }
    size_t count = 0;
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 3, &count, &q.err));
    assert_int_equal(count, 3);
    assert_int_equal(stats(FB_STAGE_RENDER).delayed, 2);
}

static void release_gives_back_the_same_attempt(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, fb_queue_release(q.r, "a", &claim, &q.err));
    claim = take(FB_STAGE_RENDER, "b");
    assert_string_equal(claim.job.msg_id, job.msg_id);
    assert_int_equal(claim.job.attempt, 0);
    assert_int_equal(claim.deliveries, 1);
}

static void a_crash_loop_is_buried(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "crash0");
    size_t count = 0;
    for (uint32_t delivery = 2; delivery <= 3; delivery++) {
        pause_ms(5);
        assert_status(FB_OK, fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "crash", 1, 3, 1, &claim,
                                           &count, &q.err));
        assert_int_equal(count, 1);
        assert_int_equal(claim.deliveries, delivery);
        assert_int_equal(claim.job.attempt, 0);
    }
    pause_ms(5);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "crash", 1, 3, 1, &claim, &count, &q.err));
    assert_int_equal(count, 0);
    assert_int_equal(stats(FB_STAGE_RENDER).dead, 1);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 0);
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:render", NULL), 0);
}

static void reap_leaves_jobs_that_are_worked_on(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        (void)enqueue();
    }
    struct fb_claim *claims = calloc(30, sizeof(*claims));
    assert_non_null(claims);
    assert_int_equal(take_all(FB_STAGE_RENDER, "a", claims, 30), 30);
    pause_ms(120);
    assert_status(
        FB_OK, fb_queue_touch(q.r, "a", claims, 29, &q.err)); /* heartbeat for all but the last */
    struct fb_claim got;
    size_t count = 0;
    /* COUNT 1 looks at 10 entries a call: the last one takes several. */
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "b", 100, 3, 1, &got, &count, &q.err));
    assert_int_equal(count, 1);
    assert_string_equal(got.id, claims[29].id);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "b", 100, 3, 1, &got, &count, &q.err));
    assert_int_equal(count, 0);
    free(claims);
}

static void history_shows_what_was_delivered_into_the_void(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)enqueue();
    }
    struct fb_claim lost[5];
    struct fb_claim claims[3];
    assert_int_equal(take_all(FB_STAGE_RENDER, "a", lost, 5), 5);
    char after[FB_CLAIM_ID_SIZE] = "0";
    size_t count = 0;
    size_t seen = 0;
    char before[FB_CLAIM_ID_SIZE];
    do {
        memcpy(before, after, sizeof(before));
        assert_status(FB_OK, fb_queue_history(q.r, FB_STAGE_RENDER, 0, "a", after, 3, claims,
                                              &count, &q.err));
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(claims[i].id, lost[seen++].id);
            assert_int_equal(claims[i].deliveries, 1);
        }
    } while (strcmp(before, after) != 0);
    assert_int_equal(seen, 5);
    assert_status(FB_OK,
                  fb_queue_history(q.r, FB_STAGE_RENDER, 0, "b", (char[FB_CLAIM_ID_SIZE]){"0"}, 3,
                                   claims, &count, &q.err));
    assert_int_equal(count, 0);
}

static void forget_refuses_while_something_is_pending(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_AGAIN, fb_queue_forget(q.r, FB_STAGE_RENDER, "a", &q.err));
    assert_status(FB_OK, fb_queue_sweep(q.r, FB_STAGE_RENDER, "me", 0, &q.err));
    assert_status(FB_OK,
                  fb_queue_release(q.r, "a", &claim, &q.err)); /* still known, still its owner */
    assert_status(FB_OK, fb_queue_forget(q.r, FB_STAGE_RENDER, "a", &q.err));
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 1);
}

static void revoke_jobs_may_come_again(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    for (int i = 0; i < 2; i++) {
        assert_status(FB_OK, fb_queue_add(q.r, &job, NULL, &q.err));
        struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
        assert_status(FB_OK, fb_queue_check(q.r, "a", &claim, &q.err));
        assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, NULL, 0, NULL, &q.err));
    }
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:revoke", NULL), 0);
}

static void stats_count_every_place(void **state)
{
    (void)state;
    struct fb_error why = reason(FB_AGAIN, "x");
    struct fb_claim claims[3];
    for (int i = 0; i < 5; i++) {
        (void)enqueue();
    }
    pause_ms(60);
    assert_int_equal(take_all(FB_STAGE_RENDER, "a", claims, 3), 3);
    assert_status(FB_OK, fb_queue_retry(q.r, "a", &claims[0], 60000, &why, NULL, &q.err));
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claims[1], &why, NULL, &q.err));
    struct fb_queue_stats s = stats(FB_STAGE_RENDER);
    assert_int_equal(s.waiting, 2);
    assert_int_equal(s.inflight, 1);
    assert_int_equal(s.delayed, 1);
    assert_int_equal(s.dead, 1);
    assert_in_range(s.oldest_age_ms, 60, 60000);
    assert_int_equal(stats(FB_STAGE_UPLOAD).oldest_age_ms, 0);
}

static void a_job_that_cannot_be_read_is_buried_with_its_bytes(void **state)
{
    (void)state;
    (void)redis_fixture_int(&q.redis, "XADD", "fb:{s0}:render", "*", "j", "rubbish", "f", "1",
                            NULL);
    struct fb_job job = enqueue();
    struct fb_claim claims[2];
    assert_int_equal(take_all(FB_STAGE_RENDER, "a", claims, 2), 1);
    assert_string_equal(claims[0].job.msg_id, job.msg_id);
    assert_int_equal(stats(FB_STAGE_RENDER).dead, 1);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
}

static void a_newer_job_waits_for_an_upgraded_worker(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    struct fb_buf bytes;
    job.version = FB_JOB_VERSION + 1;
    fb_buf_init(&bytes, 8192);
    assert_status(FB_OK, fb_job_encode(&job, &bytes));
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("XADD"), FB_SLICE_LITERAL("fb:{s0}:render"),
                                    FB_SLICE_LITERAL("*"),    FB_SLICE_LITERAL("j"),
                                    fb_slice_buf(&bytes),     FB_SLICE_LITERAL("f"),
                                    FB_SLICE_LITERAL("77")};
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_command(q.r, 7, argv, &reply, &q.err));
    freeReplyObject(reply);
    struct fb_claim claim;
    assert_int_equal(take_all(FB_STAGE_RENDER, "a", &claim, 1), 0);
    assert_int_equal(stats(FB_STAGE_RENDER).delayed, 1);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight + stats(FB_STAGE_RENDER).waiting, 0);
    /* Byte for byte: what this version does not know must not get lost. */
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, "ZRANGE", "fb:{s0}:delayed:render", "0",
                                       "-1", NULL));
    assert_int_equal(reply->element[0]->len, bytes.len + 3);
    assert_memory_equal(reply->element[0]->str, "77:", 3);
    assert_memory_equal(reply->element[0]->str + 3, bytes.ptr, bytes.len);
    freeReplyObject(reply);
    fb_buf_deinit(&bytes);
}

static void a_job_nobody_could_read_is_not_added(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    enum fb_status s = FB_OK;
    job.msg_id[0] = '!';
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_int_equal(s, FB_BUG);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 0);
}

static void backoff_grows_to_an_hour_with_full_jitter(void **state)
{
    (void)state;
    int64_t seen_max = 0;
    int64_t seen_min = INT64_MAX;
    for (int i = 0; i < 2000; i++) {
        int64_t first = fb_queue_backoff_ms(0);
        int64_t late = fb_queue_backoff_ms(4000000000U);
        assert_in_range(first, 1000, 5000);
        assert_in_range(late, 1000, 3600000);
        seen_max = late > seen_max ? late : seen_max;
        seen_min = late < seen_min ? late : seen_min;
    }
    assert_true(seen_max > 3000000);
    assert_true(seen_min < 600000);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(enqueue_of_a_known_message_is_told_so),
        PROMISE(enqueue_pipelines_any_number),
        PROMISE(what_is_wrong_with_one_message_is_told_of_that_one),
        PROMISE(a_listing_lives_on_and_loses_what_is_old_once_a_day),
        PROMISE(a_listing_takes_any_number_at_once),
        PROMISE(a_job_arrives_as_it_was_sent),
        PROMISE(advance_moves_the_job_in_one_step),
        PROMISE(a_refused_step_changes_nothing),
        PROMISE(a_zombie_is_told_lost_and_changes_nothing),
        PROMISE(an_end_whose_reply_was_lost_may_be_sent_again),
        PROMISE(a_repetition_of_done_work_is_dropped),
        PROMISE(left_goes_down_once_a_branch_and_the_last_ends_the_message),
        PROMISE(advance_without_next_jobs_ends_the_branch),
        PROMISE(a_stage_may_go_on_in_another_job),
        PROMISE(retry_waits_and_counts),
        PROMISE(promote_moves_no_more_than_asked),
        PROMISE(release_gives_back_the_same_attempt),
        PROMISE(a_crash_loop_is_buried),
        PROMISE(reap_leaves_jobs_that_are_worked_on),
        PROMISE(history_shows_what_was_delivered_into_the_void),
        PROMISE(forget_refuses_while_something_is_pending),
        PROMISE(revoke_jobs_may_come_again),
        PROMISE(stats_count_every_place),
        PROMISE(a_job_that_cannot_be_read_is_buried_with_its_bytes),
        PROMISE(a_newer_job_waits_for_an_upgraded_worker),
        PROMISE(a_job_nobody_could_read_is_not_added),
        PROMISE(backoff_grows_to_an_hour_with_full_jitter),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
