/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "services/fetch/shelf.h"

#define ASKING 8

static atomic_int gets, asking;
static size_t size;

/* What its URL says: "fail...", else an image of `size` bytes. */
static void get(void *ctx, const char *url, struct fetch_image *image_r)
{
    (void)ctx;
    atomic_fetch_add(&gets, 1);
    *image_r = (struct fetch_image){.outcome = FETCH_FAILED};
    fb_buf_init(&image_r->bytes, FETCH_MAX_BYTES);
    if (strncmp(url, "slow", 4) == 0) {
        for (int i = 0; i < 1000 && atomic_load(&asking) < ASKING; i++) { /* all are there */
            (void)usleep(10000);
        }
        (void)usleep(50000);
    }
    if (strncmp(url, "fail", 4) != 0) {
        image_r->outcome = FETCH_OK;
        image_r->type = "image/png";
        assert_int_equal(fb_buf_reserve(&image_r->bytes, size), FB_OK);
        memset(image_r->bytes.ptr, 'x', size);
        image_r->bytes.len = size;
    }
}

static bool ask(struct fetch_shelf *s, const char *url)
{
    bool is_kept = false;
    struct fetch_shelved *e = fetch_shelf_ask(s, url, &is_kept);
    bool is_ok = strncmp(url, "fail", 4) != 0;
    assert_int_equal(fetch_shelved_get(e)->outcome, is_ok ? FETCH_OK : FETCH_FAILED);
    assert_int_equal(fetch_shelved_get(e)->bytes.len, is_ok ? size : 0);
    fetch_shelf_release(s, &e);
    assert_null(e);
    return is_kept;
}

static void test_an_image_is_fetched_once_while_it_is_kept(void **state)
{
    (void)state;
    struct fetch_shelf *s = fetch_shelf_new(600000, get, NULL);
    size = 100;
    gets = 0;
    assert_false(ask(s, "a"));
    assert_true(ask(s, "a"));
    assert_false(ask(s, "A"));
    assert_false(ask(s, "fail")); /* remembered as well */
    assert_true(ask(s, "fail"));
    assert_int_equal(gets, 3);
    assert_int_equal(fetch_shelf_bytes(s), 200);
    fetch_shelf_free(&s);
    assert_null(s);
}

static void *ask_slow(void *ctx)
{
    atomic_fetch_add(&asking, 1);
    return ask(ctx, "slow") ? ctx : NULL;
}

static void test_what_is_on_its_way_is_waited_for_and_nothing_is_kept_for_no_time(void **state)
{
    (void)state;
    pthread_t threads[ASKING];
    struct fetch_shelf *s = fetch_shelf_new(0, get, NULL);
    size = 100;
    gets = 0;
    for (int i = 0; i < ASKING; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_slow, s), 0);
    }
    for (int i = 0; i < ASKING; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(gets < ASKING); /* who was late once more */
    assert_int_equal(fetch_shelf_bytes(s), 0);
    gets = 0;
    assert_false(ask(s, "a"));
    assert_false(ask(s, "a"));
    assert_int_equal(gets, 2);
    fetch_shelf_free(&s);
}

static void test_memory_and_number_are_bounded_and_the_oldest_goes_first(void **state)
{
    (void)state;
    struct fetch_shelf *s = fetch_shelf_new(600000, get, NULL);
    char url[32];
    size = FETCH_MAX_BYTES;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(url, sizeof url, "large%d", i);
        assert_false(ask(s, url));
        assert_true(fetch_shelf_bytes(s) <= FETCH_SHELF_BYTES);
    }
    assert_true(ask(s, "large19"));
    assert_false(ask(s, "large0"));
    size = 0;
    for (int i = 0; i < FETCH_SHELF_ENTRIES + 10; i++) {
        (void)snprintf(url, sizeof url, "small%d", i);
        assert_false(ask(s, url));
    }
    assert_false(ask(s, "small0"));
    (void)snprintf(url, sizeof url, "small%d", FETCH_SHELF_ENTRIES + 9);
    assert_true(ask(s, url));
    fetch_shelf_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_image_is_fetched_once_while_it_is_kept),
        cmocka_unit_test(test_what_is_on_its_way_is_waited_for_and_nothing_is_kept_for_no_time),
        cmocka_unit_test(test_memory_and_number_are_bounded_and_the_oldest_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
