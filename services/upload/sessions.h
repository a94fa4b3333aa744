/* SPDX-License-Identifier: Apache-2.0
 *
 * The storage sessions of one thread: one a storage of the policy, opened on first use, dropped
 * when the policy
 * changed. */
#ifndef FB_UPLOAD_SESSIONS_H
#define FB_UPLOAD_SESSIONS_H

#include "services/upload/storage.h"

struct storage_sessions;

struct storage_sessions *storage_sessions_new(const struct fb_config *config);
void storage_sessions_free(struct storage_sessions **sessions);
/* After FB_CONFIG: the credentials are read again the next time, since they may have been mended.
 * */
void storage_sessions_forget(struct storage_sessions *sessions);
/* The table and the session of a storage of this policy. FB_CONFIG when the policy does not know
 * the name. */
FB_MUST_USE enum fb_status
storage_sessions_get(struct storage_sessions *sessions, const struct fb_policy *policy,
                     const char *name, struct fb_redis *redis, const struct storage **storage_r,
                     struct storage_session **session_r, struct fb_error *err);

#endif
