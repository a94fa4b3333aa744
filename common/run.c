/* SPDX-License-Identifier: Apache-2.0 */
#include "common/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_WAIT_MS 5000
#define END_STEP_US 2000

static enum fb_status find_beside_us(const char *name, char path_r[1024], struct fb_error *err)
{
    ssize_t n = readlink("/proc/self/exe", path_r, 900);
    char *slash = n > 0 && n < 900 ? memrchr(path_r, '/', (size_t)n) : NULL;
    if (slash == NULL) {
        return fb_error_set(
            err, FB_IO, "cannot find out where this program lies, and so not %s beside it", name);
    }
    (void)snprintf(slash + 1, 100, "%.99s", name);
    if (access(path_r, X_OK) != 0) {
        return fb_error_errno(err, FB_NOT_FOUND, errno, "%s is needed and must lie beside fumibako",
                              path_r);
    }
    return FB_OK;
}

/* A connection to Redis must not end in a sandbox: hiredis opens its sockets without CLOEXEC. */
_Noreturn static void become(const char *path, char *const *argv, int out, const int *pass_fds,
                             size_t pass_count)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        _exit(127);
    }
    for (size_t i = 0; i < pass_count; i++) {
        if (pass_fds[i] >= 0 && fcntl(pass_fds[i], F_SETFD, 0) != 0) {
            _exit(127);
        }
    }
    (void)execv(path, argv);
    _exit(127);
}

/* Everything until its end, or until time or room are out. */
static enum fb_status collect(int fd, int64_t deadline, struct fb_buf *out, struct fb_error *err)
{
    for (;;) {
        char chunk[16384];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - fb_mono_ms();
        if (left <= 0) {
            return fb_error_set(err, FB_CRASHED, "no answer in time");
        }
        int ready = poll(&p, 1, (int)left);
        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            continue;
        }
        ssize_t n = ready < 0 ? -1 : read(fd, chunk, sizeof chunk);
        if (n == 0) {
            return FB_OK;
        }
        if (n < 0 && errno != EINTR) {
            return fb_error_errno(err, FB_IO, errno, "its answer");
        }
        if (n > 0 && fb_buf_add(out, chunk, (size_t)n) != FB_OK) {
            return fb_error_set(err, FB_TOO_BIG, "its answer is longer than %zu bytes", out->max);
        }
    }
}

/* It closed its output; it is given a moment to end as well. */
static enum fb_status wait_for_end(pid_t pid, int *exit_r, struct fb_error *err)
{
    int64_t deadline = fb_mono_ms() + END_WAIT_MS;
    for (;;) {
        int how = 0;
        pid_t got = waitpid(pid, &how, WNOHANG);
        if (got == pid && WIFEXITED(how)) {
            *exit_r = WEXITSTATUS(how);
            return FB_OK;
        }
        if (got == pid) {
            return fb_error_set(err, FB_CRASHED, "ended by signal %d",
                                WIFSIGNALED(how) ? WTERMSIG(how) : 0);
        }
        if ((got < 0 && errno != EINTR) || fb_mono_ms() >= deadline) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return fb_error_set(err, FB_CRASHED, "it does not end");
        }
        (void)usleep(END_STEP_US);
    }
}

enum fb_status fb_run(char *const *argv, int pass_fd, int timeout_ms, struct fb_buf *out,
                      int *exit_r, struct fb_error *err)
{
    return fb_run_with(argv, &pass_fd, 1, timeout_ms, out, exit_r, err);
}

enum fb_status fb_run_with(char *const *argv, const int *pass_fds, size_t pass_count,
                           int timeout_ms, struct fb_buf *out, int *exit_r, struct fb_error *err)
{
    char path[1024];
    int pair[2];
    enum fb_status s = find_beside_us(argv[0], path, err);
    if (s != FB_OK) {
        return s;
    }
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return fb_error_errno(err, FB_IO, errno, "pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(path, argv, pair[1], pass_fds, pass_count);
    }
    int saved = errno;
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return fb_error_errno(err, FB_IO, saved, "fork");
    }
    s = collect(pair[0], fb_mono_ms() + timeout_ms, out, err);
    (void)close(pair[0]);
    if (s == FB_OK) {
        s = wait_for_end(pid, exit_r, err);
    } else {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return s == FB_OK ? FB_OK : fb_error_prefix(err, "%s", argv[0]);
}

enum fb_status fb_run_file(struct fb_slice bytes, int *fd_r, char path_r[32], struct fb_error *err)
{
    int fd = memfd_create("fumibako", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return fb_error_errno(err, FB_IO, errno, "memfd");
    }
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR) {
            int saved = errno;
            (void)close(fd);
            return fb_error_errno(err, FB_IO, saved, "memfd");
        }
        if (n > 0) {
            bytes = fb_slice_sub(bytes, (size_t)n, SIZE_MAX);
        }
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        int saved = errno;
        (void)close(fd);
        return fb_error_errno(err, FB_IO, saved, "memfd: seal");
    }
    *fd_r = fd;
    (void)snprintf(path_r, 32, "/proc/self/fd/%d", fd);
    return FB_OK;
}
