/* SPDX-License-Identifier: Apache-2.0
 *
 * Letters to senders: jobs in the stream of rewrite that have no part in their branch's way.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/code.h"

static struct fb_job letter(enum fb_letter kind, const struct fb_job *about, uint32_t branch)
{
    struct fb_job job;
    fb_job_letter(kind, about, branch, &job);
    return job;
}

static struct fb_error why(enum fb_status status, const char *text)
{
    struct fb_error e = {.status = FB_OK};
    (void)fb_error_set(&e, status, "%s", text);
    return e;
}

static void to_rewrite(const struct fb_claim *up)
{
    struct fb_job next;
    fb_job_follow(up, FB_STAGE_REWRITE, up->job.branch, &next);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", up, &next, 1, NULL, &q.err));
}

static void a_letter_is_no_part_of_its_branch(void **state)
{
    (void)state;
    struct fb_job job = rendered(1);
    struct fb_job receipt = letter(FB_LETTER_RECEIPT, &job, 0);
    assert_status(FB_OK, fb_queue_add(q.r, &receipt, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(claim.job.letter, FB_LETTER_RECEIPT);
    assert_string_equal(claim.job.spool_ref, job.spool_ref);
    assert_string_equal(claim.job.trace, job.trace);
    bool last = true;
    assert_status(FB_OK, fb_queue_check(q.r, "a", &claim, &q.err));
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, NULL, &last, &q.err));
    assert_false(last);
    assert_false(message_has(job.msg_id, "d:rewrite:0"));
    assert_int_equal(message_field(job.msg_id, "left"), 1);
    /* And the branch goes its way; a letter that comes behind its end is still to be sent. */
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    to_rewrite(&up);
    struct fb_claim re = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(re.job.letter, FB_LETTER_NONE);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add_job(q.r, ops, &receipt);
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &re, ops, &last, &q.err));
    fb_ops_free(&ops);
    assert_true(last);
    claim = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(claim.job.letter, FB_LETTER_RECEIPT);
    assert_status(FB_OK, fb_queue_check(q.r, "a", &claim, &q.err));
    struct fb_error later = why(FB_NETWORK, "the relay is away");
    assert_status(FB_OK, fb_queue_retry(q.r, "a", &claim, 0, &later, NULL, &q.err));
    assert_false(message_has(job.msg_id, "e:rewrite:0"));
    size_t count = 0;
    assert_status(FB_OK, fb_queue_promote(q.r, FB_STAGE_REWRITE, 0, 10, &count, &q.err));
    assert_int_equal(count, 1);
    claim = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(claim.job.letter, FB_LETTER_RECEIPT);
    assert_int_equal(claim.job.attempt, 1);
    assert_status(FB_BUG, fb_queue_restart(q.r, "a", &claim, &q.err));
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, NULL, &last, &q.err));
    assert_false(last);
}

static void a_letter_as_next_job_counts_for_nothing(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct fb_claim render = take(FB_STAGE_RENDER, "a");
    struct fb_job next[3];
    fb_job_follow(&render, FB_STAGE_UPLOAD, 0, &next[0]);
    next[1] = letter(FB_LETTER_UNOPENED, &job, 0);
    next[2] = letter(FB_LETTER_UNOPENED, &job, 7);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &render, next, 3, NULL, &q.err));
    assert_int_equal(message_field(job.msg_id, "left"), 1);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 2);
}

static void jobs_beside_the_pipeline_are_added_in_one_step(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job jobs[3] = {letter(FB_LETTER_RECEIPT, &about, 0), about, about};
    jobs[1].stage = jobs[2].stage = FB_STAGE_REVOKE;
    jobs[1].op = FB_REVOKE_RECALL;
    fb_id_new(jobs[1].recall_id);
    jobs[2].op = FB_REVOKE_EXPIRE;
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", "fb:{s0}:t1", "f", "v", NULL);
    assert_status(FB_OK, fb_queue_add_many(q.r, jobs, 3, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(redis_fixture_int(&q.redis, "HEXISTS", "fb:{s0}:t1", "f", NULL), 1);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 1);
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(claim.job.op, FB_REVOKE_RECALL);
    assert_string_equal(claim.job.recall_id, jobs[1].recall_id);
    claim = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(claim.job.op, FB_REVOKE_EXPIRE);
    assert_string_equal(claim.job.recall_id, "");
    assert_status(FB_BUG, fb_queue_add_many(q.r, jobs, 0, NULL, &q.err));
    /* What cannot be read spoils the whole step. */
    jobs[2].msg_id[0] = '!';
    assert_status(FB_BUG, fb_queue_add_many(q.r, jobs, 3, NULL, &q.err));
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0);
}

