/* SPDX-License-Identifier: Apache-2.0
 *
 * Accounts in a real Redis: changes at the same time, the last administrator, the copy on disk that brings them back,
 * and how long somebody who guesses has to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/accounts/account.h"
#include "tests/support/redis_fixture.h"

#define NOW    INT64_C(1800000000000)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

static struct redis_fixture fixture;
static struct fb_redis *r;
static struct fb_error err;
static char folder[] = "/tmp/fb-accounts-XXXXXX";
static char path[64];

#define status(want, call) assert_status((want), (call), __LINE__)
#define ok(call)           assert_status(FB_OK, (call), __LINE__)

static void assert_status(enum fb_status want, enum fb_status got, int line)
{
    if (want != got) {
        fail_msg("line %d: want %s, got %s: %s", line, fb_status_name(want), fb_status_name(got),
                 err.text);
    }
}

static void add(const char *name, enum fb_role role)
{
    struct fb_account *a = fb_account_new(name, role);
    (void)snprintf(a->password, sizeof a->password, "$argon2id$x");
    ok(fb_account_put(r, a, false, &err));
    fb_account_free(&a);
}

static struct fb_account *get(const char *name)
{
    struct fb_account *a = NULL;
    ok(fb_account_get(r, name, &a, &err));
    return a;
}

static bool is_there(const char *name)
{
    struct fb_account *a = NULL;
    enum fb_status s = fb_account_get(r, name, &a, &err);
    fb_account_free(&a);
    assert_true(s == FB_OK || s == FB_NOT_FOUND);
    return s == FB_OK;
}

static int set_up(void **state)
{
    (void)state;
    (void)unlink(path);
    return redis_fixture_int(&fixture, "FLUSHALL", NULL) == 0 ? 0 : 1;
}

static void of_two_changes_at_the_same_time_one_is_told(void **state)
{
    (void)state;
    add("hanako", FB_ROLE_ADMIN);
    struct fb_account *a = get("hanako"), *b = get("hanako");
    a->must_change = true;
    ok(fb_account_put(r, a, true, &err));
    b->is_off = true;
    status(FB_AGAIN, fb_account_put(r, b, true, &err));
    fb_account_free(&b);
    b = get("hanako");
    assert_true(b->must_change);
    assert_false(b->is_off);
    ok(fb_account_put(r, b, true, &err)); /* what was read again is written */
    ok(fb_account_put(r, b, true, &err)); /* and its revision known */
    struct fb_account *c = fb_account_new("hanako", FB_ROLE_HELPDESK);
    status(FB_EXISTS, fb_account_put(r, c, false, &err));
    fb_account_free(&a);
    fb_account_free(&b);
    fb_account_free(&c);
}

static void the_last_administrator_who_can_sign_in_stays(void **state)
{
    (void)state;
    add("a", FB_ROLE_ADMIN);
    add("b", FB_ROLE_ADMIN);
    add("c", FB_ROLE_OPERATOR);
    struct fb_account *a = get("a"), *b = get("b");
    b->password[0] = '\0'; /* an administrator who has nothing to sign in with is none */
    ok(fb_account_put(r, b, true, &err));
    a->role = FB_ROLE_AUDITOR;
    status(FB_DENIED, fb_account_put(r, a, true, &err));
    a->role = FB_ROLE_ADMIN;
    a->is_off = true;
    status(FB_DENIED, fb_account_put(r, a, true, &err));
    a->is_off = false;
    status(FB_DENIED, fb_account_remove(r, a, true, &err));
    a->is_removed = false;
    b->passkey_count = 1;
    b->passkeys[0] = (struct fb_passkey){.id_len = 1, .key_len = 1, .alg = -7};
    ok(fb_account_put(r, b, true, &err));
    ok(fb_account_remove(r, a, true, &err));
    assert_false(is_there("a"));
    assert_int_equal(b->role, FB_ROLE_ADMIN);
    status(FB_DENIED, fb_account_remove(r, b, true, &err));
    b->is_removed = false;
    ok(fb_account_remove(r, b, false, &err)); /* the command line may */
    fb_account_free(&a);
    fb_account_free(&b);
}

