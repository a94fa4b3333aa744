/* SPDX-License-Identifier: Apache-2.0
 *
 * What a dead letter means, in words for the one who decides about it, in Japanese or English. */
#ifndef FB_COMMON_DEAD_WORDS_H
#define FB_COMMON_DEAD_WORDS_H

#include "common/queue/queue.h"

struct fb_dead_words {
    char what[512];    /* what happened */
    char meaning[768]; /* what that means for the mail, its recipients, its sender */
    char retry[512];   /* what each decision would do, and when it makes sense */
    char release[512]; /* or why it cannot be released */
    char reject[512];
    bool can_release;
};

/* dead_ms: retention.dead; from: whose mail it is, NULL = not known. */
void fb_dead_words_make(const struct fb_dead *d, const char *from, int64_t dead_ms, bool is_ja,
                        struct fb_dead_words *w_r);
/* Why nobody can be told that a mail of this sender was given up, as half a sentence in Japanese or English; NULL: its
 * sender can, or is not known (from NULL). */
const char *fb_dead_untold(const char *from, bool is_ja);

#endif
