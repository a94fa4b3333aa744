/* SPDX-License-Identifier: Apache-2.0
 *
 * The sent journal: what was committed is known, here, elsewhere and after a restart; a failed sync
 * is told; and nothing is forgotten before it is safe.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/spool/journal.h"

static atomic_int syncs;
static atomic_int fail_sync;
static atomic_long later_ms;
static atomic_long sync_ns = 1000000; /* a disk that takes its time lets groups gather */

int __wrap_fdatasync(int fd);
int __real_fdatasync(int fd);
int64_t __wrap_fb_mono_ms(void);
int64_t __real_fb_mono_ms(void);

int __wrap_fdatasync(int fd)
{
    struct timespec ts = {0, atomic_load(&sync_ns)};
    (void)nanosleep(&ts, NULL);
    atomic_fetch_add(&syncs, 1);
    if (atomic_load(&fail_sync) > 0) {
        atomic_fetch_sub(&fail_sync, 1);
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(fd);
}

int64_t __wrap_fb_mono_ms(void)
{
    return __real_fb_mono_ms() + atomic_load(&later_ms);
}

static int setup(void **state)
{
    atomic_store(&syncs, 0);
    atomic_store(&fail_sync, 0);
    atomic_store(&later_ms, 0);
    return fx_setup(state);
}

static struct fb_journal *journal_new(struct fx *fx, const char *name)
{
    struct fb_journal *journal = NULL;
    struct fb_error err = {0};
    if (fb_journal_open(fx->spool, name, &journal, &err) != FB_OK) {
        fail_msg("open: %s", err.text);
    }
    return journal;
}

static void put(struct fb_journal *journal, const char *id, enum fb_sent_kind kind, uint32_t rcpt)
{
    assert_int_equal(fb_journal_commit(journal, id, 0, kind, &rcpt, 1, NULL), FB_OK);
}

static bool has(struct fb_journal *journal, const char *id, enum fb_sent_kind kind, uint32_t rcpt)
{
    bool is_there = false;
    assert_int_equal(fb_journal_lookup(journal, id, kind, &rcpt, 1, &is_there, NULL), FB_OK);
    return is_there;
}

static void what_was_committed_is_known_by_kind_and_recipient(void **state)
{
    struct fx *fx = *state;
    static const uint32_t rcpt[] = {0, 7, 8, 9999};
    static const uint32_t asked[] = {9999, 1, 7, 9, 0, 9998, 8};
    static const bool want[] = {true, false, true, false, true, false, true};
    bool have[7];
    char id[2][FB_ID_SIZE];
    fb_id_new(id[0]);
    fb_id_new(id[1]);
    struct fb_journal *journal = journal_new(fx, "w");
    assert_int_equal(fb_journal_commit(journal, id[0], 5, FB_SENT_NOTICE, rcpt, 4, NULL), FB_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fb_journal_lookup(journal, id[0], FB_SENT_NOTICE, asked, 7, have, NULL),
                         FB_OK);
        assert_memory_equal(have, want, sizeof have);
        assert_false(has(journal, id[0], FB_SENT_PASS, 7));
        assert_false(has(journal, id[0], FB_SENT_REPORT, 7));
        assert_false(has(journal, id[1], FB_SENT_NOTICE, 7));
        fb_journal_close(&journal); /* after a restart too */
        fx_reopen(fx);
        journal = journal_new(fx, "w");
    }
    put(journal, id[0], FB_SENT_RECEIPT, 1);
    put(journal, id[0], FB_SENT_PASSWORD, 2);
    put(journal, id[0], FB_SENT_RECALLED, 3);
    assert_true(has(journal, id[0], FB_SENT_PASSWORD, 2));
    assert_true(has(journal, id[0], FB_SENT_RECALLED, 3));
    assert_false(has(journal, id[0], FB_SENT_RECALLED, 2));
    assert_false(has(journal, id[0], FB_SENT_RECEIPT, 2));
    assert_true(has(journal, id[0], FB_SENT_RECEIPT, 1));
    fb_journal_close(&journal);
}

