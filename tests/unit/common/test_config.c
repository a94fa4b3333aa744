/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: what each key takes and refuses, where a value may come from, and that every
 * error says file, line, key and what would be right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/config_table.h"

static char dir[] = "/tmp/fumibako-config-XXXXXX";
static char path[64], secret_path[64];

static void write_file(const char *to, const void *text, size_t len)
{
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static enum fb_status load(const char *text, struct fb_config **config_r, struct fb_error *err)
{
    write_file(path, text, strlen(text));
    return fb_config_load(path, config_r, err);
}

static struct fb_config *load_good(const char *text)
{
    struct fb_config *config = NULL;
    struct fb_error err = {0};
    if (load(text, &config, &err) != FB_OK) {
        fail_msg("not taken: %s\n%s", err.text, text);
    }
    return config;
}

/* want: "PATH" at its start stands for the file's path. */
static void assert_refused(const char *name, const char *text, const char *want)
{
    struct fb_config *config = NULL;
    struct fb_error err = {0};
    char full[FB_ERROR_MAX];
    enum fb_status s = load(text, &config, &err);
    bool has_path = strncmp(want, "PATH", 4) == 0;
    (void)snprintf(full, sizeof full, "%s%s", has_path ? path : "", want + (has_path ? 4 : 0));
    if (s != FB_CONFIG || strcmp(err.text, full) != 0) {
        fail_msg("%s: got %s \"%s\", want \"%s\"", name, fb_status_name(s), err.text, full);
    }
    assert_int_equal(err.status, FB_CONFIG);
    assert_null(config);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "~\n", "redis:\ningest: ~\n", "{}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct fb_config *c = load_good(texts[i]);
        assert_string_equal(c->redis.url, "redis://127.0.0.1:6379/0");
        assert_int_equal(c->redis.shards, 1);
        assert_null(c->redis.password);
        assert_string_equal(c->ingest.smtp, "127.0.0.1:10025");
        assert_null(c->ingest.lmtp);
        assert_int_equal(c->ingest.max_message, 150LL << 20);
        assert_int_equal(c->ingest.high_water, 80);
        assert_int_equal(c->ingest.command_timeout_ms, 300000);
        assert_int_equal(c->ingest.allow.count, 2);
        assert_string_equal(c->ingest.allow.items[1], "::1/128");
        assert_int_equal(c->rewrite.lifetime_ms, 5LL * 86400000);
        assert_string_equal(c->policy.source, "redis");
        fb_config_free(&c);
        assert_null(c);
        fb_config_free(&c);
    }
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct fb_config *c = load_good("redis: {url: \"redis://h/1\", shards: 8, password: \"p w\"}\n"
                                    "spool: {url: \"file:///s\", key_file: /k}\n"
                                    "ingest:\n"
                                    "  smtp: \"[::1]:25\"\n"
                                    "  lmtp: 127.0.0.1:24\n"
                                    "  http:\n"
                                    "  max_message: 10MB\n"
                                    "  allow: [10.0.0.0/8, \"fd00::/8\"]\n"
                                    "  xforward: 10.1.0.0/16 , 10.2.0.0/16\n"
                                    "  high_water: 99%\n"
                                    "render: {paper: Letter, timeout: 1m, memory: 1GiB}\n"
                                    "log: {level: debug, format: text}\n"
                                    "policy: {source: \"file:/etc/p.yaml\"}\n"
                                    "retention: {ledger: 10d, dead: 12h}\n");
    assert_string_equal(c->redis.password, "p w");
    assert_int_equal(c->redis.shards, 8);
    assert_string_equal(c->ingest.smtp, "[::1]:25");
    assert_null(c->ingest.http);
    assert_int_equal(c->ingest.max_message, 10000000);
    assert_int_equal(c->ingest.allow.count, 2);
    assert_string_equal(c->ingest.allow.items[1], "fd00::/8");
    assert_int_equal(c->ingest.xforward.count, 2);
    assert_string_equal(c->ingest.xforward.items[1], "10.2.0.0/16");
    assert_string_equal(c->render.paper, "Letter");
    assert_int_equal(c->render.timeout_ms, 60000);
    assert_int_equal(c->retention.dead_ms, 12LL * 3600000);
    fb_config_free(&c);
}

