/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of attachments, tickets, and what portal and painter say to each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "services/portal/painter.h"
#include "services/portal/read.h"

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define K20 "契約書契約書契約書契約書契約書契約書契約"

static void a_name_is_one_plain_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"報告書.pdf", "報告書.pdf"},
        {"a b.txt", "a b.txt"},
        {"../../etc/passwd", "_.._etc_passwd"},
        {"..\\..\\boot.ini", "_.._boot.ini"},
        {"/etc/passwd", "_etc_passwd"},
        {"C:\\x.exe", "C__x.exe"},
        {"a\r\nSet-Cookie: x=1.txt", "a  Set-Cookie_ x=1.txt"},
        {"a\"b;c.txt", "a_b;c.txt"},
        {"gpj.\xe2\x80\xae"
         "exe",
         "gpj. exe"}, /* U+202E turns the letters behind it */
        {".bashrc", "bashrc"},
        {"...", "file"},
        {"", "file"},
        {"  ", "file"},
        {"name. . ", "name"},
        {"CON", "_CON"},
        {"nul.txt", "_nul.txt"},
        {"com1.tar.gz", "_com1.tar.gz"},
        {"console.txt", "console.txt"},
        {"caf\xe9.txt", "caf_.txt"}, /* not UTF-8 */
        {A50 A50 A50 A50 A50 ".tar",
         A50 A50 A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.tar"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[READ_NAME_SIZE];
        read_name_safe(rows[i].name, got);
        if (strcmp(got, rows[i].want) != 0) {
            fail_msg("\"%s\" became \"%s\", not \"%s\"", rows[i].name, got, rows[i].want);
        }
    }
    char got[READ_NAME_SIZE];
    read_name_safe(K20 K20 K20 K20 ".docx", got); /* cut between two characters */
    assert_true(strlen(got) < READ_NAME_SIZE && form_is_utf8(got));
    assert_string_equal(got + strlen(got) - 5, ".docx");
    read_name_numbered(got, 12, got);
    assert_string_equal(got + strlen(got) - 10, " (12).docx");
    assert_true(form_is_utf8(got));
}

static void a_header_takes_any_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"},
        {"報告 1.pdf",
         "attachment; filename=\"__ 1.pdf\"; filename*=UTF-8''%E5%A0%B1%E5%91%8A%201.pdf"},
        {"50%'s.txt", "attachment; filename=\"50_'s.txt\"; filename*=UTF-8''50%25%27s.txt"},
        {"a\r\nX: y\".txt",
         "attachment; filename=\"a  X_ y_.txt\"; filename*=UTF-8''a%20%20X_%20y_.txt"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char safe[READ_NAME_SIZE];
        struct fb_buf got;
        fb_buf_init(&got, 1000);
        read_name_safe(rows[i].name, safe);
        assert_int_equal(read_name_disposition(safe, &got), FB_OK);
        assert_string_equal(fb_buf_str(&got), rows[i].want);
        fb_buf_deinit(&got);
    }
    /* The longest one fits. */
    char safe[READ_NAME_SIZE];
    struct fb_buf got;
    fb_buf_init(&got, 1000);
    read_name_safe(K20 K20 K20 K20 K20, safe);
    assert_int_equal(read_name_disposition(safe, &got), FB_OK);
    fb_buf_deinit(&got);
}

