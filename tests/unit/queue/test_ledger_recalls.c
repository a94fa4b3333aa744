/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of a recall: what was asked, what is left to do, what failed, what the sender was told;
 * each exactly once, however often a step comes.
 */
#include "tests/unit/queue/queue_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message of n recipients: the first half passed on (branch 0), the others in a parcel (1). */
static struct fb_job planned(int n)
{
    struct fb_job job = rendered(2);
    char key[64], value[64], parcel[FB_PARCEL_ID_SIZE];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job.msg_id);
    fb_parcel_id_make(job.msg_id, 1, parcel);
    (void)snprintf(value, sizeof(value), "secure|%s|rule", parcel);
    assert_true(redis_fixture_int(&q.redis, "HSET", key, "branches", "2", "b:0", "pass||", "bs:0",
                                  "rendered", "b:1", value, "bs:1", "rendered", NULL) >= 0);
    for (int i = 0; i < n; i++) {
        char r[16], b[16];
        (void)snprintf(r, sizeof(r), "r:%d", i);
        (void)snprintf(b, sizeof(b), "i:%d", i);
        assert_true(redis_fixture_int(&q.redis, "HSET", key, r, "a@example.jp", b,
                                      i < n / 2 ? "0" : "1", NULL) >= 0);
    }
    return job;
}

static void parcel_is_up(const char *msg_id)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", msg_id);
    assert_true(redis_fixture_int(&q.redis, "HSET", key, "u:1", "5", NULL) >= 0);
}

static struct fb_recall_request request(const uint32_t *recipients, size_t count)
{
    return (struct fb_recall_request){.recipients = recipients,
                                      .count = count,
                                      .actor = "boss@example.jp",
                                      .source = "portal",
                                      .reason = "宛先を間違えました"};
}

static struct fb_recall *list_of(const char *msg_id, size_t want)
{
    struct fb_recall *list = NULL;
    size_t count = 99;
    assert_status(FB_OK, fb_ledger_recalls(q.r, msg_id, &list, &count, &q.err));
    assert_int_equal(count, want);
    return list;
}

static uint32_t jobs_left(const char *msg_id)
{
    struct fb_recall *list = list_of(msg_id, 1);
    uint32_t n = list[0].jobs_left;
    fb_recalls_free(list, 1);
    return n;
}

static bool report_is_due(const char *msg_id, const char *recall_id, int64_t until_ms)
{
    struct fb_due_item items[4];
    size_t count = 0;
    char id[64];
    (void)snprintf(id, sizeof(id), "%s/%s", msg_id, recall_id);
    assert_status(FB_OK, fb_ledger_due_take(q.r, 0, until_ms, 0, 4, items, &count, &q.err));
    return count == 1 && items[0].kind == FB_DUE_REPORT && strcmp(items[0].id, id) == 0;
}

/* Ends the claim as revoke does. */
static enum fb_status done(const struct fb_claim *claim)
{
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_recall_job_done(q.r, ops, &claim->job);
    enum fb_status s = fb_queue_advance(q.r, "a", claim, NULL, 0, ops, &q.err);
    fb_ops_free(&ops);
    return s;
}

static void bury(const struct fb_claim *claim, const char *why)
{
    struct fb_error reason = {.status = FB_OK};
    (void)fb_error_set(&reason, FB_DENIED, "%s", why);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_recall_job_failed(q.r, ops, &claim->job, &reason);
    assert_status(FB_OK, fb_queue_bury(q.r, "a", claim, &reason, ops, &q.err));
    fb_ops_free(&ops);
}

static void what_was_asked_is_kept(void **state)
{
    (void)state;
    struct fb_job job = planned(4);
    const uint32_t some[] = {1, 3};
    struct fb_recall_request one = request(some, 2);
    struct fb_recall_request all = request(NULL, 0);
    one.takes_content = true;
    all.reason = NULL;
    all.source = "fumibako";
    int64_t before = fb_now_ms();
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &one, NULL, &q.err));
    pause_ms(2);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &all, NULL, &q.err));
    assert_true(fb_id_is_valid(one.id) && fb_id_is_valid(all.id));
    struct fb_recall *list = list_of(job.msg_id, 2);
    assert_string_equal(list[0].id, one.id);
    assert_true(list[0].at_ms >= before && list[0].at_ms <= fb_now_ms());
    assert_string_equal(list[0].actor, "boss@example.jp");
    assert_string_equal(list[0].source, "portal");
    assert_string_equal(list[0].reason, "宛先を間違えました");
    assert_true(list[0].takes_content && !list[0].is_all);
    assert_int_equal(list[0].count, 2);
    assert_int_equal(list[0].recipients[0], 1);
    assert_int_equal(list[0].recipients[1], 3);
    assert_int_equal(list[0].jobs_left, 2); /* one a branch */
    assert_string_equal(list[0].told, "");
    assert_false(list[0].has_failed);
    assert_true(list[1].is_all && !list[1].takes_content);
    assert_string_equal(list[1].reason, "");
    assert_string_equal(list[1].source, "fumibako");
    fb_recalls_free(list, 2);
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:rc:%s", job.msg_id);
    assert_true(redis_fixture_int(&q.redis, "TTL", key, NULL) > 399 * 86400);
}

