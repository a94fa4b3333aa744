/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a message.  With one Redis its mail is erased from the spool at once.  Where another
 * node may take over (Sentinel, Cluster), a fail-over forgets the last writes: were the mail gone by
 * then, nobody could tell the ledger again what became of it, and it could be neither recalled nor
 * expire.  So the mail stays for a while, and is erased only when Redis still says that it has
 * ended.  What Redis forgot is found in the spool by replay and sweeper; the sent journal keeps it
 * from going out twice.
 *
 * What a process leaves behind that dies meanwhile, the replay erases (common/ledger/replay.h). */
#ifndef FB_REWRITE_LINGER_H
#define FB_REWRITE_LINGER_H

#include "common/config.h"
#include "common/spool/journal.h"

struct linger;
/* spool and journal are lent. */
FB_MUST_USE enum fb_status linger_new(const struct fb_config *config, struct fb_spool *spool,
                                      struct fb_journal *journal, struct linger **linger_r,
                                      struct fb_error *err);
/* Ends the thread; what still waits is left to the replay.  Call it before journal and spool are
 * closed. */
void linger_free(struct linger **linger);
/* The message has ended, in Redis as well.  From any thread. */
void linger_ended(struct linger *linger, const char *msg_id, const char *ref);

#endif
