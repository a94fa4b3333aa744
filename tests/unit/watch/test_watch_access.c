/* SPDX-License-Identifier: Apache-2.0
 *
 * The script that writes accesses: states go forward only, each event counts once, and who is not
 * the leader any more writes nothing. */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "common/ledger/access.h"

#define MSG    "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define PARCEL MSG "-0"
#define OTHER  UINT32_MAX

static char token[FB_LEASE_TOKEN];

static void command(const char *name, const char *key, const char *a, const char *b)
{
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, name, key, a, b, NULL));
    freeReplyObject(reply);
}

static void parcel_with(const char *state)
{
    char value[64];
    (void)snprintf(value, sizeof value, "%s|77|1||upload", state);
    command("HSET", "fb:{s0}:p:" PARCEL, "storage", "box");
    command("HSET", "fb:{s0}:g:" PARCEL, "0", value);
    token[0] = '\0';
    assert_status(FB_OK, fb_lease_keep(q.r, "a", 60000, token, &q.err));
}

static void id_of(unsigned n, char id[65])
{
    (void)snprintf(id, 65, "%064u", n);
}

static enum fb_ledger_recorded record(unsigned n, enum fb_ledger_event_kind kind, uint32_t who)
{
    char id[65];
    enum fb_ledger_recorded got = FB_EVENT_KNOWN;
    id_of(n, id);
    const struct fb_ledger_event e = {.id = id,
                                      .parcel_id = PARCEL,
                                      .kind = kind,
                                      .recipient = who,
                                      .at_ms = 5000 + n,
                                      .actor = "x|y@example.com",
                                      .user_id = who == OTHER ? "" : "4711",
                                      .source = "events"};
    const struct fb_ledger_page page = {.token = token, .events = &e, .count = 1};
    assert_status(FB_OK, fb_ledger_record(q.r, &page, &got, &q.err));
    return got;
}

static void assert_grant(const char *want)
{
    redisReply *reply = NULL;
    assert_status(FB_OK,
                  fb_redis_call(q.r, &reply, &q.err, "HGET", "fb:{s0}:g:" PARCEL, "0", NULL));
    assert_string_equal(reply->str, want);
    freeReplyObject(reply);
}

static int64_t number(const char *name, const char *key, const char *field)
{
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, name, key, field, NULL));
    int64_t n = reply->type == REDIS_REPLY_INTEGER ? reply->integer
                : reply->str != NULL               ? strtoll(reply->str, NULL, 10)
                                                   : 0;
    freeReplyObject(reply);
    return n;
}

static void states_go_forward_only(void **state)
{
    (void)state;
    parcel_with("pending");
    assert_int_equal(record(1, FB_EVENT_ACCEPTED, 0), FB_EVENT_CHANGED);
    assert_grant("active|77|5001|x?y@example.com|events");
    assert_int_equal(record(2, FB_EVENT_DOWNLOAD, 0), FB_EVENT_CHANGED);
    assert_grant("downloaded|77|5002|x?y@example.com|events");
    assert_int_equal(record(3, FB_EVENT_PREVIEW, 0), FB_EVENT_RECORDED);
    assert_int_equal(record(4, FB_EVENT_ACCEPTED, 0), FB_EVENT_RECORDED);
    assert_grant("downloaded|77|5002|x?y@example.com|events");
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "n:0:preview"), 1);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "n:0:download"), 1);
    uint32_t who = 9;
    assert_status(FB_OK, fb_ledger_user_recipient(q.r, PARCEL, "4711", &who, &q.err));
    assert_int_equal(who, 0);
}

static void what_is_closed_stays_closed(void **state)
{
    (void)state;
    static const char *const closed[] = {"recalled", "expired", "purged"};
    for (unsigned i = 0; i < 3; i++) {
        char want[64];
        parcel_with(closed[i]);
        (void)snprintf(want, sizeof want, "%s|77|1||upload", closed[i]);
        assert_int_equal(record(10 + i, FB_EVENT_DOWNLOAD, 0), FB_EVENT_RECORDED);
        assert_grant(want);
    }
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "n:0:download"), 3);
}

static void an_event_counts_once(void **state)
{
    (void)state;
    parcel_with("active");
    assert_int_equal(record(1, FB_EVENT_PREVIEW, 0), FB_EVENT_CHANGED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(record(1, FB_EVENT_PREVIEW, 0), FB_EVENT_KNOWN);
    }
    assert_int_equal(record(2, FB_EVENT_PREVIEW, OTHER), FB_EVENT_RECORDED);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "n:0:preview"), 1);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "n:x:preview"), 1);
    assert_int_equal(number("LLEN", "fb:{s0}:h:" PARCEL, NULL), 2);
    char id[65];
    char key[80];
    id_of(1, id);
    (void)snprintf(key, sizeof key, "fb:{s0}:e:%s", id);
    assert_true(number("TTL", key, NULL) > 60 * 86400); /* Box keeps up to two months */
}

