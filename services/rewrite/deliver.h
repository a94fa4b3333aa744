/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending one composed mail to some recipients of a branch, with everything that must be remembered
 * of it. */
#ifndef FB_REWRITE_DELIVER_H
#define FB_REWRITE_DELIVER_H

#include "proto/envelope.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/handle.h"
#include "services/rewrite/smtp_client.h"

/* A recipient of the branch and where it stands. */
struct target {
    uint32_t index; /* in the envelope */
    enum target_state {
        TARGET_OPEN,
        TARGET_SENT,
        TARGET_RECALLED,
        TARGET_PUT_OFF,
        TARGET_REFUSED,
        TARGET_REPORTED, /* refused in an earlier try, and the sender knows */
    } state;
    bool is_visible; /* in To or Cc */
    bool is_claimed; /* by this try, which may send to it */
    bool is_out; /* the relay has taken the mail, or may have in this try: its answer was lost */
    bool is_relayed; /* sent just now to a relay without DSN, though its success was to be reported
                      */
    char status[12]; /* RFC 3463 */
    char diagnostic[512];
};

struct delivery {
    struct rewrite_service *service;
    struct smtp_client *client;
    struct fb_redis *redis;
    const struct fb_claim *claim;
    struct fb_spool_msg *msg;
    struct fb_envelope envelope;
    struct fb_plan plan;
    bool has_plan;
    const struct fb_branch *branch; /* NULL without a plan */
    uint32_t branch_number;
    struct fb_parcel parcel; /* of a secured branch that is sent as planned */
    bool has_parcel;
    struct target *targets;
    size_t target_count;
    bool is_given_up; /* held, and then ended by the operator or by its time (mark "reject") */
};

/* How many targets are in this state. */
size_t deliver_count(const struct delivery *d, enum target_state state);
/* Sends content to targets[i] where wants[i] (which is used up); fills their states; commits the
 * journal for those that were taken.  FB_OK also when recipients were refused or put off;
 * FB_NETWORK and others when nothing is known of any. */
FB_MUST_USE enum fb_status deliver(struct delivery *d, struct content *content,
                                   enum fb_sent_kind kind, bool *wants, struct fb_error *err);
/* The same for the password mail of one target that has its notice.  Refused for good, the target
 * counts as refused: it cannot open what it got, and the sender must know. */
FB_MUST_USE enum fb_status deliver_password(struct delivery *d, struct content *content,
                                            size_t target, struct fb_error *err);
/* Before anybody is looked at: a recall that Redis forgot (a fail-over) and the sent journal knows is
 * made again, in Redis and at the storage; so the steps behind find it where they look. */
FB_MUST_USE enum fb_status deliver_recall_again(struct delivery *d, struct fb_error *err);
/* Leaves out who has the mail already (journal) and who was recalled (claim). */
FB_MUST_USE enum fb_status deliver_claim(struct delivery *d, struct fb_error *err);
/* With the retry or the bury: takes the claims of this try back where it is certain that nothing
 * went out, so that a recall can still stop those recipients. */
void deliver_release(const struct delivery *d, struct fb_ops *ops);
/* With the branch's end, where others were sent: the ledger shows who was refused and has nothing. */
void deliver_refused(const struct delivery *d, struct fb_ops *ops);
/* Who has the mail by the sent journal alone is out for the ledger, too. */
void deliver_out(const struct delivery *d, struct fb_ops *ops);
/* Tells the sender about the refused targets, and about those that were passed on to where nobody
 * reports; each once.  FB_INVALID: no mail can be written to the sender; not for a mail that was given
 * up, which ends all the same. */
FB_MUST_USE enum fb_status deliver_report(struct delivery *d, struct fb_error *err);

#endif