static void strange_input_is_refused(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    static const uint32_t rcpt[] = {10000};
    static const uint32_t good[] = {0};
    bool have[1];
    char id[FB_ID_SIZE];
    struct fb_journal *journal = NULL;
    assert_int_equal(fb_journal_open(fx->spool, "../w", &journal, NULL), FB_CONFIG);
    journal = journal_new(fx, "w");
    fb_id_new(id);
    assert_int_equal(fb_journal_commit(journal, id, 0, FB_SENT_NOTICE, rcpt, 1, NULL), FB_INVALID);
    assert_int_equal(fb_journal_commit(journal, "x", 0, FB_SENT_NOTICE, good, 1, NULL), FB_INVALID);
    assert_int_equal(fb_journal_commit(journal, id, 0, (enum fb_sent_kind)9, good, 1, NULL),
                     FB_INVALID);
    assert_int_equal(fb_journal_commit(journal, id, 0, FB_SENT_NOTICE, good, 0, NULL), FB_OK);
    assert_int_equal(fb_journal_lookup(journal, "x", FB_SENT_NOTICE, good, 1, have, NULL),
                     FB_INVALID);
    assert_false(has(journal, id, FB_SENT_NOTICE, 4000000000U));
    fb_journal_close(&journal);
    assert_int_equal(fx_file(fx, "journal", NULL), 0);
}

static void writers_see_each_other(void **state)
{
    struct fx *fx = *state;
    char id[50][FB_ID_SIZE];
    struct fb_journal *a = journal_new(fx, "a");
    struct fb_journal *b = journal_new(fx, "b");
    for (uint32_t i = 0; i < 50; i++) {
        fb_id_new(id[i]);
        assert_false(has(a, id[i], FB_SENT_PASS, i));
        put(i % 2 == 0 ? a : b, id[i], FB_SENT_PASS, i);
        assert_true(has(a, id[i], FB_SENT_PASS, i));
        assert_true(has(b, id[i], FB_SENT_PASS, i));
    }
    struct fb_journal *again = journal_new(fx, "a"); /* a restart while the old one still ends */
    put(again, id[0], FB_SENT_REPORT, 3);
    assert_true(has(b, id[0], FB_SENT_REPORT, 3));
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(has(again, id[i], FB_SENT_PASS, i));
    }
    fb_journal_close(&a);
    fb_journal_close(&b);
    fb_journal_close(&again);
}

static void a_failed_sync_is_told_and_the_next_file_is_new(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    static const uint32_t rcpt[] = {1};
    char id[3][FB_ID_SIZE];
    struct fb_journal *journal = journal_new(fx, "w");
    for (int i = 0; i < 3; i++) {
        fb_id_new(id[i]);
    }
    put(journal, id[0], FB_SENT_NOTICE, 1);
    assert_int_equal(fx_file(fx, "journal", NULL), 1);
    atomic_store(&fail_sync, 1);
    struct fb_error err = {0};
    assert_int_equal(fb_journal_commit(journal, id[1], 0, FB_SENT_NOTICE, rcpt, 1, &err), FB_IO);
    assert_non_null(strstr(err.text, "sent journal"));
    put(journal, id[2], FB_SENT_NOTICE, 1);
    assert_int_equal(fx_file(fx, "journal", NULL), 2);
    for (int round = 0; round < 2; round++) {
        assert_true(has(journal, id[0], FB_SENT_NOTICE, 1));
        assert_false(has(journal, id[1], FB_SENT_NOTICE, 1));
        assert_true(has(journal, id[2], FB_SENT_NOTICE, 1));
        fb_journal_close(&journal);
        journal = journal_new(fx, "w");
    }
    fb_journal_close(&journal);
}

#define THREADS 8
#define EACH    50

struct worker {
    struct fb_journal *journal;
    char ids[EACH][FB_ID_SIZE];
    uint32_t number;
    int failed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint32_t i = 0; i < EACH; i++) {
        const uint32_t rcpt[] = {w->number, w->number + 100};
        bool is_there[2] = {false, false};
        fb_id_new(w->ids[i]);
        if (fb_journal_commit(w->journal, w->ids[i], i, FB_SENT_PASS, rcpt, 2, NULL) != FB_OK ||
            fb_journal_lookup(w->journal, w->ids[i], FB_SENT_PASS, rcpt, 2, is_there, NULL) !=
                FB_OK ||
            !is_there[0] || !is_there[1]) {
            w->failed++;
        }
    }
    return NULL;
}

static void concurrent_commits_share_syncs(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    struct fb_journal *journal = journal_new(fx, "w");
    memset(workers, 0, sizeof workers);
    atomic_store(&sync_ns, 10000000); /* so that the other threads get their turn meanwhile */
    for (uint32_t t = 0; t < THREADS; t++) {
        workers[t].journal = journal;
        workers[t].number = t;
        assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(workers[t].failed, 0);
    }
    atomic_store(&sync_ns, 1000000);
    if (atomic_load(&syncs) > THREADS * EACH / 2) {
        fail_msg("%d syncs for %d commits", atomic_load(&syncs), THREADS * EACH);
    }
    fb_journal_close(&journal);
    journal = journal_new(fx, "other");
    for (uint32_t t = 0; t < THREADS; t++) {
        for (uint32_t i = 0; i < EACH; i++) {
            assert_true(has(journal, workers[t].ids[i], FB_SENT_PASS, t + 100));
        }
    }
    fb_journal_close(&journal);
}

