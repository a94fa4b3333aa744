/* SPDX-License-Identifier: Apache-2.0
 *
 * The painter of HTML bodies as the configuration asks for it: today a pool of Chromium.
 * render.engine "auto" takes what suits a mail, "chromium" takes Chromium for all HTML; as long as
 * there is no other painter of HTML, they are the same.  Plain text is always painted by
 * text_paint.c.
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
