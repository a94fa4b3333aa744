/* SPDX-License-Identifier: Apache-2.0
 *
 * Dialogues: what is sent, what must come back, what must be stored.  Every dialogue runs twice,
 * with each step in one piece and octet by octet. */
#include "smtp_talk.h"

/* ---- dialogues ---- */

#define MAX_STEPS 12
struct step {
    const char *send;
    const char *want;
};
struct dialogue {
    const char *name;
    const struct smtp_settings *settings; /* NULL = SMTP, greeted by EHLO already */
    struct step steps[MAX_STEPS];
    const char *stored; /* all content committed; "" = nothing */
    bool is_closed;
    enum fb_status may_accept, open, add, commit;
    bool no_xforward;
};

static const struct dialogue dialogues[] = {
    {.name = "one mail",
     .steps = {{MAIL RCPT "DATA\r\n", OPENED},
               {"S: x\r\n\r\nhi\r\n.\r\n", "250 2.0.0"},
               {"QUIT\r\n", "221 2.0.0"}},
     .stored = "S: x\r\n\r\nhi\r\n",
     .is_closed = true},
    {.name = "two mails, the second one in the pipe behind the first",
     .steps = {{MAIL RCPT "DATA\r\n", OPENED},
               {"1\r\n.\r\n" MAIL RCPT "DATA\r\n", "250 2.0.0|" OPENED},
               {"2\r\n.\r\n", "250 2.0.0"}},
     .stored = "1\r\n2\r\n"},
    {.name = "dot and QUIT together, as Postfix does",
     .steps = {{MAIL RCPT "DATA\r\n", OPENED}, {"1\r\n.\r\nQUIT\r\n", "250 2.0.0|221 2.0.0"}},
     .stored = "1\r\n",
     .is_closed = true},
    {.name = "HELO",
     .settings = &smtp,
     .steps = {{"HELO x\r\n", "250"},
               {MAIL, "250 2.1.0"},
               {RCPT, "250 2.1.5"},
               {"DATA\r\n", "354"},
               {"1\r\n.\r\n", "250 2.0.0"}},
     .stored = "1\r\n"},
    {.name = "no greeting",
     .settings = &smtp,
     .steps = {{MAIL, "503 5.5.1"}, {"DATA\r\n", "503 5.5.1"}},
     .stored = ""},
    {.name = "greeting without a name",
     .settings = &smtp,
     .steps = {{"EHLO\r\n", "501 5.5.4"},
               {"HELO \r\n", "501 5.5.4"},
               {"EHLO a b\r\n", "501 5.5.4"}},
     .stored = ""},
    {.name = "LHLO is not SMTP's",
     .settings = &smtp,
     .steps = {{"LHLO x\r\n", "500 5.5.1"}},
     .stored = ""},
    {.name = "order of commands",
     .steps = {{RCPT, "503 5.5.1"},
               {"DATA\r\n", "503 5.5.1"},
               {MAIL, "250 2.1.0"},
               {MAIL, "503 5.5.1"},
               {"DATA\r\n", "554 5.5.1"},
               {"RSET\r\n", "250 2.0.0"},
               {RCPT, "503 5.5.1"}},
     .stored = ""},
    {.name = "small commands",
     .steps = {{"NOOP x\r\n", "250 2.0.0"},
               {"VRFY a\r\n", "252 2.0.0"},
               {"HELP\r\n", "214 2.0.0"},
               {"EXPN a\r\n", "502 5.5.1"},
               {"AUTH PLAIN\r\n", "502 5.5.1"},
               {"WHAT\r\n", "500 5.5.1"},
               {"\r\n", "500 5.5.1"},
               {"noop\r\n", "250 2.0.0"}},
     .stored = ""},
    {.name = "lines that do not end in CRLF",
     .steps = {{"NOOP\n", "500 5.5.2"},
               {"NO\rOP\r\n", "500 5.5.2"},
               {"NOOP\r\r\n", "500 5.5.2"},
               {"NOOP\r\n", "250 2.0.0"}},
     .stored = ""},
    {.name = "a web page sends mail",
     .settings = &smtp,
     .steps = {{"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n" MAIL, "554 5.7.0"}},
     .stored = "",
     .is_closed = true},
    {.name = "bad arguments",
     .steps = {{"MAIL TO:<a@b>\r\n", "501 5.5.4"},
               {MAIL, "250 2.1.0"},
               {"RCPT TO:b\r\n", "501 5.5.4"},
               {"RCPT TO:<b>\r\n", "501 5.1.3"},
               {RCPT, "250 2.1.5"},
               {"DATA x\r\n", "501 5.5.4"}},
     .stored = ""},
    {.name = "recipients at the limit and one above",
     .steps = {{MAIL RCPT RCPT RCPT RCPT, "250 2.1.0|250 2.1.5|250 2.1.5|250 2.1.5|452 4.5.3"},
               {"DATA\r\n", "354"},
               {"1\r\n.\r\n", "250 2.0.0"}},
     .stored = "1\r\n"},
    {.name = "SIZE at the limit and one above",
     .steps = {{"MAIL FROM:<a@b> SIZE=1001\r\n", "552 5.3.4"},
               {"MAIL FROM:<a@b> SIZE=1000\r\n", "250 2.1.0"}},
     .stored = ""},
    {.name = "DATA before the reply",
     .steps = {{MAIL RCPT, "250 2.1.0|250 2.1.5"}, {"DATA\r\nx\r\n.\r\n" MAIL, "503 5.5.0"}},
     .stored = "",
     .is_closed = true},
    {.name = "spool is full at MAIL",
     .steps = {{MAIL, "452 4.3.1"}, {RCPT, "503 5.5.1"}},
     .stored = "",
     .may_accept = FB_NO_SPACE},
    {.name = "spool fails at DATA",
     .steps = {{MAIL RCPT "DATA\r\n", "250 2.1.0|250 2.1.5|451 4.3.0"}, {"NOOP\r\n", "250 2.0.0"}},
     .stored = "",
     .open = FB_IO},
    {.name = "spool fills while the content comes",
     .steps = {{MAIL RCPT "DATA\r\n", OPENED},
               {"x\r\ny\r\n.\r\n", "452 4.3.1"},
               {"NOOP\r\n", "250 2.0.0"}},
     .stored = "",
     .add = FB_NO_SPACE},
    {.name = "the sync fails",
     .steps = {{MAIL RCPT "DATA\r\n", OPENED}, {"x\r\n.\r\n", "451 4.3.0"}, {MAIL, "250 2.1.0"}},
     .stored = "",
     .commit = FB_IO},
    {.name = "STARTTLS begins anew and drops what was sent behind it",
     .settings = &smtp,
     .steps = {{"EHLO x\r\n" MAIL, "250|250 2.1.0"},
               {"STARTTLS x\r\n", "501 5.5.4"},
               {"STARTTLS\r\n", "220 2.0.0"},
               {MAIL, "503 5.5.1"},
               {"EHLO x\r\n", "250"},
               {"STARTTLS\r\n", "503 5.5.1"},
               {MAIL, "250 2.1.0"}},
     .stored = ""},
    {.name = "LMTP answers per recipient",
     .settings = &lmtp,
     .steps = {{"EHLO x\r\n", "500 5.5.1"},
               {"LHLO x\r\n", "250"},
               {MAIL RCPT "RCPT TO:<bad>\r\n" RCPT, "250 2.1.0|250 2.1.5|501 5.1.3|250 2.1.5"},
               {"DATA\r\n", "354"},
               {"x\r\n.\r\n", "250 2.0.0|250 2.0.0"},
               {"STARTTLS\r\n", "502 5.5.1"}},
     .stored = "x\r\n"},
    {.name = "LMTP refuses per recipient",
     .settings = &lmtp,
     .steps = {{"LHLO x\r\n" MAIL RCPT RCPT "DATA\r\n", "250|250 2.1.0|250 2.1.5|250 2.1.5|354"},
               {"x\ny\r\n.\r\n", "550 5.6.11|550 5.6.11"}},
     .stored = "",
     .is_closed = true},
    {.name = "BDAT in chunks",
     .steps = {{MAIL RCPT "BDAT 3\r\na\r\nBDAT 0\r\nBDAT 4 LAST\r\n.\r\n.",
                "250 2.1.0|250 2.1.5|250 2.0.0|250 2.0.0|250 2.0.0"}},
     .stored = "a\r\n.\r\n.\r\n"},
    {.name = "BDAT 0 LAST ends a mail",
     .steps = {{MAIL RCPT "BDAT 3\r\na\r\n", "250 2.1.0|250 2.1.5|250 2.0.0"},
               {"BDAT 0 LAST\r\n", "250 2.0.0"},
               {MAIL, "250 2.1.0"}},
     .stored = "a\r\n"},
    {.name = "BDAT and the next mail together",
     .steps = {{MAIL RCPT "BDAT 3 LAST\r\na\r\n" MAIL, "250 2.1.0|250 2.1.5|250 2.0.0|250 2.1.0"}},
     .stored = "a\r\n"},
    {.name = "a line end between two chunks",
     .steps = {{MAIL RCPT "BDAT 2\r\na\rBDAT 1 LAST\r\n\n",
                "250 2.1.0|250 2.1.5|250 2.0.0|250 2.0.0"}},
     .stored = "a\r\n"},
    {.name = "BDAT and DATA do not mix",
     .steps = {{MAIL RCPT "BDAT 3\r\na\r\n", "250 2.1.0|250 2.1.5|250 2.0.0"},
               {"DATA\r\n", "503 5.5.1"},
               {RCPT, "503 5.5.1"},
               {"RSET\r\n", "250 2.0.0"},
               {MAIL, "250 2.1.0"}},
     .stored = ""},
    {.name = "octets of a refused BDAT are no commands",
     .steps = {{"BDAT 6\r\nQUIT\r\n", "503 5.5.1"},
               {MAIL "BDAT 6 LAST\r\nQUIT\r\n", "250 2.1.0|554 5.5.1"},
               {"NOOP\r\n", "250 2.0.0"}},
     .stored = ""},
    {.name = "BDAT without a size",
     .steps = {{MAIL RCPT "BDAT x\r\nQUIT\r\n", "250 2.1.0|250 2.1.5|501 5.5.4"}},
     .stored = "",
     .is_closed = true},
    {.name = "bare LF in BDAT",
     .steps = {{MAIL RCPT "BDAT 4\r\na\nb\rBDAT 3 LAST\r\n\nb\r",
                "250 2.1.0|250 2.1.5|550 5.6.11|503 5.5.1"},
               {"DATA\r\n", "503 5.5.1"},
               {"RSET\r\n", "250 2.0.0"},
               {MAIL, "250 2.1.0"}},
     .stored = ""},
    {.name = "spool fails at BDAT",
     .steps = {{MAIL RCPT "BDAT 3\r\na\r\nBDAT 1 LAST\r\nx",
                "250 2.1.0|250 2.1.5|452 4.3.1|503 5.5.1"}},
     .stored = "",
     .open = FB_NO_SPACE},
    {.name = "XFORWARD",
     .steps = {{"XFORWARD NAME=x ADDR=192.0.2.1\r\n", "250 2.0.0"},
               {"XFORWARD X=1\r\n", "501 5.5.4"},
               {MAIL, "250 2.1.0"},
               {"XFORWARD NAME=x\r\n", "503 5.5.1"}},
     .stored = ""},
    {.name = "XFORWARD from anybody",
     .steps = {{"XFORWARD NAME=x\r\n", "550 5.7.0"}},
     .stored = "",
     .no_xforward = true},
};