static void only_what_is_beside_the_pipeline_is_a_change(void **state)
{
    (void)state;
    struct fb_job good = render_job();
    struct fb_job render = good;
    struct fb_job odd = good;
    good.stage = odd.stage = FB_STAGE_REVOKE;
    good.op = odd.op = FB_REVOKE_PURGE;
    odd.branch = 5000;
    const struct fb_job *const wrong[] = {&render, &odd};
    for (size_t i = 0; i < 2; i++) {
        struct fb_ops *ops = fb_ops_new();
        fb_ops_add_job(q.r, ops, &good);
        fb_ops_add_job(q.r, ops, wrong[i]);
        fb_ops_add_job(q.r, ops, &good);
        assert_status(FB_BUG, fb_queue_add(q.r, &good, ops, &q.err));
        fb_ops_free(&ops);
    }
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 0);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add_job(q.r, ops, &good);
    assert_status(FB_OK, fb_queue_add(q.r, &good, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(stats(FB_STAGE_REVOKE).waiting, 2);
    assert_int_equal(take(FB_STAGE_REVOKE, "a").job.op, FB_REVOKE_PURGE);
}

/* ---- what is held is told ---- */

static void expect_held_letter(const struct fb_job *job, uint32_t branch)
{
    struct fb_claim claim = take(FB_STAGE_REWRITE, "postman");
    assert_int_equal(claim.job.letter, FB_LETTER_HELD);
    assert_string_equal(claim.job.msg_id, job->msg_id);
    assert_string_equal(claim.job.spool_ref, job->spool_ref);
    assert_string_equal(claim.job.trace, job->trace);
    assert_int_equal(claim.job.branch, branch);
    assert_int_equal(claim.job.attempt, 0);
    assert_in_range(claim.job.first_ms, fb_now_ms() - 60000, fb_now_ms() + 1000);
    bool last = true;
    assert_status(FB_OK, fb_queue_finish(q.r, "postman", &claim, NULL, &last, &q.err));
    assert_false(last);
}

static bool take_id(void *ctx, const struct fb_dead *dead)
{
    (void)snprintf(ctx, 64, "%s", dead->id);
    return false;
}

static void who_sent_what_is_buried_gets_a_letter_once_a_stage(void **state)
{
    (void)state;
    struct fb_job job = rendered(2);
    struct fb_error reason = why(FB_DENIED, "the storage refuses it");
    struct fb_claim up = take(FB_STAGE_UPLOAD, "a");
    up.job.attempt = 5;
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &up, &reason, NULL, &q.err));
    expect_held_letter(&job, 0);
    /* The operator tries again in vain: the sender knows it already. */
    char id[64] = "";
    assert_status(FB_OK, fb_dead_list(q.r, take_id, id, &q.err));
    assert_status(FB_OK, fb_dead_retry(q.r, id, &q.err));
    struct fb_claim other = take(FB_STAGE_UPLOAD, "a"); /* branch 1 was first in the stream */
    up = take(FB_STAGE_UPLOAD, "a");
    assert_int_equal(up.job.branch, 0);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &up, &reason, NULL, &q.err));
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 0);
    /* Another branch, and the same one at another stage, are other news. */
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &other, &reason, NULL, &q.err));
    expect_held_letter(&job, 1);
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 2);
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 0);
}

