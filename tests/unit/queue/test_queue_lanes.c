/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes: who gets into which, how workers share them, and that no move of a job changes its lane.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"

#define MANY 40

static struct fb_pace pace_of(int64_t burst, int64_t rate)
{
    const uint8_t key[32] = {1, 2, 3};
    struct fb_config config = {.queue = {.sender_burst = burst, .sender_rate = rate}};
    struct fb_pace pace;
    fb_pace_init(&pace, &config, key, 1);
    return pace;
}

/* One call with `count` fresh messages of this sender. */
static void hand_in(const struct fb_pace *pace, const char *from, size_t count)
{
    struct fb_job *jobs = fb_xcalloc(count, sizeof *jobs);
    struct fb_pace_sender *senders = fb_xcalloc(count, sizeof *senders);
    enum fb_status *status = fb_xcalloc(count, sizeof *status);
    for (size_t i = 0; i < count; i++) {
        jobs[i] = render_job();
        fb_pace_sender(pace, from, &senders[i]);
    }
    assert_status(FB_OK,
                  fb_queue_enqueue_paced(q.r, jobs, NULL, count, pace, senders, status, &q.err));
    for (size_t i = 0; i < count; i++) {
        assert_status(FB_OK, status[i]);
    }
    free(status);
    free(senders);
    free(jobs);
}

static long long length(const char *stage)
{
    char key[64];
    (void)snprintf(key, sizeof key, "fb:{s0}:%s", stage);
    return redis_fixture_int(&q.redis, "XLEN", key, NULL);
}

/* A job in the bulk lane, in the hands of `consumer`. */
static struct fb_claim bulk_claim(const char *consumer)
{
    struct fb_pace pace = pace_of(1, 1);
    hand_in(&pace, "flood@example.jp", 2);
    struct fb_claim claims[2];
    assert_int_equal(2, take_all(FB_STAGE_RENDER, consumer, claims, 2));
    assert_int_equal(FB_LANE_NORMAL, claims[0].lane);
    assert_int_equal(FB_LANE_BULK, claims[1].lane);
    bool ignored = false;
    assert_status(FB_OK, fb_queue_finish(q.r, consumer, &claims[0], NULL, &ignored, &q.err));
    return claims[1];
}

static void beyond_a_burst_a_sender_goes_into_the_bulk_lane_and_nobody_else_does(void **state)
{
    (void)state;
    struct fb_pace pace = pace_of(10, 1);
    hand_in(&pace, "flood@example.jp", 15); /* in one call, and ... */
    for (int i = 0; i < 15; i++) {
        hand_in(&pace, "Flood@Example.JP", 1); /* ... in many */
    }
    hand_in(&pace, "other@example.jp", 1);
    hand_in(&pace, "", 1);
    assert_int_equal(12, length("render"));
    assert_int_equal(20, length("render:bulk"));
    assert_int_equal(32, stats(FB_STAGE_RENDER).waiting);
    assert_int_equal(20, stats(FB_STAGE_RENDER).bulk);
    struct fb_pace off = pace_of(1, 0);
    hand_in(&off, "flood@example.jp", 5);
    assert_int_equal(17, length("render"));
}

static void a_sender_has_room_again_at_his_rate(void **state)
{
    (void)state;
    struct fb_pace pace = pace_of(5, 1200); /* one in 50 ms */
    hand_in(&pace, "a@example.jp", 20);
    assert_int_equal(5, length("render"));
    pause_ms(600);
    hand_in(&pace, "a@example.jp", 20);
    assert_int_equal(10, length("render"));
}

static void what_redis_holds_of_a_sender_is_a_hash_that_expires(void **state)
{
    (void)state;
    struct fb_pace pace = pace_of(5, 1);
    struct fb_pace_sender a, b;
    hand_in(&pace, "a@example.jp", 3);
    fb_pace_sender(&pace, "a@example.jp", &a);
    fb_pace_sender(&pace, "b@example.jp", &b);
    assert_string_not_equal(a.hash, b.hash);
    assert_int_equal(32, strlen(a.hash));
    char key[96];
    (void)snprintf(key, sizeof key, "fb:{s0}:pace:%s", a.hash);
    long long left = redis_fixture_int(&q.redis, "PTTL", key, NULL);
    assert_in_range(left, 1, 180001); /* then it has room for all of a burst again */
}