static void a_later_account_of_the_same_name_is_another(void **state)
{
    (void)state;
    add("hanako", FB_ROLE_ADMIN);
    struct fb_account *old = get("hanako"), *found = NULL;
    ok(fb_account_by_handle(r, old->handle, &found, &err));
    fb_account_free(&found);
    ok(fb_account_remove(r, old, false, &err));
    status(FB_NOT_FOUND, fb_account_by_handle(r, old->handle, &found, &err));
    add("hanako", FB_ROLE_HELPDESK);
    struct fb_account *now = get("hanako");
    assert_string_not_equal(old->handle, now->handle);
    status(FB_NOT_FOUND, fb_account_by_handle(r, old->handle, &found, &err));
    ok(fb_account_by_handle(r, now->handle, &found, &err));
    fb_account_free(&found);
    fb_account_free(&now);
    fb_account_free(&old);
}

static struct fb_accounts_copy *copy_of(void)
{
    struct fb_accounts_copy *copy = NULL;
    ok(fb_accounts_copy_new(path, &copy, &err));
    return copy;
}

static void accounts_come_back_after_a_loss_of_redis(void **state)
{
    (void)state;
    struct stat st;
    struct fb_accounts_copy *copy = copy_of(), *second = NULL;
    add("hanako", FB_ROLE_ADMIN);
    add("taro", FB_ROLE_AUDITOR);
    ok(fb_accounts_copy_sync(copy, r, NOW, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct fb_account *a = get("hanako");
    char handle[FB_ACCOUNT_HANDLE];
    memcpy(handle, a->handle, sizeof handle);
    fb_account_free(&a);
    redis_fixture_kill(&fixture);
    redis_fixture_again(&fixture);
    fb_redis_reset(r);
    assert_false(is_there("hanako"));
    /* By the console that ran, and by one that starts now. */
    ok(fb_accounts_copy_sync(copy, r, NOW + 1, &err));
    assert_true(is_there("hanako") && is_there("taro"));
    assert_int_equal(redis_fixture_int(&fixture, "FLUSHALL", NULL), 0);
    second = copy_of();
    ok(fb_accounts_copy_sync(second, r, NOW + 2, &err));
    ok(fb_account_by_handle(r, handle, &a, &err));
    assert_int_equal(a->role, FB_ROLE_ADMIN);
    fb_account_free(&a);
    fb_accounts_copy_free(&copy);
    fb_accounts_copy_free(&second);
}

static void an_old_copy_brings_nobody_back_who_was_removed(void **state)
{
    (void)state;
    struct fb_accounts_copy *old = copy_of();
    add("hanako", FB_ROLE_ADMIN);
    add("taro", FB_ROLE_ADMIN);
    ok(fb_accounts_copy_sync(old, r, NOW, &err));
    struct fb_account *taro = get("taro");
    ok(fb_account_remove(r, taro, true, &err));
    fb_account_free(&taro);
    struct fb_account *hanako = get("hanako");
    hanako->role = FB_ROLE_AUDITOR;
    ok(fb_account_put(r, hanako, false, &err));
    fb_account_free(&hanako);
    /* The machine with the old copy was off meanwhile. */
    ok(fb_accounts_copy_sync(old, r, NOW + 1, &err));
    assert_false(is_there("taro"));
    hanako = get("hanako");
    assert_int_equal(hanako->role, FB_ROLE_AUDITOR);
    fb_account_free(&hanako);
    /* And the mark is in the file as well, when Redis is lost after that. */
    assert_int_equal(redis_fixture_int(&fixture, "FLUSHALL", NULL), 0);
    ok(fb_accounts_copy_sync(old, r, NOW + 2, &err));
    assert_false(is_there("taro"));
    assert_true(is_there("hanako"));
    fb_accounts_copy_free(&old);
}

static void a_copy_that_others_can_read_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"x", "{}", "{\"fumibako\":\"accounts\"}",
                                      "{\"fumibako\":\"accounts\",\"accounts\":[{}]}"};
    struct fb_accounts_copy *copy = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(bad[i], f) >= 0 && fclose(f) == 0);
        assert_int_equal(chmod(path, 0600), 0);
        status(FB_CONFIG, fb_accounts_copy_new(path, &copy, &err));
    }
    assert_int_equal(chmod(path, 0644), 0);
    status(FB_CONFIG, fb_accounts_copy_new(path, &copy, &err));
    ok(fb_accounts_copy_new(NULL, &copy, &err)); /* none is kept */
    ok(fb_accounts_copy_sync(copy, r, NOW, &err));
    fb_accounts_copy_free(&copy);
}

