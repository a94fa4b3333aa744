/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/apply.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/metrics.h"

#define PARK_MS    (24 * 3600 * INT64_C(1000))
#define PARKED_MAX 10000 /* all there are (ledger/access.c) */
#define CHUNK      500   /* recorded in one go */
#define MAX_FAILED 10

/* What is known of one parcel while a page is worked on. */
struct known {
    struct known *next;
    char folder_id[32];
    char parcel_id[FB_PARCEL_ID_SIZE]; /* "" = none */
    uint32_t branch;
    bool has_message;
    struct fb_ledger_message m;
};

struct work {
    struct watch_round *w;
    struct known *known;
    struct fb_ledger_event *events; /* strings are lent from the page and from known */
    size_t count;
    char **park_ids, **park_texts;
    size_t park_count;
    const char **settled_ids;
    size_t settled_count;
};

static void work_init(struct work *k, struct watch_round *w, size_t count)
{
    *k = (struct work){.w = w};
    k->events = fb_xcalloc(count + 1, sizeof *k->events);
    k->park_ids = fb_xcalloc(count + 1, sizeof *k->park_ids);
    k->park_texts = fb_xcalloc(count + 1, sizeof *k->park_texts);
    k->settled_ids = fb_xcalloc(count + 1, sizeof *k->settled_ids);
}

static void work_deinit(struct work *k)
{
    while (k->known != NULL) {
        struct known *next = k->known->next;
        if (k->known->has_message) {
            fb_ledger_message_deinit(&k->known->m);
        }
        free(k->known);
        k->known = next;
    }
    for (size_t i = 0; i < k->park_count; i++) {
        free(k->park_ids[i]);
        free(k->park_texts[i]);
    }
    free(k->events);
    free(k->park_ids);
    free(k->park_texts);
    free(k->settled_ids);
}

static enum fb_status load_message(struct work *k, struct known *p, struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    if (!fb_parcel_id_split(p->parcel_id, msg_id, &p->branch)) {
        return FB_NOT_FOUND;
    }
    enum fb_status s = fb_ledger_get(k->w->redis, msg_id, &p->m, err);
    p->has_message = s == FB_OK;
    if (s == FB_OK && p->branch >= p->m.branch_count) {
        s = FB_NOT_FOUND;
    }
    return s;
}

/* The parcel of a folder; its parcel_id is "" when there is none. */
static enum fb_status find(struct work *k, const char *folder_id, struct known **known_r,
                           struct fb_error *err)
{
    for (struct known *p = k->known; p != NULL; p = p->next) {
        if (strcmp(p->folder_id, folder_id) == 0) {
            *known_r = p;
            return FB_OK;
        }
    }
    struct known *p = fb_xcalloc(1, sizeof *p);
    (void)snprintf(p->folder_id, sizeof p->folder_id, "%s", folder_id);
    enum fb_status s =
        fb_ledger_folder_parcel(k->w->redis, k->w->name, folder_id, p->parcel_id, err);
    if (s == FB_OK) {
        s = load_message(k, p, err);
    }
    if (s == FB_NOT_FOUND) {
        p->parcel_id[0] = '\0';
        s = FB_OK;
    }
    p->next = k->known;
    k->known = p;
    *known_r = p;
    return s;
}

/* By login, else by the user id with which this recipient was seen. */
static enum fb_status find_recipient(struct work *k, const struct known *p,
                                     const struct storage_event *e, uint32_t *recipient_r,
                                     struct fb_error *err)
{
    *recipient_r = UINT32_MAX;
    for (size_t i = 0; i < p->m.recipient_count; i++) {
        const struct fb_ledger_recipient *r = &p->m.recipients[i];
        if (r->branch == p->branch && r->grant_state[0] != '\0' &&
            strcasecmp(r->address, e->actor) == 0) {
            *recipient_r = (uint32_t)i;
            return FB_OK;
        }
    }
    if (e->actor_id[0] == '\0' || strcmp(e->actor, "anonymous") == 0) {
        return FB_OK;
    }
    enum fb_status s =
        fb_ledger_user_recipient(k->w->redis, p->parcel_id, e->actor_id, recipient_r, err);
    return s == FB_NOT_FOUND ? FB_OK : s;
}

