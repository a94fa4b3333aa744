/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of reading is what makes the statements true: first how far the events were read, then
 * what they told.  The other way round an access that was recorded in between would be missing from
 * a log that claims to be complete.
 */
#include "common/ledger/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"

static const char *const kind_names[] = {
    [FB_EV_STOPPED] = "stopped", [FB_EV_MAYBE_OUT] = "maybe_out", [FB_EV_PLAIN] = "plain",
    [FB_EV_REFUSED] = "refused", [FB_EV_WAITING] = "waiting",     [FB_EV_OPEN] = "open",
    [FB_EV_CLOSING] = "closing", [FB_EV_FAILED] = "failed",       [FB_EV_CLOSED] = "closed",
    [FB_EV_ENDED] = "ended",
};

const char *fb_evidence_kind_name(enum fb_evidence_kind kind)
{
    return kind_names[kind];
}

bool fb_evidence_is_settled(const struct fb_evidence *e)
{
    return e->is_final || e->kind == FB_EV_OPEN || e->kind == FB_EV_WAITING;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* One recipient while its kind is found. */
struct view {
    const struct fb_ledger_recipient *r;
    const struct fb_ledger_branch *b; /* NULL: nothing is planned, or a rebuilt ledger lost it */
    bool has_plan, has_failed;
    bool was_seen;   /* an access by this recipient is recorded */
    bool is_refused; /* for certain: nothing went out */
    bool has_ended;  /* the grant was taken away */
    bool has_access; /* the grant stands */
};

static bool is_branch_over(const struct fb_ledger_branch *b)
{
    return is(b->state, "sent") || is(b->state, "refused") || is(b->state, "recalled") ||
           b->is_held;
}

/* Sent as it came: no parcel can be taken back from it. */
static bool is_plain(const struct view *v)
{
    return v->b != NULL &&
           (is(v->b->forced, "deliver") || (is(v->b->kind, "pass") && !is(v->b->forced, "reject")));
}

static enum fb_evidence_kind kind_of_plain(const struct view *v)
{
    if (v->is_refused) {
        return FB_EV_REFUSED;
    }
    if (v->r->is_claimed) {
        return is(v->r->state, "sent") ? FB_EV_PLAIN : FB_EV_MAYBE_OUT;
    }
    if (is(v->r->state, "recalled")) {
        return FB_EV_STOPPED;
    }
    return is(v->r->state, "sent") ? FB_EV_PLAIN : FB_EV_WAITING;
}

/* What never reached anybody, though a grant was made for a moment. */
static bool is_stopped(const struct view *v)
{
    return !v->r->is_claimed && v->r->is_recalled && !v->was_seen;
}

static enum fb_evidence_kind kind_of_ended(const struct view *v)
{
    bool is_recall = is(v->r->grant_state, "recalled") ||
                     (is(v->r->grant_state, "purged") && v->r->is_recalled &&
                      v->r->grant_ms >= v->r->recalled_ms);
    if (is_recall) {
        return is_stopped(v) ? FB_EV_STOPPED : FB_EV_CLOSED;
    }
    return FB_EV_ENDED;
}

static enum fb_evidence_kind kind_of_access(const struct view *v)
{
    if (v->r->is_recalled) {
        return v->has_failed ? FB_EV_FAILED : FB_EV_CLOSING;
    }
    return is(v->r->state, "waiting") ? FB_EV_WAITING : FB_EV_OPEN;
}

static enum fb_evidence_kind kind_of_none(const struct view *v)
{
    bool is_rejected = v->b != NULL && (is(v->b->kind, "reject") || is(v->b->forced, "reject"));
    if (v->is_refused || is_rejected) {
        return FB_EV_REFUSED;
    }
    if (v->r->is_claimed || is(v->r->state, "sent")) {
        return FB_EV_MAYBE_OUT;
    }
    if (is(v->r->state, "recalled")) {
        return FB_EV_STOPPED;
    }
    /* Rebuilt, and nothing is left of this recipient: it may have had its mail. */
    return v->b == NULL && v->has_plan ? FB_EV_MAYBE_OUT : FB_EV_WAITING;
}

static enum fb_evidence_kind find_kind(const struct view *v)
{
    bool is_out_plain = is_plain(v) && (v->r->is_claimed || v->r->grant_state[0] == '\0');
    if (is_out_plain) {
        return kind_of_plain(v);
    }
    return v->has_ended ? kind_of_ended(v) : v->has_access ? kind_of_access(v) : kind_of_none(v);
}

/* Where there was an access: its end, and the events until then.  Else: nothing can go out or be
 * granted any more. */
static bool is_final(const struct view *v, const struct fb_evidence *e)
{
    bool is_over = v->b == NULL || is_branch_over(v->b);
    switch (e->kind) {
    case FB_EV_CLOSED:
    case FB_EV_ENDED:
        return e->log_until_ms > 0 && e->log_until_ms >= e->complete_ms;
    case FB_EV_STOPPED:
        if (e->removed_ms > 0) {
            return e->log_until_ms > 0 && e->log_until_ms >= e->complete_ms;
        }
        /* An upload that is under way may just be granting. */
        return is_over || !is(v->b->kind, "secure") || v->b->uploaded_ms > 0;
    case FB_EV_REFUSED:
    case FB_EV_MAYBE_OUT:
        return is_over;
    case FB_EV_PLAIN:
        return true;
    case FB_EV_WAITING:
    case FB_EV_OPEN:
    case FB_EV_CLOSING:
    case FB_EV_FAILED:
    default:
        return false;
    }
}

static void conclude(const struct fb_ledger_message *m, bool has_failed, int64_t settle_ms,
                     struct fb_evidence *e)
{
    const struct fb_ledger_recipient *r = &m->recipients[e->recipient];
    struct view v = {.r = r, .has_plan = m->branch_count > 0, .has_failed = has_failed};
    v.b = r->branch < m->branch_count ? &m->branches[r->branch] : NULL;
    v.was_seen = e->previews > 0 || e->downloads > 0;
    /* One that was tried before and recalled since may be out, though others of its branch were
     * refused. */
    v.is_refused = is(r->state, "refused") && !(r->is_claimed && r->is_recalled);
    v.has_ended = is(r->grant_state, "recalled") || is(r->grant_state, "expired") ||
                  is(r->grant_state, "purged");
    v.has_access = r->grant_state[0] != '\0' && !v.has_ended;
    e->kind = find_kind(&v);
    e->is_notice_out =
        (r->is_claimed && !v.is_refused) || e->kind == FB_EV_PLAIN || e->kind == FB_EV_MAYBE_OUT;
    e->is_pending = is(r->grant_state, "pending");
    e->removed_ms = v.has_ended ? r->grant_ms : 0;
    /* A vault's access is written down before anything is given out, and not behind a recall. */
    e->complete_ms = e->removed_ms > 0 ? e->removed_ms + (r->is_vault ? 0 : settle_ms) : 0;
    e->is_final = is_final(&v, e);
}

/* ---- what the storage told ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

struct others {
    uint64_t count;
    int64_t first_ms;
};

/* "n:<i>:preview", "n:<i>:download", "o:<i>", "l:<i>"; x in place of i: somebody else. */
static void read_access(struct fb_slice name, struct fb_slice value, struct fb_evidence *list,
                        size_t count, struct others *others)
{
    uint32_t at = 0;
    int64_t n = fb_slice_int(value);
    if (fb_ledger_indexed(name, "n:", ":preview", count, &at)) {
        list[at].previews = (uint64_t)n;
    } else if (fb_ledger_indexed(name, "n:", ":download", count, &at)) {
        list[at].downloads = (uint64_t)n;
    } else if (fb_ledger_indexed(name, "o:", "", count, &at)) {
        list[at].opened_ms = n;
    } else if (fb_ledger_indexed(name, "l:", "", count, &at)) {
        list[at].downloaded_ms = n;
    } else if (fb_slice_eq_str(name, "n:x:preview") || fb_slice_eq_str(name, "n:x:download")) {
        others->count += (uint64_t)n;
    } else if (fb_slice_eq_str(name, "o:x") || fb_slice_eq_str(name, "l:x")) {
        others->first_ms = earlier(others->first_ms, n);
    }
}

static enum fb_status read_branch(struct fb_redis *r, const struct fb_ledger_message *m,
                                  uint32_t branch, struct fb_evidence *list, struct fb_error *err)
{
    static const char *const kinds[] = {"w", "g"}; /* w: of older programs */
    const struct fb_ledger_branch *b = &m->branches[branch];
    int64_t seen = 0;
    int64_t from = 0;
    int64_t now = fb_now_ms(); /* before what was recorded is read */
    struct others others = {.count = 0};
    enum fb_status s = fb_ledger_seen_range(r, b->storage, b->user, &from, &seen, err);
    for (size_t k = 0; k < 2 && s == FB_OK; k++) {
        char key[FB_KEY_SIZE];
        redisReply *hash = NULL;
        fb_key(key, fb_redis_shard(r, m->msg_id), "%s:%s", kinds[k], b->parcel_id);
        s = fb_redis_call(r, &hash, err, "HGETALL", key, NULL);
        for (size_t i = 0; s == FB_OK && i + 1 < hash->elements; i += 2) {
            read_access(fb_reply_slice(hash->element[i]), fb_reply_slice(hash->element[i + 1]),
                        list, m->recipient_count, &others);
        }
        if (s == FB_OK) {
            freeReplyObject(hash);
        }
    }
    if (s != FB_OK) {
        return s;
    }
    /* Until the parcel was known its events were put by: no word of what was read before. */
    if (seen < b->uploaded_ms && m->accepted_ms > 0 && m->accepted_ms < seen) {
        seen = m->accepted_ms;
    }
    from = from > m->accepted_ms ? from : 0; /* a gap before the mail is none */
    int64_t rebuilt_from =
        b->rebuilt_ms > FB_EVENTS_KEPT_MS ? b->rebuilt_ms - FB_EVENTS_KEPT_MS : 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        bool is_vault = m->recipients[i].is_vault;
        if (m->recipients[i].branch == branch && is_vault) {
            list[i].log_until_ms =
                now > m->recipients[i].grant_ms ? now : m->recipients[i].grant_ms;
            list[i].log_from_ms = b->rebuilt_ms; /* nobody tells it again */
        } else if (m->recipients[i].branch == branch) {
            list[i].log_until_ms = seen;
            list[i].by_others = others.count > 0;
            list[i].others_ms = others.first_ms;
            list[i].log_from_ms = from > rebuilt_from ? from : rebuilt_from;
        }
    }
    return FB_OK;
}

enum fb_status fb_ledger_evidence(struct fb_redis *r, const struct fb_ledger_message *m,
                                  int64_t settle_ms, struct fb_evidence **list_r,
                                  struct fb_error *err)
{
    struct fb_evidence *list = fb_xcalloc(m->recipient_count + 1, sizeof *list);
    bool *failed = fb_xcalloc(m->recipient_count + 1, sizeof *failed);
    enum fb_status s = fb_ledger_recall_failures(r, m, failed, err);
    for (uint32_t b = 0; s == FB_OK && b < m->branch_count; b++) {
        if (m->branches[b].uploaded_ms > 0 && m->branches[b].parcel_id[0] != '\0') {
            s = read_branch(r, m, b, list, err);
        }
    }
    for (uint32_t i = 0; s == FB_OK && i < m->recipient_count; i++) {
        list[i].recipient = i;
        list[i].address = m->recipients[i].address;
        conclude(m, failed[i], settle_ms, &list[i]);
    }
    free(failed);
    if (s == FB_OK) {
        *list_r = list;
    } else {
        free(list);
    }
    return s;
}
