/* SPDX-License-Identifier: Apache-2.0
 *
 * System calls that no service makes get EPERM.  A list of what is refused, and not of what is
 * allowed: libraries change from one Debian to the next, and a service that dies of a harmless call is
 * worse than what a longer list would stop.  (The processes that read mail have a list of what is
 * allowed: common/sandbox.c.) */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>

#include "common/confine.h"

/* For all: the kernel itself, the machine's clock, other processes' memory, kernel features with a
 * history of holes that nothing here uses. */
static const int never[] = {
    SCMP_SYS(acct),
    SCMP_SYS(add_key),
    SCMP_SYS(adjtimex),
    SCMP_SYS(bpf),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(clock_settime),
    SCMP_SYS(delete_module),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(finit_module),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fsopen),
    SCMP_SYS(init_module),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(ioperm),
    SCMP_SYS(iopl),
    SCMP_SYS(kcmp),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(move_mount),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(open_tree),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(quotactl),
    SCMP_SYS(reboot),
    SCMP_SYS(request_key),
    SCMP_SYS(sethostname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(swapoff),
    SCMP_SYS(swapon),
    SCMP_SYS(syslog),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(vhangup),
};

/* For services that run no other program. */
static const int never_alone[] = {
    SCMP_SYS(capset),     SCMP_SYS(chroot),   SCMP_SYS(execve),   SCMP_SYS(execveat),
    SCMP_SYS(fork),       SCMP_SYS(mknod),    SCMP_SYS(mknodat),  SCMP_SYS(mount),
    SCMP_SYS(pivot_root), SCMP_SYS(setfsgid), SCMP_SYS(setfsuid), SCMP_SYS(setgid),
    SCMP_SYS(setgroups),  SCMP_SYS(setns),    SCMP_SYS(setregid), SCMP_SYS(setresgid),
    SCMP_SYS(setresuid),  SCMP_SYS(setreuid), SCMP_SYS(setuid),   SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),  SCMP_SYS(umount2),  SCMP_SYS(unshare),  SCMP_SYS(vfork),
};

static int refuse(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
        rc = rc == -EDOM ? 0 : rc; /* unknown on this processor */
    }
    return rc;
}

/* Threads, and no processes.  (LeakSanitizer looks through memory with a process of its own, which
 * traces us.)  clone3's flags lie in memory, where no filter sees them: told that it does not exist,
 * glibc takes clone. */
static int refuse_processes(scmp_filter_ctx ctx)
{
    if (FB_SANITIZED) {
        return 0;
    }
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0);
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    }
    return rc;
}

enum fb_status fb_seccomp_enter(bool may_execute, struct fb_error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL) {
        return fb_error_set(err, FB_CONFIG, "seccomp: out of memory");
    }
    int rc = refuse(ctx, never, sizeof never / sizeof never[0]);
    if (rc == 0 && !may_execute) {
        rc = refuse(ctx, never_alone, sizeof never_alone / sizeof never_alone[0]);
    }
    if (rc == 0 && !may_execute) {
        rc = refuse_processes(ctx);
    }
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return rc == 0 ? FB_OK : fb_error_errno(err, FB_CONFIG, -rc, "seccomp");
}
