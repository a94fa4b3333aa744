/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-upload: puts a parcel's files into its storage and opens it to the recipients. */
#include <curl/curl.h>
#include <stdlib.h>

#include "common/confine.h"
#include "common/service.h"
#include "services/upload/away.h"
#include "services/upload/handle.h"
#include "services/upload/inspect.h"

#define METRICS_PORT 9103

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct upload_service *s = fb_xcalloc(1, sizeof *s);
    s->config = config;
    enum fb_status st = fb_spool_open(config->spool.url, config->spool.key_file, &s->spool, err);
    if (st == FB_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        st = fb_error_set(err, FB_BUG, "libcurl cannot be initialised");
    }
    if (st == FB_OK) {
        st = fb_policy_follow_new(config, &s->policy, err);
    }
    if (st != FB_OK) {
        fb_spool_close(&s->spool);
        free(s);
        return st;
    }
    *ctx_r = s;
    return FB_OK;
}

static enum fb_status run(void *ctx, struct fb_error *err)
{
    struct upload_service *s = ctx;
    storage_away_threads((int)s->config->upload.concurrency);
    const struct fb_worker_config worker = {
        .stage = FB_STAGE_UPLOAD,
        .threads = (int)s->config->upload.concurrency,
        .heartbeat_ms = 10000,
        .max_deliveries = 3,
        .lifetime_ms = s->config->rewrite.lifetime_ms,
        .ctx = s,
        .thread_init = upload_thread_init,
        .thread_deinit = upload_thread_deinit,
        .handle = upload_handle,
        .before_bury = upload_before_bury,
    };
    struct inspect *inspect = NULL;
    enum fb_status st = inspect_new(s->config, s->policy, &inspect, err);
    if (st == FB_OK) {
        st = fb_worker_run(s->config, &worker, err);
    }
    inspect_free(&inspect);
    return st;
}

static void deinit(void *ctx)
{
    struct upload_service *s = ctx;
    fb_policy_follow_free(&s->policy);
    fb_spool_close(&s->spool);
    curl_global_cleanup();
    free(s);
}

static const struct fb_counters counters[] = {{"fumibako_fallback_total", {{NULL, NULL}}},
                                              {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "upload",
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
