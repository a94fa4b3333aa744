/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of networks in CIDR notation: who may connect, whose XFORWARD or X-Forwarded-For is believed.  IPv4-mapped
 * IPv6 addresses (RFC 4291 2.5.5.2) are IPv4. */
#ifndef FB_COMMON_NETLIST_H
#define FB_COMMON_NETLIST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/config.h"

/* An address in one form: IPv4 mapped into IPv6. */
struct fb_net_address {
    uint8_t bytes[16];
};

struct fb_netlist;

/* Each item: "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1".  FB_CONFIG with key and item for
 * anything else, also for host bits that are set (a typing error more often than not). An empty
 * list matches nobody. */
FB_MUST_USE enum fb_status fb_netlist_new(const struct fb_string_list *items, const char *key,
                                          struct fb_netlist **list_r, struct fb_error *err);
void fb_netlist_free(struct fb_netlist **list);
bool fb_netlist_has(const struct fb_netlist *list, const struct fb_net_address *address);

/* False for anything but AF_INET and AF_INET6. */
bool fb_net_address_of(const struct sockaddr *sa, struct fb_net_address *address_r);
/* The same from its text, without port or brackets; false when it is none. */
bool fb_net_address_parse(const char *text, struct fb_net_address *address_r);
/* Who is behind the proxies of the list: the last address of forwarded (all of X-Forwarded-For) that is none of them.
 * client: who connected; stays when it is no proxy, or for what is no address.  What stands before it anybody can
 * write. */
void fb_netlist_client(const struct fb_netlist *proxies, struct fb_slice forwarded,
                       struct fb_net_address *client);
/* "192.0.2.1" or "2001:db8::1"; size at least 46 (INET6_ADDRSTRLEN). */
void fb_net_address_text(const struct fb_net_address *address, char *out, size_t size);

#endif
