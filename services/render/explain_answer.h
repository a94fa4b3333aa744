/* SPDX-License-Identifier: Apache-2.0
 *
 * From the sandboxed child's answer (explain.h, render_explain_child) to JSON.  The child may be
 * taken over: every number is checked against the question, every length against what is there. */
#ifndef FB_RENDER_EXPLAIN_ANSWER_H
#define FB_RENDER_EXPLAIN_ANSWER_H

#include <jansson.h>

#include "common/policy/policy.h"

struct render_explain_question { /* all lent */
    const struct fb_policy *policy;
    const char *from;
    char *const *to;
    size_t to_count;
    uint64_t size; /* of the mail */
    bool is_ja;    /* the language of the words */
};

/* NULL when the answer is none that this question can have. */
json_t *render_explain_answer(const struct render_explain_question *q, struct fb_slice in);

#endif
