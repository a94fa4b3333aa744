/* SPDX-License-Identifier: Apache-2.0
 *
 * The YAML reader: every node knows its line, every error names one, and what could be used to make
 * us slow or surprised (aliases, tags, duplicate keys, depth) is refused.
 */
#include "common/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum fb_status parse(const char *text, struct fb_yaml **root_r, struct fb_error *err)
{
    return fb_yaml_parse(fb_slice_str(text), root_r, err);
}

static struct fb_yaml *parse_ok(const char *text)
{
    struct fb_yaml *root = NULL;
    struct fb_error err = {0};
    if (parse(text, &root, &err) != FB_OK) {
        fail_msg("not parsed: %s", err.text);
    }
    return root;
}

static void every_node_knows_its_line(void **state)
{
    (void)state;
    struct fb_yaml *root = parse_ok("# head\n"
                                    "redis: {url: \"a\", shards: 1}\n"
                                    "list:\n"
                                    "  - one\n"
                                    "  - {deep:\n"
                                    "      x}\n"
                                    "empty:\n");
    assert_int_equal(root->kind, FB_YAML_MAP);
    assert_int_equal(root->line, 2);
    assert_int_equal(root->count, 3);
    const struct fb_yaml *redis = fb_yaml_get(root, "redis");
    assert_int_equal(redis->line, 2);
    assert_string_equal(fb_yaml_get(redis, "url")->scalar, "a");
    assert_true(fb_yaml_get(redis, "url")->is_quoted);
    assert_false(fb_yaml_get(redis, "shards")->is_quoted);
    const struct fb_yaml *list = fb_yaml_get(root, "list");
    assert_int_equal(list->kind, FB_YAML_LIST);
    assert_int_equal(list->count, 2);
    assert_int_equal(list->items[0].line, 4);
    assert_int_equal(list->items[1].line, 5);
    assert_int_equal(fb_yaml_get(&list->items[1], "deep")->line, 6);
    assert_int_equal(list->items[1].key_lines[0], 5);
    assert_true(fb_yaml_is_null(fb_yaml_get(root, "empty")));
    assert_null(fb_yaml_get(root, "absent"));
    assert_null(fb_yaml_get(list, "absent"));
    assert_null(fb_yaml_get(NULL, "absent"));
    fb_yaml_free(&root);
    assert_null(root);
}

static void null_is_only_what_is_unquoted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"a:", true},       {"a: ~", true},      {"a: null", true}, {"a: NULL", true},
        {"a: \"\"", false}, {"a: '~'", false},   {"a: nil", false}, {"a: \"null\"", false},
        {"a: []", false},   {"a: |\n  ", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_yaml *root = parse_ok(rows[i].text);
        if (fb_yaml_is_null(&root->items[0]) != rows[i].want) {
            fail_msg("row %s: want %d", rows[i].text, rows[i].want);
        }
        fb_yaml_free(&root);
    }
}

static void an_empty_document_is_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fb_yaml *root = parse_ok(texts[i]);
        assert_true(fb_yaml_is_null(root));
        fb_yaml_free(&root);
    }
}

