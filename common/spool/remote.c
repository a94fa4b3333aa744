/* SPDX-License-Identifier: Apache-2.0
 *
 * The bucket of a spool: opening, names, and putting what was sealed.
 */
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/spool/remote_index.h"

#define ID_KEY     "spool.id"
#define COPY       ((size_t)1 << 20)
#define MAX_LISTED 4000000U
#define MANY_PARTS 9000U

struct fb_remote {
    struct fb_s3 *s3;
    struct fb_erasures *erasures;
    struct fb_remote_index *segments;
};

struct fb_s3 *fb_remote_s3(const struct fb_remote *remote)
{
    return remote->s3;
}

struct fb_erasures *fb_remote_erasures(const struct fb_remote *remote)
{
    return remote->erasures;
}

struct fb_remote_index *fb_remote_segments(const struct fb_remote *remote)
{
    return remote->segments;
}

/* Made by whoever opens the bucket first: the store refuses the second one. */
static enum fb_status make_id(struct fb_s3 *s3, struct fb_error *err)
{
    char id[FB_ID_SIZE];
    fb_id_new(id);
    struct fb_slice bytes = fb_slice_str(id);
    enum fb_status s = fb_s3_put(s3, ID_KEY, &bytes, 1, true, err);
    return s == FB_EXISTS ? FB_OK : s;
}

static enum fb_status read_id(struct fb_s3 *s3, char id_r[FB_ID_SIZE], struct fb_error *err)
{
    char text[FB_ID_SIZE + 1] = "";
    size_t got = 0;
    enum fb_status s = fb_s3_get(s3, ID_KEY, 0, text, FB_ID_SIZE, NULL, &got, NULL, err);
    if (s == FB_NOT_FOUND) {
        s = make_id(s3, err);
        s = s == FB_OK ? fb_s3_get(s3, ID_KEY, 0, text, FB_ID_SIZE, NULL, &got, NULL, err) : s;
    }
    if (s != FB_OK) {
        return s;
    }
    if (got != FB_ID_SIZE - 1 || !fb_id_is_valid(text)) {
        return fb_error_set(err, FB_CONFIG, "%s in the bucket is damaged: restore it", ID_KEY);
    }
    memcpy(id_r, text, FB_ID_SIZE);
    return FB_OK;
}

enum fb_status fb_remote_open(const char *url, char id_r[FB_ID_SIZE], struct fb_remote **remote_r,
                              struct fb_error *err)
{
    struct fb_remote *remote = fb_xcalloc(1, sizeof *remote);
    enum fb_status s = fb_s3_open(url, NULL, &remote->s3, err);
    if (s == FB_OK) {
        s = read_id(remote->s3, id_r, err);
    }
    if (s != FB_OK) {
        fb_s3_close(&remote->s3);
        free(remote);
        return s;
    }
    remote->erasures = fb_erasures_new(remote);
    remote->segments = fb_remote_index_new();
    *remote_r = remote;
    return FB_OK;
}

void fb_remote_close(struct fb_remote **remote_ptr)
{
    struct fb_remote *remote = *remote_ptr;
    if (remote != NULL) {
        struct fb_error err = {0};
        if (fb_remote_erase_flush(remote, &err) != FB_OK) {
            fb_log(FB_WARN, "erasures were not written down, a replay will find them sent: %s",
                   err.text);
        }
        fb_erasures_free(&remote->erasures);
        fb_remote_index_free(&remote->segments);
        fb_s3_close(&remote->s3);
        free(remote);
        *remote_ptr = NULL;
    }
}

enum fb_status fb_remote_temp(int *fd_r, struct fb_error *err)
{
    const char *dir = getenv("TMPDIR");
    int fd =
        open(dir != NULL && dir[0] == '/' ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* no such place, or a file system that cannot: in memory, then */
        fd = memfd_create("spool", MFD_CLOEXEC);
    }
    if (fd < 0) {
        return fb_error_errno(err, fb_fs_errno_status(errno), errno, "make a temporary file");
    }
    *fd_r = fd;
    return FB_OK;
}

