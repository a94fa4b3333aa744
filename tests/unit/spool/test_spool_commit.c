/* SPDX-License-Identifier: Apache-2.0
 *
 * The promise behind a 250: nobody is told before the disk has it, many share one sync, a failing
 * disk fails the whole batch and never loses the next, and kill -9 loses nothing that was told.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held: fdatasync waits */
static atomic_int syncs;
static atomic_int waiting; /* in fdatasync */
static atomic_int fail_sync;
static atomic_int fail_dir_sync;
static atomic_int fail_write; /* an errno */
static atomic_int short_writes;

int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
/* The same call has two names, depending on _FILE_OFFSET_BITS. */
ssize_t __wrap_pwrite(int fd, const void *ptr, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *ptr, size_t len, off_t offset);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
ssize_t __real_pwrite(int fd, const void *ptr, size_t len, off_t offset);

int __wrap_fdatasync(int fd)
{
    atomic_fetch_add(&waiting, 1);
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    atomic_fetch_sub(&waiting, 1);
    atomic_fetch_add(&syncs, 1);
    if (atomic_load(&fail_sync) > 0) {
        atomic_fetch_sub(&fail_sync, 1);
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    if (atomic_load(&fail_dir_sync) > 0) {
        atomic_fetch_sub(&fail_dir_sync, 1);
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

/* Half of it, in whole sectors: O_DIRECT writes nothing else. */
static size_t half_of(size_t len)
{
    return len >= 1024 ? len / 2 / 512 * 512 : len;
}

ssize_t __wrap_pwrite(int fd, const void *ptr, size_t len, off_t offset)
{
    if (atomic_load(&fail_write) != 0) {
        /* Half of it, then the failure: as a disk that gets full. */
        if (len > 4096) {
            return __real_pwrite(fd, ptr, half_of(len), offset);
        }
        errno = atomic_load(&fail_write);
        return -1;
    }
    return __real_pwrite(fd, ptr, atomic_load(&short_writes) != 0 ? half_of(len) : len, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *ptr, size_t len, off_t offset)
{
    return __wrap_pwrite(fd, ptr, len, offset);
}

static int setup(void **state)
{
    atomic_store(&syncs, 0);
    atomic_store(&fail_sync, 0);
    atomic_store(&fail_dir_sync, 0);
    atomic_store(&fail_write, 0);
    atomic_store(&short_writes, 0);
    return fx_setup(state);
}

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

static void wait_for_sync(void)
{
    for (int i = 0; i < 2000 && atomic_load(&waiting) == 0; i++) {
        pause_ms(5);
    }
    assert_int_equal(atomic_load(&waiting), 1);
}

struct order {
    atomic_size_t told; /* done calls so far */
    atomic_size_t in_batches;
    atomic_int batches;
    atomic_int wrong;
};
struct item {
    struct order *order;
    size_t number;
    atomic_int status;
    char ref[FB_REF_SIZE];
};

static void on_done(void *ctx, enum fb_status status, const char *ref)
{
    struct item *item = ctx;
    if (atomic_load(&item->order->told) != item->number) {
        atomic_store(&item->order->wrong, 1);
    }
    (void)snprintf(item->ref, sizeof item->ref, "%s", ref);
    atomic_store(&item->status, (int)status);
    atomic_fetch_add(&item->order->told, 1);
}

static void on_batch(void *ctx, size_t count)
{
    struct order *order = ctx;
    atomic_fetch_add(&order->in_batches, count);
    if (atomic_load(&order->in_batches) != atomic_load(&order->told)) {
        atomic_store(&order->wrong, 1); /* it comes behind the done calls of its batch */
    }
    atomic_fetch_add(&order->batches, 1);
}

#define MANY 500

static void many_waiting_messages_share_one_sync_and_nobody_is_told_before(void **state)
{
    struct fx *fx = *state;
    struct fb_spool_writer *writer = NULL;
    struct order order = {0};
    static struct item items[MANY + 1];
    char id[FB_ID_SIZE];
    memset(items, 0, sizeof items);
    assert_int_equal(fb_spool_writer_new(fx->spool, "w", on_batch, &order, &writer, NULL), FB_OK);
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    for (size_t i = 0; i <= MANY; i++) {
        items[i].order = &order;
        items[i].number = i;
        atomic_store(&items[i].status, -1);
        struct fb_spool_in *in = fx_message(writer, 100 + i * 40, i, id);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), on_done, &items[i]);
        if (i == 0) {
            wait_for_sync(); /* the first one is being synced; all the others gather */
        }
    }
    pause_ms(50);
    assert_int_equal(atomic_load(&order.told), 0);
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    fb_spool_writer_free(&writer);
    assert_int_equal(atomic_load(&order.told), MANY + 1);
    assert_int_equal(atomic_load(&order.batches), 2);
    assert_int_equal(atomic_load(&syncs), 2);
    assert_int_equal(atomic_load(&order.wrong), 0);
    for (size_t i = 0; i <= MANY; i++) {
        assert_int_equal(atomic_load(&items[i].status), FB_OK);
        assert_int_equal(fx_check(fx, items[i].ref, 100 + i * 40, i, "e"), FB_OK);
    }
}

static void short_writes_are_carried_on(void **state)
{
    struct fx *fx = *state;
    char id[3][FB_ID_SIZE];
    char ref[3][FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    atomic_store(&short_writes, 1);
    for (size_t i = 0; i < 3; i++) {
        fx_put(writer, 100000 * i, i, "e", id[i], ref[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fx_check(fx, ref[i], 100000 * i, i, "e"), FB_OK);
    }
    fb_spool_writer_free(&writer);
}

/* A good message, then a batch of three that fails in one way, then a good one. */
static void batch_that_fails(struct fx *fx, void (*break_it)(void), void (*mend_it)(void),
                             enum fb_status want)
{
    char good_id[2][FB_ID_SIZE];
    char good_ref[2][FB_REF_SIZE];
    char bad_id[3][FB_ID_SIZE];
    struct fx_done held = {0};
    struct fx_done done[3] = {{0}, {0}, {0}};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 5000, 1, "good", good_id[0], good_ref[0]);
    /* A message in the gate lets three more gather behind it. */
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    char held_id[FB_ID_SIZE];
    struct fb_spool_in *in = fx_message(writer, 100, 9, held_id);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &held);
    wait_for_sync();
    for (size_t i = 0; i < 3; i++) {
        in = fx_message(writer, 7000, 2, bad_id[i]);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("bad"), fx_on_done, &done[i]);
    }
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    fx_wait(&held);
    for (size_t i = 0; i < 3; i++) {
        fx_wait(&done[i]); /* warm-up: these three are good */
        assert_int_equal(done[i].status, FB_OK);
    }
    break_it();
    struct fx_done failed[3] = {{0}, {0}, {0}};
    for (size_t i = 0; i < 3; i++) {
        in = fx_message(writer, 7000, 2, bad_id[i]);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("bad"), fx_on_done, &failed[i]);
        fx_wait(&failed[i]);
        assert_int_equal(failed[i].status, want);
        assert_string_equal(failed[i].ref, "");
        if (i < 2) {
            break_it();
        }
    }
    mend_it();
    fx_put(writer, 5000, 3, "good", good_id[1], good_ref[1]);
    /* The file that failed is not written again. */
    assert_string_not_equal(good_ref[0], good_ref[1]);
    assert_int_not_equal(strncmp(good_ref[0], good_ref[1], strrchr(good_ref[0], ':') - good_ref[0]),
                         0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fx_check(fx, good_ref[0], 5000, 1, "good"), FB_OK);
        assert_int_equal(fx_check(fx, good_ref[1], 5000, 3, "good"), FB_OK);
        struct fx_scan *scan = malloc(sizeof *scan);
        fx_scan(fx, scan);
        assert_int_equal(scan->count, 6);
        assert_int_equal(scan->damaged, 0);
        for (size_t i = 0; i < 3; i++) {
            assert_false(fx_scan_has(scan, bad_id[i]));
        }
        free(scan);
        fb_spool_writer_free(&writer);
        fx_reopen(fx);
    }
}

