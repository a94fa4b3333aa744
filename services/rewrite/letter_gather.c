/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/letter_gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/evidence_text.h"
#include "common/link.h"
#include "common/log.h"
#include "proto/limits.h"

/* So long after a recall an incomplete log is waited for; then its sender gets the last word. */
#define RECALL_WAIT_MS (24LL * 3600 * 1000)

void letter_release(struct letter *l)
{
    fb_ledger_message_deinit(&l->message);
    fb_recalls_free(l->recalls, l->recall_count);
    fb_parcel_deinit(&l->parcel);
    free(l->evidence);
    free(l->persons);
}

/* ---- the mail ---- */

/* Its manifest; one that is gone or broken leaves the letter without the files' names. */
static enum fb_status load_parcel(struct letter *l, uint32_t branch, struct fb_error *err)
{
    char parcel_id[FB_PARCEL_ID_SIZE];
    struct fb_buf bytes;
    struct fb_error own = {0};
    fb_parcel_id_make(l->job->msg_id, branch, parcel_id);
    fb_buf_init(&bytes, FB_MAX_PLAN);
    enum fb_status s = fb_spool_manifest_get(l->service->spool, parcel_id, &bytes, &own);
    if (s == FB_OK) {
        s = fb_parcel_decode(fb_slice_buf(&bytes), &l->parcel, &own);
        l->has_parcel = s == FB_OK;
    }
    fb_buf_deinit(&bytes);
    if (s != FB_OK && s != FB_NOT_FOUND) {
        fb_log(FB_WARN, "the manifest cannot be read, the letter says less: %s", own.text);
    }
    if (s != FB_OK && fb_status_class(s) == FB_CLASS_RETRY) {
        *err = own;
        return s;
    }
    return FB_OK;
}

/* Subject and language: sealed in the ledger, else in the manifest. */
static void read_title(struct letter *l)
{
    struct letter_facts *f = &l->facts;
    const char *key = l->service->config->rewrite.key;
    if (l->message.title != NULL &&
        fb_title_open(key, l->job->msg_id, l->message.title, &l->title) == FB_OK) {
        f->has_title = true;
    } else if (l->has_parcel && l->parcel.subject != NULL) {
        (void)snprintf(l->title.subject, sizeof l->title.subject, "%s", l->parcel.subject);
        (void)snprintf(l->title.language, sizeof l->title.language, "%s",
                       l->parcel.language != NULL ? l->parcel.language : "");
        f->has_title = true;
    }
    f->subject = l->title.subject;
    f->language = l->title.language[0] != '\0' ? l->title.language : "both";
}

/* The page works as long as there is something to see or to take back. */
static int64_t page_end(const struct letter *l)
{
    int64_t end = 0;
    int64_t open_end = l->message.accepted_ms + l->service->config->retention.ledger_ms;
    for (size_t i = 0; i < l->message.branch_count; i++) {
        const struct fb_ledger_branch *b = &l->message.branches[i];
        if (b->uploaded_ms > 0) {
            int64_t own = b->expires_ms > 0 ? b->expires_ms : open_end;
            end = own > end ? own : end;
        }
    }
    return end > 0 ? end : open_end;
}

static void make_page(struct letter *l)
{
    char link[FB_LINK_SIZE];
    const char *url = l->service->config->portal.public_url;
    l->facts.page = l->page;
    if (url == NULL || url[0] == '\0' || page_end(l) <= fb_now_ms() ||
        fb_link_make(l->service->config->rewrite.key, l->job->msg_id, page_end(l), link) != FB_OK) {
        return;
    }
    size_t len = strlen(url);
    len -= url[len - 1] == '/';
    int n = snprintf(l->page, sizeof l->page, "%.*s/s/%s", (int)len, url, link);
    if (n < 0 || (size_t)n >= sizeof l->page) {
        l->page[0] = '\0'; /* half a link helps nobody */
    }
}

static void set_parcel_facts(struct letter *l, const struct fb_ledger_branch *b)
{
    struct letter_facts *f = &l->facts;
    const struct fb_policy_rule *rule = fb_policy_find_rule(l->policy, b->rule);
    f->rule = b->rule;
    f->security = rule != NULL && rule->security != NULL ? rule->security->name : "";
    f->storage = b->storage;
    f->access = b->access;
    f->expires_ms = b->expires_ms;
    f->is_vault = b->is_vault;
    f->has_parcel = l->has_parcel;
    if (l->has_parcel) {
        f->files = l->parcel.files;
        f->file_count = l->parcel.file_count;
        f->can_download = l->parcel.can_download;
        bool is_there = l->parcel.password != NULL && l->parcel.password[0] != '\0';
        f->has_password = is_there || l->parcel.password_to_readers;
        f->password = is_there && l->parcel.password_to_sender ? l->parcel.password : "";
    }
}

static void add_person(struct letter *l, struct letter_person person)
{
    l->persons[l->facts.person_count++] = person;
}

static bool is_pending(const struct fb_ledger_recipient *r)
{
    return strcmp(r->grant_state, "pending") == 0;
}

