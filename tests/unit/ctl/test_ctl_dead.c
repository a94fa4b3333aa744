/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako dead release and reject, of one branch and of a whole message: the mark and the rewrite
 * job go in one step, and nobody else's branch is touched. */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/ctl/ctl.h"
#include "tests/unit/spool/fixture.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct fx *fx;

static int set_up(void **state)
{
    void *own = NULL;
    int rc = queue_test_wipe(state);
    if (rc == 0) {
        rc = fx_setup(&own);
        fx = own;
    }
    return rc;
}

static int tear_down(void **state)
{
    void *own = fx;
    int rc = fx_teardown(&own);
    return queue_test_close(state) != 0 ? -1 : rc;
}

static char spooled[FB_ID_SIZE]; /* the spool's own id of the mail, which the job does not have */

static void spool_mail(struct fb_job *job)
{
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 100, 1, "e", spooled, job->spool_ref);
    fb_spool_writer_free(&writer);
}

/* Two branches; the second one is held by upload. */
static struct fb_job held_branch(void)
{
    struct fb_job job = rendered(2);
    struct fb_claim claims[2];
    struct fb_error reason = {0};
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", claims, 2), 2);
    struct fb_claim *second = claims[0].job.branch == 1 ? &claims[0] : &claims[1];
    (void)fb_error_set(&reason, FB_DENIED, "the storage says no");
    spool_mail(&second->job);
    memcpy(job.spool_ref, second->job.spool_ref, sizeof job.spool_ref);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_held(q.r, ops, job.msg_id, 1, &reason);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", second, &reason, ops, &q.err));
    fb_ops_free(&ops);
    return job;
}

static struct fb_job held_whole(void)
{
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_error reason = {0};
    (void)fb_error_set(&reason, FB_TOO_BIG, "too deep");
    spool_mail(&claim.job);
    memcpy(job.spool_ref, claim.job.spool_ref, sizeof job.spool_ref);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    return job;
}

static bool take_id(void *ctx, const struct fb_dead *d)
{
    (void)snprintf(ctx, sizeof d->id, "%s", d->id);
    return true;
}

static int run(int (*command)(struct ctl *), bool is_json)
{
    char id[64] = "";
    char *words[] = {id};
    struct ctl c = {.config = &q.redis.config,
                    .redis = q.r,
                    .spool = fx->spool,
                    .is_json = is_json,
                    .words = words,
                    .word_count = 1};
    assert_status(FB_OK, fb_dead_list(q.r, take_id, id, &q.err));
    return command(&c);
}

static void assert_forced(const char *msg_id, uint32_t branch, const char *want)
{
    char what[16] = "";
    assert_status(FB_OK, fb_ledger_forced(q.r, msg_id, branch, what, &q.err));
    assert_string_equal(what, want);
}

static void a_held_branch_is_released_alone(void **state)
{
    (void)state;
    struct fb_job job = held_branch();
    assert_int_equal(run(ctl_dead_release, false), 0);
    assert_forced(job.msg_id, 1, "deliver");
    assert_forced(job.msg_id, 0, "");
    assert_false(message_has(job.msg_id, "h:1"));
    assert_int_equal(take(FB_STAGE_REWRITE, "a").job.letter, FB_LETTER_HELD);
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    assert_string_equal(claim.job.msg_id, job.msg_id);
    assert_string_equal(claim.job.spool_ref, job.spool_ref);
    assert_int_equal(claim.job.branch, 1);
    assert_int_equal(claim.job.attempt, 0);
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 0);
    assert_int_equal(run(ctl_dead_release, false), FB_EXIT_FAILED);
}

static void a_held_branch_is_rejected_alone(void **state)
{
    (void)state;
    struct fb_job job = held_branch();
    assert_int_equal(run(ctl_dead_reject, true), 0);
    assert_forced(job.msg_id, 1, "reject");
    assert_forced(job.msg_id, 0, "");
    assert_int_equal(take(FB_STAGE_REWRITE, "a").job.letter, FB_LETTER_HELD);
    assert_int_equal(take(FB_STAGE_REWRITE, "a").job.branch, 1);
}

static void what_was_held_before_its_plan_is_decided_as_a_whole(void **state)
{
    (void)state;
    struct fb_job job = held_whole();
    assert_int_equal(run(ctl_dead_release, true), 0);
    assert_forced(job.msg_id, UINT32_MAX, "deliver");
    assert_int_equal(take(FB_STAGE_REWRITE, "a").job.letter, FB_LETTER_HELD);
    assert_int_equal(take(FB_STAGE_REWRITE, "a").job.branch, 0);
}

static void a_mail_that_is_gone_is_not_said_to_go_on(void **state)
{
    (void)state;
    struct fb_job job = held_branch();
    assert_status(FB_OK, fb_spool_msg_erase(fx->spool, job.spool_ref, spooled, &q.err));
    assert_int_equal(run(ctl_dead_release, false), FB_EXIT_FAILED);
    assert_int_equal(run(ctl_dead_reject, true), FB_EXIT_FAILED);
    assert_forced(job.msg_id, 1, "");
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 1);
    assert_int_equal(run(ctl_dead_retry, false), 0);
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 0);
}

static void a_failed_recall_is_tried_again_or_given_up(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    struct fb_error reason = {0};
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    (void)fb_error_set(&reason, FB_DENIED, "no");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    assert_int_equal(run(ctl_dead_release, false), FB_EXIT_FAILED);
    assert_int_equal(stats(FB_STAGE_REVOKE).dead, 1);
    assert_int_equal(run(ctl_dead_retry, false), 0);
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 1);
    claim = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    assert_int_equal(run(ctl_dead_reject, true), 0);
    assert_int_equal(stats(FB_STAGE_REVOKE).dead, 0);
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0);
}

static void a_letter_to_a_sender_is_tried_again_or_given_up(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job job;
    struct fb_error reason = {0};
    fb_job_letter(FB_LETTER_RECEIPT, &about, 0, &job);
    assert_status(FB_OK, fb_queue_add(q.r, &job, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    (void)fb_error_set(&reason, FB_BUG, "no");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    assert_int_equal(run(ctl_dead_show, false), 0);
    assert_int_equal(run(ctl_dead_list, true), 0);
    assert_int_equal(run(ctl_dead_release, false), FB_EXIT_FAILED);
    assert_forced(job.msg_id, 0, "");
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 1);
    assert_int_equal(run(ctl_dead_retry, false), 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 0);
    claim = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(claim.job.letter, FB_LETTER_RECEIPT);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    assert_int_equal(run(ctl_dead_reject, true), 0);
    assert_forced(job.msg_id, 0, "");
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_held_branch_is_released_alone),
        TEST(a_held_branch_is_rejected_alone),
        TEST(what_was_held_before_its_plan_is_decided_as_a_whole),
        TEST(a_mail_that_is_gone_is_not_said_to_go_on),
        TEST(a_failed_recall_is_tried_again_or_given_up),
        TEST(a_letter_to_a_sender_is_tried_again_or_given_up),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