static void errors_say_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"unknown section", "redis:\n  shards: 1\nredsi:\n  shards: 2\n",
         "PATH:3: redsi: unknown section"},
        {"unknown key", "redis:\n\n  shard: 1\n",
         "PATH:3: redis.shard: unknown key; --dump-config lists the known ones"},
        {"a file of what is no secret", "redis: {url_file: /x}\n",
         "PATH:1: redis.url_file: unknown key; --dump-config lists the known ones"},
        {"no number", "redis: {shards: many}\n",
         "PATH:1: redis.shards: \"many\" is not a whole number"},
        {"a fraction", "redis: {shards: 1.5}\n",
         "PATH:1: redis.shards: \"1.5\" is not a whole number"},
        {"too low", "redis: {shards: 0}\n",
         "PATH:1: redis.shards: \"0\" is out of range (1 to 1024)"},
        {"too high", "redis: {shards: 1025}\n",
         "PATH:1: redis.shards: \"1025\" is out of range (1 to 1024)"},
        {"negative", "redis: {shards: -1}\n",
         "PATH:1: redis.shards: \"-1\" is out of range (1 to 1024)"},
        {"beyond 64 bits", "redis: {shards: 99999999999999999999}\n",
         "PATH:1: redis.shards: \"99999999999999999999\" is not a whole number"},
        {"no size", "ingest: {max_message: big}\n",
         "PATH:1: ingest.max_message: \"big\" is not a size as 150MiB"},
        {"small size", "ingest: {max_message: 1}\n",
         "PATH:1: ingest.max_message: \"1\" is out of range (65536 to 17179869184 bytes)"},
        {"no time", "render: {timeout: 20}\n",
         "PATH:1: render.timeout: \"20\" is not a time as 20s, 5m, 2h or 30d"},
        {"short time", "render: {timeout: 1ms}\n",
         "PATH:1: render.timeout: \"1ms\" is out of range (1000 to 3600000 ms)"},
        {"no percentage", "ingest: {high_water: 80}\n",
         "PATH:1: ingest.high_water: \"80\" is not a percentage as 80%"},
        {"all of it", "ingest: {high_water: 100%}\n",
         "PATH:1: ingest.high_water: \"100%\" is out of range (1 to 99)"},
        {"no address", "ingest:\n  smtp: 10025\n",
         "PATH:2: ingest.smtp: \"10025\" is not host:port as 127.0.0.1:10025"},
        {"bare IPv6", "ingest: {smtp: \"::1:25\"}\n",
         "PATH:1: ingest.smtp: \"::1:25\" is not host:port as 127.0.0.1:10025"},
        {"port too high", "ingest: {lmtp: \"h:65536\"}\n",
         "PATH:1: ingest.lmtp: \"h:65536\" is not host:port as 127.0.0.1:10025"},
        {"no choice", "log: {level: loud}\n",
         "PATH:1: log.level: \"loud\" is not one of debug|info|warn|error"},
        {"two choices", "log: {level: \"info|warn\"}\n",
         "PATH:1: log.level: \"info|warn\" is not one of debug|info|warn|error"},
        {"a list for a value", "redis: {url: [a]}\n",
         "PATH:1: redis.url: a single value is expected"},
        {"a map for a value", "redis:\n  url: {a: b}\n",
         "PATH:2: redis.url: a single value is expected"},
        {"a map in a list", "ingest: {allow: [{a: b}]}\n",
         "PATH:1: ingest.allow: an item is not a text"},
        {"a map for a list", "ingest: {allow: {a: b}}\n",
         "PATH:1: ingest.allow: a single value is expected"},
        {"a section that is a value", "redis: redis://h\n",
         "PATH:1: redis: keys are expected below it"},
        {"a list of sections", "- redis\n", "PATH:1: sections as `redis:` are expected"},
        {"half of TLS", "ingest: {tls_cert_file: /c}\n",
         "PATH: ingest.tls_cert_file and ingest.tls_key_file: give both or neither"},
        {"no listener", "ingest: {smtp: , lmtp: }\n",
         "PATH: ingest: no listener is on; set ingest.smtp, ingest.lmtp, or ingest.http with "
         "ingest.token_file"},
        {"short key", "rewrite: {key: short}\n", "PATH: rewrite.key: shorter than 32 characters"},
        {"a portal with a path", "portal: {public_url: \"https://mail.example.jp/\"}\n",
         "PATH: portal.public_url: \"https://mail.example.jp/\" is not a URL as "
         "https://mail.example.jp, in "
         "small letters, without a path or a slash at its end"},
        {"a fetcher without a token", "render: {remote_images: \"http://fetch:8025\"}\n",
         "PATH: render.remote_images: the fetcher asks for a token; set fetch.token_file, or leave "
         "render.remote_images empty"},
        {"a fetcher with a path", "render: {remote_images: \"http://fetch:8025/v1\"}\n",
         "PATH: render.remote_images: \"http://fetch:8025/v1\" is not a URL as "
         "http://127.0.0.1:8025, in small letters, without a path or a slash at its end"},
        {"a short token", "fetch: {token: short}\n",
         "PATH: fetch.token: shorter than 32 characters"},
        {"policy from elsewhere", "policy: {source: \"http://x\"}\n",
         "PATH: policy.source: \"http://x\" is neither redis nor file:PATH"},
        {"a secret given twice", "ingest:\n  token: a\n  token_file: /b\n",
         "PATH:2: ingest.token and ingest.token_file: give one of them"},
        {"a secret's file that is not there", "ingest:\n  token_file: /nonexistent/token\n",
         "PATH:2: ingest.token_file: cannot read the secret: /nonexistent/token: No such file or "
         "directory"},
        {"a secret's file that is a folder", "ingest:\n  token_file: /\n",
         "PATH:2: ingest.token_file: cannot read the secret: / is not a regular file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_refused(rows[i].name, rows[i].text, rows[i].want);
    }
}