static void the_same_id_again_starts_nothing(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    struct fb_claim claims[8];
    const uint32_t both[] = {0, 1};
    bool out[2] = {true, true};
    struct fb_recall_request r = request(both, 2);
    fb_id_new(r.id);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, out, &q.err));
    assert_true(!out[0] && !out[1]);
    long long at = message_field(job.msg_id, "x:0");
    pause_ms(3);
    for (int i = 0; i < 3; i++) {
        out[0] = true;
        assert_status(FB_EXISTS, fb_ledger_recall(q.r, job.msg_id, &r, out, &q.err));
        assert_false(out[0]);
    }
    assert_int_equal(message_field(job.msg_id, "x:0"), at);
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 8), 2);
    assert_string_equal(claims[0].job.recall_id, r.id);
    assert_int_equal(jobs_left(job.msg_id), 2);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:due", NULL), 1);
    assert_status(FB_EXISTS, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
}

static void every_recipient_is_in_a_job_at_once(void **state)
{
    (void)state;
    struct fb_claim claims[4];
    /* Nothing is planned. */
    struct fb_job job = enqueue();
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:m:%s", job.msg_id);
    assert_true(redis_fixture_int(&q.redis, "HSET", key, "r:0", "a", "r:1", "b", NULL) >= 0);
    const uint32_t second[] = {1};
    struct fb_recall_request r = request(second, 1);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 1);
    assert_int_equal(claims[0].job.branch, 0);
    assert_int_equal(claims[0].job.recipient_count, 1);
    assert_int_equal(claims[0].job.recipients[0], 1);
    struct fb_recall_request all = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &all, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 1);
    assert_int_equal(claims[0].job.branch, 0);
    assert_int_equal(claims[0].job.recipient_count, 0);
    /* Planned, no parcel yet: at once, and once more behind the upload. */
    job = planned(2);
    struct fb_recall_request later = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &later, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 2);
    assert_true(message_has(job.msg_id, "v:1:0"));
    assert_false(message_has(job.msg_id, "v:0:0")); /* a mail that is passed on has no upload */
    assert_int_equal(jobs_left(job.msg_id), 2);
    /* The parcel is there. */
    job = planned(2);
    parcel_is_up(job.msg_id);
    struct fb_recall_request now = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &now, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 2);
    assert_false(message_has(job.msg_id, "v:1:0"));
}

static void jobs_are_counted_down_exactly_once(void **state)
{
    (void)state;
    struct fb_job job = planned(4);
    struct fb_claim claims[4];
    parcel_is_up(job.msg_id);
    struct fb_recall_request r = request(NULL, 0);
    int64_t before = fb_now_ms();
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 2);
    assert_false(report_is_due(job.msg_id, r.id, before));
    assert_true(report_is_due(job.msg_id, r.id, fb_now_ms() + 6000)); /* whatever revoke does */
    assert_status(FB_OK, done(&claims[0]));
    assert_true(report_is_due(job.msg_id, r.id, fb_now_ms()));
    assert_int_equal(jobs_left(job.msg_id), 1);
    assert_status(FB_LOST, done(&claims[0])); /* its answer was lost, it is sent again */
    assert_int_equal(jobs_left(job.msg_id), 1);
    /* The job comes again as a whole, as after a crash of Redis or by an operator's retry. */
    assert_status(FB_OK, fb_queue_add(q.r, &claims[0].job, NULL, &q.err));
    struct fb_claim again = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, done(&again));
    assert_int_equal(jobs_left(job.msg_id), 1);
    assert_status(FB_OK, done(&claims[1]));
    assert_int_equal(jobs_left(job.msg_id), 0);
}

