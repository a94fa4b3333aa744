/* SPDX-License-Identifier: Apache-2.0
 *
 * Derived objects and manifests are seen whole or not at all, belong to their message and name, and
 * go with it; tidy removes what nobody needs and nothing else.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/spool/journal.h"
#include "common/spool/records.h"

struct one {
    struct fb_spool_writer *writer;
    struct fb_spool_msg *msg;
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    char dir[600]; /* of its objects */
};

static struct one one_new(struct fx *fx)
{
    struct one one = {0};
    one.writer = fx_writer(fx, "w");
    fx_put(one.writer, 1000, 1, "e", one.id, one.ref);
    assert_int_equal(fb_spool_msg_open(fx->spool, one.ref, &one.msg, NULL), FB_OK);
    (void)snprintf(one.dir, sizeof one.dir, "%s/objects/%.2s/%.26s", fx->path,
                   one.id + FB_ID_SIZE - 3, one.id);
    return one;
}

static void one_free(struct one *one)
{
    fb_spool_msg_close(&one->msg);
    fb_spool_writer_free(&one->writer);
}

static void expect_object(struct fb_spool_msg *msg, const char *name, const char *want)
{
    struct fb_buf bytes;
    struct fb_error err = {0};
    if (fb_spool_object_get(msg, name, 1000, &bytes, &err) != FB_OK) {
        fail_msg("%s: %s", name, err.text);
    }
    assert_string_equal(fb_buf_str(&bytes), want);
    fb_buf_deinit(&bytes);
}

static enum fb_status get_status(struct fb_spool_msg *msg, const char *name)
{
    struct fb_buf bytes;
    enum fb_status status = fb_spool_object_get(msg, name, 1U << 20, &bytes, NULL);
    if (status != FB_OK) {
        assert_null(bytes.ptr);
    }
    fb_buf_deinit(&bytes);
    return status;
}

static void objects_of_all_sizes_come_back(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 3U << 20};
    struct one one = one_new(fx);
    uint8_t *want = malloc(3U << 20);
    uint8_t *have = malloc(3U << 20);
    assert_non_null(want);
    assert_non_null(have);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fb_spool_object_out *out = NULL;
        struct fb_spool_object *object = NULL;
        size_t got = 0;
        char name[32];
        (void)snprintf(name, sizeof name, "part.%zu", i);
        fx_fill(want, sizes[i], i, 0);
        assert_int_equal(fb_spool_object_create(one.msg, name, &out, NULL), FB_OK);
        for (size_t at = 0; at < sizes[i]; at += 50021) {
            size_t take = sizes[i] - at < 50021 ? sizes[i] - at : 50021;
            assert_int_equal(fb_spool_object_add(out, want + at, take, NULL), FB_OK);
        }
        assert_int_equal(fb_spool_object_open(one.msg, name, &object, NULL), FB_NOT_FOUND);
        assert_int_equal(fb_spool_object_commit(&out, i % 2 == 0, NULL), FB_OK);
        assert_null(out);
        assert_int_equal(fb_spool_object_open(one.msg, name, &object, NULL), FB_OK);
        assert_int_equal(fb_spool_object_size(object), sizes[i]);
        assert_int_equal(fb_spool_object_read(object, 0, have, 3U << 20, &got, NULL), FB_OK);
        assert_int_equal(got, sizes[i]);
        assert_memory_equal(have, want, got);
        for (size_t at = 0; at < sizes[i]; at += 33331) {
            size_t left = sizes[i] - at;
            assert_int_equal(fb_spool_object_read(object, at, have, 40000, &got, NULL), FB_OK);
            assert_int_equal(got, left < 40000 ? left : 40000);
            assert_memory_equal(have, want + at, got);
        }
        fb_spool_object_close(&object);
    }
    free(want);
    free(have);
    one_free(&one);
}

