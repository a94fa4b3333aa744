/* SPDX-License-Identifier: Apache-2.0
 *
 * What a line of the audit says of each kind of change: the same whether it was made in the console or by `fumibako`.
 * No secret and no content of a mail is in it. */
#ifndef FB_COMMON_ACCOUNTS_AUDIT_WHAT_H
#define FB_COMMON_ACCOUNTS_AUDIT_WHAT_H

#include <jansson.h>

#include "common/accounts/account.h"
#include "common/ledger/ledger.h"
#include "common/queue/queue.h"

#define FB_AUDIT_OBJECT 160

struct fb_audit_what {
    char object[FB_AUDIT_OBJECT]; /* "message 01J...", "held s0-1-1", "user anna", "policy" */
    json_t *before, *after;       /* owned; NULL = null */
};
void fb_audit_what_deinit(struct fb_audit_what *w);

/* version: the one that was in force ("" = not known, or none); comment may be NULL. */
void fb_audit_of_policy(const char *version, struct fb_slice document, const char *comment,
                        struct fb_audit_what *w_r);
/* recipients: their numbers; count 0 = all.  reason may be NULL. */
void fb_audit_of_recall(const struct fb_ledger_message *m, const char *recall_id,
                        const uint32_t *recipients, size_t count, bool takes_content,
                        const char *reason, struct fb_audit_what *w_r);
/* wanted has an entry for each recipient of m. */
void fb_audit_of_restore(const struct fb_ledger_message *m, const bool *wanted,
                         struct fb_audit_what *w_r);
/* action: retry, release, reject; reason may be NULL.  untold: why the sender of a rejected mail is not told; NULL =
 * told. */
void fb_audit_of_held(const struct fb_dead *d, const char *action, const char *reason,
                      const char *untold, struct fb_audit_what *w_r);
/* An account as it is shown: no secrets, but which there are.  time writes its moments. */
json_t *fb_account_json(const struct fb_account *a, json_t *(*time)(int64_t ms));

#endif
