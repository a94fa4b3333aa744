/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects go in and come out as they were, whole, by range and in parts, with keys of every kind;
 * and the server finds every signature right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/crypto.h"
#include "common/s3/s3.h"
#include "tests/support/s3_fixture.h"

static struct s3_fixture server;
static bool has_server;

static int setup(void **state)
{
    struct fb_s3 *s3 = NULL;
    struct fb_error err = {0};
    if (has_server && fb_s3_open("s3://" S3_FIXTURE_BUCKET "/test/s3", NULL, &s3, &err) != FB_OK) {
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

#define ok(call)                                                                                   \
    do {                                                                                           \
        struct fb_error err = {0};                                                                 \
        enum fb_status s_ = (call);                                                                \
        if (s_ != FB_OK) {                                                                         \
            fail_msg("%s: %s", #call, err.text);                                                   \
        }                                                                                          \
    } while (0)

static void put_text(struct fb_s3 *s3, const char *key, const char *text)
{
    struct fb_slice s = fb_slice_str(text);
    ok(fb_s3_put(s3, key, &s, 1, false, &err));
}

static void an_object_comes_back_whole_and_by_range(void **state)
{
    struct fb_s3 *s3 = client(state);
    static const struct fb_slice pieces[] = {
        {(const uint8_t *)"ab", 2}, {NULL, 0}, {(const uint8_t *)"cdefghij", 8}};
    char out[32];
    size_t got = 0;
    struct fb_s3_info info = {0};
    ok(fb_s3_put(s3, "a/whole", pieces, 3, false, &err));
    ok(fb_s3_get(s3, "a/whole", 0, out, sizeof out, NULL, &got, &info, &err));
    assert_int_equal(got, 10);
    assert_memory_equal(out, "abcdefghij", 10);
    assert_int_equal(info.size, 10);
    ok(fb_s3_get(s3, "a/whole", 3, out, 4, NULL, &got, &info, &err));
    assert_int_equal(got, 4);
    assert_memory_equal(out, "defg", 4);
    assert_int_equal(info.size, 10);
    ok(fb_s3_get(s3, "a/whole", 8, out, 32, NULL, &got, NULL, &err));
    assert_int_equal(got, 2);
    ok(fb_s3_get(s3, "a/whole", 10, out, 4, NULL, &got, NULL, &err));
    assert_int_equal(got, 0);
    ok(fb_s3_head(s3, "a/whole", &info, &err));
    assert_int_equal(info.size, 10);
    assert_true(info.modified_ms > 0 && info.etag[0] == '"');
    assert_string_equal(info.own_sha256,
                        "72399361da6a7754fec986dca5b7cbaf1c810a28ded4abaf56b2106d06cb78b0");
}

static void an_empty_object_is_one(void **state)
{
    struct fb_s3 *s3 = client(state);
    char out[4];
    size_t got = 9;
    struct fb_s3_info info = {.size = 9};
    put_text(s3, "empty", "");
    ok(fb_s3_head(s3, "empty", &info, &err));
    assert_int_equal(info.size, 0);
    ok(fb_s3_get(s3, "empty", 0, out, sizeof out, NULL, &got, NULL, &err));
    assert_int_equal(got, 0);
}

static void what_is_not_there_is_said_to_be_so(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_error e = {0};
    struct fb_s3_info info;
    char out[4];
    size_t got = 0;
    assert_int_equal(fb_s3_get(s3, "none", 0, out, 4, NULL, &got, NULL, &e), FB_NOT_FOUND);
    assert_non_null(strstr(e.text, "NoSuchKey"));
    assert_non_null(strstr(e.text, "request "));
    assert_int_equal(fb_s3_head(s3, "none", &info, &e), FB_NOT_FOUND);
    ok(fb_s3_delete(s3, "none", &err));
    put_text(s3, "some", "x");
    ok(fb_s3_delete(s3, "some", &err));
    assert_int_equal(fb_s3_head(s3, "some", &info, &e), FB_NOT_FOUND);
}

static void a_new_object_replaces_nothing(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_slice first = FB_SLICE_LITERAL("first");
    struct fb_slice second = FB_SLICE_LITERAL("second");
    struct fb_s3_info info;
    struct fb_error e = {0};
    char out[8];
    size_t got = 0;
    ok(fb_s3_put(s3, "new", &first, 1, true, &err));
    assert_int_equal(fb_s3_put(s3, "new", &second, 1, true, &e), FB_EXISTS);
    ok(fb_s3_get(s3, "new", 0, out, sizeof out, NULL, &got, NULL, &err));
    assert_memory_equal(out, "first", 5);
    ok(fb_s3_head(s3, "new", &info, &err));
    ok(fb_s3_replace(s3, "new", second, info.etag, &err));
    assert_int_equal(fb_s3_replace(s3, "new", first, info.etag, &e), FB_EXISTS);
    assert_int_equal(fb_s3_get(s3, "new", 0, out, 8, info.etag, &got, NULL, &e), FB_EXISTS);
}

static void keys_of_every_kind_are_signed_right(void **state)
{
    struct fb_s3 *s3 = client(state);
    static const char *const keys[] = {"plain",
                                       "with blank",
                                       "a=b/c=d",
                                       "plus+and&and?question#hash",
                                       "per%20cent",
                                       "\xe6\x97\xa5\xe6\x9c\xac.pdf",
                                       "tilde~-._",
                                       "semi;colon:at@comma,",
                                       "quotes'\"()",
                                       "star*bang!",
                                       "deep/er/and/deeper"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char out[16];
        size_t got = 0;
        put_text(s3, keys[i], "content");
        ok(fb_s3_get(s3, keys[i], 0, out, sizeof out, NULL, &got, NULL, &err));
        assert_int_equal(got, 7);
        ok(fb_s3_delete(s3, keys[i], &err));
    }
}

struct listing {
    char keys[64][64];
    size_t count;
    size_t stop;
};

static bool on_entry(void *ctx, const struct fb_s3_entry *entry)
{
    struct listing *l = ctx;
    assert_true(entry->modified_ms > 0);
    if (l->count < 64) {
        (void)snprintf(l->keys[l->count], 64, "%s", entry->key);
    }
    return ++l->count != l->stop;
}

static void a_listing_has_all_keys_of_the_prefix_in_order(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct listing l = {0};
    for (int i = 0; i < 12; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "list/%02d", (i * 5) % 12);
        put_text(s3, key, "x");
    }
    put_text(s3, "lisu", "x");
    ok(fb_s3_list(s3, "list/", NULL, on_entry, &l, &err));
    assert_int_equal(l.count, 12);
    assert_string_equal(l.keys[0], "list/00");
    assert_string_equal(l.keys[11], "list/11");
    l = (struct listing){0};
    ok(fb_s3_list(s3, "list/", "list/06", on_entry, &l, &err));
    assert_int_equal(l.count, 5);
    assert_string_equal(l.keys[0], "list/07");
    l = (struct listing){.stop = 3};
    ok(fb_s3_list(s3, "list/", NULL, on_entry, &l, &err));
    assert_int_equal(l.count, 3);
    l = (struct listing){0};
    ok(fb_s3_list(s3, "nothing/", NULL, on_entry, &l, &err));
    assert_int_equal(l.count, 0);
}

static void a_listing_of_many_pages_loses_nothing(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct listing l = {0};
    for (int i = 0; i < 1100; i++) { /* a page has 1,000 */
        char key[40];
        (void)snprintf(key, sizeof key, "pages/a=%d", i);
        put_text(s3, key, "x");
    }
    ok(fb_s3_list(s3, "pages/", NULL, on_entry, &l, &err));
    assert_int_equal(l.count, 1100);
}

struct through {
    struct fb_hash hash;
    uint64_t size;
};

static bool on_bytes(void *ctx, struct fb_slice bytes)
{
    struct through *t = ctx;
    fb_hash_update(&t->hash, bytes.ptr, bytes.len);
    t->size += bytes.len;
    return true;
}

static void stream(struct fb_s3 *s3, const char *key, size_t size)
{
    struct fb_s3_upload *u = NULL;
    struct fb_hash want;
    struct through t = {0};
    struct fb_s3_info info = {0};
    uint8_t digest[2][FB_SHA256_SIZE];
    uint8_t piece[70001];
    fb_hash_init(&want, FB_HASH_SHA256);
    fb_hash_init(&t.hash, FB_HASH_SHA256);
    ok(fb_s3_upload_new(s3, key, FB_S3_MIN_PART, &u, &err));
    for (size_t at = 0; at < size;) {
        size_t take = size - at < sizeof piece ? size - at : sizeof piece;
        memset(piece, (int)(at / 70001 + 1), take);
        fb_hash_update(&want, piece, take);
        ok(fb_s3_upload_add(u, piece, take, &err));
        at += take;
    }
    ok(fb_s3_upload_commit(&u, &err));
    assert_null(u);
    ok(fb_s3_read(s3, key, on_bytes, &t, &info, &err));
    assert_int_equal(t.size, size);
    fb_hash_final(&want, digest[0]);
    fb_hash_final(&t.hash, digest[1]);
    assert_memory_equal(digest[0], digest[1], sizeof digest[0]);
    assert_true(info.sha256[0] != '\0');
    fb_hash_deinit(&want);
    fb_hash_deinit(&t.hash);
}

static void streams_of_all_sizes_come_back_and_fit_their_checksums(void **state)
{
    struct fb_s3 *s3 = client(state);
    static const size_t sizes[] = {
        0, 1, FB_S3_MIN_PART, FB_S3_MIN_PART + 1, 2 * FB_S3_MIN_PART, (3 * FB_S3_MIN_PART) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "stream/%zu", sizes[i]);
        stream(s3, key, sizes[i]);
    }
}

static void an_aborted_upload_leaves_nothing_and_a_crashed_one_is_swept(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_s3_upload *u = NULL;
    struct fb_s3_info info;
    uint64_t swept = 9;
    uint8_t *bytes = calloc(1, FB_S3_MIN_PART + 1);
    assert_non_null(bytes);
    ok(fb_s3_upload_new(s3, "up/aborted", FB_S3_MIN_PART, &u, &err));
    ok(fb_s3_upload_add(u, bytes, FB_S3_MIN_PART + 1, &err));
    fb_s3_upload_abort(&u);
    assert_int_equal(fb_s3_head(s3, "up/aborted", &info, NULL), FB_NOT_FOUND);
    ok(fb_s3_upload_sweep(s3, "up/", -60000, &swept, &err));
    assert_int_equal(swept, 0);
    ok(fb_s3_upload_new(s3, "up/crashed", FB_S3_MIN_PART, &u, &err));
    ok(fb_s3_upload_add(u, bytes, FB_S3_MIN_PART + 1, &err));
    ok(fb_s3_upload_sweep(s3, "up/", 60000, &swept, &err)); /* too young */
    assert_int_equal(swept, 0);
    ok(fb_s3_upload_sweep(s3, "up/", -60000, &swept, &err));
    assert_int_equal(swept, 1);
    assert_int_not_equal(fb_s3_upload_commit(&u, NULL), FB_OK);
    free(bytes);
}

static long versions(void)
{
    char *answer = s3_fixture_ask(&server, "GET", "/-/counts");
    const char *at = strstr(answer, "\"versions\":");
    long count = at != NULL ? strtol(at + strlen("\"versions\":"), NULL, 10) : -1;
    free(answer);
    return count;
}

static void purging_leaves_no_version_and_a_lock_is_told(void **state)
{
    struct fb_s3 *s3 = client(state);
    struct fb_s3_info info;
    struct fb_error e = {0};
    long before = versions();
    put_text(s3, "versioned/a/1", "one");
    put_text(s3, "versioned/a/1", "two");
    put_text(s3, "versioned/a/2", "other");
    ok(fb_s3_delete(s3, "versioned/a/2", &err)); /* hidden, not gone */
    put_text(s3, "versioned/b", "kept");
    assert_int_equal(versions(), before + 5);
    ok(fb_s3_purge(s3, "versioned/a/", &err));
    assert_int_equal(versions(), before + 1);
    assert_int_equal(fb_s3_head(s3, "versioned/a/1", &info, &e), FB_NOT_FOUND);
    ok(fb_s3_head(s3, "versioned/b", &info, &err));
    ok(fb_s3_purge(s3, "versioned/a/", &err));
    /* A store that knows no versions has none. */
    put_text(s3, "plain/x", "x");
    ok(fb_s3_purge(s3, "plain/", &err));
    assert_int_equal(fb_s3_head(s3, "plain/x", &info, &e), FB_NOT_FOUND);
    put_text(s3, "versioned/locked/x", "x");
    assert_int_equal(fb_s3_purge(s3, "versioned/locked/", &e), FB_DENIED);
    assert_non_null(strstr(e.text, "older versions are kept"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_comes_back_whole_and_by_range),
        cmocka_unit_test(an_empty_object_is_one),
        cmocka_unit_test(what_is_not_there_is_said_to_be_so),
        cmocka_unit_test(a_new_object_replaces_nothing),
        cmocka_unit_test(keys_of_every_kind_are_signed_right),
        cmocka_unit_test(a_listing_has_all_keys_of_the_prefix_in_order),
        cmocka_unit_test(a_listing_of_many_pages_loses_nothing),
        cmocka_unit_test(streams_of_all_sizes_come_back_and_fit_their_checksums),
        cmocka_unit_test(an_aborted_upload_leaves_nothing_and_a_crashed_one_is_swept),
        cmocka_unit_test(purging_leaves_no_version_and_a_lock_is_told),
    };
    has_server = s3_fixture_start(&server);
    /* One client for all: connections are kept. */
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    s3_fixture_stop(&server);
    return failed;
}
