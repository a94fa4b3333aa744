/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a mail was through already, asked in the sandbox: the body is hashed here, where its
 * bytes are; the parent, who has the key and the ledger, answers. */
#ifndef FB_RENDER_CHILD_SIGNATURE_H
#define FB_RENDER_CHILD_SIGNATURE_H

#include "services/render/child_talk.h"

/* Sets m->facts.has_our_signature where the mail bears X-Fumibako-Id. */
FB_MUST_USE enum fb_status child_look_for_signature(struct child_talk *t, struct render_mail *m,
                                                    struct fb_error *err);

#endif
