/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of the portal: it listens, keeps a connection to Redis for each handler, and looks every
 * second whether Redis answers. */
#ifndef FB_PORTAL_SERVICE_H
#define FB_PORTAL_SERVICE_H

#include "common/config.h"

/* The portal needs rewrite.key and portal.public_url. */
enum fb_status portal_check(const struct fb_config *config, struct fb_error *err);
enum fb_status portal_init(const struct fb_config *config, void **ctx_r, struct fb_error *err);
enum fb_status portal_run(void *ctx, struct fb_error *err);
void portal_deinit(void *ctx);

#endif
