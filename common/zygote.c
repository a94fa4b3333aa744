/* SPDX-License-Identifier: Apache-2.0 */
#include "common/zygote.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"

#define END_WAIT_MS 2000
#define MAX_MADE    64 /* children that the zygote can end; more of them end by their limits alone */

struct fb_zygote {
    pthread_mutex_t lock;
    int fd; /* datagrams: 0 and the child's end of a socket out, a pid and a pidfd back; or a pid out, 0 back */
    pid_t pid;
    atomic_bool is_dead;
};

static bool send_fd(int fd, const void *data, size_t len, int passed)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

static bool receive_fd(int fd, void *data, size_t len, int *passed_r)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do {
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *passed_r = -1;
    if (n != (ssize_t)len) {
        return false;
    }
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        memcpy(passed_r, CMSG_DATA(c), sizeof *passed_r);
    }
    return true;
}

/* ---- in the zygote ---- */

/* A service whose Landlock rules forbid signals (Linux 6.12) asks for the end of a child: of one that was made
 * here, and of nothing else. */
static struct made {
    pid_t pid;
    int pidfd; /* -1: free */
} made[MAX_MADE];

_Noreturn static void run_child(const struct fb_sandbox *sandbox, fb_child_fn *child, int zygote_fd,
                                int fd)
{
    struct fb_error err = {0};
    (void)close(zygote_fd);
    for (size_t i = 0; i < MAX_MADE; i++) {
        if (made[i].pidfd >= 0) {
            (void)close(made[i].pidfd); /* its brothers are none of its business */
        }
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* until the sandbox asks for it anew */
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_IGN); /* ^C on a terminal: the service drains, its children finish */
    (void)signal(SIGCHLD, SIG_DFL);
    if (fb_sandbox_enter(sandbox, &err) != FB_OK) {
        fb_log(FB_ERROR, "%s", err.text);
        _exit(78);
    }
    child(fd);
    _exit(0);
}

static bool has_ended(const struct made *m)
{
    struct pollfd p = {.fd = m->pidfd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static void remember(pid_t pid, int pidfd)
{
    for (size_t i = 0; i < MAX_MADE; i++) {
        if (made[i].pidfd >= 0 && has_ended(&made[i])) {
            (void)close(made[i].pidfd);
            made[i].pidfd = -1;
        }
        if (made[i].pidfd < 0) {
            made[i] = (struct made){.pid = pid, .pidfd = pidfd};
            return;
        }
    }
    (void)close(pidfd);
}

static int32_t end_made(pid_t pid)
{
    for (size_t i = 0; i < MAX_MADE; i++) {
        if (made[i].pidfd >= 0 && made[i].pid == pid) {
            return pidfd_send_signal(made[i].pidfd, SIGKILL, NULL, 0) == 0 ? 0 : -errno;
        }
    }
    return -ESRCH;
}

_Noreturn static void run_zygote(const char *name, int fd, const struct fb_sandbox *sandbox,
                                 void (*warm)(void), fb_child_fn *child)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, name);
    /* The service's own signal handlers are not for us: we live as long as the socket. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps; the parent watches pidfds */
    warm();
    for (size_t i = 0; i < MAX_MADE; i++) {
        made[i].pidfd = -1;
    }
    for (;;) {
        int32_t ask = 0;
        int child_fd = -1;
        bool is_asked = receive_fd(fd, &ask, sizeof ask, &child_fd);
        if (is_asked && child_fd < 0 && ask > 0) {
            int32_t done = end_made(ask);
            is_asked = send_fd(fd, &done, sizeof done, -1);
            if (is_asked) {
                continue;
            }
        }
        if (!is_asked || child_fd < 0) {
            _exit(0); /* the service is gone */
        }
        pid_t pid = fork();
        if (pid == 0) {
            run_child(sandbox, child, fd, child_fd);
        }
        (void)close(child_fd);
        int32_t answer = pid > 0 ? (int32_t)pid : -errno;
        int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pid > 0 && pidfd < 0) {
            (void)kill(pid, SIGKILL);
            answer = -errno;
        }
        if (!send_fd(fd, &answer, sizeof answer, pidfd)) {
            _exit(0);
        }
        if (pidfd >= 0) {
            remember(pid, pidfd);
        }
    }
}

