/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP client against a scripted relay: every answer for every recipient, every way to break
 * off, every wait ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/rewrite/smtp_client.h"
#include "services/rewrite/smtp_wire.h"
#include "smtp_peer.h"

#define HELLO_OF(extensions) ">220 relay|<EHLO client.test|>250-relay" extensions "~250 HELP"
#define HELLO                HELLO_OF("~250-PIPELINING~250-8BITMIME~250-SMTPUTF8~250-DSN~250-SIZE 1000")
#define BARE                 HELLO_OF("")
#define QUIT                 "|<QUIT|>221 bye"
#define CAP_MS               20000

struct source {
    struct fb_slice all;
    size_t at;
    size_t fails_at; /* 0 = never */
};

static enum fb_status read_source(void *ctx, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    struct source *s = ctx;
    if (s->fails_at > 0 && s->at >= s->fails_at) {
        return fb_error_set(err, FB_CORRUPT, "the source is broken");
    }
    struct fb_slice part = fb_slice_sub(s->all, s->at, s->fails_at > 0 ? 1 : len);
    if (part.len > 0) {
        memcpy(out, part.ptr, part.len);
    }
    s->at += part.len;
    *read_r = part.len;
    return FB_OK;
}

struct row {
    const char *name;
    const char *scripts[PEER_CONNECTIONS + 1];
    int times;        /* mails over one client; 0 = 1 */
    int cap_ms;       /* of each wait; 0 = CAP_MS */
    const char *from; /* NULL = a@x */
    const char *rcpts[4], *notify, *orcpt, *ret, *envid;
    const char *content; /* NULL = a small one */
    bool is_8bit, is_utf8;
    size_t fails_at;
    enum fb_status want;
    int codes[4];
    const char *enhanced; /* of the first */
    bool is_unknown;
    const char *sees, *sees_not; /* in what the relay received */
};

static const char small[] = "Subject: s\r\n\r\nbody\r\n";

