/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of the dialogue, each at the limit and one above, and what ends up in the envelope. */
#include "smtp_talk.h"

static void test_command_line_limit(void **state)
{
    (void)state;
    char line[SMTP_MAX_LINE_COMMAND + 2];
    for (size_t more = 0; more < 2; more++) {
        for (size_t piece = 1; piece <= sizeof line; piece += 1000) {
            struct talk t;
            talk_init(&t);
            size_t len = SMTP_MAX_LINE_COMMAND + more;
            memset(line, 'x', sizeof line);
            memcpy(line, "NOOP ", 5);
            memcpy(line + len - 2, "\r\n", 2);
            fb_buf_clear(&t.replies);
            for (size_t at = 0; at < len; at += piece) {
                give(t.s, &t.f, &t.replies, line + at, len - at < piece ? len - at : piece);
            }
            assert_string_equal(fb_buf_str(&t.replies),
                                more == 0 ? "250 2.0.0 ok\r\n" : "500 5.5.2 line is too long\r\n");
            assert_string_equal(say(&t, "NOOP\r\n", 6), "250 2.0.0"); /* in step again */
            talk_deinit(&t);
        }
    }
}

static void test_message_size_limit(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        for (int by_chunk = 0; by_chunk < 2; by_chunk++) {
            char text[1100], head[128];
            struct talk t;
            talk_init(&t);
            memset(text, 'x', sizeof text);
            memcpy(text + 998 + more, "\r\n.\r\n", 5);
            if (by_chunk == 0) {
                (void)say(&t, MAIL RCPT "DATA\r\n", strlen(MAIL RCPT "DATA\r\n"));
                assert_string_equal(say(&t, text, 1003 + more),
                                    more == 0 ? "250 2.0.0" : "552 5.3.4");
            } else {
                (void)snprintf(head, sizeof head, MAIL RCPT "BDAT %zu LAST\r\n", 1000 + more);
                (void)say(&t, head, strlen(head));
                assert_string_equal(say(&t, text, 1000 + more),
                                    more == 0 ? "250 2.0.0" : "552 5.3.4");
            }
            assert_int_equal(t.f.committed, more == 0);
            assert_string_equal(say(&t, MAIL, strlen(MAIL)), "250 2.1.0");
            talk_deinit(&t);
        }
    }
}

static void test_error_limit(void **state)
{
    (void)state;
    struct talk t;
    talk_init(&t);
    for (int i = 0; i < SMTP_MAX_ERRORS; i++) {
        assert_string_equal(say(&t, "X\r\n", 3), "500 5.5.1");
    }
    assert_string_equal(say(&t, "X\r\n", 3), "421 4.7.0");
    assert_int_equal(t.s->state, SMTP_CLOSING);
    talk_deinit(&t);
}

static void test_received_limit(void **state)
{
    (void)state;
    static const struct smtp_settings big = {"mx.example", false, false, 100000, 3};
    for (int more = 0; more < 2; more++) {
        struct talk t;
        struct fb_buf text;
        talk_init(&t);
        t.s->settings = &big;
        fb_buf_init(&text, 1U << 20);
        for (int i = 0; i < SMTP_MAX_RECEIVED + more; i++) {
            assert_int_equal(fb_buf_add_str(&text, "Received: from x\r\n\tby y\r\n"), FB_OK);
        }
        assert_int_equal(fb_buf_add_str(&text, "\r\nReceived: x\r\n.\r\n"), FB_OK);
        (void)say(&t, MAIL RCPT "DATA\r\n", strlen(MAIL RCPT "DATA\r\n"));
        assert_string_equal(say(&t, (char *)text.ptr, text.len),
                            more == 0 ? "250 2.0.0" : "554 5.4.6");
        fb_buf_deinit(&text);
        talk_deinit(&t);
    }
}

/* A peer that never reads its replies cannot make us hold more than SMTP_OUT_PAUSE of them. */
static void test_replies_are_bounded(void **state)
{
    (void)state;
    struct talk t;
    talk_init(&t);
    size_t len = 60000;
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i += 6) {
        memcpy(text + i, "NOOP\r\n", 6);
    }
    size_t used = smtp_session_input(t.s, (uint8_t *)text, len);
    assert_true(used < len);
    assert_true(t.s->out.len < SMTP_OUT_PAUSE + 512);
    assert_int_equal(smtp_session_input(t.s, (uint8_t *)text + used, len - used), 0);
    fb_buf_clear(&t.s->out);
    assert_true(smtp_session_input(t.s, (uint8_t *)text + used, len - used) > 0);
    free(text);
    talk_deinit(&t);
}