static void the_portals_url_is_an_origin(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_good;
    } rows[] = {{"https://mail.example.jp", true},
                {"http://127.0.0.1:8081", true},
                {"https://[2001:db8::1]:8443", true},
                {"https://[2001:db8::1]", true},
                {"https://mail.example.jp:443", true},
                {"mail.example.jp", false},
                {"ftp://mail.example.jp", false},
                {"https://", false},
                {"https://:8081", false},
                {"https://mail.example.jp/", false},
                {"https://mail.example.jp/x", false},
                {"https://mail.example.jp?x", false},
                {"https://mail.example.jp#x", false},
                {"https://mail.example.jp ", false},
                {"https://Mail.example.jp", false},
                {"https://u:p@mail.example.jp", false},
                {"https://mail.example.jp:", false},
                {"https://mail.example.jp:0", false},
                {"https://mail.example.jp:-1", false},
                {"https://mail.example.jp:65536", false},
                {"https://mail.example.jp:80x", false},
                {"https://[2001:db8::1", false},
                {"https://mail.example.jp\"><script>", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_config *c = NULL;
        struct fb_error err = {0};
        assert_int_equal(setenv("FUMIBAKO_PORTAL_PUBLIC_URL", rows[i].url, 1), 0);
        enum fb_status s = load("", &c, &err);
        (void)unsetenv("FUMIBAKO_PORTAL_PUBLIC_URL");
        if ((s == FB_OK) != rows[i].is_good) {
            fail_msg("%s: %s %s", rows[i].url, fb_status_name(s), err.text);
        }
        fb_config_free(&c);
    }
}

