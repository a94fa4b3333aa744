/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection: moves bytes between transport and dialogue, watches the time, and stays alive
 * while a commit of its message is under way even if the peer has gone. */
#include "smtp_conn.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "pressure.h"

#define MAX_SPARE    256
#define TURNS        8    /* reads of one connection before others have their turn */
#define LINGER_MS    2000 /* wait for the peer's end after our last word */
#define HANDSHAKE_MS 60000
#define RATE_AFTER_MS                                                                              \
    60000 /* content slower than this, after a minute, is an attack or a dead link */
#define RATE_MIN_BYTES_S 500
#define HOLD_TICK_MS     100

struct smtp_conn {
    struct smtp_shared *shared;
    struct smtp_conn *next, *prev; /* ring of all; next alone in the spare list */
    struct fb_net_address address;
    struct transport transport;
    struct smtp_session session;
    struct acceptance *acceptance; /* the message under way */
    int64_t deadline_ms;
    int64_t content_begun_ms; /* 0 = no content */
    uint64_t content_bytes;
    int64_t hold_until_ms; /* nothing is answered before; 0 = at once */
    bool is_committing;    /* the committer holds a pointer to this */
    bool is_gone;          /* closed; freed when the commit is over */
    bool is_blocked;       /* replies wait for the peer to read */
    bool is_lingering;
    bool may_answer; /* the committer may send the 250: plain SMTP, no reply waits before it */
    /* set by the committer before it links this into shared->done */
    struct smtp_conn *done_next;
    enum fb_status done_status;
    size_t done_sent; /* octets of the reply */
    char done_id[FB_ID_SIZE];
};

static void pump(struct smtp_conn *c);

/* ---- answers that are late for pressure's sake ---- */

static void arm_hold(struct smtp_shared *sh)
{
    struct timeval soon = {0, HOLD_TICK_MS * 1000};
    if (evtimer_pending(sh->hold, NULL) == 0 && evtimer_add(sh->hold, &soon) != 0) {
        fb_log(FB_WARN, "no timer: held answers wait for the next second");
    }
}

/* ---- the dialogue's host ---- */

static enum fb_status host_may_accept(void *ctx)
{
    struct smtp_conn *c = ctx;
    enum fb_status s = acceptor_may_accept(c->shared->acceptor);
    int delay_ms = s == FB_OK && !c->shared->is_draining ? pressure_delay_ms() : 0;
    if (delay_ms > 0) {
        c->hold_until_ms = c->shared->now_ms + delay_ms;
        arm_hold(c->shared);
    }
    return s;
}

static const char *host_why(void *ctx)
{
    (void)ctx;
    return pressure_why();
}

static enum fb_status host_open(void *ctx)
{
    struct smtp_conn *c = ctx;
    struct fb_error err = {0};
    enum fb_status s = accept_open(c->shared->acceptor, &c->acceptance, &err);
    if (s != FB_OK) {
        fb_log(FB_ERROR, "cannot begin a message: %s", err.text);
    }
    return s;
}

static enum fb_status host_add(void *ctx, const uint8_t *ptr, size_t len)
{
    return accept_add(((struct smtp_conn *)ctx)->acceptance, ptr, len);
}

static void host_abort(void *ctx)
{
    accept_abort(&((struct smtp_conn *)ctx)->acceptance);
}

/* In the committer thread: nothing but the done fields may be touched.  The 250 is sent from here
 * where it can be: the peer need not wait until the loop has its turn, which hears of it
 * afterwards. The socket is not closed while a commit is under way (conn_close), so it is that
 * peer's. */
static void on_done(void *ctx, enum fb_status status, const char *msg_id)
{
    struct smtp_conn *c = ctx;
    c->done_status = status;
    c->done_sent = 0;
    if (status == FB_OK && c->may_answer) {
        char line[SMTP_ACCEPTED_SIZE];
        size_t len = smtp_session_accepted(line, msg_id);
        c->done_sent = transport_send_now(&c->transport, line, len);
    }
    memcpy(c->done_id, msg_id, sizeof c->done_id);
    (void)pthread_mutex_lock(&c->shared->done_lock);
    c->done_next = c->shared->done;
    c->shared->done = c;
    (void)pthread_mutex_unlock(&c->shared->done_lock);
}

