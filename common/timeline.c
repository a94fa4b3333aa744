/* SPDX-License-Identifier: Apache-2.0 */
#include "common/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "common/dead_words.h"
#include "common/json_words.h"

#define MAX_EVENTS 500 /* newest lines of a parcel's history */

/* "at" is a number until all are in order. */
static json_t *event_json(int64_t at, const char *what, const char *source, const char *actor)
{
    return json_pack("{s:I,s:o,s:o,s:o,s:n,s:n,s:b}", "at", (json_int_t)at, "what",
                     fb_json_text(what), "source", fb_json_text(source), "actor",
                     fb_json_text(actor), "network", "agent", "by_others", 0);
}

struct history {
    const struct fb_ledger_message *m;
    uint32_t branch;
    json_t *lines; /* one array for each recipient */
};

static void add_line(const struct history *h, size_t recipient, const json_t *e)
{
    const char *event = fb_json_text_of(e, "event");
    json_t *line = event_json(json_integer_value(json_object_get(e, "at")),
                              event[0] != '\0' ? event : fb_json_text_of(e, "to"),
                              fb_json_text_of(e, "source"), fb_json_text_of(e, "actor"));
    bool names_nobody =
        json_object_get(e, "recipient") == NULL || json_is_null(json_object_get(e, "recipient"));
    /* An access of somebody who is no recipient: it is in the time line of all, and of none of them. */
    if (names_nobody && json_object_get(e, "recipients") == NULL && event[0] != '\0') {
        (void)json_object_set_new(line, "by_others", json_true());
    }
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
                if (strcmp(what, "refused") == 0 && strcmp(b->forced, "reject") == 0 &&
                    fb_dead_untold(m->from, false) != NULL) {
                    (void)json_array_append_new(
                        list, event_json(b->ended_ms, "sender not told", "rewrite", ""));
                }
            }
        }
        if (r->is_recalled) {
            (void)json_array_append_new(list, event_json(r->recalled_ms, "recall", "", ""));
        }
    }
}

struct event {
    json_t *line; /* lent */
    int64_t at;
    size_t number; /* what happened at one moment stays in its order */
};

static int by_time(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static json_t *sorted(json_t *list, json_t *(*time)(int64_t ms))
{
    size_t count = json_array_size(list);
    struct event *events = fb_xcalloc(count + 1, sizeof *events);
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *line = json_array_get(list, i);
        events[i] = (struct event){line, json_integer_value(json_object_get(line, "at")), i};
    }
    qsort(events, count, sizeof *events, by_time);
    for (size_t i = 0; i < count; i++) {
        (void)json_object_set_new(events[i].line, "at", time(events[i].at));
        (void)json_array_append(out, events[i].line);
    }
    free(events);
    return out;
}

enum fb_status fb_timeline(struct fb_redis *r, const struct fb_ledger_message *m,
                           json_t *(*time)(int64_t ms), json_t **lines_r, struct fb_error *err)
{
    json_t *lines = json_array();
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_array_append_new(lines, json_array());
    }
    add_marks(m, lines);
    for (uint32_t b = 0; b < m->branch_count && s == FB_OK; b++) {
        struct history h = {.m = m, .branch = b, .lines = lines};
        if (m->branches[b].parcel_id[0] != '\0') {
            s = fb_ledger_history(r, m->branches[b].parcel_id, MAX_EVENTS, take_line, &h, err);
        }
    }
    for (size_t i = 0; i < m->recipient_count && s == FB_OK; i++) {
        (void)json_array_set_new(lines, i, sorted(json_array_get(lines, i), time));
    }
    if (s == FB_OK) {
        *lines_r = lines;
    } else {
        json_decref(lines);
    }
    return s;
}