/* Events do not come in the order of their times. */
static void the_first_time_of_each_kind_is_the_earliest(void **state)
{
    (void)state;
    parcel_with("active");
    (void)record(7, FB_EVENT_PREVIEW, 0);
    (void)record(3, FB_EVENT_PREVIEW, 0);
    (void)record(9, FB_EVENT_PREVIEW, 0);
    (void)record(8, FB_EVENT_DOWNLOAD, 0);
    (void)record(6, FB_EVENT_PREVIEW, OTHER);
    (void)record(5, FB_EVENT_DOWNLOAD, OTHER);
    (void)record(1, FB_EVENT_ACCEPTED, 0);
    (void)record(2, FB_EVENT_LINK_REMOVED, 0);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "o:0"), 5003);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "l:0"), 5008);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "o:x"), 5006);
    assert_int_equal(number("HGET", "fb:{s0}:w:" PARCEL, "l:x"), 5005);
    (void)record(3, FB_EVENT_PREVIEW, 0);                                   /* known */
    assert_int_equal(number("HLEN", "fb:{s0}:w:" PARCEL, NULL), 4 + 6 + 1); /* times counts user */
}

static void a_parcel_that_is_over_is_not_made_anew(void **state)
{
    (void)state;
    parcel_with("active");
    command("DEL", "fb:{s0}:p:" PARCEL, "fb:{s0}:g:" PARCEL, "fb:{s0}:h:" PARCEL);
    assert_int_equal(record(1, FB_EVENT_PREVIEW, 0), FB_EVENT_KNOWN);
    assert_int_equal(number("EXISTS", "fb:{s0}:g:" PARCEL, NULL), 0);
    assert_int_equal(number("EXISTS", "fb:{s0}:h:" PARCEL, NULL), 0);
}

/* Events and position of one page, by a token. */
static enum fb_status move(const char *by, const char *from, const char *to, unsigned n)
{
    char id[65];
    enum fb_ledger_recorded got = FB_EVENT_KNOWN;
    id_of(n, id);
    const struct fb_ledger_event e = {.id = id,
                                      .parcel_id = PARCEL,
                                      .kind = FB_EVENT_PREVIEW,
                                      .recipient = 0,
                                      .at_ms = 1,
                                      .actor = "a",
                                      .user_id = "",
                                      .source = "events"};
    const struct fb_ledger_page page = {.token = by,
                                        .stream = "box user ",
                                        .old_position = from,
                                        .new_position = to,
                                        .events = &e,
                                        .count = 1};
    return fb_ledger_record(q.r, &page, &got, &q.err);
}

static void assert_position(const char *want)
{
    char position[FB_POSITION_SIZE];
    assert_status(FB_OK, fb_ledger_position(q.r, "box user ", position, &q.err));
    assert_string_equal(position, want);
}

static void a_leader_that_was_replaced_writes_nothing(void **state)
{
    (void)state;
    parcel_with("active");
    char old[FB_LEASE_TOKEN];
    char fresh[FB_LEASE_TOKEN] = "";
    memcpy(old, token, sizeof old);
    assert_status(FB_OK, move(old, "", "1152922976252290887", 1));
    assert_status(FB_EXISTS, fb_lease_keep(q.r, "b", 60000, fresh, &q.err));
    command("PEXPIRE", "fb:{s0}:watch:lease", "1", NULL);
    struct timespec nap = {.tv_nsec = 20000000};
    (void)nanosleep(&nap, NULL);
    assert_status(FB_OK, fb_lease_keep(q.r, "b", 60000, fresh, &q.err));
    assert_true(strtoll(fresh, NULL, 10) > strtoll(old, NULL, 10));
    assert_status(FB_LOST, move(old, "1152922976252290887", "1152922976252290888", 2));
    assert_position("1152922976252290887");
    assert_int_equal(number("LLEN", "fb:{s0}:h:" PARCEL, NULL), 1);
    assert_status(FB_OK, move(fresh, "1152922976252290887", "1152922976252290888", 2));
    assert_position("1152922976252290888");
    assert_int_equal(number("LLEN", "fb:{s0}:h:" PARCEL, NULL), 2);
    char again[FB_LEASE_TOKEN] = "";
    assert_status(FB_EXISTS, fb_lease_keep(q.r, "a", 60000, again, &q.err));
    assert_status(FB_OK, fb_lease_end(q.r, "a", &q.err)); /* not its own: stays */
    assert_status(FB_EXISTS, fb_lease_keep(q.r, "a", 60000, again, &q.err));
    assert_status(FB_OK, fb_lease_end(q.r, "b", &q.err));
    assert_status(FB_OK, fb_lease_keep(q.r, "a", 60000, again, &q.err));
}

