/* SPDX-License-Identifier: Apache-2.0
 *
 * Scanning for live messages, and removing what no live message needs.
 *
 * A writer holds a lock (flock) on each file that it writes; tidy works on a file only while it
 * holds that lock itself.  Nothing is concluded from absence when any part of the spool could not
 * be read.
 */
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_AGE_MS   60000
#define ORPHAN_AGE_MS 3600000

typedef bool entry_fn(void *ctx, const struct fb_spool_entry *e);

struct scan {
    const struct fb_spool *spool;
    entry_fn *each;
    void *ctx;
    const char *name; /* of the segment; NULL for a large file */
};

static bool on_record(void *ctx, uint64_t offset, const struct fb_spool_header *header)
{
    struct scan *scan = ctx;
    struct fb_spool_entry entry = {.created_ms = header->created_ms, .size = header->content_len};
    if (header->is_erased) {
        return true;
    }
    fb_spool_ref_make(scan->spool, scan->name, offset, header->msg_id, entry.ref);
    memcpy(entry.msg_id, header->msg_id, sizeof entry.msg_id);
    return scan->each(scan->ctx, &entry);
}

static enum fb_status scan_dir(int dir_fd, bool is_large, struct scan *scan, uint64_t *damaged,
                               bool *is_stopped, struct fb_error *err)
{
    struct fb_fs_names names = {0};
    enum fb_status status = fb_fs_names_read(dir_fd, ".seg", &names, err);
    for (size_t i = 0; i < names.count && status == FB_OK && !*is_stopped; i++) {
        const char *name = names.names[i];
        int fd = -1;
        uint64_t size = 0;
        if (!fb_spool_file_name_is_valid(name, ".seg")) {
            continue;
        }
        status = fb_fs_file_open(dir_fd, name, O_RDONLY, &fd, &size, err);
        if (status == FB_NOT_FOUND) { /* tidied since the listing */
            status = FB_OK;
            continue;
        }
        if (status == FB_CORRUPT) { /* a link or the like: not ours, and not to be followed */
            (*damaged)++;
            status = FB_OK;
            continue;
        }
        if (status != FB_OK) {
            break;
        }
        scan->name = is_large ? NULL : name;
        status = fb_spool_walk((struct fb_sealed_src){.fd = fd}, size, is_large, on_record, scan,
                               damaged, is_stopped, err);
        if (status != FB_OK) {
            (void)fb_error_prefix(err, "%s", name);
        }
        (void)close(fd);
    }
    fb_fs_names_free(&names);
    return status;
}

enum fb_status fb_spool_scan(struct fb_spool *spool, entry_fn *each, void *ctx, uint64_t *damaged_r,
                             struct fb_error *err)
{
    struct scan scan = {.spool = spool, .each = each, .ctx = ctx};
    uint64_t damaged = 0;
    bool is_stopped = false;
    if (spool->remote != NULL) {
        return fb_remote_scan(spool, each, ctx, damaged_r, err);
    }
    enum fb_status status = scan_dir(spool->segments_fd, false, &scan, &damaged, &is_stopped, err);
    if (status == FB_OK && !is_stopped) {
        status = scan_dir(spool->large_fd, true, &scan, &damaged, &is_stopped, err);
    }
    if (status == FB_OK) {
        *damaged_r = damaged;
    }
    return status;
}

static bool collect(void *ctx, const struct fb_spool_entry *entry)
{
    struct fb_spool_ids *live = ctx;
    if (live->count == live->cap) {
        live->cap = live->cap == 0 ? 256 : live->cap * 2;
        char(*grown)[FB_ID_SIZE] = realloc(live->ids, live->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        live->ids = grown;
    }
    memcpy(live->ids[live->count++], entry->msg_id, FB_ID_SIZE);
    return true;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, FB_ID_SIZE);
}

enum fb_status fb_spool_ids_read(struct fb_spool *spool, struct fb_spool_ids *live_r,
                                 uint64_t *damaged_r, struct fb_error *err)
{
    enum fb_status status = fb_spool_scan(spool, collect, live_r, damaged_r, err);
    if (status == FB_OK && live_r->count > 1) {
        qsort(live_r->ids, live_r->count, FB_ID_SIZE, by_id);
    }
    return status;
}

bool fb_spool_ids_has(const struct fb_spool_ids *live, const char *msg_id)
{
    return live->count > 0 && bsearch(msg_id, live->ids, live->count, FB_ID_SIZE, by_id) != NULL;
}

static int64_t age_ms(const struct stat *st)
{
    return fb_now_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
}

static bool count_live(void *ctx, uint64_t offset, const struct fb_spool_header *header)
{
    uint64_t *live = ctx;
    (void)offset;
    *live += header->is_erased ? 0 : 1;
    return true;
}

