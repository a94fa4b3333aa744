/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-portal: the pages behind the links that our letters carry.  Here a sender sees what became of a mail, and
 * takes it back, and a recipient of a vault reads it. */
#include "common/confine.h"
#include "common/service.h"
#include "services/portal/painter.h"
#include "services/portal/service.h"

#define METRICS_PORT 9108

static const struct fb_counters counters[] = {
    {"fumibako_portal_recalls_total", {{"outcome", "asked|repeated|failed"}}},
    {"fumibako_portal_replies_total", {{"outcome", "sent|failed|unsure"}}},
    {"fumibako_portal_downloads_total", {{NULL, NULL}}},
    {"fumibako_portal_proofs_total",
     {{"kind", "code|totp|recovery|password"}, {"outcome", "right|wrong|locked|refused"}}},
    {"fumibako_portal_refused_total",
     {{"reason", "link|token|origin|form|size|rate|recalled|expired|used_up|preview_only"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "portal",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_PORTAL | FB_USES_SIGNING_KEY |
                                               FB_USES_INGEST | FB_USES_POLICY |
                                               FB_USES_NAMED_FILES | FB_USES_VAULT_READ,
                                       .check = portal_check,
                                       .prepare = painter_prepare,
                                       .init = portal_init,
                                       .run = portal_run,
                                       .deinit = portal_deinit};
    return fb_service_main(&service, argc, argv);
}