static void yaml_errors_say_file_and_line(void **state)
{
    (void)state;
    static const char *const texts[] = {"redis: [\n",
                                        "redis:\n\tshards: 1\n",
                                        "a: &x 1\nb: *x\n",
                                        "redis: {shards: 1}\nredis: {shards: 2}\n",
                                        "redis: {shards: 1, shards: 2}\n",
                                        "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct fb_config *config = NULL;
        struct fb_error err = {0};
        assert_int_equal(load(texts[i], &config, &err), FB_CONFIG);
        assert_true(strncmp(err.text, path, strlen(path)) == 0);
        const char *place = err.text + strlen(path);
        assert_true(place[0] == ':' && place[1] >= '1' && place[1] <= '9');
    }
}

static void a_file_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct fb_config *config = NULL;
    struct fb_error err = {0};
    assert_int_equal(fb_config_load("/nonexistent/fumibako.yaml", &config, &err), FB_CONFIG);
    assert_string_equal(err.text,
                        "configuration: /nonexistent/fumibako.yaml: No such file or directory");
    assert_int_equal(err.status, FB_CONFIG);
}

/* By the table: every number's bounds, at and one beyond. */
static void every_number_keeps_its_bounds(void **state)
{
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < fb_config_row_count; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        const char *unit = row->type == FB_CT_DURATION  ? "ms"
                           : row->type == FB_CT_PERCENT ? "%"
                                                        : "";
        if (row->type != FB_CT_INT && row->type != FB_CT_SIZE && row->type != FB_CT_DURATION &&
            row->type != FB_CT_PERCENT) {
            continue;
        }
        const int64_t edges[] = {row->min, row->max};
        for (int k = 0; k < 2; k++) {
            char text[200];
            int64_t got = 0;
            (void)snprintf(text, sizeof text, "%s: {%s: %lld%s}\n", row->section, row->key,
                           (long long)edges[k], unit);
            struct fb_config *c = load_good(text);
            memcpy(&got, (const char *)c + row->offset, sizeof got);
            assert_int_equal(got, edges[k]);
            fb_config_free(&c);
            if (edges[k] == 0 || edges[k] == INT64_MAX) {
                continue;
            }
            struct fb_error err = {0};
            (void)snprintf(text, sizeof text, "%s: {%s: %lld%s}\n", row->section, row->key,
                           (long long)(k == 0 ? edges[k] - 1 : edges[k] + 1), unit);
            assert_int_equal(load(text, &c, &err), FB_CONFIG);
            bool is_none =
                row->type == FB_CT_PERCENT && edges[k] == 100; /* 101% is no percentage */
            assert_non_null(strstr(err.text, is_none ? "a percentage" : "is out of range"));
        }
        checked++;
    }
    assert_true(checked > 15);
}

static void the_table_is_whole(void **state)
{
    (void)state;
    struct fb_buf table;
    fb_buf_init(&table, 1U << 20);
    assert_int_equal(fb_config_table(&table), FB_OK);
    for (size_t i = 0; i < fb_config_row_count; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        char cell[100];
        assert_true(row->help != NULL && row->help[0] != '\0');
        assert_null(strchr(row->help, '|')); /* it stands in a table */
        assert_true(row->type != FB_CT_CHOICE || row->choices != NULL);
        assert_true(row->offset + sizeof(void *) <= sizeof(struct fb_config));
        (void)snprintf(cell, sizeof cell, "| `%s.%s`", row->section, row->key);
        assert_non_null(strstr(fb_buf_str(&table), cell));
        for (size_t k = 0; k < i; k++) {
            assert_true(fb_config_rows[k].offset != row->offset);
            assert_false(strcmp(fb_config_rows[k].section, row->section) == 0 &&
                         strcmp(fb_config_rows[k].key, row->key) == 0);
        }
    }
    fb_buf_deinit(&table);
}

