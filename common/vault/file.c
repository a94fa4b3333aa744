/* SPDX-License-Identifier: Apache-2.0
 *
 * A vault in a folder.  Every writing goes to a file of another name first, is made durable, and
 * then gets its name, so that a crash leaves the old one or the new one.  Who writes state or
 * commits a file holds the lock of the parcel's key file, and so does who destroys the key: nothing
 * comes to a parcel that was purged.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/vault/internal.h"
#include "proto/limits.h"

#define MAX_STATE ((size_t)FB_MAX_MANIFEST * 2)
#define ATTEMPTS  5
#define LOCK_MS   30000
#define PARCELS   "parcels"
#define SALT_AT   8U /* in a state document */

static enum fb_status sync_dir(int fd, struct fb_error *err)
{
    return fsync(fd) == 0 ? FB_OK
                          : fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync the vault");
}

/* ---- open ---- */

/* A fresh file system brings a folder of its own. */
static enum fb_status look_for_files(const struct fb_vault *v, bool *is_empty_r,
                                     struct fb_error *err)
{
    struct fb_fs_names names = {0};
    enum fb_status s = fb_fs_names_read(v->root_fd, "", &names, err);
    *is_empty_r =
        names.count == 0 || (names.count == 1 && strcmp(names.names[0], "lost+found") == 0);
    fb_fs_names_free(&names);
    return s;
}

static enum fb_status make_id(const struct fb_vault *v, struct fb_error *err)
{
    char id[FB_ID_SIZE];
    char temp[FB_FS_NAME_SIZE];
    int fd = -1;
    struct fb_error own = {0};
    bool is_empty = false;
    enum fb_status s = look_for_files(v, &is_empty, err);
    if (s != FB_OK) {
        return s;
    }
    if (!is_empty && faccessat(v->root_fd, FB_VAULT_ID_NAME, F_OK, 0) == 0) {
        return FB_OK; /* another one was faster */
    }
    if (!is_empty) {
        return fb_error_set(err, FB_CONFIG,
                            "the folder holds files and no %s: it is no vault, or a damaged one",
                            FB_VAULT_ID_NAME);
    }
    fb_id_new(id);
    if (fb_fs_temp_new(v->root_fd, true, temp, &fd, &own) != FB_OK) {
        return fb_error_set(err, FB_CONFIG,
                            "there is no vault yet, and it cannot be made here (%.300s)", own.text);
    }
    int e = fb_fs_write_at(fd, id, FB_ID_SIZE - 1, 0);
    e = e == 0 && fsync(fd) != 0 ? errno : e;
    (void)close(fd);
    /* link refuses to replace: of two that open at once, both go on with the id of the first. */
    if (e == 0 && linkat(v->root_fd, temp, v->root_fd, FB_VAULT_ID_NAME, 0) != 0) {
        e = errno == EEXIST ? 0 : errno;
    }
    (void)unlinkat(v->root_fd, temp, 0);
    return e == 0 ? sync_dir(v->root_fd, err)
                  : fb_error_errno(err, fb_fs_errno_status(e), e, "write %s", FB_VAULT_ID_NAME);
}

static enum fb_status read_id(struct fb_vault *v, struct fb_error *err)
{
    size_t got = 0;
    int fd = -1;
    enum fb_status s = fb_fs_file_open(v->root_fd, FB_VAULT_ID_NAME, O_RDONLY, &fd, NULL, err);
    if (s == FB_NOT_FOUND) {
        s = make_id(v, err);
        s = s == FB_OK ? fb_fs_file_open(v->root_fd, FB_VAULT_ID_NAME, O_RDONLY, &fd, NULL, err)
                       : s;
    }
    if (s != FB_OK) {
        return s;
    }
    int e = fb_fs_read_at(fd, v->id, FB_ID_SIZE - 1, 0, &got);
    (void)close(fd);
    if (e != 0) {
        return fb_error_errno(err, FB_IO, e, "read %s", FB_VAULT_ID_NAME);
    }
    return fb_id_is_valid(v->id)
               ? FB_OK
               : fb_error_set(err, FB_CONFIG, "%s is damaged: restore it from a backup",
                              FB_VAULT_ID_NAME);
}

/* Opens what is there; makes what is not, which only those need who may write. */
static enum fb_status open_dir(int at_fd, const char *name, int *fd_r, struct fb_error *err)
{
    enum fb_status s = fb_fs_dir_open(at_fd, name, false, fd_r, err);
    return s == FB_NOT_FOUND ? fb_fs_dir_open(at_fd, name, true, fd_r, err) : s;
}