static void errors_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"unclosed list", "a: 1\nb: [1, 2\n", "line 3: "},
        {"bad indent", "a: 1\n  b: 2\n", "line 2: "},
        {"tab indent", "a:\n\tb: 2\n", "line 2: "},
        {"duplicate key", "a: 1\nb: 2\na: 3\n",
         "line 3: the key \"a\" is there twice (first on line 1)"},
        {"duplicate key, flow", "x: {a: 1, a: 2}\n", "line 1: the key \"a\" is there twice"},
        {"alias", "a: &x [1]\nb: *x\n", "line 2: aliases"},
        {"alias as key", "a: &x 1\n*x : 2\n", "line 2: aliases"},
        {"merge key", "a: &x {k: 1}\nb:\n  <<: *x\n", "line 3: aliases"},
        {"list as key", "a: 1\n[b]: 2\n", "line 2: a key must be plain text"},
        {"tag by accident", "a: 1\nto: [!@example.jp]\n", "line 2: a text that begins with \"!\""},
        {"glob without quotes", "a: 1\nname: [*.xlsx]\n", "line 2: a text that begins with \"*\""},
        {"address without quotes", "a: 1\nto: @b.example\n",
         "line 2: a text that begins with \"@\""},
        {"tag on a map", "a: !!map {}\n", "line 1: a text that begins with \"!\""},
        {"tag on a list", "a: !x []\n", "line 1: a text that begins with \"!\""},
        {"two documents", "a: 1\n---\nb: 2\n", "line 2: more than one document"},
        {"nul by escape", "a: 1\nb: \"x\\0y\"\n", "line 2: a NUL"},
        {"control character", "a: 1\nb: \"x\x01y\"\n", "line 2: control characters"},
        {"not utf-8", "a: 1\n\nb: \xff\xfe\n", "line 3: "},
        {"half a surrogate", "a: \"\\ud800\"\n", "line 1: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_yaml *root = NULL;
        struct fb_error err = {0};
        enum fb_status status = parse(rows[i].text, &root, &err);
        if (status != FB_INVALID || strncmp(err.text, rows[i].want, strlen(rows[i].want)) != 0) {
            fail_msg("%s: got %s \"%s\", want \"%s\"", rows[i].name, fb_status_name(status),
                     err.text, rows[i].want);
        }
        assert_null(root);
    }
}

/* `prefix` count times, then `middle`, then `suffix` count times. */
static enum fb_status parse_repeated(const char *prefix, const char *middle, const char *suffix,
                                     size_t count, struct fb_error *err)
{
    struct fb_buf text;
    struct fb_yaml *root = NULL;
    fb_buf_init(&text, (size_t)16 * 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fb_buf_add_str(&text, prefix), FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&text, middle), FB_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fb_buf_add_str(&text, suffix), FB_OK);
    }
    enum fb_status status = fb_yaml_parse(fb_slice_buf(&text), &root, err);
    fb_yaml_free(&root);
    fb_buf_deinit(&text);
    return status;
}

static void limits_hold_at_the_limit_and_one_above(void **state)
{
    (void)state;
    struct fb_error err = {0};
    assert_int_equal(parse_repeated("[", "x", "]", 31, &err), FB_OK);
    assert_int_equal(parse_repeated("[", "x", "]", 32, &err), FB_INVALID);
    assert_non_null(strstr(err.text, "nested deeper than 32"));
    assert_int_equal(parse_repeated("[", "x", "]", 100000, &err), FB_INVALID);
    assert_non_null(strstr(err.text, "nested deeper"));
    assert_int_equal(parse_repeated("- x\n", "", "", 199999, &err), FB_OK);
    assert_int_equal(parse_repeated("- x\n", "", "", 200000, &err), FB_INVALID);
    assert_non_null(strstr(err.text, "more than 200000 values"));
    assert_int_equal(parse_repeated("#\n", "a: 1", "", 2 * 1024 * 1024 - 2, &err), FB_OK);
    assert_int_equal(parse_repeated("#\n", "a: 1 ", "", 2 * 1024 * 1024 - 2, &err), FB_INVALID);
    assert_non_null(strstr(err.text, "larger than 4194304 bytes"));
}

static void a_map_has_at_most_1024_keys(void **state)
{
    (void)state;
    for (int count = 1024; count <= 1025; count++) {
        struct fb_buf text;
        struct fb_yaml *root = NULL;
        struct fb_error err = {0};
        fb_buf_init(&text, 65536);
        for (int i = 0; i < count; i++) {
            assert_int_equal(fb_buf_printf(&text, "k%d: v\n", i), FB_OK);
        }
        enum fb_status status = fb_yaml_parse(fb_slice_buf(&text), &root, &err);
        assert_int_equal(status, count == 1024 ? FB_OK : FB_INVALID);
        if (status == FB_OK) {
            assert_int_equal(root->count, 1024);
            assert_string_equal(root->keys[1023], "k1023");
            assert_int_equal(root->items[1023].line, 1024);
        }
        fb_yaml_free(&root);
        fb_buf_deinit(&text);
    }
}