static void host_commit(void *ctx, struct fb_envelope *envelope)
{
    struct smtp_conn *c = ctx;
    c->is_committing = true;
    c->may_answer = c->session.out.len == 0 && !c->session.settings->is_lmtp &&
                    transport_can_send_now(&c->transport);
    accept_commit(&c->acceptance, envelope, on_done, c);
}

static bool host_has_input(void *ctx)
{
    return transport_has_more(&((struct smtp_conn *)ctx)->transport);
}

static void host_refused(void *ctx, const char *reason)
{
    char labels[64];
    (void)ctx;
    (void)snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    fb_metric_add("fumibako_messages_rejected_total", labels, 1);
}

static const struct smtp_host host = {host_may_accept, host_open,      host_add,     host_commit,
                                      host_abort,      host_has_input, host_refused, host_why};

/* ---- life ---- */

static void link_in(struct smtp_conn *c)
{
    struct smtp_shared *sh = c->shared;
    if (sh->conns == NULL) {
        c->next = c->prev = c;
        sh->conns = c;
    } else {
        c->next = sh->conns;
        c->prev = sh->conns->prev;
        c->prev->next = c;
        c->next->prev = c;
    }
    sh->conn_count++;
}

static void unlink_out(struct smtp_conn *c)
{
    struct smtp_shared *sh = c->shared;
    c->prev->next = c->next;
    c->next->prev = c->prev;
    if (sh->conns == c) {
        sh->conns = c->next == c ? NULL : c->next;
    }
    sh->conn_count--;
}

static void put_away(struct smtp_conn *c)
{
    struct smtp_shared *sh = c->shared;
    unlink_out(c);
    if (sh->spare_count < MAX_SPARE) {
        c->next = sh->spare;
        sh->spare = c;
        sh->spare_count++;
    } else {
        free(c);
    }
}

/* While the committer has hold of it, struct and socket live on, unwatched: it may be sending, and
 * the socket's number must not become somebody else's. */
static void conn_close(struct smtp_conn *c)
{
    if (c->is_gone) {
        return;
    }
    c->is_gone = true;
    (void)client_count_sub(c->shared->clients, &c->address);
    if (c->is_committing) {
        transport_abandon(&c->transport);
        return;
    }
    transport_deinit(&c->transport);
    smtp_session_deinit(&c->session);
    put_away(c);
}

/* Our last word is sent: wait a moment for the peer to read it. */
static void linger(struct smtp_conn *c)
{
    c->is_lingering = true;
    c->deadline_ms = c->shared->now_ms + LINGER_MS;
    transport_end_output(&c->transport);
}

/* ---- moving bytes ---- */

/* Sends the replies; false: the peer does not read, go on in on_sent. */
static bool flush(struct smtp_conn *c)
{
    if (c->session.out.len > 0 && c->hold_until_ms == 0) {
        c->is_blocked = !transport_send(&c->transport, &c->session.out);
    }
    return !c->is_blocked;
}

static void start_tls(struct smtp_conn *c)
{
    transport_forget_input(&c->transport);
    c->deadline_ms = c->shared->now_ms + HANDSHAKE_MS;
    if (c->shared->tls == NULL ||
        transport_start_tls(&c->transport, tls_context(c->shared->tls)) != FB_OK) {
        fb_log(FB_ERROR, "cannot start TLS with %s", c->session.client);
        c->transport.state = TRANSPORT_ENDED;
    }
}

/* After the dialogue has read something: what time it has for the next step. */
static void set_deadline(struct smtp_conn *c, uint64_t commands_before, size_t used)
{
    struct smtp_session *s = &c->session;
    int64_t now = c->shared->now_ms;
    if (s->state == SMTP_DATA || s->state == SMTP_CHUNK) {
        if (c->content_begun_ms == 0) {
            c->content_begun_ms = now;
            c->content_bytes = 0;
        }
        c->content_bytes += used;
        c->deadline_ms = now + c->shared->command_timeout_ms;
        return;
    }
    /* Only a whole command counts: one octet a minute does not keep a session open. */
    if (c->content_begun_ms != 0 || s->commands != commands_before) {
        c->deadline_ms = now + c->shared->command_timeout_ms;
    }
    c->content_begun_ms = 0;
}

