/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/notices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/ledger.h"
#include "common/link.h"
#include "common/spool/records.h"

#define LINK_SIZE 1100 /* portal.public_url is shorter than 1,000 */

/* One run: what is the same for all mails, and whose turn it is. */
struct sending {
    struct delivery *d;
    struct notice_facts facts;
    const struct fb_parcel_grant **grants; /* by target; NULL where there is none */
    const char **readers;                  /* those in To and Cc, with room for one more */
    size_t reader_count;
    bool *wants;          /* by target */
    char link[LINK_SIZE]; /* of the recipient at hand */
};

bool notices_have_link(const struct fb_parcel *parcel)
{
    return (parcel->link != NULL && parcel->link[0] != '\0') || fb_parcel_has_secret(parcel);
}

enum fb_status notices_ask_recalled(struct delivery *d, bool *is_recalled, struct fb_error *err)
{
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    for (size_t i = 0; i < d->target_count; i++) {
        indices[i] = d->targets[i].index;
    }
    enum fb_status s = fb_ledger_recalled(d->redis, d->claim->job.msg_id, indices, d->target_count,
                                          is_recalled, err);
    free(indices);
    return s;
}

static const char *address_of(const struct delivery *d, size_t target)
{
    return d->envelope.recipients[d->targets[target].index].address;
}

/* ---- links ---- */

static bool has_own_link(const struct sending *s, size_t target)
{
    return s->grants[target] != NULL && s->grants[target]->has_secret;
}

/* Lists by recipient once: parcels have thousands. */
static void find_grants(struct sending *s)
{
    const struct delivery *d = s->d;
    const struct fb_parcel_grant **by_index =
        fb_xcalloc(d->envelope.recipient_count + 1, sizeof *by_index);
    for (uint32_t i = 0; i < d->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &d->parcel.grants[i];
        if (g->recipient < d->envelope.recipient_count) {
            by_index[g->recipient] = g;
        }
    }
    for (size_t i = 0; i < d->target_count; i++) {
        s->grants[i] = by_index[d->targets[i].index];
    }
    free(by_index);
}

/* The target's own link, or the parcel's. */
static enum fb_status use_link(struct sending *s, size_t target, struct fb_error *err)
{
    const struct delivery *d = s->d;
    const struct fb_parcel *p = &d->parcel;
    s->facts.is_vault = has_own_link(s, target);
    s->facts.link = p->link != NULL ? p->link : "";
    s->facts.storage = p->storage;
    if (!s->facts.is_vault) {
        /* Recalled when upload granted, and given back since: it has to grant again. */
        return s->facts.link[0] != '\0'
                   ? FB_OK
                   : fb_error_set(err, FB_CORRUPT, "a recipient of the parcel has no link");
    }
    const struct fb_parcel_grant *g = s->grants[target];
    const char *url = d->service->config->portal.public_url;
    char text[FB_READER_LINK_SIZE];
    if (url == NULL || url[0] == '\0') {
        return fb_error_set(err, FB_CONFIG,
                            "portal.public_url is not set, and the links of the vault begin with "
                            "it; set it to the portal's address as readers reach it");
    }
    if (fb_reader_link_make(p->parcel_id, g->recipient, g->secret, text) != FB_OK) {
        return fb_error_set(err, FB_BUG, "a link of parcel %s cannot be made", p->parcel_id);
    }
    size_t len = strlen(url);
    len -= url[len - 1] == '/';
    int n = snprintf(s->link, sizeof s->link, "%.*s/r/%s", (int)len, url, text);
    fb_wipe(text, sizeof text);
    s->facts.link = s->link;
    s->facts.storage = g->storage != NULL ? g->storage : p->storage;
    return n > 0 && (size_t)n < sizeof s->link
               ? FB_OK
               : fb_error_set(err, FB_CONFIG, "portal.public_url is too long");
}

/* ---- notices ---- */

/* One mail to those that wants says. */
static enum fb_status send_one(struct sending *s, struct fb_error *err)
{
    struct delivery *d = s->d;
    struct content content;
    content_init(&content, d->msg);
    enum fb_status st = compose_notice(d->msg, d->service->config->rewrite.key, &s->facts,
                                       d->branch_number, &content, err);
    if (st == FB_OK) {
        st = deliver(d, &content, FB_SENT_NOTICE, s->wants, err);
    }
    content_deinit(&content);
    return st;
}

/* The mail of one target alone.  Who is in neither To nor Cc is a reader in it, too. */
static enum fb_status send_own(struct sending *s, size_t target, struct fb_error *err)
{
    const struct delivery *d = s->d;
    enum fb_status st = use_link(s, target, err);
    if (st != FB_OK) {
        return st;
    }
    memset(s->wants, 0, d->target_count * sizeof *s->wants);
    s->wants[target] = true;
    s->readers[s->reader_count] = address_of(d, target);
    s->facts.reader_count = s->reader_count + (d->targets[target].is_visible ? 0 : 1);
    s->facts.recipient = address_of(d, target);
    return send_one(s, err);
}

