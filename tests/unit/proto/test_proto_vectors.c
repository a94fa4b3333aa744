/* SPDX-License-Identifier: Apache-2.0
 *
 * The golden vectors of proto/vectors, byte for byte: what is good reads to what its description
 * says and is written as it stands, what is bad is refused with the words of bad/index.json.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "tests/unit/proto/proto_json.h"

#define MAX_FILE (1U << 20)

static void read_vector(const char *folder, const char *name, struct fb_buf *bytes)
{
    char path[1024];
    struct fb_error err = {0};
    (void)snprintf(path, sizeof path, FB_VECTORS "/%s/%s", folder, name);
    if (fb_read_file(path, MAX_FILE, bytes, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
}

static json_t *read_json(const char *folder, const char *name)
{
    struct fb_buf text;
    json_error_t why;
    read_vector(folder, name, &text);
    json_t *json = json_loadb(fb_buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &why);
    if (json == NULL) {
        fail_msg("%s line %d: %s", name, why.line, why.text);
    }
    fb_buf_deinit(&text);
    return json;
}

static size_t each_of(const char *folder, const char *ending, void (*fn)(const char *name))
{
    size_t count = 0;
    struct dirent **names = NULL;
    char path[1024];
    (void)snprintf(path, sizeof path, FB_VECTORS "/%s", folder);
    int n = scandir(path, &names, NULL, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]->d_name);
        if (len > strlen(ending) && strcmp(names[i]->d_name + len - strlen(ending), ending) == 0) {
            fn(names[i]->d_name);
            count++;
        }
        free(names[i]);
    }
    free(names);
    return count;
}

static void with_bytes_of(const char *name, char other[300])
{
    (void)snprintf(other, 300, "%.*s.msgpack", (int)(strlen(name) - strlen(".json")), name);
}

static void assert_same_json(const char *name, const json_t *got, const json_t *want)
{
    if (!json_equal(got, want)) {
        char *text = json_dumps(got, JSON_INDENT(1));
        fail_msg("%s reads as\n%s", name, text);
    }
}

static void check_good(const char *name)
{
    char file[300];
    struct fb_buf bytes, again;
    struct fb_error err = {0};
    json_t *about = read_json("good", name);
    const char *kind = json_string_value(json_object_get(about, "kind"));
    const json_t *reads = json_object_get(about, "reads");
    json_t *got = NULL;
    with_bytes_of(name, file);
    read_vector("good", file, &bytes);
    fb_buf_init(&again, MAX_FILE);
    if (proto_json_decode(kind, fb_slice_buf(&bytes), &got, &err) != FB_OK) {
        fail_msg("%s: %s", name, err.text);
    }
    assert_same_json(name, got, reads != NULL ? reads : json_object_get(about, "wire"));
    /* What the current version writes for it: the same bytes, where no key is unknown, absent or oddly written. */
    assert_int_equal(proto_json_again(kind, fb_slice_buf(&bytes), &again, &err), FB_OK);
    bool is_canonical = reads == NULL && json_object_get(about, "canonical") == NULL;
    if (is_canonical && !fb_slice_eq(fb_slice_buf(&bytes), fb_slice_buf(&again))) {
        fail_msg("%s: written as %zu other bytes", name, again.len);
    }
    fb_buf_clear(&again);
    assert_int_equal(proto_json_encode(kind, got, &again, &err), FB_OK);
    if (is_canonical && !fb_slice_eq(fb_slice_buf(&bytes), fb_slice_buf(&again))) {
        fail_msg("%s: its description is written as other bytes", name);
    }
    fb_buf_deinit(&bytes);
    fb_buf_deinit(&again);
    json_decref(got);
    json_decref(about);
}

static void every_good_vector_is_read_and_written_byte_for_byte(void **state)
{
    (void)state;
    assert_true(each_of("good", ".json", check_good) >= 30);
}

static size_t bad_count;
static json_t *bad_index;

static void check_bad(const char *name)
{
    const json_t *about = json_object_get(bad_index, name);
    if (about == NULL) {
        fail_msg("bad/%s is not in bad/index.json", name);
    }
    const char *want = json_string_value(json_object_get(about, "error"));
    const char *status = json_string_value(json_object_get(about, "status"));
    struct fb_buf bytes;
    struct fb_error err = {0};
    json_t *got = NULL;
    read_vector("bad", name, &bytes);
    enum fb_status s = proto_json_decode(json_string_value(json_object_get(about, "kind")),
                                         fb_slice_buf(&bytes), &got, &err);
    if (strcmp(fb_status_name(s), status) != 0 || strncmp(err.text, want, strlen(want)) != 0) {
        fail_msg("%s: got %s \"%s\", want %s \"%s\"", name, fb_status_name(s), err.text, status,
                 want);
    }
    assert_null(got);
    bad_count++;
    fb_buf_deinit(&bytes);
}

static void every_bad_vector_is_refused_with_the_key_named(void **state)
{
    (void)state;
    bad_index = read_json("bad", "index.json");
    (void)each_of("bad", ".msgpack", check_bad);
    assert_int_equal(bad_count, json_object_size(bad_index));
    assert_true(bad_count > 100);
    json_decref(bad_index);
}

/* Every good vector, cut off anywhere, and with each byte replaced by some that start something else. */
static void check_mutations(const char *name)
{
    static const uint8_t starts[] = {0x00, 0x80, 0x8f, 0x9f, 0xc0, 0xc1, 0xc4,
                                     0xc9, 0xcf, 0xd3, 0xd9, 0xdd, 0xdf, 0xff};
    struct fb_buf bytes, again;
    read_vector("good", name, &bytes);
    char kind[16];
    (void)snprintf(kind, sizeof kind, "%.*s", (int)strcspn(name, "-"), name);
    size_t step = bytes.len > 600 ? bytes.len / 600 : 1;
    fb_buf_init(&again, MAX_FILE);
    for (size_t i = 0; i < bytes.len; i += step) {
        struct fb_error err = {0};
        /* A copy of exactly this length, so that the sanitizer sees a read past the end. */
        uint8_t *cut = malloc(i > 0 ? i : 1);
        assert_non_null(cut);
        memcpy(cut, bytes.ptr, i);
        assert_int_equal(proto_json_again(kind, fb_slice_of(cut, i), &again, &err), FB_INVALID);
        assert_true(strncmp(err.text, kind, strlen(kind)) == 0);
        free(cut);
        for (size_t k = 0; k < sizeof starts; k++) {
            uint8_t old = bytes.ptr[i];
            bytes.ptr[i] = starts[k];
            fb_buf_clear(&again);
            enum fb_status s = proto_json_again(kind, fb_slice_buf(&bytes), &again, &err);
            assert_true(s == FB_OK || s == FB_INVALID || s == FB_AGAIN);
            bytes.ptr[i] = old;
        }
    }
    fb_buf_deinit(&again);
    fb_buf_deinit(&bytes);
}

static void a_cut_or_damaged_vector_is_never_more_than_refused(void **state)
{
    (void)state;
    assert_true(each_of("good", ".msgpack", check_mutations) >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_good_vector_is_read_and_written_byte_for_byte),
        cmocka_unit_test(every_bad_vector_is_refused_with_the_key_named),
        cmocka_unit_test(a_cut_or_damaged_vector_is_never_more_than_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
