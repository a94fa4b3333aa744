/* SPDX-License-Identifier: Apache-2.0
 *
 * A browser's life, seen from the service: its command line, its home, its keeper, its end. */
#include "services/render/chromium_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

#define START_WAIT_MS 10000
#define END_WAIT_MS   5000
#define TMPFS_MIN     (64LL << 20)

/* Never --no-sandbox. The proxy is the discard port: whatever escaped all other barriers ends
 * there, loopback included. */
static const char *const flags[] = {
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    /* No frame is drawn for a screen that nobody sees: a third of a print's processor time. */
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-dev-shm-usage",
    "--disable-features=OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider",
    "--dns-prefetch-disable",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--lang=en-US",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-pings",
    "--password-store=basic",
    "--proxy-bypass-list=<-loopback>",
    "--proxy-server=http://127.0.0.1:9",
    "--renderer-process-limit=1",
};

static const struct render_chromium_process nothing = {
    .pidfd = -1, .commands = -1, .events = -1, .life = -1, .home.fd = -1};

#define FLAG_COUNT (sizeof flags / sizeof flags[0])

/* The strings that the keeper needs, alive until the fork is done. */
struct texts {
    char data_dir[96], home[80], tmp[80], fonts_path[96], fonts[112], tmpfs[96];
    char locale[24], zone[16], path[32];
    char *argv[FLAG_COUNT + 4];
    char *envp[8];
};

static char *unconst(const char *s)
{
    return (char *)(uintptr_t)s; /* execve's prototype; it does not write */
}

static void fill_texts(const struct render_chromium_launch *l, const char *dir, struct texts *t)
{
    (void)snprintf(t->data_dir, sizeof t->data_dir, "--user-data-dir=%s/profile", dir);
    (void)snprintf(t->home, sizeof t->home, "HOME=%s", dir);
    (void)snprintf(t->tmp, sizeof t->tmp, "TMPDIR=%s", dir);
    (void)snprintf(t->locale, sizeof t->locale, "LANG=C.UTF-8");
    (void)snprintf(t->zone, sizeof t->zone, "TZ=UTC");
    (void)snprintf(t->path, sizeof t->path, "PATH=/usr/bin:/bin");
    int64_t size = l->memory_bytes > TMPFS_MIN ? l->memory_bytes : TMPFS_MIN;
    (void)snprintf(t->tmpfs, sizeof t->tmpfs, "mode=0700,uid=%u,gid=%u,size=%lld", (unsigned)l->uid,
                   (unsigned)l->gid, (long long)size);
    size_t n = 0;
    t->argv[n++] = l->binary;
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        t->argv[n++] = unconst(flags[i]);
    }
    t->argv[n++] = t->data_dir;
    t->argv[n] = NULL;
    n = 0;
    t->envp[n++] = t->home;
    t->envp[n++] = t->tmp;
    t->envp[n++] = t->locale;
    t->envp[n++] = t->zone;
    t->envp[n++] = t->path;
    if (l->fonts_conf.len > 0) {
        (void)snprintf(t->fonts_path, sizeof t->fonts_path, "%s/fonts.conf", dir);
        (void)snprintf(t->fonts, sizeof t->fonts, "FONTCONFIG_FILE=%s", t->fonts_path);
        t->envp[n++] = t->fonts;
    }
    t->envp[n] = NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* ---- start ---- */

struct pipes {
    int commands[2], events[2], life[2], status[2]; /* [0] reads, [1] writes */
};

static void close_pipes(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->commands[i]);
        close_fd(&p->events[i]);
        close_fd(&p->life[i]);
        close_fd(&p->status[i]);
    }
}

static enum fb_status open_pipes(struct pipes *p, struct fb_error *err)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(p->commands, O_CLOEXEC) != 0 || pipe2(p->events, O_CLOEXEC) != 0 ||
        pipe2(p->life, O_CLOEXEC) != 0 || pipe2(p->status, O_CLOEXEC) != 0 ||
        fcntl(p->commands[1], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(p->events[0], F_SETFL, O_NONBLOCK) != 0) {
        int saved = errno;
        close_pipes(p);
        return fb_error_errno(err, FB_AGAIN, saved, "Chromium: pipes");
    }
    return FB_OK;
}

/* As fork(), in new name spaces. Signals wait meanwhile: the service's handlers are not for the
 * keeper. */
static pid_t fork_keeper(const struct render_keeper *k)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)(k->spaces | SIGCHLD), 0UL, 0UL, 0UL, 0UL);
    if (pid == 0) {
        render_keeper_main(k);
    }
    int saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return pid;
}