static void one_job_in_eight_is_of_bulk_while_both_have_work(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 16};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct fb_pace pace = pace_of(MANY, 1);
        struct fb_share share = {.normal = 0};
        struct fb_claim *claims = fb_xcalloc(16, sizeof *claims);
        assert_int_equal(1, redis_fixture_int(&q.redis, "FLUSHALL", NULL) == 0);
        assert_status(FB_OK, fb_queue_prepare(q.r, &q.err));
        hand_in(&pace, "a@example.jp", (size_t)2 * MANY);
        size_t normal = 0, bulk = 0, at_last_bulk = 0;
        while (normal + bulk < 32) {
            size_t count = 0;
            assert_status(FB_OK, fb_queue_take(q.r, FB_STAGE_RENDER, 0, "a", &share, sizes[s], 0,
                                               claims, &count, &q.err));
            assert_int_equal(sizes[s], count);
            for (size_t i = 0; i < count; i++) {
                bulk += claims[i].lane == FB_LANE_BULK;
                normal += claims[i].lane == FB_LANE_NORMAL;
                at_last_bulk = claims[i].lane == FB_LANE_BULK ? normal : at_last_bulk;
                assert_true(normal - at_last_bulk <= 16);
            }
        }
        assert_in_range(bulk, 3, 4);
        free(claims);
    }
}

static void bulk_takes_what_the_normal_lane_leaves(void **state)
{
    (void)state;
    struct fb_pace pace = pace_of(3, 1);
    hand_in(&pace, "a@example.jp", 20);
    struct fb_claim claims[16];
    assert_int_equal(16, take_all(FB_STAGE_RENDER, "a", claims, 16));
    size_t normal = 0;
    for (size_t i = 0; i < 16; i++) {
        normal += claims[i].lane == FB_LANE_NORMAL;
    }
    assert_int_equal(3, normal);
    assert_int_equal(4, take_all(FB_STAGE_RENDER, "a", claims, 16));
}

static void
a_reader_that_waits_hears_of_both_lanes_and_keeps_no_more_than_it_asked_for(void **state)
{
    (void)state;
    struct fb_share share = {.is_dry = true};
    struct fb_claim claim;
    size_t count = 0;
    struct fb_pace pace = pace_of(1, 1);
    hand_in(&pace, "a@example.jp", 2); /* one in each lane: an answer may bring both */
    for (int i = 0; i < 2; i++) {
        share.is_dry = true;
        assert_status(FB_OK, fb_queue_take(q.r, FB_STAGE_RENDER, 0, "a", &share, 1, 1000, &claim,
                                           &count, &q.err));
        assert_int_equal(1, count);
        assert_int_equal(i + 1, stats(FB_STAGE_RENDER).inflight);
    }
    assert_int_equal(0, stats(FB_STAGE_RENDER).waiting);
}

static void a_job_keeps_its_lane_through_retry_put_off_and_hand_back(void **state)
{
    (void)state;
    struct fb_error why = {.status = FB_AGAIN, .text = "later"};
    struct fb_claim claim = bulk_claim("a");
    size_t count = 0;
    for (int i = 0; i < 3; i++) {
        if (i == 0) {
            assert_status(FB_OK, fb_queue_retry(q.r, "a", &claim, 0, &why, NULL, &q.err));
        } else if (i == 1) {
            assert_status(FB_OK, fb_queue_defer(q.r, "a", &claim, 0, &why, NULL, &q.err));
        } else {
            assert_status(FB_OK, fb_queue_release(q.r, "a", &claim, &q.err));
        }
        assert_int_equal(i < 2 ? 1 : 0, stats(FB_STAGE_RENDER).delayed);
        assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_RENDER, 0, 10, &count, &q.err));
        assert_int_equal(i < 2 ? 1 : 0, count);
        claim = take(FB_STAGE_RENDER, "a");
        assert_int_equal(FB_LANE_BULK, claim.lane);
    }
    assert_int_equal(1, claim.job.attempt);
}

static void an_abandoned_job_is_claimed_in_its_lane_and_a_lost_answer_is_found_there(void **state)
{
    (void)state;
    struct fb_claim claim = bulk_claim("dead"), got[4];
    size_t count = 0;
    pause_ms(20);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "b", 10, 3, 4, got, &count, &q.err));
    assert_int_equal(1, count);
    assert_int_equal(FB_LANE_BULK, got[0].lane);
    assert_string_equal(claim.id, got[0].id);
    assert_status(FB_LOST, fb_queue_release(q.r, "dead", &claim, &q.err));
    (void)enqueue();
    struct fb_claim normal = take(FB_STAGE_RENDER, "b");
    char after[FB_CLAIM_ID_SIZE] = "0", before[FB_CLAIM_ID_SIZE] = "";
    size_t seen[FB_LANE_COUNT] = {0};
    while (strcmp(before, after) != 0) {
        memcpy(before, after, sizeof before);
        assert_status(
            FB_OK, fb_queue_history(q.r, FB_STAGE_RENDER, 0, "b", after, 4, got, &count, &q.err));
        for (size_t i = 0; i < count; i++) {
            seen[got[i].lane]++;
        }
    }
    assert_int_equal(1, seen[FB_LANE_NORMAL]);
    assert_int_equal(1, seen[FB_LANE_BULK]);
    assert_status(FB_OK, fb_queue_touch(q.r, "b", &normal, 1, &q.err));
    assert_status(FB_AGAIN, fb_queue_forget(q.r, FB_STAGE_RENDER, "b", &q.err));
}