static void booleans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_ok, want;
    } rows[] = {
        {"true", true, true}, {"yes", true, true},     {"On", true, true}, {"false", true, false},
        {"NO", true, false},  {"off", true, false},    {"", false, false}, {"1", false, false},
        {"y", false, false},  {"true ", false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool value = false;
        bool is_ok = fb_parse_bool(rows[i].text, &value);
        if (is_ok != rows[i].is_ok || (is_ok && value != rows[i].want)) {
            fail_msg("bool \"%s\"", rows[i].text);
        }
    }
}

struct number_row {
    const char *text;
    int64_t want; /* INT64_MIN: refused */
};

static void check_numbers(const char *kind, bool (*parse_number)(const char *, int64_t *),
                          const struct number_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = INT64_MIN;
        bool is_ok = parse_number(rows[i].text, &value);
        if (is_ok != (rows[i].want != INT64_MIN) || value != rows[i].want) {
            fail_msg("%s \"%s\": got %lld, want %lld", kind, rows[i].text, (long long)value,
                     (long long)rows[i].want);
        }
    }
}

static void numbers_sizes_durations(void **state)
{
    (void)state;
    static const struct number_row ints[] = {
        {"0", 0},           {"-7", -7},          {"9223372036854775807", INT64_MAX},
        {"12a", INT64_MIN}, {"", INT64_MIN},     {"9223372036854775808", INT64_MIN},
        {"+1", INT64_MIN},  {" 1", INT64_MIN},   {"1.5", INT64_MIN},
        {"-", INT64_MIN},   {"0x10", INT64_MIN},
    };
    static const struct number_row sizes[] = {
        {"4096", 4096},
        {"10MB", 10000000},
        {"150MiB", 157286400},
        {"1kb", 1000},
        {"1 GiB", 1LL << 30},
        {"2TiB", 1LL << 41},
        {"5B", 5},
        {"10M", INT64_MIN},
        {"-1", INT64_MIN},
        {"", INT64_MIN},
        {"MiB", INT64_MIN},
        {"1.5MiB", INT64_MIN},
        {"9000000TiB", INT64_MIN},
        {"8388607TiB", 8388607LL << 40},
    };
    static const struct number_row durations[] = {
        {"0", 0},
        {"500ms", 500},
        {"20s", 20000},
        {"5m", 300000},
        {"2h", 7200000},
        {"30d", 2592000000LL},
        {"20", INT64_MIN},
        {"", INT64_MIN},
        {"-5s", INT64_MIN},
        {"5w", INT64_MIN},
        {"106751991168d", INT64_MIN},
    };
    check_numbers("int", fb_parse_int, ints, sizeof(ints) / sizeof(ints[0]));
    check_numbers("size", fb_parse_size, sizes, sizeof(sizes) / sizeof(sizes[0]));
    check_numbers("duration", fb_parse_duration, durations,
                  sizeof(durations) / sizeof(durations[0]));
}

static void percents(void **state)
{
    (void)state;
    int value = -1;
    assert_true(fb_parse_percent("80%", &value));
    assert_int_equal(value, 80);
    assert_true(fb_parse_percent("100%", &value));
    assert_false(fb_parse_percent("101%", &value));
    assert_false(fb_parse_percent("80", &value));
    assert_false(fb_parse_percent("%", &value));
    assert_int_equal(value, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_line),
        cmocka_unit_test(null_is_only_what_is_unquoted),
        cmocka_unit_test(an_empty_document_is_null),
        cmocka_unit_test(errors_name_their_line),
        cmocka_unit_test(limits_hold_at_the_limit_and_one_above),
        cmocka_unit_test(a_map_has_at_most_1024_keys),
        cmocka_unit_test(booleans),
        cmocka_unit_test(numbers_sizes_durations),
        cmocka_unit_test(percents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
