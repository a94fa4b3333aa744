/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes into the spool comes out again, whole or by range, with the right keys only; and what
 * was erased never does.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/keyring.h"

static const size_t sizes[] = {0,     1,      16384,  16385,   65535,   65536,
                               65537, 131072, 200000, 1310720, 1310721, 3U << 20};
#define SIZES (sizeof sizes / sizeof *sizes)

static void messages_of_all_sizes_come_back(void **state)
{
    struct fx *fx = *state;
    char ids[SIZES * 3][FB_ID_SIZE];
    char refs[SIZES * 3][FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "pod-1");
    for (size_t i = 0; i < SIZES * 3; i++) { /* each size in pieces of three kinds (fixture.c) */
        fx_put(writer, sizes[i / 3], i, "the envelope", ids[i], refs[i]);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SIZES * 3; i++) {
            assert_int_equal(fx_check(fx, refs[i], sizes[i / 3], i, "the envelope"), FB_OK);
            /* Up to 1.25 MiB in a shared segment, the others in files of their own. */
            assert_int_equal(refs[i][0], sizes[i / 3] <= 1310720 ? 's' : 'l');
        }
        fb_spool_writer_free(&writer); /* and again after a restart */
        fx_reopen(fx);
    }
    struct fx_scan *scan = malloc(sizeof *scan);
    assert_non_null(scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, SIZES * 3);
    assert_int_equal(scan->damaged, 0);
    for (size_t i = 0; i < SIZES * 3; i++) {
        assert_true(fx_scan_has(scan, ids[i]));
    }
    free(scan);
}

static void an_empty_envelope_is_one_too(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 10, 1, "", id, ref);
    assert_int_equal(fx_check(fx, ref, 10, 1, ""), FB_OK);
    fb_spool_writer_free(&writer);
}

struct reader {
    struct fb_spool_msg *msg;
    const uint8_t *oracle;
    size_t size;
    unsigned seed;
    int is_wrong;
};

static void *read_ranges(void *arg)
{
    struct reader *r = arg;
    uint8_t *out = malloc(200000);
    for (int i = 0; out != NULL && i < 300 && !r->is_wrong; i++) {
        size_t offset = (size_t)rand_r(&r->seed) % (r->size + 100);
        size_t len = (size_t)rand_r(&r->seed) % (i % 2 == 0 ? 200000 : 3000);
        size_t got = 0;
        size_t want = offset >= r->size ? 0 : r->size - offset < len ? r->size - offset : len;
        if (fb_spool_msg_read(r->msg, offset, out, len, &got, NULL) != FB_OK || got != want ||
            (want > 0 && memcmp(out, r->oracle + offset, want) != 0)) {
            r->is_wrong = 1;
        }
    }
    free(out);
    return NULL;
}

static void ranges_read_by_many_threads_are_exact(void **state)
{
    struct fx *fx = *state;
    static const size_t some[] = {1, 65535, 65537, 1000000, 3U << 20};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char id[FB_ID_SIZE];
        char ref[FB_REF_SIZE];
        struct fb_spool_msg *msg = NULL;
        struct reader readers[4];
        pthread_t threads[4];
        uint8_t *oracle = malloc(some[i]);
        assert_non_null(oracle);
        fx_fill(oracle, some[i], 7, 0);
        fx_put(writer, some[i], 7, "e", id, ref);
        assert_int_equal(fb_spool_msg_open(fx->spool, ref, &msg, NULL), FB_OK);
        assert_string_equal(fb_spool_msg_id(msg), id);
        for (unsigned t = 0; t < 4; t++) {
            readers[t] = (struct reader){msg, oracle, some[i], t + 1, 0};
            assert_int_equal(pthread_create(&threads[t], NULL, read_ranges, &readers[t]), 0);
        }
        for (unsigned t = 0; t < 4; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_false(readers[t].is_wrong);
        }
        fb_spool_msg_close(&msg);
        free(oracle);
    }
    fb_spool_writer_free(&writer);
}

