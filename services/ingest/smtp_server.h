/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP and LMTP listeners: one libevent loop in one thread for all sessions (threads are for
 * what blocks: committing, Redis).  Knows sockets, time and limits; the dialogue is smtp_session's,
 * storing is accept's.
 */
#ifndef FB_INGEST_SMTP_SERVER_H
#define FB_INGEST_SMTP_SERVER_H

#include "accept.h"
#include "common/config.h"
#include "common/netlist.h"
#include "tls.h"

struct smtp_server;

/* Binds what is configured (ingest.smtp, ingest.lmtp) and registers with the acceptor's batches.
 * All pointers are lent. FB_CONFIG for an address that cannot be bound. */
FB_MUST_USE enum fb_status smtp_server_new(const struct fb_config *config,
                                           struct acceptor *acceptor, struct tls *tls,
                                           const struct fb_netlist *allow,
                                           const struct fb_netlist *xforward,
                                           struct smtp_server **server_r, struct fb_error *err);
/* Serves until stop_fd becomes readable, then drains: listens on for a moment (load balancers take
 * that long), answers 421 4.3.2 to idle sessions, lets open transactions end, and returns when all
 * replies are sent. */
FB_MUST_USE enum fb_status smtp_server_run(struct smtp_server *server, int stop_fd,
                                           struct fb_error *err);
void smtp_server_free(struct smtp_server **server);

#endif
