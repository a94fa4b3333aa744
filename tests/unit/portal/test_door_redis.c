/* SPDX-License-Identifier: Apache-2.0
 *
 * What the door keeps in a real Redis: codes, sessions, devices, apps, tries; and what a reader's access does to the
 * ledger.  Time is an argument, so that hours pass here at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/ledger/door.h"
#include "common/ledger/reading.h"
#include "tests/support/redis_fixture.h"

#define PARCEL "01ARZ3NDEKTSV4RRFFQ69G5FAV-0"
#define MSG    "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HASH_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define NOW    INT64_C(1800000000000)
#define MINUTE INT64_C(60000)

static struct redis_fixture fixture;
static struct fb_redis *r;
static struct fb_error err;

static const struct fb_door_grant grant = {.parcel_id = PARCEL, .recipient = 3};

#define ok(call) assert_status(FB_OK, (call), __LINE__)

static void assert_status(enum fb_status want, enum fb_status got, int line)
{
    if (want != got) {
        fail_msg("line %d: want %s, got %s: %s", line, fb_status_name(want), fb_status_name(got),
                 err.text);
    }
}

static enum fb_status ask(const char *browser, const char *hash, int64_t now_ms, int64_t *until_r)
{
    const struct fb_door_ask a = {
        .browser = browser, .to = "hanako@partner.example.com", .sealed = "sealed", .hash = hash};
    return fb_door_code_ask(r, &grant, &a, now_ms, until_r, &err);
}

static struct fb_door_check enter(const char *browser, const char *hash, int64_t now_ms)
{
    struct fb_door_check check;
    ok(fb_door_code_enter(r, &grant, browser, hash, now_ms, &check, &err));
    return check;
}

static int set_up(void **state)
{
    (void)state;
    return redis_fixture_int(&fixture, "FLUSHALL", NULL) == -2;
}

/* ---- codes ---- */

static void a_code_opens_once_in_its_browser_in_its_time(void **state)
{
    (void)state;
    int64_t until = 0;
    assert_int_equal(enter(HASH_A, HASH_B, NOW).found, FB_DOOR_NONE);
    ok(ask(HASH_A, HASH_B, NOW, &until));
    assert_int_equal(until, NOW + MINUTE / 2);
    assert_int_equal(enter(HASH_C, HASH_B, NOW).found, FB_DOOR_NONE); /* another browser */
    assert_int_equal(enter(HASH_A, HASH_B, NOW + 10 * MINUTE).found, FB_DOOR_NONE);
    struct fb_door_check check = enter(HASH_A, HASH_B, NOW + 10 * MINUTE - 1);
    assert_int_equal(check.found, FB_DOOR_RIGHT);
    assert_string_equal(check.to, "hanako@partner.example.com");
    assert_int_equal(enter(HASH_A, HASH_B, NOW + 1).found, FB_DOOR_NONE); /* used */
}

static void five_wrong_codes_lock_for_longer_and_longer(void **state)
{
    (void)state;
    static const int64_t minutes[] = {1, 5, 15, 60, 240, 1440, 1440};
    int64_t now = NOW;
    for (size_t round = 0; round < sizeof minutes / sizeof minutes[0]; round++) {
        int64_t until = 0;
        ok(ask(HASH_A, HASH_B, now, &until));
        for (unsigned i = 1; i < FB_DOOR_TRIES; i++) {
            struct fb_door_check check = enter(HASH_A, HASH_C, now);
            assert_int_equal(check.found, FB_DOOR_WRONG);
            assert_int_equal(check.tries_left, FB_DOOR_TRIES - i);
        }
        struct fb_door_check last = enter(HASH_A, HASH_C, now);
        assert_int_equal(last.found, FB_DOOR_LOCKED);
        assert_true(last.is_new_lock);
        assert_int_equal(last.until_ms, now + minutes[round] * MINUTE);
        struct fb_door_check right = enter(HASH_A, HASH_B, now); /* the code went with it */
        assert_int_equal(right.found, FB_DOOR_LOCKED);
        assert_false(right.is_new_lock);
        assert_int_equal(ask(HASH_A, HASH_B, last.until_ms - 1, &until), FB_AGAIN);
        assert_int_equal(until, last.until_ms);
        now = last.until_ms;
    }
}

