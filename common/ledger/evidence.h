/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence: what is known of each recipient, for the sender who asks whether a mail was read.  Part
 * of ledger.h.  It never says more than is known:
 *
 * 1. removed_ms is the time of a grant's state that was written after the storage had confirmed.
 * 2. "No access recorded" holds until log_until_ms and no further: that far the storage's events
 *    were read.  0: nobody reads them, or the storage tells none; nothing is known then.
 *    Of a vault's grant the portal itself writes each access down before it gives anything out: it
 *    holds until now, and nothing has to be waited for behind its end.
 * 3. is_final: the access is gone, and the events were read until complete_ms, which leaves the
 *    storage some time to tell what happened before.
 * 4. What may have gone out counts as out.
 */
#ifndef FB_COMMON_LEDGER_EVIDENCE_H
#define FB_COMMON_LEDGER_EVIDENCE_H

#include "common/redis.h"

struct fb_ledger_message;

enum fb_evidence_kind {
    FB_EV_STOPPED,   /* never went out */
    FB_EV_MAYBE_OUT, /* handed to the relay, outcome not known; there is no access to take away */
    FB_EV_PLAIN,     /* went out as an ordinary mail: cannot be taken back */
    FB_EV_REFUSED,   /* the relay or the policy refused it */
    FB_EV_WAITING,   /* not sent yet, not recalled */
    FB_EV_OPEN,      /* has access */
    FB_EV_CLOSING,   /* recall asked, access not yet removed */
    FB_EV_FAILED,    /* recall asked, removal failed for good */
    FB_EV_CLOSED,    /* recalled: access removed */
    FB_EV_ENDED      /* expired or purged: access removed */
};

struct fb_evidence {
    uint32_t recipient;
    const char *address; /* lent by the message */
    enum fb_evidence_kind kind;
    bool is_notice_out;           /* the mail is out, or may be */
    bool is_pending;              /* invited, has no account yet */
    int64_t removed_ms;           /* when the access ended; 0 = it did not, or there was none */
    int64_t opened_ms;            /* first preview; 0 = none recorded */
    int64_t downloaded_ms;        /* first download */
    uint64_t previews, downloads; /* how often (may be more than 0 where the first time is lost) */
    int64_t log_until_ms;         /* 0 = nobody reads the events */
    int64_t log_from_ms; /* before this accesses may be missing: the ledger was rebuilt, or the
                                     events have a gap; 0 = nothing is missing */
    int64_t complete_ms; /* what log_until_ms must reach; 0 = no access to watch for */
    bool is_final;       /* nothing of this entry can change any more */
    bool by_others;      /* the parcel was opened by somebody who is no recipient we know */
    int64_t others_ms;   /* first time; 0 with by_others: the time is lost */
};

/* One entry for each recipient of m (of fb_ledger_get), in its order; free() it.  settle_ms: what a
 * storage may take to tell of an access (revoke.settle). */
FB_MUST_USE enum fb_status fb_ledger_evidence(struct fb_redis *r, const struct fb_ledger_message *m,
                                              int64_t settle_ms, struct fb_evidence **list_r,
                                              struct fb_error *err);
/* Whether a recall's report need not wait for this entry: it is final, or the recall was undone. */
bool fb_evidence_is_settled(const struct fb_evidence *e);
/* "stopped", "maybe_out", ...: for machines. */
const char *fb_evidence_kind_name(enum fb_evidence_kind kind);

/* ---- how far the events were read (written by watch) ---- */

#define FB_STREAM_NAME 256
/* What a storage surely still tells when nobody asked: Box keeps two weeks at least. */
#define FB_EVENTS_KEPT_MS INT64_C(1209600000)
/* "<storage> user <user id>" ("" = the service account), "<storage> enterprise ". */
void fb_ledger_stream_name(const char *storage, bool is_enterprise, const char *user,
                           char name_r[FB_STREAM_NAME]);
/* This stream was read to its end by a read
 * that began at ms.  FB_LOST: token is not the leader's any more.  Never goes back.  Where it was not
 * read for longer than a storage keeps its events, that gap is noted. */
FB_MUST_USE enum fb_status fb_ledger_seen_set(struct fb_redis *r, const char *token,
                                              const char *stream, int64_t ms, struct fb_error *err);
/* Events of this stream from before ms may be missing.  Only a later one changes what was noted. */
FB_MUST_USE enum fb_status fb_ledger_seen_from(struct fb_redis *r, const char *token,
                                               const char *stream, int64_t ms,
                                               struct fb_error *err);
/* Of a pool user's ("" = the service account) parcels: the later of the user's stream and the
 * enterprise's; 0 = nobody reads them. */
FB_MUST_USE enum fb_status fb_ledger_seen(struct fb_redis *r, const char *storage, const char *user,
                                          int64_t *ms_r, struct fb_error *err);
/* The same with the end of that stream's last gap; 0 = none. */
FB_MUST_USE enum fb_status fb_ledger_seen_range(struct fb_redis *r, const char *storage,
                                                const char *user, int64_t *from_ms_r, int64_t *ms_r,
                                                struct fb_error *err);

#endif
