/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to Redis: URLs, classes of errors, what happens when the peer goes away.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/redis_internal.h"

static void urls_are_split_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *name, *url, *user, *password, *host;
        uint16_t port;
        uint32_t db;
        bool is_tls;
    } rows[] = {
        {"plain", "redis://127.0.0.1:6380/3", NULL, NULL, "127.0.0.1", 6380, 3, false},
        {"defaults", "redis://redis.example", NULL, NULL, "redis.example", 6379, 0, false},
        {"slash", "redis://h/", NULL, NULL, "h", 6379, 0, false},
        {"password only", "redis://:se%2Fcret@h:1/0", NULL, "se/cret", "h", 1, 0, false},
        {"user", "redis://me:p%40ss@h", "me", "p@ss", "h", 6379, 0, false},
        {"clumsy @", "redis://me:p@ss@h", "me", "p@ss", "h", 6379, 0, false},
        {"ipv6", "redis://[::1]:7000/1", NULL, NULL, "::1", 7000, 1, false},
        {"ipv6 without port", "redis://u:p@[fe80::1]", "u", "p", "fe80::1", 6379, 0, false},
        {"tls", "rediss://h:6380", NULL, NULL, "h", 6380, 0, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_redis_url u;
        if (fb_redis_url_parse(rows[i].url, &u, &q.err) != FB_OK) {
            fail_msg("%s: %s", rows[i].name, q.err.text);
        }
        assert_int_equal(u.mode, FB_REDIS_SINGLE);
        assert_int_equal(u.host_count, 1);
        assert_string_equal(u.hosts[0].name, rows[i].host);
        assert_int_equal(u.hosts[0].port, rows[i].port);
        assert_int_equal(u.db, rows[i].db);
        assert_int_equal(u.is_tls, rows[i].is_tls);
        assert_true((u.user == NULL) == (rows[i].user == NULL));
        assert_true((u.password == NULL) == (rows[i].password == NULL));
        if (u.user != NULL) {
            assert_string_equal(u.user, rows[i].user);
        }
        if (u.password != NULL) {
            assert_string_equal(u.password, rows[i].password);
        }
        fb_redis_url_deinit(&u);
    }
}

static void sentinels_and_clusters_are_named_by_several_hosts(void **state)
{
    (void)state;
    struct fb_redis_url u;
    assert_status(
        FB_OK,
        fb_redis_url_parse("redis+sentinel://me:p%40ss@s1:1,[::1]:2,s3/mail%20box/4", &u, &q.err));
    assert_int_equal(u.mode, FB_REDIS_SENTINEL);
    assert_int_equal(u.host_count, 3);
    assert_string_equal(u.hosts[0].name, "s1");
    assert_int_equal(u.hosts[0].port, 1);
    assert_string_equal(u.hosts[1].name, "::1");
    assert_int_equal(u.hosts[1].port, 2);
    assert_int_equal(u.hosts[2].port, 26379);
    assert_string_equal(u.primary, "mail box");
    assert_string_equal(u.password, "p@ss");
    assert_int_equal(u.db, 4);
    fb_redis_url_deinit(&u);
    assert_status(FB_OK, fb_redis_url_parse("rediss+cluster://:s@n1,n2:7000", &u, &q.err));
    assert_int_equal(u.mode, FB_REDIS_CLUSTER);
    assert_true(u.is_tls);
    assert_int_equal(u.host_count, 2);
    assert_int_equal(u.hosts[0].port, 6379);
    assert_int_equal(u.hosts[1].port, 7000);
    fb_redis_url_deinit(&u);
}