static void break_sync(void)
{
    atomic_store(&fail_sync, 1);
}
static void mend_sync(void)
{
    atomic_store(&fail_sync, 0);
}
static void fill_disk(void)
{
    atomic_store(&fail_write, ENOSPC);
}
static void fill_quota(void)
{
    atomic_store(&fail_write, EDQUOT);
}
static void break_write(void)
{
    atomic_store(&fail_write, EIO);
}
static void mend_write(void)
{
    atomic_store(&fail_write, 0);
}

static void a_failed_sync_fails_the_batch_and_the_next_gets_a_new_segment(void **state)
{
    batch_that_fails(*state, break_sync, mend_sync, FB_IO);
}
static void a_full_disk_is_no_space(void **state)
{
    batch_that_fails(*state, fill_disk, mend_write, FB_NO_SPACE);
}
static void a_spent_quota_is_no_space(void **state)
{
    batch_that_fails(*state, fill_quota, mend_write, FB_NO_SPACE);
}
static void a_failed_write_is_io(void **state)
{
    batch_that_fails(*state, break_write, mend_write, FB_IO);
}

/* More than the stage holds at once, past the page cache; then small again in the same segment. */
static void a_large_batch_and_small_ones_share_a_segment(void **state)
{
    struct fx *fx = *state;
    enum { N = 12, SIZE = 150000 };
    struct fx_done done[N];
    char id[N][FB_ID_SIZE], small_id[2][FB_ID_SIZE], small_ref[2][FB_REF_SIZE];
    memset(done, 0, sizeof done);
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 5000, 1, "small", small_id[0], small_ref[0]);
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    struct fx_done held = {0};
    char held_id[FB_ID_SIZE];
    struct fb_spool_in *in = fx_message(writer, 100, 9, held_id);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &held);
    wait_for_sync();
    int before = atomic_load(&syncs);
    for (size_t i = 0; i < N; i++) {
        in = fx_message(writer, SIZE + i, i, id[i]);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("large"), fx_on_done, &done[i]);
    }
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    fx_wait(&held);
    for (size_t i = 0; i < N; i++) {
        fx_wait(&done[i]);
        assert_int_equal(done[i].status, FB_OK);
    }
    assert_int_equal(atomic_load(&syncs) - before, 2);
    fx_put(writer, 5000, 3, "small", small_id[1], small_ref[1]);
    assert_int_equal(strncmp(small_ref[0], small_ref[1], strrchr(small_ref[0], ':') - small_ref[0]),
                     0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fx_check(fx, small_ref[0], 5000, 1, "small"), FB_OK);
        assert_int_equal(fx_check(fx, small_ref[1], 5000, 3, "small"), FB_OK);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(fx_check(fx, done[i].ref, SIZE + i, i, "large"), FB_OK);
        }
        struct fx_scan *scan = malloc(sizeof *scan);
        fx_scan(fx, scan);
        assert_int_equal(scan->count, N + 3);
        assert_int_equal(scan->damaged, 0);
        free(scan);
        fb_spool_writer_free(&writer);
        fx_reopen(fx);
    }
}