static enum fb_status file_vault_open(struct fb_vault *v, const char *url, struct fb_error *err)
{
    enum fb_status s = open_dir(AT_FDCWD, url + 7, &v->root_fd, err);
    if (s == FB_OK) {
        s = read_id(v, err);
    }
    if (s == FB_OK) {
        s = open_dir(v->root_fd, PARCELS, &v->parcels_fd, err);
    }
    int up = s == FB_OK ? openat(v->root_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (up >= 0) { /* an unreadable parent was not made by us just now */
        s = sync_dir(up, err);
        (void)close(up);
    }
    return s;
}

static void file_vault_close(struct fb_vault *v)
{
    const int fds[] = {v->parcels_fd, v->root_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

/* ---- a parcel's folder ---- */

/* The folder of all parcels whose ids end alike, and the parcel's name in it. */
static enum fb_status open_fan(const struct fb_vault *v, const char *parcel_id, bool is_made,
                               int *fan_fd_r, struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s != FB_OK) {
        return s;
    }
    place[2] = '\0';
    return fb_fs_dir_open(v->parcels_fd, place, is_made, fan_fd_r, err);
}

enum fb_status fb_vault_file_dir(const struct fb_vault *v, const char *parcel_id, int *fd_r,
                                 struct fb_error *err)
{
    int fan_fd = -1;
    enum fb_status s = open_fan(v, parcel_id, false, &fan_fd, err);
    if (s == FB_OK) {
        s = fb_fs_dir_open(fan_fd, parcel_id, false, fd_r, err);
        (void)close(fan_fd);
    }
    return s == FB_NOT_FOUND
               ? fb_error_set(err, FB_NOT_FOUND, "there is no parcel %s in the vault", parcel_id)
               : s;
}

/* Makes it, and its name durable. */
static enum fb_status make_parcel_dir(const struct fb_vault *v, const char *parcel_id, int *fd_r,
                                      struct fb_error *err)
{
    int fan_fd = -1;
    enum fb_status s = open_fan(v, parcel_id, true, &fan_fd, err);
    if (s == FB_OK) {
        s = fb_fs_dir_open(fan_fd, parcel_id, true, fd_r, err);
        if (s == FB_OK) {
            s = sync_dir(fan_fd, err);
            s = s == FB_OK ? sync_dir(v->parcels_fd, err) : s;
            if (s != FB_OK) {
                (void)close(*fd_r);
            }
        }
        (void)close(fan_fd);
    }
    return s;
}

static enum fb_status open_key(int dir_fd, const char *parcel_id, int flags, int *fd_r,
                               struct fb_error *err)
{
    enum fb_status s = fb_fs_file_open(dir_fd, FB_VAULT_KEY_NAME, flags, fd_r, NULL, err);
    return s == FB_NOT_FOUND
               ? fb_error_set(err, FB_NOT_FOUND, "parcel %s has no key (any more)", parcel_id)
               : s;
}

static enum fb_status read_key(int fd, const char *parcel_id, uint8_t out[FB_VAULT_KEY_SIZE],
                               struct fb_error *err)
{
    size_t got = 0;
    int e = fb_fs_read_at(fd, out, FB_VAULT_KEY_SIZE, 0, &got);
    if (e != 0) {
        return fb_error_errno(err, FB_IO, e, "read the key of parcel %s", parcel_id);
    }
    return got == FB_VAULT_KEY_SIZE
               ? FB_OK
               : fb_error_set(err, FB_CORRUPT, "the key of parcel %s is cut", parcel_id);
}

static enum fb_status file_key_read(struct fb_vault *v, const char *parcel_id,
                                    uint8_t out[FB_VAULT_KEY_SIZE], struct fb_error *err)
{
    int dir_fd = -1;
    int fd = -1;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s != FB_OK) {
        return s;
    }
    s = open_key(dir_fd, parcel_id, O_RDONLY, &fd, err);
    if (s == FB_OK) {
        s = read_key(fd, parcel_id, out, err);
        (void)close(fd);
    }
    (void)close(dir_fd);
    return s;
}

/* Held for a few writes at most, by programs of ours. */
static enum fb_status wait_for_lock(int fd, const char *parcel_id, struct fb_error *err)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int64_t end_ms = fb_mono_ms() + LOCK_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        if ((e != EINTR && e != EWOULDBLOCK) || fb_mono_ms() >= end_ms) {
            return fb_error_errno(err, e == EWOULDBLOCK ? FB_AGAIN : FB_IO, e, "lock parcel %s",
                                  parcel_id);
        }
        (void)nanosleep(&pause, NULL);
    }
    return FB_OK;
}