static void torn_and_damaged_entries_cost_only_themselves(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    char id[FB_ID_SIZE];
    char path[600];
    size_t len = 0;
    struct fb_journal *journal = journal_new(fx, "w");
    fb_id_new(id);
    for (uint32_t i = 0; i < 10; i++) {
        put(journal, id, FB_SENT_NOTICE, i);
    }
    fb_journal_close(&journal);
    assert_int_equal(fx_file(fx, "journal", path), 1);
    uint8_t *bytes = fx_load(path, &len);
    assert_int_equal(len, 640);
    for (size_t bit = 0; bit < 64 * 8; bit += 3) {
        bytes[5 * 64 + bit / 8] ^= (uint8_t)(1U << bit % 8);
        fx_store(path, bytes, len);
        bytes[5 * 64 + bit / 8] ^= (uint8_t)(1U << bit % 8);
        journal = journal_new(fx, "r");
        for (uint32_t i = 0; i < 10; i++) {
            assert_int_equal(has(journal, id, FB_SENT_NOTICE, i), i != 5);
        }
        fb_journal_close(&journal);
    }
    fx_store(path, bytes, 9 * 64 + 63); /* torn */
    journal = journal_new(fx, "r");
    assert_true(has(journal, id, FB_SENT_NOTICE, 8));
    assert_false(has(journal, id, FB_SENT_NOTICE, 9));
    fx_store(path, bytes, len); /* it was just being written */
    assert_true(has(journal, id, FB_SENT_NOTICE, 9));
    fb_journal_close(&journal);
    /* A link is not followed. */
    char aside[700];
    (void)snprintf(aside, sizeof aside, "%s/aside", fx->dir);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    assert_int_equal(fb_journal_open(fx->spool, "w", &journal, NULL), FB_CORRUPT);
    free(bytes);
}

static void a_message_is_forgotten_minutes_after_its_end(void **state)
{
    struct fx *fx = *state;
    char id[2][FB_ID_SIZE];
    fb_id_new(id[0]);
    fb_id_new(id[1]);
    struct fb_journal *a = journal_new(fx, "a");
    struct fb_journal *b = journal_new(fx, "b");
    put(a, id[0], FB_SENT_NOTICE, 1);
    fb_journal_forget(a, id[0]);
    fb_journal_forget(a, "nonsense");
    put(a, id[1], FB_SENT_NOTICE, 1);
    /* A crash now could bring the erased message back: still known, also to a new process. */
    struct fb_journal *c = journal_new(fx, "c");
    assert_true(has(a, id[0], FB_SENT_NOTICE, 1));
    assert_true(has(b, id[0], FB_SENT_NOTICE, 1));
    assert_true(has(c, id[0], FB_SENT_NOTICE, 1));
    fb_journal_close(&c);
    atomic_store(&later_ms, 400000);
    put(a, id[1], FB_SENT_NOTICE, 2);
    c = journal_new(fx, "c");
    assert_false(has(a, id[0], FB_SENT_NOTICE, 1));
    assert_false(has(b, id[0], FB_SENT_NOTICE, 1));
    assert_false(has(c, id[0], FB_SENT_NOTICE, 1));
    assert_true(has(b, id[1], FB_SENT_NOTICE, 1));
    fb_journal_close(&a);
    fb_journal_close(&b);
    fb_journal_close(&c);
}

static void files_rotate(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    static uint32_t all[10000];
    char id[30][FB_ID_SIZE];
    struct fb_journal *journal = journal_new(fx, "w");
    struct fb_journal *other = journal_new(fx, "o");
    for (uint32_t i = 0; i < 10000; i++) {
        all[i] = i;
    }
    for (uint32_t i = 0; i < 30; i++) { /* 640 kB each */
        fb_id_new(id[i]);
        assert_int_equal(fb_journal_commit(journal, id[i], 0, FB_SENT_NOTICE, all, 10000, NULL),
                         FB_OK);
    }
    assert_int_equal(fx_file(fx, "journal", NULL), 2);
    for (uint32_t i = 0; i < 30; i++) {
        assert_true(has(other, id[i], FB_SENT_NOTICE, 9999 - i));
    }
    fb_journal_close(&journal);
    fb_journal_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_committed_is_known_by_kind_and_recipient, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(strange_input_is_refused, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(writers_see_each_other, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_told_and_the_next_file_is_new, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(concurrent_commits_share_syncs, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(torn_and_damaged_entries_cost_only_themselves, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_message_is_forgotten_minutes_after_its_end, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(files_rotate, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