static void what_is_no_mail_is_buried_in_silence(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job revoke = about;
    struct fb_job receipt = letter(FB_LETTER_RECEIPT, &about, 0);
    struct fb_error reason = why(FB_DENIED, "x");
    revoke.stage = FB_STAGE_REVOKE;
    revoke.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &revoke, NULL, &q.err));
    assert_status(FB_OK, fb_queue_add(q.r, &receipt, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    claim = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    /* Bytes that nobody can read are buried, too; whose they are is not known. */
    (void)redis_fixture_int(&q.redis, "XADD", "fb:{s0}:rewrite", "*", "j", "rubbish", "f", "1",
                            NULL);
    assert_int_equal(take_all(FB_STAGE_REWRITE, "a", &claim, 1), 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 2);
    assert_int_equal(stats(FB_STAGE_REVOKE).dead, 1);
}

/* A worker that dies with it again and again. */
static void crash(enum fb_stage stage)
{
    struct fb_claim claim;
    size_t count = 1;
    (void)take_all(stage, "crash", &claim, 1);
    for (int i = 0; i < 4 && count > 0; i++) {
        pause_ms(5);
        assert_status(FB_OK,
                      fb_queue_reap(q.r, stage, 0, "crash", 1, 2, 1, &claim, &count, &q.err));
    }
    assert_int_equal(count, 0);
}

static void the_sender_of_a_crash_loop_gets_a_letter_that_reads(void **state)
{
    (void)state;
    struct fb_job job = rendered(1);
    crash(FB_STAGE_UPLOAD);
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 1);
    expect_held_letter(&job, 0);
    job = enqueue();
    crash(FB_STAGE_RENDER);
    expect_held_letter(&job, 0);
    /* A job that went through cmsgpack must not have lost anything: large numbers, odd branches. */
    job = rendered(300);
    struct fb_claim *claims = fb_xcalloc(300, sizeof(*claims));
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", claims, 300), 300);
    to_rewrite(&claims[299]);
    crash(FB_STAGE_REWRITE);
    expect_held_letter(&job, 299);
    free(claims);
}

static void a_crash_loop_of_a_letter_leads_to_no_other(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job receipt = letter(FB_LETTER_RECEIPT, &about, 0);
    assert_status(FB_OK, fb_queue_add(q.r, &receipt, NULL, &q.err));
    crash(FB_STAGE_REWRITE);
    struct fb_job revoke = about;
    revoke.stage = FB_STAGE_REVOKE;
    revoke.op = FB_REVOKE_EXPIRE;
    assert_status(FB_OK, fb_queue_add(q.r, &revoke, NULL, &q.err));
    crash(FB_STAGE_REVOKE);
    (void)redis_fixture_int(&q.redis, "XADD", "fb:{s0}:render", "*", "j", "rubbish", "f", "1",
                            NULL);
    redisReply *reply = NULL; /* delivered, and its reader died before it could refuse it */
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, "XREADGROUP", "GROUP", FB_GROUP,
                                       "crash", "STREAMS", "fb:{s0}:render", ">", NULL));
    freeReplyObject(reply);
    struct fb_claim claim;
    size_t count = 0;
    pause_ms(5);
    assert_status(FB_OK,
                  fb_queue_reap(q.r, FB_STAGE_RENDER, 0, "crash", 1, 0, 1, &claim, &count, &q.err));
    assert_int_equal(stats(FB_STAGE_RENDER).dead, 1);
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting + stats(FB_STAGE_REWRITE).inflight, 0);
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 1);
}

/* ---- dead letters that are letters ---- */

