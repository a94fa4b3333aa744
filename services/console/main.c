/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-console: the administrators' pages and the API behind them. */
#include "common/confine.h"
#include "common/service.h"
#include "services/console/service.h"

#define METRICS_PORT 9107

static const struct fb_counters counters[] = {
    {"fumibako_console_signins_total",
     {{"method", "password|totp|recovery|passkey|oidc"}, {"outcome", "ok|wrong|locked|refused"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "console",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses =
                                           FB_USES_CONSOLE | FB_USES_SIGNING_KEY | FB_USES_POLICY,
                                       .check = console_check,
                                       .prepare = console_prepare,
                                       .init = console_init,
                                       .run = console_run,
                                       .deinit = console_deinit};
    return fb_service_main(&service, argc, argv);
}
