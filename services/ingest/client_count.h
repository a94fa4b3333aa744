/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each address has: a hash table of those that have any. */
#ifndef FB_INGEST_CLIENT_COUNT_H
#define FB_INGEST_CLIENT_COUNT_H

#include "common/netlist.h"

struct client_count;
struct client_count *client_count_new(void);
void client_count_free(struct client_count **c);
uint32_t client_count_get(struct client_count *c, const struct fb_net_address *address);
/* One more, one less; both return the new count. */
uint32_t client_count_add(struct client_count *c, const struct fb_net_address *address);
uint32_t client_count_sub(struct client_count *c, const struct fb_net_address *address);

#endif