static void plain_text_is_nowhere_on_disk(void **state)
{
    struct fx *fx = *state;
    static const char secret[] = "Subject: the secret that must not be found on any disk";
    static const size_t before[] = {0, 70000, 2000000};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    for (size_t i = 0; i < 3; i++) {
        char id[FB_ID_SIZE];
        struct fb_spool_in *in = fx_message(writer, before[i], 3, id);
        struct fx_done done = {0};
        assert_int_equal(fb_spool_in_add(in, secret, sizeof secret, NULL), FB_OK);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("envelope with a secret address"), fx_on_done,
                           &done);
        fx_wait(&done);
        assert_int_equal(done.status, FB_OK);
    }
    fb_spool_writer_free(&writer);
    assert_false(fx_grep(fx, secret, sizeof secret - 1));
    assert_false(fx_grep(fx, "secret address", 14));
}

static void an_aborted_message_leaves_nothing(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char id[FB_ID_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    struct fb_spool_in *in = fx_message(writer, 100000, 1, id);
    fb_spool_in_free(&in);
    in = fx_message(writer, 3000000, 1, id);
    assert_int_equal(fx_file(fx, "large", NULL), 1);
    fb_spool_in_free(&in);
    fb_spool_in_free(&in);
    assert_int_equal(fb_spool_in_new(writer, "../escape", &in, NULL), FB_INVALID);
    fb_spool_writer_free(&writer);
    assert_int_equal(fx_file(fx, "large", NULL), 0);
    assert_int_equal(fx_file(fx, "segments", NULL), 0);
}

/* A place in this fixture's spool, as a ref. */
static const char *here(const struct fx *fx, const char *place, char ref[FB_REF_SIZE])
{
    char path[400];
    struct fb_buf id;
    (void)snprintf(path, sizeof path, "%s/spool.id%s", fx->path,
                   fx->is_remote ? "._S3rver_object" : "");
    assert_int_equal(fb_read_file(path, 100, &id, NULL), FB_OK);
    (void)snprintf(ref, FB_REF_SIZE, "%.100s@%s", place, fb_buf_str(&id));
    fb_buf_deinit(&id);
    return ref;
}

static void an_erased_message_is_gone_for_good(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char ids[3][FB_ID_SIZE];
    char refs[3][FB_REF_SIZE];
    char segment[600];
    struct fb_spool_msg *msg = NULL;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 1000000, 1, "one", ids[0], refs[0]);
    fx_put(writer, 500000, 2, "two", ids[1], refs[1]);
    fx_put(writer, 2000000, 3, "three", ids[2], refs[2]);
    (void)fx_file(fx, "segments", segment);
    size_t len = 0;
    uint8_t *copy = fx_load(segment, &len);
    uint8_t wrapped[60]; /* nonce, key, tag in the first header */
    memcpy(wrapped, copy + 132, sizeof wrapped);
    free(copy);
    assert_true(fx_grep(fx, wrapped, sizeof wrapped));
    assert_int_equal(fb_spool_msg_open(fx->spool, refs[0], &msg, NULL), FB_OK);
    assert_int_equal(fb_spool_object_put(msg, "body.pdf", FB_SLICE_LITERAL("pdf"), false, NULL),
                     FB_OK);
    fb_spool_msg_close(&msg);

    uint64_t before = fx_blocks(segment);
    /* Another message's id must not erase it, nor a ref to nowhere anything. */
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[0], ids[1], NULL), FB_INVALID);
    char nowhere[FB_REF_SIZE];
    assert_int_equal(fb_spool_msg_erase(fx->spool, here(fx, "s:w-1.seg:0", nowhere), ids[0], NULL),
                     FB_OK);
    assert_int_equal(fx_check(fx, refs[0], 1000000, 1, "one"), FB_OK);
    for (int i = 0; i < 2; i++) { /* twice: a retry after a crash */
        assert_int_equal(fb_spool_msg_erase(fx->spool, refs[0], ids[0], NULL), FB_OK);
        assert_int_equal(fb_spool_msg_erase(fx->spool, refs[2], ids[2], NULL), FB_OK);
    }
    assert_int_equal(fb_spool_msg_open(fx->spool, refs[0], &msg, NULL), FB_NOT_FOUND);
    assert_int_equal(fb_spool_msg_open(fx->spool, refs[2], &msg, NULL), FB_NOT_FOUND);
    assert_false(fx_grep(fx, wrapped, sizeof wrapped));
    assert_int_equal(fx_file(fx, "large", NULL), 0);
    uint64_t after = fx_blocks(segment);
    if (after + 900000 > before) {
        fail_msg("blocks before %llu, after %llu", (unsigned long long)before,
                 (unsigned long long)after);
    }
    /* The neighbour is whole, and a scan steps over the hole. */
    assert_int_equal(fx_check(fx, refs[1], 500000, 2, "two"), FB_OK);
    struct fx_scan *scan = malloc(sizeof *scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 1);
    assert_string_equal(scan->entries[0].msg_id, ids[1]);
    assert_string_equal(scan->entries[0].ref, refs[1]);
    assert_int_equal(scan->entries[0].size, 500000);
    assert_int_equal(scan->damaged, 0);
    free(scan);
    fb_spool_writer_free(&writer);
}

