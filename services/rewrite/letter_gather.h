/* SPDX-License-Identifier: Apache-2.0
 *
 * What a letter says: read from ledger, manifest and sent journal. */
#ifndef FB_REWRITE_LETTER_GATHER_H
#define FB_REWRITE_LETTER_GATHER_H

#include "common/ledger/ledger.h"
#include "common/title.h"
#include "services/rewrite/handle.h"
#include "services/rewrite/letter_text.h"

#define LETTER_PAGE_SIZE 1024

struct letter {
    /* given */
    struct rewrite_service *service;
    struct fb_redis *redis;
    const struct fb_job *job;
    const struct fb_policy *policy;
    /* read */
    struct fb_ledger_message message;
    struct fb_evidence *evidence; /* one a recipient; reminder and recall */
    struct fb_recall *recalls;
    size_t recall_count;
    struct fb_parcel parcel;
    bool has_parcel;
    struct fb_title title;
    bool is_news;  /* recall: the ledger does not know yet that this is told */
    bool was_sent; /* recall: this letter is out already, another job's */
    bool is_early; /* recall: the final letter was decided on, and is not due (any more) */
    char page[LETTER_PAGE_SIZE];
    struct letter_person *persons;
    /* the result: lends from all of the above */
    struct letter_facts facts;
};

/* is_wanted_r: there is something to say, and somebody to say it to.  Statuses of Redis, spool and
 * journal; FB_NOT_FOUND when the ledger does not know the message. */
FB_MUST_USE enum fb_status letter_gather(struct letter *l, bool *is_wanted_r, struct fb_error *err);
/* In every state. */
void letter_release(struct letter *l);

#endif
