/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the server: one connection (smtp_conn.c) and what it shares with the listeners
 * (smtp_server.c). */
#ifndef FB_INGEST_SMTP_CONN_H
#define FB_INGEST_SMTP_CONN_H

#include <event2/event.h>
#include <pthread.h>

#include "accept.h"
#include "client_count.h"
#include "common/netlist.h"
#include "smtp_session.h"
#include "smtp_transport.h"
#include "tls.h"

struct smtp_conn;

/* What all connections of a server share. */
struct smtp_shared {
    struct event_base *base;
    struct acceptor *acceptor;
    struct tls *tls; /* NULL = none */
    const struct fb_netlist *xforward;
    struct smtp_settings settings[2]; /* SMTP, LMTP */
    int64_t command_timeout_ms;
    int64_t now_ms; /* monotonic, as of this turn of the loop */
    bool is_draining;

    struct smtp_conn *conns; /* all, in a ring of two-way links; NULL = none */
    size_t conn_count;
    struct client_count *clients;
    struct smtp_conn *spare; /* to use again */
    size_t spare_count;
    uint8_t *read_buffer;
    struct event *hold; /* a timer, on while answers are held back (pressure.h) */

    /* committed by the committer thread, not answered yet */
    pthread_mutex_t done_lock;
    struct smtp_conn *done;
    int done_fd; /* eventfd */
};

/* Takes fd. */
void smtp_conn_open(struct smtp_shared *shared, int fd, const struct fb_net_address *address,
                    bool is_lmtp);
/* Answers what the committer has done; called when done_fd is readable. */
void smtp_conn_answer_done(struct smtp_shared *shared);
/* From the committer thread, once per batch. */
void smtp_conn_wake(void *shared);
/* The timer `hold`: answers that were held back long enough go out. */
void smtp_conn_release(struct smtp_shared *shared);
/* Each second: time-outs; while draining: ends idle sessions, and with is_late all that can be
 * ended. */
void smtp_conn_look_after(struct smtp_shared *shared, bool is_late);
/* Closes all at once; commits under way must be over. */
void smtp_conn_close_all(struct smtp_shared *shared);

#endif
