/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper stands between the service and a browser, so that the browser's whole tree ends when
 * either of them does. Where the system permits it, the keeper is the first process of a PID name
 * space (its end ends all in it) that also has no network and an own /proc; elsewhere it is the
 * reaper of the tree's orphans and kills until none is left.
 *
 * Forked from a program with threads: nothing here may allocate, lock or use stdio. */
#include "services/render/chromium_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FREE_FD 7
#define MOVED_FD      64 /* above all descriptors that get a fixed number */
#define ROUNDS        200
#define ROUND_MS      10

_Noreturn static void give_up(int fd, enum render_keeper_step step)
{
    const struct render_keeper_report report = {.step = step, .error = errno};
    ssize_t n = write(fd, &report, sizeof report);
    _exit(n == (ssize_t)sizeof report ? 1 : 2);
}

static void reset_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int i = 1; i < NSIG; i++) {
        (void)sigaction(i, &standard, NULL); /* SIGKILL and SIGSTOP refuse, rightly */
    }
}

static void close_from(unsigned first)
{
    if (close_range(first, ~0U, 0) != 0) {
        for (int fd = (int)first; fd < 65536; fd++) { /* before Linux 5.9 */
            (void)close(fd);
        }
    }
}

static void place_fds(const struct render_keeper *k)
{
    static const int places[4] = {RENDER_KEEPER_COMMANDS, RENDER_KEEPER_EVENTS, RENDER_KEEPER_LIFE,
                                  RENDER_KEEPER_STATUS};
    int moved[4];
    for (int i = 0; i < 4; i++) {
        moved[i] = fcntl(k->fds[i], F_DUPFD, MOVED_FD);
        if (moved[i] < 0) {
            give_up(k->fds[3], RENDER_KEEPER_FDS);
        }
    }
    int null = open("/dev/null", O_RDWR);
    bool is_done = null >= 0;
    for (int i = 0; i < 3 && is_done; i++) {
        is_done = dup2(null, i) == i;
    }
    for (int i = 0; i < 4 && is_done; i++) {
        is_done = dup2(moved[i], places[i]) == places[i];
    }
    if (!is_done || fcntl(RENDER_KEEPER_STATUS, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(RENDER_KEEPER_LIFE, F_SETFD, FD_CLOEXEC) != 0) {
        give_up(moved[3], RENDER_KEEPER_FDS);
    }
    close_from(FIRST_FREE_FD);
}

/* ---- name spaces ---- */

static bool write_text(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = write(fd, text, len);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return n == (ssize_t)len;
}

/* "ID ID 1": the id means in there what it means out here. */
static size_t map_line(unsigned id, char out[32])
{
    char digits[12];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    size_t len = 0;
    for (int copy = 0; copy < 2; copy++) {
        for (size_t i = n; i > 0; i--) {
            out[len++] = digits[i - 1];
        }
        out[len++] = ' ';
    }
    out[len++] = '1';
    return len;
}

static void enter_spaces(const struct render_keeper *k)
{
    if ((k->spaces & CLONE_NEWUSER) != 0) {
        char line[32];
        size_t len = map_line(k->uid, line);
        bool is_done = write_text("/proc/self/setgroups", "deny", 4) &&
                       write_text("/proc/self/uid_map", line, len);
        len = map_line(k->gid, line);
        if (!is_done || !write_text("/proc/self/gid_map", line, len)) {
            give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_USER_NS);
        }
    }
    if ((k->spaces & CLONE_NEWNS) == 0) {
        return;
    }
    /* Process ids in /proc must be those of the new space. */
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
        give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_MOUNTS);
    }
    /* Pages of mail in shared memory files then never reach a disk. Where it is refused, the
     * folder below does. */
    (void)mount("tmpfs", k->dir, "tmpfs", MS_NOSUID | MS_NODEV, k->tmpfs_options);
}

/* Behind the mount, which would hide it. The browser may read it, not change it. */
static void write_fonts_conf(const struct render_keeper *k)
{
    if (k->fonts_conf.len == 0) {
        return;
    }
    int fd = open(k->fonts_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    ssize_t n = fd >= 0 ? write(fd, k->fonts_conf.ptr, k->fonts_conf.len) : -1;
    if (n != (ssize_t)k->fonts_conf.len || fchmod(fd, 0644) != 0 || close(fd) != 0) {
        give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_FONTS);
    }
}

/* ---- the browser ---- */

_Noreturn static void run_browser(const struct render_keeper *k, pid_t keeper)
{
    (void)setsid();
    if (k->drops_user && (setgroups(0, NULL) != 0 || setresgid(k->gid, k->gid, k->gid) != 0 ||
                          setresuid(k->uid, k->uid, k->uid) != 0)) {
        give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_USER);
    }
    /* After the change of user, which clears it. The keeper has one thread, so that its end and
     * not that of some thread is meant. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        chdir(k->dir) != 0) {
        give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_USER);
    }
    if (getppid() != keeper) {
        _exit(1);
    }
    reset_signals();
    (void)execve(k->argv[0], k->argv, k->envp);
    give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_EXEC);
}

/* Kills the children until there are none: the children of the killed come to us. */
static void kill_children(pid_t browser)
{
    (void)kill(-browser, SIGKILL);
    for (int round = 0; round < ROUNDS; round++) {
        char text[4096];
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
        if (fd >= 0) {
            (void)close(fd);
        }
        pid_t pid = 0;
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid > 0) {
                (void)kill(pid, SIGKILL);
                pid = 0;
            }
        }
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) {
            return;
        }
        (void)poll(NULL, 0, ROUND_MS);
    }
}

static void watch(pid_t browser)
{
    int browser_fd = pidfd_open(browser, 0);
    struct pollfd p[2] = {{.fd = RENDER_KEEPER_LIFE, .events = POLLIN},
                          {.fd = browser_fd, .events = POLLIN}};
    int n = browser_fd >= 0 ? 0 : 1;
    while (n == 0 || (n < 0 && errno == EINTR)) {
        n = poll(p, 2, -1); /* the service's end closes the life pipe: it cannot wait for ever */
    }
}

_Noreturn void render_keeper_main(const struct render_keeper *k)
{
    reset_signals();
    (void)signal(SIGTERM, SIG_IGN); /* the life pipe decides */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps orphans */
    (void)setsid();
    place_fds(k);
    enter_spaces(k);
    write_fonts_conf(k);
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* neither our memory nor the browser's onto a disk */
    (void)prctl(PR_SET_NAME, "chromium-keeper");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t keeper = getpid();
    pid_t browser = fork();
    if (browser < 0) {
        give_up(RENDER_KEEPER_STATUS, RENDER_KEEPER_FORK);
    }
    if (browser == 0) {
        run_browser(k, keeper);
    }
    (void)prctl(PR_SET_DUMPABLE, 0); /* a copy of the service's memory: not for a browser */
    (void)close(RENDER_KEEPER_COMMANDS);
    (void)close(RENDER_KEEPER_EVENTS);
    (void)close(RENDER_KEEPER_STATUS);
    watch(browser);
    if ((k->spaces & CLONE_NEWPID) == 0) {
        kill_children(browser);
    }
    /* When the service died without a word, nobody else removes what is empty now. */
    (void)umount2(k->dir, MNT_DETACH);
    (void)rmdir(k->dir);
    _exit(0);
}
