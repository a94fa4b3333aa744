/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes under one session: a plain socket, read straight into a buffer that all sessions of the
 * loop share (idle sessions hold no memory), or TLS by libevent's bufferevent after STARTTLS.  Two
 * implementations, one struct; smtp_server.c does not see the difference.
 *
 * The socket is watched edge-triggered and never unwatched: a pause (a commit is under way) costs
 * no system call. Therefore on_input means "call transport_next until it has nothing", now or after
 * the pause.
 */
#ifndef FB_INGEST_SMTP_TRANSPORT_H
#define FB_INGEST_SMTP_TRANSPORT_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define TRANSPORT_READ (128U << 10)

struct bufferevent;
struct transport;

/* All are called from the loop, never from within a call of the transport. */
struct transport_events {
    void (*on_input)(void *ctx);   /* there may be input, or the end */
    void (*on_sent)(void *ctx);    /* what transport_send left over is sent */
    void (*on_secured)(void *ctx); /* the TLS handshake is over */
};

enum transport_state { TRANSPORT_OPEN, TRANSPORT_ENDED /* by the peer, or by an error */ };

struct transport {
    const struct transport_events *events;
    void *ctx;
    struct event_base *base;
    evutil_socket_t fd;
    struct event *watch, *send_watch;
    struct bufferevent *tls; /* NULL = plain */
    enum transport_state state;
    bool is_drained;      /* plain: nothing to read until the next event */
    bool has_peer_closed; /* plain: end of input behind what is there */
    uint8_t *shared;      /* TRANSPORT_READ bytes of the loop */
    struct fb_buf kept;   /* plain: read but not consumed */
    size_t lent;          /* what transport_next gave last */
    bool is_lent_kept;    /* it came from kept */
};

/* Takes fd (also on failure). */
FB_MUST_USE enum fb_status transport_init(struct transport *t, struct event_base *base,
                                          evutil_socket_t fd, uint8_t *shared,
                                          const struct transport_events *events, void *ctx);
void transport_deinit(struct transport *t);

/* The next bytes, lent until the next call; 0: nothing now (look at state). Each call must be
 * followed by transport_consume. */
size_t transport_next(struct transport *t, const uint8_t **ptr_r);
/* n of them were used; the rest comes again. */
void transport_consume(struct transport *t, size_t n);
/* Whether the peer has sent more than transport_next gave. */
bool transport_has_more(struct transport *t);
/* Forgets input that was read already: what came before the TLS handshake. */
void transport_forget_input(struct transport *t);
/* Sends what it can of out and consumes it; false: some is left, on_sent follows. */
bool transport_send(struct transport *t, struct fb_buf *out);
/* The peer is not served any more, but the socket stays ours until transport_deinit: another thread
 * may be in transport_send_now. */
void transport_abandon(struct transport *t);
/* From another thread, while its owner neither sends nor ends the transport: whether that can be,
 * and sending what goes out at once; returns how much that was. */
bool transport_can_send_now(const struct transport *t);
size_t transport_send_now(const struct transport *t, const void *ptr, size_t len);
/* Calls on_input soon: to let other sessions have their turn. */
void transport_again(struct transport *t);
/* Server side of the handshake; on_secured or the state ENDED (with on_input) follows. */
FB_MUST_USE enum fb_status transport_start_tls(struct transport *t, SSL_CTX *context);
/* No more output; input is still read, so that the last reply is not lost to a reset (RFC
 * 1122 4.2.2.13). */
void transport_end_output(struct transport *t);

#endif
