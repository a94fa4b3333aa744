/* SPDX-License-Identifier: Apache-2.0
 *
 * common/confine.h: the rules that are made of a configuration, and what a process under them can do.
 * (The real services are tried by tests/integration/security/privilege.test.mjs.) */
#include "common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/fumibako-confine-XXXXXX";

static struct fb_config *configured(const char *redis, const char *more)
{
    struct fb_config *c = NULL;
    struct fb_error err = {0};
    char path[96], text[2048];
    (void)snprintf(path, sizeof path, "%s/fumibako.yaml", dir);
    int n = snprintf(text, sizeof text,
                     "redis: {url: \"%s\"}\nspool: {url: \"file://%s/spool\", key_file: %s/key}\n"
                     "rewrite: {relay: \"smtp://127.0.0.1:2526\"}\npolicy: {cache: %s/policy}\n%s",
                     redis, dir, dir, dir, more);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, (size_t)n), n);
    assert_int_equal(close(fd), 0);
    if (fb_config_load(path, &c, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    return c;
}

static bool has_path(const struct fb_confine_rules *r, const char *name, bool is_written)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    for (size_t i = 0; i < r->path_count; i++) {
        if (strcmp(r->paths[i].path, path) == 0 && r->paths[i].is_written == is_written) {
            return true;
        }
    }
    return false;
}

static bool has_port(const uint16_t *ports, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (ports[i] == port) {
            return true;
        }
    }
    return false;
}

static void a_service_may_what_it_uses_and_no_more(void **state)
{
    struct fb_confine_rules r;
    (void)state;
    struct fb_config *c = configured("redis://127.0.0.1:6399/0", "");
    fb_confine_rules_init(c, FB_USES_SPOOL | FB_USES_RELAY, 9104, &r);
    assert_true(has_path(&r, "spool", true));
    assert_true(has_path(&r, "key", false));
    assert_false(has_path(&r, "policy", true));
    assert_true(r.has_file_rules && r.has_connect_rules && !r.may_execute);
    assert_true(has_port(r.connects, r.connect_count, 6399));
    assert_true(has_port(r.connects, r.connect_count, 2526));
    assert_true(has_port(r.listens, r.listen_count, 9104));
    assert_false(has_port(r.listens, r.listen_count, 10025));
    fb_confine_rules_deinit(&r);

    fb_confine_rules_init(c, FB_USES_SMTP_SERVER, 9101, &r);
    assert_false(has_path(&r, "spool", true));
    assert_true(has_port(r.listens, r.listen_count, 10025));
    assert_false(has_port(r.connects, r.connect_count, 2526));
    fb_confine_rules_deinit(&r);

    fb_confine_rules_init(c, FB_USES_POLICY | FB_USES_STORAGES, 9103, &r);
    assert_true(has_path(&r, "policy", true));
    assert_false(r.has_connect_rules); /* storages stand in the policy */
    fb_confine_rules_deinit(&r);

    fb_confine_rules_init(c, FB_USES_BROWSER | FB_USES_FETCHER, 9102, &r);
    assert_true(r.may_execute && !r.has_file_rules && r.has_connect_rules);
    assert_false(has_port(r.connects, r.connect_count, 8025)); /* no fetcher is configured */
    fb_confine_rules_deinit(&r);
    fb_config_free(&c);
}

static void the_fetcher_reaches_the_web_and_neither_redis_nor_its_password(void **state)
{
    static const char token[] = "fetch: {token: 01234567890123456789012345678901}\n"
                                "render: {remote_images: \"http://127.0.0.1:8026\"}\n";
    struct fb_confine_rules r;
    (void)state;
    struct fb_config *c = configured("redis://127.0.0.1:6399/0", token);
    fb_confine_rules_init(c, FB_USES_WEB, 9109, &r);
    assert_true(r.has_file_rules && r.has_connect_rules && !r.may_execute);
    assert_int_equal(r.connect_count, 3);
    assert_true(has_port(r.connects, r.connect_count, 80));
    assert_true(has_port(r.connects, r.connect_count, 443));
    assert_true(has_port(r.connects, r.connect_count, 53));
    assert_true(has_port(r.listens, r.listen_count, 8025));
    for (size_t i = 0; i < r.path_count; i++) {
        assert_false(r.paths[i].is_written);
    }
    fb_confine_rules_deinit(&r);
    fb_confine_rules_init(c, FB_USES_FETCHER, 9102, &r);
    assert_true(has_port(r.connects, r.connect_count, 8026));
    fb_confine_rules_deinit(&r);
    fb_confine_secrets(c, FB_USES_WEB);
    assert_true(c->redis.url == NULL || c->redis.url[0] == '\0');
    assert_string_equal(c->fetch.token, "01234567890123456789012345678901");
    fb_config_free(&c);
}

static void where_peers_are_not_known_at_the_start_connecting_is_free(void **state)
{
    static const char *const urls[] = {"redis+sentinel://127.0.0.1:26379/main/0",
                                       "redis+cluster://127.0.0.1:7000,127.0.0.1:7001"};
    struct fb_confine_rules r;
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct fb_config *c = configured(urls[i], "");
        fb_confine_rules_init(c, FB_USES_SPOOL, 9101, &r);
        assert_false(r.has_connect_rules);
        assert_true(r.has_file_rules);
        fb_confine_rules_deinit(&r);
        fb_config_free(&c);
    }
}

/* In a child: what it may do under the rules of a service that uses the spool. */
static int under_rules(const struct fb_config *c)
{
    struct fb_confine_rules r;
    struct fb_error err = {0};
    char path[96];
    (void)snprintf(path, sizeof path, "%s/other", dir);
    fb_confine_memory();
    fb_confine_rules_init(c, FB_USES_SPOOL, 9101, &r);
    enum fb_status s = fb_confine(c, &r, &err);
    fb_confine_rules_deinit(&r);
    if (s != FB_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bool has_files = fb_landlock_version() > 0;
    if (has_files && (open(path, O_RDONLY) >= 0 || errno != EACCES)) {
        return 2;
    }
    if (has_files && (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)) {
        return 3;
    }
    (void)snprintf(path, sizeof path, "%s/spool/mine", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || close(fd) != 0 || unlink(path) != 0) {
        return 4;
    }
    (void)execl("/there-is-no-such-program", "x", (char *)NULL);
    if (errno != EPERM) {
        return 5;
    }
    (void)snprintf(path, sizeof path, "%s/spool/link", dir);
    if (symlink("/etc/passwd", path) == 0 || (errno != EPERM && errno != EACCES)) {
        return 6;
    }
    return setuid(0) == 0 || errno != EPERM ? 7 : 0;
}

static void under_the_rules_nothing_else_can_be_opened_made_or_run(void **state)
{
    char path[96];
    int how = 0;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/other", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && close(fd) == 0);
    struct fb_config *c = configured("redis://127.0.0.1:6399/0", "");
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(under_rules(c));
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_int_equal(unlink(path), 0);
    fb_config_free(&c);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"fumibako.yaml", "spool", "policy", "."};
    char path[96];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, i < 3 ? names[i] : "");
        if (remove(path) != 0) {
            return -1;
        }
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_may_what_it_uses_and_no_more),
        cmocka_unit_test(the_fetcher_reaches_the_web_and_neither_redis_nor_its_password),
        cmocka_unit_test(where_peers_are_not_known_at_the_start_connecting_is_free),
        cmocka_unit_test(under_the_rules_nothing_else_can_be_opened_made_or_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
