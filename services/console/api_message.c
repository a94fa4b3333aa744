/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /messages/{id}: what became of a mail, for each recipient, with a time line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timeline.h"
#include "services/console/api.h"

/* ---- the message ---- */

static json_t *recipient_json(const struct fb_ledger_message *m, size_t i,
                              const struct fb_evidence *e, json_t *lines)
{
    const struct fb_ledger_recipient *r = &m->recipients[i];
    const char *fallback =
        r->is_vault && r->branch < m->branch_count ? m->branches[r->branch].fallback : "";
    return json_pack(
        "{s:I,s:o,s:I,s:s,s:s,s:o,s:I,s:I,s:s,s:o,s:b,s:o,s:o,s:o}", "index", (json_int_t)i,
        "address", fb_json_text(r->address), "branch", (json_int_t)r->branch, "state", r->state,
        "grant", r->grant_state, "grant_at", call_json_time(r->grant_ms), "previews",
        (json_int_t)r->previews, "downloads", (json_int_t)r->downloads, "two_step", r->two_step,
        "fallback", fb_json_text(fallback), "is_recalled", r->is_recalled, "recalled_at",
        call_json_time(r->recalled_ms), "evidence", fb_json_evidence(e, call_json_time), "timeline",
        json_incref(json_array_get(lines, i)));
}

static json_t *branch_json(const struct fb_ledger_branch *b, size_t number)
{
    return json_pack("{s:I,s:s,s:s,s:o,s:o,s:s,s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:b,s:s}", "number",
                     (json_int_t)number, "kind", b->kind, "state", b->state, "rule",
                     fb_json_text(b->rule), "reason", fb_json_text(b->reason), "parcel",
                     b->parcel_id, "storage", fb_json_text(b->storage), "folder",
                     fb_json_text(b->folder_id), "access", b->access, "expires",
                     call_json_time(b->expires_ms), "purges", call_json_time(b->purge_ms),
                     "uploaded", call_json_time(b->uploaded_ms), "ended",
                     call_json_time(b->ended_ms), "is_held", b->is_held, "forced", b->forced);
}

static json_t *recall_json(const struct fb_recall *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        (void)json_array_append_new(list, json_integer(r->recipients[i]));
    }
    return json_pack("{s:s,s:o,s:o,s:s,s:o,s:b,s:b,s:o,s:I,s:s,s:b,s:o}", "id", r->id, "at",
                     call_json_time(r->at_ms), "actor", fb_json_text(r->actor), "source", r->source,
                     "reason", fb_json_text(r->reason), "all", r->is_all, "content",
                     r->takes_content, "recipients", list, "jobs_left", (json_int_t)r->jobs_left,
                     "told", r->told, "failed", r->has_failed, "failure", fb_json_text(r->failure));
}

static json_t *message_json(struct call *c, const struct fb_ledger_message *m,
                            const struct fb_evidence *evidence, json_t *lines,
                            const struct fb_recall *recalls, size_t recall_count)
{
    json_t *recipients = json_array();
    json_t *branches = json_array();
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_array_append_new(recipients, recipient_json(m, i, &evidence[i], lines));
    }
    for (size_t b = 0; b < m->branch_count; b++) {
        (void)json_array_append_new(branches, branch_json(&m->branches[b], b));
    }
    for (size_t i = 0; i < recall_count; i++) {
        (void)json_array_append_new(list, recall_json(&recalls[i]));
    }
    return json_pack("{s:s,s:o,s:o,s:o,s:I,s:s,s:b,s:o,s:o,s:o,s:o}", "id", m->msg_id, "accepted",
                     call_json_time(m->accepted_ms), "from", fb_json_text(m->from), "subject",
                     api_subject(c, m), "size", (json_int_t)m->size, "state", m->state,
                     "is_recalled", m->is_recalled, "recalled_at", call_json_time(m->recalled_ms),
                     "recipients", recipients, "branches", branches, "recalls", list);
}

void api_message(struct call *c)
{
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    struct fb_evidence *evidence = NULL;
    struct fb_recall *recalls = NULL;
    size_t recall_count = 0;
    json_t *lines = NULL;
    enum fb_status s = fb_ledger_get(c->redis, c->params[0], &m, &err);
    if (s == FB_OK) {
        s = fb_ledger_evidence(c->redis, &m, c->console->config->revoke.settle_ms, &evidence, &err);
    }
    if (s == FB_OK) {
        s = fb_ledger_recalls(c->redis, m.msg_id, &recalls, &recall_count, &err);
    }
    if (s == FB_OK) {
        s = fb_timeline(c->redis, &m, call_json_time, &lines, &err);
    }
    if (s == FB_OK) {
        answer_json(c, 200, message_json(c, &m, evidence, lines, recalls, recall_count));
    } else {
        answer_error(c, &err);
    }
    json_decref(lines);
    fb_recalls_free(recalls, recall_count);
    free(evidence);
    fb_ledger_message_deinit(&m);
}
