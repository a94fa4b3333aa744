/* SPDX-License-Identifier: Apache-2.0
 *
 * The handlers of the API, by area.  What each takes and answers stands in openapi/<area>.json. */
#ifndef FB_CONSOLE_API_H
#define FB_CONSOLE_API_H

#include "common/ledger/ledger.h"
#include "services/console/call.h"

void api_document(struct call *c);

/* api_overview.c */
void api_overview(struct call *c);
void api_series(struct call *c);
void api_queues(struct call *c);
void api_system(struct call *c);
/* Alarms that are on; NULL with an error.  storage: those of one storage; NULL = all. */
json_t *api_alarms(struct call *c, const char *storage, struct fb_error *err);

/* api_messages.c, api_message.c */
void api_messages(struct call *c);
void api_message(struct call *c);
/* The message's subject where the caller may see it and it is known; else null. */
json_t *api_subject(struct call *c, const struct fb_ledger_message *m);

/* api_recall.c */
void api_recall(struct call *c);
void api_restore(struct call *c);

/* api_policy.c */
void api_policy_get(struct call *c);
void api_policy_put(struct call *c);
void api_policy_check(struct call *c);
void api_policy_history(struct call *c);
void api_policy_version(struct call *c);
void api_policy_rollback(struct call *c);
void api_policy_diff(struct call *c);
void api_policy_diff_document(struct call *c);
/* The document of the body ("document"), or NULL: answered. */
const char *api_policy_document(struct call *c);

/* 422 with the errors of a document. */
void api_policy_findings(struct call *c, const struct fb_policy_findings *f);

/* 422: the helper's program found the document wrong, or, at `where`, what it was asked for. */
void api_refusal(struct call *c, const json_t *answer, const char *where);

/* api_notices.c */
void api_notices_preview(struct call *c);

/* api_try.c: what asks render; api_dry_run.c */
void api_policy_test(struct call *c);
void api_policy_dry_run(struct call *c);
void api_policy_hits(struct call *c);

/* api_dead.c */
void api_dead_list(struct call *c);
void api_dead_get(struct call *c);
void api_dead_retry(struct call *c);
void api_dead_release(struct call *c);
void api_dead_reject(struct call *c);

/* api_storages.c */
void api_storages(struct call *c);
void api_storage_test(struct call *c);

/* api_operations.c */
/* A line of a list of checks; state: ok, warning, error. */
json_t *api_check(const char *name, const char *state, const char *text, const char *hint);
/* Answers with them; takes list. */
void api_answer_checks(struct call *c, json_t *list);
void api_audit(struct call *c);
void api_audit_export(struct call *c);
void api_doctor(struct call *c);

#endif
