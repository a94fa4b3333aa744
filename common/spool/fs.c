/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and growing files of the spool (segments, journals).  Everything is opened relative to a
 * directory that was checked, never through a symbolic link, and closed on exec.
 */
#include "common/spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_WRITER  48U
#define LOG_ATTEMPT 100

void fb_spool_lock(pthread_mutex_t *lock)
{
    FB_ASSERT(pthread_mutex_lock(lock) == 0);
}

void fb_spool_unlock(pthread_mutex_t *lock)
{
    FB_ASSERT(pthread_mutex_unlock(lock) == 0);
}

static bool is_name(const char *name, size_t max)
{
    size_t len = strnlen(name, max + 1);
    if (len == 0 || len > max || name[0] == '.') {
        return false;
    }
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool fb_spool_writer_name_is_valid(const char *name)
{
    return name != NULL && is_name(name, MAX_WRITER);
}

bool fb_spool_file_name_is_valid(const char *name, const char *suffix)
{
    size_t len = strnlen(name, FB_SPOOL_NAME_SIZE);
    size_t end = strlen(suffix);
    return is_name(name, FB_SPOOL_NAME_SIZE - 1) && len > end &&
           strcmp(name + len - end, suffix) == 0;
}

/* Between making and locking, tidy may have found the file unlocked and empty, and removed it. */
static bool lock_ours(int fd)
{
    struct stat st;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

enum fb_status fb_spool_log_new(int dir_fd, const char *writer, const char *suffix,
                                uint64_t reserve, char name_r[FB_SPOOL_NAME_SIZE], int *fd_r,
                                struct fb_error *err)
{
    /* The number is the time of making, so that a name never comes back after its file was removed:
     * an old ref must not lead to another message. */
    int64_t number = fb_now_ms();
    for (int attempt = 0; attempt < LOG_ATTEMPT; attempt++, number++) {
        char name[FB_SPOOL_NAME_SIZE];
        int n = snprintf(name, sizeof name, "%s-%013lld%s", writer, (long long)number, suffix);
        FB_ASSERT(n > 0 && (size_t)n < sizeof name);
        int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST) {
            continue;
        }
        if (fd < 0) {
            int e = errno;
            return fb_error_errno(err, fb_fs_errno_status(e), e, "make %s", name);
        }
        if (!lock_ours(fd)) {
            (void)close(fd);
            continue;
        }
        /* Appending inside reserved blocks needs no allocation at each sync.  A file system that
         * cannot, or a nearly full one, only makes us slower. */
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)reserve) != 0 && ftruncate(fd, 0) != 0) {
            /* What a nearly full disk could still give stays reserved until the file is closed. */
            errno = 0;
        }
        memcpy(name_r, name, sizeof name);
        *fd_r = fd;
        return FB_OK;
    }
    return fb_error_set(err, FB_IO, "no free name for a new %s file of %s", suffix, writer);
}

void fb_spool_log_close(int dir_fd, const char *name, int *fd)
{
    struct stat st;
    if (*fd < 0) {
        return;
    }
    if (fstat(*fd, &st) == 0) {
        if (st.st_size == 0) {
            (void)unlinkat(dir_fd, name, 0);
        } else if (ftruncate(*fd, st.st_size) != 0) {
            /* Blocks stay reserved until the segment is removed: only space, no harm. */
            errno = 0;
        }
    }
    (void)close(*fd);
    *fd = -1;
}