/* ---- what was put by ---- */

static bool is_young(const struct storage_event *e)
{
    return fb_now_ms() - e->at_ms < PARK_MS;
}

static void park(struct work *k, const struct storage_event *e)
{
    json_t *o =
        json_pack("{s:s,s:i,s:s,s:s,s:b,s:s,s:s,s:I}", "storage", k->w->name, "kind", (int)e->kind,
                  "item", e->item_id, "folder", e->folder_id, "is_folder", (int)e->is_folder,
                  "actor_id", e->actor_id, "actor", e->actor, "at", (json_int_t)e->at_ms);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    if (text != NULL) { /* NULL: a login that is no UTF-8 belongs to no recipient of ours */
        k->park_ids[k->park_count] = fb_xstrdup(e->id);
        k->park_texts[k->park_count++] = text;
    }
    json_decref(o);
}

static void copy(char *out, size_t size, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

/* False: another storage's, or damaged. */
static bool unpark(const char *storage, const char *id, const char *text, struct storage_event *e)
{
    json_t *o = json_loads(text, 0, NULL);
    const char *name = json_string_value(json_object_get(o, "storage"));
    json_int_t kind = json_integer_value(json_object_get(o, "kind"));
    bool is_good = name != NULL && strcmp(name, storage) == 0 && kind > STORAGE_EVENT_OTHER &&
                   kind <= STORAGE_EVENT_SHARED && strlen(id) < sizeof e->id;
    if (is_good) {
        *e = (struct storage_event){.kind = (enum storage_event_kind)kind};
        (void)snprintf(e->id, sizeof e->id, "%s", id);
        copy(e->item_id, sizeof e->item_id, o, "item");
        copy(e->folder_id, sizeof e->folder_id, o, "folder");
        copy(e->actor_id, sizeof e->actor_id, o, "actor_id");
        copy(e->actor, sizeof e->actor, o, "actor");
        e->is_folder = json_is_true(json_object_get(o, "is_folder"));
        e->at_ms = json_integer_value(json_object_get(o, "at"));
    }
    json_decref(o);
    return is_good;
}

/* ---- one event ---- */

static void count_link(const struct work *k, const char *outcome)
{
    char labels[200];
    (void)snprintf(labels, sizeof labels, "storage=\"%s\",outcome=\"%s\"", k->w->label, outcome);
    fb_metric_add("fumibako_foreign_links_total", labels, 1);
}

/* A link that somebody made on what is ours.  Refused for good: told and recorded, not tried for
 * ever. */
static enum fb_status end_link(struct work *k, const struct known *p, const struct storage_event *e,
                               enum fb_ledger_event_kind *kind_r, struct fb_error *err)
{
    const struct fb_ledger_branch *b = &p->m.branches[p->branch];
    bool was_open = false;
    struct fb_error own = {0};
    enum fb_status s = k->w->storage->close_link(k->w->session, b->user, e->item_id, e->is_folder,
                                                 b->access, &was_open, &own);
    if (s == FB_OK) {
        /* The history says what was done: the rule may allow this link, or it was closed already. */
        bool is_allowed = e->is_folder && strcmp(b->access, "anyone") == 0;
        *kind_r = was_open     ? FB_EVENT_LINK_REMOVED
                  : is_allowed ? FB_EVENT_LINK_ALLOWED
                               : FB_EVENT_LINK_NOT_OPEN;
        count_link(k, *kind_r == FB_EVENT_LINK_REMOVED   ? "removed"
                      : *kind_r == FB_EVENT_LINK_ALLOWED ? "allowed"
                                                         : "gone");
        if (was_open) {
            fb_log_fields(FB_WARN, "somebody opened a parcel by a link of their own: it was ended",
                          "parcel_id", p->parcel_id, "storage", k->w->name, NULL);
        }
        return FB_OK;
    }
    if (fb_status_class(s) == FB_CLASS_RETRY) {
        *err = own;
        return s;
    }
    *kind_r = FB_EVENT_LINK_REMAINS;
    count_link(k, "failed");
    fb_log_fields(FB_ERROR, "somebody opened a parcel by a link, and it cannot be ended",
                  "parcel_id", p->parcel_id, "storage", k->w->name, "reason", own.text, NULL);
    return FB_OK;
}

static void add(struct work *k, const struct known *p, const struct storage_event *e,
                enum fb_ledger_event_kind kind, uint32_t recipient)
{
    k->events[k->count++] = (struct fb_ledger_event){
        .id = e->id,
        .parcel_id = p->parcel_id,
        .kind = kind,
        .recipient = recipient,
        .at_ms = e->at_ms > 0 ? e->at_ms : fb_now_ms(),
        .actor = e->actor,
        .user_id = recipient != UINT32_MAX ? e->actor_id : "",
        .source = k->w->source,
    };
}

/* Its pending grants are asked about next: who accepted may stand in the answer only. */
static enum fb_status ask_soon(struct work *k, const struct known *p, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < p->m.recipient_count && s == FB_OK; i++) {
        const struct fb_ledger_recipient *r = &p->m.recipients[i];
        if (r->branch == p->branch && strcmp(r->grant_state, "pending") == 0) {
            s = fb_ledger_pending_set(k->w->redis, k->w->name, p->parcel_id, (uint32_t)i,
                                      fb_now_ms(), err);
        }
    }
    return s;
}