static void a_write_replaces_with_a_fresh_key_or_changes_nothing(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    struct one one = one_new(fx);
    struct fb_spool_object_out *out = NULL;
    struct fb_spool_object *old = NULL;
    struct fb_buf bytes;
    char path[700];
    char had[10];
    size_t len[2];
    size_t got = 0;
    (void)snprintf(path, sizeof path, "%s/plan", one.dir);
    assert_int_equal(get_status(one.msg, "plan"), FB_NOT_FOUND);
    assert_int_equal(fb_spool_object_put(one.msg, "plan", FB_SLICE_LITERAL("first"), false, NULL),
                     FB_OK);
    uint8_t *first = fx_load(path, &len[0]);
    assert_int_equal(fb_spool_object_open(one.msg, "plan", &old, NULL), FB_OK);
    /* Aborted: nothing is seen of it, and nothing stays. */
    assert_int_equal(fb_spool_object_create(one.msg, "plan", &out, NULL), FB_OK);
    assert_int_equal(fb_spool_object_add(out, "half", 4, NULL), FB_OK);
    expect_object(one.msg, "plan", "first");
    fb_spool_object_abort(&out);
    expect_object(one.msg, "plan", "first");
    /* Same content again: other key, other bytes. */
    assert_int_equal(fb_spool_object_put(one.msg, "plan", FB_SLICE_LITERAL("first"), true, NULL),
                     FB_OK);
    uint8_t *second = fx_load(path, &len[1]);
    assert_int_equal(len[0], len[1]);
    assert_memory_not_equal(first + 8, second + 8, 16);
    assert_memory_not_equal(first + 32, second + 32, len[0] - 32);
    assert_int_equal(fb_spool_object_put(one.msg, "plan", FB_SLICE_LITERAL("third"), false, NULL),
                     FB_OK);
    expect_object(one.msg, "plan", "third");
    /* Who reads the old one reads all of it. */
    assert_int_equal(fb_spool_object_read(old, 0, had, sizeof had, &got, NULL), FB_OK);
    assert_int_equal(got, 5);
    assert_memory_equal(had, "first", 5);
    fb_spool_object_close(&old);
    assert_int_equal(fb_spool_object_get(one.msg, "plan", 4, &bytes, NULL), FB_TOO_BIG);
    fb_buf_deinit(&bytes);
    static const char *const wrong[] = {
        "",        ".",
        "..",      ".hidden",
        "../plan", "a/b",
        "A",       "a b",
        "name\n",  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(fb_spool_object_create(one.msg, wrong[i], &out, NULL), FB_INVALID);
        assert_int_equal(get_status(one.msg, wrong[i]), FB_INVALID);
    }
    free(first);
    free(second);
    one_free(&one);
    assert_false(fx_grep(fx, "third", 5));
}

static void half_an_object_is_corrupt(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    struct one one = one_new(fx);
    char path[700];
    size_t len = 0;
    uint8_t *content = malloc(150000);
    assert_non_null(content);
    fx_fill(content, 150000, 1, 0);
    (void)snprintf(path, sizeof path, "%s/body.pdf", one.dir);
    assert_int_equal(
        fb_spool_object_put(one.msg, "body.pdf", fb_slice_of(content, 150000), false, NULL), FB_OK);
    assert_int_equal(get_status(one.msg, "body.pdf"), FB_OK);
    uint8_t *bytes = fx_load(path, &len);
    static const size_t cuts[] = {0,      1,      31,     32,     40,    48,
                                  49,     65583,  65584,  65585,  65600, 131135,
                                  131136, 131137, 131152, 131153, 150000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        fx_store(path, bytes, cuts[i]);
        if (get_status(one.msg, "body.pdf") != FB_CORRUPT) {
            fail_msg("cut at %zu was taken", cuts[i]);
        }
    }
    unsigned seed = 1;
    for (int i = 0; i < 300; i++) {
        size_t at = i < 256 ? (size_t)i / 8 : (size_t)rand_r(&seed) % len;
        bytes[at] ^= (uint8_t)(1U << i % 8);
        fx_store(path, bytes, len);
        if (get_status(one.msg, "body.pdf") != FB_CORRUPT) {
            fail_msg("bit %d of byte %zu was taken", i % 8, at);
        }
        bytes[at] ^= (uint8_t)(1U << i % 8);
    }
    fx_store(path, bytes, len);
    assert_int_equal(get_status(one.msg, "body.pdf"), FB_OK);
    free(bytes);
    free(content);
    one_free(&one);
}