static void the_copy_behind_the_upload_counts_as_the_same_job(void **state)
{
    (void)state;
    struct fb_job job = planned(4);
    struct fb_claim claims[4];
    const uint32_t last[] = {3};
    struct fb_recall_request r = request(last, 1);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    struct fb_claim early = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, done(&early));
    assert_int_equal(jobs_left(job.msg_id), 0);
    assert_int_equal(take_all(FB_STAGE_UPLOAD, "a", claims, 4), 2);
    struct fb_job next;
    const struct fb_claim *up = claims[0].job.branch == 1 ? &claims[0] : &claims[1];
    fb_job_follow(up, FB_STAGE_REWRITE, 1, &next);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", up, &next, 1, NULL, &q.err));
    struct fb_claim late = take(FB_STAGE_REVOKE, "a");
    assert_string_equal(late.job.recall_id, r.id);
    assert_int_equal(late.job.recipients[0], 3);
    assert_status(FB_OK, done(&late));
    assert_int_equal(jobs_left(job.msg_id), 0);
}

static void a_job_that_failed_is_known_until_it_is_mended(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    struct fb_claim claims[4];
    parcel_is_up(job.msg_id);
    struct fb_recall_request r = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 4), 2);
    assert_status(FB_OK, done(&claims[0]));
    bury(&claims[1], "the storage says \"no\"");
    assert_true(report_is_due(job.msg_id, r.id, fb_now_ms()));
    struct fb_recall *list = list_of(job.msg_id, 1);
    assert_int_equal(list[0].jobs_left, 0);
    assert_true(list[0].has_failed);
    assert_string_equal(list[0].failure, "the storage says \"no\"");
    fb_recalls_free(list, 1);
    assert_status(FB_OK, fb_queue_add(q.r, &claims[1].job, NULL, &q.err));
    struct fb_claim again = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, done(&again));
    list = list_of(job.msg_id, 1);
    assert_int_equal(list[0].jobs_left, 0);
    assert_false(list[0].has_failed);
    fb_recalls_free(list, 1);
}

static void what_the_sender_was_told_is_kept(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    struct fb_recall_request r = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    static const char *const words[] = {"interim", "final"};
    for (int i = 0; i < 2; i++) {
        struct fb_ops *ops = fb_ops_new();
        fb_ledger_recall_told(q.r, ops, job.msg_id, r.id, words[i]);
        struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
        assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, NULL, 0, ops, &q.err));
        fb_ops_free(&ops);
        struct fb_recall *list = list_of(job.msg_id, 1);
        assert_string_equal(list[0].told, words[i]);
        fb_recalls_free(list, 1);
    }
}

static void a_job_of_an_older_program_has_no_record(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    struct fb_job old = job;
    old.stage = FB_STAGE_REVOKE;
    old.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &old, NULL, &q.err));
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    assert_status(FB_OK, done(&claim));
    fb_recalls_free(list_of(job.msg_id, 0), 0);
    assert_int_equal(redis_fixture_int(&q.redis, "EXISTS", "fb:{s0}:due", NULL), 0);
}

static void what_is_too_much_is_refused(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    char key[64], reason[600];
    (void)snprintf(key, sizeof(key), "fb:{s0}:rc:%s", job.msg_id);
    memset(reason, 'r', sizeof reason);
    reason[FB_MAX_RECALL_REASON + 1] = '\0';
    struct fb_recall_request r = request(NULL, 0);
    r.reason = reason;
    assert_status(FB_INVALID, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    reason[FB_MAX_RECALL_REASON] = '\0';
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    struct fb_recall_request bad = request(NULL, 0);
    bad.reason = "caf\xe9";
    assert_status(FB_INVALID, fb_ledger_recall(q.r, job.msg_id, &bad, NULL, &q.err));
    struct fb_recall_request odd = request(NULL, 0);
    (void)snprintf(odd.id, sizeof odd.id, "%s", "../../x");
    assert_status(FB_INVALID, fb_ledger_recall(q.r, job.msg_id, &odd, NULL, &q.err));
    assert_true(redis_fixture_int(&q.redis, "HSET", key, "n", "200", NULL) >= 0);
    struct fb_recall_request more = request(NULL, 0);
    assert_status(FB_TOO_BIG, fb_ledger_recall(q.r, job.msg_id, &more, NULL, &q.err));
    fb_recalls_free(list_of(job.msg_id, 1), 1);
}

/* Before the upload each recall leaves a job for it; one too many must not push another out. */
static void recalls_before_the_upload_have_room_or_are_refused(void **state)
{
    (void)state;
    struct fb_job job = planned(2);
    const uint32_t last[] = {1};
    int good = 0;
    for (int i = 0; i < 60; i++) {
        struct fb_recall_request r = request(last, 1);
        enum fb_status s = fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err);
        assert_true(s == FB_OK || s == FB_TOO_BIG);
        good += s == FB_OK;
    }
    assert_int_equal(good, 41);
    assert_true(message_has(job.msg_id, "v:1:40"));
    assert_false(message_has(job.msg_id, "v:1:41"));
}

