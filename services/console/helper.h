/* SPDX-License-Identifier: Apache-2.0
 *
 * What the console itself may not do: run another program of ours.  A process that is forked before the console gives
 * up running programs (common/confine.h) does it: fumibako-render --explain, which reads a mail in its sandbox,
 * fumibako-rewrite --preview, which writes the texts of a policy for an invented mail, and `fumibako doctor`.
 * Nothing else can be asked of it, whoever has taken over the console. */
#ifndef FB_CONSOLE_HELPER_H
#define FB_CONSOLE_HELPER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/config.h"

#define HELPER_MAX_TO 100

struct helper_question {
    const char *from;              /* EXPLAIN: envelope sender, "" for none */
    const char *to[HELPER_MAX_TO]; /* EXPLAIN */
    size_t to_count;
    bool is_ja;                     /* EXPLAIN: the language of the words */
    struct fb_slice document, mail; /* EXPLAIN */
};

struct helper_preview {
    const char *kind, *language, *rule; /* "" = all, both, the first that secures */
    struct fb_slice document;
};

/* Forks it; once, before there are threads. */
FB_MUST_USE enum fb_status helper_start(const struct fb_config *config, struct fb_error *err);
void helper_stop(void);
/* Each waits its turn and for the answer, some 45 seconds at most.  The answer is the program's JSON, with its exit
 * code.  FB_AGAIN: others are served, or it has ended; FB_NOT_FOUND: the program is not beside the console. */
FB_MUST_USE enum fb_status helper_explain(const struct helper_question *q, json_t **answer_r,
                                          int *exit_r, struct fb_error *err);
FB_MUST_USE enum fb_status helper_preview(const struct helper_preview *q, json_t **answer_r,
                                          int *exit_r, struct fb_error *err);
FB_MUST_USE enum fb_status helper_doctor(bool is_ja, json_t **answer_r, int *exit_r,
                                         struct fb_error *err);

#endif
