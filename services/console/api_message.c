/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /messages/{id}: what became of a mail, for each recipient, with a time line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/evidence_text.h"
#include "services/console/api.h"

#define MAX_EVENTS 500 /* newest lines of a parcel's history */

/* ---- the time line ---- */

static json_t *event_json(int64_t at, const char *what, const char *source, const char *actor)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:n,s:n}", "at", call_json_time(at), "what",
                     fb_json_text(what), "source", fb_json_text(source), "actor",
                     fb_json_text(actor), "network", "agent");
}

struct history {
    const struct fb_ledger_message *m;
    uint32_t branch;
    json_t *lines; /* one array for each recipient */
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static void add_line(const struct history *h, size_t recipient, const json_t *e)
{
    const char *event = text_of(e, "event");
    json_t *line = event_json(json_integer_value(json_object_get(e, "at")),
                              event[0] != '\0' ? event : text_of(e, "to"), text_of(e, "source"),
                              text_of(e, "actor"));
    static const char *const more[] = {"network", "agent"};
    for (size_t i = 0; i < 2; i++) {
        if (json_is_string(json_object_get(e, more[i]))) {
            (void)json_object_set(line, more[i], json_object_get(e, more[i]));
        }
    }
    (void)json_array_append_new(json_array_get(h->lines, recipient), line);
}

/* One line of a parcel's history (ledger.md): a change of one grant, a recall of several, or an access of somebody
 * else, which concerns all. */
static bool take_line(void *ctx, const char *text)
{
    struct history *h = ctx;
    json_t *e = json_loads(text, 0, NULL);
    const json_t *one = json_object_get(e, "recipient");
    const json_t *some = json_object_get(e, "recipients");
    for (size_t i = 0; i < h->m->recipient_count && json_is_object(e); i++) {
        bool is_his = h->m->recipients[i].branch == h->branch;
        if (json_is_integer(one)) {
            is_his = is_his && json_integer_value(one) == (json_int_t)i;
        } else if (json_is_array(some)) {
            size_t k;
            json_t *item;
            bool is_named = false;
            json_array_foreach(some, k, item)
            {
                is_named = is_named || json_integer_value(item) == (json_int_t)i;
            }
            is_his = is_his && is_named;
        }
        if (is_his) {
            add_line(h, i, e);
        }
    }
    json_decref(e);
    return true;
}

static void add_marks(const struct fb_ledger_message *m, json_t *lines)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct fb_ledger_recipient *r = &m->recipients[i];
        json_t *list = json_array_get(lines, i);
        (void)json_array_append_new(list, event_json(m->accepted_ms, "accepted", "ingest", ""));
        if (r->branch < m->branch_count) {
            const struct fb_ledger_branch *b = &m->branches[r->branch];
            if (b->ended_ms > 0) {
                const char *what =
                    strcmp(b->state, "sent") == 0 && r->state[0] != '\0' ? r->state : b->state;
                (void)json_array_append_new(list, event_json(b->ended_ms, what, "rewrite", ""));
            }
        }
        if (r->is_recalled) {
            (void)json_array_append_new(list, event_json(r->recalled_ms, "recall", "", ""));
        }
    }
}

static int by_time(const void *a, const void *b)
{
    json_t *const *x = a;
    json_t *const *y = b;
    return strcmp(text_of(*x, "at"), text_of(*y, "at")); /* RFC 3339, all in UTC */
}

static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **items = fb_xcalloc(count + 1, sizeof *items);
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++) {
        items[i] = json_array_get(list, i);
    }
    qsort(items, count, sizeof *items, by_time);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append(out, items[i]);
    }
    free(items);
    return out;
}

static enum fb_status read_lines(struct call *c, const struct fb_ledger_message *m, json_t *lines,
                                 struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_array_append_new(lines, json_array());
    }
    add_marks(m, lines);
    for (uint32_t b = 0; b < m->branch_count && s == FB_OK; b++) {
        struct history h = {.m = m, .branch = b, .lines = lines};
        if (m->branches[b].parcel_id[0] != '\0') {
            s = fb_ledger_history(c->redis, m->branches[b].parcel_id, MAX_EVENTS, take_line, &h,
                                  err);
        }
    }
    return s;
}

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
        sorted(json_array_get(lines, i)));
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
    json_t *lines = json_array();
    enum fb_status s = fb_ledger_get(c->redis, c->params[0], &m, &err);
    if (s == FB_OK) {
        s = fb_ledger_evidence(c->redis, &m, c->console->config->revoke.settle_ms, &evidence, &err);
    }
    if (s == FB_OK) {
        s = fb_ledger_recalls(c->redis, m.msg_id, &recalls, &recall_count, &err);
    }
    if (s == FB_OK) {
        s = read_lines(c, &m, lines, &err);
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
