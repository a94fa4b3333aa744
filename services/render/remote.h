/* SPDX-License-Identifier: Apache-2.0
 *
 * Remote images, on the parent's side: what a child asks for is asked of fetch, which alone talks to the Internet.  A
 * letter has so many images, so many bytes and so much time; what is not there by then stays a box. */
#ifndef FB_RENDER_REMOTE_H
#define FB_RENDER_REMOTE_H

#include "common/config.h"

#define RENDER_REMOTE_BYTES   (20U << 20) /* of a letter's images together */
#define RENDER_REMOTE_ONE     (5U << 20)  /* as fetch has it */
#define RENDER_REMOTE_TIME_MS 10000       /* for all of them */

/* Answers FETCH: payload is URLs, each with its length.  config is NULL where nothing may be fetched; the answer is
 * then empty, as it is where fetch is not configured or away.  FB_CRASHED when the child asks for what it may not, or
 * does not listen for wait_ms. */
FB_MUST_USE enum fb_status render_remote_answer(const struct fb_config *config, int fd,
                                                struct fb_slice payload, int wait_ms,
                                                struct fb_error *err);

#endif