static void another_code_takes_the_place_of_the_first_after_a_growing_pause(void **state)
{
    (void)state;
    static const int64_t seconds[] = {30, 60, 120, 300, 900, 1800, 3600, 3600};
    int64_t now = NOW, until = 0;
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        ok(ask(HASH_A, i % 2 == 0 ? HASH_B : HASH_C, now, &until));
        assert_int_equal(until, now + seconds[i] * 1000);
        assert_int_equal(ask(HASH_A, HASH_A, until - 1, &until), FB_AGAIN);
        now = until;
    }
    ok(ask(HASH_A, HASH_A, now, &until));
    assert_int_equal(enter(HASH_A, HASH_B, now).found, FB_DOOR_WRONG);
    struct fb_door_code code;
    ok(fb_door_code_get(r, &grant, HASH_A, now, &code, &err));
    assert_true(code.is_waiting);
    assert_int_equal(code.tries_left, FB_DOOR_TRIES - 1);
    assert_int_equal(code.next_ms, until);
    ok(fb_door_code_get(r, &grant, HASH_C, now, &code, &err));
    assert_false(code.is_waiting);
    assert_string_equal(code.to, "");
    assert_true(redis_fixture_int(&fixture, "PTTL", "fb:{s0}:pc:" PARCEL ".3", NULL) > 0);
}

static void an_ask_without_a_code_leaves_none_to_send(void **state)
{
    (void)state;
    int64_t until = 0;
    ok(ask(HASH_A, HASH_B, NOW, &until));
    const struct fb_door_ask a = {.browser = HASH_A, .to = "x@elsewhere", .hash = HASH_C};
    ok(fb_door_code_ask(r, &grant, &a, until, &until, &err));
    assert_int_equal(
        redis_fixture_int(&fixture, "HEXISTS", "fb:{s0}:pc:" PARCEL ".3", "code", NULL), 0);
}

/* ---- sessions, devices ---- */

static struct fb_door_session session_of(int64_t until_ms)
{
    return (struct fb_door_session){.grant = PARCEL ".3.tag",
                                    .address = "hanako@partner.example.com",
                                    .proof = "code",
                                    .need = "",
                                    .form = HASH_C,
                                    .since_ms = NOW,
                                    .until_ms = until_ms};
}

static void a_session_ends_when_it_is_idle_and_in_any_case(void **state)
{
    (void)state;
    struct fb_door_session s = session_of(NOW + 60 * MINUTE), back;
    ok(fb_door_session_put(r, 0, HASH_A, "", &s, 30 * MINUTE, NOW, &err));
    long long ttl = redis_fixture_int(&fixture, "PTTL", "fb:{s0}:ps:" HASH_A, NULL);
    assert_true(ttl > 29 * MINUTE && ttl <= 30 * MINUTE);
    ok(fb_door_session_get(r, 0, HASH_A, 30 * MINUTE, NOW + 40 * MINUTE, &back, &err));
    assert_string_equal(back.grant, s.grant);
    assert_string_equal(back.address, s.address);
    assert_string_equal(back.proof, "code");
    assert_string_equal(back.form, HASH_C);
    assert_int_equal(back.until_ms, s.until_ms);
    assert_int_equal(fb_door_session_get(r, 0, HASH_A, 30 * MINUTE, s.until_ms, &back, &err),
                     FB_NOT_FOUND);
    /* Near its end its use does not keep it. */
    assert_int_equal(redis_fixture_int(&fixture, "PEXPIRE", "fb:{s0}:ps:" HASH_A, "600000", NULL),
                     1);
    ok(fb_door_session_get(r, 0, HASH_A, 30 * MINUTE, NOW + 45 * MINUTE, &back, &err));
    ttl = redis_fixture_int(&fixture, "PTTL", "fb:{s0}:ps:" HASH_A, NULL);
    assert_true(ttl > 14 * MINUTE && ttl <= 15 * MINUTE);
    assert_int_equal(fb_door_session_get(r, 0, HASH_B, MINUTE, NOW, &back, &err), FB_NOT_FOUND);
    assert_int_equal(fb_door_session_put(r, 0, HASH_B, "", &s, MINUTE, s.until_ms, &err),
                     FB_INVALID);
}

static void a_new_session_ends_the_one_before_it(void **state)
{
    (void)state;
    struct fb_door_session s = session_of(NOW + 60 * MINUTE), back;
    ok(fb_door_session_put(r, 0, HASH_A, "", &s, MINUTE, NOW, &err));
    ok(fb_door_session_put(r, 0, HASH_B, HASH_A, &s, MINUTE, NOW, &err));
    assert_int_equal(fb_door_session_get(r, 0, HASH_A, MINUTE, NOW, &back, &err), FB_NOT_FOUND);
    ok(fb_door_session_get(r, 0, HASH_B, MINUTE, NOW, &back, &err));
    ok(fb_door_session_end(r, 0, HASH_B, &err));
    assert_int_equal(fb_door_session_get(r, 0, HASH_B, MINUTE, NOW, &back, &err), FB_NOT_FOUND);
}

