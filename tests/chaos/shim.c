/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a service by the chaos tests: a disk that fails and a clock that is wrong, turned on and off while the
 * service runs.  CHAOS_DISK and CHAOS_CLOCK name files that are mapped:
 *   disk   byte 0: 0 nothing, 1 fdatasync and fsync fail (EIO), 2 writes fail as well, half of the bytes written,
 *          3 read-only (EROFS); byte 1: one in so many calls fails
 *   clock  8 bytes, milliseconds that are added to the real time
 * CHAOS_ROOT is the folder whose files are meant.  Not for anything but tests: it keeps to what the services call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum mode { OK, SYNC_FAILS, WRITE_FAILS, READ_ONLY };

static const volatile uint8_t *disk;
static const volatile int64_t *offset_ms;
static char root[PATH_MAX];
static unsigned calls;

/* Functions and data have different pointers in C; a union says what dlsym means. */
#define REAL(name)                                                                                 \
    static union {                                                                                 \
        void *data;                                                                                \
        __typeof__(&(name)) call;                                                                  \
    } real_##name;                                                                                 \
    if (real_##name.data == NULL) {                                                                \
        real_##name.data = dlsym(RTLD_NEXT, #name);                                                \
    }

static const void *map(const char *variable, size_t size)
{
    const char *file = getenv(variable);
    int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("CHAOS_ROOT");
    if (dir != NULL && strlen(dir) < sizeof(root)) {
        memcpy(root, dir, strlen(dir) + 1);
    }
    disk = map("CHAOS_DISK", 2);
    offset_ms = map("CHAOS_CLOCK", sizeof(*offset_ms));
}

static bool is_ours(const char *path)
{
    return root[0] != '\0' && strncmp(path, root, strlen(root)) == 0;
}

static bool is_due(enum mode least)
{
    if (disk == NULL || disk[0] < least) {
        return false;
    }
    unsigned one_in = disk[1] == 0 ? 1 : disk[1];
    return disk[0] == READ_ONLY || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % one_in == 0;
}

static bool fails_fd(int fd, enum mode least)
{
    if (disk == NULL || disk[0] < least) {
        return false;
    }
    char link[64];
    char path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < 0) {
        return false;
    }
    path[n] = '\0';
    return is_ours(path) && is_due(least);
}

static int reason(void)
{
    return disk[0] == READ_ONLY ? EROFS : EIO;
}

static bool fails_at(int dir, const char *path)
{
    if (disk == NULL || disk[0] < READ_ONLY) {
        return false;
    }
    bool is_relative = path[0] != '/';
    if (is_relative && dir != AT_FDCWD ? !fails_fd(dir, READ_ONLY) : !is_ours(path)) {
        return false;
    }
    errno = EROFS;
    return true;
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write)
    if (fails_fd(fd, WRITE_FAILS)) {
        if (disk[0] == WRITE_FAILS && size > 1) {
            (void)!real_write.call(fd, data, size / 2);
        }
        errno = reason();
        return -1;
    }
    return real_write.call(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev)
    if (fails_fd(fd, WRITE_FAILS)) {
        if (disk[0] == WRITE_FAILS && count > 1) {
            (void)!real_writev.call(fd, parts, count / 2);
        }
        errno = reason();
        return -1;
    }
    return real_writev.call(fd, parts, count);
}

#define PWRITER(name)                                                                              \
    ssize_t name(int fd, const void *data, size_t size, off_t at)                                  \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (fails_fd(fd, WRITE_FAILS)) {                                                           \
            if (disk[0] == WRITE_FAILS && size > 1) {                                              \
                (void)!real_##name.call(fd, data, size / 2, at);                                   \
            }                                                                                      \
            errno = reason();                                                                      \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(fd, data, size, at);                                               \
    }
PWRITER(pwrite)
PWRITER(pwrite64)

#define SYNCER(name)                                                                               \
    int name(int fd)                                                                               \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (fails_fd(fd, SYNC_FAILS)) {                                                            \
            errno = reason();                                                                      \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(fd);                                                               \
    }
SYNCER(fdatasync)
SYNCER(fsync)
SYNCER(syncfs)

static bool is_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
}

#define OPENER(name)                                                                               \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        REAL(name)                                                                                 \
        mode_t mode = 0;                                                                           \
        if ((flags & O_CREAT) != 0) {                                                              \
            va_list list;                                                                          \
            va_start(list, flags);                                                                 \
            mode = va_arg(list, mode_t);                                                           \
            va_end(list);                                                                          \
        }                                                                                          \
        if (is_writing(flags) && fails_at(AT_FDCWD, path)) {                                       \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(path, flags, mode);                                                \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                                            \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        REAL(name)                                                                                 \
        mode_t mode = 0;                                                                           \
        if ((flags & O_CREAT) != 0) {                                                              \
            va_list list;                                                                          \
            va_start(list, flags);                                                                 \
            mode = va_arg(list, mode_t);                                                           \
            va_end(list);                                                                          \
        }                                                                                          \
        if (is_writing(flags) && fails_at(dir, path)) {                                            \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(dir, path, flags, mode);                                           \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

int __openat64_2(int dir, const char *path, int flags); /* openat() of a fortified build */
int __openat64_2(int dir, const char *path, int flags)
{
    REAL(__openat64_2)
    return is_writing(flags) && fails_at(dir, path) ? -1 : real___openat64_2.call(dir, path, flags);
}

int rename(const char *from, const char *to)
{
    REAL(rename)
    return fails_at(AT_FDCWD, to) ? -1 : real_rename.call(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    REAL(renameat)
    return fails_at(to_dir, to) ? -1 : real_renameat.call(from_dir, from, to_dir, to);
}

int unlink(const char *path)
{
    REAL(unlink)
    return fails_at(AT_FDCWD, path) ? -1 : real_unlink.call(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL(unlinkat)
    return fails_at(dir, path) ? -1 : real_unlinkat.call(dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir)
    return fails_at(AT_FDCWD, path) ? -1 : real_mkdir.call(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL(mkdirat)
    return fails_at(dir, path) ? -1 : real_mkdirat.call(dir, path, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    REAL(linkat)
    return fails_at(to_dir, to) ? -1 : real_linkat.call(from_dir, from, to_dir, to, flags);
}

#define TRUNCATER(name)                                                                            \
    int name(int fd, off_t size)                                                                   \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (fails_fd(fd, READ_ONLY)) {                                                             \
            errno = EROFS;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(fd, size);                                                         \
    }
TRUNCATER(ftruncate)
TRUNCATER(ftruncate64)

#define ALLOCATER(name)                                                                            \
    int name(int fd, int mode, off_t at, off_t size)                                               \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (fails_fd(fd, WRITE_FAILS)) {                                                           \
            errno = reason();                                                                      \
            return -1;                                                                             \
        }                                                                                          \
        return real_##name.call(fd, mode, at, size);                                               \
    }
ALLOCATER(fallocate)
ALLOCATER(fallocate64)

static int64_t added_ms(void)
{
    return offset_ms == NULL ? 0 : *offset_ms;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime)
    int rc = real_clock_gettime.call(clock, now);
    int64_t ms = added_ms();
    if (rc == 0 && ms != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += ms / 1000;
    }
    return rc;
}

time_t time(time_t *at)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL) {
        *at = now.tv_sec;
    }
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec real = {0};
    (void)clock_gettime(CLOCK_REALTIME, &real);
    now->tv_sec = real.tv_sec;
    now->tv_usec = real.tv_nsec / 1000;
    return 0;
}