static enum fb_status send_shared(struct sending *s, struct fb_error *err)
{
    const struct delivery *d = s->d;
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < d->target_count; i++) {
        const struct target *t = &d->targets[i];
        s->wants[i] = t->state == TARGET_OPEN && t->is_visible && !has_own_link(s, i);
        first = s->wants[i] && first == SIZE_MAX ? i : first;
    }
    if (first == SIZE_MAX) {
        return FB_OK;
    }
    s->facts.recipient = NULL;
    s->facts.reader_count = s->reader_count;
    enum fb_status st = use_link(s, first, err);
    return st == FB_OK ? send_one(s, err) : st;
}

static enum fb_status send_notices(struct sending *s, struct fb_error *err)
{
    const struct delivery *d = s->d;
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].is_visible && d->targets[i].state != TARGET_RECALLED) {
            s->readers[s->reader_count++] = address_of(d, i);
        }
    }
    s->facts.readers = s->readers;
    enum fb_status st = send_shared(s, err);
    for (size_t i = 0; i < d->target_count && st == FB_OK; i++) {
        bool is_alone = !d->targets[i].is_visible || has_own_link(s, i);
        if (d->targets[i].state == TARGET_OPEN && is_alone) {
            st = send_own(s, i, err);
        }
    }
    return st;
}

/* ---- passwords ---- */

static enum fb_status send_password_to(struct sending *s, size_t target, struct fb_error *err)
{
    struct delivery *d = s->d;
    struct content content;
    enum fb_status st = use_link(s, target, err);
    if (st != FB_OK) {
        return st;
    }
    content_init(&content, d->msg);
    s->facts.recipient = address_of(d, target);
    st = compose_password(d->msg, d->service->config->rewrite.key, &s->facts, d->branch_number,
                          d->service->config->rewrite.postmaster, &content, err);
    if (st == FB_OK) {
        st = deliver_password(d, &content, target, err);
    }
    content_deinit(&content);
    return st;
}

/* Who has the notice and not yet the password; whoever was recalled since needs none. */
static enum fb_status find_waiting(struct delivery *d, bool *waits, struct fb_error *err)
{
    enum fb_status s = notices_ask_recalled(d, waits, err);
    for (size_t i = 0; i < d->target_count && s == FB_OK; i++) {
        bool has_it = true;
        if (d->targets[i].state == TARGET_SENT && !waits[i]) {
            s = fb_journal_lookup(d->service->journal, d->claim->job.msg_id, FB_SENT_PASSWORD,
                                  &d->targets[i].index, 1, &has_it, err);
        }
        waits[i] = !has_it;
    }
    return s;
}

static enum fb_status send_passwords(struct sending *s, struct fb_error *err)
{
    struct delivery *d = s->d;
    bool *waits = fb_xcalloc(d->target_count + 1, sizeof *waits);
    enum fb_status st = find_waiting(d, waits, err);
    for (size_t i = 0; i < d->target_count; i++) {
        if (waits[i] && st == FB_OK) {
            st = send_password_to(s, i, err);
        }
        if (waits[i] && st != FB_OK) {
            d->targets[i].state =
                TARGET_PUT_OFF; /* if it stays so until the end, the sender must know */
        }
    }
    free(waits);
    return st;
}

static bool needs_password_mails(const struct fb_parcel *p)
{
    return p->password != NULL && p->password[0] != '\0' && !p->password_to_sender;
}

/* ---- the whole ---- */

static enum fb_status send_all(struct delivery *d, const struct fb_policy *policy,
                               struct fb_error *err)
{
    struct sending s = {
        .d = d,
        .facts = {.policy = policy,
                  .plan = &d->plan,
                  .branch = d->branch,
                  .parcel = &d->parcel,
                  .envelope = &d->envelope,
                  .link = "",
                  .storage = ""},
        .grants = fb_xcalloc(d->target_count + 1, sizeof *s.grants),
        .readers = fb_xcalloc(d->target_count + 1, sizeof *s.readers),
        .wants = fb_xcalloc(d->target_count + 1, sizeof *s.wants),
    };
    find_grants(&s);
    enum fb_status st = send_notices(&s, err);
    if (st == FB_OK && needs_password_mails(&d->parcel)) {
        st = send_passwords(&s, err);
    }
    fb_wipe(s.link, sizeof s.link);
    free(s.wants);
    free(s.readers);
    free(s.grants);
    return st;
}

enum fb_status notices_send(struct delivery *d, struct fb_error *err)
{
    bool is_any = deliver_count(d, TARGET_OPEN) > 0;
    if (!is_any && (!d->has_parcel || deliver_count(d, TARGET_SENT) == 0)) {
        return FB_OK; /* all recalled */
    }
    if (!d->has_parcel) { /* restored since we looked */
        return fb_error_set(err, FB_CORRUPT, "the parcel was not made");
    }
    struct fb_policy *policy = NULL;
    enum fb_status s = fb_spool_policy_load(d->msg, &d->plan, d->service->policy, &policy, err);
    if (s == FB_OK) {
        s = send_all(d, policy, err);
    }
    fb_policy_unref(&policy);
    return s;
}