static void a_device_is_trusted_until_it_is_not(void **state)
{
    (void)state;
    const struct fb_door_device d = {.owner = HASH_B, .proof = "totp", .since_ms = NOW};
    struct fb_door_device back;
    assert_int_equal(fb_door_device_get(r, HASH_A, &back, &err), FB_NOT_FOUND);
    ok(fb_door_device_put(r, HASH_A, &d, MINUTE, &err));
    ok(fb_door_device_get(r, HASH_A, &back, &err));
    assert_string_equal(back.owner, HASH_B);
    assert_string_equal(back.proof, "totp");
    assert_int_equal(back.since_ms, NOW);
    ok(fb_door_device_end(r, HASH_A, &err));
    assert_int_equal(fb_door_device_get(r, HASH_A, &back, &err), FB_NOT_FOUND);
}

/* ---- apps ---- */

static void a_step_and_a_recovery_code_are_taken_once(void **state)
{
    (void)state;
    char hashes[FB_DOOR_RECOVERY][FB_DOOR_HASH];
    struct fb_door_totp t;
    unsigned left = 0;
    for (int i = 0; i < FB_DOOR_RECOVERY; i++) {
        (void)snprintf(hashes[i], sizeof hashes[i], "%064d", i);
    }
    struct fb_door_enrol e = {.sealed = "secret", .step = 100, .recovery = hashes, .now_ms = NOW};
    assert_int_equal(fb_door_totp_get(r, HASH_A, &t, &err), FB_NOT_FOUND);
    assert_int_equal(fb_door_totp_take(r, HASH_A, 100, &err), FB_NOT_FOUND);
    ok(fb_door_totp_enrol(r, HASH_A, &e, &err));
    assert_int_equal(fb_door_totp_enrol(r, HASH_A, &e, &err), FB_EXISTS);
    assert_int_equal(fb_door_totp_take(r, HASH_A, 100, &err),
                     FB_EXISTS); /* it confirmed the enrolment */
    ok(fb_door_totp_take(r, HASH_A, 102, &err));
    assert_int_equal(fb_door_totp_take(r, HASH_A, 102, &err), FB_EXISTS);
    assert_int_equal(fb_door_totp_take(r, HASH_A, 101, &err), FB_EXISTS);
    ok(fb_door_totp_recover(r, HASH_A, hashes[4], &left, &err));
    assert_int_equal(left, FB_DOOR_RECOVERY - 1);
    assert_int_equal(fb_door_totp_recover(r, HASH_A, hashes[4], &left, &err), FB_NOT_FOUND);
    assert_int_equal(fb_door_totp_recover(r, HASH_A, HASH_B, &left, &err), FB_NOT_FOUND);
    ok(fb_door_totp_get(r, HASH_A, &t, &err));
    assert_string_equal(t.sealed, "secret");
    assert_int_equal(t.step, 102);
    assert_int_equal(t.recovery_left, FB_DOOR_RECOVERY - 1);
    e.sealed = "another";
    e.replaces = true;
    ok(fb_door_totp_enrol(r, HASH_A, &e, &err));
    ok(fb_door_totp_get(r, HASH_A, &t, &err));
    assert_string_equal(t.sealed, "another");
    assert_int_equal(t.recovery_left, FB_DOOR_RECOVERY);
}

/* ---- how often ---- */

static void a_window_has_room_for_so_many(void **state)
{
    (void)state;
    int64_t wait = 0, n = 0;
    for (int i = 0; i < 3; i++) {
        ok(fb_door_take(r, "mail", HASH_A, MINUTE, 3, &wait, &err));
        assert_int_equal(wait, 0);
    }
    ok(fb_door_take(r, "mail", HASH_A, MINUTE, 3, &wait, &err));
    assert_true(wait > 0 && wait <= MINUTE);
    ok(fb_door_look(r, "mail", HASH_A, 3, &wait, &err));
    assert_true(wait > 0);
    ok(fb_door_look(r, "mail", HASH_A, 4, &wait, &err));
    assert_int_equal(wait, 0);
    ok(fb_door_count(r, "mail", HASH_A, MINUTE, &n, &err));
    assert_int_equal(n, 4);
    ok(fb_door_take(r, "mail", HASH_B, MINUTE, 3, &wait, &err));
    assert_int_equal(wait, 0);
    ok(fb_door_take(r, "wrong", HASH_A, MINUTE, 3, &wait, &err));
    assert_int_equal(wait, 0);
}

