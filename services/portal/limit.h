/* SPDX-License-Identifier: Apache-2.0
 *
 * How much one client may ask for.  Two buckets each: requests, and requests with a link that is not ours.  Links
 * cannot be guessed; this keeps those who try from costing anything, and the senders behind the same address
 * from noticing.  The table has a fixed size: a client that is not seen for long makes room for another one. */
#ifndef FB_PORTAL_LIMIT_H
#define FB_PORTAL_LIMIT_H

#include "common/netlist.h"

#define LIMIT_REQUESTS  120 /* at once; then 4 a second */
#define LIMIT_BAD_LINKS 20  /* at once; then one every 6 seconds */

enum limit_kind { LIMIT_REQUEST, LIMIT_BAD_LINK };

struct portal_limit;
struct portal_limit *portal_limit_new(void);
void portal_limit_free(struct portal_limit **limit);
/* Takes one; false when there is none left.  An IPv6 client is its /64.  Thread-safe. */
bool portal_limit_take(struct portal_limit *l, const struct fb_net_address *client,
                       enum limit_kind kind, int64_t now_ms);

#endif