static int64_t wait_of(const char *name, int64_t now_ms)
{
    int64_t wait_ms = 0;
    bool is_new_lock = false;
    ok(fb_throttle_take(r, "password", name, now_ms, &wait_ms, &is_new_lock, &err));
    return wait_ms;
}

static void guessing_waits_longer_and_longer_and_never_for_good(void **state)
{
    (void)state;
    static const int64_t delays[] = {30 * SECOND, MINUTE,      2 * MINUTE, 5 * MINUTE,
                                     10 * MINUTE, 15 * MINUTE, 15 * MINUTE};
    int64_t now = NOW;
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        for (int n = 0; n < FB_THROTTLE_TRIES; n++) {
            assert_int_equal(wait_of("hanako", now), 0);
        }
        assert_int_equal(wait_of("hanako", now), delays[i]);
        assert_int_equal(wait_of("taro", now + 100 * (int64_t)i * MINUTE),
                         0); /* nobody else waits */
        ok(fb_throttle_clear(r, "password", "taro", &err));
        now += delays[i];
    }
    for (int n = 0; n < FB_THROTTLE_TRIES; n++) {
        assert_int_equal(wait_of("hanako", now), 0);
    }
    assert_true(wait_of("hanako", now) > 0);
    ok(fb_account_unlock(r, "hanako", &err));
    assert_int_equal(wait_of("hanako", now), 0);
}

static void a_network_has_so_many_tries_in_a_window(void **state)
{
    (void)state;
    int64_t wait_ms = 0;
    for (int i = 0; i < 3; i++) {
        ok(fb_throttle_window(r, "network", "192.0.2.1", MINUTE, 3, &wait_ms, &err));
        assert_int_equal(wait_ms, 0);
    }
    ok(fb_throttle_window(r, "network", "192.0.2.1", MINUTE, 3, &wait_ms, &err));
    assert_in_range(wait_ms, 1, MINUTE);
    ok(fb_throttle_window(r, "network", "192.0.2.2", MINUTE, 3, &wait_ms, &err));
    assert_int_equal(wait_ms, 0);
}

static int start(void **state)
{
    (void)state;
    redis_fixture_start(&fixture, 2);
    r = redis_fixture_connect(&fixture);
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/users.json", folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fb_redis_free(&r);
    redis_fixture_stop(&fixture);
    (void)unlink(path);
    (void)rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_two_changes_at_the_same_time_one_is_told, set_up),
        cmocka_unit_test_setup(the_last_administrator_who_can_sign_in_stays, set_up),
        cmocka_unit_test_setup(a_later_account_of_the_same_name_is_another, set_up),
        cmocka_unit_test_setup(accounts_come_back_after_a_loss_of_redis, set_up),
        cmocka_unit_test_setup(an_old_copy_brings_nobody_back_who_was_removed, set_up),
        cmocka_unit_test_setup(a_copy_that_others_can_read_is_refused, set_up),
        cmocka_unit_test_setup(guessing_waits_longer_and_longer_and_never_for_good, set_up),
        cmocka_unit_test_setup(a_network_has_so_many_tries_in_a_window, set_up),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
