/* SPDX-License-Identifier: Apache-2.0
 *
 * The body PDF on its way from its painter to the spool: as it is, or made one for archives. */
#ifndef FB_RENDER_CHILD_BODY_H
#define FB_RENDER_CHILD_BODY_H

#include "services/render/child_talk.h"

/* In the zygote: what the libraries read when they are used first, a sandbox would refuse. */
void child_body_warm(void);
/* Stores what was painted here as body.pdf.  *note_r: NULL, or what an archive lacks, a constant for log
 * and plan. */
FB_MUST_USE enum fb_status child_store_body(struct child_talk *t,
                                            const struct render_letter *letter, struct fb_slice pdf,
                                            const char **note_r, struct render_rpc_stored *stored_r,
                                            struct fb_error *err);
/* Has html printed by Chromium and stored. */
FB_MUST_USE enum fb_status
child_print_body(struct child_talk *t, const struct render_letter *letter, struct fb_slice html,
                 const char **note_r, struct render_rpc_stored *stored_r, struct fb_error *err);

#endif
