/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-fetch: gets the images that mails only point to, for render, which has no way to the Internet. */
#include "common/confine.h"
#include "common/service.h"
#include "services/fetch/service.h"

#define METRICS_PORT 9109

static const struct fb_counters counters[] = {
    {"fumibako_fetches_total",
     {{"outcome", "ok|kept|refused|missing|type|too_big|timeout|failed|denied"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    const struct fb_service service = {.name = "fetch",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_WEB,
                                       .check = fetch_check,
                                       .init = fetch_init,
                                       .run = fetch_run,
                                       .deinit = fetch_deinit};
    return fb_service_main(&service, argc, argv);
}
