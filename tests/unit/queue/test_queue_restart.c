/* SPDX-License-Identifier: Apache-2.0
 *
 * A message whose derived objects were lost is rendered again while its other branches go on: each
 * branch ends exactly once, in whatever order things happen.
 */
#include "tests/unit/queue/queue_test.h"

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

static void restart_renders_again_and_spares_finished_branches(void **state)
{
    (void)state;
    struct fb_job job = rendered(3);
    struct fb_claim up[3];
    struct fb_claim re[3];
    bool last = true;
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", up, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_status(FB_OK, advance("a", &up[i], FB_STAGE_REWRITE));
    }
    assert_int_equal(take_all(FB_STAGE_REWRITE, "a", re, 3), 3);
    assert_status(FB_OK, finish("a", &re[0], &last)); /* branch 0 is out */
    assert_status(FB_OK,
                  fb_queue_restart(q.r, "a", &re[1], &q.err)); /* branch 1 lost its objects */
    struct fb_claim render = take(FB_STAGE_RENDER, "a");       /* branch 2 is still in our hands */
    assert_status(FB_OK, fb_queue_check(q.r, "a", &render, &q.err));
    struct fb_job next[3];
    for (uint32_t b = 0; b < 3; b++) {
        next[b] = follow(&render, FB_STAGE_UPLOAD, b);
    }
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &render, next, 3, NULL, &q.err));
    assert_int_equal(message_field(job.msg_id, "left"), 2);
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", up, 3), 2); /* 1, and a twin of 2 */
    assert_int_equal(up[0].job.branch, 1);
    assert_int_equal(up[1].job.branch, 2);
    assert_status(FB_OK, advance("a", &up[0], FB_STAGE_REWRITE));
    assert_status(FB_EXISTS, advance("a", &up[1], FB_STAGE_REWRITE)); /* uploaded before */
    assert_status(FB_OK, finish("a", &re[2], &last));
    assert_false(last);
    struct fb_claim one = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(one.job.branch, 1);
    assert_status(FB_OK, finish("a", &one, &last));
    assert_true(last);
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        struct fb_queue_stats s = stats((enum fb_stage)stage);
        assert_int_equal(s.waiting + s.inflight + s.delayed + s.dead, 0);
    }
}

static void every_order_of_restarts_ends_each_branch_once(void **state)
{
    (void)state;
    /* Random walks over restart, twins and ends: each branch must finish exactly once, nothing may
     * be left. */
    for (int walk = 0; walk < 30; walk++) {
        struct fb_job job = rendered(3);
        int finished = 0;
        bool is_over = false;
        for (int step = 0; step < 500 && !is_over; step++) {
            enum fb_stage stage = (enum fb_stage)fb_random_below(3);
            struct fb_claim c;
            if (take_all(stage, "w", &c, 1) == 0) {
                continue;
            }
            enum fb_status checked = fb_queue_check(q.r, "w", &c, &q.err);
            if (checked == FB_EXISTS) {
                continue;
            }
            assert_status(FB_OK, checked);
            struct fb_job next[3];
            bool last = false;
            enum fb_status ended = FB_OK;
            switch (stage) {
            case FB_STAGE_RENDER:
                for (uint32_t b = 0; b < 3; b++) {
                    next[b] = follow(&c, FB_STAGE_UPLOAD, b);
                }
                ended = fb_queue_advance(q.r, "w", &c, next, 3, NULL, &q.err);
                break;
            case FB_STAGE_UPLOAD:
                if (fb_random_below(4) != 0 ||
                    fb_queue_restart(q.r, "w", &c, &q.err) == FB_CORRUPT) {
                    ended = advance("w", &c, FB_STAGE_REWRITE);
                }
                break;
            default:
                if (fb_random_below(3) != 0 ||
                    fb_queue_restart(q.r, "w", &c, &q.err) == FB_CORRUPT) {
                    ended = finish("w", &c, &last);
                    finished += ended == FB_OK ? 1 : 0;
                }
                break;
            }
            assert_true(ended == FB_OK || ended == FB_EXISTS);
            is_over = last;
        }
        assert_true(is_over);
        assert_int_equal(finished, 3);
        assert_int_equal(message_field(job.msg_id, "left"), 0);
        struct fb_claim rest;
        for (int stage = 0; stage < 3; stage++) { /* twins that are left are dropped unseen */
            while (take_all((enum fb_stage)stage, "w", &rest, 1) == 1) {
                assert_status(FB_EXISTS, fb_queue_check(q.r, "w", &rest, &q.err));
            }
        }
    }
}

static void restarts_of_a_branch_are_bounded(void **state)
{
    (void)state;
    (void)rendered(1);
    for (int i = 0; i <= FB_MAX_RESTARTS; i++) {
        struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
        enum fb_status s = fb_queue_restart(q.r, "a", &up, &q.err);
        if (i == FB_MAX_RESTARTS) {
            struct fb_error why = reason(FB_CORRUPT, "again and again");
            assert_status(FB_CORRUPT, s);
            assert_status(FB_OK, fb_queue_bury(q.r, "a", &up, &why, NULL, &q.err)); /* still ours */
            break;
        }
        assert_status(FB_OK, s);
        struct fb_claim render = take(FB_STAGE_RENDER, "a");
        assert_status(FB_OK, advance("a", &render, FB_STAGE_UPLOAD));
    }
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 1);
}

static void a_finished_branch_is_neither_retried_nor_held(void **state)
{
    (void)state;
    (void)rendered(1);
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    assert_status(FB_OK, fb_queue_add(q.r, &up.job, NULL, &q.err));
    assert_status(FB_OK, fb_queue_add(q.r, &up.job, NULL, &q.err));
    struct fb_claim twins[2];
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "b", twins, 2), 2);
    assert_status(FB_OK, advance("a", &up, FB_STAGE_REWRITE));
    struct fb_claim re = take(FB_STAGE_REWRITE, "a");
    bool last = false;
    assert_status(FB_OK, finish("a", &re, &last));
    assert_true(last);
    struct fb_error why = reason(FB_NOT_FOUND, "the plan is gone");
    assert_status(FB_EXISTS, fb_queue_bury(q.r, "b", &twins[0], &why, NULL, &q.err));
    assert_status(FB_EXISTS, fb_queue_retry(q.r, "b", &twins[1], 0, &why, NULL, &q.err));
    struct fb_queue_stats s = stats(FB_STAGE_UPLOAD);
    assert_int_equal(s.waiting + s.inflight + s.delayed + s.dead, 0);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(restart_renders_again_and_spares_finished_branches),
        PROMISE(every_order_of_restarts_ends_each_branch_once),
        PROMISE(restarts_of_a_branch_are_bounded),
        PROMISE(a_finished_branch_is_neither_retried_nor_held),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