static void all_of_a_failed_batch_fail(void **state)
{
    struct fx *fx = *state;
    struct fx_done first = {0};
    struct fx_done done[20];
    char id[FB_ID_SIZE];
    memset(done, 0, sizeof done);
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    struct fb_spool_in *in = fx_message(writer, 100, 1, id);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &first);
    wait_for_sync();
    for (size_t i = 0; i < 20; i++) {
        in = fx_message(writer, 30000, i, id);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done[i]);
    }
    atomic_store(&fail_sync, 2); /* the first, and the batch behind it */
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    fx_wait(&first);
    assert_int_equal(first.status, FB_IO);
    for (size_t i = 0; i < 20; i++) {
        fx_wait(&done[i]);
        assert_int_equal(done[i].status, FB_IO);
    }
    assert_int_equal(atomic_load(&fail_sync), 0);
    fb_spool_writer_free(&writer);
    struct fx_scan *scan = malloc(sizeof *scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 0);
    assert_int_equal(scan->damaged, 0);
    free(scan);
}

static void a_directory_that_cannot_be_synced_fails_the_first_batch(void **state)
{
    struct fx *fx = *state;
    struct fx_done done[2] = {{0}, {0}};
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    static const size_t size[2] = {1000, 3000000};
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&fail_dir_sync, 1);
        struct fb_spool_in *in = fx_message(writer, size[i], 1, id);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done[i]);
        fx_wait(&done[i]);
        assert_int_equal(done[i].status, FB_IO);
    }
    assert_int_equal(fx_file(fx, "large", NULL), 0);
    assert_int_equal(fx_file(fx, "segments", NULL), 0);
    fx_put(writer, 1000, 1, "e", id, ref);
    assert_int_equal(fx_check(fx, ref, 1000, 1, "e"), FB_OK);
    fb_spool_writer_free(&writer);
}

