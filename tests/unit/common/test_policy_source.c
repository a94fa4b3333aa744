/* SPDX-License-Identifier: Apache-2.0
 *
 * Following the policy, by file and by a real Redis: a good document comes in force within seconds,
 * a broken one, an absent one or a wiped Redis changes nothing, and the last good one survives a
 * restart.
 */
#include <dirent.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/policy/service_source.h"
#include "tests/support/redis_fixture.h"

#define WAIT_MS 60000
#define GOOD_1  "rules: [{name: one, action: pass}]\n"
#define GOOD_2  "rules: [{name: two, action: pass}, {name: three, action: reject}]\n"
#define BROKEN  "rules: [{name: bad, action: explode}]\n"

struct place {
    char dir[64], cache[96], file[96], source[128];
    struct redis_fixture redis;
    struct fb_config config;
};

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

static int setup(void **state)
{
    struct place *p = fb_xcalloc(1, sizeof *p);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/fumibako-source-XXXXXX");
    if (mkdtemp(p->dir) == NULL) {
        return -1;
    }
    (void)snprintf(p->cache, sizeof p->cache, "%s/cache", p->dir);
    (void)snprintf(p->file, sizeof p->file, "%s/policy.yaml", p->dir);
    (void)snprintf(p->source, sizeof p->source, "file:%s", p->file);
    p->config.policy.cache = p->cache;
    *state = p;
    return 0;
}

static int setup_redis(void **state)
{
    static char source[] = "redis";
    if (setup(state) != 0) {
        return -1;
    }
    struct place *p = *state;
    redis_fixture_start(&p->redis, 1);
    p->config.redis = p->redis.config.redis;
    p->config.policy.source = source;
    return 0;
}

static int setup_file(void **state)
{
    if (setup(state) != 0) {
        return -1;
    }
    struct place *p = *state;
    p->config.policy.source = p->source;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    char path[200];
    if (p->redis.pid > 0) {
        redis_fixture_stop(&p->redis);
    }
    (void)rmdir(p->redis.dir);
    (void)unlink(p->file);
    (void)snprintf(path, sizeof path, "%s/last-good.yaml", p->cache);
    (void)unlink(path);
    (void)rmdir(p->cache);
    int result = rmdir(p->dir); /* fails when something else was left there */
    free(p);
    return result;
}

static void write_file(const char *path, const char *text)
{
    char temporary[200];
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *f = fopen(temporary, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(temporary, path), 0);
}

static void apply(const struct place *p, const char *version, const char *document)
{
    (void)redis_fixture_int(&p->redis, "HSET", FB_POLICY_KEY, "version", version, "document",
                            document, NULL);
    assert_int_equal(redis_fixture_int(&p->redis, "HEXISTS", FB_POLICY_KEY, "document", NULL), 1);
}

static struct fb_policy_follow *follow(const struct place *p)
{
    struct fb_policy_follow *f = NULL;
    struct fb_error err = {0};
    if (fb_policy_follow_new(&p->config, &f, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    return f;
}

/* Whether the policy in force has a rule of this name; NULL asks that there is none in force. */
static bool is_in_force(struct fb_policy_follow *f, const char *rule)
{
    struct fb_policy *policy = fb_policy_follow_get(f);
    bool is_so =
        policy == NULL ? rule == NULL : rule != NULL && fb_policy_find_rule(policy, rule) != NULL;
    fb_policy_unref(&policy);
    return is_so;
}

static void wait_for(struct fb_policy_follow *f, const char *rule)
{
    for (int ms = 0; ms < WAIT_MS; ms += 20) {
        if (is_in_force(f, rule)) {
            return;
        }
        pause_ms(20);
    }
    fail_msg("rule %s does not come in force", rule);
}

/* Longer than two looks at the source. */
static void stays(struct fb_policy_follow *f, const char *rule)
{
    for (int ms = 0; ms < 2500; ms += 50) {
        assert_true(is_in_force(f, rule));
        pause_ms(50);
    }
}

static void a_file_is_followed(void **state)
{
    struct place *p = *state;
    write_file(p->file, GOOD_1);
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, "one")); /* at once, for a service must not start by holding mail */
    write_file(p->file, GOOD_2);
    wait_for(f, "three");
    assert_false(is_in_force(f, "one"));
    write_file(p->file, BROKEN);
    stays(f, "two");
    assert_int_equal(unlink(p->file), 0);
    stays(f, "two");
    write_file(p->file, GOOD_1);
    wait_for(f, "one");
    fb_policy_follow_free(&f);
    assert_null(f);
}

