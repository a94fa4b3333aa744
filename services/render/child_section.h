/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows the body in the PDF (section.h), on the child's side. */
#ifndef FB_RENDER_CHILD_SECTION_H
#define FB_RENDER_CHILD_SECTION_H

#include "common/policy/policy.h"
#include "services/render/child_talk.h"

/* Reads the sections of a mail whose body is painted; with attached images where all who get the PDF
 * have a rule that says so. */
FB_MUST_USE enum fb_status child_read_sections(struct child_talk *t, const struct fb_policy *policy,
                                               const struct fb_plan *plan, struct render_mail *mail,
                                               struct fb_error *err);

#endif