/* An administrator's hand, or a back-up put back: bytes would go where nobody looks. */
static void lose_segment(struct fx *fx, bool is_replaced)
{
    char id[2][FB_ID_SIZE], ref[2][FB_REF_SIZE], path[600], aside[700];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 5000, 1, "before", id[0], ref[0]);
    assert_int_equal(fx_file(fx, "segments", path), 1);
    (void)snprintf(aside, sizeof aside, "%s/aside", fx->path);
    assert_int_equal(rename(path, aside), 0);
    if (is_replaced) {
        fx_store(path, (const uint8_t *)"another", 7);
    }
    struct fx_done refused = {0};
    struct fb_spool_in *in = fx_message(writer, 5000, 2, id[1]);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("refused"), fx_on_done, &refused);
    fx_wait(&refused);
    assert_int_equal(refused.status, FB_IO);
    assert_int_equal(rename(aside, path), 0);
    fx_put(writer, 5000, 3, "after", id[1], ref[1]);
    assert_int_equal(fx_check(fx, ref[0], 5000, 1, "before"), FB_OK);
    assert_int_equal(fx_check(fx, ref[1], 5000, 3, "after"), FB_OK);
    struct fx_scan *scan = malloc(sizeof *scan);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 2);
    free(scan);
    fb_spool_writer_free(&writer);
}

static void a_segment_that_was_moved_away_takes_no_further_mail(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    lose_segment(fx, false);
}

static void a_segment_that_was_replaced_takes_no_further_mail(void **state)
{
    struct fx *fx = *state;
    FX_FILES_ONLY(fx);
    lose_segment(fx, true);
}

static void a_large_message_that_cannot_be_synced_leaves_no_file(void **state)
{
    struct fx *fx = *state;
    struct fx_done done = {0};
    char id[FB_ID_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    struct fb_spool_in *in = fx_message(writer, 3000000, 1, id);
    atomic_store(&fail_sync, 1);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done);
    fx_wait(&done);
    assert_int_equal(done.status, FB_IO);
    fb_spool_writer_free(&writer);
    assert_int_equal(fx_file(fx, "large", NULL), 0);
}

static void past_the_memory_budget_messages_go_to_files(void **state)
{
    struct fx *fx = *state;
    enum { COUNT = 140 };
    static struct fx_done done[COUNT];
    static char ids[COUNT][FB_ID_SIZE];
    size_t large = 0;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    memset(done, 0, sizeof done);
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    for (size_t i = 0; i < COUNT; i++) {
        struct fb_spool_in *in = fx_message(writer, 1000000, i, ids[i]);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done[i]);
    }
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    for (size_t i = 0; i < COUNT; i++) {
        fx_wait(&done[i]);
        assert_int_equal(done[i].status, FB_OK);
        large += done[i].ref[0] == 'l' ? 1 : 0;
    }
    assert_true(large >= 1 && large < COUNT / 2);
    for (size_t i = 0; i < COUNT; i += 13) {
        assert_int_equal(fx_check(fx, done[i].ref, 1000000, i, "e"), FB_OK);
    }
    assert_int_equal(fx_check(fx, done[COUNT - 1].ref, 1000000, COUNT - 1, "e"), FB_OK);
    /* 128 MiB in one batch: the segment is full and the next message opens another. */
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    fx_put(writer, 10, 1, "e", id, ref);
    assert_int_equal(fx_file(fx, "segments", NULL), 2);
    fb_spool_writer_free(&writer);
}

#define SUBMITTERS 4
#define EACH       100

struct submitter {
    struct fb_spool_writer *writer;
    struct fx_done done[EACH];
    size_t number;
};

static void *submit_some(void *arg)
{
    struct submitter *s = arg;
    for (size_t i = 0; i < EACH; i++) {
        char id[FB_ID_SIZE];
        struct fb_spool_in *in = fx_message(s->writer, s->number * 9000 + i * 50, i, id);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &s->done[i]);
    }
    return NULL;
}