static const struct fb_ledger_branch *branch_of(const struct letter *l)
{
    return l->job->branch < l->message.branch_count ? &l->message.branches[l->job->branch] : NULL;
}

/* For each recipient of the message: whether the journal has it in this kind. */
static enum fb_status ask_journal(struct letter *l, enum fb_sent_kind kind, bool *has_r,
                                  struct fb_error *err)
{
    size_t count = l->message.recipient_count;
    uint32_t *all = fb_xcalloc(count + 1, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i] = (uint32_t)i;
        has_r[i] = false;
    }
    enum fb_status s = count > 0 ? fb_journal_lookup(l->service->journal, l->job->msg_id, kind, all,
                                                     count, has_r, err)
                                 : FB_OK;
    free(all);
    return s;
}

/* ---- the four letters ---- */

static enum fb_status gather_receipt(struct letter *l, struct fb_error *err)
{
    const struct fb_ledger_branch *b = branch_of(l);
    if (b == NULL || strcmp(b->state, "sent") != 0) {
        return FB_OK;
    }
    /* Whoever was refused is in a delivery report already. */
    bool *is_refused = fb_xcalloc(l->message.recipient_count + 1, sizeof *is_refused);
    enum fb_status s = ask_journal(l, FB_SENT_REPORT, is_refused, err);
    for (size_t i = 0; i < l->message.recipient_count && s == FB_OK; i++) {
        const struct fb_ledger_recipient *r = &l->message.recipients[i];
        bool is_sent = strcmp(r->state, "sent") == 0 && r->is_claimed && !r->is_recalled;
        if (r->branch == l->job->branch && is_sent && !is_refused[i]) {
            add_person(l, (struct letter_person){.address = r->address,
                                                 .is_pending = is_pending(r),
                                                 .is_fallback = r->is_vault && !b->is_vault});
        }
    }
    set_parcel_facts(l, b);
    free(is_refused);
    return s;
}

static enum fb_status why_of(const char *reason)
{
    size_t len = strcspn(reason, "|");
    for (int s = FB_OK; s < FB_STATUS_COUNT; s++) {
        const char *name = fb_status_name((enum fb_status)s);
        if (strlen(name) == len && strncmp(name, reason, len) == 0) {
            return (enum fb_status)s;
        }
    }
    return FB_BUG;
}

/* Those of the branch, or all where there is no plan, who have nothing of it. */
static enum fb_status gather_held(struct letter *l, struct fb_error *err)
{
    const struct fb_ledger_branch *b = branch_of(l);
    if (b == NULL || !b->is_held) {
        return FB_OK; /* retried or decided meanwhile */
    }
    size_t count = l->message.recipient_count;
    bool has_plan = b->kind[0] != '\0';
    bool *is_out = fb_xcalloc(count + 1, sizeof *is_out);
    bool *is_told = fb_xcalloc(count + 1, sizeof *is_told);
    bool *is_plain = fb_xcalloc(count + 1, sizeof *is_plain);
    enum fb_status s = ask_journal(l, FB_SENT_NOTICE, is_out, err);
    s = s == FB_OK ? ask_journal(l, FB_SENT_PASS, is_plain, err) : s;
    s = s == FB_OK ? ask_journal(l, FB_SENT_REPORT, is_told, err) : s;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        const struct fb_ledger_recipient *r = &l->message.recipients[i];
        bool is_of_branch = !has_plan || r->branch == l->job->branch;
        if (is_of_branch && !r->is_recalled && !is_out[i] && !is_plain[i] && !is_told[i]) {
            add_person(
                l, (struct letter_person){.address = r->address, .is_maybe_out = r->is_claimed});
        }
    }
    l->facts.why = why_of(b->reason);
    l->facts.until_ms = l->job->first_ms + l->service->config->retention.dead_ms;
    free(is_plain);
    free(is_told);
    free(is_out);
    return s;
}

static enum fb_status load_evidence(struct letter *l, struct fb_error *err)
{
    return fb_ledger_evidence(l->redis, &l->message, l->service->config->revoke.settle_ms,
                              &l->evidence, err);
}

/* Of a link nobody can say who used it: once somebody did, it counts as opened. */
static bool is_unopened(const struct fb_evidence *e, const struct fb_ledger_branch *b)
{
    bool is_personal = !fb_ledger_is_by_link(b);
    bool is_accessed = e->previews > 0 || e->downloads > 0 || e->opened_ms > 0 ||
                       e->downloaded_ms > 0 || (e->by_others && !is_personal);
    return e->kind == FB_EV_OPEN && e->is_notice_out && !is_accessed;
}

