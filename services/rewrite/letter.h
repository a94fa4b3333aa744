/* SPDX-License-Identifier: Apache-2.0
 *
 * A letter to the sender of a mail (proto/job.h: enum fb_letter), one job each.  It is composed from
 * ledger and manifest at the moment it is sent, so that it is true then, and it is not sent at all
 * when there is nothing (any more) to say.
 *
 * 1. Sent at least once: a crash between the relay's reply and the job's end sends a copy, with the
 *    same Message-ID.
 * 2. Never held and never reported: what the relay refuses is logged; what it puts off is tried
 *    again, for a day (common/queue/worker_job.c).
 * 3. From the null sender to the reverse path, which is not the null sender; signed with our trace
 *    header, so that no rule and no loop takes it.
 */
#ifndef FB_REWRITE_LETTER_H
#define FB_REWRITE_LETTER_H

#include "services/rewrite/content.h"
#include "services/rewrite/handle.h"
#include "services/rewrite/smtp_client.h"

/* For every letter: counts it under its name, and an outcome. */
void letter_count(const char *name, const char *outcome);
/* Hands it to the relay from the null sender.  FB_OK: taken or refused, and counted as that. */
FB_MUST_USE enum fb_status letter_hand_over(const char *to, const char *name,
                                            struct smtp_client *client, struct content *content,
                                            struct fb_error *err);
/* For a job with letter set, but for a code (code.h); arguments as of rewrite_handle. */
void letter_handle(struct rewrite_service *service, void *thread, struct fb_redis *redis,
                   const struct fb_claim *claim, struct fb_outcome *out);

#endif