static void the_environment_overrides_the_file(void **state)
{
    (void)state;
    static const char *const settings[][2] = {
        {"FUMIBAKO_REDIS_SHARDS", "16"},
        {"FUMIBAKO_INGEST_MAX_CONNECTIONS_PER_CLIENT", "7"},
        {"FUMIBAKO_INGEST_ALLOW", "192.0.2.0/24,198.51.100.0/24"},
        {"FUMIBAKO_INGEST_LMTP", "127.0.0.1:24"},
        {"FUMIBAKO_INGEST_HTTP", ""},
        {"FUMIBAKO_LOG_LEVEL", "error"}};
    size_t count = sizeof settings / sizeof settings[0];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(setenv(settings[i][0], settings[i][1], 1), 0);
    }
    struct fb_config *c =
        load_good("redis: {shards: 2}\nlog: {level: debug}\ningest: {allow: [\"::/0\"]}\n");
    for (size_t i = 0; i < count; i++) {
        (void)unsetenv(settings[i][0]);
    }
    assert_int_equal(c->redis.shards, 16);
    assert_int_equal(c->ingest.max_connections_per_client, 7);
    assert_int_equal(c->ingest.allow.count, 2);
    assert_string_equal(c->ingest.allow.items[1], "198.51.100.0/24");
    assert_string_equal(c->ingest.lmtp, "127.0.0.1:24");
    assert_null(c->ingest.http);
    assert_string_equal(c->log.level, "error");
    fb_config_free(&c);
}

static void an_error_in_the_environment_names_the_variable(void **state)
{
    (void)state;
    assert_int_equal(setenv("FUMIBAKO_REDIS_SHARDS", "x", 1), 0);
    assert_refused("number", "",
                   "$FUMIBAKO_REDIS_SHARDS: redis.shards: \"x\" is not a whole number");
    (void)unsetenv("FUMIBAKO_REDIS_SHARDS");
    assert_int_equal(setenv("FUMIBAKO_INGEST_TOKEN_FILE", "/nonexistent/t", 1), 0);
    assert_refused("secret", "",
                   "$FUMIBAKO_INGEST_TOKEN_FILE: ingest.token_file: cannot read the secret: "
                   "/nonexistent/t: No such "
                   "file or directory");
    (void)unsetenv("FUMIBAKO_INGEST_TOKEN_FILE");
}

static void the_file_is_named_by_the_environment(void **state)
{
    (void)state;
    struct fb_config *c = NULL;
    struct fb_error err = {0};
    write_file(path, "redis: {shards: 5}\n", 19);
    assert_int_equal(setenv("FUMIBAKO_CONFIG", path, 1), 0);
    assert_int_equal(fb_config_load(NULL, &c, &err), FB_OK);
    (void)unsetenv("FUMIBAKO_CONFIG");
    assert_int_equal(c->redis.shards, 5);
    fb_config_free(&c);
}

static void a_secret_is_read_from_a_file(void **state)
{
    (void)state;
    char text[200];
    write_file(secret_path, "s3cret with blanks\r\n\n", 21);
    (void)snprintf(text, sizeof text, "ingest: {token_file: \"%s\", token: }\n", secret_path);
    struct fb_config *c = load_good(text);
    assert_string_equal(c->ingest.token, "s3cret with blanks");
    fb_config_free(&c);
    /* The environment wins, by value or by file. */
    assert_int_equal(setenv("FUMIBAKO_INGEST_TOKEN", "from the environment", 1), 0);
    c = load_good(text);
    assert_string_equal(c->ingest.token, "from the environment");
    fb_config_free(&c);
    (void)unsetenv("FUMIBAKO_INGEST_TOKEN");
    assert_int_equal(setenv("FUMIBAKO_INGEST_TOKEN_FILE", secret_path, 1), 0);
    c = load_good("ingest: {token: from-the-file}\n");
    assert_string_equal(c->ingest.token, "s3cret with blanks");
    fb_config_free(&c);
    (void)unsetenv("FUMIBAKO_INGEST_TOKEN_FILE");
}

