/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions and processes, for the console and the command line. */
#ifndef FB_COMMON_SYSTEM_INFO_H
#define FB_COMMON_SYSTEM_INFO_H

#include <jansson.h>

#include "common/config.h"
#include "common/redis.h"

/* {version, redis: {version, shards, used_memory, max_memory, uptime_s}, policy_source, processes: [{who, service,
 * stage, idle_ms}] (the workers that read a queue)}; the caller's. */
FB_MUST_USE enum fb_status fb_system_info(struct fb_redis *r, const struct fb_config *config,
                                          json_t **info_r, struct fb_error *err);

#endif
