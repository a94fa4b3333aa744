/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses are on the public Internet: the one check that stands between a URL in a mail and our own network.
 * It is made on the address that is connected to, not on a name. */
#ifndef FB_FETCH_ADDRESS_H
#define FB_FETCH_ADDRESS_H

#include "common/netlist.h"

/* False for everything that the registries of special addresses (RFC 6890, IANA) do not call globally reachable:
 * loopback, private, link-local, shared (CGNAT), documentation, benchmark, multicast and reserved ones; and for IPv6
 * addresses that carry an IPv4 address which something on the way would use (mapped ones count as IPv4; 6to4, Teredo
 * and NAT64 are refused). */
bool fetch_address_is_public(const struct fb_net_address *address);

#endif