/* The first half of a document may be a good document, without the rules that its end holds. */
static void a_file_that_is_being_written_is_not_taken(void **state)
{
    struct place *p = *state;
    struct fb_policy_follow *f = follow(p);
    bool is_late = true; /* this machine stood still, and so did the file */
    for (int tries = 0; is_late; tries++) {
        assert_true(tries < 20);
        write_file(p->file, GOOD_1);
        wait_for(f, "one");
        FILE *file = fopen(p->file, "w"); /* in place, as cp and editors do */
        assert_non_null(file);
        assert_true(fputs("rules:\n- {name: first, action: pass}\n", file) >= 0);
        assert_int_equal(fflush(file), 0);
        int64_t last_ms = fb_mono_ms();
        is_late = false;
        /* Longer than a file that rests is waited for. */
        for (int ms = 0; ms < 2500 && !is_late; ms += 20) {
            bool is_one = is_in_force(f, "one");
            is_late = fb_mono_ms() - last_ms >= 1500;
            assert_true(is_one || is_late);
            last_ms = fb_mono_ms();
            assert_true(fputs("#\n", file) >= 0);
            assert_int_equal(fflush(file), 0);
            pause_ms(20);
        }
        assert_true(fputs("- {name: last, action: reject}\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        is_late = is_late || fb_mono_ms() - last_ms >= 1500;
    }
    for (int ms = 0; ms < WAIT_MS && !is_in_force(f, "last"); ms += 20) {
        assert_true(is_in_force(f, "one") || is_in_force(f, "last"));
        pause_ms(20);
    }
    wait_for(f, "last");
    fb_policy_follow_free(&f);
}

static void without_any_policy_there_is_none(void **state)
{
    struct place *p = *state;
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, NULL));
    write_file(p->file, BROKEN);
    stays(f, NULL);
    write_file(p->file, GOOD_1);
    wait_for(f, "one");
    fb_policy_follow_free(&f);
}

static void the_last_good_file_serves_at_the_next_start(void **state)
{
    struct place *p = *state;
    struct stat st;
    char path[200];
    write_file(p->file, GOOD_1);
    struct fb_policy_follow *f = follow(p);
    fb_policy_follow_free(&f);
    (void)snprintf(path, sizeof path, "%s/last-good.yaml", p->cache);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* groups and rules are nobody else's business */
    write_file(p->file, BROKEN);
    f = follow(p);
    assert_true(is_in_force(f, "one"));
    write_file(p->file, GOOD_2);
    wait_for(f, "two");
    fb_policy_follow_free(&f);
}

static void a_broken_cache_is_no_policy(void **state)
{
    struct place *p = *state;
    char path[200];
    assert_int_equal(mkdir(p->cache, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/last-good.yaml", p->cache);
    write_file(path, BROKEN);
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, NULL));
    fb_policy_follow_free(&f);
}

static void a_cache_that_cannot_be_written_stops_nothing(void **state)
{
    struct place *p = *state;
    char blocked[200];
    (void)snprintf(blocked, sizeof blocked, "%s/policy.yaml/cache", p->dir); /* under a file */
    p->config.policy.cache = blocked;
    write_file(p->file, GOOD_1);
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, "one"));
    write_file(p->file, GOOD_2);
    wait_for(f, "two");
    fb_policy_follow_free(&f);
    p->config.policy.cache = p->cache;
}

static void redis_is_followed_by_version(void **state)
{
    struct place *p = *state;
    apply(p, "v1", GOOD_1);
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, "one"));
    apply(p, "v2", GOOD_2);
    wait_for(f, "two");
    apply(p, "v3", BROKEN);
    stays(f, "two");
    apply(p, "v4", GOOD_1);
    wait_for(f, "one");
    fb_policy_follow_free(&f);
}