static void the_position_moves_only_from_where_it_was_read(void **state)
{
    (void)state;
    parcel_with("active");
    assert_status(FB_OK, move(token, "", "a", 1));
    assert_status(FB_AGAIN, move(token, "", "b", 2));
    assert_position("a");
    assert_int_equal(number("LLEN", "fb:{s0}:h:" PARCEL, NULL), 1);
    assert_status(FB_OK, fb_ledger_positions_forget(q.r, &q.err));
    assert_status(FB_AGAIN, move(token, "a", "b", 2)); /* a rebuild wants them from the start */
    assert_status(FB_OK, move(token, "", "b", 1));
    assert_int_equal(number("LLEN", "fb:{s0}:h:" PARCEL, NULL), 1);
}

/* Parcels of several shards on one page: whoever is cut off between two of them does the page
 * again, and no event counts twice; the fence stands in each. */
static void a_page_over_several_shards_counts_each_event_once(void **state)
{
    (void)state;
    struct fb_config config = q.redis.config;
    struct fb_redis *r = NULL;
    char ids[24][65];
    char parcels[24][FB_PARCEL_ID_SIZE];
    struct fb_ledger_event events[24];
    enum fb_ledger_recorded got[24];
    config.redis.shards = 3;
    assert_status(FB_OK, fb_redis_new(&config, 20000, &r, &q.err));
    token[0] = '\0';
    assert_status(FB_OK, fb_lease_keep(r, "a", 60000, token, &q.err));
    for (unsigned i = 0; i < 24; i++) {
        char msg[FB_ID_SIZE];
        char key[80];
        do { /* each shard has its share */
            fb_id_new(msg);
        } while (fb_redis_shard(r, msg) != (int)(i % 3));
        fb_parcel_id_make(msg, 0, parcels[i]);
        int shard = fb_redis_shard(r, msg);
        (void)snprintf(key, sizeof key, "fb:{s%d}:p:%.32s", shard, parcels[i]);
        command("HSET", key, "storage", "box");
        (void)snprintf(key, sizeof key, "fb:{s%d}:g:%.32s", shard, parcels[i]);
        command("HSET", key, "0", "active|7|1||upload");
        (void)snprintf(key, sizeof key, "fb:{s%d}:f:%u", shard, i);
        command("HSET", key, "box", parcels[i]);
        id_of(i, ids[i]);
        events[i] = (struct fb_ledger_event){.id = ids[i],
                                             .parcel_id = parcels[i],
                                             .kind = FB_EVENT_PREVIEW,
                                             .actor = "a",
                                             .user_id = "",
                                             .source = "events"};
        char found[FB_PARCEL_ID_SIZE];
        (void)snprintf(key, sizeof key, "%u", i);
        assert_status(FB_OK, fb_ledger_folder_parcel(r, "box", key, found, &q.err));
        assert_string_equal(found, parcels[i]);
        assert_status(FB_NOT_FOUND, fb_ledger_folder_parcel(r, "other", key, found, &q.err));
    }
    struct fb_ledger_page page = {
        .token = token, .stream = "s", .old_position = "", .new_position = "5", .events = events};
    page.count = 24;
    command("SET", "fb:{s0}:watch:fence", "1", NULL); /* cut off before the last shard */
    assert_status(FB_LOST, fb_ledger_record(r, &page, got, &q.err));
    command("SET", "fb:{s0}:watch:fence", token, NULL);
    assert_status(FB_OK, fb_ledger_record(r, &page, got, &q.err));
    for (unsigned i = 0; i < 24; i++) {
        char msg[FB_ID_SIZE];
        char key[80];
        uint32_t branch = 0;
        assert_true(fb_parcel_id_split(parcels[i], msg, &branch));
        int shard = fb_redis_shard(r, msg);
        assert_int_equal(got[i], shard == 0 ? FB_EVENT_CHANGED : FB_EVENT_KNOWN);
        (void)snprintf(key, sizeof key, "fb:{s%d}:h:%.32s", shard, parcels[i]);
        assert_int_equal(number("LLEN", key, NULL), 1);
    }
    for (int shard = 1; shard < 3; shard++) {
        char key[40];
        (void)snprintf(key, sizeof key, "fb:{s%d}:watch:fence", shard);
        assert_true(number("GET", key, NULL) == strtoll(token, NULL, 10));
    }
    fb_redis_free(&r);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(states_go_forward_only),
        PROMISE(what_is_closed_stays_closed),
        PROMISE(an_event_counts_once),
        PROMISE(the_first_time_of_each_kind_is_the_earliest),
        PROMISE(a_parcel_that_is_over_is_not_made_anew),
        PROMISE(a_leader_that_was_replaced_writes_nothing),
        PROMISE(a_page_over_several_shards_counts_each_event_once),
        PROMISE(the_position_moves_only_from_where_it_was_read),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