/* ---- in the service ---- */

enum fb_status fb_zygote_start(const char *name, const struct fb_sandbox *sandbox,
                               void (*warm)(void), fb_child_fn *child, struct fb_zygote **zygote_r,
                               struct fb_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return fb_error_errno(err, FB_IO, errno, "zygote: socketpair");
    }
    pid_t pid = fork();
    if (pid < 0) {
        int saved = errno;
        (void)close(pair[0]);
        (void)close(pair[1]);
        return fb_error_errno(err, FB_IO, saved, "zygote: fork");
    }
    if (pid == 0) {
        (void)close(pair[0]);
        run_zygote(name, pair[1], sandbox, warm, child);
    }
    (void)close(pair[1]);
    /* Warming up reads fonts: the first answer may take a while, later ones a millisecond. */
    const struct timeval wait = {.tv_sec = 60};
    (void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    struct fb_zygote *z = fb_xcalloc(1, sizeof *z);
    (void)pthread_mutex_init(&z->lock, NULL);
    z->fd = pair[0];
    z->pid = pid;
    *zygote_r = z;
    return FB_OK;
}

void fb_zygote_stop(struct fb_zygote **zygote)
{
    struct fb_zygote *z = *zygote;
    if (z == NULL) {
        return;
    }
    (void)close(z->fd); /* it leaves by itself */
    (void)kill(z->pid, SIGKILL);
    (void)waitpid(z->pid, NULL, 0);
    (void)pthread_mutex_destroy(&z->lock);
    free(z);
    *zygote = NULL;
}

enum fb_status fb_zygote_spawn(struct fb_zygote *z, struct fb_child *child_r, struct fb_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return fb_error_errno(err, FB_IO, errno, "sandboxed child: socketpair");
    }
    const int32_t ask = 0;
    int32_t answer = 0;
    int pidfd = -1;
    (void)pthread_mutex_lock(&z->lock);
    bool is_answered = send_fd(z->fd, &ask, sizeof ask, pair[1]) &&
                       receive_fd(z->fd, &answer, sizeof answer, &pidfd);
    (void)pthread_mutex_unlock(&z->lock);
    (void)close(pair[1]);
    if (!is_answered || answer <= 0 || pidfd < 0) {
        (void)close(pair[0]);
        if (pidfd >= 0) {
            (void)close(pidfd);
        }
        if (is_answered && answer <= 0) {
            return fb_error_errno(err, FB_AGAIN, -answer, "sandboxed child: fork");
        }
        atomic_store(&z->is_dead, true);
        return fb_error_set(err, FB_AGAIN, "sandboxed child: the zygote does not answer");
    }
    *child_r = (struct fb_child){.fd = pair[0], .pidfd = pidfd, .pid = answer, .zygote = z};
    return FB_OK;
}

bool fb_zygote_is_dead(struct fb_zygote *z)
{
    return atomic_load(&z->is_dead);
}

static void kill_child(const struct fb_child *child)
{
    struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
    if (poll(&p, 1, 0) > 0 || pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0) == 0 ||
        errno != EPERM || child->zygote == NULL) {
        return;
    }
    struct fb_zygote *z = child->zygote;
    const int32_t ask = child->pid;
    int32_t answer = 0;
    int none = -1;
    (void)pthread_mutex_lock(&z->lock);
    bool is_answered =
        send_fd(z->fd, &ask, sizeof ask, -1) && receive_fd(z->fd, &answer, sizeof answer, &none);
    (void)pthread_mutex_unlock(&z->lock);
    if (!is_answered || answer != 0) {
        fb_log(FB_WARN, "sandboxed child %d cannot be ended before its time", child->pid);
    }
}

void fb_child_end(struct fb_child *child)
{
    if (child->pidfd >= 0) {
        kill_child(child);
        struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
        if (poll(&p, 1, END_WAIT_MS) == 0) {
            fb_log(FB_WARN, "sandboxed child %d is still there after SIGKILL", child->pid);
        }
        (void)close(child->pidfd);
    }
    if (child->fd >= 0) {
        (void)close(child->fd);
    }
    *child = (struct fb_child){.fd = -1, .pidfd = -1};
}
