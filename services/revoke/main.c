/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-revoke: takes access away, or gives it back: recall of a message or of one recipient,
 * restore, expiry, purge. */
#include <curl/curl.h>
#include <stdlib.h>

#include "common/confine.h"
#include "common/service.h"
#include "services/revoke/handle.h"
#include "services/upload/away.h"

#define METRICS_PORT 9105

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct revoke_service *s = fb_xcalloc(1, sizeof *s);
    char name[FB_JOURNAL_WRITER];
    s->config = config;
    fb_journal_writer_name("revoke-", name);
    enum fb_status st = fb_spool_open(config->spool.url, config->spool.key_file, &s->spool, err);
    if (st == FB_OK) {
        st = fb_journal_open(s->spool, name, &s->journal, err);
    }
    if (st == FB_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        st = fb_error_set(err, FB_BUG, "libcurl cannot be initialised");
    }
    if (st == FB_OK) {
        st = fb_policy_follow_new(config, &s->policy, err);
    }
    if (st == FB_OK) {
        st = revoke_schedule_new(config, &s->schedule, err);
    }
    if (st != FB_OK) {
        fb_policy_follow_free(&s->policy);
        fb_journal_close(&s->journal);
        fb_spool_close(&s->spool);
        free(s);
        return st;
    }
    *ctx_r = s;
    return FB_OK;
}

static enum fb_status run(void *ctx, struct fb_error *err)
{
    struct revoke_service *s = ctx;
    storage_away_threads((int)s->config->revoke.concurrency);
    const struct fb_worker_config worker = {
        .stage = FB_STAGE_REVOKE,
        .threads = (int)s->config->revoke.concurrency,
        .heartbeat_ms = 10000,
        .max_deliveries = 10, /* access must go: more patience than with mail */
        .ctx = s,
        .thread_init = revoke_thread_init,
        .thread_deinit = revoke_thread_deinit,
        .handle = revoke_handle,
        .before_bury = revoke_before_bury,
    };
    return fb_worker_run(s->config, &worker, err);
}

static void deinit(void *ctx)
{
    struct revoke_service *s = ctx;
    revoke_schedule_free(&s->schedule);
    fb_policy_follow_free(&s->policy);
    fb_journal_close(&s->journal);
    fb_spool_close(&s->spool);
    curl_global_cleanup();
    free(s);
}

static const struct fb_counters counters[] = {
    {"fumibako_recalls_total", {{"outcome", "revoked|retry|failed"}}},
    {"fumibako_purges_total", {{"outcome", "deleted|refused"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "revoke",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_SPOOL | FB_USES_POLICY |
                                               FB_USES_NAMED_FILES | FB_USES_STORAGES |
                                               FB_USES_VAULT,
                                       .init = init,
                                       .run = run,
                                       .deinit = deinit};
    return fb_service_main(&service, argc, argv);
}