/* The values of the specification of Redis Cluster, and of its CRC16 (XMODEM). */
static void a_key_goes_to_the_slot_of_its_hash_tag(void **state)
{
    (void)state;
    assert_int_equal(fb_redis_slot(FB_SLICE_LITERAL("123456789")), 0x31c3);
    assert_int_equal(fb_redis_slot(FB_SLICE_LITERAL("{user1000}.following")),
                     fb_redis_slot(FB_SLICE_LITERAL("{user1000}.followers")));
    assert_int_equal(fb_redis_slot(FB_SLICE_LITERAL("foo{{bar}}zap")),
                     fb_redis_slot(FB_SLICE_LITERAL("{bar")));
    assert_int_equal(fb_redis_slot(FB_SLICE_LITERAL("foo{bar}{zap}")),
                     fb_redis_slot(FB_SLICE_LITERAL("bar")));
    assert_int_not_equal(fb_redis_slot(FB_SLICE_LITERAL("foo{}{bar}")),
                         fb_redis_slot(FB_SLICE_LITERAL("bar")));
    assert_int_equal(fb_redis_slot(fb_slice_of(NULL, 0)), 0);
}

static void bad_urls_are_refused_without_showing_the_password(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "http://h",
        "redis://",
        "redis://:secret@",
        "redis://h:0",
        "redis://h:",
        "redis://h:65536",
        "redis://h:1x",
        "redis://h/x",
        "redis://h/99999",
        "redis://[::1",
        "redis://[::1]x",
        "redis://me:secret%2@h",
        "redis://me:secret%00@h",
        "redis://h/0?x=1",
        "redis://:secret@h/zero",
        "redis://h/0/1",
        "redis://u%zz:secret@h",
        "redis://h1,h2",
        "redis+sentinel://h1,h2",
        "redis+sentinel://h1,h2/",
        "redis+sentinel://h1,,h2/name",
        "redis+sentinel://h1/name/x",
        "redis+sentinel://h1/name/0/1",
        "redis+cluster://h1,h2/1",
        "redis+cluster://",
        "redis+other://h",
        "redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_redis_url u;
        enum fb_status s = fb_redis_url_parse(rows[i], &u, &q.err);
        if (s != FB_CONFIG) {
            fail_msg("%s: got %s", rows[i], fb_status_name(s));
        }
        assert_null(strstr(q.err.text, "secret"));
    }
    assert_status(FB_CONFIG, fb_redis_url_parse(NULL, &(struct fb_redis_url){0}, &q.err));
}

static void tls_without_hiredis_ssl_is_a_clear_error(void **state)
{
    (void)state;
    char url[] = "rediss://127.0.0.1:1/0";
    struct fb_config config = {.redis = {.url = url, .shards = 1}};
    struct fb_redis *r = NULL;
    enum fb_status s = fb_redis_new(&config, 20000, &r, &q.err);
    if (s == FB_OK) { /* hiredis 1.x with TLS */
        fb_redis_free(&r);
        return;
    }
    assert_int_equal(s, FB_CONFIG);
    assert_non_null(strstr(q.err.text, "hiredis"));
}

static enum fb_status call(const char *a, const char *b, const char *c)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(q.r, &reply, &q.err, a, b, c, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

static void bytes_pass_unchanged(void **state)
{
    (void)state;
    const struct fb_slice value = FB_SLICE_LITERAL("a\0b\r\n\xff");
    const struct fb_slice set[] = {FB_SLICE_LITERAL("SET"), FB_SLICE_LITERAL("k"), value};
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_command(q.r, 3, set, &reply, &q.err));
    freeReplyObject(reply);
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, "GET", "k", NULL));
    assert_int_equal(reply->len, value.len);
    assert_memory_equal(reply->str, value.ptr, value.len);
    freeReplyObject(reply);
}

