/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoders of transfer encodings, by the rules of proto/transfer.h.  Every row is decoded as a
 * whole and cut into pieces of every length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/transfer.h"

static void decode(enum fb_encoding encoding, const char *text, size_t piece, struct fb_buf *out)
{
    struct fb_transfer t;
    struct fb_slice in = fb_slice_str(text);
    uint8_t *room = malloc(in.len + FB_TRANSFER_SLACK);
    assert_non_null(room);
    fb_buf_init(out, 1U << 16);
    fb_transfer_init(&t, encoding);
    while (in.len > 0) {
        size_t n = in.len < piece ? in.len : piece;
        size_t given = fb_transfer_step(&t, in.ptr, n, room);
        assert_true(given <= n + FB_TRANSFER_SLACK);
        assert_int_equal(fb_buf_add(out, room, given), FB_OK);
        in = fb_slice_sub(in, n, SIZE_MAX);
    }
    size_t given = fb_transfer_end(&t, room);
    assert_true(given <= FB_TRANSFER_SLACK);
    assert_int_equal(fb_buf_add(out, room, given), FB_OK);
    free(room);
}

static const struct row {
    const char *name;
    enum fb_encoding encoding;
    const char *in, *want;
} rows[] = {
    {"as it is", FB_ENC_IDENTITY, "a=3D\r\n\x80\xff", "a=3D\r\n\x80\xff"},
    {"nothing", FB_ENC_BASE64, "", ""},
    {"one, two and three bytes", FB_ENC_BASE64, "Zg==Zm8=Zm9v", "ffofoo"},
    {"without padding", FB_ENC_BASE64, "Zm9vYg", "foob"},
    {"a last single sextet", FB_ENC_BASE64, "Zm9vY", "foo"},
    {"lines, blanks and rubbish", FB_ENC_BASE64, "Zm\r\n 9-*v\xff\r\n", "foo"},
    {"goes on behind padding", FB_ENC_BASE64, "Zg==\r\nZm9v", "ffoo"},
    {"too much padding", FB_ENC_BASE64, "Zm8====", "fo"},
    {"padding alone", FB_ENC_BASE64, "====", ""},
    {"url-safe letters are rubbish", FB_ENC_BASE64, "-_Zm9v", "foo"},
    {"hex of either case", FB_ENC_QP, "=3D=3d=e3=81=82", "==\xe3\x81\x82"},
    {"soft line breaks", FB_ENC_QP, "one=\r\ntwo=\nthree", "onetwothree"},
    {"hard line breaks pass", FB_ENC_QP, "one\r\ntwo\n", "one\r\ntwo\n"},
    {"no hex", FB_ENC_QP, "=XY =4 =G1", "=XY =4 =G1"},
    {"equals before equals", FB_ENC_QP, "==3D", "=="},
    {"hex, then none", FB_ENC_QP, "=4=41", "=4A"},
    {"a soft break at the end", FB_ENC_QP, "end=", "end"},
    {"half a soft break at the end", FB_ENC_QP, "end=\r", "end"},
    {"half an escape at the end", FB_ENC_QP, "end=4", "end=4"},
    {"CR that ends nothing", FB_ENC_QP, "=\rA", "=\rA"},
    {"blanks before the line end stay", FB_ENC_QP, "a \t\r\n", "a \t\r\n"},
    {"a file", FB_ENC_UUENCODE, "begin 644 cat.txt\n#0V%T\n`\nend\n", "Cat"},
    {"CRLF", FB_ENC_UUENCODE, "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n", "Cat"},
    {"lines before begin", FB_ENC_UUENCODE, "Hello\n#0V%T\nbegin 644 x\n#0V%T\nend\n", "Cat"},
    {"nothing behind the end", FB_ENC_UUENCODE, "begin 644 x\n#0V%T\nend\n#0V%T\n", "Cat"},
    {"blanks cut at the line's end", FB_ENC_UUENCODE, "begin 644 x\n\"00\nend\n", "A\0"},
    {"a broken line is left out", FB_ENC_UUENCODE, "begin 644 x\n\x80\x80\n#0V%T\nend\n", "Cat"},
    {"no line end at the end", FB_ENC_UUENCODE, "begin 644 x\n#0V%T", "Cat"},
    {"no begin", FB_ENC_UUENCODE, "#0V%T\n`\nend\n", ""},
};