static void an_object_belongs_to_its_name_and_message(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    struct one one = one_new(fx);
    struct one two = {0};
    char from[700];
    char to[700];
    assert_int_equal(fb_spool_object_put(one.msg, "a", FB_SLICE_LITERAL("of a"), false, NULL),
                     FB_OK);
    (void)snprintf(from, sizeof from, "%s/a", one.dir);
    (void)snprintf(to, sizeof to, "%s/b", one.dir);
    assert_int_equal(link(from, to), 0);
    assert_int_equal(get_status(one.msg, "b"), FB_CORRUPT);
    fx_put(one.writer, 10, 2, "e", two.id, two.ref);
    assert_int_equal(fb_spool_msg_open(fx->spool, two.ref, &two.msg, NULL), FB_OK);
    assert_int_equal(fb_spool_object_put(two.msg, "x", FB_SLICE_LITERAL("x"), false, NULL), FB_OK);
    (void)snprintf(to, sizeof to, "%s/objects/%.2s/%.26s/a", fx->path, two.id + FB_ID_SIZE - 3,
                   two.id);
    assert_int_equal(link(from, to), 0);
    assert_int_equal(get_status(two.msg, "a"), FB_CORRUPT);
    assert_int_equal(unlink(to), 0);
    assert_int_equal(symlink(from, to), 0);
    assert_int_equal(get_status(two.msg, "a"), FB_CORRUPT);
    expect_object(one.msg, "a", "of a");
    fb_spool_msg_close(&two.msg);
    one_free(&one);
}

static void objects_go_with_their_message(void **state)
{
    struct fx *fx = *state;
    struct one one = one_new(fx);
    struct fb_spool_object_out *out = NULL;
    assert_int_equal(fb_spool_object_put(one.msg, "a", FB_SLICE_LITERAL("1"), false, NULL), FB_OK);
    assert_int_equal(fb_spool_object_put(one.msg, "b", FB_SLICE_LITERAL("2"), true, NULL), FB_OK);
    assert_int_equal(fb_spool_object_create(one.msg, "late", &out, NULL), FB_OK);
    assert_int_equal(fb_spool_msg_erase(fx->spool, one.ref, one.id, NULL), FB_OK);
    assert_int_equal(access(one.dir, F_OK), -1);
    /* A slow worker learns that it comes too late. */
    assert_int_equal(fb_spool_object_commit(&out, false, NULL), FB_NOT_FOUND);
    assert_null(out);
    assert_int_equal(get_status(one.msg, "a"), FB_NOT_FOUND);
    one_free(&one);
}

static bool count_manifest(void *ctx, const char *parcel_id)
{
    size_t *count = ctx;
    (*count)++;
    return parcel_id[27] != '9';
}

static void manifests_live_until_they_are_removed(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char id[FB_ID_SIZE];
    char parcel[3][FB_PARCEL_ID_SIZE];
    char path[2][600];
    struct fb_buf bytes;
    size_t count = 0;
    fb_id_new(id);
    for (uint32_t i = 0; i < 3; i++) {
        fb_parcel_id_make(id, i * 7, parcel[i]);
    }
    assert_int_equal(fb_spool_manifest_get(fx->spool, parcel[0], &bytes, NULL), FB_NOT_FOUND);
    for (int round = 0; round < 2; round++) { /* the second one replaces */
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(
                fb_spool_manifest_put(fx->spool, parcel[i],
                                      fb_slice_str(round == 0 ? "grants: old" : parcel[i]), NULL),
                FB_OK);
        }
    }
    fx_reopen(fx);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fb_spool_manifest_get(fx->spool, parcel[i], &bytes, NULL), FB_OK);
        assert_string_equal(fb_buf_str(&bytes), parcel[i]);
        fb_buf_deinit(&bytes);
    }
    assert_false(fx_grep(fx, "grants: old", 11));
    assert_int_equal(fx_file(fx, "large", NULL), 0); /* no temporary file stays */
    assert_int_equal(fb_spool_manifest_each(fx->spool, count_manifest, &count, NULL), FB_OK);
    assert_int_equal(count, 3);
    /* Another parcel's manifest under this name, and a damaged one. */
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/manifests/%.2s/%.32s", fx->path,
                       id + FB_ID_SIZE - 3, parcel[i]);
    }
    size_t len = 0;
    uint8_t *saved = fx_load(path[0], &len);
    assert_int_equal(unlink(path[0]), 0);
    assert_int_equal(link(path[1], path[0]), 0);
    assert_int_equal(fb_spool_manifest_get(fx->spool, parcel[0], &bytes, NULL), FB_CORRUPT);
    assert_int_equal(unlink(path[0]), 0);
    for (size_t bit = 0; bit < len * 8; bit += 5) {
        saved[bit / 8] ^= (uint8_t)(1U << bit % 8);
        fx_store(path[0], saved, len);
        enum fb_status status = fb_spool_manifest_get(fx->spool, parcel[0], &bytes, NULL);
        bool is_key_id = bit / 8 >= 12 && bit / 8 < 52;
        if (status != FB_CORRUPT && !(is_key_id && status == FB_CONFIG)) {
            fail_msg("bit %zu: %s", bit, fb_status_name(status));
        }
        saved[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    fx_store(path[0], saved, len / 2);
    assert_int_equal(fb_spool_manifest_get(fx->spool, parcel[0], &bytes, NULL), FB_CORRUPT);
    free(saved);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fb_spool_manifest_remove(fx->spool, parcel[0], NULL), FB_OK);
        assert_int_equal(fb_spool_manifest_get(fx->spool, parcel[0], &bytes, NULL), FB_NOT_FOUND);
    }
    assert_int_equal(fb_spool_manifest_put(fx->spool, "../../x-1", FB_SLICE_LITERAL("x"), NULL),
                     FB_INVALID);
    assert_int_equal(fb_spool_manifest_get(fx->spool, id, &bytes, NULL), FB_INVALID);
}

