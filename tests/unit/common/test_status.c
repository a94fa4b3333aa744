/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of statuses is whole and agrees with itself; error texts stay clean and whole.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/status.h"

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < FB_STATUS_COUNT; i++) {
        const char *name = fb_status_name((enum fb_status)i);
        assert_non_null(name);
        assert_true(strlen(name) > 0 &&
                    strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(name, fb_status_name((enum fb_status)k));
        }
    }
}

static void smtp_replies_fit_the_class(void **state)
{
    (void)state;
    for (int i = 0; i < FB_STATUS_COUNT; i++) {
        const char *enhanced = NULL;
        int code = fb_status_smtp((enum fb_status)i, &enhanced);
        assert_non_null(enhanced);
        assert_int_equal(enhanced[0] - '0', code / 100); /* RFC 3463 2: the classes agree */
        assert_int_equal(enhanced[1], '.');
        switch (fb_status_class((enum fb_status)i)) {
        case FB_CLASS_OK:
            assert_int_equal(code / 100, 2);
            break;
        case FB_CLASS_RETRY:
        case FB_CLASS_BUG: /* a mail is not refused for good because of a mistake of ours */
            assert_int_equal(code / 100, 4);
            break;
        case FB_CLASS_REJECT:
            assert_true(code / 100 == 5 ||
                        i == FB_LOST); /* another worker has it: never said to a client */
            break;
        }
    }
    assert_int_equal(fb_status_class(FB_OK), FB_CLASS_OK);
    assert_int_equal(fb_status_class(FB_BUG), FB_CLASS_BUG);
}

static void a_status_that_is_none_is_a_bug(void **state)
{
    (void)state;
    const char *enhanced = NULL;
    assert_int_equal(fb_status_class(FB_STATUS_COUNT), FB_CLASS_BUG);
    assert_string_equal(fb_status_name(FB_STATUS_COUNT), "bug");
    assert_int_equal(fb_status_smtp(FB_STATUS_COUNT, &enhanced), 451);
}

static void errors_are_extended_by_the_layers_above(void **state)
{
    (void)state;
    struct fb_error err = {0};
    assert_int_equal(fb_error_errno(&err, FB_IO, ENOSPC, "segment %d", 7), FB_IO);
    assert_string_equal(err.text, "segment 7: No space left on device");
    assert_int_equal(fb_error_prefix(&err, "open %s", "spool"), FB_IO);
    assert_string_equal(err.text, "open spool: segment 7: No space left on device");
    assert_int_equal(fb_error_set(NULL, FB_DENIED, "x"), FB_DENIED);
    assert_int_equal(fb_error_errno(NULL, FB_IO, EIO, "x"), FB_IO);
    assert_int_equal(fb_error_prefix(NULL, "x"), FB_BUG);
}

static void an_error_never_holds_control_characters(void **state)
{
    (void)state;
    struct fb_error err = {0};
    (void)fb_error_set(&err, FB_INVALID, "%s", "a\r\nb\x1b[31m\x7f");
    assert_string_equal(err.text, "a??b?[31m?");
    (void)fb_error_prefix(&err, "%s", "\n");
    assert_string_equal(err.text, "?: a??b?[31m?");
}

static void a_long_error_is_cut_not_overrun(void **state)
{
    (void)state;
    struct fb_error err = {0};
    char text[2 * FB_ERROR_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)fb_error_set(&err, FB_IO, "%s", text);
    assert_int_equal(strlen(err.text), FB_ERROR_MAX - 1);
    (void)fb_error_errno(&err, FB_IO, EIO, "%s", text);
    assert_int_equal(strlen(err.text), FB_ERROR_MAX - 1);
    for (int i = 0; i < 5; i++) {
        (void)fb_error_prefix(&err, "%s", text + sizeof text - 100);
        assert_true(strlen(err.text) < FB_ERROR_MAX);
    }
}

static void a_broken_assumption_ends_the_process_with_one_json_line(void **state)
{
    (void)state;
    int ends[2], how = 0;
    char line[1024] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        FB_ASSERT(strcmp(line, "a \"quoted\\text") == 0);
        _exit(0);
    }
    (void)close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(!WIFEXITED(how) || WEXITSTATUS(how) != 0);
    assert_true(n > 0);
    const char *want =
        "assertion failed: strcmp(line, \\\"a \\\\\\\"quoted\\\\\\\\text\\\") == 0\"}\n";
    assert_non_null(strstr(line, want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(smtp_replies_fit_the_class),
        cmocka_unit_test(a_status_that_is_none_is_a_bug),
        cmocka_unit_test(errors_are_extended_by_the_layers_above),
        cmocka_unit_test(an_error_never_holds_control_characters),
        cmocka_unit_test(a_long_error_is_cut_not_overrun),
        cmocka_unit_test(a_broken_assumption_ends_the_process_with_one_json_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
