/* SPDX-License-Identifier: Apache-2.0
 *
 * Order matters: user, what ends it, limits, no_new_privs, Landlock, and seccomp last, since each
 * step needs calls that the next one takes away. */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/confine.h"

static enum fb_status become(const char *user, struct fb_error *err)
{
    if (user == NULL || geteuid() != 0) {
        return FB_OK;
    }
    const struct passwd *pw = getpwnam(user);
    if (pw == NULL || pw->pw_uid == 0) {
        return fb_error_set(err, FB_CONFIG, "render.chromium_user: no such user (or root): %s",
                            user);
    }
    if (setgroups(0, NULL) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "sandbox: cannot become %s", user);
    }
    return FB_OK;
}

/* A change of user clears what prctl(2) asked for before it.  The parent may end in between: then there
 * is another one now. */
static enum fb_status end_with(pid_t parent, struct fb_error *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "sandbox: parent's death signal");
    }
    if (getppid() != parent) {
        return fb_error_set(err, FB_CONFIG, "sandbox: the parent has ended");
    }
    return FB_OK;
}

static enum fb_status limit(int what, rlim_t value, const char *name, struct fb_error *err)
{
    const struct rlimit r = {value, value};
    if (setrlimit(what, &r) != 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "sandbox: setrlimit %s", name);
    }
    return FB_OK;
}

static enum fb_status set_limits(const struct fb_sandbox *s, struct fb_error *err)
{
    enum fb_status st = limit(RLIMIT_CORE, 0, "core", err);
    if (st == FB_OK) {
        st = limit(RLIMIT_NOFILE, 64, "nofile", err);
    }
    if (st == FB_OK) {
        st = limit(RLIMIT_FSIZE, 0, "fsize", err);
    }
    if (st == FB_OK) {
        st = limit(RLIMIT_CPU, (rlim_t)s->cpu_s, "cpu", err);
    }
    if (st == FB_OK && !FB_SANITIZED) {
        st = limit(RLIMIT_AS, (rlim_t)s->memory_bytes, "as", err);
    }
    return st;
}

/* Folders a painter reads lazily: fonts and their caches, and glibc's character set modules. */
static const char *const readable[] = {
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/etc/fonts",
    "/usr/share/fontconfig",
    "/var/cache/fontconfig",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/lib/aarch64-linux-gnu/gconv",
    "/usr/share/locale",
    "/usr/share/poppler", /* how characters of PDFs without embedded fonts are numbered */
    "/usr/lib/locale",
};

static enum fb_status allow_reading(int ruleset, const char *dir, struct fb_error *err)
{
    int fd = open(dir, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return FB_OK; /* not on this system: nothing to allow */
    }
    const struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
                                                                      LANDLOCK_ACCESS_FS_READ_DIR,
                                                    .parent_fd = fd};
    long rc = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int saved = errno;
    (void)close(fd);
    return rc == 0 ? FB_OK
                   : fb_error_errno(err, FB_CONFIG, saved, "sandbox: Landlock rule for %s", dir);
}

static enum fb_status enter_landlock(const struct fb_sandbox *s, struct fb_error *err)
{
    if (fb_landlock_version() == 0) {
        return FB_OK; /* seccomp still refuses every write, socket and exec */
    }
    /* Everything of Landlock's first version (Linux 5.13). */
    const struct landlock_ruleset_attr attr = {.handled_access_fs = (1ULL << 13) - 1};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "sandbox: Landlock ruleset");
    }
    enum fb_status st = FB_OK;
    for (size_t i = 0; i < sizeof readable / sizeof readable[0] && st == FB_OK; i++) {
        st = allow_reading(ruleset, readable[i], err);
    }
    if (st == FB_OK && s->fonts_dir != NULL) {
        st = allow_reading(ruleset, s->fonts_dir, err);
    }
    if (st == FB_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        st = fb_error_errno(err, FB_CONFIG, errno, "sandbox: Landlock");
    }
    (void)close(ruleset);
    return st;
}

/* What parsing and painting need.  No socket, connect, bind, exec, fork, ptrace, kill of others, no
 * file for writing: what is not listed kills the child.  (Threads are: see add_thread_rules.) */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstatfs),
    SCMP_SYS(statfs),
    SCMP_SYS(fadvise64),
    SCMP_SYS(getcwd),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getrusage),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Libraries try these and live without them. */
static const int refused[] = {
    SCMP_SYS(ioctl),  SCMP_SYS(prlimit64),    SCMP_SYS(getrlimit),  SCMP_SYS(prctl),
    SCMP_SYS(socket), SCMP_SYS(memfd_create), SCMP_SYS(eventfd2),   SCMP_SYS(mkdir),
    SCMP_SYS(unlink), SCMP_SYS(chmod),        SCMP_SYS(membarrier), SCMP_SYS(sched_getattr),
};

/* Pango asks Fontconfig in threads.  clone3's flags lie in memory, where no filter can see them:
 * with ENOSYS for an answer glibc falls back to clone, which may make threads and no processes. */
static int add_thread_rules(scmp_filter_ctx ctx)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0) {
        rc = seccomp_rule_add(
            ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
    }
    return rc;
}

static int add_rules(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0] && rc == 0; i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && rc == 0; i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    }
    if (rc == 0) {
        rc = add_thread_rules(ctx);
    }
    /* Opening for reading only. */
    const unsigned writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0));
    }
    for (int bit = 0; bit < 3 && rc == 0; bit++) {
        static const unsigned flags[] = {O_WRONLY, O_RDWR, O_CREAT};
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, flags[bit], flags[bit]));
    }
    /* abort() of a failed assertion reaches only the child itself. */
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    }
    return rc;
}

static enum fb_status enter_seccomp(struct fb_error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (ctx == NULL) {
        return fb_error_set(err, FB_CONFIG, "sandbox: seccomp: out of memory");
    }
    int rc = add_rules(ctx);
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return rc == 0 ? FB_OK : fb_error_errno(err, FB_CONFIG, -rc, "sandbox: seccomp");
}

enum fb_status fb_sandbox_enter(const struct fb_sandbox *s, struct fb_error *err)
{
    const pid_t parent = getppid();
    enum fb_status st = become(s->user, err);
    if (st == FB_OK) {
        st = end_with(parent, err);
    }
    if (st == FB_OK) {
        st = set_limits(s, err);
    }
    if (st == FB_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        st = fb_error_errno(err, FB_CONFIG, errno, "sandbox: no_new_privs");
    }
    if (st == FB_OK) {
        st = enter_landlock(s, err);
    }
    if (st == FB_OK) {
        st = enter_seccomp(err);
    }
    return st;
}
