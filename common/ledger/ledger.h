/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger: the record of messages, parcels, grants and accesses, in Redis.  Writers describe a change as ops
 * (common/queue/ops.h) that ride in the queue's scripts; readers (command line, console, revoke) ask here.
 *
 * Keys of shard N (all carry {sN}; fields, writers and TTLs in ledger.md):
 *   fb:{sN}:m:<msg_id>   hash  the message: recipients, branches, their states, the queue's marks
 *   fb:{sN}:g:<parcel>   hash  storage user folder access expires (no link: it lies in the manifest), what was seen,
 *                              <recipient index> = <state>|<grant id>|<ms>|<actor>|<source>
 *   fb:{sN}:h:<parcel>   list  history, JSON lines: at, recipient index, from state, to state, actor, source
 *   fb:{sN}:open         zset  msg_id by last progress: messages not ended
 *   fb:{sN}:l:...              which messages there are, by time, sender and recipient (listing.h)
 *   fb:{sN}:due          zset  what is to be done, by when (due.h)
 *   fb:{sN}:rc:<msg_id>  hash  recalls (recall.h)
 *   fb:{sN}:f:b:<bucket> hash  <folder> <storage> = <parcel> <day>: the way back from an event (folder.c)
 *   fb:{sN}:pending:<storage> zset <parcel>/<recipient> by when it is asked about next
 *   fb:{sN}:epoch        string
 */
#ifndef FB_COMMON_LEDGER_LEDGER_H
#define FB_COMMON_LEDGER_LEDGER_H

#include "common/ledger/due.h"
#include "common/ledger/evidence.h"
#include "common/ledger/recall.h"
#include "common/queue/queue.h"
#include "proto/envelope.h"
#include "proto/plan.h"

/* ---- changes (ops of one message; r gives the shard) ---- */

/* ingest/replay, with enqueue: the message is accepted.  Addresses in lower case where indexed. */
void fb_ledger_accepted(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                        const struct fb_envelope *envelope, uint64_t size, int64_t ttl_ms);
/* render, with advance: branches and their recipients, and the sealed title (key: rewrite.key; NULL = no title).
 * (left is counted by the queue's script.) */
void fb_ledger_planned(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                       const char *key);
/* upload, with advance: the parcel exists with these grants; its expiry, purge and reminder are due at their times. */
void fb_ledger_uploaded(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                        uint32_t branch, const struct fb_parcel *parcel, int64_t ttl_ms);
/* rewrite, with finish: the branch went out (state "sent"), or its recipients were refused ("refused"). */
void fb_ledger_sent(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                    const char *state);
/* rewrite, with finish, where others of the branch were sent: the relay refused these recipients for good, and nothing
 * went out to them. */
void fb_ledger_refused(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                       const uint32_t *recipients, size_t count);
/* rewrite, with finish: the sent journal knows that these recipients have the mail, and no claim of this
 * job says so.  Redis may have forgotten the first one: a recall must not count them as stopped. */
void fb_ledger_out(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                   const uint32_t *recipients, size_t count);
/* any stage, with bury: state "held" with its reason. */
void fb_ledger_held(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                    const struct fb_error *reason);
/* revoke: one grant's new state. */
void fb_ledger_grant(struct fb_redis *r, struct fb_ops *ops, const char *parcel_id,
                     uint32_t recipient, const char *old_state, const char *new_state,
                     const char *grant_id, const char *actor, const char *source);

/* What rewrite shall do with a branch in place of what the plan says, after a failure (on_failure) or by the operator:
 * "deliver" (send untouched) or "reject" (report to the sender, where one can be written).  branch UINT32_MAX: the
 * whole message, where there is no plan.  A field `f:<branch>` (`f:all`) of the message hash. */
void fb_ledger_force(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                     const char *what);
/* The mark of a branch, or of the whole message; "" when there is none. */
FB_MUST_USE enum fb_status fb_ledger_forced(struct fb_redis *r, const char *msg_id, uint32_t branch,
                                            char what_r[16], struct fb_error *err);

/* Decides over a held mail: its dead letter becomes a rewrite job with the mark `what` ("deliver" or "reject"), in one
 * step.  FB_NOT_FOUND when the dead letter is gone, FB_DENIED for a failed recall. */
FB_MUST_USE enum fb_status fb_ledger_decide_held(struct fb_redis *r, const struct fb_dead *dead,
                                                 const char *what, struct fb_error *err);

/* Who sent the mail of a dead letter ("" = the null sender), to be freed; NULL: it is no mail, or the ledger does not
 * know. */
char *fb_ledger_sender_of(struct fb_redis *r, const struct fb_dead *dead);

/* revoke: these recipients of a branch are not recalled any more.  A notice that was kept back stays unsent. */
void fb_ledger_restored(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                        const uint32_t *recipients, size_t count);

/* ---- atomic claims ---- */

/* rewrite, right before it sends to these recipients: one step decides between sending and recalled.  may_r[i] is
 * true where recipient i may be sent; recalled ones come back false.  One that an earlier try claimed and that was
 * recalled since is not sent either, but its state stays "sending": the earlier try may have gone out.  Called once a
 * try.  FB_OK, FB_LOST (claim no longer ours). */
