/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: listed, tried again, replaced, dropped; each at most once.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    struct fb_dead items[8];
    size_t count, stop_at;
};

static bool see(void *ctx, const struct fb_dead *d)
{
    struct seen *s = ctx;
    s->items[s->count++] = *d;
    return s->count < s->stop_at;
}

static struct seen *list(size_t stop_at)
{
    struct seen *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->stop_at = stop_at;
    assert_status(FB_OK, fb_dead_list(q.r, see, s, &q.err));
    return s;
}

static struct fb_job buried(enum fb_status status, const char *why)
{
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_error reason = {.status = FB_OK};
    claim.job.attempt = 7;
    (void)fb_error_set(&reason, status, "%s", why);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_held(q.r, ops, job.msg_id, 0, &reason);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, ops, &q.err));
    fb_ops_free(&ops);
    return job;
}

static void the_list_tells_what_died_and_why(void **state)
{
    (void)state;
    struct fb_job first = buried(FB_DENIED, "policy says no");
    (void)buried(FB_TOO_BIG, "2 GiB");
    struct seen *s = list(8);
    assert_int_equal(s->count, 2);
    assert_string_equal(s->items[0].job.msg_id, first.msg_id);
    assert_string_equal(s->items[0].reason, "policy says no");
    assert_string_equal(s->items[0].status, "denied");
    assert_int_equal(s->items[0].job.attempt, 7);
    assert_in_range(s->items[0].died_ms, fb_now_ms() - 60000, fb_now_ms() + 1000);
    assert_true(strncmp(s->items[0].id, "s0-", 3) == 0);
    struct fb_dead one;
    assert_status(FB_OK, fb_dead_get(q.r, s->items[1].id, &one, &q.err));
    assert_string_equal(one.reason, "2 GiB");
    free(s);
    s = list(1); /* stops when told */
    assert_int_equal(s->count, 1);
    free(s);
}

static void retry_starts_over_and_only_once(void **state)
{
    (void)state;
    struct fb_job job = buried(FB_DENIED, "x");
    assert_true(message_has(job.msg_id, "h:0"));
    struct seen *s = list(8);
    assert_status(FB_OK, fb_dead_retry(q.r, s->items[0].id, &q.err));
    assert_status(FB_NOT_FOUND, fb_dead_retry(q.r, s->items[0].id, &q.err));
    free(s);
    assert_int_equal(stats(FB_STAGE_RENDER).dead, 0);
    assert_false(message_has(job.msg_id, "h:0"));
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    assert_string_equal(claim.job.msg_id, job.msg_id);
    assert_int_equal(claim.job.attempt, 0);
}

static void replace_puts_another_job_with_its_ledger_change(void **state)
{
    (void)state;
    struct fb_job job = buried(FB_DENIED, "x");
    struct seen *s = list(8);
    struct fb_job untouched = s->items[0].job;
    untouched.stage = FB_STAGE_REWRITE;
    untouched.attempt = 0;
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_force(q.r, ops, job.msg_id, UINT32_MAX, "deliver");
    struct fb_job other = render_job();
    assert_status(FB_BUG, fb_dead_replace(q.r, s->items[0].id, &other, NULL, &q.err));
    assert_status(FB_OK, fb_dead_replace(q.r, s->items[0].id, &untouched, ops, &q.err));
    assert_status(FB_NOT_FOUND, fb_dead_replace(q.r, s->items[0].id, &untouched, ops, &q.err));
    fb_ops_free(&ops);
    free(s);
    assert_int_equal(take(FB_STAGE_REWRITE, "postman").job.letter, FB_LETTER_HELD);
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    char what[16];
    assert_status(FB_OK, fb_ledger_forced(q.r, job.msg_id, 0, what, &q.err));
    assert_string_equal(what, "deliver");
    bool last = false; /* render never ran: this is all there is */
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, NULL, &last, &q.err));
    assert_true(last);
}

static void old_ones_expire(void **state)
{
    (void)state;
    bool is_late = true; /* this machine stood still, and the new one is an old one too */
    for (int tries = 0; is_late; tries++) {
        assert_true(tries < 20);
        (void)buried(FB_DENIED, "old");
        pause_ms(1100);
        int64_t before = fb_mono_ms();
        (void)buried(FB_DENIED, "new");
        assert_status(FB_OK, fb_dead_expire(q.r, 3600000, &q.err));
        assert_int_equal(stats(FB_STAGE_RENDER).dead, 2);
        assert_status(FB_OK, fb_dead_expire(q.r, 1000, &q.err));
        struct seen *s = list(8);
        is_late = fb_mono_ms() - before >= 1000;
        assert_true(is_late || (s->count == 1 && strcmp(s->items[0].reason, "new") == 0));
        assert_true(is_late || stats(FB_STAGE_RENDER).dead == 1);
        free(s);
        assert_status(FB_OK, fb_dead_expire(q.r, 0, &q.err));
    }
}

static void odd_ids_are_not_found(void **state)
{
    (void)state;
    static const char *const ids[] = {"",        "1-1",        "s0",     "s0-",
                                      "s0-1",    "s1-1-1",     "s-1-1",  "s0-x-1",
                                      "s0-1-1x", "s99999-1-1", "s0-1-1", "s123456-1-1"};
    struct fb_dead d;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_status(FB_NOT_FOUND, fb_dead_get(q.r, ids[i], &d, &q.err));
        assert_status(FB_NOT_FOUND, fb_dead_retry(q.r, ids[i], &q.err));
    }
}

static void an_unreadable_letter_is_shown_but_not_tried_again(void **state)
{
    (void)state;
    (void)redis_fixture_int(&q.redis, "XADD", "fb:{s0}:upload", "*", "j", "rubbish", "f", "1",
                            NULL);
    struct fb_claim claim;
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", &claim, 1), 0);
    struct seen *s = list(8);
    assert_int_equal(s->count, 1);
    assert_string_equal(s->items[0].job.msg_id, "");
    assert_int_equal(s->items[0].job.stage, FB_STAGE_UPLOAD);
    assert_status(FB_INVALID, fb_dead_retry(q.r, s->items[0].id, &q.err));
    assert_status(FB_OK, fb_dead_expire(q.r, 0, &q.err));
    free(s);
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:dead", NULL), 0);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(the_list_tells_what_died_and_why),
        PROMISE(retry_starts_over_and_only_once),
        PROMISE(replace_puts_another_job_with_its_ledger_change),
        PROMISE(old_ones_expire),
        PROMISE(odd_ids_are_not_found),
        PROMISE(an_unreadable_letter_is_shown_but_not_tried_again),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
