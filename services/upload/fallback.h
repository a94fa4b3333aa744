/* SPDX-License-Identifier: Apache-2.0
 *
 * The rule's without_account: a recipient whom the storage invited, because there is no account of that
 * address, reads in a vault instead.
 *
 *   storage shares -> pending ones: files and grants into the vault -> their invitations taken back
 *     -> object and manifest say who reads where
 *
 * A crash before the last step leaves an invitation of which nobody was told, or a grant of the vault
 * whose secret nobody has: the job runs again and finds both.  Once a parcel that is written down says
 * that somebody reads in the vault, it stays so: the notice may be out.
 */
#ifndef FB_UPLOAD_FALLBACK_H
#define FB_UPLOAD_FALLBACK_H

#include "services/upload/work.h"

/* The vault that the rule names, NULL = none. */
const char *upload_fallback_name(const struct upload_work *w);
/* Before the storage shares: takes the grants of the fallback out of the parcel, into w->moved. */
FB_MUST_USE enum fb_status upload_fallback_split(struct upload_work *w, struct fb_error *err);
/* Whether this recipient is among them. */
bool upload_fallback_has(const struct upload_work *w, uint32_t recipient);
/* Behind it: moves the pending ones, and puts the others' grants back.  w->wait_ms with FB_AGAIN: the
 * vault is down. */
FB_MUST_USE enum fb_status upload_fallback_move(struct upload_work *w, struct fb_error *err);
/* Opens the fallback's half of the pair for a parcel that is to be closed, whatever of it is there. */
FB_MUST_USE enum fb_status upload_fallback_open(struct upload_work *w, struct fb_error *err);

#endif
