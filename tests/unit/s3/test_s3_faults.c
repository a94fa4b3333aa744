/* SPDX-License-Identifier: Apache-2.0
 *
 * What passes is repeated, what does not is said in words, and every call ends in time.  The keys
 * ask the server for the faults (tests/support/s3.mjs).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/s3/s3.h"
#include "tests/support/s3_fixture.h"

static struct s3_fixture server;
static bool has_server;

static const struct fb_s3_options quick = {
    .deadline_ms = 15000, .stall_ms = 1000, .backoff_ms = 5, .tries = 6};
/* A machine that stands still for a moment is no fault. */
static const struct fb_s3_options patient = {
    .deadline_ms = 60000, .stall_ms = 20000, .backoff_ms = 5, .tries = 6};

static int setup(void **state)
{
    struct fb_s3 *s3 = NULL;
    struct fb_error err = {0};
    if (has_server &&
        fb_s3_open("s3://" S3_FIXTURE_BUCKET "/test/faults", &patient, &s3, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    *state = s3;
    return 0;
}

static int teardown(void **state)
{
    struct fb_s3 *s3 = *state;
    fb_s3_close(&s3);
    if (has_server) {
        s3_fixture_check(&server);
    }
    return 0;
}

static struct fb_s3 *client(void **state)
{
    if (*state == NULL) {
        skip();
    }
    return *state;
}

static void passing_faults_are_outlived(void **state)
{
    struct fb_s3 *s3 = client(state);
    static const char *const whats[] = {"500-2",   "503-3",   "slowdown-4",
                                        "after-1", "reset-2", "cut-2"};
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        struct fb_error err = {0};
        struct fb_slice bytes = FB_SLICE_LITERAL("0123456789abcdef");
        char key[64];
        char out[32];
        size_t got = 0;
        (void)snprintf(key, sizeof key, "fault-%s/x", whats[i]);
        if (fb_s3_put(s3, key, &bytes, 1, true, &err) != FB_OK ||
            fb_s3_get(s3, key, 0, out, sizeof out, NULL, &got, NULL, &err) != FB_OK ||
            got != bytes.len || memcmp(out, bytes.ptr, got) != 0 ||
            fb_s3_delete(s3, key, &err) != FB_OK) {
            fail_msg("%s: %s", whats[i], err.text);
        }
    }
}

static void a_lasting_fault_ends_in_words(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_slice bytes = FB_SLICE_LITERAL("x");
    struct fb_error err = {0};
    assert_int_equal(fb_s3_put(s3, "fault-slowdown-99/x", &bytes, 1, false, &err), FB_AGAIN);
    assert_non_null(strstr(err.text, "after 6 tries"));
    assert_non_null(strstr(err.text, "SlowDown"));
    assert_non_null(strstr(err.text, "request FRONT503"));
    assert_int_equal(fb_s3_put(s3, "fault-reset-99/x", &bytes, 1, false, &err), FB_NETWORK);
}

static void a_server_that_hangs_is_left_in_time(void **state)
{
    (void)client(state);
    struct fb_s3 *s3 = NULL;
    struct fb_s3_info info;
    struct fb_error err = {0};
    assert_int_equal(fb_s3_open("s3://" S3_FIXTURE_BUCKET "/test/faults", &quick, &s3, &err),
                     FB_OK);
    int64_t begun = fb_mono_ms();
    assert_int_equal(fb_s3_head(s3, "fault-hang-99/x", &info, &err), FB_NETWORK);
    assert_true(fb_mono_ms() - begun < 60000);
    fb_s3_close(&s3);
}

static void another_ones_object_is_not_taken_for_our_own(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_slice theirs = FB_SLICE_LITERAL("theirs");
    struct fb_slice ours = FB_SLICE_LITERAL("ours");
    struct fb_error err = {0};
    assert_int_equal(fb_s3_put(s3, "fault-500-1/taken", &theirs, 1, true, &err), FB_OK);
    assert_int_equal(fb_s3_put(s3, "fault-500-1/taken", &ours, 1, true, &err), FB_EXISTS);
    assert_int_equal(fb_s3_put(s3, "fault-after-2/other", &theirs, 1, false, &err), FB_OK);
    assert_int_equal(fb_s3_put(s3, "fault-after-2/other", &ours, 1, true, &err), FB_EXISTS);
}

struct sum {
    uint64_t size;
    uint64_t stop;
};

static bool on_bytes(void *ctx, struct fb_slice bytes)
{
    struct sum *sum = ctx;
    sum->size += bytes.len;
    return sum->stop == 0 || sum->size < sum->stop;
}

static void put_parts(struct fb_s3 *s3, const char *key, size_t size)
{
    struct fb_s3_upload *u = NULL;
    struct fb_error err = {0};
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 7, size);
    if (fb_s3_upload_new(s3, key, FB_S3_MIN_PART, &u, &err) != FB_OK ||
        fb_s3_upload_add(u, bytes, size, &err) != FB_OK || fb_s3_upload_commit(&u, &err) != FB_OK) {
        fail_msg("%s: %s", key, err.text);
    }
    free(bytes);
}

