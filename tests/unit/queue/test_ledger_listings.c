/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings of the ledger: messages by time and by address, over all shards.
 */
#include "tests/unit/queue/letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/search.h"

/* A listing goes by the time in the id. */
static void come_at(struct letter *l, int64_t ms)
{
    uint8_t bytes[FB_ID_BYTES];
    fb_id_pack(l->job.msg_id, bytes);
    for (int i = 0; i < 6; i++) {
        bytes[i] = (uint8_t)((uint64_t)ms >> (40 - 8 * i));
    }
    fb_id_unpack(bytes, l->job.msg_id);
    l->job.first_ms = ms;
}

static void add_name(void *ctx, const struct fb_ledger_message *m)
{
    (void)collect(ctx, m->msg_id);
}

/* Page by page: each ends early where the machine is slow. */
static struct names list(struct fb_redis *r, const char *sender, const char *recipient,
                         int64_t since_ms, int64_t until_ms, size_t limit)
{
    struct names n = {.max = limit};
    struct fb_search_end end = {.is_cut = false};
    struct fb_search s = {
        .sender = sender, .recipient = recipient, .since_ms = since_ms, .until_ms = until_ms};
    do {
        s.limit = limit - n.count;
        assert_status(FB_OK, fb_ledger_search(r, &s, add_name, &n, &end, &q.err));
    } while (n.count < limit && end.next[0] != '\0' && fb_search_cursor(end.next, &s));
    return n;
}

static void listings_are_newest_first_and_by_address(void **state)
{
    (void)state;
    struct letter *l[3];
    for (int i = 0; i < 3; i++) {
        l[i] = letter_new(i == 1 ? 2 : 1, 0);
        come_at(l[i], l[i]->job.first_ms + i * 10);
        accept_letter(l[i]);
    }
    int64_t now = fb_now_ms() + 1000;
    struct names n = list(q.r, NULL, NULL, 0, now, 10);
    assert_int_equal(n.count, 3);
    assert_string_equal(n.ids[0], l[2]->job.msg_id);
    assert_string_equal(n.ids[2], l[0]->job.msg_id);
    n = list(q.r, NULL, "USER1@example.com", 0, now, 10);
    assert_int_equal(n.count, 1);
    assert_string_equal(n.ids[0], l[1]->job.msg_id);
    n = list(q.r, "sender@example.jp", NULL, 0, l[1]->job.first_ms, 10);
    assert_int_equal(n.count, 2);
    n = list(q.r, NULL, NULL, 0, now, 2); /* limit keeps the newest */
    assert_int_equal(n.count, 2);
    assert_string_equal(n.ids[0], l[2]->job.msg_id);
    n = (struct names){.max = 16};
    assert_status(FB_OK, fb_ledger_stuck(q.r, now, 10, collect, &n, &q.err));
    assert_int_equal(n.count, 3);
    for (int i = 0; i < 3; i++) {
        letter_free(l[i]);
    }
}

static void listings_merge_shards(void **state)
{
    (void)state;
    struct fb_config config = q.redis.config;
    config.redis.shards = 4;
    struct fb_redis *wide = NULL;
    assert_status(FB_OK, fb_redis_new(&config, 20000, &wide, &q.err));
    assert_status(FB_OK, fb_queue_prepare(wide, &q.err));
    char want[12][FB_ID_SIZE];
    for (int i = 0; i < 12; i++) {
        struct letter *l = letter_new(1, 0);
        struct fb_ops *ops = fb_ops_new();
        enum fb_status s = FB_BUG;
        come_at(l, 1000000 + i);
        memcpy(want[i], l->job.msg_id, FB_ID_SIZE);
        fb_ledger_accepted(wide, ops, &l->job, &l->envelope, 1, TTL_MS);
        const struct fb_ops *list[1] = {ops};
        assert_status(FB_OK, fb_queue_enqueue(wide, &l->job, list, 1, &s, &q.err));
        assert_status(FB_OK, s);
        fb_ops_free(&ops);
        letter_free(l);
    }
    struct names n = list(wide, NULL, NULL, 0, 2000000, 7);
    assert_int_equal(n.count, 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(n.ids[i], want[11 - i]);
    }
    fb_redis_free(&wide);
}

static void a_listing_goes_through_years_by_hours_and_periods(void **state)
{
    (void)state;
    char ids[30][FB_ID_SIZE];
    int64_t from = fb_now_ms() - 30 * 20 * DAY_MS;
    for (int i = 0; i < 30; i++) { /* every 20 days */
        struct letter *l = letter_new(1, 0);
        come_at(l, from + i * 20 * DAY_MS);
        memcpy(ids[i], l->job.msg_id, FB_ID_SIZE);
        accept_letter(l);
        letter_free(l);
    }
    static const char *const whose[][2] = {
        {NULL, NULL}, {"sender@example.jp", NULL}, {NULL, "user0@example.com"}};
    for (size_t who = 0; who < 3; who++) {
        struct names n = list(q.r, whose[who][0], whose[who][1], 0, INT64_MAX / 4, 7);
        assert_int_equal(n.count, 7);
        for (int i = 0; i < 7; i++) {
            assert_string_equal(n.ids[i], ids[29 - i]);
        }
        n = list(q.r, whose[who][0], whose[who][1], from + 3 * 20 * DAY_MS, from + 6 * 20 * DAY_MS,
                 10);
        assert_int_equal(n.count, 4); /* both ends are in */
        assert_string_equal(n.ids[0], ids[6]);
        assert_string_equal(n.ids[3], ids[3]);
    }
}

static void listings_of_older_programs_are_read_with_the_new_ones(void **state)
{
    (void)state;
    struct letter *l = letter_new(1, 0);
    free(l->envelope.reverse_path);
    l->envelope.reverse_path =
        strdup("user0@example.com"); /* to himself: listed twice, told once */
    accept_letter(l);
    struct fb_job old = render_job();
    char at[24];
    (void)snprintf(at, sizeof at, "%lld", (long long)l->job.first_ms - 5000);
    char record[64];
    (void)snprintf(record, sizeof record, "fb:{s0}:m:%s", old.msg_id);
    assert_int_equal(redis_fixture_int(&q.redis, "HSET", record, "at", at, "from",
                                       "user0@example.com", "r:0", "user0@example.com", NULL),
                     3);
    static const char *const keys[] = {"fb:{s0}:t", "fb:{s0}:a:user0@example.com"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(redis_fixture_int(&q.redis, "ZADD", keys[i], at, old.msg_id, NULL), 1);
    }
    static const char *const whose[][2] = {
        {NULL, NULL}, {"user0@example.com", NULL}, {NULL, "user0@example.com"}};
    for (size_t who = 0; who < 3; who++) {
        struct names n = list(q.r, whose[who][0], whose[who][1], 0, INT64_MAX / 4, 10);
        assert_int_equal(n.count, 2);
        assert_string_equal(n.ids[0], l->job.msg_id);
        assert_string_equal(n.ids[1], old.msg_id);
    }
    letter_free(l);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(listings_are_newest_first_and_by_address),
        PROMISE(listings_merge_shards),
        PROMISE(a_listing_goes_through_years_by_hours_and_periods),
        PROMISE(listings_of_older_programs_are_read_with_the_new_ones),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