static void every_input_has_an_output_that_does_not_depend_on_the_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_slice want = fb_slice_str(rows[i].want);
        want.len +=
            strcmp(rows[i].name, "blanks cut at the line's end") == 0 ? 1 : 0; /* ends with a NUL */
        for (size_t piece = 1; piece <= strlen(rows[i].in) + 1; piece++) {
            struct fb_buf got;
            decode(rows[i].encoding, rows[i].in, piece, &got);
            if (!fb_slice_eq(fb_slice_buf(&got), want)) {
                fail_msg("%s, pieces of %zu: got \"%s\", want \"%s\"", rows[i].name, piece,
                         fb_buf_str(&got), rows[i].want);
            }
            fb_buf_deinit(&got);
        }
    }
}

static void a_line_that_is_too_long_for_uuencode_gives_nothing(void **state)
{
    (void)state;
    char text[400] = "begin 644 x\nM";
    struct fb_buf got;
    memset(text + strlen(text), '!', 200);
    (void)snprintf(text + strlen(text), 100, "\n#0V%%T\nend\n");
    decode(FB_ENC_UUENCODE, text, SIZE_MAX, &got);
    assert_string_equal(fb_buf_str(&got), "Cat");
    fb_buf_deinit(&got);
}

/* Found by fuzzing: "_" says 63 bytes and may have lost all its blanks; many such lines once wrote past the room. */
static void short_lines_never_give_more_than_the_room(void **state)
{
    (void)state;
    char text[8000] = "begin 644 x\n";
    struct fb_buf got;
    size_t len = strlen(text);
    for (; len + 3 < sizeof text; len += 2) {
        memcpy(text + len, "_\n", 3);
    }
    for (size_t piece = 1; piece <= sizeof text; piece += piece < 4 ? 1 : 997) {
        decode(FB_ENC_UUENCODE, text, piece, &got);
        assert_true(got.len > 4000 - 63 && got.len <= len + FB_TRANSFER_SLACK);
        fb_buf_deinit(&got);
    }
}

static void lines_of_zeros_whose_blanks_were_cut_are_restored(void **state)
{
    (void)state;
    char text[1000] = "begin 644 x\n";
    struct fb_buf got;
    for (int i = 0; i < 80; i++) {
        memcpy(text + strlen(text), "M\n", 3);
    }
    memcpy(text + strlen(text), "end\n", 5);
    decode(FB_ENC_UUENCODE, text, SIZE_MAX, &got);
    assert_int_equal(got.len, 80 * 45);
    fb_buf_deinit(&got);
}

static void a_uuencoded_line_gives_as_many_bytes_as_it_says(void **state)
{
    (void)state;
    uint8_t out[64];
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"#0V%T", 5, out), 3);
    assert_memory_equal(out, "Cat", 3);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"`", 1, out), 0);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)" ", 1, out), 0);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"_", 1, out), 63);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"", 0, out), -1);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"a", 1, out), -1);
    assert_int_equal(fb_transfer_uu_line((const uint8_t *)"#0V%\x7f", 5, out), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_has_an_output_that_does_not_depend_on_the_cuts),
        cmocka_unit_test(a_line_that_is_too_long_for_uuencode_gives_nothing),
        cmocka_unit_test(short_lines_never_give_more_than_the_room),
        cmocka_unit_test(lines_of_zeros_whose_blanks_were_cut_are_restored),
        cmocka_unit_test(a_uuencoded_line_gives_as_many_bytes_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
