/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the tests of the spool.
 */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/keyring.h"

void (*fx_use_bucket)(struct fx *fx);
void (*fx_check_bucket)(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

void fx_reopen(struct fx *fx)
{
    struct fb_error err = {0};
    fb_spool_close(&fx->spool);
    if (fb_spool_open(fx->url, fx->key_file, &fx->spool, &err) != FB_OK) {
        fail_msg("open: %s", err.text);
    }
}

void fx_sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

int fx_setup(void **state)
{
    struct fx *fx = fb_xcalloc(1, sizeof *fx);
    struct fb_error err = {0};
    const char *base = getenv("TMPDIR");
    (void)snprintf(fx->dir, sizeof fx->dir, "%s/fumibako-spool-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(fx->dir));
    (void)snprintf(fx->path, sizeof fx->path, "%s/spool", fx->dir);
    (void)snprintf(fx->url, sizeof fx->url, "file://%s", fx->path);
    if (fx_use_bucket != NULL) {
        fx_use_bucket(fx);
    }
    (void)snprintf(fx->key_file, sizeof fx->key_file, "%s/key", fx->dir);
    assert_int_equal(fb_keyring_make_file(fx->key_file, &err), FB_OK);
    fx_reopen(fx);
    *state = fx;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void fx_remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int fx_teardown(void **state)
{
    struct fx *fx = *state;
    fb_spool_close(&fx->spool);
    if (fx->is_remote) {
        fx_check_bucket();
    }
    fx_remove_tree(fx->dir);
    free(fx);
    return 0;
}

void fx_on_done(void *ctx, enum fb_status status, const char *ref)
{
    struct fx_done *done = ctx;
    (void)pthread_mutex_lock(&lock);
    done->status = status;
    (void)snprintf(done->ref, sizeof done->ref, "%s", ref);
    done->is_done++;
    (void)pthread_cond_broadcast(&cond);
    (void)pthread_mutex_unlock(&lock);
}

void fx_wait(struct fx_done *done)
{
    (void)pthread_mutex_lock(&lock);
    while (!done->is_done) {
        (void)pthread_cond_wait(&cond, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
    assert_int_equal(done->is_done, 1);
}

void fx_fill(uint8_t *out, size_t len, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (offset + i) / 8 * 0x9E3779B97F4A7C15ULL + seed * 0xD1B54A32D192ED03ULL;
        x ^= x >> 29;
        x *= 0xBF58476D1CE4E5B9ULL;
        out[i] = (uint8_t)(x >> (8 * ((offset + i) % 8)));
    }
}

struct fb_spool_in *fx_message(struct fb_spool_writer *writer, size_t size, uint64_t seed,
                               char id_r[FB_ID_SIZE])
{
    struct fb_spool_in *in = NULL;
    struct fb_error err = {0};
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    fx_fill(bytes, size, seed, 0);
    fb_id_new(id_r);
    assert_int_equal(fb_spool_in_new(writer, id_r, &in, &err), FB_OK);
    /* In pieces of odd sizes, some of them larger than a chunk. */
    size_t piece = seed % 3 == 0 ? size : seed % 3 == 1 ? 4093 : 100003;
    for (size_t at = 0; at < size;) {
        size_t take = size - at < piece ? size - at : piece;
        assert_int_equal(fb_spool_in_add(in, bytes + at, take, &err), FB_OK);
        at += take;
    }
    assert_int_equal(fb_spool_in_size(in), size);
    free(bytes);
    return in;
}

void fx_put(struct fb_spool_writer *writer, size_t size, uint64_t seed, const char *envelope,
            char id_r[FB_ID_SIZE], char ref_r[FB_REF_SIZE])
{
    struct fx_done done = {0};
    struct fb_spool_in *in = fx_message(writer, size, seed, id_r);
    fb_spool_in_submit(&in, fb_slice_str(envelope), fx_on_done, &done);
    assert_null(in);
    fx_wait(&done);
    assert_int_equal(done.status, FB_OK);
    memcpy(ref_r, done.ref, sizeof done.ref);
}

struct fb_spool_writer *fx_writer(struct fx *fx, const char *name)
{
    struct fb_spool_writer *writer = NULL;
    struct fb_error err = {0};
    assert_int_equal(fb_spool_writer_new(fx->spool, name, NULL, NULL, &writer, &err), FB_OK);
    return writer;
}

enum fb_status fx_check(struct fx *fx, const char *ref, size_t size, uint64_t seed,
                        const char *envelope)
{
    struct fb_spool_msg *msg = NULL;
    struct fb_error err = {0};
    enum fb_status status = fb_spool_msg_open(fx->spool, ref, &msg, &err);
    if (status != FB_OK) {
        return status;
    }
    assert_int_equal(fb_spool_msg_size(msg), size);
    assert_true(fb_slice_eq_str(fb_spool_msg_envelope(msg), envelope));
    uint8_t *want = malloc(size + 1);
    uint8_t *have = malloc(size + 1);
    size_t got = 0;
    assert_non_null(want);
    assert_non_null(have);
    fx_fill(want, size, seed, 0);
    status = fb_spool_msg_read(msg, 0, have, size + 1, &got, &err);
    if (status == FB_OK) {
        assert_int_equal(got, size);
        assert_memory_equal(have, want, size);
    }
    free(want);
    free(have);
    fb_spool_msg_close(&msg);
    return status;
}

static bool on_entry(void *ctx, const struct fb_spool_entry *entry)
{
    struct fx_scan *scan = ctx;
    assert_true(scan->count < sizeof scan->entries / sizeof *scan->entries);
    scan->entries[scan->count++] = *entry;
    return true;
}

void fx_scan(struct fx *fx, struct fx_scan *scan)
{
    struct fb_error err = {0};
    scan->count = 0;
    scan->damaged = 0;
    if (fb_spool_scan(fx->spool, on_entry, scan, &scan->damaged, &err) != FB_OK) {
        fail_msg("scan: %s", err.text);
    }
}

int fx_scan_has(const struct fx_scan *scan, const char *id)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->entries[i].msg_id, id) == 0) {
            return 1;
        }
    }
    return 0;
}