/* Reads a piece into the dialogue; false: nothing to read. */
static bool feed(struct smtp_conn *c)
{
    struct smtp_session *s = &c->session;
    const uint8_t *p = NULL;
    size_t len = transport_next(&c->transport, &p);
    if (len == 0) {
        return false;
    }
    if (c->is_lingering) {
        transport_consume(&c->transport, len);
        return true;
    }
    uint64_t commands = s->commands;
    size_t used = smtp_session_input(s, p, len);
    transport_consume(&c->transport, used);
    set_deadline(c, commands, used);
    return true;
}

/* What the dialogue is waiting for, when it is not input. */
static bool is_waiting(const struct smtp_conn *c)
{
    return c->is_committing || c->is_blocked || c->hold_until_ms != 0 ||
           (c->session.state == SMTP_TLS && c->transport.tls != NULL);
}

/* What the dialogue's state asks for before more is read; false: the connection is closed (and
 * freed). */
static bool follow_state(struct smtp_conn *c)
{
    struct smtp_session *s = &c->session;
    if (s->state == SMTP_TLS && c->transport.tls == NULL) {
        start_tls(c); /* before anything else is read: the next octet may be the handshake's */
    } else if (s->state == SMTP_CLOSING && !c->is_lingering) {
        /* A plain QUIT is the peer's last word: nothing can come that would reset the connection.
         */
        if (s->has_quit && c->transport.tls == NULL) {
            conn_close(c);
            return false;
        }
        linger(c);
    }
    return true;
}

/* Runs the connection until it has to wait; may close (and free) it. */
static void pump(struct smtp_conn *c)
{
    for (int turn = 0; flush(c); turn++) {
        if (c->hold_until_ms != 0) {
            break; /* also what the dialogue's state asks for waits for the answers before it */
        }
        if (!follow_state(c)) {
            return;
        }
        if (is_waiting(c)) {
            break;
        }
        if (turn == TURNS) {
            transport_again(&c->transport);
            break;
        }
        if (!feed(c)) {
            break;
        }
        if (c->shared->is_draining && smtp_session_is_idle(&c->session)) {
            smtp_session_shutdown(&c->session, "4.3.2", "shutting down, try again");
        }
    }
    if (c->transport.state == TRANSPORT_ENDED) {
        conn_close(c);
    }
}

static void on_input(void *ctx)
{
    struct smtp_conn *c = ctx;
    c->shared->now_ms = fb_mono_ms();
    if (!is_waiting(c) || c->transport.state == TRANSPORT_ENDED) {
        pump(c);
    }
}

static void on_sent(void *ctx)
{
    struct smtp_conn *c = ctx;
    c->shared->now_ms = fb_mono_ms();
    if (c->is_blocked) {
        c->is_blocked = false;
        pump(c);
    }
}

static void on_secured(void *ctx)
{
    struct smtp_conn *c = ctx;
    c->shared->now_ms = fb_mono_ms();
    c->deadline_ms = c->shared->now_ms + c->shared->command_timeout_ms;
    smtp_session_secured(&c->session);
    pump(c);
}

static const struct transport_events events = {on_input, on_sent, on_secured};

void smtp_conn_open(struct smtp_shared *sh, int fd, const struct fb_net_address *address,
                    bool is_lmtp)
{
    struct smtp_conn *c = sh->spare;
    if (c != NULL) {
        sh->spare = c->next;
        sh->spare_count--;
    } else {
        c = fb_xcalloc(1, sizeof *c);
    }
    c->shared = sh;
    c->address = *address;
    c->acceptance = NULL;
    c->content_begun_ms = 0;
    c->hold_until_ms = 0;
    c->is_committing = c->is_gone = c->is_blocked = c->is_lingering = false;
    c->deadline_ms = sh->now_ms + sh->command_timeout_ms;
    if (transport_init(&c->transport, sh->base, fd, sh->read_buffer, &events, c) != FB_OK) {
        free(c);
        return;
    }
    (void)client_count_add(sh->clients, address);
    link_in(c);
    char client[46];
    fb_net_address_text(address, client, sizeof client);
    smtp_session_init(&c->session, &sh->settings[is_lmtp], &host, c, client,
                      fb_netlist_has(sh->xforward, address));
    (void)flush(c);
    if (c->transport.state == TRANSPORT_ENDED) {
        conn_close(c);
    }
}

/* ---- commits ---- */

