/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/code.h"
#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/proof_code.h"
#include "proto/limits.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/letter.h"

/* All of one job. */
struct work {
    struct rewrite_service *service;
    struct fb_redis *redis;
    const struct fb_job *job;
    struct fb_ledger_code code;
    char plain[FB_PROOF_CODE_SIZE];
    struct fb_parcel parcel;          /* its manifest, as far as there is one */
    struct fb_ledger_message message; /* else what the ledger knows */
};

/* Whose mail it is.  Neither need be there: a vault outlives Redis and spool. */
static enum fb_status find_mail(struct work *w, struct fb_error *err)
{
    char parcel_id[FB_PARCEL_ID_SIZE];
    struct fb_buf bytes;
    struct fb_error own = {0};
    fb_parcel_id_make(w->job->msg_id, w->job->branch, parcel_id);
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    enum fb_status s = fb_spool_manifest_get(w->service->spool, parcel_id, &bytes, &own);
    if (s == FB_OK) {
        s = fb_parcel_decode(fb_slice_buf(&bytes), &w->parcel, &own);
    }
    fb_buf_deinit(&bytes);
    if (s == FB_OK && w->parcel.from != NULL) {
        return FB_OK;
    }
    s = fb_ledger_get(w->redis, w->job->msg_id, &w->message, err);
    return s == FB_NOT_FOUND ? FB_OK : s;
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

static enum fb_status send_code(struct work *w, const struct fb_policy *policy,
                                struct smtp_client *client, struct fb_error *err)
{
    const struct fb_config *config = w->service->config;
    const char *language = text_of(w->parcel.language);
    struct content content;
    bool has_manifest = w->parcel.from != NULL;
    const struct code_facts facts = {
        .policy = policy,
        .language = language[0] != '\0' ? language : "both",
        .code = w->plain,
        .to = w->code.to,
        .sender = text_of(has_manifest ? w->parcel.from : w->message.from),
        .postmaster = config->rewrite.postmaster,
        .msg_id = w->job->msg_id,
        .sent_ms = has_manifest ? w->parcel.accepted_ms : w->message.accepted_ms,
        .minutes = (w->code.until_ms - fb_now_ms() + 59999) / 60000};
    content_init(&content, NULL); /* nothing of the mail is in it */
    enum fb_status s = compose_code(&facts, w->job, config->rewrite.key, &content, err);
    if (s == FB_OK) {
        s = letter_hand_over(w->code.to, fb_letter_name(FB_LETTER_CODE), client, &content, err);
    }
    content_deinit(&content);
    return s;
}

static enum fb_status work_on(struct work *w, struct smtp_client *client, struct fb_error *err)
{
    char parcel_id[FB_PARCEL_ID_SIZE];
    struct fb_policy *policy = fb_policy_follow_get(w->service->policy);
    if (policy == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known; apply one with `fumibako policy apply`");
    }
    fb_parcel_id_make(w->job->msg_id, w->job->branch, parcel_id);
    enum fb_status s = fb_proof_code_open(w->service->config->rewrite.key, parcel_id,
                                          w->job->reader, w->code.sealed, w->plain);
    if (s != FB_OK) {
        s = fb_error_set(err, s,
                         "a code cannot be opened: portal and rewrite need the same rewrite.key");
    } else if (!fb_address_is_writable(w->code.to)) {
        s = fb_error_set(err, FB_INVALID, "the reader's address cannot be written to");
    }
    if (s == FB_OK) {
        s = find_mail(w, err);
    }
    if (s == FB_OK) {
        s = send_code(w, policy, client, err);
    }
    fb_policy_unref(&policy);
    return s;
}

void code_handle(struct rewrite_service *service, void *thread, struct fb_redis *redis,
                 const struct fb_claim *claim, struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct work w = {.service = service, .redis = redis, .job = &claim->job};
    const char *name = fb_letter_name(FB_LETTER_CODE);
    enum fb_status s = fb_ledger_code_get(redis, w.job, fb_now_ms(), &w.code, &err);
    out->kind = FB_OUTCOME_FINISH;
    if (s == FB_NOT_FOUND) {
        letter_count(name, "not needed");
    } else {
        s = s == FB_OK ? work_on(&w, thread, &err) : s;
        if (s != FB_OK && fb_status_class(s) == FB_CLASS_RETRY) {
            out->kind = FB_OUTCOME_RETRY;
            out->reason = err;
        } else if (s == FB_LOST) {
            out->kind = FB_OUTCOME_DROP;
        } else if (s != FB_OK) {
            letter_count(name, "failed");
            fb_log(FB_ERROR, "a code cannot be mailed to its reader: %s", err.text);
        }
    }
    fb_wipe(w.plain, sizeof w.plain);
    fb_parcel_deinit(&w.parcel);
    fb_ledger_message_deinit(&w.message);
}