static void strange_refs_are_refused(void **state)
{
    struct fx *fx = *state;
    static const char *const wrong[] = {
        "",
        "s",
        "s:",
        "s:a.seg",
        "s:a.seg:",
        "s:a.seg:-64",
        "s:a.seg:64x",
        "s:a.seg:064",
        "s:a.seg:1",
        "s:../segments/a.seg:0",
        "s:a/b.seg:0",
        "s:.seg:0",
        "s:..seg:0",
        "s:a.jnl:0",
        "s:.hidden.seg:0",
        "s:a.seg:99999999999999999999",
        "l:",
        "l:../x",
        "l:01ARZ3NDEKTSV4RRFFQ69G5FA",
        "l:01ARZ3NDEKTSV4RRFFQ69G5FAV/",
        "x:01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "s:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaa.seg:0",
    };
    struct fb_spool_msg *msg = NULL;
    char ref[FB_REF_SIZE];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (fb_spool_msg_open(fx->spool, wrong[i], &msg, NULL) != FB_INVALID ||
            fb_spool_msg_open(fx->spool, here(fx, wrong[i], ref), &msg, NULL) != FB_INVALID) {
            fail_msg("taken: %s", wrong[i]);
        }
    }
    assert_int_equal(fb_spool_msg_open(fx->spool, "s:a.seg:0", &msg, NULL), FB_INVALID);
    assert_int_equal(fb_spool_msg_open(fx->spool, "s:a.seg:0@", &msg, NULL), FB_INVALID);
    assert_int_equal(fb_spool_msg_open(fx->spool, "s:a.seg:0@x", &msg, NULL), FB_INVALID);
    assert_int_equal(fb_spool_msg_open(fx->spool, NULL, &msg, NULL), FB_INVALID);
    assert_int_equal(fb_spool_msg_open(fx->spool, here(fx, "s:a.seg:0", ref), &msg, NULL),
                     FB_NOT_FOUND);
    assert_int_equal(
        fb_spool_msg_open(fx->spool, here(fx, "l:01ARZ3NDEKTSV4RRFFQ69G5FAV", ref), &msg, NULL),
        FB_NOT_FOUND);
}

