/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line and the life of a service: exit codes that operators and unit files rely on, for
 * a service of the test's own and for the real programs.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/service.h"

#define TIMEOUT_S 60

static char dir[] = "/tmp/fumibako-service-XXXXXX";
static char path[64];

struct outcome {
    int code; /* 128 + signal when one ended it */
    struct fb_buf out;
};

static void write_config(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* ---- a service of the test's own ---- */

static enum fb_status next_check, next_init, next_run;

static enum fb_status check(const struct fb_config *config, struct fb_error *err)
{
    (void)config;
    return next_check == FB_OK ? FB_OK
                               : fb_error_set(err, next_check, "spool.key_file: cannot be read");
}

/* Once, behind the check and before anything is given up. */
static enum fb_status prepare(const struct fb_config *config, struct fb_error *err)
{
    (void)config;
    (void)err;
    (void)fprintf(stderr, "prepare\n");
    return FB_OK;
}

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    (void)config;
    *ctx_r = &next_run;
    return next_init == FB_OK ? FB_OK : fb_error_set(err, next_init, "spool: cannot be opened");
}

static enum fb_status run(void *ctx, struct fb_error *err)
{
    assert_ptr_equal(ctx, &next_run);
    if (next_run != FB_OK) {
        return fb_error_set(err, next_run, "the disk is gone");
    }
    struct pollfd p = {.fd = fb_service_stop_fd(), .events = POLLIN};
    (void)fprintf(stderr, "running\n");
    while (!fb_service_stopping()) {
        if (poll(&p, 1, TIMEOUT_S * 1000) == 0) {
            return FB_BUG;
        }
    }
    return FB_OK;
}

static void deinit(void *ctx)
{
    assert_ptr_equal(ctx, &next_run);
    (void)fprintf(stderr, "deinit\n");
}

static const struct fb_service service = {
    .name = "test", .check = check, .prepare = prepare, .init = init, .run = run, .deinit = deinit};

/* ---- running one ---- */

static void collect(int fd, pid_t pid, int stop_signal, struct outcome *o)
{
    int how = 0;
    bool is_stopped = stop_signal == 0;
    fb_buf_init(&o->out, 1U << 20);
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        assert_int_equal(fb_buf_add(&o->out, chunk, (size_t)n), FB_OK);
        if (!is_stopped && strstr(fb_buf_str(&o->out), "running\n") != NULL) {
            assert_int_equal(kill(pid, stop_signal), 0);
            is_stopped = true;
        }
    }
    (void)close(fd);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    o->code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

/* program NULL: the service above, in a child. */
static void launch(const char *program, const char *const *words, int stop_signal,
                   struct outcome *o)
{
    int ends[2];
    char *argv[8] = {NULL};
    int argc = 0;
    argv[argc++] = fb_xstrdup(program != NULL ? program : "fumibako-test");
    for (; *words != NULL; words++) {
        argv[argc++] = fb_xstrdup(*words);
    }
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(TIMEOUT_S);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)unsetenv("FUMIBAKO_CONFIG");
        if (program != NULL) {
            (void)execv(program, argv);
            _exit(127);
        }
        int code = fb_service_main(&service, argc, argv);
        (void)fflush(NULL);
        _exit(code);
    }
    (void)close(ends[1]);
    collect(ends[0], pid, stop_signal, o);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
}

static void assert_ends(const char *program, const char *const *words, int code, const char *text)
{
    struct outcome o;
    launch(program, words, 0, &o);
    if (o.code != code || strstr(fb_buf_str(&o.out), text) == NULL) {
        fail_msg("%s %s: exit %d, want %d and \"%s\":\n%s", program != NULL ? program : "test",
                 words[0] != NULL ? words[0] : "", o.code, code, text, fb_buf_str(&o.out));
    }
    fb_buf_deinit(&o.out);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void the_command_line_is_strict(void **state)
{
    (void)state;
    assert_ends(NULL, WORDS("--version"), 0, "fumibako-test " FB_VERSION);
    assert_ends(NULL, WORDS("--help"), 0, "usage: fumibako-test");
    assert_ends(NULL, WORDS("--cheque"), FB_EXIT_USAGE, "usage: fumibako-test");
    assert_ends(NULL, WORDS("--check", "more"), FB_EXIT_USAGE, "usage: fumibako-test");
    assert_ends(NULL, WORDS("--config"), FB_EXIT_USAGE, "usage: fumibako-test");
}

static void check_exits_with_0_or_78(void **state)
{
    (void)state;
    write_config("log: {level: info}\n");
    next_check = FB_OK;
    assert_ends(NULL, WORDS("--config", path, "--check"), 0, "the configuration is good");
    /* Whatever kept it from being usable: a unit file looks at 78. */
    static const enum fb_status bad[] = {FB_CONFIG, FB_IO, FB_NOT_FOUND, FB_INVALID, FB_TOO_BIG};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        next_check = bad[i];
        assert_ends(NULL, WORDS("--config", path, "--check"), FB_EXIT_CONFIG,
                    "fumibako-test: spool.key_file: cannot be read");
    }
    next_check = FB_OK;
    write_config("log: {levle: info}\n");
    assert_ends(NULL, WORDS("--config", path, "--check"), FB_EXIT_CONFIG,
                ":1: log.levle: unknown key");
    assert_ends(NULL, WORDS("--config", path), FB_EXIT_CONFIG, ":1: log.levle: unknown key");
    assert_ends(NULL, WORDS("--config", "/nonexistent", "--check"), FB_EXIT_CONFIG, "No such file");
}

