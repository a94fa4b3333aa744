/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread that tries the policy's storages: every few minutes one of all upload processes does (login, folder, what is
 * used and free), and at once when somebody asks (common/storage_report.h), with everything that can be tried.  Each
 * process shows the figures as metrics, whoever found them.
 *
 * What it meets counts for away.h as what jobs meet; a storage that is down is left to the jobs. */
#ifndef FB_UPLOAD_INSPECT_H
#define FB_UPLOAD_INSPECT_H

#include "common/policy/service_source.h"

struct inspect;

FB_MUST_USE enum fb_status inspect_new(const struct fb_config *config,
                                       struct fb_policy_follow *policy, struct inspect **inspect_r,
                                       struct fb_error *err);
/* Waits for what it is at. */
void inspect_free(struct inspect **inspect);

#endif
