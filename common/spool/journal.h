/* SPDX-License-Identifier: Apache-2.0
 *
 * The sent journal: after the MTA's reply, rewrite commits here, per recipient, that it was sent.
 * It survives a loss of Redis; a retry asks it before it sends again.  Group commit as the spool:
 * many threads, one fdatasync.
 *
 * One writer per process (its own file); readers follow all writers' files.
 */
#ifndef FB_COMMON_SPOOL_JOURNAL_H
#define FB_COMMON_SPOOL_JOURNAL_H

#include "common/spool/spool.h"

/* FB_SENT_NOTICE and FB_SENT_PASS: this recipient has the mail.  FB_SENT_REPORT: the sender was
 * told about this recipient (delivery report).  FB_SENT_RECALLED: this recipient was recalled
 * (written by revoke, whether or not a mail was out); after a loss of Redis the replay says so
 * again, so that what was not sent yet never is.  Recipients are indices of the envelope. */
enum fb_sent_kind {
    FB_SENT_NOTICE = 1,
    FB_SENT_PASS = 2,
    FB_SENT_REPORT = 3,
    FB_SENT_RECEIPT = 4,
    FB_SENT_PASSWORD = 5,
    FB_SENT_RECALLED = 6
};

struct fb_journal;

/* A writer's name for this process: prefix, host, process id. */
#define FB_JOURNAL_WRITER 80
void fb_journal_writer_name(const char *prefix, char name_r[FB_JOURNAL_WRITER]);
/* Reads all journals there are; makes a file of its own with the first commit.  The spool must
 * outlive it.  FB_CONFIG for a bad name; FB_IO and FB_CORRUPT when a journal cannot be read:
 * without it nobody knows what was sent. */
FB_MUST_USE enum fb_status fb_journal_open(struct fb_spool *spool, const char *writer_name,
                                           struct fb_journal **journal_r, struct fb_error *err);
void fb_journal_close(struct fb_journal **journal);
/* Returns after fdatasync.  Thread-safe; concurrent calls share one sync.  FB_INVALID for a bad id,
 * kind or recipient (FB_MAX_RECIPIENTS); FB_NO_SPACE or FB_IO: not known to be durable, try again.
 */
FB_MUST_USE enum fb_status fb_journal_commit(struct fb_journal *journal, const char *msg_id,
                                             uint32_t branch, enum fb_sent_kind kind,
                                             const uint32_t *recipients, size_t count,
                                             struct fb_error *err);
/* Which of the recipients have an entry of that kind (for any branch): sets has_r[i].  Reads what
 * other writers added since the last call. */
FB_MUST_USE enum fb_status fb_journal_lookup(struct fb_journal *journal, const char *msg_id,
                                             enum fb_sent_kind kind, const uint32_t *recipients,
                                             size_t count, bool *has_r, struct fb_error *err);
/* The message is erased: its entries may be forgotten.  They are, by every process, some minutes
 * later with somebody's commit, because a crash right now could bring the message back. */
void fb_journal_forget(struct fb_journal *journal, const char *msg_id);

#endif