/* The key file, locked and not destroyed; closing it unlocks. */
static enum fb_status lock_key(int dir_fd, const char *parcel_id, int *fd_r, struct fb_error *err)
{
    uint8_t bytes[FB_VAULT_KEY_SIZE];
    int fd = -1;
    enum fb_status s = open_key(dir_fd, parcel_id, O_RDWR, &fd, err); /* as NFS wants it */
    if (s != FB_OK) {
        return s;
    }
    s = wait_for_lock(fd, parcel_id, err);
    if (s == FB_OK) {
        s = read_key(fd, parcel_id, bytes, err);
    }
    if (s == FB_OK && fb_vault_key_is_gone(bytes)) {
        s = fb_error_set(err, FB_NOT_FOUND, "parcel %s was purged", parcel_id);
    }
    fb_wipe(bytes, sizeof bytes);
    if (s != FB_OK) {
        (void)close(fd);
        return s;
    }
    *fd_r = fd;
    return FB_OK;
}

/* A file of these bytes, durable, under the name; is_new: FB_EXISTS when there is one. */
static enum fb_status write_whole(int dir_fd, const char *name, struct fb_slice bytes, bool is_new,
                                  struct fb_error *err)
{
    char temp[FB_FS_NAME_SIZE];
    int fd = -1;
    enum fb_status s = fb_fs_temp_new(dir_fd, false, temp, &fd, err);
    if (s != FB_OK) {
        return s;
    }
    int e = fb_fs_write_at(fd, bytes.ptr, bytes.len, 0);
    e = e == 0 && fdatasync(fd) != 0 ? errno : e;
    if (e == 0 && is_new) {
        e = linkat(dir_fd, temp, dir_fd, name, 0) != 0 ? errno : 0;
        (void)unlinkat(dir_fd, temp, 0);
    } else if (e == 0) {
        e = renameat(dir_fd, temp, dir_fd, name) != 0 ? errno : 0;
    }
    if (e != 0) {
        (void)unlinkat(dir_fd, temp, 0);
    }
    (void)close(fd);
    if (e == EEXIST) {
        return fb_error_set(err, FB_EXISTS, "%s is there already", name);
    }
    return e == 0 ? sync_dir(dir_fd, err)
                  : fb_error_errno(err, fb_fs_errno_status(e), e, "write %s in the vault", name);
}

static enum fb_status file_key_new(struct fb_vault *v, const char *parcel_id,
                                   const uint8_t key[FB_VAULT_KEY_SIZE], struct fb_error *err)
{
    enum fb_status s = FB_IO;
    /* A purge may take the folder away between making it and writing there. */
    for (int attempt = 0; attempt < ATTEMPTS && (s == FB_IO); attempt++) {
        int dir_fd = -1;
        s = make_parcel_dir(v, parcel_id, &dir_fd, err);
        if (s == FB_OK) {
            s = write_whole(dir_fd, FB_VAULT_KEY_NAME, fb_slice_of(key, FB_VAULT_KEY_SIZE), true,
                            err);
            (void)close(dir_fd);
        }
    }
    return s;
}

/* ---- state ---- */

static void mark_of(const struct fb_buf *state, struct fb_vault_mark *mark_r)
{
    *mark_r = (struct fb_vault_mark){.text = ""};
    if (state->len >= SALT_AT + FB_VAULT_SALT) {
        fb_hex(state->ptr + SALT_AT, FB_VAULT_SALT, mark_r->text);
    }
}

static enum fb_status read_state(int dir_fd, struct fb_buf *out, struct fb_vault_mark *mark_r,
                                 struct fb_error *err)
{
    int fd = -1;
    uint64_t size = 0;
    size_t got = 0;
    fb_buf_init(out, MAX_STATE);
    enum fb_status s = fb_fs_file_open(dir_fd, FB_VAULT_STATE_NAME, O_RDONLY, &fd, &size, err);
    if (s != FB_OK) {
        return s;
    }
    if (size > MAX_STATE) {
        s = fb_error_set(err, FB_CORRUPT, "a state document is too large");
    } else if (fb_buf_reserve(out, (size_t)size) != FB_OK) {
        s = fb_error_set(err, FB_NO_SPACE, "no memory for a state document");
    }
    int e = s == FB_OK ? fb_fs_read_at(fd, out->ptr, (size_t)size, 0, &got) : 0;
    (void)close(fd);
    if (e != 0) {
        s = fb_error_errno(err, FB_IO, e, "read a state document");
    }
    if (s == FB_OK) {
        out->len = got;
        out->ptr[got] = '\0';
        mark_of(out, mark_r);
    } else {
        fb_buf_deinit(out);
    }
    return s;
}

