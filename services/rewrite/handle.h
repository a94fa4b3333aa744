/* SPDX-License-Identifier: Apache-2.0
 *
 * One rewrite job: a branch of a message goes out.  For each group of recipients that shares one
 * mail:
 *
 *   1. the sent journal: whoever has the mail already is left out
 *   2. claim `sending` in one step, against a recall
 *   3. compose, send to the MTA
 *   4. the MTA's 250: sent journal, durable               <- here the duty passes on
 *   5. refused for good: delivery report to the sender, journal
 *   6. put off: the job is retried, for those only
 * Then one step finishes the branch; behind the message's last branch it is erased from the spool
 * (linger.h).
 */
#ifndef FB_REWRITE_HANDLE_H
#define FB_REWRITE_HANDLE_H

#include "common/policy/service_source.h"
#include "common/queue/worker.h"
#include "common/spool/journal.h"
#include "services/rewrite/linger.h"

struct rewrite_service {
    const struct fb_config *config;
    struct fb_spool *spool;
    struct fb_journal *journal;
    struct fb_policy_follow *policy;
    struct linger *linger;
    char helo[256];
};

enum fb_status rewrite_thread_init(void *ctx, void **thread_r, struct fb_error *err);
void rewrite_thread_deinit(void *ctx, void *thread);
void rewrite_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                    struct fb_outcome *out);
void rewrite_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                         const struct fb_claim *claim, struct fb_outcome *out);
void rewrite_message_done(void *ctx, void *thread, const struct fb_claim *claim);

#endif
