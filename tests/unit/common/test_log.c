/* SPDX-License-Identifier: Apache-2.0
 *
 * A log line is one JSON object, whatever bytes come in: valid UTF-8, no control characters, never
 * cut in its middle, and its ids are always there.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/buf.h"
#include "common/log.h"

#define MAX_LINES (1U << 20)

static int saved_stderr = -1;
static char log_path[] = "/tmp/fumibako-log-XXXXXX";

static void begin(bool is_json)
{
    memcpy(log_path + strlen(log_path) - 6, "XXXXXX", 6);
    int fd = mkstemp(log_path);
    assert_true(fd >= 0);
    (void)fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    (void)close(fd);
    fb_log_init("test", FB_DEBUG, is_json);
}

static void end(struct fb_buf *lines)
{
    struct fb_error err = {0};
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    (void)close(saved_stderr);
    fb_log_context_clear();
    assert_int_equal(fb_read_file(log_path, MAX_LINES, lines, &err), FB_OK);
    (void)unlink(log_path);
}

/* The only line, as an object. */
static json_t *only_object(const struct fb_buf *lines)
{
    json_error_t why;
    assert_true(lines->len > 0 && lines->len <= 4200);
    assert_ptr_equal(memchr(lines->ptr, '\n', lines->len), lines->ptr + lines->len - 1);
    for (size_t i = 0; i + 1 < lines->len; i++) {
        assert_true(lines->ptr[i] >= 0x20 && lines->ptr[i] != 0x7f);
        assert_false(lines->ptr[i] == 0xc2 && lines->ptr[i + 1] < 0xa0); /* C1 */
    }
    json_t *object = json_loadb(fb_buf_str(lines), lines->len, JSON_REJECT_DUPLICATES, &why);
    if (object == NULL) {
        fail_msg("no JSON (%s): %s", why.text, fb_buf_str(lines));
    }
    return object;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void a_line_has_time_level_service_text_and_ids(void **state)
{
    (void)state;
    struct fb_buf lines;
    begin(true);
    fb_log_context("01J8ZQ4W8N7Y2V3K5M6P9R0STX", "01J8ZQ4W8N7Y2V3K5M6P9R0STX-3", "upload",
                   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 2);
    fb_log_fields(FB_WARN, "told to wait", "storage", "box", "call", "folders", NULL);
    end(&lines);
    json_t *o = only_object(&lines);
    assert_string_equal(text_of(o, "level"), "warn");
    assert_string_equal(text_of(o, "service"), "test");
    assert_string_equal(text_of(o, "text"), "told to wait");
    assert_string_equal(text_of(o, "msg_id"), "01J8ZQ4W8N7Y2V3K5M6P9R0STX");
    assert_string_equal(text_of(o, "parcel_id"), "01J8ZQ4W8N7Y2V3K5M6P9R0STX-3");
    assert_string_equal(text_of(o, "stage"), "upload");
    assert_string_equal(text_of(o, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(text_of(o, "span_id"), "00f067aa0ba902b7");
    assert_string_equal(text_of(o, "attempt"), "2");
    assert_string_equal(text_of(o, "storage"), "box");
    assert_string_equal(text_of(o, "call"), "folders");
    assert_int_equal(strlen(text_of(o, "time")), strlen("2025-01-01T00:00:00.000Z"));
    json_decref(o);
    fb_buf_deinit(&lines);
}

static void hostile_bytes_stay_one_valid_line(void **state)
{
    (void)state;
    static const struct {
        const char *name, *in, *want;
    } rows[] = {
        {"quotes and backslashes", "\"},{\\\"", "\"},{\\\""},
        {"line ends", "a\r\nb\n", "a\r\nb\n"},
        {"terminal", "\x1b]0;x\x07\x7f", "\x1b]0;x\x07\x7f"},
        {"C1",
         "\xc2\x9b"
         "31m",
         "\xc2\x9b"
         "31m"},
        {"Japanese", "\xe6\x96\x87\xe7\xae\xb1", "\xe6\x96\x87\xe7\xae\xb1"},
        {"emoji", "\xf0\x9f\x93\xa6", "\xf0\x9f\x93\xa6"},
        {"Latin-1", "caf\xe9.", "caf\xef\xbf\xbd."},
        {"a lone start", "\xe6", "\xef\xbf\xbd"},
        {"a cut character", "\xe6\x96", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"overlong slash", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"overlong NUL in three", "\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"above U+10FFFF", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"ff", "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf lines;
        begin(true);
        fb_log_fields(FB_ERROR, rows[i].in, "key", rows[i].in, NULL);
        end(&lines);
        json_t *o = only_object(&lines);
        if (strcmp(text_of(o, "text"), rows[i].want) != 0 ||
            strcmp(text_of(o, "key"), rows[i].want) != 0) {
            fail_msg("%s: got %s", rows[i].name, fb_buf_str(&lines));
        }
        json_decref(o);
        fb_buf_deinit(&lines);
    }
}

static void every_byte_is_taken(void **state)
{
    (void)state;
    for (int first = 1; first < 256; first++) {
        char text[] = {(char)first, (char)(first ^ 0x5a), (char)0x80, (char)0xbf, '\0'};
        struct fb_buf lines;
        begin(true);
        fb_log(FB_INFO, "%s", text);
        end(&lines);
        json_decref(only_object(&lines));
        fb_buf_deinit(&lines);
    }
}

/* Once a long text with many escapes left the line without its end. */
static void a_long_line_is_cut_between_characters_and_keeps_its_ids(void **state)
{
    (void)state;
    static const char *const fillers[] = {"x",   "\x01", "\"", "\xe6\x96\x87", "\xf0\x9f\x93\xa6",
                                          "\xff"};
    for (size_t f = 0; f < sizeof fillers / sizeof fillers[0]; f++) {
        for (size_t length = 500; length < 6000; length += length % 7 == 0 ? 401 : 1 + length / 9) {
            struct fb_buf text, lines;
            fb_buf_init(&text, 1U << 20);
            while (text.len < length) {
                assert_int_equal(fb_buf_add_str(&text, fillers[f]), FB_OK);
            }
            begin(true);
            fb_log_context("01J8ZQ4W8N7Y2V3K5M6P9R0STX", "01J8ZQ4W8N7Y2V3K5M6P9R0STX-3", "upload",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 2);
            fb_log_fields(FB_ERROR, fb_buf_str(&text), "one", fb_buf_str(&text), "two",
                          fb_buf_str(&text), "three", "3", NULL);
            end(&lines);
            json_t *o = only_object(&lines);
            assert_string_equal(text_of(o, "msg_id"), "01J8ZQ4W8N7Y2V3K5M6P9R0STX");
            assert_string_equal(text_of(o, "attempt"), "2");
            json_decref(o);
            fb_buf_deinit(&lines);
            fb_buf_deinit(&text);
        }
    }
}

static void text_for_people_is_one_line_as_well(void **state)
{
    (void)state;
    struct fb_buf lines;
    begin(false);
    fb_log_context(NULL, NULL, "render", NULL, 0);
    fb_log_fields(FB_INFO, "a\nb\x1b[1m", "key", "c\nd", NULL);
    end(&lines);
    const char *text = fb_buf_str(&lines);
    assert_ptr_equal(strchr(text, '\n'), text + lines.len - 1);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(
        text,
        " info  test: a\\u000ab\\u001b[1m stage=\"render\" attempt=\"0\" key=\"c\\u000ad\"\n"));
    fb_buf_deinit(&lines);
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    struct fb_buf lines;
    enum fb_level level = FB_FATAL;
    begin(true);
    assert_true(fb_log_level_parse("warn", &level));
    assert_false(fb_log_level_parse("WARN", &level));
    fb_log_init("test", level, true);
    fb_log(FB_DEBUG, "no");
    fb_log(FB_INFO, "no");
    fb_log(FB_WARN, "yes");
    end(&lines);
    assert_null(strstr(fb_buf_str(&lines), "\"no\""));
    json_decref(only_object(&lines));
    fb_buf_deinit(&lines);
}

static void a_context_belongs_to_its_thread_and_ends(void **state)
{
    (void)state;
    struct fb_buf lines;
    begin(true);
    fb_log_context("01J8ZQ4W8N7Y2V3K5M6P9R0STX", NULL, "render", NULL, 1);
    fb_log_context_clear();
    fb_log(FB_INFO, "after");
    end(&lines);
    json_t *o = only_object(&lines);
    assert_null(json_object_get(o, "msg_id"));
    assert_null(json_object_get(o, "attempt"));
    json_decref(o);
    fb_buf_deinit(&lines);
}

static void *write_lines(void *ctx)
{
    for (int i = 0; i < 200; i++) {
        fb_log_context(NULL, NULL, ctx, NULL, (uint32_t)i);
        fb_log(FB_INFO, "%0200d", i);
    }
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    struct fb_buf lines;
    pthread_t threads[4];
    static char stage[] = "render";
    begin(true);
    /* Appending, as a container's log does. */
    int fd = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    (void)close(fd);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, stage), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    end(&lines);
    size_t count = 0;
    for (const char *at = fb_buf_str(&lines); *at != '\0'; count++) {
        const char *newline = strchr(at, '\n');
        assert_non_null(newline);
        json_t *o = json_loadb(at, (size_t)(newline - at), 0, NULL);
        assert_non_null(o);
        json_decref(o);
        at = newline + 1;
    }
    assert_int_equal(count, 800);
    fb_buf_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_service_text_and_ids),
        cmocka_unit_test(hostile_bytes_stay_one_valid_line),
        cmocka_unit_test(every_byte_is_taken),
        cmocka_unit_test(a_long_line_is_cut_between_characters_and_keeps_its_ids),
        cmocka_unit_test(text_for_people_is_one_line_as_well),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(a_context_belongs_to_its_thread_and_ends),
        cmocka_unit_test(lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