static enum fb_status take(struct work *k, const struct known *p, const struct storage_event *e,
                           struct fb_error *err)
{
    uint32_t recipient = UINT32_MAX;
    enum fb_ledger_event_kind kind = FB_EVENT_PREVIEW;
    enum fb_status s = find_recipient(k, p, e, &recipient, err);
    if (s != FB_OK) {
        return s;
    }
    switch (e->kind) {
    case STORAGE_EVENT_PREVIEW:
    case STORAGE_EVENT_DOWNLOAD:
        if (!e->is_own) {
            kind = e->kind == STORAGE_EVENT_PREVIEW ? FB_EVENT_PREVIEW : FB_EVENT_DOWNLOAD;
            add(k, p, e, kind, recipient);
        }
        return FB_OK;
    case STORAGE_EVENT_ACCEPTED:
        if (!e->is_own && recipient != UINT32_MAX) {
            add(k, p, e, FB_EVENT_ACCEPTED, recipient);
        }
        return ask_soon(k, p, err);
    case STORAGE_EVENT_SHARED:
        if (e->is_own) {
            return FB_OK;
        }
        s = end_link(k, p, e, &kind, err);
        if (s == FB_OK) {
            add(k, p, e, kind, recipient);
        }
        return s;
    case STORAGE_EVENT_OTHER:
    default:
        return FB_OK;
    }
}

