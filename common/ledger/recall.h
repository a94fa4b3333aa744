/* SPDX-License-Identifier: Apache-2.0
 *
 * Recalls: what was asked for, what is left of it to do, and what its sender was told.  Part of
 * ledger.h; keys in ledger.md.
 *
 * 1. Everything that a recall starts is written in one step with its record: flags, revoke jobs,
 *    history.  The same id again starts nothing.
 * 2. Each wanted recipient is in a job that is added at once, whatever became of the parcel, so
 *    that revoke can commit the recall where no loss of Redis reaches it.  jobs_left counts these
 *    jobs; a parcel that is being made has one more job, which waits for its upload and is not
 *    counted (its notice does not go out any more).
 * 3. The end of a job is the removal of its mark: to count it twice changes nothing.
 */
#ifndef FB_COMMON_LEDGER_RECALL_H
#define FB_COMMON_LEDGER_RECALL_H

#include "common/queue/queue.h"

#define FB_MAX_RECALLS       200 /* of one message; more are refused */
#define FB_MAX_RECALL_REASON 500

struct fb_recall_request {
    const uint32_t *recipients; /* indices of the envelope, each once */
    size_t count;               /* 0 = all */
    bool takes_content;         /* the content is deleted as well */
    const char *actor;          /* who asks: an address, a login, "operator"; UTF-8 */
    const char *source;         /* "fumibako", "portal", "console" */
    const char *reason;         /* UTF-8, at most FB_MAX_RECALL_REASON bytes; NULL = "" */
    char id[FB_ID_SIZE];        /* "" = made, and written here; given = idempotency key */
    /* Written by fb_ledger_recall.  True: Redis has replicas, and none of them confirmed the recall
     * within about two seconds; if Redis fails over now, it may forget it.  Whoever asked is to be
     * told: look again, and ask again with the same id.  False: confirmed, or there is no replica
     * that a fail-over could go to. */
    bool is_unsure;
};

/* Marks the recipients recalled and adds the revoke jobs, in one step.  was_out_r (may be NULL)
 * tells for each whether its mail was out already ("sending" or "sent"); it has count entries, or
 * with count 0 one for each recipient of the message (fb_ledger_get).  FB_EXISTS: this id was done
 * before, nothing is done again (was_out_r is filled).  FB_NOT_FOUND: no such message or
 * recipient.  FB_INVALID: a text that is no UTF-8 or too long.  FB_TOO_BIG: too many recalls of
 * this message.  With FB_OK and FB_EXISTS, q->is_unsure is set. */
FB_MUST_USE enum fb_status fb_ledger_recall(struct fb_redis *r, const char *msg_id,
                                            struct fb_recall_request *q, bool *was_out_r,
                                            struct fb_error *err);

struct fb_recall {
    char id[FB_ID_SIZE];
    int64_t at_ms;
    char actor[256], source[16], reason[512];
    bool is_all, takes_content;
    uint32_t *recipients; /* none where is_all */
    size_t count;
    uint32_t jobs_left; /* revoke jobs that have not ended; a buried one has */
    char told[8];       /* the last letter that was decided on: "", "interim", "final" */
    char sent[8];       /* the last one that the relay took: the same */
    bool has_failed;    /* a revoke job of it was buried and has not been mended */
    char failure[FB_ERROR_MAX];
};
/* Oldest first; free with fb_recalls_free.  A message without recalls, or unknown: none. */
FB_MUST_USE enum fb_status fb_ledger_recalls(struct fb_redis *r, const char *msg_id,
                                             struct fb_recall **list_r, size_t *count_r,
                                             struct fb_error *err);
void fb_recalls_free(struct fb_recall *list, size_t count);

/* Where Redis forgot a recall and the sent journal did not (recall_again.h): a record of it, under the
 * message's id, of these of count recipients (NULL: of all); its first letter counts as sent. */
void fb_ledger_recall_record(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                             const bool *is_recalled, size_t count);
/* With a job of that recall: it has not ended. */
void fb_ledger_recall_job_begun(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job);
/* revoke, with the end of a job that carries a recall_id (others: nothing): the job has ended, and
 * the recall's report is due now. */
void fb_ledger_recall_job_done(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job);
/* The same with bury: the job has ended without success, which stays known until it is done after
 * all. */
void fb_ledger_recall_job_failed(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                                 const struct fb_error *reason);
/* With the letter's job: what the sender is told ("interim", "final"). */
void fb_ledger_recall_told(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                           const char *recall_id, const char *told);
/* With the end of the letter's job: it went out. */
void fb_ledger_recall_sent(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                           const char *recall_id, const char *sent);
/* The final letter was decided on too early: it is due again. */
void fb_ledger_recall_reopen(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job);

#endif