static enum fb_status tidy_records(int dir_fd, const char *name, bool is_large,
                                   struct fb_error *err)
{
    uint64_t size = 0;
    uint64_t live = 0;
    uint64_t damaged = 0;
    bool is_stopped = false;
    struct stat st;
    int fd = -1;
    enum fb_status status = fb_fs_file_open(dir_fd, name, O_RDWR, &fd, &size, err);
    if (status == FB_NOT_FOUND || status == FB_CORRUPT) {
        return FB_OK; /* gone, or not ours to remove */
    }
    if (status != FB_OK) {
        return status;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
        size = (uint64_t)st.st_size; /* its writer may have ended since */
        /* A large file has its name only after its sync: nothing in it may count as torn. */
        status = fb_spool_walk((struct fb_sealed_src){.fd = fd}, size, is_large, count_live, &live,
                               &damaged, &is_stopped, err);
        if (status == FB_OK && live == 0 && damaged == 0) {
            if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
                status = fb_error_errno(err, FB_IO, errno, "remove %s", name);
            }
        } else if (status == FB_OK && (uint64_t)st.st_blocks * 512 > size + FB_SPOOL_BLOCK) {
            /* Blocks that a killed writer had reserved. */
            if (ftruncate(fd, st.st_size) != 0) {
                status = fb_error_errno(err, FB_IO, errno, "trim %s", name);
            }
        }
    }
    (void)close(fd);
    return status;
}

static enum fb_status tidy_segment(int dir_fd, const char *name, struct fb_error *err)
{
    return tidy_records(dir_fd, name, false, err);
}

static enum fb_status tidy_large(int dir_fd, const char *name, struct fb_error *err)
{
    return tidy_records(dir_fd, name, true, err);
}

static enum fb_status tidy_temp(int dir_fd, const char *name, struct fb_error *err)
{
    struct stat st;
    int fd = -1;
    enum fb_status status = fb_fs_file_open(dir_fd, name, O_RDWR, &fd, NULL, err);
    if (status != FB_OK) {
        return status == FB_NOT_FOUND || status == FB_CORRUPT ? FB_OK : status;
    }
    /* The age covers the moment between making and locking. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && age_ms(&st) > TEMP_AGE_MS &&
        unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        status = fb_error_errno(err, FB_IO, errno, "remove %s", name);
    }
    (void)close(fd);
    return status;
}

static enum fb_status for_names(int dir_fd, const char *suffix,
                                enum fb_status (*tidy)(int dir_fd, const char *name,
                                                       struct fb_error *err),
                                struct fb_error *err)
{
    struct fb_fs_names names = {0};
    enum fb_status status = fb_fs_names_read(dir_fd, suffix, &names, err);
    for (size_t i = 0; i < names.count && status == FB_OK; i++) {
        status = tidy(dir_fd, names.names[i], err);
    }
    fb_fs_names_free(&names);
    return status;
}

/* Objects of messages that are gone: a worker that was slow to learn of the end has left them. */
static enum fb_status tidy_objects(const struct fb_spool *spool, const char *fan,
                                   const struct fb_spool_ids *live, int64_t keep_ms,
                                   struct fb_error *err)
{
    struct fb_fs_names names = {0};
    int fan_fd = -1;
    enum fb_status status = fb_fs_dir_open(spool->objects_fd, fan, false, &fan_fd, err);
    if (status != FB_OK) {
        return status;
    }
    status = fb_fs_names_read(fan_fd, "", &names, err);
    for (size_t i = 0; i < names.count && status == FB_OK; i++) {
        const char *id = names.names[i];
        struct stat st;
        if (fb_id_is_valid(id) && !fb_spool_ids_has(live, id) &&
            fstatat(fan_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
            age_ms(&st) > keep_ms) {
            status = fb_fs_dir_remove(fan_fd, id, err);
        }
    }
    fb_fs_names_free(&names);
    (void)close(fan_fd);
    return status;
}

static enum fb_status tidy_orphans(struct fb_spool *spool, int64_t keep_ms, struct fb_error *err)
{
    struct fb_spool_ids live = {0};
    struct fb_fs_names fans = {0};
    uint64_t damaged = 0;
    enum fb_status status = fb_spool_ids_read(spool, &live, &damaged, err);
    if (status == FB_OK && damaged == 0) {
        status = fb_journal_tidy(spool, &live, keep_ms, err);
        if (status == FB_OK) {
            status = fb_fs_names_read(spool->objects_fd, "", &fans, err);
        }
        int64_t age = keep_ms > ORPHAN_AGE_MS ? keep_ms : ORPHAN_AGE_MS;
        for (size_t i = 0; i < fans.count && status == FB_OK; i++) {
            status = tidy_objects(spool, fans.names[i], &live, age, err);
        }
        fb_fs_names_free(&fans);
    }
    free(live.ids);
    return status;
}

enum fb_status fb_spool_tidy(struct fb_spool *spool, int64_t keep_ms, struct fb_error *err)
{
    if (spool->remote != NULL) {
        return fb_remote_tidy(spool, keep_ms, err);
    }
    enum fb_status status = for_names(spool->segments_fd, ".seg", tidy_segment, err);
    if (status == FB_OK) {
        status = for_names(spool->large_fd, ".seg", tidy_large, err);
    }
    if (status == FB_OK) {
        status = for_names(spool->large_fd, ".tmp", tidy_temp, err);
    }
    if (status == FB_OK) {
        status = tidy_orphans(spool, keep_ms, err);
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "tidy spool");
    }
    return status;
}