static enum fb_status file_state_read(struct fb_vault *v, const char *parcel_id, struct fb_buf *out,
                                      struct fb_vault_mark *mark_r, struct fb_error *err)
{
    int dir_fd = -1;
    fb_buf_init(out, MAX_STATE);
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s == FB_OK) {
        s = read_state(dir_fd, out, mark_r, err);
        (void)close(dir_fd);
    }
    return s;
}

static enum fb_status swap_state(int dir_fd, struct fb_slice bytes,
                                 const struct fb_vault_mark *mark, struct fb_error *err)
{
    struct fb_buf now;
    struct fb_vault_mark have = {.text = ""};
    enum fb_status s = read_state(dir_fd, &now, &have, err);
    fb_buf_deinit(&now);
    if (s == FB_NOT_FOUND) {
        s = FB_OK;
    }
    if (s == FB_OK && strcmp(have.text, mark->text) != 0) {
        s = fb_error_set(err, FB_EXISTS, "somebody else wrote the state meanwhile");
    }
    return s == FB_OK ? write_whole(dir_fd, FB_VAULT_STATE_NAME, bytes, false, err) : s;
}

static enum fb_status file_state_write(struct fb_vault *v, const char *parcel_id,
                                       struct fb_slice bytes, const struct fb_vault_mark *mark,
                                       struct fb_error *err)
{
    int dir_fd = -1;
    int key_fd = -1;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s != FB_OK) {
        return s;
    }
    s = lock_key(dir_fd, parcel_id, &key_fd, err);
    if (s == FB_OK) {
        s = swap_state(dir_fd, bytes, mark, err);
        (void)close(key_fd);
    }
    (void)close(dir_fd);
    return s;
}

/* ---- files ---- */

static enum fb_status file_file_open(struct fb_vault *v, const char *parcel_id, const char *name,
                                     struct fb_sealed_src *src_r, uint64_t *size_r,
                                     struct fb_error *err)
{
    int dir_fd = -1;
    *src_r = FB_SEALED_SRC_NONE;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s == FB_OK) {
        s = fb_fs_file_open(dir_fd, name, O_RDONLY, &src_r->fd, size_r, err);
        (void)close(dir_fd);
    }
    return s;
}

static enum fb_status file_sink_open(struct fb_vault *v, const char *parcel_id, const char *name,
                                     const uint8_t *header, uint64_t total,
                                     struct fb_vault_sink *sink, struct fb_error *err)
{
    *sink = (struct fb_vault_sink){.dst = {.fd = -1}, .dir_fd = -1};
    (void)snprintf(sink->name, sizeof sink->name, "%s", name);
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &sink->dir_fd, err);
    if (s == FB_OK) {
        s = fb_fs_temp_new(sink->dir_fd, false, sink->temp, &sink->dst.fd, err);
    }
    if (s != FB_OK) {
        return s;
    }
    int e = 0;
    /* A disk that is too full says so before gigabytes were copied; one that cannot reserve goes on. */
    if (fallocate(sink->dst.fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)total) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        e = errno;
    }
    e = e == 0 ? fb_fs_write_at(sink->dst.fd, header, FB_VAULT_HEADER, 0) : e;
    return e == 0 ? FB_OK
                  : fb_error_errno(err, e == EFBIG ? FB_NO_SPACE : fb_fs_errno_status(e), e,
                                   "write a file of %llu bytes into the vault",
                                   (unsigned long long)total);
}

static enum fb_status file_sink_commit(struct fb_vault *v, const char *parcel_id,
                                       struct fb_vault_sink *sink, struct fb_error *err)
{
    (void)v;
    int key_fd = -1;
    if (fdatasync(sink->dst.fd) != 0) {
        return fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync a file of the vault");
    }
    enum fb_status s = lock_key(sink->dir_fd, parcel_id, &key_fd, err);
    if (s != FB_OK) {
        return s;
    }
    if (renameat(sink->dir_fd, sink->temp, sink->dir_fd, sink->name) != 0) {
        s = fb_error_errno(err, fb_fs_errno_status(errno), errno, "name a file of the vault");
    } else {
        sink->temp[0] = '\0';
        s = sync_dir(sink->dir_fd, err);
    }
    (void)close(key_fd);
    return s;
}

