/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger_mails URL COUNT KEY: brings mails from their acceptance to their end, each to two recipients and with one
 * parcel, by the calls that the services make, in a shard of a Redis that nobody else uses; prints the last one's id.
 * tests/integration/redis/ledger.test.mjs measures what they leave, and compares it with tests/support/ledger.mjs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/queue/queue.h"
#include "common/queue/worker.h"

#define TTL_MS   (INT64_C(400) * 86400 * 1000)
#define LIFE_MS  (INT64_C(30) * 86400 * 1000)
#define CONSUMER "some-host-4711-1"

static void must(enum fb_status s, const struct fb_error *err, const char *what)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "ledger_mails: %s: %s\n", what, err->text);
        exit(1);
    }
}

struct mail {
    struct fb_job job;
    struct fb_envelope envelope;
    struct fb_recipient recipients[2];
    struct fb_plan plan;
    struct fb_branch branch;
    uint32_t indices[2];
    char from[64], to[2][64], folder[24], grants[2][24];
};

static void make(struct mail *m, unsigned n)
{
    static char rule[] = "secure outbound", storage[] = "box", security[] = "recipients only";
    static char subject[] = "【ご確認】11月度のお見積書をお送りします", language[] = "ja";
    memset(m, 0, sizeof *m);
    m->job.stage = FB_STAGE_RENDER;
    m->job.first_ms = fb_now_ms();
    fb_id_new(m->job.msg_id);
    fb_trace_new(m->job.trace);
    (void)snprintf(m->job.spool_ref, sizeof m->job.spool_ref, "file:/spool/%s", m->job.msg_id);
    (void)snprintf(m->from, sizeof m->from, "employee.%u@example.co.jp", n % 100);
    (void)snprintf(m->folder, sizeof m->folder, "%" PRIu64, UINT64_C(397654321098) + n);
    for (unsigned i = 0; i < 2; i++) {
        unsigned who = (n * 7 + i * 31) % 400;
        (void)snprintf(m->to[i], sizeof m->to[i], "recipient-%u@customer-%u.example.com", who,
                       who % 97);
        (void)snprintf(m->grants[i], sizeof m->grants[i], "55667788%u%u", n % 100, i);
        m->recipients[i].address = m->to[i];
        m->indices[i] = i;
    }
    m->envelope.reverse_path = m->from;
    m->envelope.recipients = m->recipients;
    m->envelope.recipient_count = 2;
    memcpy(m->plan.msg_id, m->job.msg_id, sizeof m->plan.msg_id);
    m->plan.subject = subject;
    m->plan.language = language;
    m->plan.branches = &m->branch;
    m->plan.branch_count = 1;
    m->branch.kind = FB_BRANCH_SECURE;
    m->branch.rule = rule;
    m->branch.storage = storage;
    m->branch.security = security;
    m->branch.recipients = m->indices;
    m->branch.recipient_count = 2;
}

static struct fb_claim take(struct fb_redis *r, enum fb_stage stage)
{
    struct fb_claim claim;
    struct fb_error err = {.status = FB_OK};
    size_t count = 0;
    must(fb_queue_read(r, stage, 0, CONSUMER, 1, 1000, &claim, &count, &err), &err, "a job");
    must(count == 1 ? FB_OK : fb_error_set(&err, FB_NOT_FOUND, "there is none"), &err, "a job");
    return claim;
}

static void upload(struct fb_redis *r, const struct mail *m, struct fb_ops *ops)
{
    char storage[] = "box", user[] = "12345678901", access[] = "recipients", active[] = "active";
    struct fb_parcel_grant grants[2];
    struct fb_parcel parcel = {.storage = storage,
                               .user = user,
                               .folder_id = (char *)(uintptr_t)m->folder,
                               .access = access,
                               .expires_ms = fb_now_ms() + LIFE_MS,
                               .sends_receipt = true,
                               .grants = grants,
                               .grant_count = 2};
    fb_parcel_id_make(m->job.msg_id, 0, parcel.parcel_id);
    for (uint32_t i = 0; i < 2; i++) {
        grants[i] = (struct fb_parcel_grant){
            .recipient = i, .grant_id = (char *)(uintptr_t)m->grants[i], .state = active};
    }
    fb_ledger_uploaded(r, ops, &m->plan, 0, &parcel, TTL_MS);
}

static void walk(struct fb_redis *r, struct mail *m, const char *key)
{
    struct fb_error err = {.status = FB_OK};
    struct fb_job next;
    enum fb_status is_in = FB_BUG;
    bool may[2] = {false, false};
    bool is_last = false;
    struct fb_ops *ops[4];
    for (size_t i = 0; i < 4; i++) {
        ops[i] = fb_ops_new();
    }
    fb_ledger_accepted(r, ops[0], &m->job, &m->envelope, 48213, TTL_MS);
    const struct fb_ops *list[1] = {ops[0]};
    must(fb_queue_enqueue(r, &m->job, list, 1, &is_in, &err), &err, "enqueue");
    must(is_in, &err, "enqueue");
    struct fb_claim claim = take(r, FB_STAGE_RENDER);
    fb_ledger_planned(r, ops[1], &m->plan, key);
    fb_job_follow(&claim, FB_STAGE_UPLOAD, 0, &next);
    must(fb_queue_advance(r, CONSUMER, &claim, &next, 1, ops[1], &err), &err, "render's advance");
    claim = take(r, FB_STAGE_UPLOAD);
    upload(r, m, ops[2]);
    fb_job_follow(&claim, FB_STAGE_REWRITE, 0, &next);
    must(fb_queue_advance(r, CONSUMER, &claim, &next, 1, ops[2], &err), &err, "upload's advance");
    claim = take(r, FB_STAGE_REWRITE);
    must(fb_ledger_claim_sending(r, CONSUMER, &claim, m->indices, 2, may, &err), &err, "claim");
    fb_ledger_sent(r, ops[3], m->job.msg_id, 0, "sent");
    must(fb_queue_finish(r, CONSUMER, &claim, ops[3], &is_last, &err), &err, "finish");
    for (size_t i = 0; i < 4; i++) {
        fb_ops_free(&ops[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: ledger_mails URL COUNT KEY\n");
        return 2;
    }
    struct fb_config config = {.redis = {.url = argv[1], .shards = 1}};
    struct fb_redis *r = NULL;
    struct fb_error err = {.status = FB_OK};
    struct mail m;
    unsigned count = (unsigned)strtoul(argv[2], NULL, 10);
    must(fb_redis_new(&config, 5000, &r, &err), &err, "Redis");
    must(fb_queue_prepare(r, &err), &err, "Redis");
    for (unsigned n = 0; n < count; n++) {
        make(&m, n);
        walk(r, &m, argv[3]);
    }
    (void)printf("%s\n", count > 0 ? m.job.msg_id : "");
    fb_redis_free(&r);
    return 0;
}