static void run_dialogue(const struct dialogue *d, bool is_bytewise)
{
    struct smtp_session *s = fb_xcalloc(1, sizeof *s);
    struct fake f;
    struct fb_buf replies;
    fake_init(&f);
    fb_buf_init(&replies, 1U << 20);
    f.may_accept = d->may_accept;
    f.open = d->open;
    f.add = d->add;
    f.commit = d->commit;
    smtp_session_init(s, d->settings != NULL ? d->settings : &smtp, &host, &f, "192.0.2.9",
                      !d->no_xforward);
    fb_buf_clear(&s->out);
    if (d->settings == NULL) {
        give(s, &f, &replies, "EHLO c.example\r\n", 16);
    }
    for (size_t i = 0; i < MAX_STEPS && d->steps[i].send != NULL; i++) {
        const char *send = d->steps[i].send;
        char got[512];
        size_t len = strlen(send);
        fb_buf_clear(&replies);
        for (size_t at = 0; at < len; at += is_bytewise ? 1 : len) {
            f.has_input = is_bytewise && at + 1 < len;
            give(s, &f, &replies, send + at, is_bytewise ? 1 : len);
        }
        shorten(&replies, got, sizeof got);
        if (strcmp(got, d->steps[i].want) != 0) {
            fail_msg("%s (%s), step %zu: got %s, want %s", d->name,
                     is_bytewise ? "octets" : "pieces", i, got, d->steps[i].want);
        }
    }
    if (strcmp(fb_buf_str(&f.stored), d->stored) != 0 ||
        d->is_closed != (s->state == SMTP_CLOSING)) {
        fail_msg("%s: stored \"%s\", state %d", d->name, fb_buf_str(&f.stored), (int)s->state);
    }
    smtp_session_deinit(s);
    free(s);
    fb_buf_deinit(&replies);
    fake_deinit(&f);
}

