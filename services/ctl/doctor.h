/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako doctor: one line per thing that must be right, each ok, warn or FAIL, and what to do
 * next.  It looks and changes nothing. */
#ifndef FB_CTL_DOCTOR_H
#define FB_CTL_DOCTOR_H

#include "services/ctl/ctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    struct ctl *c;
    json_t *checks;
    int failed, warned;
    bool is_redis_away;
    bool is_ja; /* the language of texts and advice */
};

/* One line; next ("" = nothing to do) says what to do.  Both are English words of doctor_words.c, and said in the
 * reader's language; what is put together before is (doctor_words) there already. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *next,
                const char *fmt, ...) FB_PRINTF(5, 6);

/* The same in the reader's language; what has no row is itself. */
const char *doctor_words(const struct doctor *d, const char *en) __attribute__((format_arg(2)));

/* doctor_local.c: what lies on this machine. */
void doctor_spool_key(struct doctor *d);
void doctor_spool(struct doctor *d);
void doctor_signing_key(struct doctor *d);
void doctor_policy(struct doctor *d); /* and the storages' credentials */
/* doctor_net.c: what answers. */
void doctor_redis(struct doctor *d);
void doctor_relay(struct doctor *d);
void doctor_services(struct doctor *d);

#endif
