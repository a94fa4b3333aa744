/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs run for the command line: found beside our own, bounded in time and output, ended when
 * they do not end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/run.h"

static char program[1100];
static const char *name;
static int passed = -1; /* descriptor for the program */

/* A script beside this test program. */
static void write_script(const char *text)
{
    ssize_t n = readlink("/proc/self/exe", program, 1000);
    assert_true(n > 0);
    char *slash = memrchr(program, '/', (size_t)n);
    assert_non_null(slash);
    (void)snprintf(slash + 1, 64, "ctl-run-%d.sh", (int)getpid());
    name = slash + 1;
    FILE *f = fopen(program, "we");
    assert_non_null(f);
    assert_true(fprintf(f, "#!/bin/sh\n%s\n", text) > 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(program, 0755), 0);
}

static enum fb_status run(const char *text, const char *argument, int timeout_ms,
                          struct fb_buf *out, int *exit_r, struct fb_error *err)
{
    char *argv[] = {NULL, NULL, NULL};
    if (text != NULL) {
        write_script(text);
    }
    argv[0] = strdup(text != NULL ? name : "no-such-program");
    argv[1] = strdup(argument);
    assert_non_null(argv[0]);
    assert_non_null(argv[1]);
    enum fb_status s = fb_run(argv, passed, timeout_ms, out, exit_r, err);
    free(argv[0]);
    free(argv[1]);
    if (text != NULL) {
        (void)unlink(program);
    }
    return s;
}

static void output_and_exit_code_come_back_and_no_shell_reads_the_words(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    int code = -1;
    fb_buf_init(&out, 1000);
    assert_int_equal(run("printf '%s' \"$1\"; cat; exit 7", "$(id); 'x'", 60000, &out, &code, &err),
                     FB_OK);
    assert_int_equal(code, 7);
    assert_string_equal(fb_buf_str(&out), "$(id); 'x'");
    fb_buf_deinit(&out);
}

static void more_output_than_there_is_room_ends_it(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    int code = -1;
    fb_buf_init(&out, 1000);
    assert_int_equal(run("while :; do echo 0123456789; done", "", 60000, &out, &code, &err),
                     FB_TOO_BIG);
    fb_buf_deinit(&out);
}

static void what_does_not_end_is_ended(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    int code = -1;
    fb_buf_init(&out, 1000);
    int64_t before = fb_mono_ms();
    assert_int_equal(run("exec sleep 60", "", 300, &out, &code, &err), FB_CRASHED);
    assert_true(fb_mono_ms() - before < 30000);
    assert_non_null(strstr(err.text, "no answer in time"));
    fb_buf_deinit(&out);
}

static void what_dies_is_told(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    int code = -1;
    fb_buf_init(&out, 1000);
    assert_int_equal(run("kill -9 $$", "", 60000, &out, &code, &err), FB_CRASHED);
    assert_non_null(strstr(err.text, "ended by signal 9"));
    fb_buf_deinit(&out);
}

static void a_program_that_is_not_installed_is_named(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    int code = -1;
    fb_buf_init(&out, 1000);
    assert_int_equal(run(NULL, "", 1000, &out, &code, &err), FB_NOT_FOUND);
    assert_non_null(strstr(err.text, "no-such-program is needed and must lie beside fumibako"));
    fb_buf_deinit(&out);
}

static void a_file_in_memory_is_readable_by_the_program(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    char path[32];
    int fd = -1;
    int code = -1;
    fb_buf_init(&out, 1000);
    assert_int_equal(fb_run_file(fb_slice_str("rules: []\n"), &fd, path, &err), FB_OK);
    passed = fd;
    assert_int_equal(run("cat \"$1\"", path, 60000, &out, &code, &err), FB_OK);
    assert_string_equal(fb_buf_str(&out), "rules: []\n");
    assert_int_equal(write(fd, "x", 1), -1); /* sealed */
    passed = -1;
    (void)close(fd);
    fb_buf_deinit(&out);
}

static void no_other_descriptor_reaches_the_program(void **state)
{
    (void)state;
    struct fb_buf out;
    struct fb_error err = {0};
    char path[32];
    int fd = -1;
    int code = -1;
    int leak[2]; /* without CLOEXEC, as hiredis opens its sockets */
    assert_int_equal(pipe(leak), 0);
    assert_int_equal(fb_run_file(fb_slice_str("x"), &fd, path, &err), FB_OK);
    passed = fd;
    fb_buf_init(&out, 1000);
    assert_int_equal(run("for f in /proc/$$/fd/*; do n=${f##*/}; case $n in 0|1|2|10|\"$1\") ;; *) "
                         "readlink $f ;; esac; done",
                         path + 14, 60000, &out, &code, &err),
                     FB_OK);
    assert_null(strstr(fb_buf_str(&out), "pipe:"));
    passed = -1;
    (void)close(leak[0]);
    (void)close(leak[1]);
    (void)close(fd);
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_come_back_and_no_shell_reads_the_words),
        cmocka_unit_test(more_output_than_there_is_room_ends_it),
        cmocka_unit_test(what_does_not_end_is_ended),
        cmocka_unit_test(what_dies_is_told),
        cmocka_unit_test(a_program_that_is_not_installed_is_named),
        cmocka_unit_test(a_file_in_memory_is_readable_by_the_program),
        cmocka_unit_test(no_other_descriptor_reaches_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