static void a_secret_file_without_a_secret_is_told(void **state)
{
    (void)state;
    char text[200], want[300];
    static char huge[70000];
    (void)snprintf(text, sizeof text, "ingest: {token_file: \"%s\"}\n", secret_path);
    (void)snprintf(want, sizeof want,
                   "PATH:1: ingest.token_file: %s holds no secret (empty, or not text)",
                   secret_path);
    write_file(secret_path, " \n", 2);
    assert_refused("empty", text, want);
    write_file(secret_path, "a\0b", 3);
    assert_refused("bytes", text, want);
    memset(huge, 'x', sizeof huge);
    write_file(secret_path, huge, sizeof huge);
    (void)snprintf(want, sizeof want,
                   "PATH:1: ingest.token_file: cannot read the secret: %s: larger than 65536 bytes",
                   secret_path);
    assert_refused("huge", text, want);
}

static void a_secret_file_that_others_may_read_or_change_is_refused(void **state)
{
    char text[256], want[256];
    static const mode_t open_to_others[] = {0644, 0604, 0620, 0602, 0666};
    (void)state;
    (void)snprintf(text, sizeof text, "ingest: {token_file: \"%s\"}\n", secret_path);
    write_file(secret_path, "s3cret", 6);
    for (size_t i = 0; i < sizeof open_to_others / sizeof open_to_others[0]; i++) {
        assert_int_equal(chmod(secret_path, open_to_others[i]), 0);
        (void)snprintf(want, sizeof want,
                       "PATH:1: ingest.token_file: cannot read the secret: %s can be read or "
                       "changed by others (mode %03o): chmod 600",
                       secret_path, (unsigned)open_to_others[i]);
        assert_refused("open secret", text, want);
    }
    struct fb_config *config = NULL;
    assert_int_equal(chmod(secret_path, 0640), 0); /* the group may: secrets that are mounted */
    assert_int_equal(load(text, &config, NULL), FB_OK);
    fb_config_free(&config);
}

static void what_a_process_has_no_use_for_is_forgotten(void **state)
{
    static const char *const one[] = {"redis.password", "rewrite.key", NULL}, *const none[] = {
                                                                                  NULL};
    static const char key[] = "0123456789012345678901234567890123456789";
    char text[256];
    struct fb_config *config = NULL;
    (void)state;
    (void)snprintf(text, sizeof text,
                   "redis: {url: \"redis://u:p@h/0\", password: secret}\n"
                   "ingest: {token: secret}\nrewrite: {key: %s}\n",
                   key);
    assert_int_equal(load(text, &config, NULL), FB_OK);
    fb_config_forget(config, one);
    assert_string_equal(config->rewrite.key, key);
    assert_string_equal(config->redis.password, "secret");
    assert_string_equal(config->redis.url, "redis://u:p@h/0");
    assert_memory_equal(config->ingest.token, "\0\0\0\0\0\0", 7);
    fb_config_forget(config, none);
    assert_string_equal(config->rewrite.key, "");
    assert_string_equal(config->redis.password, "");
    assert_string_equal(config->redis.url, "");
    fb_config_free(&config);
}