/* What outlives the mail opens nothing. */
static void a_parcels_secrets_are_with_its_mail_and_not_in_its_manifest(void **state)
{
    struct fx *fx = *state;
    struct one one = one_new(fx);
    char text[] = "x", none[] = "", password[] = "k7Fq-9xWd";
    struct fb_parcel_grant grant = {
        .recipient = 7, .address = text, .grant_id = text, .state = text, .has_secret = true};
    struct fb_parcel p = {.storage = text,
                          .user = none,
                          .folder_id = text,
                          .link = none,
                          .password = password,
                          .access = text,
                          .grants = &grant,
                          .grant_count = 1};
    struct fb_parcel got = {0};
    struct fb_buf bytes;
    fb_random(grant.secret, sizeof grant.secret);
    fb_parcel_id_make(one.id, 0, p.parcel_id);
    assert_int_equal(fb_spool_parcel_save(fx->spool, one.msg, 0, &p, true, NULL), FB_OK);
    assert_int_equal(fb_spool_parcel_load(one.msg, 0, &got, NULL), FB_OK);
    assert_true(got.grants[0].has_secret);
    assert_memory_equal(got.grants[0].secret, grant.secret, sizeof grant.secret);
    assert_string_equal(got.password, password);
    fb_parcel_deinit(&got);
    assert_int_equal(fb_spool_manifest_get(fx->spool, p.parcel_id, &bytes, NULL), FB_OK);
    assert_null(memmem(bytes.ptr, bytes.len, grant.secret, 8));
    assert_null(memmem(bytes.ptr, bytes.len, password, 4));
    assert_int_equal(fb_parcel_decode(fb_slice_buf(&bytes), &got, NULL), FB_OK);
    assert_false(fb_parcel_has_secret(&got));
    fb_parcel_deinit(&got);
    fb_buf_deinit(&bytes);
    one_free(&one);
}

static void make_old(const char *path, long seconds)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
    times[1].tv_sec = (time_t)(fb_now_ms() / 1000 - seconds);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void tidy_removes_segments_without_live_messages(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char ids[3][FB_ID_SIZE];
    char refs[3][FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "first");
    fx_put(writer, 100000, 1, "e", ids[0], refs[0]);
    fx_put(writer, 100, 2, "e", ids[1], refs[1]);
    struct fb_spool_writer *other = fx_writer(fx, "second");
    fx_put(other, 100, 3, "e", ids[2], refs[2]);
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[0], ids[0], NULL), FB_OK);
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[2], ids[2], NULL), FB_OK);
    fb_spool_writer_free(&writer);
    /* One live message keeps the first; the second is empty, but its writer lives. */
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "segments", NULL), 2);
    assert_int_equal(fx_check(fx, refs[1], 100, 2, "e"), FB_OK);
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[1], ids[1], NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "segments", NULL), 1);
    fx_put(other, 100, 4, "e", ids[0], refs[0]);
    assert_int_equal(fx_check(fx, refs[0], 100, 4, "e"), FB_OK);
    fb_spool_writer_free(&other);
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[0], ids[0], NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "segments", NULL), 0);
    /* Refs into what is removed: erased for good, also again. */
    struct fb_spool_msg *msg = NULL;
    assert_int_equal(fb_spool_msg_open(fx->spool, refs[0], &msg, NULL), FB_NOT_FOUND);
    assert_int_equal(fb_spool_msg_erase(fx->spool, refs[0], ids[0], NULL), FB_OK);
}

