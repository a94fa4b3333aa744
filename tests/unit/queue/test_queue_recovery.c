/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue when Redis forgets, refuses or goes away.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum fb_status advance(const struct fb_claim *claim, enum fb_stage stage)
{
    struct fb_job next;
    fb_job_follow(claim, stage, claim->job.branch, &next);
    return fb_queue_advance(q.r, "a", claim, &next, 1, NULL, &q.err);
}

static void forgotten_scripts_are_sent_again(void **state)
{
    (void)state;
    (void)enqueue();
    assert_int_equal(redis_fixture_int(&q.redis, "SCRIPT", "FLUSH", NULL), 0);
    (void)enqueue(); /* within a pipeline */
    assert_int_equal(redis_fixture_int(&q.redis, "SCRIPT", "FLUSH", NULL), 0);
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, advance(&claim, FB_STAGE_REWRITE));
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 1);
}

static void after_a_wipe_claims_are_lost_and_reading_goes_on(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim old = take(FB_STAGE_RENDER, "a");
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    struct fb_job job = enqueue(); /* before any group exists again */
    assert_status(FB_LOST, advance(&old, FB_STAGE_UPLOAD));
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_string_equal(claim.job.msg_id, job.msg_id);
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    size_t count = 9;
    assert_status(FB_OK, fb_queue_read(q.r, FB_STAGE_RENDER, 0, "a", 1, 0, &claim, &count, &q.err));
    assert_int_equal(count, 0); /* made the groups */
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "a", 1, 3, 1, &claim, &count, &q.err));
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_status(FB_LOST, fb_queue_touch(q.r, "a", &claim, 1, &q.err));
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 0);
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 1, &count, &q.err));
    assert_status(FB_OK, fb_queue_forget(q.r, FB_STAGE_RENDER, "a", &q.err));
}

static enum fb_status lock(const struct fb_claim *claim)
{
    return fb_queue_lock(q.r, "a", claim, "turn:x", 600000, &q.err);
}

static void put_off_and_unlock(const struct fb_claim *claim)
{
    struct fb_ops *ops = fb_ops_new();
    struct fb_error why = {.status = FB_NETWORK, .text = "the answer was lost"};
    fb_queue_unlock(ops, claim, "turn:x");
    assert_status(FB_OK, fb_queue_retry(q.r, "a", claim, 60000, &why, ops, &q.err));
    fb_ops_free(&ops);
}

/* A recall waited half an hour for the turn of a claim that was put off, because the answer to its taking was lost. */
static void a_lock_ends_with_its_claim_whether_or_not_it_was_known_to_be_taken(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim first = take(FB_STAGE_RENDER, "a");
    (void)enqueue();
    struct fb_claim second = take(FB_STAGE_RENDER, "a");
    (void)enqueue();
    struct fb_claim third = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, lock(&first));
    assert_status(FB_OK, lock(&first)); /* it goes on with it */
    assert_status(FB_EXISTS, lock(&second));
    put_off_and_unlock(&second); /* never had it */
    assert_status(FB_EXISTS, lock(&third));
    put_off_and_unlock(&first);
    assert_status(FB_OK, lock(&third));
}

/* A worker goes on with a job of a primary that is gone: nobody's step would give the lock back. */
static void a_claim_that_is_none_any_more_takes_no_lock(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim lost = take(FB_STAGE_RENDER, "a");
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    assert_status(FB_OK, fb_queue_prepare(q.r, &q.err));
    assert_status(FB_LOST, lock(&lost));
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_status(FB_OK, lock(&claim));
    assert_status(FB_LOST,
                  fb_queue_lock(q.r, "b", &claim, "turn:x", 600000, &q.err)); /* another's */
}

static void a_blocked_read_survives_a_wipe(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(200);
        (void)redis_fixture_int(&q.redis, "FLUSHALL", NULL);
        _Exit(0);
    }
    struct fb_claim claim;
    size_t count = 9;
    /* Redis 7 says UNBLOCKED: come again.  Redis 8 lets the read wait until its time is over. */
    enum fb_status read =
        fb_queue_read(q.r, FB_STAGE_RENDER, 0, "a", 1, 1500, &claim, &count, &q.err);
    assert_true(read == FB_AGAIN || (read == FB_OK && count == 0));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_status(FB_OK, fb_queue_read(q.r, FB_STAGE_RENDER, 0, "a", 1, 0, &claim, &count, &q.err));
    assert_int_equal(count, 0);
    (void)enqueue();
    (void)take(FB_STAGE_RENDER, "a");
}