static void the_dump_reads_back_and_hides_secrets(void **state)
{
    (void)state;
    struct fb_buf once, twice;
    fb_buf_init(&once, 1U << 20);
    fb_buf_init(&twice, 1U << 20);
    struct fb_config *c = load_good(
        "redis: {url: \"redis://me:hunter2@h:1/0\", password: hunter2}\n"
        "ingest: {token: hunter2, name: \"a \\\"b\\\" \\\\ \\t\", allow: [\"x\\\"y\", z]}\n"
        "spool: {url: \"s3://u:hunter2@h/?a@b\"}\n"
        "render: {chromium: \"/opt/\\u6587\\u7bb1\"}\n"
        "rewrite: {key: \"hunter2 hunter2 hunter2 hunter2 hunter2\", postmaster: \"p@h\"}\n");
    assert_int_equal(fb_config_dump(c, &once), FB_OK);
    fb_config_free(&c);
    const char *text = fb_buf_str(&once);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "  url: \"redis://***@h:1/0\"\n"));
    assert_non_null(strstr(text, "  token: \"***\"\n"));
    assert_non_null(strstr(text, "  lmtp: \n"));
    assert_non_null(strstr(text, "  postmaster: \"p@h\"\n"));
    /* *** is too short for a key; everything else reads back. */
    assert_int_equal(setenv("FUMIBAKO_REWRITE_KEY", "0123456789abcdef0123456789abcdef", 1), 0);
    c = load_good(text);
    (void)unsetenv("FUMIBAKO_REWRITE_KEY");
    assert_string_equal(c->ingest.name, "a \"b\" \\ \t");
    assert_string_equal(c->ingest.allow.items[0], "x\"y");
    assert_int_equal(fb_config_dump(c, &twice), FB_OK);
    assert_string_equal(text, fb_buf_str(&twice));
    fb_config_free(&c);
    fb_buf_deinit(&once);
    fb_buf_deinit(&twice);
}

static void a_text_that_is_emptied_falls_back(void **state)
{
    (void)state;
    struct fb_config *c =
        load_good("redis: {url: }\nrender: {chromium_user: \"\"}\nmetrics: {listen: ~}\n");
    assert_string_equal(c->redis.url, "redis://127.0.0.1:6379/0");
    assert_string_equal(c->render.chromium_user, "nobody");
    assert_string_equal(c->metrics.listen, "127.0.0.1");
    fb_config_free(&c);
}

static void host_and_port_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *in, *host;
        int port;
    } rows[] = {{"127.0.0.1:25", "127.0.0.1", 25},
                {"mx.example:0", "mx.example", 0},
                {"[::1]:65535", "::1", 65535},
                {":25", NULL, 0},
                {"h:", NULL, 0},
                {"h", NULL, 0},
                {"", NULL, 0},
                {"[::1]", NULL, 0},
                {"[]:1", NULL, 0},
                {"::1:25", NULL, 0},
                {"h:-1", NULL, 0},
                {"h:1x", NULL, 0},
                {"]:1", "]", 1},
                {"[:1", NULL, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[16] = "";
        uint16_t port = 0;
        bool is_good = fb_host_port(rows[i].in, host, sizeof host, &port);
        if (is_good != (rows[i].host != NULL) ||
            (is_good && (strcmp(host, rows[i].host) != 0 || port != rows[i].port))) {
            fail_msg("\"%s\": got %d \"%s\" %u", rows[i].in, is_good, host, port);
        }
    }
    char host[4];
    uint16_t port = 0;
    assert_false(fb_host_port("long:1", host, sizeof host, &port));
    assert_true(fb_host_port("abc:1", host, sizeof host, &port));
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/fumibako.yaml", dir);
    (void)snprintf(secret_path, sizeof secret_path, "%s/secret", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(secret_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(errors_say_file_line_and_key),
        cmocka_unit_test(the_portals_url_is_an_origin),
        cmocka_unit_test(yaml_errors_say_file_and_line),
        cmocka_unit_test(a_file_that_is_not_there_is_told),
        cmocka_unit_test(every_number_keeps_its_bounds),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(the_environment_overrides_the_file),
        cmocka_unit_test(an_error_in_the_environment_names_the_variable),
        cmocka_unit_test(the_file_is_named_by_the_environment),
        cmocka_unit_test(a_secret_is_read_from_a_file),
        cmocka_unit_test(a_secret_file_without_a_secret_is_told),
        cmocka_unit_test(a_secret_file_that_others_may_read_or_change_is_refused),
        cmocka_unit_test(what_a_process_has_no_use_for_is_forgotten),
        cmocka_unit_test(the_dump_reads_back_and_hides_secrets),
        cmocka_unit_test(a_text_that_is_emptied_falls_back),
        cmocka_unit_test(host_and_port_are_split),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
