/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-render: reads and paints messages, in sandboxes; decides by the policy what becomes of each recipient. */
#include <stdlib.h>

#include "common/log.h"
#include "common/service.h"
#include "services/render/child.h"
#include "services/render/explain.h"
#include "services/render/fonts.h"
#include "services/render/handle.h"

#define METRICS_PORT 9102

static enum fb_status start_zygote(const struct fb_config *config, struct render_worker *w, struct fb_error *err)
{
    const struct render_sandbox sandbox = {
        .memory_bytes = config->render.memory,
        .cpu_s = 10 + config->render.timeout_ms / 1000 + config->ingest.max_message / (20 << 20),
        .user = config->render.chromium_user,
    };
    if (render_sandbox_landlock_version() == 0) {
        fb_log(FB_WARN, "this kernel has no Landlock: the sandbox relies on seccomp alone");
    }
    return render_zygote_start(&sandbox, render_child_warm, render_child_run, &w->service.zygote, err);
}

/* Without Chromium the service goes on: plain text is painted, HTML is held and says why. */
static void start_chromium(const struct fb_config *config, struct render_worker *w)
{
    const struct render_chromium_config chromium = {
        .binary = config->render.chromium,
        .instances = (int)config->render.concurrency,
        .memory_bytes = config->render.memory * 2,
        .recycle_after = (int)config->render.recycle,
        .user = config->render.chromium_user,
        .timeout_ms = (int)config->render.timeout_ms,
        .fonts_conf = render_fonts_conf(),
    };
    if (render_chromium_new(&chromium, &w->service.chromium, &w->service.chromium_why) != FB_OK) {
        fb_log(FB_ERROR, "Chromium cannot be used, HTML mail will be held: %s", w->service.chromium_why.text);
    }
}

static void deinit(void *ctx)
{
    struct render_worker *w = ctx;
    render_chromium_free(&w->service.chromium);
    fb_policy_follow_free(&w->policy);
    fb_spool_close(&w->spool);
    render_zygote_stop(&w->service.zygote);
    free(w);
}

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct render_worker *w = fb_xcalloc(1, sizeof *w);
    w->service.config = config;
    enum fb_status s = start_zygote(config, w, err); /* first: it must fork before there are threads */
    if (s == FB_OK) {
        s = fb_spool_open(config->spool.url, config->spool.key_file, &w->spool, err);
    }
    if (s == FB_OK) {
        s = fb_policy_follow_new(config, &w->policy, err);
    }
    if (s == FB_OK) {
        start_chromium(config, w);
        *ctx_r = w;
    } else {
        deinit(w);
    }
    return s;
}

static enum fb_status run(void *ctx, struct fb_error *err)
{
    struct render_worker *w = ctx;
    const struct fb_worker_config worker = {
        .stage = FB_STAGE_RENDER,
        .threads = (int)w->service.config->render.concurrency,
        .heartbeat_ms = 10000,
        .max_deliveries = 3,
        .lifetime_ms = w->service.config->rewrite.lifetime_ms,
        .ctx = w,
        .handle = render_handle,
    };
    return fb_worker_run(w->service.config, &worker, err);
}

int main(int argc, char **argv)
{
    if (render_explain_is_asked(argc, argv)) { /* `fumibako policy test` */
        return render_explain_main(argc, argv);
    }
    const struct fb_service service = {
        .name = "render", .metrics_port = METRICS_PORT, .init = init, .run = run, .deinit = deinit};
    return fb_service_main(&service, argc, argv);
}
