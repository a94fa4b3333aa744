/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/engine.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/render/fonts.h"

#define RETRY_MS 30000

struct render_engine {
    const struct fb_config *config;
    pthread_mutex_t lock;
    struct render_chromium *chromium; /* once there, it stays: the pool replaces its own browsers */
    struct fb_error why;              /* the last start failed */
    int64_t next_try_ms;
};

static void start(struct render_engine *e)
{
    const struct fb_config *c = e->config;
    const struct render_chromium_config chromium = {
        .binary = c->render.chromium,
        .instances = (int)c->render.concurrency,
        .memory_bytes = c->render.memory * 2,
        .recycle_after = (int)c->render.recycle,
        .user = c->render.chromium_user,
        .is_tagged = strcmp(c->render.tagged, "true") == 0,
        .timeout_ms = (int)c->render.timeout_ms,
        .fonts_conf = render_fonts_conf(),
    };
    e->why = (struct fb_error){0};
    e->next_try_ms = fb_mono_ms() + RETRY_MS;
    if (render_chromium_new(&chromium, &e->chromium, &e->why) != FB_OK) {
        fb_log(FB_ERROR,
               "Chromium cannot be used, HTML mail will be held where native does not paint it: %s",
               e->why.text);
    }
    fb_metric_set("fumibako_chromium_usable", NULL, e->chromium != NULL ? 1 : 0);
}

struct render_engine *render_engine_new(const struct fb_config *config)
{
    struct render_engine *e = fb_xcalloc(1, sizeof *e);
    (void)pthread_mutex_init(&e->lock, NULL);
    e->config = config;
    start(e);
    return e;
}

void render_engine_free(struct render_engine **engine)
{
    struct render_engine *e = *engine;
    if (e != NULL) {
        render_chromium_free(&e->chromium);
        (void)pthread_mutex_destroy(&e->lock);
        free(e);
        *engine = NULL;
    }
}

enum fb_status render_engine_chromium(struct render_engine *e, struct render_chromium **chromium_r,
                                      struct fb_error *err)
{
    enum fb_status s = FB_OK;
    (void)pthread_mutex_lock(&e->lock);
    if (e->chromium == NULL && fb_mono_ms() >= e->next_try_ms) {
        start(e);
    }
    if (e->chromium != NULL) {
        *chromium_r = e->chromium;
    } else {
        s = fb_error_set(err, e->why.status, "an HTML body needs Chromium: %.200s", e->why.text);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return s;
}