/* A volume that is not mounted must not look like mail that was delivered and erased. */
static void another_directory_is_not_taken_for_the_spool(void **state)
{
    struct fx *fx = *state;
    struct fb_spool *other = NULL;
    struct fb_spool_msg *msg = NULL;
    struct fb_error err = {0};
    char url[450], id[FB_ID_SIZE], ref[FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 1000, 1, "e", id, ref);
    (void)snprintf(url, sizeof url, "%s-unmounted", fx->url);
    assert_int_equal(fb_spool_open(url, fx->key_file, &other, NULL), FB_OK);
    assert_int_equal(fb_spool_msg_open(other, ref, &msg, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "is its volume mounted"));
    assert_int_equal(fb_spool_msg_erase(other, ref, id, NULL), FB_CONFIG);
    fb_spool_close(&other);
    fb_spool_writer_free(&writer);
    fx_reopen(fx); /* the id stays */
    assert_int_equal(fx_check(fx, ref, 1000, 1, "e"), FB_OK);
}

static void a_link_in_place_of_a_segment_is_not_followed(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    char segment[600];
    char aside[700];
    struct fb_spool_msg *msg = NULL;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 1000, 1, "e", id, ref);
    fb_spool_writer_free(&writer);
    (void)fx_file(fx, "segments", segment);
    (void)snprintf(aside, sizeof aside, "%s/aside", fx->dir);
    assert_int_equal(rename(segment, aside), 0);
    assert_int_equal(symlink(aside, segment), 0);
    assert_int_equal(fb_spool_msg_open(fx->spool, ref, &msg, NULL), FB_CORRUPT);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref, id, NULL), FB_CORRUPT);
    struct fx_scan *scan = malloc(sizeof *scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 0);
    assert_int_equal(scan->damaged, 1);
    free(scan);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    /* A FIFO must not hang us either. */
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(mkfifo(segment, 0600), 0);
    assert_int_equal(fb_spool_msg_open(fx->spool, ref, &msg, NULL), FB_CORRUPT);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref, id, NULL), FB_CORRUPT);
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(rename(aside, segment), 0);
    assert_int_equal(fx_check(fx, ref, 1000, 1, "e"), FB_OK);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    fx_store(path, (const uint8_t *)text, strlen(text));
    assert_int_equal(chmod(path, mode), 0);
}

static void keys_rotate_and_wrong_keys_say_so(void **state)
{
    struct fx *fx = *state;
    static const char new_key[] = "2027:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    char id[2][FB_ID_SIZE];
    char ref[2][FB_REF_SIZE];
    char text[500];
    size_t len = 0;
    struct fb_spool_msg *msg = NULL;
    struct fb_error err = {0};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 1000, 1, "e", id[0], ref[0]);
    fb_spool_writer_free(&writer);
    uint8_t *old = fx_load(fx->key_file, &len);
    old[len] = '\0';
    /* The new key in front: it seals, both open. */
    (void)snprintf(text, sizeof text, "# rotated\n%s\n%s", new_key, (char *)old);
    write_text(fx->key_file, text, 0600);
    fx_reopen(fx);
    writer = fx_writer(fx, "w");
    fx_put(writer, 1000, 2, "e", id[1], ref[1]);
    fb_spool_writer_free(&writer);
    assert_int_equal(fx_check(fx, ref[0], 1000, 1, "e"), FB_OK);
    assert_int_equal(fx_check(fx, ref[1], 1000, 2, "e"), FB_OK);
    /* The old key removed: its messages need it, the others do not. */
    write_text(fx->key_file, new_key, 0600);
    fx_reopen(fx);
    assert_int_equal(fb_spool_msg_open(fx->spool, ref[0], &msg, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "not in the key file"));
    assert_int_equal(fx_check(fx, ref[1], 1000, 2, "e"), FB_OK);
    /* Another key under the same id is a mistake of the operator, not a damaged mail. */
    write_text(fx->key_file, "2027:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0600);
    fx_reopen(fx);
    assert_int_equal(fb_spool_msg_open(fx->spool, ref[1], &msg, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "is another one"));
    free(old);
}