static void tidy_gives_back_what_a_killed_writer_reserved(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    char path[600];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 100, 1, "e", id, ref);
    fb_spool_writer_free(&writer);
    (void)fx_file(fx, "segments", path);
    assert_true(fx_blocks(path) <= 8192); /* a writer that ends does it itself */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 << 20) == 0) {
        assert_true(fx_blocks(path) >= 8U << 20);
        assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
        assert_true(fx_blocks(path) <= 8192);
    }
    assert_int_equal(close(fd), 0);
    assert_int_equal(fx_check(fx, ref, 100, 1, "e"), FB_OK);
}

static void tidy_removes_what_crashes_left_and_no_more(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    struct one one = one_new(fx);
    char id[FB_ID_SIZE];
    char gone[FB_ID_SIZE];
    char path[700];
    char stray[800];
    char fan[700];
    struct fb_spool_in *in = fx_message(one.writer, 2000000, 1, id);
    (void)fx_file(fx, "large", path);
    make_old(path, 4000);
    /* Left by a crash: nobody holds its lock. */
    (void)snprintf(stray, sizeof stray, "%s/large/0123.tmp", fx->path);
    fx_store(stray, (const uint8_t *)"x", 1);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(access(stray, F_OK), 0); /* too young to be sure */
    make_old(stray, 4000);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(access(stray, F_OK), -1);
    assert_int_equal(access(path, F_OK), 0);
    struct fx_done done = {0};
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done);
    fx_wait(&done);
    assert_int_equal(done.status, FB_OK);
    assert_int_equal(fx_check(fx, done.ref, 2000000, 1, "e"), FB_OK);
    /* Objects of a message that is gone go after an hour; those of a live one stay. */
    assert_int_equal(fb_spool_object_put(one.msg, "a", FB_SLICE_LITERAL("1"), false, NULL), FB_OK);
    make_old(one.dir, 4000);
    fb_id_new(gone);
    (void)snprintf(fan, sizeof fan, "%s/objects/%.2s", fx->path, gone + FB_ID_SIZE - 3);
    (void)mkdir(fan, 0700);
    (void)snprintf(stray, sizeof stray, "%s/%.26s", fan, gone);
    assert_int_equal(mkdir(stray, 0700), 0);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(access(stray, F_OK), 0);
    make_old(stray, 4000);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(access(stray, F_OK), -1);
    expect_object(one.msg, "a", "1");
    one_free(&one);
}

static void tidy_keeps_journals_of_live_messages(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    static const uint32_t rcpt[] = {0, 3};
    struct one one = one_new(fx);
    struct fb_journal *journal = NULL;
    char path[600];
    bool has[2] = {false, false};
    assert_int_equal(fb_journal_open(fx->spool, "w", &journal, NULL), FB_OK);
    assert_int_equal(fb_journal_commit(journal, one.id, 1, FB_SENT_NOTICE, rcpt, 2, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "journal", path), 1);
    make_old(path, 4000);
    assert_int_equal(fb_spool_tidy(fx->spool, 1000000, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "journal", NULL), 1); /* being written */
    fb_journal_close(&journal);
    make_old(path, 4000);
    assert_int_equal(fb_spool_tidy(fx->spool, 1000000, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "journal", NULL), 1); /* its message is live */
    assert_int_equal(fb_spool_msg_erase(fx->spool, one.ref, one.id, NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 5000000, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "journal", NULL), 1); /* too young */
    assert_int_equal(fb_journal_open(fx->spool, "w", &journal, NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 1000000, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "journal", NULL), 0);
    /* Who had read it goes on. */
    assert_int_equal(fb_journal_lookup(journal, one.id, FB_SENT_NOTICE, rcpt, 2, has, NULL), FB_OK);
    assert_true(has[0] && has[1]);
    fb_journal_close(&journal);
    one_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_of_all_sizes_come_back, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_write_replaces_with_a_fresh_key_or_changes_nothing,
                                        fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(half_an_object_is_corrupt, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(an_object_belongs_to_its_name_and_message, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(objects_go_with_their_message, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(manifests_live_until_they_are_removed, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_parcels_secrets_are_with_its_mail_and_not_in_its_manifest,
                                        fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(tidy_removes_segments_without_live_messages, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(tidy_gives_back_what_a_killed_writer_reserved, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(tidy_removes_what_crashes_left_and_no_more, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(tidy_keeps_journals_of_live_messages, fx_setup,
                                        fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