static void all_stages_of_a_bulk_mail_and_its_letters_are_in_the_bulk_lane(void **state)
{
    (void)state;
    struct fb_claim claim = bulk_claim("a");
    struct fb_job next;
    struct fb_error why = {.status = FB_DENIED, .text = "no"};
    fb_job_follow(&claim, FB_STAGE_UPLOAD, 0, &next);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, &next, 1, NULL, &q.err));
    claim = take(FB_STAGE_UPLOAD, "a");
    assert_int_equal(FB_LANE_BULK, claim.lane);
    assert_status(FB_OK, fb_queue_restart(q.r, "a", &claim, &q.err));
    claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(FB_LANE_BULK, claim.lane);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, &next, 1, NULL, &q.err));
    claim = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &why, NULL, &q.err));
    assert_int_equal(1, length("rewrite:bulk")); /* the letter that it is held */
    assert_int_equal(0, length("rewrite"));
}

static bool keep_id(void *ctx, const struct fb_dead *dead)
{
    (void)snprintf(ctx, sizeof dead->id, "%s", dead->id);
    return true;
}

static void a_dead_letter_goes_back_into_the_lane_it_came_from(void **state)
{
    (void)state;
    char id[64] = "";
    struct fb_error why = {.status = FB_DENIED, .text = "no"};
    struct fb_claim claim = bulk_claim("a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &why, NULL, &q.err));
    assert_status(FB_OK, fb_dead_list(q.r, keep_id, id, &q.err));
    assert_status(FB_OK, fb_dead_retry(q.r, id, &q.err));
    claim = take(FB_STAGE_RENDER, "a");
    assert_int_equal(FB_LANE_BULK, claim.lane);
    pause_ms(20); /* a crash-loop that the reaper buries */
    size_t count = 0;
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "b", 10, 0, 1, &claim, &count, &q.err));
    assert_int_equal(0, count);
    assert_status(FB_OK, fb_dead_list(q.r, keep_id, id, &q.err));
    assert_status(FB_OK, fb_dead_retry(q.r, id, &q.err));
    assert_int_equal(1, length("render:bulk"));
}

static void only_what_waits_in_the_normal_lane_has_a_waiting_age(void **state)
{
    (void)state;
    int64_t age = -1;
    assert_status(FB_OK, fb_queue_waiting_age(q.r, &age, &q.err));
    assert_int_equal(0, age);
    struct fb_claim claim = bulk_claim("a");
    assert_status(FB_OK, fb_queue_release(q.r, "a", &claim, &q.err));
    (void)enqueue();
    (void)take(FB_STAGE_RENDER, "a"); /* in hand */
    pause_ms(30);
    assert_status(FB_OK, fb_queue_waiting_age(q.r, &age, &q.err));
    assert_int_equal(0, age);
    (void)enqueue();
    pause_ms(30);
    assert_status(FB_OK, fb_queue_waiting_age(q.r, &age, &q.err));
    assert_in_range(age, 25, 30000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(beyond_a_burst_a_sender_goes_into_the_bulk_lane_and_nobody_else_does),
        TEST(a_sender_has_room_again_at_his_rate),
        TEST(what_redis_holds_of_a_sender_is_a_hash_that_expires),
        TEST(one_job_in_eight_is_of_bulk_while_both_have_work),
        TEST(bulk_takes_what_the_normal_lane_leaves),
        TEST(a_reader_that_waits_hears_of_both_lanes_and_keeps_no_more_than_it_asked_for),
        TEST(a_job_keeps_its_lane_through_retry_put_off_and_hand_back),
        TEST(an_abandoned_job_is_claimed_in_its_lane_and_a_lost_answer_is_found_there),
        TEST(all_stages_of_a_bulk_mail_and_its_letters_are_in_the_bulk_lane),
        TEST(a_dead_letter_goes_back_into_the_lane_it_came_from),
        TEST(only_what_waits_in_the_normal_lane_has_a_waiting_age),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
