/* SPDX-License-Identifier: Apache-2.0
 *
 * A host for smtp_session that keeps messages in memory, and a peer that talks to it; shared by the
 * dialogue tests. */
#ifndef FB_TESTS_UNIT_INGEST_SMTP_TALK_H
#define FB_TESTS_UNIT_INGEST_SMTP_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_session.h"

#define MAIL   "MAIL FROM:<a@example.jp>\r\n"
#define RCPT   "RCPT TO:<b@example.com>\r\n"
#define OPENED "250 2.1.0|250 2.1.5|354"
#define ID     "01HZZZZZZZZZZZZZZZZZZZZZZZ"

/* ---- a host that keeps messages in memory ---- */

struct fake {
    struct fb_buf content; /* of the message under way, then of the last one stored */
    struct fb_buf stored;  /* all messages, one after the other */
    int opened, committed, aborted;
    char refused[32];
    enum fb_status may_accept, open, add, commit;
    bool has_input;
    struct fb_envelope last;
};

static inline enum fb_status fake_may_accept(void *ctx)
{
    return ((struct fake *)ctx)->may_accept;
}

static inline enum fb_status fake_open(void *ctx)
{
    struct fake *f = ctx;
    if (f->open == FB_OK) {
        assert_int_equal(f->opened, f->committed + f->aborted); /* one at a time */
        f->opened++;
        fb_buf_clear(&f->content);
    }
    return f->open;
}

static inline enum fb_status fake_add(void *ctx, const uint8_t *ptr, size_t len)
{
    struct fake *f = ctx;
    assert_int_equal(f->opened, f->committed + f->aborted + 1);
    return f->add != FB_OK ? f->add : fb_buf_add(&f->content, ptr, len);
}

static inline void fake_commit(void *ctx, struct fb_envelope *envelope)
{
    struct fake *f = ctx;
    f->committed++;
    assert_int_equal(f->opened, f->committed + f->aborted);
    fb_envelope_deinit(&f->last);
    f->last = *envelope;
    if (f->commit == FB_OK) {
        assert_int_equal(fb_buf_add(&f->stored, f->content.ptr, f->content.len), FB_OK);
    }
}

static inline void fake_abort(void *ctx)
{
    struct fake *f = ctx;
    f->aborted++;
    assert_int_equal(f->opened, f->committed + f->aborted);
}

static inline bool fake_has_input(void *ctx)
{
    return ((struct fake *)ctx)->has_input;
}

static inline void fake_refused(void *ctx, const char *reason)
{
    (void)snprintf(((struct fake *)ctx)->refused, sizeof((struct fake *)ctx)->refused, "%s",
                   reason);
}

static const struct smtp_host host = {fake_may_accept, fake_open,      fake_add,     fake_commit,
                                      fake_abort,      fake_has_input, fake_refused, NULL};
static const struct smtp_settings smtp = {"mx.example", false, true, 1000, 3};
static const struct smtp_settings lmtp = {"mx.example", true, false, 1000, 3};

static inline void fake_init(struct fake *f)
{
    memset(f, 0, sizeof *f);
    fb_buf_init(&f->content, 1U << 22);
    fb_buf_init(&f->stored, 1U << 22);
}

static inline void fake_deinit(struct fake *f)
{
    assert_int_equal(f->opened, f->committed + f->aborted); /* nothing is left behind */
    fb_envelope_deinit(&f->last);
    fb_buf_deinit(&f->content);
    fb_buf_deinit(&f->stored);
}

/* Gives all of it as smtp_server.c would: what waits for a commit or for replies is given again. */
static inline void give(struct smtp_session *s, struct fake *f, struct fb_buf *replies,
                        const char *p, size_t len)
{
    size_t at = 0;
    for (;;) {
        at += smtp_session_input(s, (const uint8_t *)p + at, len - at);
        assert_int_equal(fb_buf_add(replies, s->out.ptr, s->out.len), FB_OK);
        fb_buf_clear(&s->out);
        if (s->state == SMTP_COMMIT) {
            smtp_session_done(s, f->commit, ID);
        } else if (s->state == SMTP_TLS) {
            smtp_session_secured(s);
        } else if (at >= len && s->out.len == 0) {
            return;
        }
    }
}

/* "250 2.1.0|354": code and enhanced code of each reply's last line. */
static inline void shorten(const struct fb_buf *replies, char *out, size_t size)
{
    const char *p = fb_buf_str(replies);
    size_t n = 0;
    out[0] = '\0';
    while (*p != '\0') {
        const char *end = strstr(p, "\r\n");
        assert_non_null(end);
        if (p[3] == ' ') {
            size_t len = p[4] >= '2' && p[4] <= '5' && p[5] == '.' ? strcspn(p + 4, " \r") + 4 : 3;
            n += (size_t)snprintf(out + n, size - n, "%s%.*s", n > 0 ? "|" : "", (int)len, p);
            assert_true(n < size);
        }
        p = end + 2;
    }
}

/* ---- a peer, greeted ---- */

struct talk {
    struct smtp_session *s;
    struct fake f;
    struct fb_buf replies;
};

static inline void talk_init(struct talk *t)
{
    t->s = fb_xcalloc(1, sizeof *t->s);
    fake_init(&t->f);
    fb_buf_init(&t->replies, 1U << 22);
    smtp_session_init(t->s, &smtp, &host, &t->f, "192.0.2.9", true);
    give(t->s, &t->f, &t->replies, "EHLO c.example\r\n", 16);
}

static inline const char *say(struct talk *t, const char *p, size_t len)
{
    static char got[8192];
    fb_buf_clear(&t->replies);
    give(t->s, &t->f, &t->replies, p, len);
    shorten(&t->replies, got, sizeof got);
    return got;
}

static inline void talk_deinit(struct talk *t)
{
    smtp_session_deinit(t->s);
    free(t->s);
    fb_buf_deinit(&t->replies);
    fake_deinit(&t->f);
}

#endif
