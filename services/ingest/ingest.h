/* SPDX-License-Identifier: Apache-2.0
 *
 * The service as a whole: what is started in which order, and ended in the reverse one. */
#ifndef FB_INGEST_INGEST_H
#define FB_INGEST_INGEST_H

#include "common/config.h"

/* The call-backs of struct fb_service. */
enum fb_status ingest_check(const struct fb_config *config, struct fb_error *err);
enum fb_status ingest_init(const struct fb_config *config, void **ctx_r, struct fb_error *err);
enum fb_status ingest_run(void *ctx, struct fb_error *err);
void ingest_deinit(void *ctx);

#endif
