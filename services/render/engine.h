/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of Chromium for the HTML that nobody else paints.  render.engine "auto": what lies outside
 * of native's subset (native.h); "chromium": all of it; "native": none.  Plain text is always painted
 * by text_paint.c, in the child as native is.
 *
 * Where Chromium cannot start the service goes on: plain text is painted, HTML is held with the
 * reason.  Starting is tried again from time to time, so that a Chromium that was only slow, or is
 * installed later, is found.
 */
#ifndef FB_RENDER_ENGINE_H
#define FB_RENDER_ENGINE_H

#include "common/config.h"
#include "services/render/chromium.h"

struct render_engine;

/* config must outlive it.  Tries to start Chromium and logs when it cannot. */
struct render_engine *render_engine_new(const struct fb_config *config);
void render_engine_free(struct render_engine **engine);
/* Lends the pool.  FB_CONFIG: Chromium cannot be used here, err says why and what to do.  Others:
 * it did not start just now.  Any thread. */
FB_MUST_USE enum fb_status render_engine_chromium(struct render_engine *engine,
                                                  struct render_chromium **chromium_r,
                                                  struct fb_error *err);

#endif