size_t fx_file(struct fx *fx, const char *dir, char path_r[600])
{
    char path[600];
    char best[256] = "";
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/%s", fx->path, dir);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        count++;
        if (best[0] == '\0' || strcmp(e->d_name, best) < 0) {
            (void)snprintf(best, sizeof best, "%s", e->d_name);
        }
    }
    (void)closedir(d);
    if (path_r != NULL) {
        (void)snprintf(path_r, 600, "%s/%s/%s", fx->path, dir, best);
    }
    return count;
}

uint8_t *fx_load(const char *path, size_t *len_r)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    size_t at = 0;
    while (at < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + at, (size_t)st.st_size - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    (void)close(fd);
    *len_r = at;
    return bytes;
}

void fx_store(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    size_t at = 0;
    while (at < len) {
        ssize_t n = write(fd, bytes + at, len - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_int_equal(close(fd), 0);
}

uint64_t fx_blocks(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static const void *grep_needle;
static size_t grep_len;
static int grep_hits;

static int grep_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)ftw;
    if (flag == FTW_F && S_ISREG(st->st_mode) && st->st_size > 0) {
        size_t len = 0;
        uint8_t *bytes = fx_load(path, &len);
        grep_hits += memmem(bytes, len, grep_needle, grep_len) != NULL ? 1 : 0;
        free(bytes);
    }
    return 0;
}

int fx_grep(struct fx *fx, const void *needle, size_t len)
{
    grep_needle = needle;
    grep_len = len;
    grep_hits = 0;
    assert_int_equal(nftw(fx->path, grep_one, 16, FTW_PHYS), 0);
    return grep_hits > 0;
}
