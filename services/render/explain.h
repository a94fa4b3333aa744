/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-render --explain POLICY MAIL --from A --to B [--to C] [--config FILE] [--language ja|en]:
 * which rule takes each recipient of a mail, and why the earlier ones do not.  Behind `fumibako
 * policy test`.  The mail is read in the same sandboxed child as a real one and by the same code;
 * nothing is stored, painted or sent.  Of the answer, the words ("why", "text") are in the language.
 *
 * One JSON object on stdout, the answer or {"error": {"code", "message"}}.  Exit 0 answered, 1
 * failed, 2 usage, 78 bad configuration.
 */
#ifndef FB_RENDER_EXPLAIN_H
#define FB_RENDER_EXPLAIN_H

#include <stdbool.h>

#define RENDER_EXPLAIN_MAX_RECIPIENTS  1000
#define RENDER_EXPLAIN_MAX_ATTACHMENTS 100 /* told by name; the others are only counted */

/* Whether the program was called for this. */
bool render_explain_is_asked(int argc, char **argv);
int render_explain_main(int argc, char **argv);

/* In a fresh child: reads the mail, asks the policy, says the answer as one DONE frame:
 *   subject; flags (RENDER_EXPLAIN_...); how many attachments, how many of them follow: name, type,
 * size; recipients, each: branch kind, reason, rule + 1, shadow rule + 1, how many rules follow:
 * rule, whether it matches, how many reasons follow (common/policy/explain.h): about, code, whether
 * it holds, header, term, number, what was found */
void render_explain_child(int fd);

enum render_explain_flag {
    RENDER_EXPLAIN_DELIVERY_REPORT = 1,
    RENDER_EXPLAIN_AUTO_REPLY = 2,
    RENDER_EXPLAIN_ENCRYPTED = 4,
    RENDER_EXPLAIN_OUR_SIGNATURE = 8,
};

#endif