/* ---- what ends up in the envelope ---- */

static void test_envelope(void **state)
{
    (void)state;
    struct talk t;
    talk_init(&t);
    static const char one[] =
        "MAIL FROM:<a@example.jp> BODY=8BITMIME RET=HDRS ENVID=e1\r\n"
        "RCPT TO:<b@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@example.com\r\n"
        "RCPT TO:<\"c d\"@example.com>\r\nDATA\r\n";
    (void)say(&t, one, sizeof one - 1);
    (void)say(&t, ".\r\n", 3);
    const struct fb_envelope *e = &t.f.last;
    assert_string_equal(e->reverse_path, "a@example.jp");
    assert_true(e->is_8bit && !e->is_smtputf8);
    assert_string_equal(e->dsn_ret, "HDRS");
    assert_string_equal(e->dsn_envid, "e1");
    assert_int_equal(e->recipient_count, 2);
    assert_string_equal(e->recipients[0].notify, "SUCCESS,DELAY");
    assert_string_equal(e->recipients[0].orcpt, "rfc822;b+2Bx@example.com");
    assert_string_equal(e->recipients[1].address, "\"c d\"@example.com");
    assert_null(e->recipients[1].notify);
    assert_string_equal(e->client_address, "192.0.2.9");
    assert_string_equal(e->helo, "c.example");
    assert_string_equal(e->protocol, "ESMTP");
    assert_null(e->queue_id);

    static const char two[] =
        "XFORWARD ADDR=2001:db8::1 NAME=[UNAVAILABLE] HELO=real.example IDENT=4Q PROTO=SMTP\r\n"
        "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<\xe5\xa4\xaa@example.com>\r\nDATA\r\n";
    (void)say(&t, two, sizeof two - 1);
    (void)say(&t, ".\r\n", 3);
    assert_string_equal(e->reverse_path, "");
    assert_true(e->is_smtputf8 && !e->is_8bit);
    assert_null(e->dsn_ret);
    assert_string_equal(e->client_address, "2001:db8::1");
    assert_null(e->client_name);
    assert_string_equal(e->helo, "real.example");
    assert_string_equal(e->queue_id, "4Q");
    assert_string_equal(e->protocol, "SMTP");

    /* XFORWARD is for one mail */
    static const char three[] = MAIL RCPT "DATA\r\n";
    (void)say(&t, three, sizeof three - 1);
    (void)say(&t, ".\r\n", 3);
    assert_string_equal(e->client_address, "192.0.2.9");
    assert_null(e->queue_id);
    talk_deinit(&t);
}

static void test_ehlo_offers_what_is_there(void **state)
{
    (void)state;
    struct talk t;
    talk_init(&t);
    assert_string_equal(fb_buf_str(&t.replies) + strlen("220 mx.example ESMTP Fumibako\r\n"),
                        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-STARTTLS\r\n"
                        "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT "
                        "SOURCE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
                        "250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n");
    talk_deinit(&t);
}

static void test_shutdown(void **state)
{
    (void)state;
    struct talk t;
    talk_init(&t);
    assert_true(smtp_session_is_idle(t.s));
    (void)say(&t, MAIL, strlen(MAIL));
    assert_false(smtp_session_is_idle(t.s));
    smtp_session_shutdown(t.s, "4.3.2", "shutting down");
    assert_string_equal(fb_buf_str(&t.s->out), "421 4.3.2 mx.example shutting down\r\n");
    assert_string_equal(say(&t, "NOOP\r\n", 6), "421 4.3.2");
    talk_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line_limit),
        cmocka_unit_test(test_message_size_limit),
        cmocka_unit_test(test_error_limit),
        cmocka_unit_test(test_received_limit),
        cmocka_unit_test(test_replies_are_bounded),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_ehlo_offers_what_is_there),
        cmocka_unit_test(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
