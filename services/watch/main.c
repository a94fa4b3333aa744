/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-watch: follows what the storages tell about parcels: opened, downloaded, accepted,
 * shared on. */
#include "common/confine.h"
#include "common/service.h"
#include "services/watch/service.h"

#define METRICS_PORT 9106

static const struct fb_counters counters[] = {
    {"fumibako_webhooks_total", {{"outcome", "taken|repeated|refused|failed"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "watch",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_POLICY | FB_USES_NAMED_FILES |
                                               FB_USES_STORAGES | FB_USES_WEBHOOK,
                                       .init = watch_init,
                                       .run = watch_run,
                                       .deinit = watch_deinit};
    return fb_service_main(&service, argc, argv);
}
