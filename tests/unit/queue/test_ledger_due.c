/* SPDX-License-Identifier: Apache-2.0
 *
 * What is due: nothing is lost, nothing is done twice at once, and a hundred thousand entries are
 * cheap.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 100000

static struct fb_due_item items[FB_MAX_DUE_TAKE];

static void commit(struct fb_ops **ops)
{
    struct fb_job job = render_job();
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, *ops, &q.err));
    fb_ops_free(ops);
}

static void add(enum fb_due kind, const char *id, int64_t at_ms)
{
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_due_add(q.r, ops, kind, id, at_ms);
    commit(&ops);
}

static size_t take_due(int64_t now_ms, int64_t again_ms, size_t max)
{
    size_t count = 99;
    assert_status(FB_OK, fb_ledger_due_take(q.r, 0, now_ms, again_ms, max, items, &count, &q.err));
    return count;
}

static void every_kind_comes_back_as_it_was_added(void **state)
{
    (void)state;
    char msg[FB_ID_SIZE], recall_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE], report[64];
    fb_id_new(msg);
    fb_id_new(recall_id);
    fb_parcel_id_make(msg, 12, parcel);
    (void)snprintf(report, sizeof report, "%s/%s", msg, recall_id);
    add(FB_DUE_REPORT, report, 400);
    add(FB_DUE_EXPIRE, parcel, 100);
    add(FB_DUE_UNOPENED, parcel, 300);
    add(FB_DUE_PURGE, parcel, 200);
    assert_int_equal(take_due(99, 1000, 10), 0);
    assert_int_equal(take_due(400, 1000, 10), 4);
    static const enum fb_due order[] = {FB_DUE_EXPIRE, FB_DUE_PURGE, FB_DUE_UNOPENED,
                                        FB_DUE_REPORT};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(items[i].kind, order[i]);
        assert_int_equal(items[i].at_ms, 100 * (i + 1));
        assert_string_equal(items[i].id, i == 3 ? report : parcel);
    }
}

static void what_was_taken_comes_again_until_it_is_removed(void **state)
{
    (void)state;
    char msg[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    uint64_t n = 0;
    int64_t at = 0;
    fb_id_new(msg);
    fb_parcel_id_make(msg, 0, parcel);
    add(FB_DUE_PURGE, parcel, 100);
    assert_int_equal(take_due(1000, 500, 10), 1);
    assert_int_equal(take_due(1000, 500, 10), 0); /* another process at the same time */
    assert_int_equal(take_due(1499, 500, 10), 0);
    assert_int_equal(take_due(1500, 500, 10), 1);
    assert_int_equal(items[0].at_ms, 1500);
    assert_status(FB_OK, fb_ledger_due_count(q.r, 2000, &n, &q.err));
    assert_int_equal(n, 1);
    assert_status(FB_OK, fb_ledger_due_oldest(q.r, 2100, &at, &q.err));
    assert_int_equal(at, 2000); /* when it comes up again: it was put off, and nobody removed it */
    assert_status(FB_OK, fb_ledger_due_oldest(q.r, 1999, &at, &q.err));
    assert_int_equal(at, 1999);
    add(FB_DUE_PURGE, parcel, 0);
    assert_status(FB_OK, fb_ledger_due_count(q.r, INT64_MAX / 2, &n, &q.err));
    assert_int_equal(n, 0);
    assert_int_equal(take_due(9000, 500, 10), 0);
}

