/* SPDX-License-Identifier: Apache-2.0
 *
 * What the services that people and machines reach by HTTP have in common: who connects, which origin is
 * ours, bearer tokens.
 */
#ifndef FB_COMMON_WEB_H
#define FB_COMMON_WEB_H

#include "common/http_server.h"
#include "common/netlist.h"

/* url (an origin, in small letters: fb_config_load) as browsers write it, without the scheme's own port.
 * True: it is https. */
bool fb_web_origin(const char *url, char *origin_r, size_t size);
/* Who asks: the peer, or whom X-Forwarded-For names where the peer is one of the proxies; all lines of it,
 * since some proxies add one of their own behind what the client wrote.  Zeros when it is not known. */
void fb_web_client(const struct fb_http_request *request, const struct fb_netlist *proxies,
                   struct fb_net_address *client_r);
/* Whether an Authorization header (NULL: there is none) is "Bearer <token>" (RFC 6750).  Neither content
 * nor length of the token shows in the time taken. */
bool fb_web_is_bearer(const char *authorization, const char *token);
/* As many open files as the system permits. */
void fb_web_raise_file_limit(void);

#endif
