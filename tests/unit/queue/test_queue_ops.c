/* SPDX-License-Identifier: Apache-2.0
 *
 * Ledger changes: what is allowed, how large, and that they run with the step.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum fb_status encode(struct fb_ops **ops)
{
    struct fb_buf out;
    fb_buf_init(&out, 64U << 20);
    enum fb_status s = fb_ops_encode(*ops, &out, &q.err);
    fb_buf_deinit(&out);
    fb_ops_free(ops);
    return s;
}

static void only_harmless_commands_on_our_keys_are_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *command, *key;
        enum fb_status want;
    } rows[] = {
        {"HSET", "fb:{s0}:m:x", FB_OK},
        {"EXPIRE", "fb:{s0}:m:x", FB_OK},
        {"XADD", "fb:{s1}:q", FB_OK},
        {"FLUSHALL", "fb:{s0}:m:x", FB_BUG},
        {"EVAL", "fb:{s0}:m:x", FB_BUG},
        {"hset", "fb:{s0}:m:x", FB_BUG},
        {"SET", "fb:{s0}:m:x", FB_BUG},
        {"CONFIG", "fb:{s0}:x", FB_BUG},
        {"XACK", "fb:{s0}:q", FB_BUG},
        {"HSET", "other", FB_BUG},
        {"HSET", "", FB_BUG},
        {"HSET", "fb:policy", FB_BUG},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_ops *ops = fb_ops_new();
        fb_ops_add(ops, rows[i].command, rows[i].key, "a", "b", NULL);
        enum fb_status s = encode(&ops);
        if (s != rows[i].want) {
            fail_msg("%s %s: got %s", rows[i].command, rows[i].key, fb_status_name(s));
        }
    }
}

static void a_bad_change_stops_the_step(void **state)
{
    (void)state;
    (void)enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_job next;
    fb_job_follow(&claim, FB_STAGE_REWRITE, 0, &next);
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add(ops, "HSET", "fb:{s0}:ok", "a", "b", NULL);
    fb_ops_add(ops, "FLUSHALL", "fb:{s0}:m", NULL);
    assert_status(FB_BUG, fb_queue_advance(q.r, "a", &claim, &next, 1, ops, &q.err));
    fb_ops_free(&ops);
    ops = fb_ops_new(); /* the only one in the list */
    fb_ops_add(ops, "FLUSHALL", "fb:{s0}:m", NULL);
    assert_status(FB_BUG, fb_queue_advance(q.r, "a", &claim, &next, 1, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(redis_fixture_int(&q.redis, "EXISTS", "fb:{s0}:ok", NULL), 0);
    assert_int_equal(stats(FB_STAGE_RENDER).inflight, 1);
}

static void long_lists_are_cut_into_commands_that_lua_can_call(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct fb_slice *args = calloc(2 * N, sizeof(*args));
    char(*names)[16] = calloc(N, sizeof(*names));
    assert_non_null(args);
    assert_non_null(names);
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "r:%d", i);
        args[2 * i] = args[2 * i + 1] = fb_slice_str(names[i]);
    }
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add_slices(ops, "HSET", "fb:{s0}:big", args, 2 * N);
    fb_ops_add_slices(ops, "SADD", "fb:{s0}:none", args, 0); /* nothing to add is no error */
    assert_int_equal(fb_ops_count(ops), 2 * N / 500);
    struct fb_job job = render_job();
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(redis_fixture_int(&q.redis, "HLEN", "fb:{s0}:big", NULL), N);
    free(args);
    free(names);
}

static void many_keys_are_declared_once_each(void **state)
{
    (void)state;
    struct fb_ops *ops = fb_ops_new();
    for (int i = 0; i < 20000; i++) {
        char key[48];
        (void)snprintf(key, sizeof(key), "fb:{s0}:a:user%d@example.jp", i % 5000);
        fb_ops_add(ops, "ZADD", key, "1", "m", NULL);
    }
    const char *const *keys = NULL;
    assert_int_equal(fb_ops_keys(ops, &keys), 5000);
    assert_string_equal(keys[4999], "fb:{s0}:a:user4999@example.jp");
    struct fb_job job = render_job();
    job.stage = FB_STAGE_REVOKE;
    job.op = FB_REVOKE_RECALL;
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:a:user77@example.jp", NULL), 1);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct fb_slice big = {.len = 17U << 20};
    uint8_t *bytes = calloc(1, big.len);
    assert_non_null(bytes);
    big.ptr = bytes;
    struct fb_ops *ops = fb_ops_new();
    fb_ops_add_slices(ops, "SADD", "fb:{s0}:x", &big, 1);
    fb_ops_add_slices(ops, "SADD", "fb:{s0}:x", &big, 1);
    fb_ops_add(ops, "SADD", "fb:{s0}:x", "small", NULL);
    assert_status(FB_TOO_BIG, encode(&ops));
    free(bytes);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(only_harmless_commands_on_our_keys_are_allowed),
        PROMISE(a_bad_change_stops_the_step),
        PROMISE(long_lists_are_cut_into_commands_that_lua_can_call),
        PROMISE(many_keys_are_declared_once_each),
        PROMISE(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
