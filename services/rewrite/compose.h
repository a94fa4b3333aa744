/* SPDX-License-Identifier: Apache-2.0
 *
 * The mails that rewrite sends, as content: the notice, the untouched mail, the password, the
 * delivery report, the letter to the sender, a reader's code.  Composed from what render prepared; the spooled
 * content itself is only copied by ranges.
 */
#ifndef FB_REWRITE_COMPOSE_H
#define FB_REWRITE_COMPOSE_H

#include "services/rewrite/code_text.h"
#include "services/rewrite/content.h"
#include "services/rewrite/letter_text.h"
#include "services/rewrite/notice_text.h"

/* The untouched mail: the spooled bytes behind one trace header; trace headers that came with it
 * are left out. */
FB_MUST_USE enum fb_status compose_pass(struct fb_spool_msg *msg, const char *key, uint32_t branch,
                                        struct content *out, struct fb_error *err);
/* The notice in place of the content (also: kept body and link; notice and kept attachments). */
FB_MUST_USE enum fb_status compose_notice(struct fb_spool_msg *msg, const char *key,
                                          const struct notice_facts *facts, uint32_t branch,
                                          struct content *out, struct fb_error *err);
/* The second mail with the generated password, from postmaster to one or more recipients. */
FB_MUST_USE enum fb_status compose_password(struct fb_spool_msg *msg, const char *key,
                                            const struct notice_facts *facts, uint32_t branch,
                                            const char *postmaster, struct content *out,
                                            struct fb_error *err);

/* What a delivery report says of a recipient (RFC 3464 2.3.3). */
enum report_action {
    REPORT_FAILED,
    REPORT_RELAYED, /* passed on to a system without DSN (RFC 3461 5.2.2) */
    REPORT_DELAYED, /* still tried */
};

/* A recipient in a delivery report. */
struct report_line {
    const char *address, *orcpt;
    const char *status;        /* "5.1.1" */
    const char *diagnostic;    /* the relay's words, or ours; "" = none */
    bool is_smtp;              /* diagnostic is an SMTP reply of the relay */
    enum report_action action; /* all lines alike */
    int64_t retry_until_ms;    /* delayed: how long it is tried */
};
/* Delivery report to the sender (RFC 3464): these recipients did not and will not get the mail, or
 * did not get it yet, or nobody will report about them further on.  At least one line; plan may be
 * NULL.  Only the header of the mail goes with it, whatever RET asked for. */
FB_MUST_USE enum fb_status compose_report(struct fb_spool_msg *msg, const char *key,
                                          const struct fb_envelope *envelope,
                                          const struct fb_plan *plan, uint32_t branch,
                                          const char *postmaster, const char *reporting_mta,
                                          const struct report_line *lines, size_t count,
                                          struct content *out, struct fb_error *err);

/* The head of a mail of our own that nobody is to answer: from the organisation at postmaster, to one
 * address, name in front of the Message-ID's domain; ends before Subject. */
FB_MUST_USE enum fb_status compose_letter_head(const struct fb_policy_notices *notices,
                                               const char *postmaster, const char *to,
                                               const char *name, struct fb_buf *out);
/* A reader's code (code.h). */
FB_MUST_USE enum fb_status compose_code(const struct code_facts *facts, const struct fb_job *job,
                                        const char *key, struct content *out, struct fb_error *err);
/* A letter to the sender (letter.h). */
FB_MUST_USE enum fb_status compose_letter(const struct letter_facts *facts,
                                          const struct fb_job *job, const char *key,
                                          struct content *out, struct fb_error *err);

/* Puts the trace header in front of composed content: hashes its body (everything behind the first
 * empty line).  Also finds whether an octet above 127 is in it (content.has_8bit). */
FB_MUST_USE enum fb_status compose_sign(struct content *c, const char *key, const char *msg_id,
                                        uint32_t branch, struct fb_error *err);

#endif
