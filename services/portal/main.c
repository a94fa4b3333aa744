/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-portal: the pages behind the links that our letters carry.  Here a sender sees what became of a mail, and
 * takes it back. */
#include "common/confine.h"
#include "common/service.h"
#include "services/portal/service.h"

#define METRICS_PORT 9108

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "portal",
                                       .metrics_port = METRICS_PORT,
                                       .uses = FB_USES_PORTAL | FB_USES_SIGNING_KEY,
                                       .check = portal_check,
                                       .init = portal_init,
                                       .run = portal_run,
                                       .deinit = portal_deinit};
    return fb_service_main(&service, argc, argv);
}
