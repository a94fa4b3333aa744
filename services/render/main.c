/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-render: reads and paints messages, in sandboxes; decides by the policy what becomes of
 * each recipient. */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/confine.h"
#include "common/service.h"
#include "services/render/child.h"
#include "services/render/explain.h"
#include "services/render/handle.h"

#define METRICS_PORT 9102

static const struct fb_config *inherited; /* by the zygote, which runs warm() alone */

/* In the zygote, before there are children: what they never need is not in their memory.  A child that
 * was taken over could put it into a page that its attacker gets. */
static void warm(void)
{
    static const char *const nothing[] = {NULL};
    fb_config_forget(inherited, nothing);
    render_child_warm();
}

static enum fb_status start_zygote(const struct fb_config *config, struct render_worker *w,
                                   struct fb_error *err)
{
    const struct fb_sandbox sandbox = {
        .memory_bytes = config->render.memory,
        .cpu_s = 10 + config->render.timeout_ms / 1000 + config->ingest.max_message / (20 << 20),
        .user = config->render.chromium_user,
    };
    if (fb_landlock_version() == 0) {
        fb_log(FB_WARN, "this kernel has no Landlock: the sandbox relies on seccomp alone");
    }
    inherited = config;
    return fb_zygote_start("render-zygote", &sandbox, warm, render_child_run, &w->service.zygote,
                           err);
}

/* What --check checks, and each start: root needs somebody else to be. */
static enum fb_status check(const struct fb_config *config, struct fb_error *err)
{
    const char *user = config->render.chromium_user;
    if (geteuid() != 0) {
        return FB_OK;
    }
    const struct passwd *pw = user != NULL ? getpwnam(user) : NULL;
    if (pw == NULL || pw->pw_uid == 0) {
        return fb_error_set(err, FB_CONFIG,
                            "render.chromium_user: no such user (or root): %s; started by root, "
                            "render reads and paints "
                            "mail as that user",
                            user != NULL ? user : "(empty)");
    }
    return FB_OK;
}

static void deinit(void *ctx)
{
    struct render_worker *w = ctx;
    render_engine_free(&w->service.engine);
    fb_policy_follow_free(&w->policy);
    fb_spool_close(&w->spool);
    fb_zygote_stop(&w->service.zygote);
    free(w);
}

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct render_worker *w = fb_xcalloc(1, sizeof *w);
    w->service.config = config;
    enum fb_status s =
        start_zygote(config, w, err); /* first: it must fork before there are threads */
    if (s == FB_OK) {
        s = fb_spool_open(config->spool.url, config->spool.key_file, &w->spool, err);
    }
    if (s == FB_OK) {
        s = fb_policy_follow_new(config, &w->policy, err);
    }
    if (s == FB_OK) {
        w->service.engine = render_engine_new(config);
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
    enum fb_status s = fb_worker_run(w->service.config, &worker, err);
    if (s == FB_OK && fb_zygote_is_dead(w->service.zygote)) {
        s = fb_error_set(err, FB_IO,
                         "the process that makes children was killed: start the service again");
    }
    return s;
}

static const struct fb_counters counters[] = {
    {"fumibako_missing_glyphs_total", {{NULL, NULL}}},
    {"fumibako_remote_images_total", {{"outcome", "shown|missing"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    if (render_explain_is_asked(argc, argv)) { /* `fumibako policy test` */
        return render_explain_main(argc, argv);
    }
    const struct fb_service service = {.name = "render",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_SPOOL | FB_USES_POLICY | FB_USES_BROWSER |
                                               FB_USES_SIGNING_KEY | FB_USES_FETCHER,
                                       .check = check,
                                       .init = init,
                                       .run = run,
                                       .deinit = deinit};
    return fb_service_main(&service, argc, argv);
}