static enum fb_status look_at(struct work *k, const struct storage_event *e, bool is_parked,
                              struct fb_error *err)
{
    struct known *p = NULL;
    enum fb_status s = find(k, e->folder_id, &p, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_known = p->parcel_id[0] != '\0';
    if (is_known) {
        s = take(k, p, e, err);
    } else if (!is_parked && !e->is_own && is_young(e)) {
        park(k, e);
    }
    if (s == FB_OK && is_parked && (is_known || !is_young(e))) {
        k->settled_ids[k->settled_count++] = e->id;
    }
    return s;
}

/* ---- recording ---- */

static const char *event_name(enum fb_ledger_event_kind kind)
{
    static const char *const names[] = {
        [FB_EVENT_PREVIEW] = "preview",    [FB_EVENT_DOWNLOAD] = "download",
        [FB_EVENT_ACCEPTED] = "accepted",  [FB_EVENT_LINK_REMOVED] = "link",
        [FB_EVENT_LINK_NOT_OPEN] = "link", [FB_EVENT_LINK_ALLOWED] = "link",
        [FB_EVENT_LINK_REMAINS] = "link"};
    return names[kind];
}

static void count_events(const struct work *k, const enum fb_ledger_recorded *recorded)
{
    for (size_t i = 0; i < k->count; i++) {
        char labels[200];
        if (recorded[i] != FB_EVENT_KNOWN) {
            (void)snprintf(labels, sizeof labels, "storage=\"%s\",event=\"%s\",by=\"%s\"",
                           k->w->label, event_name(k->events[i].kind),
                           k->events[i].recipient != UINT32_MAX ? "recipient" : "other");
            fb_metric_add("fumibako_accesses_total", labels, 1);
        }
    }
}

static enum fb_status record(struct work *k, struct fb_ledger_page *page, struct fb_error *err)
{
    enum fb_ledger_recorded *recorded = fb_xcalloc(k->count + 1, sizeof *recorded);
    page->token = k->w->token;
    page->events = k->events;
    page->count = k->count;
    page->park_ids = (const char *const *)k->park_ids;
    page->park_texts = (const char *const *)k->park_texts;
    page->park_count = k->park_count;
    page->settled_ids = k->settled_ids;
    page->settled_count = k->settled_count;
    enum fb_status s = fb_ledger_record(k->w->redis, page, recorded, err);
    if (s == FB_OK) {
        count_events(k, recorded);
    }
    free(recorded);
    return s;
}

enum fb_status watch_apply(struct watch_round *w, const struct storage_events *page,
                           const char *stream, const char *old_position, struct fb_error *err)
{
    struct work k;
    enum fb_status s = FB_OK;
    work_init(&k, w, page->count);
    for (size_t i = 0; i < page->count && s == FB_OK; i++) {
        s = look_at(&k, &page->items[i], false, err);
    }
    if (s == FB_OK) {
        struct fb_ledger_page record_of = {
            .stream = stream, .old_position = old_position, .new_position = page->position};
        s = record(&k, &record_of, err);
    }
    work_deinit(&k);
    return s;
}

struct parked {
    const char *storage;
    struct storage_event *items;
    size_t count;
};

static bool take_parked(void *ctx, const char *id, const char *text)
{
    struct parked *list = ctx;
    list->count += unpark(list->storage, id, text, &list->items[list->count]);
    return list->count < PARKED_MAX;
}

/* One that cannot be done does not hold up the others. */
static enum fb_status apply_chunk(struct watch_round *w, const struct storage_event *items,
                                  size_t count, struct fb_error *err)
{
    struct work k;
    enum fb_status first = FB_OK;
    int failed = 0;
    work_init(&k, w, count);
    for (size_t i = 0; i < count && failed < MAX_FAILED; i++) {
        struct fb_error own = {0};
        enum fb_status s = look_at(&k, &items[i], true, &own);
        if (s != FB_OK && failed++ == 0) {
            first = s;
            *err = own;
        }
    }
    if (k.settled_count > 0) {
        struct fb_ledger_page page = {.stream = NULL};
        struct fb_error own = {0};
        enum fb_status s = record(&k, &page, &own);
        if (s != FB_OK) {
            first = s;
            *err = own;
        }
    }
    work_deinit(&k);
    return first;
}

enum fb_status watch_apply_parked(struct watch_round *w, struct fb_error *err)
{
    struct parked list = {.storage = w->name, .items = fb_xcalloc(PARKED_MAX, sizeof *list.items)};
    enum fb_status s = fb_ledger_parked(w->redis, SIZE_MAX, take_parked, &list, err);
    for (size_t at = 0; at < list.count && s == FB_OK; at += CHUNK) {
        size_t n = list.count - at < CHUNK ? list.count - at : CHUNK;
        s = apply_chunk(w, &list.items[at], n, err);
    }
    free(list.items);
    return s;
}
