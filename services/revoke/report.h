/* SPDX-License-Identifier: Apache-2.0
 *
 * When the sender is told what became of a recall.  What the letter says is composed when it is sent; here is only
 * decided that one is due.
 *
 *   jobs left ------------------> look again; after 5 minutes one interim letter, which says so
 *   done, storage's log open ---> one interim letter; look again each 15 s, for a day
 *   done, everything final -----> the final letter, and no more looks
 */
#ifndef FB_REVOKE_REPORT_H
#define FB_REVOKE_REPORT_H

#include "common/config.h"
#include "common/ledger/ledger.h"

enum revoke_report {
    REVOKE_REPORT_LATER,   /* look again at *next_ms_r */
    REVOKE_REPORT_INTERIM, /* a letter, and look again at *next_ms_r */
    REVOKE_REPORT_FINAL,   /* a letter, and that is all */
    REVOKE_REPORT_NONE     /* nobody to tell, or told already */
};

/* The rule alone; evidence has one entry a recipient of m. */
enum revoke_report revoke_report_rule(const struct fb_ledger_message *m,
                                      const struct fb_recall *recall,
                                      const struct fb_evidence *evidence, int64_t now_ms,
                                      int64_t *next_ms_r);
/* Reads what the rule needs. */
FB_MUST_USE enum fb_status revoke_report_decide(struct fb_redis *r, const struct fb_config *config,
                                                const char *msg_id, const char *recall_id,
                                                enum revoke_report *what_r, int64_t *next_ms_r,
                                                struct fb_error *err);

#endif
