/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of the console: it listens, keeps a connection to Redis for each handler, and looks every
 * second whether Redis answers. */
#ifndef FB_CONSOLE_SERVICE_H
#define FB_CONSOLE_SERVICE_H

#include "common/config.h"

/* console.listen, console.public_url and the accounts' settings. */
enum fb_status console_check(const struct fb_config *config, struct fb_error *err);
/* Before the process is confined. */
enum fb_status console_prepare(const struct fb_config *config, struct fb_error *err);
enum fb_status console_init(const struct fb_config *config, void **ctx_r, struct fb_error *err);
enum fb_status console_run(void *ctx, struct fb_error *err);
void console_deinit(void *ctx);

#endif
