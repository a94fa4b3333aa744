/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-rewrite --preview POLICY [--kind K] [--language ja|en] [--rule R]: the mails of this policy as their
 * readers would get them, with an invented mail in place of a real one.  For the console's helper and `fumibako notices
 * preview`: one JSON value on stdout,
 *
 *   {"logo": "none" | "shown" | "file", "rule": R or null, "items": [{"kind", "language", "subject", "text", "html"}]}
 *
 * or {"error": {"code", "message"}, "findings": [...]}, exit 1.  Nothing else is read: no configuration, no Redis, no
 * spool, and no logo's file, since whoever writes a policy would have it shown. */
#ifndef FB_REWRITE_PREVIEW_H
#define FB_REWRITE_PREVIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "common/policy/policy.h"

struct preview_question {
    const char *kind;     /* of common/policy/template.h; NULL = all */
    const char *language; /* "ja", "en"; NULL = both, one after the other */
    const char *rule;     /* whose storage and security definition; NULL = the first that secures */
};

bool preview_is_asked(int argc, char **argv);
/* The exit code. */
int preview_main(int argc, char **argv);

#endif