static void without_memory_a_step_is_refused_whole(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_error why = {.status = FB_NETWORK, .text = "x"};
    struct fb_job fresh = render_job();
    enum fb_status s = FB_OK;
    bool last = false;
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "1", NULL), 0);
    assert_status(FB_OK, fb_queue_enqueue(q.r, &fresh, NULL, 1, &s, &q.err));
    assert_int_equal(s, FB_AGAIN);
    assert_status(FB_AGAIN, advance(&claim, FB_STAGE_REWRITE));
    assert_status(FB_AGAIN, fb_queue_retry(q.r, "a", &claim, 0, &why, NULL, &q.err));
    assert_status(FB_AGAIN, fb_queue_bury(q.r, "a", &claim, &why, NULL, &q.err));
    assert_status(FB_AGAIN, fb_queue_release(q.r, "a", &claim, &q.err));
    assert_status(FB_AGAIN, fb_queue_finish(q.r, "a", &claim, NULL, &last, &q.err));
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "0", NULL), 0);
    assert_false(message_has(fresh.msg_id, "queued"));
    assert_false(message_has(job.msg_id, "d:render:0"));
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
    assert_status(FB_OK, advance(&claim, FB_STAGE_REWRITE));
}

static void a_replica_refuses_and_nothing_is_lost(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(redis_fixture_int(&q.redis, "REPLICAOF", "127.0.0.1", "1", NULL), 0);
    assert_status(FB_AGAIN, advance(&claim, FB_STAGE_REWRITE));
    assert_int_equal(redis_fixture_int(&q.redis, "REPLICAOF", "NO", "ONE", NULL), 0);
    assert_status(FB_OK, advance(&claim, FB_STAGE_REWRITE));
}

static void a_cut_pipeline_says_so_for_each_message(void **state)
{
    (void)state;
    enum { N = 200 };
    struct fb_job *jobs = calloc(N, sizeof(*jobs));
    enum fb_status *status = calloc(N, sizeof(*status));
    assert_non_null(jobs);
    assert_non_null(status);
    for (int i = 0; i < N; i++) {
        jobs[i] = render_job();
    }
    redis_fixture_kill(&q.redis);
    assert_status(FB_NETWORK, fb_queue_enqueue(q.r, jobs, NULL, N, status, &q.err));
    for (int i = 0; i < N; i++) {
        assert_int_equal(status[i], FB_NETWORK);
    }
    redis_fixture_again(&q.redis);
    fb_redis_reset(q.r);
    assert_status(FB_OK, fb_queue_prepare(q.r, &q.err));
    assert_status(FB_OK,
                  fb_queue_enqueue(q.r, jobs, NULL, N, status, &q.err)); /* the same call again */
    for (int i = 0; i < N; i++) {
        assert_int_equal(status[i], FB_OK);
    }
    free(jobs);
    free(status);
}

static void several_shards_keep_their_keys_apart(void **state)
{
    (void)state;
    struct fb_config config = q.redis.config;
    config.redis.shards = 3;
    struct fb_redis *r = NULL;
    assert_status(FB_OK, fb_redis_new(&config, 20000, &r, &q.err));
    assert_status(FB_OK, fb_queue_prepare(r, &q.err));
    struct fb_job jobs[30];
    enum fb_status status[30];
    int want[3] = {0};
    for (int i = 0; i < 30; i++) {
        jobs[i] = render_job();
        want[fb_redis_shard(r, jobs[i].msg_id)]++;
    }
    assert_status(FB_OK, fb_queue_enqueue(r, jobs, NULL, 30, status, &q.err));
    struct fb_queue_stats all;
    assert_status(FB_OK, fb_queue_stats(r, FB_STAGE_RENDER, &all, &q.err));
    assert_int_equal(all.waiting, 30);
    for (int shard = 0; shard < 3; shard++) {
        struct fb_claim *claims = calloc(30, sizeof(*claims));
        size_t count = 0;
        assert_non_null(claims);
        assert_status(FB_OK,
                      fb_queue_read(r, FB_STAGE_RENDER, shard, "a", 30, 0, claims, &count, &q.err));
        assert_int_equal(count, want[shard]);
        assert_status(FB_OK, fb_queue_touch(r, "a", claims, count, &q.err));
        struct fb_ops *ops = fb_ops_new();
        fb_ops_add(ops, "SADD", shard == 0 ? "fb:{s1}:x" : "fb:{s0}:x", "y", NULL);
        struct fb_job next;
        fb_job_follow(&claims[0], FB_STAGE_REWRITE, 0, &next);
        assert_status(FB_BUG, fb_queue_advance(r, "a", &claims[0], &next, 1, ops, &q.err));
        fb_ops_free(&ops);
        free(claims);
    }
    fb_redis_free(&r);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(forgotten_scripts_are_sent_again),
        PROMISE(after_a_wipe_claims_are_lost_and_reading_goes_on),
        PROMISE(a_lock_ends_with_its_claim_whether_or_not_it_was_known_to_be_taken),
        PROMISE(a_claim_that_is_none_any_more_takes_no_lock),
        PROMISE(a_blocked_read_survives_a_wipe),
        PROMISE(without_memory_a_step_is_refused_whole),
        PROMISE(a_replica_refuses_and_nothing_is_lost),
        PROMISE(a_cut_pipeline_says_so_for_each_message),
        PROMISE(several_shards_keep_their_keys_apart),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
