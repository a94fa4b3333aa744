/* SPDX-License-Identifier: Apache-2.0
 *
 * Bad disks and crashes: never wrong bytes, never a silent loss of what was promised, and a scan
 * that goes on.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"

static void poke(const char *path, size_t at, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    assert_int_equal(close(fd), 0);
}

static struct fx_scan *scan_new(struct fx *fx)
{
    struct fx_scan *scan = malloc(sizeof *scan);
    assert_non_null(scan);
    fx_scan(fx, scan);
    return scan;
}

/* A segment with one batch for each message; returns its bytes. */
static uint8_t *make_segment(struct fx *fx, size_t count, const size_t *sizes,
                             char ids[][FB_ID_SIZE], char refs[][FB_REF_SIZE], char path[600],
                             size_t *len_r)
{
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    for (size_t i = 0; i < count; i++) {
        fx_put(writer, sizes[i], i, "the envelope", ids[i], refs[i]);
    }
    fb_spool_writer_free(&writer);
    assert_int_equal(fx_file(fx, "segments", path), 1);
    return fx_load(path, len_r);
}

static size_t offset_of(const char *ref)
{
    return (size_t)strtoul(strrchr(ref, ':') + 1, NULL, 10);
}

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
    struct fx *fx = *state;
    static const size_t size = 200;
    char id[1][FB_ID_SIZE];
    char ref[1][FB_REF_SIZE];
    char path[600];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, 1, &size, id, ref, path, &len);
    size_t sealed = 256 + size + 16 + 12 + 16;
    assert_int_equal(len, 4096);
    for (size_t bit = 0; bit < len * 8; bit++) {
        if (bit >= sealed * 8 && bit % 64 != 0) {
            continue; /* padding: a sample is enough */
        }
        uint8_t flipped = (uint8_t)(bytes[bit / 8] ^ 1U << bit % 8);
        poke(path, bit / 8, &flipped, 1);
        enum fb_status status = fx_check(fx, ref[0], size, 0, "the envelope");
        if (bit < sealed * 8 ? status != FB_CORRUPT : status != FB_OK) {
            fail_msg("bit %zu: %s", bit, fb_status_name(status));
        }
        struct fx_scan *scan = scan_new(fx);
        if (scan->count + scan->damaged == 0) {
            fail_msg("bit %zu: the message vanished silently", bit);
        }
        free(scan);
        poke(path, bit / 8, &bytes[bit / 8], 1);
    }
    assert_int_equal(fx_check(fx, ref[0], size, 0, "the envelope"), FB_OK);
    free(bytes);
}

static void a_flipped_bit_spoils_its_chunk_only(void **state)
{
    struct fx *fx = *state;
    static const size_t size = 200000;
    char id[1][FB_ID_SIZE];
    char ref[1][FB_REF_SIZE];
    char path[600];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, 1, &size, id, ref, path, &len);
    uint8_t *want = malloc(size);
    uint8_t *have = malloc(size);
    unsigned seed = 5;
    assert_non_null(want);
    assert_non_null(have);
    fx_fill(want, size, 0, 0);
    for (int i = 0; i < 60; i++) {
        size_t at = 256 + (size_t)rand_r(&seed) % (size + 4 * 16);
        size_t bad = (at - 256) / 65552;
        uint8_t flipped = (uint8_t)(bytes[at] ^ 1U << i % 8);
        poke(path, at, &flipped, 1);
        struct fb_spool_msg *msg = NULL;
        assert_int_equal(fb_spool_msg_open(fx->spool, ref[0], &msg, NULL), FB_OK);
        for (size_t chunk = 0; chunk < 4; chunk++) {
            size_t got = 0;
            size_t from = chunk * 65536;
            size_t n = size - from < 65536 ? size - from : 65536;
            size_t part = i % 2 == 0 ? n : n / 2; /* straight, and through the kept chunk */
            memset(have, 0xEE, n);
            enum fb_status status = fb_spool_msg_read(msg, from, have, part, &got, NULL);
            if (chunk == bad) {
                assert_int_equal(status, FB_CORRUPT);
                assert_int_not_equal(memcmp(have, want + from, part), 0);
            } else {
                assert_int_equal(status, FB_OK);
                assert_memory_equal(have, want + from, part);
            }
        }
        fb_spool_msg_close(&msg);
        poke(path, at, &bytes[at], 1);
    }
    free(want);
    free(have);
    free(bytes);
}

