/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/pending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/access.h"
#include "common/service.h"

#define BATCH    20 /* every five seconds: 240 calls a minute of the 850 that an account has */
#define AGAIN_MS (3600 * INT64_C(1000))

struct due {
    char parcel_id[FB_PARCEL_ID_SIZE];
    uint32_t recipient;
};

struct due_list {
    struct due items[BATCH];
    size_t count;
};

static bool take_due(void *ctx, const char *parcel_id, uint32_t recipient)
{
    struct due_list *list = ctx;
    struct due *d = &list->items[list->count++];
    (void)snprintf(d->parcel_id, sizeof d->parcel_id, "%s", parcel_id);
    d->recipient = recipient;
    return list->count < BATCH;
}

static enum fb_status record_acceptance(struct watch_round *w, const struct due *d,
                                        const struct fb_ledger_recipient *r,
                                        const struct storage_grant_state *state,
                                        struct fb_error *err)
{
    char text[FB_PARCEL_ID_SIZE + 128];
    uint8_t digest[FB_SHA256_SIZE];
    char id[2 * FB_SHA256_SIZE + 1];
    enum fb_ledger_recorded recorded = FB_EVENT_KNOWN;
    (void)snprintf(text, sizeof text, "accepted %s %s", d->parcel_id, r->grant_id);
    fb_sha256(text, strlen(text), digest);
    fb_hex(digest, sizeof digest, id);
    const struct fb_ledger_event e = {
        .id = id,
        .parcel_id = d->parcel_id,
        .kind = FB_EVENT_ACCEPTED,
        .recipient = d->recipient,
        .at_ms = fb_now_ms(),
        .actor = state->login,
        .user_id = state->user_id,
        .source = "collaboration",
    };
    const struct fb_ledger_page page = {.token = w->token, .events = &e, .count = 1};
    return fb_ledger_record(w->redis, &page, &recorded, err);
}

/* When it is asked about next; 0 = no more. */
static enum fb_status ask(struct watch_round *w, const struct due *d,
                          const struct fb_ledger_message *m, uint32_t branch, int64_t *next_r,
                          struct fb_error *err)
{
    struct storage_grant_state state = {0};
    *next_r = 0;
    if (d->recipient >= m->recipient_count || branch >= m->branch_count) {
        return FB_OK;
    }
    const struct fb_ledger_recipient *r = &m->recipients[d->recipient];
    bool is_pending = strcmp(r->grant_state, "pending") == 0;
    if (!is_pending && strcmp(r->grant_state, "active") != 0 &&
        strcmp(r->grant_state, "opened") != 0 && strcmp(r->grant_state, "downloaded") != 0) {
        return FB_OK; /* closed: nothing to learn */
    }
    enum fb_status s =
        w->storage->grant_state(w->session, m->branches[branch].user, r->grant_id, &state, err);
    if (s == FB_OK && state.two_step[0] != '\0') {
        s = fb_ledger_two_step_set(w->redis, d->parcel_id, d->recipient, state.two_step, err);
    }
    if (s == FB_OK && is_pending && !state.is_gone && !state.is_pending) {
        s = record_acceptance(w, d, r, &state, err);
    }
    *next_r = s == FB_OK && state.is_pending ? fb_now_ms() + AGAIN_MS : 0;
    return s;
}

static enum fb_status ask_one(struct watch_round *w, const struct due *d, struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    int64_t next_ms = 0;
    struct fb_ledger_message m = {0};
    enum fb_status s = fb_parcel_id_split(d->parcel_id, msg_id, &branch)
                           ? fb_ledger_get(w->redis, msg_id, &m, err)
                           : FB_NOT_FOUND;
    if (s == FB_OK) {
        s = ask(w, d, &m, branch, &next_ms, err);
        fb_ledger_message_deinit(&m);
    } else if (s == FB_NOT_FOUND) {
        s = FB_OK;
    }
    if (s != FB_OK && fb_status_class(s) != FB_CLASS_RETRY && s != FB_LOST) {
        /* This one cannot be asked about; it must not keep the others from their turn. */
        next_ms = fb_now_ms() + AGAIN_MS;
        s = FB_OK;
    }
    return s == FB_OK
               ? fb_ledger_pending_set(w->redis, w->name, d->parcel_id, d->recipient, next_ms, err)
               : s;
}

enum fb_status watch_ask_pending(struct watch_round *w, struct fb_error *err)
{
    struct due_list *list = fb_xcalloc(1, sizeof *list);
    enum fb_status s =
        fb_ledger_pending_due(w->redis, w->name, fb_now_ms(), BATCH, take_due, list, err);
    for (size_t i = 0; i < list->count && s == FB_OK && !fb_service_stopping(); i++) {
        s = ask_one(w, &list->items[i], err);
    }
    free(list);
    return s;
}