static void bad_key_files_are_refused(void **state)
{
    struct fx *fx = *state;
    static const struct {
        const char *name;
        const char *text;
        mode_t mode;
    } rows[] = {
        {"readable by others", "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0604},
        {"writable by the group", "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0620},
        {"empty", "\n# nothing\n", 0600},
        {"too short a key", "k:AAECAwQFBgcICQoLDA0ODw==\n", 0600},
        {"too long a key", "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n", 0600},
        {"not base64", "k:?AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0600},
        {"no id", ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0600},
        {"no colon", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0600},
        {"an id twice",
         "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nk:"
         "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
         0600},
    };
    struct fb_spool *spool = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fb_error err = {0};
        write_text(fx->key_file, rows[i].text, rows[i].mode);
        if (fb_spool_open(fx->url, fx->key_file, &spool, &err) != FB_CONFIG || spool != NULL) {
            fail_msg("taken: %s", rows[i].name);
        }
        assert_null(strstr(err.text, "AAECAwQ")); /* no key in an error's text */
    }
    assert_int_equal(fb_spool_open(fx->url, "/nowhere/key", &spool, NULL), FB_CONFIG);
    assert_int_equal(fb_spool_open("file://relative", fx->key_file, &spool, NULL), FB_CONFIG);
    assert_int_equal(fb_spool_open("s3://bucket/x", fx->key_file, &spool, NULL), FB_CONFIG);
    assert_int_equal(fb_spool_open(NULL, fx->key_file, &spool, NULL), FB_CONFIG);
}

static void a_key_file_is_made_once(void **state)
{
    struct fx *fx = *state;
    char path[400];
    struct stat st;
    size_t len[2];
    (void)snprintf(path, sizeof path, "%s/another.key", fx->dir);
    assert_int_equal(fb_keyring_make_file(path, NULL), FB_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    uint8_t *first = fx_load(path, &len[0]);
    assert_int_equal(fb_keyring_make_file(path, NULL), FB_OK);
    uint8_t *second = fx_load(path, &len[1]);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(first, second, len[0]);
    free(first);
    free(second);
}

static void a_directory_that_others_can_write_is_refused(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char path[400];
    struct fb_spool *spool = NULL;
    struct fb_error err = {0};
    struct stat st;
    assert_int_equal(stat(fx->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(fx->path, 0770), 0);
    assert_int_equal(fb_spool_open(fx->url, fx->key_file, &spool, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "written by others"));
    assert_int_equal(chmod(fx->path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/segments", fx->path);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(fb_spool_open(fx->url, fx->key_file, &spool, NULL), FB_CONFIG);
    assert_int_equal(chmod(path, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_int_equal(fb_spool_open(fx->url, fx->key_file, &spool, &err), FB_CONFIG);
        assert_non_null(strstr(err.text, "belongs to user 12345"));
        assert_int_equal(chown(path, 0, 0), 0);
    }
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(fb_spool_open(fx->url, fx->key_file, &spool, NULL), FB_CONFIG);
}

static void usage_counts_what_is_there(void **state)
{
    struct fx *fx = *state;
    uint64_t bytes = 0;
    int percent = -1;
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 3000000, 1, "e", id, ref);
    assert_int_equal(fb_spool_usage(fx->spool, &bytes, &percent, NULL), FB_OK);
    assert_true(bytes >= 3000000 && bytes < 4000000);
    assert_true(percent >= 0 && percent <= 100);
    fb_spool_writer_free(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_all_sizes_come_back, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(an_empty_envelope_is_one_too, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(ranges_read_by_many_threads_are_exact, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(plain_text_is_nowhere_on_disk, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(an_aborted_message_leaves_nothing, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(an_erased_message_is_gone_for_good, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(strange_refs_are_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(another_directory_is_not_taken_for_the_spool, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_link_in_place_of_a_segment_is_not_followed, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(keys_rotate_and_wrong_keys_say_so, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(bad_key_files_are_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_key_file_is_made_once, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_others_can_write_is_refused, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(usage_counts_what_is_there, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