static void chunks_cannot_change_places(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[2] = {200000, 200000};
    char ids[2][FB_ID_SIZE];
    char refs[2][FB_REF_SIZE];
    char path[600];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, 2, sizes, ids, refs, path, &len);
    size_t chunk = 65552;
    size_t one = offset_of(refs[0]) + 256;
    size_t two = offset_of(refs[1]) + 256;
    /* Two chunks of one message. */
    poke(path, one, bytes + one + chunk, chunk);
    poke(path, one + chunk, bytes + one, chunk);
    assert_int_equal(fx_check(fx, refs[0], sizes[0], 0, "the envelope"), FB_CORRUPT);
    poke(path, one, bytes + one, 2 * chunk);
    /* The same chunk of another message, and its envelope. */
    poke(path, one, bytes + two, chunk);
    assert_int_equal(fx_check(fx, refs[0], sizes[0], 0, "the envelope"), FB_CORRUPT);
    poke(path, one, bytes + one, chunk);
    size_t envelope = sizes[0] + 4 * 16;
    poke(path, one + envelope, bytes + two + envelope, 28);
    assert_int_equal(fx_check(fx, refs[0], sizes[0], 0, "the envelope"), FB_CORRUPT);
    poke(path, one + envelope, bytes + one + envelope, 28);
    /* The wrapped key of another message. */
    poke(path, one - 128, bytes + two - 128, 64);
    assert_int_equal(fx_check(fx, refs[0], sizes[0], 0, "the envelope"), FB_CORRUPT);
    poke(path, one - 128, bytes + one - 128, 64);
    assert_int_equal(fx_check(fx, refs[0], sizes[0], 0, "the envelope"), FB_OK);
    assert_int_equal(fx_check(fx, refs[1], sizes[1], 1, "the envelope"), FB_OK);
    free(bytes);
}

#define BATCHES 3

/* All of the first two batches live, and of the last only what is whole. */
static void expect_after_crash(struct fx *fx, char ids[][FB_ID_SIZE], const size_t *sizes,
                               const char *what)
{
    struct fx_scan *scan = scan_new(fx);
    if (scan->damaged != 0 || !fx_scan_has(scan, ids[0]) || !fx_scan_has(scan, ids[1])) {
        fail_msg("%s: damaged %llu, live %zu", what, (unsigned long long)scan->damaged,
                 scan->count);
    }
    for (size_t i = 0; i < scan->count; i++) {
        size_t n = strcmp(scan->entries[i].msg_id, ids[0]) == 0   ? 0
                   : strcmp(scan->entries[i].msg_id, ids[1]) == 0 ? 1
                                                                  : 2;
        if (fx_check(fx, scan->entries[i].ref, sizes[n], n, "the envelope") != FB_OK) {
            fail_msg("%s: message %zu is live and cannot be read", what, n);
        }
    }
    free(scan);
}

static void a_torn_tail_ends_a_segment_quietly(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[BATCHES] = {3000, 100, 90000};
    char ids[BATCHES][FB_ID_SIZE];
    char refs[BATCHES][FB_REF_SIZE];
    char path[600];
    char what[100];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, BATCHES, sizes, ids, refs, path, &len);
    uint8_t *copy = malloc(len + 100000);
    assert_non_null(copy);
    size_t last = offset_of(refs[2]);
    /* Cut off at any place. */
    for (size_t cut = last; cut < len; cut += cut < last + 600 ? 31 : 1777) {
        fx_store(path, bytes, cut);
        (void)snprintf(what, sizeof what, "cut at %zu", cut - last);
        expect_after_crash(fx, ids, sizes, what);
        /* The same with zeros behind: blocks that were reserved and never written. */
        memcpy(copy, bytes, cut);
        size_t page = (cut + 4095) / 4096 * 4096;
        memset(copy + cut, 0, len + 100000 - cut);
        if (page == cut || cut % 512 == 0) {
            fx_store(path, copy, len + 100000);
            (void)snprintf(what, sizeof what, "zeros from %zu", cut - last);
            expect_after_crash(fx, ids, sizes, what);
        }
    }
    /* Any single page of the last batch not written. */
    for (size_t page = last; page < len; page += 4096) {
        memcpy(copy, bytes, len);
        memset(copy + page, 0, 4096);
        fx_store(path, copy, len);
        (void)snprintf(what, sizeof what, "page %zu missing", (page - last) / 4096);
        expect_after_crash(fx, ids, sizes, what);
    }
    fx_store(path, bytes, len);
    struct fx_scan *scan = scan_new(fx);
    assert_int_equal(scan->count, BATCHES);
    free(scan);
    free(copy);
    free(bytes);
}

