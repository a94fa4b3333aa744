/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/zygote.h"

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

struct render_zygote {
    pthread_mutex_t lock;
    int fd; /* datagrams: one byte and the child's end of a socket out, a pid and a pidfd back */
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

_Noreturn static void run_child(const struct render_sandbox *sandbox, render_child_fn *child,
                                int zygote_fd, int fd)
{
    struct fb_error err = {0};
    (void)close(zygote_fd);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_IGN); /* ^C on a terminal: the service drains, its children finish */
    (void)signal(SIGCHLD, SIG_DFL);
    if (render_sandbox_enter(sandbox, &err) != FB_OK) {
        fb_log(FB_ERROR, "%s", err.text);
        _exit(78);
    }
    child(fd);
    _exit(0);
}

_Noreturn static void run_zygote(int fd, const struct render_sandbox *sandbox, void (*warm)(void),
                                 render_child_fn *child)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "render-zygote");
    /* The service's own signal handlers are not for us: we live as long as the socket. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps; the parent watches pidfds */
    warm();
    for (;;) {
        char ask = 0;
        int child_fd = -1;
        if (!receive_fd(fd, &ask, 1, &child_fd) || child_fd < 0) {
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
            (void)close(pidfd);
        }
    }
}

/* ---- in the service ---- */

enum fb_status render_zygote_start(const struct render_sandbox *sandbox, void (*warm)(void),
                                   render_child_fn *child, struct render_zygote **zygote_r,
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
        run_zygote(pair[1], sandbox, warm, child);
    }
    (void)close(pair[1]);
    /* Warming up reads fonts: the first answer may take a while, later ones a millisecond. */
    const struct timeval wait = {.tv_sec = 60};
    (void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    struct render_zygote *z = fb_xcalloc(1, sizeof *z);
    (void)pthread_mutex_init(&z->lock, NULL);
    z->fd = pair[0];
    z->pid = pid;
    *zygote_r = z;
    return FB_OK;
}

void render_zygote_stop(struct render_zygote **zygote)
{
    struct render_zygote *z = *zygote;
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

enum fb_status render_zygote_spawn(struct render_zygote *z, struct render_child *child_r,
                                   struct fb_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return fb_error_errno(err, FB_IO, errno, "render child: socketpair");
    }
    const char ask = 1;
    int32_t answer = 0;
    int pidfd = -1;
    (void)pthread_mutex_lock(&z->lock);
    bool is_answered =
        send_fd(z->fd, &ask, 1, pair[1]) && receive_fd(z->fd, &answer, sizeof answer, &pidfd);
    (void)pthread_mutex_unlock(&z->lock);
    (void)close(pair[1]);
    if (!is_answered || answer <= 0 || pidfd < 0) {
        (void)close(pair[0]);
        if (pidfd >= 0) {
            (void)close(pidfd);
        }
        if (is_answered && answer <= 0) {
            return fb_error_errno(err, FB_AGAIN, -answer, "render child: fork");
        }
        atomic_store(&z->is_dead, true);
        return fb_error_set(err, FB_AGAIN, "render child: the zygote does not answer");
    }
    *child_r = (struct render_child){.fd = pair[0], .pidfd = pidfd, .pid = answer};
    return FB_OK;
}

bool render_zygote_is_dead(struct render_zygote *z)
{
    return atomic_load(&z->is_dead);
}

void render_child_end(struct render_child *child)
{
    if (child->pidfd >= 0) {
        (void)pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
        if (poll(&p, 1, END_WAIT_MS) == 0) {
            fb_log(FB_WARN, "render child %d is still there after SIGKILL", child->pid);
        }
        (void)close(child->pidfd);
    }
    if (child->fd >= 0) {
        (void)close(child->fd);
    }
    *child = (struct render_child){.fd = -1, .pidfd = -1};
}
