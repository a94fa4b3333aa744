/* SPDX-License-Identifier: Apache-2.0
 *
 * Address fields (RFC 5322 3.4) read for display and for the list of visible recipients.  Bounded
 * and without recursion: groups and comments of any depth cost linear time (GMime's parser
 * overflows its stack at 50,000 nested groups, so it never sees these fields).
 */
#ifndef FB_RENDER_ADDRESSES_H
#define FB_RENDER_ADDRESSES_H

#include "common/buf.h"

struct render_address {
    char *name;    /* decoded display name, "" when there is none */
    char *address; /* "a@example.jp", UTF-8 */
};

struct render_addresses {
    struct render_address *items;
    size_t count;
};

/* Adds the mailboxes of one raw field value to list_r, at most max in all (further ones are left
 * out).  What has no "@" is no mailbox.  FB_NO_SPACE without memory. */
FB_MUST_USE enum fb_status render_addresses_add(struct fb_slice raw, size_t max,
                                                struct render_addresses *list);
void render_addresses_deinit(struct render_addresses *list);
/* "name <address>", one a line, as a heap string; NULL for an empty list or without memory. */
char *render_addresses_dup_text(const struct render_addresses *list);

#endif