static void file_sink_close(struct fb_vault *v, struct fb_vault_sink *sink)
{
    (void)v;
    if (sink->dst.fd >= 0) {
        if (sink->temp[0] != '\0') {
            (void)unlinkat(sink->dir_fd, sink->temp, 0);
        }
        (void)close(sink->dst.fd);
    }
    if (sink->dir_fd >= 0) {
        (void)close(sink->dir_fd);
    }
    sink->dst.fd = -1;
    sink->dir_fd = -1;
}

/* ---- the end ---- */

static enum fb_status overwrite_key(int dir_fd, const char *parcel_id, struct fb_error *err)
{
    uint8_t bytes[FB_VAULT_KEY_SECRET_SIZE];
    int lock_fd = -1;
    int fd = -1;
    enum fb_status s = lock_key(dir_fd, parcel_id, &lock_fd, err);
    if (s == FB_NOT_FOUND) {
        return FB_OK; /* destroyed before, or never there */
    }
    if (s != FB_OK && s != FB_CORRUPT) { /* a cut key is destroyed all the same */
        return s;
    }
    s = open_key(dir_fd, parcel_id, O_WRONLY, &fd, err);
    if (s == FB_OK) {
        fb_vault_key_gone(bytes);
        int e = fb_fs_write_at(fd, bytes, sizeof bytes, FB_VAULT_KEY_SECRET);
        e = e == 0 && fdatasync(fd) != 0 ? errno : e;
        (void)close(fd);
        if (e != 0) {
            s = fb_error_errno(err, fb_fs_errno_status(e), e, "destroy the key of parcel %s",
                               parcel_id);
        }
    }
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    return s;
}

static enum fb_status file_key_destroy(struct fb_vault *v, const char *parcel_id,
                                       struct fb_error *err)
{
    int dir_fd = -1;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s != FB_OK) {
        return s == FB_NOT_FOUND ? FB_OK : s;
    }
    s = overwrite_key(dir_fd, parcel_id, err);
    if (s == FB_OK && unlinkat(dir_fd, FB_VAULT_KEY_NAME, 0) != 0 && errno != ENOENT) {
        s = fb_error_errno(err, FB_IO, errno, "remove the key of parcel %s", parcel_id);
    }
    (void)close(dir_fd);
    return s;
}

static enum fb_status file_remove_all(struct fb_vault *v, const char *parcel_id,
                                      struct fb_error *err)
{
    int fan_fd = -1;
    enum fb_status s = open_fan(v, parcel_id, false, &fan_fd, err);
    if (s == FB_NOT_FOUND) {
        return FB_OK;
    }
    if (s == FB_OK) {
        s = fb_fs_dir_remove(fan_fd, parcel_id, err);
        s = s == FB_OK ? sync_dir(fan_fd, err) : s;
        (void)close(fan_fd);
    }
    return s;
}

static enum fb_status file_remove(struct fb_vault *v, const char *parcel_id, const char *name,
                                  struct fb_error *err)
{
    int dir_fd = -1;
    int fd = -1;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s != FB_OK) {
        return s;
    }
    s = fb_fs_file_open(dir_fd, name, O_RDONLY, &fd, NULL, err);
    if (s == FB_OK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        s = fb_error_set(err, FB_AGAIN, "somebody is writing %s", name);
    }
    if (s == FB_OK && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        s = fb_error_errno(err, FB_IO, errno, "remove %s", name);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    (void)close(dir_fd);
    return s == FB_NOT_FOUND ? FB_OK : s;
}

const struct fb_vault_backend fb_vault_files = {
    .open = file_vault_open,
    .close = file_vault_close,
    .key_read = file_key_read,
    .key_new = file_key_new,
    .state_read = file_state_read,
    .state_write = file_state_write,
    .file_open = file_file_open,
    .sink_open = file_sink_open,
    .sink_commit = file_sink_commit,
    .sink_close = file_sink_close,
    .key_destroy = file_key_destroy,
    .remove_all = file_remove_all,
    .remove = file_remove,
    .list = fb_vault_file_list,
    .each = fb_vault_file_each,
    .usage = fb_vault_file_usage,
};