static void a_busy_server_is_again_and_anything_else_a_bug(void **state)
{
    (void)state;
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "1", NULL), 0);
    assert_status(FB_AGAIN, call("SET", "k", "v")); /* OOM */
    assert_non_null(strstr(q.err.text, "OOM"));
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "0", NULL), 0);
    assert_int_equal(redis_fixture_int(&q.redis, "REPLICAOF", "127.0.0.1", "1", NULL), 0);
    assert_status(FB_AGAIN,
                  call("SET", "k", "v")); /* READONLY: asks who is primary on a new connection */
    assert_status(FB_AGAIN, call("SET", "k", "v"));
    assert_int_equal(redis_fixture_int(&q.redis, "REPLICAOF", "NO", "ONE", NULL), 0);
    assert_status(FB_OK, call("SET", "k", "v"));
    assert_int_equal(
        redis_fixture_int(&q.redis, "CONFIG", "SET", "min-replicas-to-write", "1", NULL), 0);
    assert_status(FB_AGAIN, call("SET", "k", "v")); /* NOREPLICAS */
    assert_int_equal(
        redis_fixture_int(&q.redis, "CONFIG", "SET", "min-replicas-to-write", "0", NULL), 0);
    assert_status(FB_BUG, call("LPUSH", "k", "v")); /* WRONGTYPE */
    assert_true(fb_redis_error_is(&q.err, "WRONGTYPE"));
    assert_false(fb_redis_error_is(&q.err, "WRONG"));
    assert_status(FB_BUG, call("NOSUCH", "k", "v"));
}

static void a_wrong_password_is_a_configuration_error(void **state)
{
    (void)state;
    char url[64];
    char right[] = "right";
    struct fb_config config = {.redis = {.url = url, .shards = 1}};
    struct fb_redis *r = NULL;
    redisReply *reply = NULL;
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "requirepass", "right", NULL), 0);
    (void)snprintf(url, sizeof(url), "redis://:wrong@127.0.0.1:%u/0", q.redis.port);
    assert_status(FB_OK, fb_redis_new(&config, 20000, &r, &q.err));
    assert_status(FB_CONFIG, fb_redis_call(r, &reply, &q.err, "PING", NULL));
    assert_null(strstr(q.err.text, "wrong@"));
    fb_redis_free(&r);
    config.redis.password = right; /* redis.password wins over the URL's */
    assert_status(FB_OK, fb_redis_new(&config, 20000, &r, &q.err));
    assert_status(FB_OK,
                  fb_redis_call(r, &reply, &q.err, "CONFIG", "SET", "requirepass", "", NULL));
    freeReplyObject(reply);
    fb_redis_free(&r);
}

static void a_killed_connection_is_made_again(void **state)
{
    (void)state;
    assert_status(FB_OK, call("SET", "k", "v"));
    assert_in_range(redis_fixture_int(&q.redis, "CLIENT", "KILL", "TYPE", "normal", NULL), 1, 100);
    pause_ms(20);
    assert_status(FB_OK, call("SET", "k", "v")); /* noticed before it was used */
}

static void an_absent_server_fails_fast_and_comes_back(void **state)
{
    (void)state;
    assert_status(FB_OK, call("SET", "k", "v"));
    redis_fixture_kill(&q.redis);
    for (int i = 0; i < 200; i++) {
        assert_status(FB_NETWORK, call("SET", "k", "v"));
    }
    redis_fixture_again(&q.redis);
    enum fb_status s = FB_NETWORK;
    for (int ms = 0; s != FB_OK && ms < 30000; ms += 20) {
        s = call("SET", "k", "v");
        pause_ms(20);
    }
    assert_int_equal(s, FB_OK);
}

static void a_silent_server_times_out_and_its_late_reply_is_nobodys(void **state)
{
    (void)state;
    struct fb_redis *r = NULL;
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_new(&q.redis.config, 300, &r, &q.err));
    int64_t started = fb_mono_ms();
    assert_status(FB_NETWORK, fb_redis_call(r, &reply, &q.err, "DEBUG", "SLEEP", "12", NULL));
    assert_in_range(fb_mono_ms() - started, 250, 11900);
    enum fb_status s = FB_NETWORK;
    for (int ms = 0; s != FB_OK && ms < 60000; ms += 50) {
        s = fb_redis_call(r, &reply, &q.err, "ECHO", "mine", NULL);
        pause_ms(50);
    }
    assert_int_equal(s, FB_OK);
    assert_string_equal(reply->str, "mine");
    freeReplyObject(reply);
    fb_redis_free(&r);
}

