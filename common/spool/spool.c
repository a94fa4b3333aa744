/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens and closes a spool directory, and says how full it is.
 */
#include "common/spool/remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COUNT_EVERY_MS   2000
#define LIST_EVERY_MS    300000 /* counting a bucket is paid for by the thousand */
#define COUNT_SHARE      20     /* counting takes at most 1/20 of the time */
#define PERCENT_EVERY_MS 500
#define MAX_DU_DEPTH     4
#define ID_FILE          "spool.id"

static const char *path_of_url(const char *url)
{
    static const char scheme[] = "file://";
    if (url == NULL || strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return NULL;
    }
    const char *path = url + sizeof scheme - 1;
    return path[0] == '/' && path[1] != '\0' ? path : NULL;
}

static enum fb_status sync_fd(int fd, const char *what, struct fb_error *err)
{
    if (fsync(fd) != 0) {
        return fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync %s", what);
    }
    return FB_OK;
}

/* The spool's id, in the file spool.id: made by whoever opens the directory first, complete or not
 * at all (link() does not replace). */
static enum fb_status make_id(const struct fb_spool *spool, struct fb_error *err)
{
    char id[FB_ID_SIZE];
    char name[FB_ID_SIZE + 8];
    fb_id_new(id);
    (void)snprintf(name, sizeof name, "%s.new", id);
    int fd =
        openat(spool->root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int e = fd < 0 ? errno : fb_fs_write_at(fd, id, FB_ID_SIZE - 1, 0);
    if (fd >= 0) {
        e = e == 0 && fsync(fd) != 0 ? errno : e;
        (void)close(fd);
        if (e == 0 && linkat(spool->root_fd, name, spool->root_fd, ID_FILE, 0) != 0) {
            e = errno == EEXIST ? 0 : errno;
        }
        (void)unlinkat(spool->root_fd, name, 0);
    }
    return e == 0 ? FB_OK : fb_error_errno(err, fb_fs_errno_status(e), e, "write %s", ID_FILE);
}

static enum fb_status read_id(struct fb_spool *spool, struct fb_error *err)
{
    size_t got = 0;
    int fd = -1;
    enum fb_status status = fb_fs_file_open(spool->root_fd, ID_FILE, O_RDONLY, &fd, NULL, err);
    if (status == FB_NOT_FOUND) {
        status = make_id(spool, err);
        if (status == FB_OK) {
            status = fb_fs_file_open(spool->root_fd, ID_FILE, O_RDONLY, &fd, NULL, err);
        }
    }
    if (status != FB_OK) {
        return status;
    }
    int e = fb_fs_read_at(fd, spool->id, FB_ID_SIZE - 1, 0, &got);
    (void)close(fd);
    if (e != 0) {
        return fb_error_errno(err, FB_IO, e, "read %s", ID_FILE);
    }
    return fb_id_is_valid(spool->id)
               ? FB_OK
               : fb_error_set(err, FB_CONFIG, "%s is damaged: restore it from a backup", ID_FILE);
}

static enum fb_status open_dirs(struct fb_spool *spool, const char *path, struct fb_error *err)
{
    const struct {
        const char *name;
        int *fd;
    } dirs[] = {
        {"segments", &spool->segments_fd},   {"large", &spool->large_fd},
        {"objects", &spool->objects_fd},     {"journal", &spool->journal_fd},
        {"manifests", &spool->manifests_fd},
    };
    enum fb_status status = fb_fs_dir_open(AT_FDCWD, path, true, &spool->root_fd, err);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs && status == FB_OK; i++) {
        status = fb_fs_dir_open(spool->root_fd, dirs[i].name, true, dirs[i].fd, err);
    }
    if (status == FB_OK) {
        status = read_id(spool, err);
    }
    if (status == FB_OK) {
        status = sync_fd(spool->root_fd, path, err);
    }
    if (status == FB_OK) {
        int up = openat(spool->root_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (up >= 0) { /* an unreadable parent was not made by us just now */
            status = sync_fd(up, "the spool's parent directory", err);
            (void)close(up);
        }
    }
    return status;
}

enum fb_status fb_spool_open(const char *url, const char *key_file, struct fb_spool **spool_r,
                             struct fb_error *err)
{
    const char *path = path_of_url(url);
    bool is_remote = url != NULL && strncmp(url, "s3://", 5) == 0;
    if (path == NULL && !is_remote) {
        return fb_error_set(err, FB_CONFIG,
                            "spool url %s: file:///DIRECTORY or s3://BUCKET/PREFIX is supported",
                            url != NULL ? url : "(none)");
    }
    if (key_file == NULL || key_file[0] == '\0') {
        return fb_error_set(err, FB_CONFIG, "the spool needs a key file");
    }
    struct fb_spool *spool = fb_xcalloc(1, sizeof *spool);
    *spool = (struct fb_spool){.root_fd = -1,
                               .segments_fd = -1,
                               .large_fd = -1,
                               .objects_fd = -1,
                               .journal_fd = -1,
                               .manifests_fd = -1};
    FB_ASSERT(pthread_mutex_init(&spool->usage_lock, NULL) == 0);
    enum fb_status status = fb_keyring_load(key_file, "spool", &spool->keys, err);
    if (status == FB_OK) {
        status = is_remote ? fb_remote_open(url, spool->id, &spool->remote, err)
                           : open_dirs(spool, path, err);
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "open spool");
        fb_spool_close(&spool);
        return status;
    }
    *spool_r = spool;
    return FB_OK;
}

