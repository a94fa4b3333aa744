/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /messages: the ledger searched, newest first, a page at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/search.h"
#include "common/title.h"
#include "proto/limits.h"
#include "services/console/api.h"

#define SHOWN_RECIPIENTS 5
#define MAX_SUBJECT      200

/* ---- one line ---- */

json_t *api_subject(struct call *c, const struct fb_ledger_message *m)
{
    struct fb_title title;
    const char *key = c->console->config->rewrite.key;
    bool may = console_may(c->who.role, CONSOLE_SEE_MESSAGES);
    if (!may || m->title == NULL || key == NULL ||
        fb_title_open(key, m->msg_id, m->title, &title) != FB_OK) {
        return json_null();
    }
    json_t *text = fb_json_text(title.subject);
    fb_wipe(&title, sizeof title);
    return text;
}

static bool has(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (strcmp(json_string_value(item), text) == 0) {
            return true;
        }
    }
    return false;
}

static void add_once(json_t *list, const char *text)
{
    json_t *value = text[0] != '\0' ? fb_json_text(text) : NULL;
    if (value != NULL && !has(list, json_string_value(value))) {
        (void)json_array_append(list, value);
    }
    json_decref(value);
}

static bool is_opened(const struct fb_ledger_recipient *r)
{
    return r->previews + r->downloads > 0 || strcmp(r->grant_state, "opened") == 0 ||
           strcmp(r->grant_state, "downloaded") == 0;
}

static json_t *summary_json(struct call *c, const struct fb_ledger_message *m)
{
    json_t *recipients = json_array();
    json_t *rules = json_array();
    json_t *kinds = json_array();
    json_int_t opened = 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct fb_ledger_recipient *r = &m->recipients[i];
        opened += is_opened(r);
        if (i < SHOWN_RECIPIENTS) {
            (void)json_array_append_new(recipients, json_pack("{s:o,s:s,s:s}", "address",
                                                              fb_json_text(r->address), "state",
                                                              r->state, "grant", r->grant_state));
        }
    }
    for (size_t b = 0; b < m->branch_count; b++) {
        add_once(rules, m->branches[b].rule);
        add_once(kinds, m->branches[b].kind);
    }
    return json_pack("{s:s,s:o,s:o,s:o,s:I,s:s,s:b,s:I,s:o,s:o,s:o,s:I}", "id", m->msg_id,
                     "accepted", call_json_time(m->accepted_ms), "from", fb_json_text(m->from),
                     "subject", api_subject(c, m), "size", (json_int_t)m->size, "state", m->state,
                     "is_recalled", m->is_recalled, "recipient_count",
                     (json_int_t)m->recipient_count, "recipients", recipients, "rules", rules,
                     "kinds", kinds, "opened_count", opened);
}

/* ---- the search ---- */

/* Not before until it is known to be one of ours: fb_ledger_search says which states there are. */
static bool take_state(struct call *c, struct fb_search *q)
{
    q->state = fb_http_query(c->request, "state");
    if (q->state != NULL && q->state[0] == '\0') {
        q->state = NULL;
    }
    if (q->state != NULL && !fb_search_knows_state(q->state)) {
        answer_invalid(c, "state", "state の値が正しくありません。",
                       "state is open, queued, planned, held, done, recalled or pending.");
        return false;
    }
    return true;
}

static bool take_address(struct call *c, const char *name, const char **out)
{
    const char *given = fb_http_query(c->request, name);
    if (given == NULL || given[0] == '\0') {
        return true;
    }
    if (strlen(given) > FB_MAX_ADDRESS) {
        answer_invalid(c, name, "アドレスが長すぎます。", "The address is too long.");
        return false;
    }
    *out = given;
    return true;
}

static bool take_subject(struct call *c, struct fb_search *q)
{
    const char *given = fb_http_query(c->request, "subject");
    if (given == NULL || given[0] == '\0') {
        return true;
    }
    if (!console_may(c->who.role, CONSOLE_SEE_MESSAGES)) {
        answer_problem(c, 403, "forbidden", "件名を検索する権限がありません。",
                       "Your role does not allow to search subjects.");
        return false;
    }
    if (strlen(given) > MAX_SUBJECT) {
        answer_invalid(c, "subject", "件名が長すぎます。", "The subject is too long.");
        return false;
    }
    q->subject = given;
    q->title_key = c->console->config->rewrite.key;
    return true;
}

struct found {
    struct call *c;
    json_t *items;
};

static void add_item(void *ctx, const struct fb_ledger_message *m)
{
    struct found *f = ctx;
    (void)json_array_append_new(f->items, summary_json(f->c, m));
}

void api_messages(struct call *c)
{
    struct fb_error err = {0};
    struct fb_search q = {.until_ms = INT64_MAX / 4};
    struct fb_search_end end;
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &q.limit) || !call_time(c, "since", &q.since_ms) ||
        !call_time(c, "until", &q.until_ms) || !take_state(c, &q) ||
        !take_address(c, "sender", &q.sender) || !take_address(c, "recipient", &q.recipient) ||
        !take_subject(c, &q)) {
        return;
    }
    if (cursor != NULL && cursor[0] != '\0' && !fb_search_cursor(cursor, &q)) {
        answer_invalid(c, "cursor",
                       "cursor が正しくありません。最初のページからやり直してください。",
                       "This is no cursor of ours: begin with the first page.");
        return;
    }
    struct found f = {.c = c, .items = json_array()};
    if (fb_ledger_search(c->redis, &q, add_item, &f, &end, &err) != FB_OK) {
        json_decref(f.items);
        answer_error(c, &err);
        return;
    }
    answer_json(c, 200,
                json_pack("{s:o,s:s?,s:o}", "items", f.items, "next",
                          end.next[0] != '\0' ? end.next : NULL, "searched_to",
                          end.is_cut ? call_json_time(end.at_ms) : json_null()));
}