static void a_type_never_makes_a_browser_run_it(void **state)
{
    (void)state;
    static const struct {
        const char *type, *want;
    } rows[] = {
        {"application/pdf", "application/pdf"},
        {"image/png; name=\"x\"", "image/png"},
        {"text/html", "application/octet-stream"},
        {"TEXT/HTML", "application/octet-stream"},
        {"image/svg+xml", "application/octet-stream"},
        {"application/xhtml+xml", "application/octet-stream"},
        {"text/javascript", "application/octet-stream"},
        {"text/plain\r\nX: y", "application/octet-stream"},
        {"pdf", "application/octet-stream"},
        {"/", "application/octet-stream"},
        {"", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[READ_TYPE_SIZE];
        read_name_type(rows[i].type, got);
        assert_string_equal(got, rows[i].want);
    }
}

static struct portal portal = {.form_key = {1, 2, 3}};

static struct reader reader_of(struct visit *v, const char *text, const char *session)
{
    struct reader r = {.visit = v};
    v->portal = &portal;
    (void)snprintf(r.text, sizeof r.text, "%s", text);
    (void)snprintf(r.session.id_hash, sizeof r.session.id_hash, "%s", session);
    return r;
}

static void a_ticket_is_good_for_its_session_file_and_time(void **state)
{
    (void)state;
    struct visit v = {0};
    struct reader mine = reader_of(&v, "link-1", "session-1");
    struct reader others[] = {reader_of(&v, "link-1", "session-2"),
                              reader_of(&v, "link-2", "session-1")};
    char ticket[READ_TICKET_SIZE], id[FB_VAULT_FILE_ID];
    read_ticket_make(&mine, "0123456789abcdef", 1000000, ticket);
    assert_true(read_ticket_check(&mine, fb_slice_str(ticket), 999999, id));
    assert_string_equal(id, "0123456789abcdef");
    assert_false(read_ticket_check(&mine, fb_slice_str(ticket), 1000000, id));
    for (size_t i = 0; i < 2; i++) {
        assert_false(read_ticket_check(&others[i], fb_slice_str(ticket), 999999, id));
    }
    ticket[3] = 'f'; /* another file */
    assert_false(read_ticket_check(&mine, fb_slice_str(ticket), 999999, id));
    read_ticket_make(&mine, READ_ALL, 1000000, ticket);
    assert_true(read_ticket_check(&mine, fb_slice_str(ticket), 0, id));
    assert_string_equal(id, READ_ALL);
    static const char *const none[] = {"", ".", "all", "all.", "0123456789abcdef0.x", "all.AAAA"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(read_ticket_check(&mine, fb_slice_str(none[i]), 0, id));
    }
    /* A form's token of the same portal is no ticket. */
    char token[FORM_TOKEN_SIZE];
    const struct form_binding form = {portal.form_key, "download", "link-1", "session-1", "all"};
    form_token_make(&form, 1000000, token);
    (void)snprintf(ticket, sizeof ticket, "all.%s", token);
    assert_false(read_ticket_check(&mine, fb_slice_str(ticket), 0, id));
}

static void the_painter_is_believed_within_limits(void **state)
{
    (void)state;
    uint8_t bytes[PAINTER_ANSWER_SIZE];
    struct painter_answer got;
    const struct painter_answer good = {FB_OK, 3, 1240, 1754, 1000};
    const struct painter_answer bad[] = {
        {FB_OK, 0, 1240, 1754, 1000},
        {FB_OK, 3, 0, 1754, 1000},
        {FB_OK, 3, 1240, PAINTER_MAX_SIDE + 1, 1000},
        {FB_OK, PAINTER_MAX_COUNT + 1, 1240, 1754, 1000},
        {FB_OK, 3, 1240, 1754, PAINTER_MAX_PNG + 1},
        {FB_INVALID, 0, 0, 0, 1},
        {(enum fb_status)1000, 0, 0, 0, 0},
    };
    painter_answer_write(&good, bytes);
    assert_true(painter_answer_read(bytes, &got));
    assert_memory_equal(&got, &good, sizeof good);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        painter_answer_write(&bad[i], bytes);
        assert_false(painter_answer_read(bytes, &got));
    }
    painter_answer_write(&good, bytes);
    bytes[0] = 'X';
    assert_false(painter_answer_read(bytes, &got));

    uint8_t head[PAINTER_REQUEST_SIZE];
    struct painter_request asked;
    const struct painter_request request = {PAINTER_IMAGE, 7, 100, PAINTER_MAX_INPUT};
    const struct painter_request wrong[] = {
        {PAINTER_PDF, PAINTER_MAX_PAGES + 1, 0, 1},
        {PAINTER_PDF, 1, PAINTER_MAX_MARK + 1, 1},
        {PAINTER_PDF, 1, 0, 0},
        {PAINTER_PDF, 1, 0, PAINTER_MAX_INPUT + 1ULL},
        {(enum painter_kind)2, 1, 0, 1},
    };
    painter_request_write(&request, head);
    assert_true(painter_request_read(head, &asked));
    assert_true(asked.kind == PAINTER_IMAGE && asked.page == 7 && asked.mark_len == 100 &&
                asked.size == PAINTER_MAX_INPUT);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        painter_request_write(&wrong[i], head);
        assert_false(painter_request_read(head, &asked));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_plain_name),
        cmocka_unit_test(a_header_takes_any_name),
        cmocka_unit_test(a_type_never_makes_a_browser_run_it),
        cmocka_unit_test(a_ticket_is_good_for_its_session_file_and_time),
        cmocka_unit_test(the_painter_is_believed_within_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