void fb_spool_close(struct fb_spool **spool)
{
    struct fb_spool *s = *spool;
    if (s == NULL) {
        return;
    }
    const int fds[] = {s->segments_fd, s->large_fd,     s->objects_fd,
                       s->journal_fd,  s->manifests_fd, s->root_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    fb_remote_close(&s->remote);
    fb_keyring_free(&s->keys);
    FB_ASSERT(pthread_mutex_destroy(&s->usage_lock) == 0);
    free(s);
    *spool = NULL;
}

/* Bytes on disk below a directory.  What vanishes or cannot be read meanwhile counts as nothing. */
static uint64_t disk_usage(int dir_fd, int depth)
{
    uint64_t bytes = 0;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        bytes += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && depth < MAX_DU_DEPTH) {
            int sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub >= 0) {
                bytes += disk_usage(sub, depth + 1);
                (void)close(sub);
            }
        }
    }
    (void)closedir(dir);
    return bytes;
}

static enum fb_status percent_used(struct fb_spool *spool, struct fb_error *err)
{
    struct statvfs vfs;
    if (fstatvfs(spool->root_fd, &vfs) != 0) {
        return fb_error_errno(err, FB_IO, errno, "how full is the spool's file system");
    }
    /* As df counts: what only root may use is not there. */
    uint64_t used = (uint64_t)vfs.f_blocks - vfs.f_bfree;
    uint64_t usable = used + vfs.f_bavail;
    spool->capacity_bytes = usable * vfs.f_frsize;
    spool->percent = usable == 0 ? 100 : (int)((used * 100 + usable - 1) / usable);
    if (vfs.f_files > 0) { /* no inode left is no space left */
        uint64_t files = (uint64_t)vfs.f_files;
        int inodes = (int)(((files - vfs.f_ffree) * 100 + files - 1) / files);
        spool->percent = inodes > spool->percent ? inodes : spool->percent;
    }
    return FB_OK;
}

uint64_t fb_spool_capacity(struct fb_spool *spool)
{
    fb_spool_lock(&spool->usage_lock);
    uint64_t bytes = spool->capacity_bytes;
    fb_spool_unlock(&spool->usage_lock);
    return bytes;
}

enum fb_status fb_spool_usage(struct fb_spool *spool, uint64_t *bytes_r, int *percent_r,
                              struct fb_error *err)
{
    enum fb_status status = FB_OK;
    fb_spool_lock(&spool->usage_lock);
    int64_t now = fb_mono_ms();
    bool is_remote = spool->remote != NULL; /* which is never full */
    if (!is_remote && (spool->percent_next_ms == 0 || now >= spool->percent_next_ms)) {
        status = percent_used(spool, err);
        spool->percent_next_ms = now + PERCENT_EVERY_MS;
    }
    if (status == FB_OK && (spool->usage_next_ms == 0 || now >= spool->usage_next_ms)) {
        if (is_remote) {
            status = fb_remote_usage(spool->remote, &spool->usage_bytes, err);
        } else {
            spool->usage_bytes = disk_usage(spool->root_fd, 0);
        }
        int64_t least = is_remote ? LIST_EVERY_MS : COUNT_EVERY_MS;
        int64_t took = fb_mono_ms() - now;
        int64_t pause = took * COUNT_SHARE > least ? took * COUNT_SHARE : least;
        spool->usage_next_ms = now + pause;
    }
    if (status == FB_OK) {
        *bytes_r = spool->usage_bytes;
        *percent_r = spool->percent;
    }
    fb_spool_unlock(&spool->usage_lock);
    return status;
}

void fb_spool_derive_key(const struct fb_spool *spool, const char *purpose, uint8_t key_r[32])
{
    fb_keyring_derive(spool->keys, purpose, key_r);
}