enum fb_status fb_remote_put_fd(const struct fb_remote *remote, const char *key, int fd,
                                struct fb_error *err)
{
    struct fb_s3_upload *upload = NULL;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return fb_error_errno(err, FB_IO, errno, "stat a temporary file");
    }
    uint64_t size = (uint64_t)st.st_size;
    size_t part = FB_S3_PART;
    while ((uint64_t)part * MANY_PARTS < size && part < FB_S3_MAX_PART) {
        part *= 2;
    }
    uint8_t *bytes = fb_alloc_bounded(COPY, COPY);
    if (bytes == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to put an object");
    }
    enum fb_status s = fb_s3_upload_new(remote->s3, key, part, &upload, err);
    for (uint64_t at = 0; at < size && s == FB_OK;) {
        size_t got = 0;
        int e = fb_fs_read_at(fd, bytes, COPY, at, &got);
        if (e != 0 || got == 0) {
            s = fb_error_errno(err, FB_IO, e != 0 ? e : EIO, "read a temporary file");
        } else {
            s = fb_s3_upload_add(upload, bytes, got, err);
            at += got;
        }
    }
    if (s == FB_OK) {
        s = fb_s3_upload_commit(&upload, err);
    }
    fb_s3_upload_abort(&upload);
    free(bytes);
    return s;
}

void fb_remote_name(const struct fb_remote *remote, const char *writer, bool is_time_first,
                    const char *suffix, char name_r[FB_SPOOL_NAME_SIZE])
{
    uint8_t number[4];
    char hex[2 * sizeof number + 1];
    /* In order, too: a reader takes the objects of one writer in the order of their names. */
    static atomic_llong last;
    long long now = (long long)fb_s3_now_ms(remote->s3);
    long long before = atomic_load(&last);
    do {
        now = now > before ? now : before + 1;
    } while (!atomic_compare_exchange_weak(&last, &before, now));
    fb_random(number, sizeof number);
    fb_hex(number, sizeof number, hex);
    int n = is_time_first
                ? snprintf(name_r, FB_SPOOL_NAME_SIZE, "%013lld-%s-%s%s", now, writer, hex, suffix)
                : snprintf(name_r, FB_SPOOL_NAME_SIZE, "%s-%013lld-%s%s", writer, now, hex, suffix);
    FB_ASSERT(n > 0 && n < (int)FB_SPOOL_NAME_SIZE);
}

/* ---- listings that are worked on: not while the pages come ---- */

struct listed {
    char *key;
    uint64_t size;
    int64_t modified_ms;
};

struct list {
    struct listed *all;
    size_t count;
    size_t cap;
    bool is_over;
};

static bool keep(void *ctx, const struct fb_s3_entry *entry)
{
    struct list *list = ctx;
    if (list->count == MAX_LISTED) {
        list->is_over = true;
        return false;
    }
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        struct listed *grown = realloc(list->all, list->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        list->all = grown;
    }
    list->all[list->count++] =
        (struct listed){fb_xstrdup(entry->key), entry->size, entry->modified_ms};
    return true;
}

enum fb_status fb_remote_each(const struct fb_remote *remote, const char *prefix, const char *after,
                              enum fb_status (*each)(void *ctx, const struct fb_s3_entry *entry,
                                                     struct fb_error *err),
                              void *ctx, struct fb_error *err)
{
    struct list list = {0};
    enum fb_status s = fb_s3_list(remote->s3, prefix, after, keep, &list, err);
    if (s == FB_OK && list.is_over) {
        s = fb_error_set(err, FB_TOO_BIG, "%s in the bucket holds too many objects", prefix);
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct fb_s3_entry entry = {list.all[i].key, list.all[i].size,
                                          list.all[i].modified_ms};
        if (s == FB_OK) {
            s = each(ctx, &entry, err);
        }
        free(list.all[i].key);
    }
    free(list.all);
    return s;
}

static enum fb_status remove_one(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    return fb_s3_delete(ctx, entry->key, err);
}

enum fb_status fb_remote_remove_all(const struct fb_remote *remote, const char *prefix,
                                    struct fb_error *err)
{
    return fb_remote_each(remote, prefix, NULL, remove_one, remote->s3, err);
}
