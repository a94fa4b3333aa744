/* SPDX-License-Identifier: Apache-2.0
 *
 * A job: what one stage tells the next through a Redis stream.  It holds references only: no
 * address, no subject, no content.  Format: msgpack map with string keys, versioned; described in
 * proto/jobs.md, golden bytes in proto/vectors.  Readers accept every version that is still written; a
 * newer one is FB_AGAIN (it waits for an upgraded worker); unknown keys are skipped; types, ranges
 * and sizes are strict.
 *
 * A job is written in the lowest version that can say it: letters need version 2, because a worker
 * that does not know them would take one for the notice itself, and the letter "code" version 3,
 * because a worker that does not know it would refuse it for good.
 */
#ifndef FB_PROTO_JOB_H
#define FB_PROTO_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"

#ifndef FB_JOB_VERSION /* a test builds the next version's reader (tests/unit/upload) */
#define FB_JOB_VERSION 3
#endif
#define FB_JOB_OLDEST   1 /* written still: all jobs but letters */
#define FB_REF_SIZE     128
#define FB_MAX_JOB_RCPT 1000

enum fb_stage {
    FB_STAGE_RENDER,
    FB_STAGE_UPLOAD,
    FB_STAGE_REWRITE,
    FB_STAGE_REVOKE,
    FB_STAGE_COUNT
};
const char *fb_stage_name(enum fb_stage stage);
bool fb_stage_parse(const char *name, enum fb_stage *stage_r);

enum fb_revoke_op {
    FB_REVOKE_NONE,
    FB_REVOKE_RECALL,
    FB_REVOKE_RESTORE,
    FB_REVOKE_EXPIRE,
    FB_REVOKE_PURGE
};

/* A letter to the sender of a mail, or with a code to a reader.  It is a job of stage rewrite, which
 * composes it from what Redis knows when it sends it. */
enum fb_letter {
    FB_LETTER_NONE,
    FB_LETTER_RECEIPT,  /* what was secured for whom */
    FB_LETTER_HELD,     /* a branch is held: nothing went out */
    FB_LETTER_RECALL,   /* what became of a recall */
    FB_LETTER_UNOPENED, /* still not opened after the rule's days */
    FB_LETTER_CODE,     /* to a reader: the code that proves control of the mailbox */
};

struct fb_job {
    uint32_t version; /* 0 when encoding = the lowest that can say it */
    enum fb_stage stage;
    char msg_id[FB_ID_SIZE];
    char spool_ref[FB_REF_SIZE]; /* where the spooled message lies (common/spool/spool.h); "" for
                                    revoke */
    uint32_t branch;             /* upload, rewrite, revoke: which branch of the plan; letters: the
                                    branch spoken of, 0 for a recall's */
    uint32_t attempt;            /* failures so far */
    int64_t first_ms;            /* when ingest accepted the message */
    char trace[FB_TRACE_SIZE];
    /* revoke only */
    enum fb_revoke_op op;
    bool takes_content;                   /* recall: content is deleted as well */
    uint32_t recipients[FB_MAX_JOB_RCPT]; /* indices of the envelope; none = all */
    uint32_t recipient_count;
    /* rewrite only */
    enum fb_letter letter; /* NONE: a notice or a mail, not a letter */
    uint32_t reader;       /* letter code: index of the envelope's recipient whose code it is */
    /* revoke with op recall, rewrite with letter recall */
    char
        recall_id[FB_ID_SIZE]; /* the recall's record in the ledger; "" = none (an older program) */
};

/* A job beside the pipeline: a revoke job or a letter.  It has no part in a branch's progress: no done
 * mark, no state of the message, nothing that is held. */
bool fb_job_is_side(const struct fb_job *job);
/* "receipt", "held", "recall", "unopened", "code"; "" for NONE. */
const char *fb_letter_name(enum fb_letter letter);

/* Which message a job of whatever version is for: what every version says alike.  False when the bytes
 * are no job. */
bool fb_job_peek(struct fb_slice bytes, char msg_id_r[FB_ID_SIZE]);

FB_MUST_USE enum fb_status fb_job_encode(const struct fb_job *job, struct fb_buf *out);
FB_MUST_USE enum fb_status fb_job_decode(struct fb_slice bytes, struct fb_job *job_r,
                                         struct fb_error *err);

#endif
