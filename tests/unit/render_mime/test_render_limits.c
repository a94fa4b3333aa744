/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile and huge messages end within limits: in time, in memory, with words that say which limit
 * it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "mail_kit.h"
#include "proto/limits.h"
#include "tests/support/cpu_time.h"

#define SECONDS_MAX (FB_SANITIZED ? 60 : 10)

/* Appends `unit` count times. */
static void repeat(struct fb_buf *b, const char *unit, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fb_buf_add_str(b, unit), FB_OK);
    }
}

static void begin(struct fb_buf *b, const char *start)
{
    fb_buf_init(b, 256U << 20);
    assert_int_equal(fb_buf_add_str(b, start), FB_OK);
}

/* Parses and frees b; want NULL: must succeed, else FB_TOO_BIG with this text. */
static void expect(const char *name, struct fb_buf *b, const char *want)
{
    struct kit k;
    int64_t start = cpu_ms();
    kit_parse(&k, fb_slice_buf(b));
    int64_t took = cpu_ms() - start;
    if (want == NULL && k.status != FB_OK) {
        fail_msg("%s: %s", name, k.err.text);
    }
    if (want != NULL && (k.status != FB_TOO_BIG || strcmp(k.err.text, want) != 0)) {
        fail_msg("%s: %s \"%s\", want \"%s\"", name, fb_status_name(k.status), k.err.text, want);
    }
    if (k.status == FB_OK && kit_check(&k) != NULL) {
        fail_msg("%s: %s", name, kit_check(&k));
    }
    if (took > SECONDS_MAX * 1000) {
        fail_msg("%s: took %lld ms", name, (long long)took);
    }
    kit_end(&k);
    fb_buf_deinit(b);
}

static void test_header_limits(void **state)
{
    struct fb_buf b;
    (void)state;
    begin(&b, "");
    repeat(&b, "X: y\r\n", 1000000);
    expect("a million fields", &b, "more than 10000 header lines");
    begin(&b, "Subject: ");
    repeat(&b, "0123456789012345678901234567890123456789", 50U << 20 >> 5);
    expect("50 MB line", &b, "header larger than 1048576 bytes");
    begin(&b, "");
    repeat(&b, "X: y\r\n", FB_MAX_HEADER_LINES - 1);
    assert_int_equal(fb_buf_add_str(&b, "\r\nbody"), FB_OK);
    expect("at the limit of lines", &b, NULL);
    begin(&b, "Content-Type: text/plain");
    repeat(&b, "; a=b", 100000);
    assert_int_equal(fb_buf_add_str(&b, "\r\n\r\nbody"), FB_OK);
    expect("100,000 parameters", &b, NULL);
    begin(&b, "Subject: ");
    repeat(&b, "=?a?b?", 150000);
    assert_int_equal(fb_buf_add_str(&b, "\r\n\r\nbody"), FB_OK);
    expect("broken encoded-words", &b, NULL);
}

static void test_address_limits(void **state)
{
    static const char *const units[] = {"a:", "(", "<",  "\"",      "a@b.jp,",
                                        ",",  "@", "\\", "a@b.jp;:"};
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct fb_buf b;
        begin(&b, "To: ");
        repeat(&b, units[i], 50000);
        assert_int_equal(fb_buf_add_str(&b, "\r\n\r\nbody"), FB_OK);
        expect(units[i], &b, NULL);
    }
}