static void a_blocking_read_outlives_the_command_timeout(void **state)
{
    (void)state;
    struct fb_redis *r = NULL;
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_new(&q.redis.config, 2000, &r, &q.err));
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("BLPOP"), FB_SLICE_LITERAL("nothing"),
                                    FB_SLICE_LITERAL("3")};
    assert_status(FB_OK, fb_redis_command_blocking(r, 30000, 3, argv, &reply, &q.err));
    assert_int_equal(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    fb_redis_free(&r);
}

static void an_error_in_a_pipeline_is_its_commands_own(void **state)
{
    (void)state;
    const struct fb_slice good[] = {FB_SLICE_LITERAL("ECHO"), FB_SLICE_LITERAL("x")};
    const struct fb_slice bad[] = {FB_SLICE_LITERAL("NOSUCH")};
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_append(q.r, 2, good, &q.err));
    assert_status(FB_OK, fb_redis_append(q.r, 1, bad, &q.err));
    assert_status(FB_OK, fb_redis_append(q.r, 2, good, &q.err));
    assert_status(FB_OK, fb_redis_fetch(q.r, &reply, &q.err));
    freeReplyObject(reply);
    assert_status(FB_BUG, fb_redis_fetch(q.r, &reply, &q.err));
    assert_status(FB_OK, fb_redis_fetch(q.r, &reply, &q.err));
    freeReplyObject(reply);
    assert_status(FB_NETWORK, fb_redis_fetch(q.r, &reply, &q.err));
    /* A command in the middle of a pipeline is a mistake that must not mix up replies. */
    assert_status(FB_OK, fb_redis_append(q.r, 2, good, &q.err));
    assert_status(FB_BUG, call("SET", "k", "v"));
    assert_status(FB_OK, call("SET", "k", "v"));
}

static void the_shard_follows_the_message_and_spreads(void **state)
{
    (void)state;
    struct fb_config config = q.redis.config;
    config.redis.shards = 8;
    struct fb_redis *r = NULL;
    assert_status(FB_OK, fb_redis_new(&config, 20000, &r, &q.err));
    int seen[8] = {0};
    for (int i = 0; i < 4000; i++) {
        char id[FB_ID_SIZE];
        fb_id_new(id);
        int shard = fb_redis_shard(r, id);
        assert_in_range(shard, 0, 7);
        assert_int_equal(shard, fb_redis_shard(r, id));
        seen[shard]++;
    }
    for (int i = 0; i < 8; i++) {
        assert_in_range(seen[i], 350, 650);
    }
    /* CRC-32 of the nine digits is 0xcbf43926 by its definition. */
    assert_int_equal(fb_redis_shard(r, "123456789"), 0xcbf43926U % 8);
    fb_redis_free(&r);
    int64_t now = 0;
    assert_status(FB_OK, fb_redis_time(q.r, &now, &q.err));
    assert_in_range(now - fb_now_ms() + 60000, 0, 120000);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(urls_are_split_as_written),
        PROMISE(sentinels_and_clusters_are_named_by_several_hosts),
        PROMISE(a_key_goes_to_the_slot_of_its_hash_tag),
        PROMISE(bad_urls_are_refused_without_showing_the_password),
        PROMISE(tls_without_hiredis_ssl_is_a_clear_error),
        PROMISE(bytes_pass_unchanged),
        PROMISE(a_busy_server_is_again_and_anything_else_a_bug),
        PROMISE(a_wrong_password_is_a_configuration_error),
        PROMISE(a_killed_connection_is_made_again),
        PROMISE(an_absent_server_fails_fast_and_comes_back),
        PROMISE(a_silent_server_times_out_and_its_late_reply_is_nobodys),
        PROMISE(a_blocking_read_outlives_the_command_timeout),
        PROMISE(an_error_in_a_pipeline_is_its_commands_own),
        PROMISE(the_shard_follows_the_message_and_spreads),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
