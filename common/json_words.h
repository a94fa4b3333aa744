/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces of JSON that the command line and the console's API have in common.  New values are the caller's.
 */
#ifndef FB_COMMON_JSON_WORDS_H
#define FB_COMMON_JSON_WORDS_H

#include <jansson.h>

#include "common/ledger/evidence.h"
#include "common/policy/policy.h"

/* Text that came from elsewhere: what is no UTF-8 has '?' in place of its bytes above 127. */
json_t *fb_json_text(const char *text);
/* The text under a key of an object, the object's own; "": there is none, or it is no text. */
const char *fb_json_text_of(const json_t *object, const char *key);
/* The addresses of the first recipients, `most` at most. */
json_t *fb_json_addresses(const struct fb_ledger_message *m, size_t most);
/* What is known of accesses; time writes its moments (0: not known). */
json_t *fb_json_evidence(const struct fb_evidence *e, json_t *(*time)(int64_t ms));
/* A list of {line, severity ("error", "warning"), text}. */
json_t *fb_json_findings(const struct fb_policy_findings *f);

#endif