static void entries_of_a_newer_program_are_left_to_it(void **state)
{
    (void)state;
    char msg[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    fb_id_new(msg);
    fb_parcel_id_make(msg, 0, parcel);
    assert_int_equal(
        redis_fixture_int(&q.redis, "ZADD", "fb:{s0}:due", "1", "audit:whatever", NULL), 1);
    assert_int_equal(redis_fixture_int(&q.redis, "ZADD", "fb:{s0}:due", "2", "report:x/y", NULL),
                     1);
    add(FB_DUE_EXPIRE, parcel, 3);
    assert_int_equal(take_due(10, 5, 10), 1);
    assert_string_equal(items[0].id, parcel);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:due", NULL), 3);
}

static void an_id_that_is_none_spoils_the_step(void **state)
{
    (void)state;
    static const struct {
        enum fb_due kind;
        const char *id;
    } rows[] = {{FB_DUE_EXPIRE, "x"},
                {FB_DUE_PURGE, ""},
                {FB_DUE_REPORT, "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
                {FB_DUE_REPORT, "01ARZ3NDEKTSV4RRFFQ69G5FAV-01ARZ3NDEKTSV4RRFFQ69G5FAV"},
                {FB_DUE_REPORT, "01ARZ3NDEKTSV4RRFFQ69G5FAV/01ARZ3NDEKTSV4RRFFQ69G5FA!"}};
    struct fb_job job = render_job();
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_ops *ops = fb_ops_new();
        fb_ledger_due_add(q.r, ops, rows[i].kind, rows[i].id, 5);
        assert_status(FB_BUG, fb_queue_add(q.r, &job, ops, &q.err));
        fb_ops_free(&ops);
    }
}

/* ---- many ---- */

static void fill(redisContext *c)
{
    char msg[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    for (int i = 0; i < MANY; i++) {
        fb_id_new(msg);
        fb_parcel_id_make(msg, 0, parcel);
        assert_int_equal(redisAppendCommand(c, "ZADD fb:{s0}:due %d %s%s", i + 1,
                                            i % 2 == 0 ? "" : "unopened:", parcel),
                         REDIS_OK);
    }
    for (int i = 0; i < MANY; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(c, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
}

/* What Redis worked so far; no call may keep it from the others. */
static int64_t redis_cpu_ms(void)
{
    static const char script[] =
        "local info = redis.call('INFO', 'cpu')\n"
        "return math.floor((string.match(info, 'used_cpu_user:([%d.]+)') +\n"
        "  string.match(info, 'used_cpu_sys:([%d.]+)')) * 1000)";
    return redis_fixture_int(&q.redis, "EVAL", script, "0", NULL);
}

static void a_hundred_thousand_due_entries_are_a_hundred_calls(void **state)
{
    (void)state;
    redisContext *c = redisConnect("127.0.0.1", q.redis.port);
    assert_non_null(c);
    fill(c);
    redisFree(c);
    int64_t start = fb_mono_ms();
    int64_t longest = 0;
    size_t sum = 0;
    int calls = 0;
    for (;; calls++) {
        int64_t before = redis_cpu_ms();
        size_t n = take_due(MANY, MANY, FB_MAX_DUE_TAKE);
        int64_t took = redis_cpu_ms() - before;
        longest = took > longest ? took : longest;
        if (n == 0) {
            break;
        }
        sum += n;
    }
    print_message("%zu entries in %d calls, %lld ms in all, %lld ms of Redis' work the longest\n",
                  sum, calls, (long long)(fb_mono_ms() - start), (long long)longest);
    assert_int_equal(sum, MANY);
    assert_int_equal(calls, MANY / FB_MAX_DUE_TAKE);
    assert_true(longest < 1000);
}

/* ---- two at once ---- */

struct taker {
    struct fb_redis *r;
    size_t sum;
    enum fb_status status;
};

static void *take_some(void *arg)
{
    struct taker *t = arg;
    struct fb_due_item *mine = calloc(50, sizeof *mine);
    size_t n = 1;
    while (mine != NULL && n > 0 && t->status == FB_OK) {
        t->status = fb_ledger_due_take(t->r, 0, MANY, MANY, 50, mine, &n, NULL);
        t->sum += t->status == FB_OK ? n : 0;
    }
    free(mine);
    return NULL;
}

static void two_processes_share_what_is_due(void **state)
{
    (void)state;
    struct taker takers[2] = {{.sum = 0}, {.sum = 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2000; i++) {
        char msg[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
        fb_id_new(msg);
        fb_parcel_id_make(msg, 0, parcel);
        assert_int_equal(redis_fixture_int(&q.redis, "ZADD", "fb:{s0}:due", "5", parcel, NULL), 1);
    }
    for (int i = 0; i < 2; i++) {
        takers[i].r = redis_fixture_connect(&q.redis);
        assert_int_equal(pthread_create(&threads[i], NULL, take_some, &takers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
        fb_redis_free(&takers[i].r);
        assert_int_equal(takers[i].status, FB_OK);
    }
    assert_int_equal(takers[0].sum + takers[1].sum, 2000);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(every_kind_comes_back_as_it_was_added),
        PROMISE(what_was_taken_comes_again_until_it_is_removed),
        PROMISE(entries_of_a_newer_program_are_left_to_it),
        PROMISE(an_id_that_is_none_spoils_the_step),
        PROMISE(two_processes_share_what_is_due),
        PROMISE(a_hundred_thousand_due_entries_are_a_hundred_calls),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