static void dump_config_needs_no_network_and_hides_secrets(void **state)
{
    (void)state;
    struct outcome o;
    write_config("redis: {url: \"redis://:hunter2@192.0.2.1:1\"}\ningest: {token: hunter2}\n");
    next_check = FB_CONFIG; /* is not asked */
    launch(NULL, WORDS("--config", path, "--dump-config"), 0, &o);
    next_check = FB_OK;
    assert_int_equal(o.code, 0);
    assert_null(strstr(fb_buf_str(&o.out), "hunter2"));
    assert_non_null(strstr(fb_buf_str(&o.out), "  url: \"redis://***@192.0.2.1:1\"\n"));
    fb_buf_deinit(&o.out);
}

static void sigterm_ends_it_with_0_after_its_work(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        struct outcome o;
        write_config("metrics: {listen: \"127.0.0.1:0\"}\n");
        launch(NULL, WORDS("--config", path), signals[i], &o);
        assert_int_equal(o.code, 0);
        const char *text = fb_buf_str(&o.out);
        assert_non_null(strstr(text, "\"text\":\"started, version "));
        assert_non_null(strstr(text, "everything in hand was finished or handed back"));
        assert_non_null(strstr(text, "deinit\n"));
        fb_buf_deinit(&o.out);
    }
}

static void a_start_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    write_config("metrics: {listen: \"127.0.0.1:0\"}\n");
    next_run = FB_IO;
    assert_ends(NULL, WORDS("--config", path), FB_EXIT_FAILED, "\"text\":\"the disk is gone\"");
    assert_ends(NULL, WORDS("--config", path), FB_EXIT_FAILED, "deinit\n");
    next_run = FB_OK;
    write_config("metrics: {listen: \"metrics.example\"}\n");
    assert_ends(NULL, WORDS("--config", path), FB_EXIT_CONFIG,
                "metrics.listen: metrics.example is not an IP address");
    write_config("metrics: {listen: \"127.0.0.1:0\"}\n");
    next_check = FB_CONFIG;
    assert_ends(NULL, WORDS("--config", path), FB_EXIT_CONFIG, "spool.key_file");
    next_check = FB_OK;
}

static void the_real_programs_keep_the_same_promises(void **state)
{
    (void)state;
    static const char *const names[] = {"ingest", "render", "upload", "rewrite",
                                        "revoke", "watch",  "portal"};
    int found = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char program[512], text[64];
        (void)snprintf(program, sizeof program, FB_PROGRAMS "/fumibako-%s", names[i]);
        if (access(program, X_OK) != 0) {
            print_message("not built, skipped: fumibako-%s\n", names[i]);
            continue;
        }
        found++;
        (void)snprintf(text, sizeof text, "fumibako-%s " FB_VERSION, names[i]);
        assert_ends(program, WORDS("--version"), 0, text);
        assert_ends(program, WORDS("--no-such-option"), FB_EXIT_USAGE, "usage: fumibako-");
        write_config("redis: {shards: none}\n");
        assert_ends(program, WORDS("--config", path, "--check"), FB_EXIT_CONFIG,
                    ":1: redis.shards: \"none\" is not a whole number");
        assert_ends(program, WORDS("--config", path), FB_EXIT_CONFIG, ":1: redis.shards: ");
        write_config("redis: {url: \"redis://me:hunter2@h\"}\nrewrite: {key: "
                     "0123456789abcdef0123456789abcdef}\n");
        struct outcome o;
        launch(program, WORDS("--config", path, "--dump-config"), 0, &o);
        assert_int_equal(o.code, 0);
        assert_null(strstr(fb_buf_str(&o.out), "hunter2"));
        assert_null(strstr(fb_buf_str(&o.out), "0123456789abcdef"));
        fb_buf_deinit(&o.out);
    }
    assert_true(found > 0);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/fumibako.yaml", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_line_is_strict),
        cmocka_unit_test(check_exits_with_0_or_78),
        cmocka_unit_test(dump_config_needs_no_network_and_hides_secrets),
        cmocka_unit_test(sigterm_ends_it_with_0_after_its_work),
        cmocka_unit_test(a_start_that_fails_leaves_nothing_behind),
        cmocka_unit_test(the_real_programs_keep_the_same_promises),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