/* Waits until the browser's program runs (the status pipe ends) or the keeper says why not. */
static enum fb_status wait_for_exec(int fd, struct render_keeper_report *report_r,
                                    struct fb_error *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do {
        n = poll(&p, 1, START_WAIT_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return fb_error_set(err, FB_AGAIN, "Chromium: its keeper does not start");
    }
    ssize_t got = read(fd, report_r, sizeof *report_r);
    if (got == 0) {
        return FB_OK;
    }
    if (got != (ssize_t)sizeof *report_r) {
        return fb_error_set(err, FB_AGAIN, "Chromium: its keeper died");
    }
    static const char *const steps[] = {
        [RENDER_KEEPER_FDS] = "its descriptors",
        [RENDER_KEEPER_USER_NS] = "a user name space",
        [RENDER_KEEPER_MOUNTS] = "a mount of its own",
        [RENDER_KEEPER_FONTS] = "its fonts.conf",
        [RENDER_KEEPER_FORK] = "fork",
        [RENDER_KEEPER_USER] = "its user",
        [RENDER_KEEPER_EXEC] = "the program",
    };
    bool is_known = report_r->step >= RENDER_KEEPER_FDS && report_r->step <= RENDER_KEEPER_EXEC;
    enum fb_status s = report_r->step >= RENDER_KEEPER_USER ? FB_CONFIG : FB_AGAIN;
    return fb_error_errno(err, s, report_r->error, "Chromium: %s",
                          is_known ? steps[report_r->step] : "its keeper");
}

static enum fb_status start_once(const struct render_keeper *plan, unsigned spaces,
                                 struct render_chromium_process *p, bool *may_retry_r,
                                 struct fb_error *err)
{
    struct pipes pipes;
    enum fb_status s = open_pipes(&pipes, err);
    if (s != FB_OK) {
        return s;
    }
    struct render_keeper k = *plan;
    k.spaces = spaces;
    k.fds[0] = pipes.commands[0];
    k.fds[1] = pipes.events[1];
    k.fds[2] = pipes.life[0];
    k.fds[3] = pipes.status[1];
    pid_t pid = fork_keeper(&k);
    if (pid < 0) {
        int saved = errno;
        close_pipes(&pipes);
        *may_retry_r = true;
        return fb_error_errno(err, FB_AGAIN, saved, "Chromium: fork");
    }
    p->keeper = pid;
    p->pidfd = pidfd_open(pid, 0);
    p->has_pid_space = (spaces & CLONE_NEWPID) != 0;
    p->commands = pipes.commands[1];
    p->events = pipes.events[0];
    p->life = pipes.life[1];
    pipes.commands[1] = pipes.events[0] = pipes.life[1] = -1;
    close_fd(&pipes.status[1]);
    struct render_keeper_report report = {0};
    s = p->pidfd >= 0 ? wait_for_exec(pipes.status[0], &report, err)
                      : fb_error_errno(err, FB_AGAIN, errno, "Chromium: pidfd");
    *may_retry_r = report.step == RENDER_KEEPER_USER_NS || report.step == RENDER_KEEPER_MOUNTS;
    close_pipes(&pipes);
    return s;
}

enum fb_status render_chromium_process_start(const struct render_chromium_launch *launch,
                                             struct render_chromium_process *p,
                                             struct fb_error *err)
{
    *p = nothing;
    struct render_chromium_home home;
    enum fb_status s = render_chromium_home_make(launch, &home, err);
    struct texts t = {0};
    if (s == FB_OK) {
        fill_texts(launch, home.path, &t);
    }
    const struct render_keeper plan = {.drops_user = launch->drops_user,
                                       .uid = launch->uid,
                                       .gid = launch->gid,
                                       .dir = home.path,
                                       .tmpfs_options = t.tmpfs,
                                       .fonts_path = t.fonts_path,
                                       .fonts_conf = launch->fonts_conf,
                                       .argv = t.argv,
                                       .envp = t.envp};
    /* The most that the system permits: containers often refuse a mount or a new name space. */
    const unsigned user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
    const unsigned attempts[] = {user | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET,
                                 user | CLONE_NEWNET, 0};
    bool may_retry = s == FB_OK;
    for (size_t i = launch->no_namespaces ? 2 : 0; i < 3 && may_retry; i++) {
        may_retry = false;
        s = start_once(&plan, attempts[i], p, &may_retry, err);
        if (s != FB_OK) {
            render_chromium_process_stop(p);
        }
    }
    p->home = home;
    if (s != FB_OK) {
        render_chromium_process_stop(p);
    }
    return s;
}

/* ---- end ---- */

bool render_chromium_process_is_alive(const struct render_chromium_process *p)
{
    struct pollfd f = {.fd = p->pidfd, .events = POLLIN};
    return p->keeper > 0 && p->pidfd >= 0 && poll(&f, 1, 0) == 0;
}

static bool has_ended(const struct render_chromium_process *p, int wait_ms)
{
    struct pollfd f = {.fd = p->pidfd, .events = POLLIN};
    int64_t end = fb_mono_ms() + wait_ms;
    int n;
    do {
        int64_t left = end - fb_mono_ms();
        n = poll(&f, 1, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

void render_chromium_process_stop(struct render_chromium_process *p)
{
    close_fd(&p->life);
    close_fd(&p->commands);
    close_fd(&p->events);
    if (p->keeper > 0) {
        if (p->has_pid_space || p->pidfd < 0) {
            (void)kill(p->keeper, SIGKILL); /* not yet reaped: the number is still its own */
        }
        bool is_over = p->pidfd < 0 || has_ended(p, END_WAIT_MS);
        if (!is_over) {
            int left = render_chromium_tree_kill(p->keeper);
            (void)kill(p->keeper, SIGKILL);
            is_over = has_ended(p, END_WAIT_MS);
            fb_log(FB_WARN, "Chromium's keeper did not end by itself; killed %d processes", left);
        }
        int rc = is_over ? 0 : -1;
        while (is_over && (rc = (int)waitpid(p->keeper, NULL, 0)) < 0 && errno == EINTR) {
        }
        if (!is_over) {
            fb_log(FB_ERROR, "Chromium's processes cannot be ended");
        }
    }
    close_fd(&p->pidfd);
    render_chromium_home_remove(&p->home);
    *p = nothing;
}

bool render_chromium_process_may_sandbox(const struct render_chromium_launch *launch)
{
    pid_t pid = fork();
    if (pid == 0) {
        bool is_user =
            !launch->drops_user || (setresgid(launch->gid, launch->gid, launch->gid) == 0 &&
                                    setresuid(launch->uid, launch->uid, launch->uid) == 0);
        _exit(is_user && unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