static void reserved_blocks_and_garbage_behind_the_end_do_no_harm(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[BATCHES] = {3000, 100, 9000};
    char ids[BATCHES][FB_ID_SIZE];
    char refs[BATCHES][FB_REF_SIZE];
    char path[600];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, BATCHES, sizes, ids, refs, path, &len);
    uint8_t *copy = calloc(1, len + 3000000);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    fx_store(path, copy, len + 3000000);
    struct fx_scan *scan = scan_new(fx);
    assert_int_equal(scan->count, BATCHES);
    assert_int_equal(scan->damaged, 0);
    free(scan);
    fx_fill(copy + len, 3000000, 99, 0);
    fx_store(path, copy, len + 3000000);
    scan = scan_new(fx);
    assert_int_equal(scan->count, BATCHES);
    assert_int_equal(scan->damaged, 1);
    free(scan);
    /* Nothing but garbage, of any length. */
    for (size_t n = 0; n < 3000000; n = n * 3 + 1) {
        fx_store(path, copy + len, n);
        scan = scan_new(fx);
        assert_int_equal(scan->count, 0);
        assert_true(scan->damaged <= 1);
        free(scan);
    }
    free(copy);
    free(bytes);
}

static void damage_in_the_middle_is_counted_and_stepped_over(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[BATCHES] = {3000, 70000, 9000};
    char ids[BATCHES][FB_ID_SIZE];
    char refs[BATCHES][FB_REF_SIZE];
    char path[600];
    uint8_t noise[512];
    size_t len = 0;
    uint8_t *bytes = make_segment(fx, BATCHES, sizes, ids, refs, path, &len);
    for (size_t victim = 0; victim < BATCHES; victim++) {
        for (int kind = 0; kind < 2; kind++) {
            size_t at = offset_of(refs[victim]);
            memset(noise, 0, sizeof noise);
            if (kind == 0) {
                fx_fill(noise, sizeof noise, 4, 0);
            }
            poke(path, at, noise, sizeof noise);
            struct fx_scan *scan = scan_new(fx);
            assert_int_equal(scan->count, BATCHES - 1);
            assert_false(fx_scan_has(scan, ids[victim]));
            /* Zeros where the last batch should begin look like a crash; anything else is damage.
             */
            assert_int_equal(scan->damaged, kind == 1 && victim == BATCHES - 1 ? 0 : 1);
            free(scan);
            /* Tidy must not take a damaged segment for an empty one. */
            assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
            assert_int_equal(fx_file(fx, "segments", NULL), 1);
            fx_store(path, bytes, len);
        }
    }
    free(bytes);
}

static void a_damaged_large_file_is_reported(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    char path[600];
    static const uint8_t zeros[8192];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 2000000, 1, "e", id, ref);
    fb_spool_writer_free(&writer);
    assert_int_equal(fx_file(fx, "large", path), 1);
    poke(path, 1000000, zeros, sizeof zeros); /* a hole in a promised file is no torn tail */
    struct fx_scan *scan = scan_new(fx);
    assert_int_equal(scan->count, 1);
    free(scan);
    assert_int_equal(fx_check(fx, ref, 2000000, 1, "e"), FB_CORRUPT);
    poke(path, 0, zeros, sizeof zeros);
    scan = scan_new(fx);
    assert_int_equal(scan->count, 0);
    assert_int_equal(scan->damaged, 1);
    free(scan);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(fx_file(fx, "large", NULL), 1);
}

static bool stop_at_two(void *ctx, const struct fb_spool_entry *entry)
{
    int *count = ctx;
    assert_true(fb_id_is_valid(entry->msg_id));
    assert_true(entry->created_ms > 0);
    return ++*count < 2;
}

static void a_scan_stops_when_told(void **state)
{
    struct fx *fx = *state;
    static const size_t sizes[BATCHES] = {3000, 70000, 9000};
    char ids[BATCHES][FB_ID_SIZE];
    char refs[BATCHES][FB_REF_SIZE];
    char path[600];
    size_t len = 0;
    int count = 0;
    uint64_t damaged = 0;
    free(make_segment(fx, BATCHES, sizes, ids, refs, path, &len));
    assert_int_equal(fb_spool_scan(fx->spool, stop_at_two, &count, &damaged, NULL), FB_OK);
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_found_wherever_it_is, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_spoils_its_chunk_only, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(chunks_cannot_change_places, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_torn_tail_ends_a_segment_quietly, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(reserved_blocks_and_garbage_behind_the_end_do_no_harm,
                                        fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(damage_in_the_middle_is_counted_and_stepped_over, fx_setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_large_file_is_reported, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_scan_stops_when_told, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