static enum fb_status gather_unopened(struct letter *l, struct fb_error *err)
{
    const struct fb_ledger_branch *b = branch_of(l);
    if (b == NULL || strcmp(b->state, "sent") != 0) {
        return FB_OK;
    }
    enum fb_status s = load_evidence(l, err);
    for (size_t i = 0; i < l->message.recipient_count && s == FB_OK; i++) {
        const struct fb_ledger_recipient *r = &l->message.recipients[i];
        if (r->branch == l->job->branch && is_unopened(&l->evidence[i], b)) {
            add_person(l, (struct letter_person){.address = r->address,
                                                 .is_pending = l->evidence[i].is_pending});
            l->facts.log_until_ms = l->evidence[i].log_until_ms;
        }
    }
    set_parcel_facts(l, b);
    l->facts.since_ms = b->ended_ms > 0 ? b->ended_ms : b->uploaded_ms;
    l->facts.now_ms = fb_now_ms();
    return s;
}

static void add_recalled(struct letter *l, size_t recipient, bool *is_settled_all)
{
    struct fb_evidence *e = &l->evidence[recipient];
    *is_settled_all = *is_settled_all && fb_evidence_is_settled(e);
    add_person(l, (struct letter_person){.address = l->message.recipients[recipient].address,
                                         .evidence = e});
}

static const struct fb_recall *find_recall(const struct letter *l)
{
    for (size_t i = 0; i < l->recall_count; i++) {
        if (strcmp(l->recalls[i].id, l->job->recall_id) == 0) {
            return &l->recalls[i];
        }
    }
    return NULL;
}

static void list_recalled(struct letter *l, const struct fb_recall *recall)
{
    bool is_all_settled = recall->jobs_left == 0;
    if (recall->is_all) {
        for (size_t i = 0; i < l->message.recipient_count; i++) {
            add_recalled(l, i, &is_all_settled);
        }
    }
    for (size_t i = 0; i < recall->count; i++) {
        if (recall->recipients[i] < l->message.recipient_count &&
            l->facts.person_count < l->message.recipient_count) {
            add_recalled(l, recall->recipients[i], &is_all_settled);
        }
    }
    l->facts.is_given_up = !is_all_settled && fb_now_ms() >= recall->at_ms + RECALL_WAIT_MS;
    l->facts.is_final = is_all_settled || l->facts.is_given_up;
}

static enum fb_status gather_recall(struct letter *l, struct fb_error *err)
{
    enum fb_status s =
        fb_ledger_recalls(l->redis, l->job->msg_id, &l->recalls, &l->recall_count, err);
    const struct fb_recall *recall = s == FB_OK ? find_recall(l) : NULL;
    if (s != FB_OK || recall == NULL) {
        return s;
    }
    s = load_evidence(l, err);
    if (s != FB_OK) {
        return s;
    }
    list_recalled(l, recall);
    /* Whoever added the job has decided that a letter is due, and may have noted it already. */
    l->is_news = l->facts.is_final ? strcmp(recall->told, "final") != 0 : recall->told[0] == '\0';
    l->was_sent = l->facts.is_final ? strcmp(recall->sent, "final") == 0 : recall->sent[0] != '\0';
    l->is_early = !l->facts.is_final && strcmp(recall->told, "final") == 0;
    for (size_t i = 0; i < l->message.recipient_count && l->facts.is_given_up; i++) {
        l->evidence[i].complete_ms = 0; /* nobody looks again (evidence_text.h) */
    }
    l->facts.recalled_ms = recall->at_ms;
    l->facts.actor = recall->actor;
    l->facts.reason = recall->reason;
    return FB_OK;
}

/* ---- the whole ---- */

static enum fb_status gather_kind(struct letter *l, struct fb_error *err)
{
    switch (l->job->letter) {
    case FB_LETTER_RECEIPT:
        return gather_receipt(l, err);
    case FB_LETTER_HELD:
        return gather_held(l, err);
    case FB_LETTER_RECALL:
        return gather_recall(l, err);
    case FB_LETTER_UNOPENED:
        return gather_unopened(l, err);
    default:
        return fb_error_set(err, FB_BUG, "unknown letter %d", (int)l->job->letter);
    }
}

enum fb_status letter_gather(struct letter *l, bool *is_wanted_r, struct fb_error *err)
{
    *is_wanted_r = false;
    enum fb_status s = fb_ledger_get(l->redis, l->job->msg_id, &l->message, err);
    if (s != FB_OK || l->message.from == NULL || l->message.from[0] == '\0') {
        return s; /* the null sender gets nothing, as with a delivery report */
    }
    l->persons = fb_xcalloc(l->message.recipient_count + 1, sizeof *l->persons);
    l->facts = (struct letter_facts){.letter = l->job->letter,
                                     .policy = l->policy,
                                     .sender = l->message.from,
                                     .postmaster = l->service->config->rewrite.postmaster,
                                     .msg_id = l->job->msg_id,
                                     .accepted_ms = l->message.accepted_ms,
                                     .persons = l->persons,
                                     .page = "",
                                     .rule = "",
                                     .security = "",
                                     .storage = "",
                                     .access = "",
                                     .actor = "",
                                     .reason = ""};
    s = load_parcel(l, l->job->branch, err);
    if (s == FB_OK) {
        s = gather_kind(l, err);
    }
    if (s == FB_OK) {
        read_title(l);
        make_page(l);
        *is_wanted_r = l->facts.person_count > 0 && !l->was_sent;
    }
    return s;
}