/* Ten thousand of them are ten jobs, and each is counted. */
static void a_large_recall_is_counted_by_its_jobs(void **state)
{
    (void)state;
    struct fb_job job = planned(6000);
    struct fb_claim *claims = calloc(8, sizeof *claims);
    uint32_t *some = calloc(5000, sizeof *some);
    assert_true(claims != NULL && some != NULL);
    for (uint32_t i = 0; i < 2999; i++) {
        some[i] = i + 3000; /* all of the parcel but one */
    }
    parcel_is_up(job.msg_id);
    struct fb_recall_request r = request(some, 2999);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_int_equal(take_all(FB_STAGE_REVOKE, "a", claims, 8), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(jobs_left(job.msg_id), 3 - i);
        assert_status(FB_OK, done(&claims[i]));
    }
    struct fb_recall *list = list_of(job.msg_id, 1);
    assert_int_equal(list[0].jobs_left, 0);
    assert_int_equal(list[0].count, 2999);
    assert_int_equal(list[0].recipients[2998], 5998);
    fb_recalls_free(list, 1);
    free(claims);
    free(some);
}

static void wait_for_replicas(long long want)
{
    static const char script[] =
        "return tonumber(string.match(redis.call('INFO', 'replication'), 'state=online') and "
        "string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)') or '0')";
    for (int i = 0; redis_fixture_int(&q.redis, "EVAL", script, "0", NULL) != want; i++) {
        assert_true(i < 300);
        pause_ms(50);
    }
}

/* What a fail-over could forget is said: a recall is believed done by whoever asked for it. */
static void without_a_replica_s_word_a_recall_is_unsure(void **state)
{
    (void)state;
    struct redis_fixture replica;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", q.redis.port);
    redis_fixture_start(&replica, 1);
    assert_int_equal(
        redis_fixture_int(&q.redis, "CONFIG", "SET", "repl-diskless-sync-delay", "0", NULL), 0);
    assert_int_equal(redis_fixture_int(&replica, "REPLICAOF", "127.0.0.1", port, NULL), 0);
    wait_for_replicas(1);
    struct fb_job job = planned(2);
    struct fb_recall_request r = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_false(r.is_unsure);
    char key[64];
    (void)snprintf(key, sizeof(key), "fb:{s0}:rc:%s", job.msg_id);
    assert_int_equal(redis_fixture_int(&replica, "HEXISTS", key, r.id, NULL), 1);

    assert_int_equal(kill(replica.pid, SIGSTOP), 0);
    job = planned(2);
    r = request(NULL, 0);
    int64_t before = fb_mono_ms();
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_true(r.is_unsure);
    assert_true(fb_mono_ms() - before < 15000); /* the caller is not kept for long */
    fb_recalls_free(list_of(job.msg_id, 1), 1); /* and it was not asked for twice */

    assert_int_equal(kill(replica.pid, SIGCONT), 0);
    pause_ms(100);
    assert_status(FB_EXISTS, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_false(r.is_unsure); /* also of what was written long before */
    redis_fixture_stop(&replica);
    wait_for_replicas(0);
    job = planned(2);
    r = request(NULL, 0);
    assert_status(FB_OK, fb_ledger_recall(q.r, job.msg_id, &r, NULL, &q.err));
    assert_false(r.is_unsure); /* no replica: no fail-over */
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(what_was_asked_is_kept),
        PROMISE(the_same_id_again_starts_nothing),
        PROMISE(every_recipient_is_in_a_job_at_once),
        PROMISE(jobs_are_counted_down_exactly_once),
        PROMISE(the_copy_behind_the_upload_counts_as_the_same_job),
        PROMISE(a_job_that_failed_is_known_until_it_is_mended),
        PROMISE(what_the_sender_was_told_is_kept),
        PROMISE(a_job_of_an_older_program_has_no_record),
        PROMISE(what_is_too_much_is_refused),
        PROMISE(recalls_before_the_upload_have_room_or_are_refused),
        PROMISE(a_large_recall_is_counted_by_its_jobs),
        PROMISE(without_a_replica_s_word_a_recall_is_unsure),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
