/* SPDX-License-Identifier: Apache-2.0
 *
 * Which records of segments are erased.  Objects of a bucket cannot be changed in place, and one
 * request for each mail would cost as much as one object for each mail: so erasures are gathered
 * for some seconds and written down together, as lines "<segment> <offset>" of an object
 * erased/<time>-<random>.ers.  Losing those of the last seconds in a crash does no harm: the message
 * is live again, and the sent journal knows that it was sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/spool/remote.h"

#define FLUSH_MS    2000
#define FLUSH_COUNT 4096U
#define MAX_NOTE    ((size_t)1 << 20)
#define LOOK_BACK   120000 /* clocks and slow puts: a note may be seen so much later than its name */
#define BUCKETS     4096U
#define TAIL        (sizeof "-0000000000000-00000000.seg" - 1) /* of a segment's name */

struct erased {
    struct erased *next;
    uint64_t offset;
    char segment[];
};

struct fb_erasures {
    struct fb_remote *remote;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool is_stopping;
    struct erased *buckets[BUCKETS];
    struct fb_buf waiting; /* lines */
    size_t waiting_count;
    int64_t since_ms;                   /* monotonic: of the first that waits */
    pthread_mutex_t read_lock;          /* of what follows */
    char seen[FB_SPOOL_NAME_SIZE + 16]; /* the last note's key */
};

static size_t bucket_of(const char *segment, uint64_t offset)
{
    uint64_t h = 1469598103934665603ULL ^ offset * 0x9E3779B97F4A7C15ULL;
    for (const char *p = segment; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 1099511628211ULL;
    }
    return (size_t)(h ^ h >> 32) % BUCKETS;
}

static bool has(const struct fb_erasures *e, const char *segment, uint64_t offset)
{
    for (const struct erased *at = e->buckets[bucket_of(segment, offset)]; at != NULL;
         at = at->next) {
        if (at->offset == offset && strcmp(at->segment, segment) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct fb_erasures *e, const char *segment, uint64_t offset)
{
    if (has(e, segment, offset)) {
        return;
    }
    size_t len = strlen(segment);
    struct erased *one = fb_xcalloc(1, sizeof *one + len + 1);
    struct erased **bucket = &e->buckets[bucket_of(segment, offset)];
    one->offset = offset;
    memcpy(one->segment, segment, len + 1);
    one->next = *bucket;
    *bucket = one;
}

void fb_remote_erase(struct fb_remote *remote, const char *segment, uint64_t offset)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    fb_spool_lock(&e->lock);
    if (!has(e, segment, offset)) {
        add(e, segment, offset);
        if (fb_buf_printf(&e->waiting, "%s %llu\n", segment, (unsigned long long)offset) == FB_OK &&
            e->waiting_count++ == 0) {
            e->since_ms = fb_mono_ms();
        }
        if (e->waiting_count == 1 || e->waiting_count == FLUSH_COUNT) {
            FB_ASSERT(pthread_cond_signal(&e->wake) == 0);
        }
    }
    fb_spool_unlock(&e->lock);
}

bool fb_remote_is_erased(struct fb_remote *remote, const char *segment, uint64_t offset)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    fb_spool_lock(&e->lock);
    bool is_erased = has(e, segment, offset);
    fb_spool_unlock(&e->lock);
    return is_erased;
}

int64_t fb_remote_erase_lag_ms(struct fb_remote *remote)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    fb_spool_lock(&e->lock);
    int64_t lag = e->waiting_count > 0 ? fb_mono_ms() - e->since_ms + 1 : 0;
    fb_spool_unlock(&e->lock);
    return lag;
}