static void a_wiped_redis_changes_nothing(void **state)
{
    struct place *p = *state;
    apply(p, "v1", GOOD_1);
    struct fb_policy_follow *f = follow(p);
    assert_int_equal(redis_fixture_int(&p->redis, "FLUSHALL", NULL), 0);
    stays(f, "one");
    redis_fixture_kill(&p->redis);
    stays(f, "one");
    redis_fixture_again(&p->redis);
    stays(f, "one");
    apply(p, "v2", GOOD_2);
    wait_for(f, "two");
    fb_policy_follow_free(&f);
}

static void the_cache_serves_while_redis_is_away_or_empty(void **state)
{
    struct place *p = *state;
    apply(p, "v1", GOOD_1);
    struct fb_policy_follow *f = follow(p);
    fb_policy_follow_free(&f);
    redis_fixture_kill(&p->redis);
    f = follow(p);
    assert_true(is_in_force(f, "one"));
    fb_policy_follow_free(&f);
    redis_fixture_again(&p->redis);
    f = follow(p);
    assert_true(is_in_force(f, "one"));
    apply(p, "v9", GOOD_2);
    wait_for(f, "two");
    fb_policy_follow_free(&f);
}

static void a_broken_document_in_redis_yields_to_the_cache(void **state)
{
    struct place *p = *state;
    apply(p, "v1", GOOD_1);
    struct fb_policy_follow *f = follow(p);
    fb_policy_follow_free(&f);
    apply(p, "v2", BROKEN);
    f = follow(p);
    assert_true(is_in_force(f, "one"));
    stays(f, "one");
    fb_policy_follow_free(&f);
}

static void a_key_of_another_type_is_no_policy(void **state)
{
    struct place *p = *state;
    (void)redis_fixture_int(&p->redis, "SET", FB_POLICY_KEY, "x", NULL);
    struct fb_policy_follow *f = follow(p);
    assert_true(is_in_force(f, NULL));
    (void)redis_fixture_int(&p->redis, "DEL", FB_POLICY_KEY, NULL);
    (void)redis_fixture_int(&p->redis, "HSET", FB_POLICY_KEY, "version", "v1",
                            NULL); /* without a document */
    stays(f, NULL);
    fb_policy_follow_free(&f);
}

/* ---- many readers while it changes: run under the thread sanitizer as well ---- */

struct readers {
    struct fb_policy_follow *follow;
    atomic_bool is_over;
    atomic_ulong reads;
};

static void *read_policy(void *ctx)
{
    struct readers *r = ctx;
    while (!atomic_load(&r->is_over)) {
        struct fb_policy *policy = fb_policy_follow_get(r->follow);
        FB_ASSERT(policy != NULL && policy->rule_count >= 1 && strlen(policy->version) == 64);
        fb_policy_unref(&policy);
        (void)atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

static void readers_keep_what_they_took(void **state)
{
    struct place *p = *state;
    pthread_t threads[4];
    struct readers r = {0};
    write_file(p->file, GOOD_1);
    r.follow = follow(p);
    struct fb_policy *kept = fb_policy_follow_get(r.follow);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_policy, &r), 0);
    }
    for (int i = 0; i < 4; i++) {
        write_file(p->file, i % 2 == 0 ? GOOD_2 : GOOD_1);
        wait_for(r.follow, i % 2 == 0 ? "two" : "one");
    }
    atomic_store(&r.is_over, true);
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&r.reads) > 100);
    fb_policy_follow_free(&r.follow);
    assert_non_null(fb_policy_find_rule(kept, "one")); /* outlives the one who follows */
    fb_policy_unref(&kept);
}

#define WITH_FILE(test)  cmocka_unit_test_setup_teardown(test, setup_file, teardown)
#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, setup_redis, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(a_file_is_followed),
        WITH_FILE(a_file_that_is_being_written_is_not_taken),
        WITH_FILE(without_any_policy_there_is_none),
        WITH_FILE(the_last_good_file_serves_at_the_next_start),
        WITH_FILE(a_broken_cache_is_no_policy),
        WITH_FILE(a_cache_that_cannot_be_written_stops_nothing),
        WITH_REDIS(redis_is_followed_by_version),
        WITH_REDIS(a_wiped_redis_changes_nothing),
        WITH_REDIS(the_cache_serves_while_redis_is_away_or_empty),
        WITH_REDIS(a_broken_document_in_redis_yields_to_the_cache),
        WITH_REDIS(a_key_of_another_type_is_no_policy),
        WITH_FILE(readers_keep_what_they_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