static void test_part_limits(void **state)
{
    struct fb_buf b;
    (void)state;
    begin(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
    repeat(&b, "--x\r\n\r\nhi\r\n", 500000);
    expect("500,000 parts", &b, "more than 2000 parts");
    begin(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
    repeat(&b, "--x\r\nContent-Type: image/png; name=a.png\r\n\r\nhi\r\n", FB_MAX_PARTS);
    assert_int_equal(fb_buf_add_str(&b, "--x--\r\n"), FB_OK);
    expect("at the limit of parts", &b, NULL);
    begin(&b, "");
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(
            fb_buf_printf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i),
            FB_OK);
    }
    expect("100,000 nested multiparts", &b, "parts nested more than 64 deep");
    begin(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n");
    repeat(&b, "A: b\r\n", 200000);
    expect("header of a part", &b, "headers of the parts longer than 50000 lines or 4194304 bytes");
    begin(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
    repeat(&b, "0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
           250000);
    assert_int_equal(fb_buf_add_str(&b, "--x\r\n\r\nbody\r\n--x--\r\n"), FB_OK);
    expect("18 MB in front of the first part", &b,
           "more than 16777216 bytes outside of MIME parts");
    begin(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
    repeat(&b, "--y\r\n", 1000000);
    expect("boundary that never comes", &b, NULL);
}

static void test_body_limits(void **state)
{
    static const char *const units[] = {"<div>",      "<b",       "<!--", "<a href=\"", "&#",
                                        "<p title='", "<script>", "cid:", "</"};
    struct fb_buf b;
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        begin(&b, "Content-Type: text/html\r\n\r\n");
        repeat(&b, units[i], (9U << 20) / strlen(units[i]));
        expect(units[i], &b, NULL);
    }
    begin(&b, "Content-Type: text/html\r\n\r\n");
    repeat(&b, "<p>0123456789</p>\r\n", 1000000);
    struct kit k;
    kit_parse(&k, fb_slice_buf(&b));
    assert_int_equal(k.status, FB_OK);
    assert_int_equal(k.mail.part_count,
                     1); /* 19 MB of HTML are a file: nothing is cut off silently */
    assert_string_equal(k.mail.parts[0].name, "attachment-1.html");
    kit_end(&k);
    fb_buf_deinit(&b);
    begin(&b, "\r\n");
    repeat(&b, "begin 644 x\r\n", 300000);
    expect("uuencode that never ends", &b, NULL);
    begin(&b, "\r\nbegin 644 x\r\n");
    repeat(&b, "M\r\n", 1000); /* 45 bytes each, if blanks were cut: once such a mail was held */
    assert_int_equal(fb_buf_add_str(&b, "`\r\nend\r\n"), FB_OK);
    expect("uuencode that says much more than it has", &b, NULL);
}

/* ---- a message too large for memory, made as it is read ---- */

#define VAST_HEAD                                                                                  \
    "From: a@example.jp\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsee "       \
    "file\r\n--x\r\n"                                                                              \
    "Content-Type: application/octet-stream; name=vast.bin\r\nContent-Transfer-Encoding: "         \
    "base64\r\n\r\n"
#define VAST_TAIL "--x--\r\n"

static enum fb_status vast_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                struct fb_error *err)
{
    static const char line[] =
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW5vcHFyc3R1\r\n";
    const uint64_t size = *(const uint64_t *)ctx;
    const uint64_t head = sizeof VAST_HEAD - 1;
    const uint64_t tail = size - (sizeof VAST_TAIL - 1);
    uint8_t *to = out;
    size_t n = 0;
    (void)err;
    while (n < len && offset < size) {
        const char *from = offset < head    ? VAST_HEAD + offset
                           : offset >= tail ? VAST_TAIL + (offset - tail)
                                            : NULL;
        size_t at = (size_t)((offset - head) % (sizeof line - 1));
        uint64_t room = offset < head    ? head - offset
                        : offset >= tail ? size - offset
                                         : tail - offset;
        size_t piece = from != NULL ? (size_t)room : sizeof line - 1 - at;
        piece = piece > room ? (size_t)room : piece;
        piece = piece > len - n ? len - n : piece;
        memcpy(to + n, from != NULL ? from : line + at, piece);
        n += piece;
        offset += piece;
    }
    *read_r = n;
    return FB_OK;
}

static enum fb_status refuse(void *ctx, const char *name, struct fb_error *err)
{
    (void)ctx;
    return fb_error_set(err, FB_BUG, "unexpected object %s", name);
}

static void test_a_vast_message_needs_little_memory(void **state)
{
    /* 2 GB take a while under sanitizers: a tenth shows the same there. */
    uint64_t lines = (FB_SANITIZED ? 200ULL << 20 : 2100ULL << 20) / 78;
    uint64_t size = sizeof VAST_HEAD - 1 + lines * 78 + sizeof VAST_TAIL - 1;
    struct render_source source = {.ctx = &size, .read = vast_read, .size = size};
    struct render_sink sink = {.begin = refuse};
    char sender[] = "a@example.jp";
    struct fb_envelope envelope = {.reverse_path = sender};
    struct render_mail mail;
    struct fb_error err = {0};
    struct rusage before;
    struct rusage after;
    (void)state;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    assert_int_equal(render_mime_parse(&source, &sink, &envelope, &mail, &err), FB_OK);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_int_equal(mail.part_count, 1);
    assert_int_equal(mail.parts[0].size, lines * 57);
    assert_int_equal(mail.parts[0].offset, sizeof VAST_HEAD - 1);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    render_mail_deinit(&mail);
}

int main(void)
{
    /* The vast one first: the highest memory use so far is what it is measured against. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_vast_message_needs_little_memory),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_address_limits),
        cmocka_unit_test(test_part_limits),
        cmocka_unit_test(test_body_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