enum fb_status fb_remote_erase_flush(struct fb_remote *remote, struct fb_error *err)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    char name[FB_SPOOL_NAME_SIZE];
    char key[FB_SPOOL_NAME_SIZE + 16];
    fb_spool_lock(&e->lock);
    struct fb_buf lines = e->waiting;
    size_t count = e->waiting_count;
    fb_buf_init(&e->waiting, MAX_NOTE);
    e->waiting_count = 0;
    fb_spool_unlock(&e->lock);
    if (count == 0) {
        fb_buf_deinit(&lines);
        return FB_OK;
    }
    fb_remote_name(remote, "e", true, ".ers", name);
    (void)snprintf(key, sizeof key, "erased/%s", name);
    struct fb_slice bytes = fb_slice_buf(&lines);
    enum fb_status s = fb_s3_put(fb_remote_s3(remote), key, &bytes, 1, false, err);
    if (s != FB_OK) { /* they wait on, behind what came meanwhile; what has no room is replayed */
        fb_spool_lock(&e->lock);
        if (fb_buf_add(&e->waiting, lines.ptr, lines.len) == FB_OK) {
            e->waiting_count += count;
        }
        fb_spool_unlock(&e->lock);
    }
    fb_buf_deinit(&lines);
    return s;
}

static void *run(void *arg)
{
    struct fb_erasures *e = arg;
    fb_spool_lock(&e->lock);
    while (!e->is_stopping) {
        struct timespec until;
        FB_ASSERT(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_sec += FLUSH_MS / 1000;
        int rc = pthread_cond_timedwait(&e->wake, &e->lock, &until);
        FB_ASSERT(rc == 0 || rc == ETIMEDOUT);
        bool is_due = e->waiting_count > 0 &&
                      (e->waiting_count >= FLUSH_COUNT || fb_mono_ms() - e->since_ms >= FLUSH_MS);
        if (is_due && !e->is_stopping) {
            struct fb_error err = {0};
            fb_spool_unlock(&e->lock);
            if (fb_remote_erase_flush(e->remote, &err) != FB_OK) {
                fb_log(FB_WARN, "erasures wait to be written down: %s", err.text);
            }
            fb_spool_lock(&e->lock);
        }
    }
    fb_spool_unlock(&e->lock);
    return NULL;
}

struct fb_erasures *fb_erasures_new(struct fb_remote *remote)
{
    struct fb_erasures *e = fb_xcalloc(1, sizeof *e);
    e->remote = remote;
    fb_buf_init(&e->waiting, MAX_NOTE);
    FB_ASSERT(pthread_mutex_init(&e->lock, NULL) == 0);
    FB_ASSERT(pthread_mutex_init(&e->read_lock, NULL) == 0);
    FB_ASSERT(pthread_cond_init(&e->wake, NULL) == 0);
    FB_ASSERT(pthread_create(&e->thread, NULL, run, e) == 0);
    return e;
}

void fb_erasures_free(struct fb_erasures **e_ptr)
{
    struct fb_erasures *e = *e_ptr;
    if (e == NULL) {
        return;
    }
    fb_spool_lock(&e->lock);
    e->is_stopping = true;
    FB_ASSERT(pthread_cond_signal(&e->wake) == 0);
    fb_spool_unlock(&e->lock);
    FB_ASSERT(pthread_join(e->thread, NULL) == 0);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (e->buckets[i] != NULL) {
            struct erased *one = e->buckets[i];
            e->buckets[i] = one->next;
            free(one);
        }
    }
    fb_buf_deinit(&e->waiting);
    FB_ASSERT(pthread_cond_destroy(&e->wake) == 0);
    FB_ASSERT(pthread_mutex_destroy(&e->lock) == 0);
    FB_ASSERT(pthread_mutex_destroy(&e->read_lock) == 0);
    free(e);
    *e_ptr = NULL;
}

/* ---- notes ---- */

static bool gather(void *ctx, struct fb_slice bytes)
{
    return fb_buf_add_slice(ctx, bytes) == FB_OK;
}

/* Calls for each good line of a note. */
static enum fb_status read_note(const struct fb_remote *remote, const char *key,
                                void (*each)(void *ctx, const char *segment, uint64_t offset),
                                void *ctx, struct fb_error *err)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_NOTE);
    enum fb_status s = fb_s3_read(fb_remote_s3(remote), key, gather, &text, NULL, err);
    struct fb_slice left = fb_slice_buf(&text);
    while (s == FB_OK && left.len > 0) {
        size_t end = fb_slice_find(left, FB_SLICE_LITERAL("\n"));
        struct fb_slice line = fb_slice_sub(left, 0, end);
        size_t blank = fb_slice_find(line, FB_SLICE_LITERAL(" "));
        char segment[FB_SPOOL_NAME_SIZE] = "";
        char number[20] = "";
        if (blank != SIZE_MAX && blank < sizeof segment && line.len - blank - 1 < sizeof number) {
            memcpy(segment, line.ptr, blank);
            memcpy(number, line.ptr + blank + 1, line.len - blank - 1);
            char *stop = NULL;
            unsigned long long offset = strtoull(number, &stop, 10);
            if (*stop == '\0' && fb_spool_file_name_is_valid(segment, ".seg")) {
                each(ctx, segment, offset);
            }
        }
        left = fb_slice_sub(left, end == SIZE_MAX ? left.len : end + 1, SIZE_MAX);
    }
    fb_buf_deinit(&text);
    return s;
}