static void a_dead_letter_that_is_a_letter_is_tried_again_or_dropped(void **state)
{
    (void)state;
    struct fb_job job = rendered(1);
    struct fb_job receipt = letter(FB_LETTER_RECEIPT, &job, 0);
    struct fb_error reason = why(FB_BUG, "it could not be composed");
    receipt.first_ms -= FB_LETTER_LIFE_MS;
    assert_status(FB_OK, fb_queue_add(q.r, &receipt, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    char id[64] = "";
    struct fb_dead dead;
    assert_status(FB_OK, fb_dead_list(q.r, take_id, id, &q.err));
    assert_status(FB_OK, fb_dead_get(q.r, id, &dead, &q.err));
    assert_int_equal(dead.job.letter, FB_LETTER_RECEIPT);
    /* There is no mail to release or to reject. */
    assert_status(FB_DENIED, fb_ledger_decide_held(q.r, &dead, "deliver", &q.err));
    assert_non_null(strstr(q.err.text, "a letter to the sender"));
    assert_non_null(strstr(q.err.text, "dead retry s0-"));
    assert_status(FB_DENIED, fb_ledger_decide_held(q.r, &dead, "reject", &q.err));
    assert_status(FB_OK, fb_dead_retry(q.r, id, &q.err));
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 0);
    claim = take(FB_STAGE_REWRITE, "a");
    assert_in_range(claim.job.first_ms, fb_now_ms() - 60000, fb_now_ms() + 1000); /* a new life */
    assert_status(FB_OK, fb_queue_bury(q.r, "a", &claim, &reason, NULL, &q.err));
    pause_ms(5);
    assert_status(FB_OK, fb_dead_expire(q.r, 1, &q.err));
    assert_int_equal(stats(FB_STAGE_REWRITE).dead, 0);
    assert_false(message_has(job.msg_id, "h:0")); /* the branch is not held for it */
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:open", NULL), 1);
}

/* ---- a reader's code ---- */

#define CODE_MSG    "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define CODE_PARCEL CODE_MSG "-3"
#define CODE_KEY    "fb:{s0}:pc:" CODE_PARCEL ".7"

/* As the door leaves it (door.h). */
static void put_code(int64_t until_ms)
{
    char until[24];
    (void)snprintf(until, sizeof until, "%lld", (long long)until_ms);
    (void)redis_fixture_int(&q.redis, "HSET", CODE_KEY, "code", "sealed", "to", "b@y.jp", "until",
                            until, "hash", "x", NULL);
}

static void a_code_is_sent_while_it_is_the_one_that_is_taken_at_the_door(void **state)
{
    (void)state;
    struct fb_ledger_code code;
    int64_t now = fb_now_ms();
    put_code(now + FB_DOOR_CODE_MS);
    assert_status(FB_OK, fb_ledger_code_send(q.r, CODE_PARCEL, 7, now, &q.err));
    assert_status(FB_INVALID, fb_ledger_code_send(q.r, "x", 7, now, &q.err));
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    assert_int_equal(claim.job.letter, FB_LETTER_CODE);
    assert_int_equal(claim.job.reader, 7);
    assert_int_equal(claim.job.branch, 3);
    assert_string_equal(claim.job.msg_id, CODE_MSG);
    assert_status(FB_OK, fb_ledger_code_get(q.r, &claim.job, now, &code, &q.err));
    assert_string_equal(code.sealed, "sealed");
    assert_string_equal(code.to, "b@y.jp");
    assert_int_equal(code.until_ms, now + FB_DOOR_CODE_MS);
    /* over */
    assert_status(FB_NOT_FOUND,
                  fb_ledger_code_get(q.r, &claim.job, now + FB_DOOR_CODE_MS, &code, &q.err));
    assert_string_equal(code.sealed, "");
    /* another one in its place */
    put_code(now + 1 + FB_DOOR_CODE_MS);
    assert_status(FB_NOT_FOUND, fb_ledger_code_get(q.r, &claim.job, now, &code, &q.err));
    /* locked, or one that is not to be sent */
    put_code(now + FB_DOOR_CODE_MS);
    (void)redis_fixture_int(&q.redis, "HDEL", CODE_KEY, "code", NULL);
    assert_status(FB_NOT_FOUND, fb_ledger_code_get(q.r, &claim.job, now, &code, &q.err));
    /* used */
    (void)redis_fixture_int(&q.redis, "DEL", CODE_KEY, NULL);
    assert_status(FB_NOT_FOUND, fb_ledger_code_get(q.r, &claim.job, now, &code, &q.err));
    bool last = true;
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, NULL, &last, &q.err));
    assert_false(last);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(a_letter_is_no_part_of_its_branch),
        PROMISE(a_letter_as_next_job_counts_for_nothing),
        PROMISE(jobs_beside_the_pipeline_are_added_in_one_step),
        PROMISE(only_what_is_beside_the_pipeline_is_a_change),
        PROMISE(who_sent_what_is_buried_gets_a_letter_once_a_stage),
        PROMISE(what_is_no_mail_is_buried_in_silence),
        PROMISE(the_sender_of_a_crash_loop_gets_a_letter_that_reads),
        PROMISE(a_crash_loop_of_a_letter_leads_to_no_other),
        PROMISE(a_dead_letter_that_is_a_letter_is_tried_again_or_dropped),
        PROMISE(a_code_is_sent_while_it_is_the_one_that_is_taken_at_the_door),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
