/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/messages: mail by HTTP (libmicrohttpd), streamed into the spool as it comes.
 *
 *   Authorization: Bearer <token>       X-Mail-From: sender ("" or "<>" = null sender)
 *   Content-Type: message/rfc822        X-Rcpt-To: recipient, once each
 *
 * 202 {"id": "..."} behind fdatasync, else {"error": {"code", "message"}}.  LF and CRLF end lines;
 * a bare CR or a NUL is refused.
 */
#ifndef FB_INGEST_HTTP_H
#define FB_INGEST_HTTP_H

#include "accept.h"
#include "common/config.h"
#include "common/netlist.h"

struct http_server;

/* *server_r is NULL when HTTP is off (no address or no token).  FB_CONFIG when it cannot listen.
 * Lent: all. */
FB_MUST_USE enum fb_status http_server_new(const struct fb_config *config,
                                           struct acceptor *acceptor,
                                           const struct fb_netlist *allow,
                                           struct http_server **server_r, struct fb_error *err);
/* Takes no new connections and no new messages (503). */
void http_server_drain(struct http_server *server);
/* Requests that are not answered yet. */
size_t http_server_active(struct http_server *server);
/* Waits for commits under way, then closes. */
/* Ten times a second: answers that are late for pressure's sake go out.  NULL will do. */
void http_server_tick(struct http_server *server);
void http_server_free(struct http_server **server);

#endif