static void add_locked(void *ctx, const char *segment, uint64_t offset)
{
    struct fb_erasures *e = ctx;
    fb_spool_lock(&e->lock);
    add(e, segment, offset);
    fb_spool_unlock(&e->lock);
}

static enum fb_status on_note(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    struct fb_erasures *e = ctx;
    enum fb_status s = read_note(e->remote, entry->key, add_locked, e, err);
    if (s == FB_OK && strlen(entry->key) < sizeof e->seen && strcmp(entry->key, e->seen) > 0) {
        memcpy(e->seen, entry->key, strlen(entry->key) + 1);
    }
    return s == FB_NOT_FOUND ? FB_OK : s; /* tidied since the listing */
}

enum fb_status fb_remote_erase_read(struct fb_remote *remote, struct fb_error *err)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    char after[FB_SPOOL_NAME_SIZE] = "";
    fb_spool_lock(&e->read_lock);
    if (e->seen[0] != '\0') {
        long long ms = strtoll(e->seen + strlen("erased/"), NULL, 10) - LOOK_BACK;
        (void)snprintf(after, sizeof after, "erased/%013lld", ms > 0 ? ms : 0);
    }
    enum fb_status s =
        fb_remote_each(remote, "erased/", after[0] != '\0' ? after : NULL, on_note, e, err);
    fb_spool_unlock(&e->read_lock);
    return s;
}

/* ---- tidying ---- */

struct old_note {
    const struct fb_fs_names *segments;
    const struct fb_remote *remote;
    int64_t before_ms;
    bool is_needed;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, *(char *const *)b);
}

static bool is_there(const struct fb_fs_names *segments, const char *name)
{
    return segments->count > 0 && bsearch(name, segments->names, segments->count,
                                          sizeof *segments->names, by_name) != NULL;
}

static void look(void *ctx, const char *segment, uint64_t offset)
{
    struct old_note *note = ctx;
    (void)offset;
    note->is_needed = note->is_needed || is_there(note->segments, segment);
}

/* A segment that the listing may have missed, because it is younger, is not gone. */
static bool is_gone(const struct fb_fs_names *segments, const char *name, int64_t before_ms)
{
    size_t len = strlen(name);
    return !is_there(segments, name) && len > TAIL &&
           strtoll(name + len - TAIL + 1, NULL, 10) < before_ms;
}

static enum fb_status tidy_note(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    struct old_note *note = ctx;
    if (entry->modified_ms >= note->before_ms) {
        return FB_OK;
    }
    note->is_needed = false;
    enum fb_status s = read_note(note->remote, entry->key, look, note, err);
    if (s == FB_OK && !note->is_needed) {
        s = fb_s3_delete(fb_remote_s3(note->remote), entry->key, err);
    }
    return s == FB_NOT_FOUND ? FB_OK : s;
}

enum fb_status fb_remote_erase_tidy(struct fb_remote *remote, const struct fb_fs_names *segments,
                                    int64_t age_ms, struct fb_error *err)
{
    struct fb_erasures *e = fb_remote_erasures(remote);
    struct old_note note = {.segments = segments,
                            .remote = remote,
                            .before_ms = fb_s3_now_ms(fb_remote_s3(remote)) - age_ms};
    fb_spool_lock(&e->lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct erased **at = &e->buckets[i]; *at != NULL;) {
            struct erased *one = *at;
            if (is_gone(segments, one->segment, note.before_ms)) {
                *at = one->next;
                free(one);
            } else {
                at = &one->next;
            }
        }
    }
    fb_spool_unlock(&e->lock);
    return fb_remote_each(remote, "erased/", NULL, tidy_note, &note, err);
}
