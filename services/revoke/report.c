/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/report.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_AGAIN_MS 5000
#define LOG_AGAIN_MS  15000
#define PATIENCE_MS   ((int64_t)5 * 60 * 1000) /* a recall that takes longer is told about */
#define GIVE_UP_MS                                                                                 \
    ((int64_t)24 * 60 * 60 * 1000) /* a log that nobody could read by then is not waited for */

static bool is_about(const struct fb_recall *recall, uint32_t recipient)
{
    for (size_t i = 0; i < recall->count; i++) {
        if (recall->recipients[i] == recipient) {
            return true;
        }
    }
    return recall->is_all;
}

static bool is_all_final(const struct fb_ledger_message *m, const struct fb_recall *recall,
                         const struct fb_evidence *evidence)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (is_about(recall, (uint32_t)i) && !fb_evidence_is_settled(&evidence[i])) {
            return false;
        }
    }
    return true;
}

enum revoke_report revoke_report_rule(const struct fb_ledger_message *m,
                                      const struct fb_recall *recall,
                                      const struct fb_evidence *evidence, int64_t now_ms,
                                      int64_t *next_ms_r)
{
    int64_t age_ms = now_ms - recall->at_ms;
    bool is_told = recall->told[0] != '\0';
    if (strcmp(recall->told, "final") == 0 || m->from == NULL || m->from[0] == '\0') {
        return REVOKE_REPORT_NONE;
    }
    if (age_ms > GIVE_UP_MS || (recall->jobs_left == 0 && is_all_final(m, recall, evidence))) {
        return REVOKE_REPORT_FINAL;
    }
    *next_ms_r = now_ms + LOG_AGAIN_MS;
    if (recall->jobs_left > 0 && age_ms < PATIENCE_MS) {
        *next_ms_r = now_ms + JOBS_AGAIN_MS;
        return REVOKE_REPORT_LATER;
    }
    return is_told ? REVOKE_REPORT_LATER : REVOKE_REPORT_INTERIM;
}

static const struct fb_recall *find(const struct fb_recall *list, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].id, id) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

enum fb_status revoke_report_decide(struct fb_redis *r, const struct fb_config *config,
                                    const char *msg_id, const char *recall_id,
                                    enum revoke_report *what_r, int64_t *next_ms_r,
                                    struct fb_error *err)
{
    struct fb_ledger_message m = {0};
    struct fb_recall *list = NULL;
    struct fb_evidence *evidence = NULL;
    size_t count = 0;
    *what_r = REVOKE_REPORT_NONE;
    enum fb_status s = fb_ledger_get(r, msg_id, &m, err);
    if (s == FB_NOT_FOUND) {
        return FB_OK; /* its time in the ledger is over */
    }
    if (s == FB_OK) {
        s = fb_ledger_recalls(r, msg_id, &list, &count, err);
    }
    const struct fb_recall *recall = s == FB_OK ? find(list, count, recall_id) : NULL;
    if (recall != NULL) {
        s = fb_ledger_evidence(r, &m, config->revoke.settle_ms, &evidence, err);
    }
    if (s == FB_OK && recall != NULL) {
        *what_r = revoke_report_rule(&m, recall, evidence, fb_now_ms(), next_ms_r);
    }
    free(evidence);
    fb_recalls_free(list, count);
    fb_ledger_message_deinit(&m);
    return s;
}
