/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens inside the sandbox: one message is parsed, the policy asked, the body painted. */
#ifndef FB_RENDER_CHILD_H
#define FB_RENDER_CHILD_H

/* In the zygote, once: fonts, character sets, GMime. */
void render_child_warm(void);
/* In a fresh child: talks with the parent on fd until the plan is made or has failed. */
void render_child_run(int fd);

#endif