static void many_threads_submit_at_once(void **state)
{
    struct fx *fx = *state;
    static struct submitter s[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    memset(s, 0, sizeof s);
    for (size_t t = 0; t < SUBMITTERS; t++) {
        s[t].writer = writer;
        s[t].number = t;
        assert_int_equal(pthread_create(&threads[t], NULL, submit_some, &s[t]), 0);
    }
    for (size_t t = 0; t < SUBMITTERS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    fb_spool_writer_free(&writer);
    for (size_t t = 0; t < SUBMITTERS; t++) {
        for (size_t i = 0; i < EACH; i++) {
            fx_wait(&s[t].done[i]);
            assert_int_equal(s[t].done[i].status, FB_OK);
            assert_int_equal(fx_check(fx, s[t].done[i].ref, t * 9000 + i * 50, i, "e"), FB_OK);
        }
    }
}

struct acked {
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    uint64_t seed;
};
struct child_item {
    struct acked acked;
    int fd;
};

static void ack(void *ctx, enum fb_status status, const char *ref)
{
    struct child_item *item = ctx;
    if (status == FB_OK) {
        (void)snprintf(item->acked.ref, sizeof item->acked.ref, "%s", ref);
        if (write(item->fd, &item->acked, sizeof item->acked) != (ssize_t)sizeof item->acked) {
            _exit(1);
        }
    }
    free(item);
}

static _Noreturn void child(struct fx *fx, int fd)
{
    struct fb_spool_writer *writer = NULL;
    if (fb_spool_open(fx->url, fx->key_file, &fx->spool, NULL) != FB_OK ||
        fb_spool_writer_new(fx->spool, "w", NULL, NULL, &writer, NULL) != FB_OK) {
        _exit(2);
    }
    for (uint64_t seed = 0;; seed++) {
        struct child_item *item = calloc(1, sizeof *item);
        if (item == NULL) {
            _exit(3);
        }
        item->fd = fd;
        item->acked.seed = seed;
        struct fb_spool_in *in =
            fx_message(writer, seed % 50 == 7 ? 1500000 : seed % 40 * 700, seed, item->acked.id);
        fb_spool_in_submit(&in, FB_SLICE_LITERAL("env"), ack, item);
        if (seed % 8 == 0) {
            pause_ms(1);
        }
    }
}

static void kill_9_loses_nothing_that_was_told(void **state)
{
    struct fx *fx = *state;
    struct acked *acked = calloc(4096, sizeof *acked);
    struct fx_scan *scan = malloc(sizeof *scan);
    size_t count = 0;
    assert_non_null(acked);
    fb_spool_close(&fx->spool);
    for (int round = 0; round < 4; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            child(fx, fds[1]);
        }
        (void)close(fds[1]);
        size_t stop = count + 60 + (size_t)round * 37;
        while (count < stop) {
            ssize_t n = read(fds[0], &acked[count], sizeof *acked);
            assert_int_equal(n, sizeof *acked);
            count++;
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (count < 4096 &&
               read(fds[0], &acked[count], sizeof *acked) == (ssize_t)sizeof *acked) {
            count++; /* what it had told before it died */
        }
        (void)close(fds[0]);
    }
    fx_reopen(fx);
    fx_scan(fx, scan);
    assert_int_equal(scan->damaged, 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t seed = acked[i].seed;
        assert_true(fx_scan_has(scan, acked[i].id));
        assert_int_equal(
            fx_check(fx, acked[i].ref, seed % 50 == 7 ? 1500000 : seed % 40 * 700, seed, "env"),
            FB_OK);
    }
    /* What was found but not told may be there too; it must be whole. */
    for (size_t i = 0; i < scan->count; i++) {
        struct fb_spool_msg *msg = NULL;
        assert_int_equal(fb_spool_msg_open(fx->spool, scan->entries[i].ref, &msg, NULL), FB_OK);
        fb_spool_msg_close(&msg);
    }
    free(acked);
    free(scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            many_waiting_messages_share_one_sync_and_nobody_is_told_before, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(short_writes_are_carried_on, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(
            a_failed_sync_fails_the_batch_and_the_next_gets_a_new_segment, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_no_space, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_spent_quota_is_no_space, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_is_io, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_large_batch_and_small_ones_share_a_segment, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(all_of_a_failed_batch_fail, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_synced_fails_the_first_batch,
                                        setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_was_moved_away_takes_no_further_mail, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_was_replaced_takes_no_further_mail, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(a_large_message_that_cannot_be_synced_leaves_no_file, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(past_the_memory_budget_messages_go_to_files, setup,
                                        fx_teardown),
        cmocka_unit_test_setup_teardown(many_threads_submit_at_once, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(kill_9_loses_nothing_that_was_told, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
