/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of networks in CIDR notation: who may connect, whose XFORWARD is believed.  IPv4-mapped
 * IPv6 addresses (RFC 4291 2.5.5.2) are IPv4. */
#ifndef FB_INGEST_NETLIST_H
#define FB_INGEST_NETLIST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/config.h"

/* An address in one form: IPv4 mapped into IPv6. */
struct net_address {
    uint8_t bytes[16];
};

struct netlist;

/* Each item: "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1".  FB_CONFIG with key and item for
 * anything else, also for host bits that are set (a typing error more often than not). An empty
 * list matches nobody. */
FB_MUST_USE enum fb_status netlist_new(const struct fb_string_list *items, const char *key,
                                       struct netlist **list_r, struct fb_error *err);
void netlist_free(struct netlist **list);
bool netlist_has(const struct netlist *list, const struct net_address *address);

/* False for anything but AF_INET and AF_INET6. */
bool net_address_of(const struct sockaddr *sa, struct net_address *address_r);
/* "192.0.2.1" or "2001:db8::1"; size at least 46 (INET6_ADDRSTRLEN). */
void net_address_text(const struct net_address *address, char *out, size_t size);

#endif
