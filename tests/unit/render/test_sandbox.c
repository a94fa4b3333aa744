/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child that was taken over still can do: nothing to the machine, the network or other
 * processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/confine.h"
#include "common/sandbox.h"
#include "services/render/text_paint.h"

#define REFUSED 10 /* exit codes of the deeds */
#define DONE    11
#define BROKEN  12

static int refused_if(bool is_refused)
{
    return is_refused ? REFUSED : DONE;
}

static int do_socket(void)
{
    return refused_if(socket(AF_INET, SOCK_STREAM, 0) < 0);
}

static int do_unix_socket(void)
{
    return refused_if(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
}

static int do_fork(void)
{
    return refused_if(syscall(SYS_fork) < 0);
}

static int do_clone_process(void)
{
    return refused_if(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0);
}

static int do_exec(void)
{
    char *argv[] = {NULL};
    return refused_if(execve("/bin/true", argv, argv) < 0);
}

static int do_kill(void)
{
    return refused_if(kill(getppid(), 0) < 0);
}

static int do_ptrace(void)
{
    return refused_if(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0);
}

static int do_write(void)
{
    return refused_if(open("/tmp/fumibako-sandbox-test", O_WRONLY | O_CREAT, 0600) < 0);
}

static int do_append(void)
{
    return refused_if(open("/etc/passwd", O_RDWR) < 0);
}

static int do_read_password_file(void)
{
    /* Without Landlock the user's rights decide; the test process is then told so. */
    return fb_landlock_version() == 0 ? REFUSED : refused_if(open("/etc/passwd", O_RDONLY) < 0);
}

static int do_read_proc(void)
{
    return fb_landlock_version() == 0 ? REFUSED
                                      : refused_if(open("/proc/self/environ", O_RDONLY) < 0);
}

static int do_setuid(void)
{
    return refused_if(setuid(0) < 0);
}

static int do_much_memory(void)
{
    void *p = mmap(NULL, 1U << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return FB_SANITIZED ? REFUSED : refused_if(p == MAP_FAILED);
}

static void *nothing(void *ctx)
{
    return ctx;
}

static int do_thread(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0 ? DONE
                                                                                      : BROKEN;
}

static int do_paint(void)
{
    struct render_letter l = {.subject = fb_xstrdup("件名 שלום"), .is_japanese = true};
    struct fb_buf pdf;
    struct fb_error err = {0};
    fb_buf_init(&pdf, 1U << 20);
    fb_buf_init(&l.body, 1024);
    /* A script that warming up did not touch: its font is opened in here. */
    bool is_done = fb_buf_add_str(&l.body, "本文 հայերեն ქართული ไทย 😀\n") == FB_OK &&
                   render_text_paint(&l, "A4", &pdf, &err) == FB_OK && pdf.len > 1000;
    fb_buf_deinit(&pdf);
    render_letter_deinit(&l);
    return is_done ? DONE : BROKEN;
}

static int do_iconv(void)
{
    iconv_t cd = iconv_open("UTF-8", "EUC-TW"); /* a module that is loaded in here */
    return cd != (iconv_t)-1 ? DONE : BROKEN;
}

static const struct fb_sandbox sandbox = {
    .memory_bytes = 512LL << 20, .cpu_s = 120, .user = "nobody"};

/* How a child that does the deed in the sandbox ends: its exit code, or minus the signal. */
static int outcome(int (*deed)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fb_error err = {0};
        if (fb_sandbox_enter(&sandbox, &err) != FB_OK) {
            (void)fprintf(stderr, "%s\n", err.text);
            _exit(BROKEN);
        }
        _exit(deed());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int (*deed)(void);
    } rows[] = {
        {"socket", do_socket},
        {"unix socket", do_unix_socket},
        {"fork", do_fork},
        {"clone", do_clone_process},
        {"exec", do_exec},
        {"kill", do_kill},
        {"ptrace", do_ptrace},
        {"write a file", do_write},
        {"open for writing", do_append},
        {"read /etc/passwd", do_read_password_file},
        {"read /proc", do_read_proc},
        {"setuid", do_setuid},
        {"1 GiB", do_much_memory},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int how = outcome(rows[i].deed);
        if (how != REFUSED && how != -SIGSYS) {
            fail_msg("%s: ended with %d", rows[i].name, how);
        }
    }
    assert_int_equal(access("/tmp/fumibako-sandbox-test", F_OK), -1);
}

/* As with a Pango that keeps a thread: the child finds its fonts itself. */
static void test_painting_without_fonts_from_before_the_fork(void **state)
{
    (void)state;
    assert_int_equal(outcome(do_paint), DONE);
}

static void test_what_works(void **state)
{
    (void)state;
    render_text_warm();
    static const struct {
        const char *name;
        int (*deed)(void);
    } rows[] = {{"a thread", do_thread}, {"painting", do_paint}, {"a character set", do_iconv}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int how = outcome(rows[i].deed);
        if (how != DONE) {
            fail_msg("%s: ended with %d", rows[i].name, how);
        }
    }
}

/* The change of user clears the signal that was asked for before it. */
static void test_nothing_is_left_when_the_parent_is_killed(void **state)
{
    (void)state;
    int alive[2];
    assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        if (fork() == 0) {
            struct fb_error err = {0};
            if (fb_sandbox_enter(&sandbox, &err) == FB_OK && write(alive[1], "y", 1) == 1) {
                const struct timespec long_time = {.tv_sec = 120};
                (void)nanosleep(&long_time, NULL);
            }
            _exit(BROKEN);
        }
        for (;;) {
            (void)pause();
        }
    }
    (void)close(alive[1]);
    char word = 0;
    assert_int_equal(read(alive[0], &word, 1), 1); /* it is in its sandbox */
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    struct pollfd p = {.fd = alive[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(alive[0], &word, 1), 0); /* nobody holds the other end */
    (void)close(alive[0]);
}

static void test_user_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct fb_sandbox nobodys = sandbox;
        nobodys.user = "no-such-user-here";
        struct fb_error err = {0};
        _exit(fb_sandbox_enter(&nobodys, &err) == FB_CONFIG ? REFUSED : DONE);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_painting_without_fonts_from_before_the_fork),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_what_works),
        cmocka_unit_test(test_nothing_is_left_when_the_parent_is_killed),
        cmocka_unit_test(test_user_that_does_not_exist_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
