/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's life, and its one call: POST /v1/image {"url": ...} with the bearer token, answered with the image, or
 * with {"error": {"code", "message"}}.  It knows no mail, no policy and no Redis: taken over by what it reads, it has a
 * token that opens nothing but itself. */
#ifndef FB_FETCH_SERVICE_H
#define FB_FETCH_SERVICE_H

#include "common/config.h"

/* What --check checks. */
FB_MUST_USE enum fb_status fetch_check(const struct fb_config *config, struct fb_error *err);
FB_MUST_USE enum fb_status fetch_init(const struct fb_config *config, void **ctx_r,
                                      struct fb_error *err);
FB_MUST_USE enum fb_status fetch_run(void *ctx, struct fb_error *err);
void fetch_deinit(void *ctx);

#endif
