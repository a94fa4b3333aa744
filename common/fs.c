/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/id.h"

#define MAX_NAMES 4000000U /* files in one directory; more is not ours */

enum fb_status fb_fs_errno_status(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT || errnum == ENOMEM ? FB_NO_SPACE : FB_IO;
}

int fb_fs_write_at(int fd, const void *ptr, size_t len, uint64_t offset)
{
    const uint8_t *from = ptr;
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        from += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int fb_fs_read_at(int fd, void *out, size_t len, uint64_t offset, size_t *got_r)
{
    uint8_t *to = out;
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, to + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    *got_r = got;
    return 0;
}

enum fb_status fb_fs_dir_open(int at_fd, const char *name, bool is_made, int *fd_r,
                              struct fb_error *err)
{
    if (is_made && mkdirat(at_fd, name, 0700) != 0 && errno != EEXIST) {
        int e = errno;
        return fb_error_errno(err, e == ENOENT ? FB_CONFIG : fb_fs_errno_status(e), e,
                              "make directory %s", name);
    }
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int e = errno;
        if (e == ELOOP || e == ENOTDIR) {
            return fb_error_set(err, FB_CONFIG, "%s is not a directory (a link is not followed)",
                                name);
        }
        return fb_error_errno(err, e == ENOENT ? FB_NOT_FOUND : FB_IO, e, "open directory %s",
                              name);
    }
    struct stat st;
    enum fb_status status = FB_OK;
    if (fstat(fd, &st) != 0) {
        status = fb_error_errno(err, FB_IO, errno, "stat %s", name);
    } else if (st.st_uid != geteuid()) {
        status = fb_error_set(err, FB_CONFIG, "directory %s belongs to user %u, we run as %u", name,
                              (unsigned)st.st_uid, (unsigned)geteuid());
    } else if ((st.st_mode & 022) != 0) {
        status =
            fb_error_set(err, FB_CONFIG, "directory %s can be written by others: chmod 700", name);
    }
    if (status != FB_OK) {
        (void)close(fd);
        return status;
    }
    *fd_r = fd;
    return FB_OK;
}

enum fb_status fb_fs_file_open(int dir_fd, const char *name, int flags, int *fd_r, uint64_t *size_r,
                               struct fb_error *err)
{
    /* O_NONBLOCK: a FIFO put in its place must not hang us. */
    int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int e = errno;
        if (e == ELOOP || e == ENXIO || e == EISDIR) {
            return fb_error_set(err, FB_CORRUPT, "%s is not a regular file", name);
        }
        return fb_error_errno(err, e == ENOENT ? FB_NOT_FOUND : FB_IO, e, "open %s", name);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int e = errno;
        (void)close(fd);
        return fb_error_errno(err, FB_IO, e, "stat %s", name);
    }
    if (!S_ISREG(st.st_mode)) {
        (void)close(fd);
        return fb_error_set(err, FB_CORRUPT, "%s is not a regular file", name);
    }
    *fd_r = fd;
    if (size_r != NULL) {
        *size_r = (uint64_t)st.st_size;
    }
    return FB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fb_fs_names_free(struct fb_fs_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
    *names = (struct fb_fs_names){0};
}

/* A directory stream of its own: dir_fd's position is shared by threads.  NULL: FB_IO is in err. */
static DIR *list_dir(int dir_fd, struct fb_error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        (void)fb_error_errno(err, FB_IO, errno, "list directory");
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return dir;
}

enum fb_status fb_fs_names_read(int dir_fd, const char *suffix, struct fb_fs_names *names_r,
                                struct fb_error *err)
{
    struct fb_fs_names names = {0};
    size_t cap = 0;
    enum fb_status status = FB_OK;
    DIR *dir = list_dir(dir_fd, err);
    if (dir == NULL) {
        return FB_IO;
    }
    size_t end = strlen(suffix);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0) {
                status = fb_error_errno(err, FB_IO, errno, "list directory");
            }
            break;
        }
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || len < end ||
            strcmp(entry->d_name + len - end, suffix) != 0) {
            continue;
        }
        if (names.count == MAX_NAMES) {
            status = fb_error_set(err, FB_TOO_BIG, "directory holds too many files");
            break;
        }
        if (names.count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            char **grown = realloc(names.names, cap * sizeof *grown);
            FB_ASSERT(grown != NULL);
            names.names = grown;
        }
        names.names[names.count++] = fb_xstrdup(entry->d_name);
    }
    (void)closedir(dir);
    if (status != FB_OK) {
        fb_fs_names_free(&names);
        return status;
    }
    if (names.count > 1) {
        qsort(names.names, names.count, sizeof *names.names, by_name);
    }
    *names_r = names;
    return FB_OK;
}

void fb_fs_fan(const char *id, char fan_r[3])
{
    /* The first characters of a ULID are its time: all of a year would share one directory. */
    fan_r[0] = id[FB_ID_SIZE - 3];
    fan_r[1] = id[FB_ID_SIZE - 2];
    fan_r[2] = '\0';
}

enum fb_status fb_fs_parcel_place(const char *parcel_id, char place_r[FB_FS_PLACE],
                                  struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    char fan[3];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_INVALID, "not a parcel id");
    }
    fb_fs_fan(msg_id, fan);
    (void)snprintf(place_r, FB_FS_PLACE, "%s/%s", fan, parcel_id);
    return FB_OK;
}

static enum fb_status unlink_all(int dir_fd, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    DIR *dir = list_dir(dir_fd, err);
    if (dir == NULL) {
        return FB_IO;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dir_fd, entry->d_name, 0) != 0 && errno != ENOENT) {
            status = fb_error_errno(err, FB_IO, errno, "remove %s", entry->d_name);
        }
    }
    (void)closedir(dir);
    return status;
}

enum fb_status fb_fs_dir_remove(int at_fd, const char *name, struct fb_error *err)
{
    /* Another process may add a file between the emptying and the removal; it then finds no
     * directory soon. */
    for (int attempt = 0; attempt < 5; attempt++) {
        int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            return errno == ENOENT ? FB_OK
                                   : fb_error_errno(err, FB_IO, errno, "open directory %s", name);
        }
        enum fb_status status = unlink_all(fd, err);
        (void)close(fd);
        if (status != FB_OK) {
            return status;
        }
        if (unlinkat(at_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return FB_OK;
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return fb_error_errno(err, FB_IO, errno, "remove directory %s", name);
        }
    }
    return fb_error_set(err, FB_IO, "directory %s fills while it is removed", name);
}

enum fb_status fb_fs_temp_new(int dir_fd, bool is_hidden, char name_r[FB_FS_NAME_SIZE], int *fd_r,
                              struct fb_error *err)
{
    uint8_t number[16];
    char hex[2 * sizeof number + 1];
    fb_random(number, sizeof number);
    fb_hex(number, sizeof number, hex);
    int n = snprintf(name_r, FB_FS_NAME_SIZE, "%s%s.tmp", is_hidden ? "." : "", hex);
    FB_ASSERT(n > 0 && n < (int)FB_FS_NAME_SIZE);
    int fd = openat(dir_fd, name_r, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fb_error_errno(err, fb_fs_errno_status(errno), errno, "make a temporary file");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) { /* tidy leaves locked files alone */
        int e = errno;
        (void)unlinkat(dir_fd, name_r, 0);
        (void)close(fd);
        return fb_error_errno(err, FB_IO, e, "lock a temporary file");
    }
    *fd_r = fd;
    return FB_OK;
}