static void send_row(const struct row *row)
{
    struct smtp_peer peer;
    struct smtp_client *client = NULL;
    struct fb_error err = {0};
    struct smtp_recipient recipients[4] = {0};
    char url[64];
    struct smtp_mail m = {.reverse_path = row->from != NULL ? row->from : "a@x",
                          .dsn_ret = row->ret,
                          .dsn_envid = row->envid,
                          .is_8bit = row->is_8bit,
                          .is_smtputf8 = row->is_utf8,
                          .recipients = recipients};
    for (; m.recipient_count < 4 && row->rcpts[m.recipient_count] != NULL; m.recipient_count++) {
        recipients[m.recipient_count] = (struct smtp_recipient){
            .address = row->rcpts[m.recipient_count], .notify = row->notify, .orcpt = row->orcpt};
    }
    const char *content = row->content != NULL ? row->content : small;
    for (const char *p = content; *p != '\0'; p++) {
        m.content.has_8bit = m.content.has_8bit || (unsigned char)*p > 0x7f;
    }
    smtp_peer_start(&peer, row->scripts);
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    assert_int_equal(smtp_client_new(url, "client.test", &client, &err), FB_OK);
    smtp_client_cap_waits(client, row->cap_ms > 0 ? row->cap_ms : CAP_MS);
    bool is_unknown = false;
    enum fb_status s = FB_OK;
    for (int i = 0; i < (row->times > 0 ? row->times : 1); i++) {
        struct source source = {.all = fb_slice_str(content), .fails_at = row->fails_at};
        m.content.ctx = &source;
        m.content.read = read_source;
        m.content.size = source.all.len;
        int64_t started = fb_mono_ms();
        s = smtp_client_send(client, &m, &is_unknown, &err);
        if (fb_mono_ms() - started > 30000) {
            fail_msg("%s: took %lld ms", row->name, (long long)(fb_mono_ms() - started));
        }
    }
    smtp_client_free(&client);
    (void)pthread_join(peer.thread, NULL);
    const char *seen = fb_buf_str(&peer.seen);
    if (s != row->want || is_unknown != row->is_unknown || peer.failure[0] != '\0') {
        fail_msg("%s: status %s, want %s; unknown %d, want %d; %s; relay: %s", row->name,
                 fb_status_name(s), fb_status_name(row->want), is_unknown, row->is_unknown,
                 err.text, peer.failure);
    }
    for (size_t i = 0; i < m.recipient_count && s == FB_OK; i++) {
        if (recipients[i].code != row->codes[i]) {
            fail_msg("%s: recipient %zu: %d %s, want %d", row->name, i, recipients[i].code,
                     recipients[i].reply, row->codes[i]);
        }
    }
    if (row->enhanced != NULL && strcmp(recipients[0].enhanced, row->enhanced) != 0) {
        fail_msg("%s: enhanced \"%s\", want \"%s\"", row->name, recipients[0].enhanced,
                 row->enhanced);
    }
    if (row->sees != NULL && strstr(seen, row->sees) == NULL) {
        fail_msg("%s: the relay saw no \"%s\" in: %s", row->name, row->sees, seen);
    }
    if (row->sees_not != NULL && strstr(seen, row->sees_not) != NULL) {
        fail_msg("%s: the relay saw \"%s\" in: %s", row->name, row->sees_not, seen);
    }
    for (int i = 0; row->scripts[i] != NULL; i++) {
        if (i + 1 > peer.connections) {
            fail_msg("%s: only %d connections", row->name, peer.connections);
        }
    }
    (void)close(peer.listener);
    fb_buf_deinit(&peer.seen);
}

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_row(&rows[i]);
    }
}
#define RUN(rows) run(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_each_recipient_has_its_answer(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "all taken, pipelined",
         .scripts = {HELLO "|<MAIL FROM:<a@x> SIZE=20|<RCPT TO:<b@y>|<RCPT TO:<c@y>|<DATA|>250 "
                           "1|>250 2|>250 3|>354 go|*|>250 2.0.0 "
                           "ok" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {250, 250},
         .enhanced = "2.0.0"},
        {.name = "some refused, pipelined",
         .scripts =
             {HELLO
              "|<MAIL|<RCPT|<RCPT|<RCPT|<DATA|>250 1|>550 5.1.1 no such user|>450 4.2.0 later|>250 "
              "3|>354 go|*|>250 2.0.0 ok" QUIT},
         .rcpts = {"b@y", "c@y", "d@y"},
         .codes = {550, 450, 250},
         .enhanced = "5.1.1"},
        {.name = "some refused, one by one",
         .scripts = {BARE "|<MAIL|>250 1|<RCPT TO:<b@y>|>250 2|<RCPT TO:<c@y>|>551 no|<DATA|>354 "
                          "go|*|>250 ok" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {250, 551}},
        {.name = "all refused, DATA refused with them",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>550 5.1.1 no|>554 no valid "
                           "recipients|<RSET|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {550},
         .enhanced = "5.1.1"},
        {.name = "all refused, DATA taken all the same",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>550 5.1.1 no|>354 go|*|>554 nobody" QUIT},
         .rcpts = {"b@y"},
         .codes = {550},
         .sees_not = "body"},
        {.name = "MAIL refused, pipelined",
         .scripts = {HELLO "|<MAIL|<RCPT|<RCPT|<DATA|>451 4.7.1 greylisted|>503 MAIL first|>503 "
                           "MAIL first|>503 no|<RSET|>250 "
                           "ok" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {451, 451},
         .enhanced = "4.7.1"},
        {.name = "MAIL refused, one by one: nothing more is asked",
         .scripts = {BARE "|<MAIL|>552 5.3.4 too big|<RSET|>250 ok" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {552, 552},
         .enhanced = "5.3.4"},
        {.name = "DATA refused",
         .scripts = {HELLO "|<MAIL|<RCPT|<RCPT|<DATA|>250 1|>250 2|>550 no|>451 4.3.0 not "
                           "now|<RSET|>250 ok" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {451, 550},
         .enhanced = "4.3.0"},
        {.name = "content refused",
         .scripts =
             {HELLO
              "|<MAIL|<RCPT|<RCPT|<DATA|>250 1|>250 2|>450 later|>354 go|*|>554 5.7.1 spam" QUIT},
         .rcpts = {"b@y", "c@y"},
         .codes = {554, 450},
         .enhanced = "5.7.1"},
        {.name = "reply of several lines, byte by byte",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|=250-2.1.0 one~250 2.1.0 two~|=25|?20|=0 2.1.5 "
                           "ok~354 |?20|>go|*|>250-2.0.0 a~250 "
                           "2.0.0 b" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
    };
    RUN(rows);
}

static void test_says_what_the_envelope_said(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "DSN parameters",
         .scripts = {HELLO "|<MAIL FROM:<a@x> SIZE=20 RET=HDRS ENVID=QQ+20x|<RCPT TO:<b@y> "
                           "NOTIFY=SUCCESS,FAILURE "
                           "ORCPT=rfc822;b+2B1@y|<DATA|>250 1|>250 2|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .notify = "SUCCESS,FAILURE",
         .orcpt = "rfc822;b+2B1@y",
         .ret = "HDRS",
         .envid = "QQ+20x",
         .codes = {250}},
        {.name = "no DSN parameter where the relay has none",
         .scripts = {HELLO_OF("~250-PIPELINING") "|<MAIL FROM:<a@x>|<RCPT TO:<b@y>|<DATA|>250 "
                                                 "1|>250 2|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .notify = "NEVER",
         .orcpt = "rfc822;b@y",
         .ret = "FULL",
         .envid = "1",
         .codes = {250},
         .sees_not = "NOTIFY"},
        {.name = "8BITMIME as announced",
         .scripts = {HELLO "|<MAIL FROM:<a@x> SIZE=20 BODY=8BITMIME|<RCPT|<DATA|>250 1|>250 2|>354 "
                           "go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .is_8bit = true,
         .codes = {250}},
        {.name = "8 bit content is announced though its sender did not",
         .scripts = {HELLO "|<MAIL FROM:<a@x> SIZE=7 BODY=8BITMIME|<RCPT|<DATA|>250 1|>250 2|>354 "
                           "go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .content = "\r\n\xe3\x81\x82\r\n",
         .codes = {250}},
        {.name = "announced but 7 bit: goes without 8BITMIME",
         .scripts = {BARE "|<MAIL FROM:<a@x>|>250 1|<RCPT|>250 2|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .is_8bit = true,
         .codes = {250},
         .sees_not = "8BITMIME"},
        {.name = "8 bit and no 8BITMIME: refused, unsent (RFC 6152)",
         .scripts = {BARE "" QUIT},
         .rcpts = {"b@y"},
         .is_8bit = true,
         .content = "\r\n\xe3\x81\x82\r\n",
         .codes = {554},
         .enhanced = "5.6.3",
         .sees_not = "MAIL"},
        {.name = "SMTPUTF8",
         .scripts = {HELLO "|<MAIL FROM:<\xe7\x94\xb0@x> SIZE=20 SMTPUTF8|<RCPT|<DATA|>250 1|>250 "
                           "2|>354 go|*|>250 ok" QUIT},
         .from = "\xe7\x94\xb0@x",
         .rcpts = {"b@y"},
         .is_utf8 = true,
         .codes = {250}},
        {.name = "SMTPUTF8 announced, all of it ASCII: goes without",
         .scripts = {HELLO_OF(
             "~250-8BITMIME") "|<MAIL FROM:<a@x>|>250 1|<RCPT|>250 2|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .is_utf8 = true,
         .codes = {250},
         .sees_not = "SMTPUTF8"},
        {.name = "a sender beyond ASCII and no SMTPUTF8 (RFC 6531)",
         .scripts = {HELLO_OF("~250-8BITMIME") "" QUIT},
         .from = "\xe7\x94\xb0@x",
         .rcpts = {"b@y"},
         .is_utf8 = true,
         .codes = {553},
         .enhanced = "5.6.7",
         .sees_not = "MAIL"},
        {.name = "one recipient beyond ASCII and no SMTPUTF8: the others get it",
         .scripts = {HELLO_OF(
             "~250-8BITMIME") "|<MAIL|>250 1|<RCPT TO:<b@y>|>250 2|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"\xe7\x94\xb0@y", "b@y"},
         .is_utf8 = true,
         .codes = {553, 250},
         .enhanced = "5.6.7"},
        {.name = "a UTF-8 header and no SMTPUTF8",
         .scripts = {HELLO_OF("~250-8BITMIME") "" QUIT},
         .rcpts = {"b@y"},
         .is_utf8 = true,
         .content = "Subject: \xe7\x94\xb0\r\n\r\nx\r\n",
         .codes = {554},
         .enhanced = "5.6.9"},
        {.name = "larger than the relay takes (RFC 1870)",
         .scripts = {HELLO_OF("~250-SIZE 10") "" QUIT},
         .rcpts = {"b@y"},
         .codes = {552},
         .enhanced = "5.3.4",
         .sees_not = "MAIL"},
        {.name = "SIZE without a limit",
         .scripts = {HELLO_OF("~250-SIZE") "|<MAIL FROM:<a@x> SIZE=20|>250 1|<RCPT|>250 "
                                           "2|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
        {.name = "a relay that is called PIPELINING has not said so",
         .scripts = {">220 x|<EHLO|>250-PIPELINING~250 HELP|<MAIL|>250 1|<RCPT|>250 2|<DATA|>354 "
                     "go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
        {.name = "a relay without EHLO",
         .scripts = {">220 x|<EHLO|>502 what?|<HELO client.test|>250 x|<MAIL FROM:<a@x>|>250 "
                     "1|<RCPT TO:<b@y>|>250 2|<DATA|>354 "
                     "go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .notify = "NEVER",
         .codes = {250}},
        {.name = "null sender",
         .scripts = {HELLO "|<MAIL FROM:<> |<RCPT|<DATA|>250 1|>250 2|>354 go|*|>250 ok" QUIT},
         .from = "",
         .rcpts = {"b@y"},
         .codes = {250}},
    };
    RUN(rows);
}

static void test_content_arrives_byte_for_byte(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "dots, in the header too",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .content = ".H: a\r\n.\r\n..\r\n.x\r\n",
         .codes = {250},
         .sees = "DATA\r\n..H: a\r\n..\r\n...\r\n..x\r\n.\r\nQUIT"},
        {.name = "no line end at the end",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .content = "\r\nx",
         .codes = {250},
         .sees = "DATA\r\n\r\nx\r\n.\r\nQUIT"},
        {.name = "empty",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .content = "",
         .codes = {250},
         .sees = "DATA\r\n.\r\nQUIT"},
        {.name = "a bare LF is not sent",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|..."},
         .rcpts = {"b@y"},
         .content = "a\r\n\n.\r\nMAIL FROM:<evil@x>\r\n",
         .want = FB_INVALID,
         .sees_not = "evil"},
        {.name = "a bare CR is not sent",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|..."},
         .rcpts = {"b@y"},
         .content = "a\r.\r\nMAIL FROM:<evil@x>\r\n",
         .want = FB_INVALID,
         .sees_not = "evil"},
        {.name = "a CR at the end is not sent",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|..."},
         .rcpts = {"b@y"},
         .content = "a\r\nb\r",
         .want = FB_INVALID},
        {.name = "an address cannot bring a command",
         .scripts = {NULL},
         .rcpts = {"b@y>\r\nRCPT TO:<evil@x"},
         .want = FB_INVALID},
        {.name = "nor can a DSN parameter",
         .scripts = {NULL},
         .rcpts = {"b@y"},
         .notify = "NEVER\r\nRCPT TO:<evil@x>",
         .want = FB_INVALID},
        {.name = "a broken source cuts DATA: no mail",
         .scripts = {BARE "|<MAIL|>250|<RCPT|>250|<DATA|>354 go|..."},
         .rcpts = {"b@y"},
         .fails_at = 5,
         .want = FB_CORRUPT,
         .sees_not = "\r\n.\r\n"},
    };
    RUN(rows);
}

static void test_every_wait_ends(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "no greeting",
         .cap_ms = 1000,
         .scripts = {"..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no answer to EHLO",
         .cap_ms = 1000,
         .scripts = {">220 x|<EHLO|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "half an answer to EHLO",
         .cap_ms = 1000,
         .scripts = {">220 x|<EHLO|>250-x|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no answer to MAIL",
         .cap_ms = 1000,
         .scripts = {HELLO "|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no answer to RCPT",
         .cap_ms = 1000,
         .scripts = {HELLO "|<MAIL|>250|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no answer to DATA",
         .cap_ms = 1000,
         .scripts = {HELLO "|<MAIL|>250|>250|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no answer to the final dot",
         .cap_ms = 5000,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK,
         .is_unknown = true},
        {.name = "a byte now and then does not prolong it",
         .cap_ms = 1000,
         .scripts = {">220 x|<EHLO|=2|?100|=5|?100|=0|?100|=-|?100|=x|?100|=x|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "RSET without an answer: everybody has theirs all the same",
         .cap_ms = 5000,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>550 5.1.1 no|>554 no|<RSET|..."},
         .rcpts = {"b@y"},
         .codes = {550}},
    };
    RUN(rows);
}

static void test_lost_connections(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "closed before the greeting",
         .scripts = {"?1"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "greeted with 554", .scripts = {">554 no"}, .rcpts = {"b@y"}, .want = FB_NETWORK},
        {.name = "greeted with 421",
         .scripts = {">421 busy"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "closed in the envelope",
         .scripts = {HELLO "|<MAIL|>250 1"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "reset after the final dot",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>250 2|>354 go|*|!"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK,
         .is_unknown = true},
        {.name = "closed after the final dot, before the reply: the outcome is unknown (RFC 1047)",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>250 2|>354 go|*"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK,
         .is_unknown = true},
        {.name = "421 and closed: try again later",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>421 4.3.2 going down"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "no SMTP",
         .scripts = {">HTTP/1.1 400 Bad Request|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "354 to MAIL is no yes",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>354 go|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "250 to DATA is no delivery",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>250 2|>250 3|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK},
        {.name = "354 to the content is no delivery",
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250 1|>250 2|>354 go|*|>354 more|..."},
         .rcpts = {"b@y"},
         .want = FB_NETWORK,
         .is_unknown = true},
    };
    RUN(rows);
}

static void test_the_connection_is_kept(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.name = "two mails, one connection",
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 "
                           "ok|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
        {.name = "closed in between: a fresh one",
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 ok",
                     HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
        {.name = "dies under the second mail's envelope: a fresh one",
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 ok|<MAIL|<RCPT|<DATA",
                     HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {250}},
        {.name = "dies under the second mail's content: no second try",
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*|>250 "
                           "ok|<MAIL|<RCPT|<DATA|>250|>250|>354 go|*"},
         .rcpts = {"b@y"},
         .want = FB_NETWORK,
         .is_unknown = true},
        {.name = "after a refused mail",
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>550 no|>554 no|<RSET|>250 "
                           "ok|<MAIL|<RCPT|<DATA|>250|>550 no|>554 no|<RSET|>250 "
                           "ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {550}},
        {.name = "an answer that comes late is not the next mail's",
         .cap_ms = 5000,
         .times = 2,
         .scripts = {HELLO "|<MAIL|<RCPT|<DATA|>250|>550 no|>554 no|<RSET|?8000|>250 ok",
                     HELLO "|<MAIL|<RCPT|<DATA|>250|>550 no|>554 no|<RSET|>250 ok" QUIT},
         .rcpts = {"b@y"},
         .codes = {550}},
    };
    RUN(rows);
}

static void test_no_server_is_a_clear_error(void **state)
{
    (void)state;
    struct smtp_peer peer;
    struct smtp_client *client = NULL;
    struct fb_error err = {0};
    char url[64];
    bool is_unknown = false;
    const char *none[] = {NULL};
    struct smtp_recipient r = {.address = "b@y"};
    struct source source = {.all = fb_slice_str(small)};
    struct smtp_mail m = {.reverse_path = "a@x",
                          .recipients = &r,
                          .recipient_count = 1,
                          .content = {.ctx = &source, .read = read_source}};
    smtp_peer_start(&peer, none);
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    smtp_peer_stop(&peer); /* nobody listens there now */
    assert_int_equal(smtp_client_new(url, "client.test", &client, &err), FB_OK);
    assert_int_equal(smtp_client_send(client, &m, &is_unknown, &err), FB_NETWORK);
    assert_non_null(strstr(err.text, "relay 127.0.0.1 port"));
    assert_non_null(strstr(err.text, "refused"));
    assert_false(is_unknown);
    smtp_client_free(&client);
    static const char *const bad[] = {
        "", "127.0.0.1:25", "http://127.0.0.1:25", "smtp://127.0.0.1", "smtp://:25", "smtp://h:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(smtp_client_new(bad[i], "x", &client, &err), FB_CONFIG);
        assert_null(client);
    }
}

/* 1,000 recipients in one write and 200 kB of replies unread: both sides would wait for each other.
 */
static void test_many_recipients_do_not_block(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct smtp_peer peer;
    struct smtp_client *client = NULL;
    struct fb_error err = {0};
    struct fb_buf script;
    char url[64];
    bool is_unknown = false;
    struct smtp_recipient *r = fb_xcalloc(COUNT, sizeof *r);
    struct source source = {.all = fb_slice_str(small)};
    struct smtp_mail m = {.reverse_path = "a@x",
                          .recipients = r,
                          .recipient_count = COUNT,
                          .content = {.ctx = &source, .read = read_source}};
    fb_buf_init(&script, 1U << 20);
    assert_int_equal(fb_buf_add_str(&script, HELLO "|<MAIL|>250 1"), FB_OK);
    for (int i = 0; i < COUNT; i++) {
        r[i].address = "b@y";
        assert_int_equal(
            fb_buf_add_str(&script, i % 2 == 0 ? "|<RCPT|>250 2.1.5 yes" : "|<RCPT|>550 5.1.1 no"),
            FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&script, "|<DATA|>354 go|*|>250 2.0.0 ok" QUIT), FB_OK);
    const char *scripts[] = {fb_buf_str(&script), NULL};
    smtp_peer_start(&peer, scripts);
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    assert_int_equal(smtp_client_new(url, "client.test", &client, &err), FB_OK);
    assert_int_equal(smtp_client_send(client, &m, &is_unknown, &err), FB_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(r[i].code, i % 2 == 0 ? 250 : 550);
    }
    smtp_client_free(&client);
    (void)pthread_join(peer.thread, NULL);
    assert_string_equal(peer.failure, "");
    (void)close(peer.listener);
    fb_buf_deinit(&peer.seen);
    fb_buf_deinit(&script);
    free(r);
}

/* Replies of a relay gone mad: each ends in a reply or an error, never in a wait or a crash. */
static void test_garbage_ends(void **state)
{
    (void)state;
    static const char good[] =
        "220 relay ready\r\n250-relay\r\n250-SIZE 1000\r\n250 2.1.0 ok\r\n354 go\r\n550-5.1.1 "
        "no\r\n550 5.1.1 such user\r\n";
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        int pair[2];
        struct smtp_wire w;
        struct fb_error err = {0};
        char bytes[sizeof good];
        memcpy(bytes, good, sizeof good);
        for (int i = 0; i < round % 6; i++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % (sizeof good - 1)] = (char)(seed >> 24);
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        seed = seed * 1103515245 + 12345;
        size_t len = (seed >> 8) % sizeof good;
        assert_int_equal(send(pair[1], bytes, len, MSG_NOSIGNAL), len);
        (void)close(pair[1]);
        smtp_wire_init(&w);
        w.fd = pair[0];
        int replies = 0;
        for (enum fb_status s = FB_OK; s == FB_OK; replies++) {
            struct smtp_reply r = {0};
            s = smtp_wire_reply(&w, CAP_MS, &r, NULL, NULL, &err);
            assert_true(s == FB_NETWORK || (r.code >= 200 && r.code < 600));
            assert_true(strlen(r.text) < sizeof r.text && strlen(r.enhanced) < sizeof r.enhanced);
        }
        assert_true(replies < 12);
        smtp_wire_close(&w);
    }
}

/* A line without an end, lines without an end: bounded. */
static void test_endless_replies_are_cut(void **state)
{
    (void)state;
    static const char *const endless[] = {"250-x\r\n", "2"};
    for (size_t i = 0; i < 2; i++) {
        int pair[2];
        struct smtp_wire w;
        struct smtp_reply r = {0};
        struct fb_error err = {0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        struct fb_buf bytes;
        fb_buf_init(&bytes, 65536);
        while (bytes.len < 4000) {
            assert_int_equal(fb_buf_add_str(&bytes, endless[i]), FB_OK);
        }
        assert_int_equal(send(pair[1], bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
        fb_buf_deinit(&bytes);
        smtp_wire_init(&w);
        w.fd = pair[0];
        assert_int_equal(smtp_wire_reply(&w, CAP_MS, &r, NULL, NULL, &err), FB_NETWORK);
        assert_non_null(strstr(err.text, "more than"));
        smtp_wire_close(&w);
        (void)close(pair[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recipient_has_its_answer),
        cmocka_unit_test(test_says_what_the_envelope_said),
        cmocka_unit_test(test_content_arrives_byte_for_byte),
        cmocka_unit_test(test_every_wait_ends),
        cmocka_unit_test(test_lost_connections),
        cmocka_unit_test(test_the_connection_is_kept),
        cmocka_unit_test(test_no_server_is_a_clear_error),
        cmocka_unit_test(test_many_recipients_do_not_block),
        cmocka_unit_test(test_garbage_ends),
        cmocka_unit_test(test_endless_replies_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