static void tries_are_counted_before_and_forgotten_after_a_right_one(void **state)
{
    (void)state;
    int64_t until = 0, now = NOW;
    unsigned left = 0;
    for (int i = FB_DOOR_TRIES - 1; i >= 0; i--) {
        ok(fb_door_try(r, "totp", HASH_A, now, &until, &left, &err));
        assert_int_equal(until, 0);
        assert_int_equal(left, i);
    }
    ok(fb_door_try(r, "totp", HASH_A, now, &until, &left, &err));
    assert_int_equal(until, now + MINUTE);
    ok(fb_door_try_look(r, "totp", HASH_A, now, &until, &err));
    assert_int_equal(until, now + MINUTE);
    now = until;
    for (int i = 0; i < FB_DOOR_TRIES; i++) {
        ok(fb_door_try(r, "totp", HASH_A, now, &until, &left, &err));
        assert_int_equal(until, 0);
    }
    ok(fb_door_try(r, "totp", HASH_A, now, &until, &left, &err));
    assert_int_equal(until, now + 5 * MINUTE);
    ok(fb_door_try_clear(r, "totp", HASH_A, &err));
    ok(fb_door_try(r, "totp", HASH_A, now, &until, &left, &err));
    assert_int_equal(until, 0);
    assert_int_equal(left, FB_DOOR_TRIES - 1);
}

/* ---- the ledger ---- */

static enum fb_reading check(void)
{
    enum fb_reading reading = FB_READING_USED_UP;
    ok(fb_ledger_reading_check(r, MSG, PARCEL, 3, &reading, &err));
    return reading;
}

static enum fb_reading record(enum fb_ledger_event_kind kind, int64_t most)
{
    enum fb_reading reading = FB_READING_USED_UP;
    ok(fb_ledger_reading_record(r, PARCEL, 3, kind, "h|\"\n@x", most, &reading, &err));
    return reading;
}

static long long h(const char *key, const char *field)
{
    return redis_fixture_int(&fixture, "HGET", key, field, NULL);
}

static void set_grant(const char *state)
{
    char value[64];
    (void)snprintf(value, sizeof value, "%s|id|1|a|b", state);
    assert_true(redis_fixture_int(&fixture, "HSET", "fb:{s0}:g:" PARCEL, "3", value, NULL) >= 0);
}

static void a_recall_or_an_end_in_the_ledger_forbids(void **state)
{
    (void)state;
    assert_int_equal(check(), FB_READING_ALLOWED); /* the ledger knows nothing: the vault decides */
    set_grant("active");
    assert_int_equal(check(), FB_READING_ALLOWED);
    set_grant("recalled");
    assert_int_equal(check(), FB_READING_RECALLED);
    assert_int_equal(record(FB_EVENT_PREVIEW, 0), FB_READING_RECALLED);
    set_grant("expired");
    assert_int_equal(check(), FB_READING_ENDED);
    assert_int_equal(record(FB_EVENT_DOWNLOAD, 0), FB_READING_ENDED);
    set_grant("opened");
    (void)redis_fixture_int(&fixture, "HSET", "fb:{s0}:m:" MSG, "x:2", "1", NULL);
    assert_int_equal(check(), FB_READING_ALLOWED); /* somebody else */
    (void)redis_fixture_int(&fixture, "HSET", "fb:{s0}:m:" MSG, "x:3", "1", NULL);
    assert_int_equal(check(), FB_READING_RECALLED);
    assert_int_equal(record(FB_EVENT_PREVIEW, 0), FB_READING_RECALLED);
    (void)redis_fixture_int(&fixture, "HDEL", "fb:{s0}:m:" MSG, "x:3", NULL);
    (void)redis_fixture_int(&fixture, "HSET", "fb:{s0}:m:" MSG, "recalled", "1", NULL);
    assert_int_equal(check(), FB_READING_RECALLED);
    assert_int_equal(redis_fixture_int(&fixture, "EXISTS", "fb:{s0}:w:" PARCEL, NULL), 0);
    enum fb_reading reading = FB_READING_ALLOWED;
    (void)redis_fixture_int(&fixture, "HSET", "fb:{s0}:m:" MSG, "v", "99", NULL);
    assert_int_equal(fb_ledger_reading_check(r, MSG, PARCEL, 3, &reading, &err), FB_AGAIN);
}