void smtp_conn_wake(void *shared)
{
    struct smtp_shared *sh = shared;
    (void)pthread_mutex_lock(&sh->done_lock);
    bool is_any = sh->done != NULL;
    (void)pthread_mutex_unlock(&sh->done_lock);
    if (is_any) {
        ssize_t n = write(sh->done_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n; /* full means readable already */
    }
}

void smtp_conn_answer_done(struct smtp_shared *sh)
{
    (void)pthread_mutex_lock(&sh->done_lock);
    struct smtp_conn *c = sh->done;
    sh->done = NULL;
    (void)pthread_mutex_unlock(&sh->done_lock);
    sh->now_ms = fb_mono_ms();
    while (c != NULL) {
        struct smtp_conn *next = c->done_next;
        c->is_committing = false;
        smtp_session_done(&c->session, c->done_status, c->done_id);
        fb_buf_consume(&c->session.out, c->done_sent);
        if (c->is_gone) {
            transport_deinit(&c->transport);
            smtp_session_deinit(&c->session);
            put_away(c);
        } else {
            c->deadline_ms = sh->now_ms + sh->command_timeout_ms;
            pump(c);
        }
        c = next;
    }
}

/* ---- time ---- */

static bool is_too_slow(const struct smtp_conn *c, int64_t now)
{
    int64_t took = now - c->content_begun_ms;
    return c->content_begun_ms != 0 && took > RATE_AFTER_MS &&
           c->content_bytes < (uint64_t)(took / 1000) * RATE_MIN_BYTES_S;
}

/* Says why, and closes as soon as that is sent. May free the connection. */
static void end_session(struct smtp_conn *c, const char *enhanced, const char *text)
{
    smtp_session_shutdown(&c->session, enhanced, text);
    if (!flush(c)) {
        conn_close(c); /* it has not read for minutes */
        return;
    }
    if (c->transport.state == TRANSPORT_ENDED) {
        conn_close(c);
        return;
    }
    linger(c);
}

static void look_after(struct smtp_conn *c, bool is_late)
{
    int64_t now = c->shared->now_ms;
    struct smtp_session *s = &c->session;
    if (c->is_gone || c->is_committing || c->hold_until_ms != 0) {
        return;
    }
    if (c->is_lingering || s->state == SMTP_TLS) {
        if (now > c->deadline_ms) {
            conn_close(c);
        }
    } else if (c->shared->is_draining && (is_late || smtp_session_is_idle(s))) {
        end_session(c, "4.3.2", "shutting down, try again");
    } else if (now > c->deadline_ms) {
        end_session(c, "4.4.2", "you said nothing for too long");
    } else if (is_too_slow(c, now)) {
        end_session(c, "4.4.2", "too slow");
    }
}

void smtp_conn_release(struct smtp_shared *sh)
{
    size_t count = sh->conn_count;
    struct smtp_conn *c = sh->conns;
    bool is_any = false;
    sh->now_ms = fb_mono_ms();
    for (size_t i = 0; i < count; i++) {
        struct smtp_conn *next = c->next; /* c may be freed, others are not */
        bool is_due = c->hold_until_ms != 0 && !c->is_gone &&
                      (sh->now_ms >= c->hold_until_ms || sh->is_draining);
        is_any = is_any || (c->hold_until_ms != 0 && !c->is_gone && !is_due);
        if (is_due) {
            c->hold_until_ms = 0;
            c->deadline_ms = sh->now_ms + sh->command_timeout_ms;
            pump(c);
        }
        c = next;
    }
    if (is_any) {
        arm_hold(sh);
    }
}

void smtp_conn_look_after(struct smtp_shared *sh, bool is_late)
{
    smtp_conn_release(sh);
    size_t count = sh->conn_count;
    struct smtp_conn *c = sh->conns;
    for (size_t i = 0; i < count; i++) {
        struct smtp_conn *next = c->next; /* c may be freed, others are not */
        look_after(c, is_late);
        c = next;
    }
}

void smtp_conn_close_all(struct smtp_shared *sh)
{
    smtp_conn_answer_done(sh);
    while (sh->conns != NULL) {
        struct smtp_conn *c = sh->conns;
        FB_ASSERT(!c->is_committing);
        conn_close(c);
    }
    while (sh->spare != NULL) {
        struct smtp_conn *c = sh->spare;
        sh->spare = c->next;
        free(c);
    }
}
