/* SPDX-License-Identifier: Apache-2.0
 *
 * What a taken-over service could still do: loaded into a real one (LD_PRELOAD), it waits until the
 * service binds its last socket, when all its rules are in force, and then tries what FB_PROBES lists:
 * "read PATH", "write PATH", "exec PATH", "connect PORT", "bind PORT", "fork", "trace", one a line.
 * Each answer is a line on standard error: PROBE <what> <errno>.  Built by privilege.test.mjs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int bind_fn(int, const struct sockaddr *, socklen_t);

static bind_fn *real_bind(void)
{
    union {
        void *object;
        bind_fn *function;
    } next = {dlsym(RTLD_NEXT, "bind")};
    return next.function;
}

static int tcp(const char *port, int is_bind)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = is_bind ? real_bind()(fd, (struct sockaddr *)&to, sizeof to)
                     : connect(fd, (struct sockaddr *)&to, sizeof to);
    int saved = rc == 0 ? 0 : errno;
    close(fd);
    return saved;
}

static int file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int saved = fd >= 0 ? 0 : errno;
    if (fd >= 0) {
        close(fd);
    }
    return saved;
}

/* By system calls: a child that is not to be would else run the sanitizer's handlers. */
static int run(const char *path)
{
    if (path != NULL) { /* in place of this process where it is allowed: only for a missing file */
        execl(path, path, (char *)NULL);
        return errno;
    }
    long pid = syscall(SYS_fork);
    if (pid == 0) {
        syscall(SYS_exit_group, 0);
    }
    int saved = pid > 0 ? 0 : errno;
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
    }
    return saved;
}

static int try(const char *what, const char *arg)
{
    if (strcmp(what, "read") == 0) {
        return file(arg, O_RDONLY);
    }
    if (strcmp(what, "write") == 0) {
        return file(arg, O_WRONLY | O_CREAT);
    }
    if (strcmp(what, "exec") == 0) {
        return run(arg);
    }
    if (strcmp(what, "fork") == 0) {
        return run(NULL);
    }
    if (strcmp(what, "connect") == 0 || strcmp(what, "bind") == 0) {
        return tcp(arg, what[0] == 'b');
    }
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno;
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    int rc = real_bind()(fd, address, len), saved = errno;
    const char *last = getenv("FB_PROBE_PORT"), *probes = getenv("FB_PROBES");
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    if (rc != 0 || last == NULL || probes == NULL || in->sin_family != AF_INET ||
        ntohs(in->sin_port) != strtol(last, NULL, 10)) {
        errno = saved;
        return rc;
    }
    char *copy = strdup(probes), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (space != NULL) {
            *space = '\0';
        }
        int result = try(line, space != NULL ? space + 1 : "");
        dprintf(STDERR_FILENO, "PROBE %s %s %d\n", line, space != NULL ? space + 1 : "-", result);
    }
    dprintf(STDERR_FILENO, "PROBE end - 0\n");
    free(copy);
    errno = saved;
    return rc;
}
