/* SPDX-License-Identifier: Apache-2.0
 *
 * Remote images, on the child's side: what the letter points to is asked for once, and what comes is one of its
 * images. */
#ifndef FB_RENDER_CHILD_REMOTE_H
#define FB_RENDER_CHILD_REMOTE_H

#include "common/policy/policy.h"
#include "proto/plan.h"
#include "services/render/child_talk.h"

/* Whether remote images may be fetched for the body PDF: all who get it have a rule that says so. */
bool child_may_fetch(const struct fb_policy *policy, const struct fb_plan *plan);
/* Adds what can be had to letter->images.  Nothing of it can fail the mail. */
void child_fetch_images(struct child_talk *t, struct render_letter *letter);

#endif
