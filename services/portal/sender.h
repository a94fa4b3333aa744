/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sender's pages show of one mail, read from the ledger once. */
#ifndef FB_PORTAL_SENDER_H
#define FB_PORTAL_SENDER_H

#include "common/ledger/ledger.h"
#include "common/title.h"
#include "services/portal/portal.h"

#define SENDER_PAGE_SIZE FORM_MAX_RECIPIENTS /* recipients on one page */

struct sender_view {
    struct fb_ledger_message m;
    struct fb_evidence *evidence; /* one for each recipient */
    struct fb_recall *recalls;    /* oldest first */
    size_t recall_count;
    struct fb_title title; /* empty where there is none */
};

/* FB_NOT_FOUND, or what Redis had.  sender_deinit in any case. */
FB_MUST_USE enum fb_status sender_load(struct visit *v, struct fb_redis *r,
                                       struct sender_view *view_r, struct fb_error *err);
void sender_deinit(struct sender_view *view);

/* What to call the mail where the subject is not known. */
const char *sender_title(const struct sender_view *view, bool is_ja);

/* Whether a recall would do anything for this recipient. */
bool sender_can_recall(const struct sender_view *view, size_t recipient);
/* Whether this recipient's parcel is open by one link for all, so that a recall takes it from all. */
bool sender_is_shared(const struct sender_view *view, size_t recipient);
/* Whether this recipient can be chosen: there is more than one, and the parcel is not open by one link for all. */
bool sender_can_choose(const struct sender_view *view, size_t recipient);
/* Recipients that we know of. */
size_t sender_count(const struct sender_view *view);
/* A rebuilt ledger does not know who was outside the parcels. */
bool sender_is_known(const struct sender_view *view, size_t recipient);

#endif