FB_MUST_USE enum fb_status fb_ledger_claim_sending(struct fb_redis *r, const char *consumer,
                                                   const struct fb_claim *claim,
                                                   const uint32_t *recipients, size_t count,
                                                   bool *may_r, struct fb_error *err);
/* rewrite, with its retry: takes the claim of these recipients back, because it is certain that nothing went out to
 * them (refused by the relay, no connection, connection lost before the final dot).  A recall may then still stop them.
 * Where the outcome is not known the claim stays; one that an earlier try left behind stays in any case. */
void fb_ledger_release_sending(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                               const uint32_t *recipients, size_t count);
/* Whether recipient i of the message is recalled (upload and render look before and after their effect). */
FB_MUST_USE enum fb_status fb_ledger_recalled(struct fb_redis *r, const char *msg_id,
                                              const uint32_t *recipients, size_t count,
                                              bool *recalled_r, struct fb_error *err);

/* ---- reading ---- */

/* Of a message's record.  A record of a newer version is FB_AGAIN wherever it is read. */
#define FB_LEDGER_VERSION 1

struct fb_ledger_recipient {
    char *address;
    uint32_t branch;
    char state[16];       /* waiting sending sent recalled refused */
    char grant_state[16]; /* "", pending active opened downloaded recalled expired purged */
    char grant_id[72];
    bool is_vault; /* the grant is a vault's: the portal itself records each access, at once */
    int64_t grant_ms;
    uint64_t previews, downloads; /* by this recipient, as the storage told */
    char two_step[8];             /* "on", "off"; "" = the storage did not say */
    bool is_claimed;              /* its mail was handed to the relay, or may have been */
    bool is_recalled;             /* a recall asked for it, and no restore took that back */
    int64_t recalled_ms;          /* when; 0 = not */
};
struct fb_ledger_branch {
    char kind[8];   /* pass secure reject */
    char state[16]; /* rendered uploaded sent held refused recalled */
    char parcel_id[FB_PARCEL_ID_SIZE];
    char rule[128], reason[FB_ERROR_MAX];
    char storage[64], folder_id[64], user[64];
    char fallback[64]; /* the vault of those without an account; "" = there are none */
    bool is_vault;     /* the storage is a vault: each recipient has a link of their own */
    char
        access[16]; /* recipients company anyone, as in effect; "" where there is no parcel (yet) */
    int64_t expires_ms;
    int64_t uploaded_ms;         /* 0 = there is no parcel (yet) */
    int64_t ended_ms;            /* sent or refused; 0 = not yet */
    int64_t remind_ms, purge_ms; /* 0 = never */
    bool sends_receipt;
    int64_t rebuilt_ms; /* the parcel came back from its manifest then; 0 = did not */
    bool is_held;
    char forced[16]; /* "deliver", "reject": instead of the plan; "" = as planned */
};
struct fb_ledger_message {
    char msg_id[FB_ID_SIZE];
    int64_t accepted_ms;
    char *from;
    char *title; /* sealed (common/title.h); NULL = none */
    uint64_t size;
    char state[16];      /* queued planned done held */
    bool is_recalled;    /* a recall asked for all recipients */
    int64_t recalled_ms; /* when; 0 = not */
    struct fb_ledger_recipient *recipients;
    size_t recipient_count;
    struct fb_ledger_branch *branches;
    size_t branch_count;
};
void fb_ledger_message_deinit(struct fb_ledger_message *m);
/* Whether one link opens the branch's parcel for everybody: then only the whole can be recalled or given back. */
bool fb_ledger_is_by_link(const struct fb_ledger_branch *b);
/* FB_NOT_FOUND when the ledger does not know it. */
FB_MUST_USE enum fb_status fb_ledger_get(struct fb_redis *r, const char *msg_id,
                                         struct fb_ledger_message *m_r, struct fb_error *err);
/* Messages not ended that made no progress since before_ms, longest first. */
FB_MUST_USE enum fb_status fb_ledger_stuck(struct fb_redis *r, int64_t before_ms, size_t limit,
                                           bool (*each)(void *ctx, const char *msg_id), void *ctx,
                                           struct fb_error *err);
/* The newest `limit` lines of a parcel's history, oldest of them first. */
FB_MUST_USE enum fb_status fb_ledger_history(struct fb_redis *r, const char *parcel_id,
                                             size_t limit,
                                             bool (*each)(void *ctx, const char *json_line),
                                             void *ctx, struct fb_error *err);
/* The epoch of a shard: a random word set once; missing or changed = Redis was wiped, start the replay.  Sets it when
 * missing (is_new_r). */
FB_MUST_USE enum fb_status fb_ledger_epoch(struct fb_redis *r, int shard, char epoch_r[FB_ID_SIZE],
                                           bool *is_new_r, struct fb_error *err);

/* Whether each of the messages has ended, as Redis says now (one pipeline; at most some hundred).
 * FB_NETWORK, FB_AGAIN: Redis is away, is_ended_r says nothing. */
FB_MUST_USE enum fb_status fb_ledger_ended(struct fb_redis *redis, const char *const *msg_ids,
                                           size_t count, bool *is_ended_r, struct fb_error *err);

#endif
