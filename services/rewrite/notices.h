/* SPDX-License-Identifier: Apache-2.0
 *
 * The notices of a secured branch, and the mails with its password.
 *
 * 1. Who shares a link shares a mail: the recipients in To and Cc get one together, a Bcc recipient
 *    one of their own, so that no header, envelope or list of readers shows them to others.
 * 2. Whoever reads in a vault has a link of their own, and gets a mail of their own, in To, Cc or
 *    not; a link goes to no other address than its recipient's.
 * 3. The list of readers is the same in all of them: those in To and Cc who may open it, wherever
 *    they read, and whoever gets the mail.
 */
#ifndef FB_REWRITE_NOTICES_H
#define FB_REWRITE_NOTICES_H

#include "services/rewrite/deliver.h"

/* Whether there is a link to be sent: the parcel's, or one of a recipient. */
bool notices_have_link(const struct fb_parcel *parcel);
/* is_recalled has an entry a target. */
FB_MUST_USE enum fb_status notices_ask_recalled(struct delivery *d, bool *is_recalled,
                                                struct fb_error *err);
/* To the open targets; then the password to those who have their notice and need it.  FB_CORRUPT:
 * somebody has no link, upload must look again.  FB_CONFIG: no policy, or a vault's link and no
 * portal.public_url. */
FB_MUST_USE enum fb_status notices_send(struct delivery *d, struct fb_error *err);

#endif