static void test_dialogues(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dialogues / sizeof dialogues[0]; i++) {
        run_dialogue(&dialogues[i], false);
        run_dialogue(&dialogues[i], true);
    }
}

/* ---- smuggling (CVE-2023-51764 and its relatives) ---- */

static void test_nothing_is_smuggled(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
    } ends[] = {
        {"LF . LF", "\n.\n", 3},
        {"LF . CRLF", "\n.\r\n", 4},
        {"CRLF . LF", "\r\n.\n", 4},
        {"CRLF . CR CRLF", "\r\n.\r\r\n", 6},
        {"CR . CR", "\r.\r", 3},
        {"CR . CRLF", "\r.\r\n", 4},
        {"LF . CR", "\n.\r", 3},
        {"CRLF . CR", "\r\n.\r", 4},
        {"CRLF . NUL CRLF", "\r\n.\0\r\n", 6},
        {"CRLF NUL . CRLF", "\r\n\0.\r\n", 6},
        {"CR CRLF . CRLF", "\r\r\n.\r\n", 6},
        {"CR LF . CR LF, first CR bare", "\r \r\n.\r\n", 7},
    };
    static const char smuggled[] =
        "MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nevil\r\n.\r\n";
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (size_t piece = 1; piece < 200; piece = piece == 1 ? 7 : piece + 96) {
            struct smtp_session *s = fb_xcalloc(1, sizeof *s);
            struct fake f;
            struct fb_buf replies, text;
            char got[512];
            fake_init(&f);
            fb_buf_init(&replies, 1U << 20);
            fb_buf_init(&text, 1U << 20);
            smtp_session_init(s, &smtp, &host, &f, "192.0.2.9", false);
            give(s, &f, &replies, "EHLO x\r\n" MAIL RCPT "DATA\r\n",
                 strlen("EHLO x\r\n" MAIL RCPT "DATA\r\n"));
            fb_buf_clear(&replies);
            assert_int_equal(fb_buf_add_str(&text, "Subject: x\r\n\r\nbody"), FB_OK);
            assert_int_equal(fb_buf_add(&text, ends[i].bytes, ends[i].len), FB_OK);
            assert_int_equal(fb_buf_add_str(&text, smuggled), FB_OK);
            for (size_t at = 0; at < text.len; at += piece) {
                give(s, &f, &replies, (char *)text.ptr + at,
                     text.len - at < piece ? text.len - at : piece);
            }
            shorten(&replies, got, sizeof got);
            if (strcmp(got, "550 5.6.11") != 0 || f.committed != 0 || s->state != SMTP_CLOSING) {
                fail_msg("%s in pieces of %zu: %s, %d stored, state %d", ends[i].name, piece, got,
                         f.committed, (int)s->state);
            }
            assert_string_equal(f.refused, "bare");
            smtp_session_deinit(s);
            free(s);
            fb_buf_deinit(&replies);
            fb_buf_deinit(&text);
            fake_deinit(&f);
        }
    }
}

static void test_without_pipelining_nothing_follows_the_dot(void **state)
{
    (void)state;
    struct smtp_session *s = fb_xcalloc(1, sizeof *s);
    struct fake f;
    struct fb_buf replies;
    fake_init(&f);
    fb_buf_init(&replies, 1U << 20);
    smtp_session_init(s, &smtp, &host, &f, "192.0.2.9", false);
    static const char *const steps[] = {"HELO x\r\n", MAIL, RCPT, "DATA\r\n", "x\r\n.\r\n" MAIL};
    for (size_t i = 0; i < 5; i++) {
        fb_buf_clear(&replies);
        give(s, &f, &replies, steps[i], strlen(steps[i]));
    }
    char got[512];
    shorten(&replies, got, sizeof got);
    assert_string_equal(got, "503 5.5.0");
    assert_int_equal(f.committed, 0);
    assert_int_equal(s->state, SMTP_CLOSING);
    smtp_session_deinit(s);
    free(s);
    fb_buf_deinit(&replies);
    fake_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_nothing_is_smuggled),
        cmocka_unit_test(test_without_pipelining_nothing_follows_the_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