static void uploads_in_parts_outlive_faults_at_every_step(void **state)
{
    struct fb_s3 *s3 = client(state);
    static const char *const whats[] = {"500-1", "after-1", "reset-1", "cut-1", "inside-1"};
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        char key[64];
        struct sum sum = {0};
        struct fb_error err = {0};
        (void)snprintf(key, sizeof key, "fault-%s/parts", whats[i]);
        put_parts(s3, key, 2 * FB_S3_MIN_PART + 5);
        if (fb_s3_read(s3, key, on_bytes, &sum, NULL, &err) != FB_OK) {
            fail_msg("%s: %s", whats[i], err.text);
        }
        assert_int_equal(sum.size, 2 * FB_S3_MIN_PART + 5);
    }
}

static void changed_bytes_are_found(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_slice bytes = FB_SLICE_LITERAL("the bytes that were written");
    struct fb_error err = {0};
    struct sum sum = {0};
    assert_int_equal(fb_s3_put(s3, "fault-corrupt-1/one", &bytes, 1, false, &err), FB_OK);
    assert_int_equal(fb_s3_read(s3, "fault-corrupt-1/one", on_bytes, &sum, NULL, &err), FB_CORRUPT);
    assert_int_equal(fb_s3_read(s3, "fault-corrupt-1/one", on_bytes, &sum, NULL, &err), FB_OK);
    /* The first GET of this key is the changed one; its upload uses none. */
    put_parts(s3, "fault-corrupt-1/parts", 2 * FB_S3_MIN_PART);
    assert_int_equal(fb_s3_read(s3, "fault-corrupt-1/parts", on_bytes, &sum, NULL, &err),
                     FB_CORRUPT);
    assert_int_equal(fb_s3_read(s3, "fault-corrupt-1/parts", on_bytes, &sum, NULL, &err), FB_OK);
}

static void a_reader_may_stop(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct sum sum = {.stop = 1};
    put_parts(s3, "stop", 2 * FB_S3_MIN_PART);
    assert_int_equal(fb_s3_read(s3, "stop", on_bytes, &sum, NULL, NULL), FB_LOST);
}

static enum fb_status head_with(const char *url, const char *variable, const char *value,
                                struct fb_error *err)
{
    struct fb_s3 *s3 = NULL;
    struct fb_s3_info info;
    char *before = variable != NULL ? strdup(getenv(variable)) : NULL;
    if (variable != NULL) {
        (void)setenv(variable, value, 1);
    }
    enum fb_status s = fb_s3_open(url, &quick, &s3, err);
    if (s == FB_OK) {
        s = fb_s3_head(s3, "x", &info, err);
    }
    fb_s3_close(&s3);
    if (variable != NULL) {
        (void)setenv(variable, before, 1);
        free(before);
    }
    return s;
}

static void what_the_operator_must_mend_is_a_matter_of_configuration(void **state)
{
    (void)client(state);
    struct fb_error err = {0};
    assert_int_equal(
        head_with("s3://" S3_FIXTURE_BUCKET, "AWS_ENDPOINT_URL_S3", "https://127.0.0.1:1", &err),
        FB_NETWORK);
    assert_int_equal(
        head_with("s3://" S3_FIXTURE_BUCKET, "AWS_ENDPOINT_URL_S3", "ftp://127.0.0.1", &err),
        FB_CONFIG);
    assert_int_equal(head_with("s3://" S3_FIXTURE_BUCKET, "AWS_SECRET_ACCESS_KEY", "wrong", &err),
                     FB_CONFIG);
    assert_non_null(strstr(err.text, "credentials"));
    char *counts = s3_fixture_ask(&server, "GET", "/-/counts?reset=1"); /* that one was wrong */
    assert_non_null(strstr(counts, "another signature"));
    free(counts);
}

static void one_in_five_faults_by_chance_loses_nothing(void **state)
{
    struct fb_s3 *s3 = client(state);
    free(s3_fixture_ask(&server, "POST", "/-/faults?rate=0.2&seed=11"));
    for (int i = 0; i < 200; i++) {
        struct fb_error err = {0};
        char key[40];
        char text[40];
        char out[64];
        size_t got = 0;
        (void)snprintf(key, sizeof key, "chance/%d", i);
        (void)snprintf(text, sizeof text, "the content of object %d", i);
        struct fb_slice bytes = fb_slice_str(text);
        if (fb_s3_put(s3, key, &bytes, 1, true, &err) != FB_OK ||
            fb_s3_get(s3, key, 0, out, sizeof out, NULL, &got, NULL, &err) != FB_OK ||
            got != bytes.len || memcmp(out, text, got) != 0) {
            fail_msg("%s: %s", key, err.text);
        }
    }
    free(s3_fixture_ask(&server, "POST", "/-/faults?rate=0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passing_faults_are_outlived),
        cmocka_unit_test(a_lasting_fault_ends_in_words),
        cmocka_unit_test(a_server_that_hangs_is_left_in_time),
        cmocka_unit_test(another_ones_object_is_not_taken_for_our_own),
        cmocka_unit_test(uploads_in_parts_outlive_faults_at_every_step),
        cmocka_unit_test(changed_bytes_are_found),
        cmocka_unit_test(a_reader_may_stop),
        cmocka_unit_test(what_the_operator_must_mend_is_a_matter_of_configuration),
        cmocka_unit_test(one_in_five_faults_by_chance_loses_nothing),
    };
    has_server = s3_fixture_start(&server);
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    s3_fixture_stop(&server);
    return failed;
}