static void an_access_moves_the_grant_forward_and_is_counted(void **state)
{
    (void)state;
    int64_t count = 0;
    set_grant("active");
    assert_int_equal(record(FB_EVENT_PREVIEW, 0), FB_READING_ALLOWED);
    assert_int_equal(record(FB_EVENT_DOWNLOAD, 2), FB_READING_ALLOWED);
    assert_int_equal(record(FB_EVENT_PREVIEW, 0), FB_READING_ALLOWED);
    assert_int_equal(record(FB_EVENT_DOWNLOAD, 2), FB_READING_ALLOWED);
    assert_int_equal(record(FB_EVENT_DOWNLOAD, 2), FB_READING_USED_UP);
    ok(fb_ledger_reading_downloads(r, PARCEL, 3, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(h("fb:{s0}:w:" PARCEL, "n:3:preview"), 2);
    assert_true(h("fb:{s0}:w:" PARCEL, "o:3") <= h("fb:{s0}:w:" PARCEL, "l:3"));
    assert_int_equal(redis_fixture_int(&fixture, "LLEN", "fb:{s0}:h:" PARCEL, NULL), 4);
    assert_true(redis_fixture_int(&fixture, "TTL", "fb:{s0}:h:" PARCEL, NULL) > 0);
    assert_true(redis_fixture_int(&fixture, "TTL", "fb:{s0}:w:" PARCEL, NULL) > 0);
}

static bool look(void *ctx, const char *line)
{
    (void)snprintf(ctx, 600, "%s", line);
    return true;
}

static void an_attempt_is_a_line_of_the_history(void **state)
{
    (void)state;
    char line[600] = "", agent[400];
    memset(agent, 'a', sizeof agent - 1);
    agent[sizeof agent - 1] = '\0';
    agent[0] = '"';
    agent[1] = '\n';
    const struct fb_reading_attempt a = {
        .event = "code wrong", .address = "h@x", .network = "192.0.2.0/24", .agent = agent};
    ok(fb_ledger_reading_attempt(r, PARCEL, 3, &a, &err));
    ok(fb_ledger_history(r, PARCEL, 10, look, line, &err));
    assert_non_null(strstr(line, "\"recipient\":3"));
    assert_non_null(strstr(line, "\"actor\":\"h@x\""));
    assert_non_null(strstr(line, "\"event\":\"code wrong\""));
    assert_non_null(strstr(line, "\"network\":\"192.0.2.0/24\""));
    assert_non_null(strstr(line, "\"agent\":\"\\\"?aaa"));
    assert_true(strlen(line) < 450);
    assert_int_equal(fb_ledger_reading_attempt(r, "no parcel", 3, &a, &err), FB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_code_opens_once_in_its_browser_in_its_time, set_up),
        cmocka_unit_test_setup(five_wrong_codes_lock_for_longer_and_longer, set_up),
        cmocka_unit_test_setup(another_code_takes_the_place_of_the_first_after_a_growing_pause,
                               set_up),
        cmocka_unit_test_setup(an_ask_without_a_code_leaves_none_to_send, set_up),
        cmocka_unit_test_setup(a_session_ends_when_it_is_idle_and_in_any_case, set_up),
        cmocka_unit_test_setup(a_new_session_ends_the_one_before_it, set_up),
        cmocka_unit_test_setup(a_device_is_trusted_until_it_is_not, set_up),
        cmocka_unit_test_setup(a_step_and_a_recovery_code_are_taken_once, set_up),
        cmocka_unit_test_setup(a_window_has_room_for_so_many, set_up),
        cmocka_unit_test_setup(tries_are_counted_before_and_forgotten_after_a_right_one, set_up),
        cmocka_unit_test_setup(a_recall_or_an_end_in_the_ledger_forbids, set_up),
        cmocka_unit_test_setup(an_access_moves_the_grant_forward_and_is_counted, set_up),
        cmocka_unit_test_setup(an_attempt_is_a_line_of_the_history, set_up),
    };
    redis_fixture_start(&fixture, 1);
    r = redis_fixture_connect(&fixture);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fb_redis_free(&r);
    redis_fixture_stop(&fixture);
    return failed;
}
