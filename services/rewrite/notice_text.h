/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of a notice, in Japanese, English or both: templates of the policy (or our own) with
 * their placeholders filled in.  Values come from mail and are escaped in HTML; nothing of the
 * secured content is among them. */
#ifndef FB_REWRITE_NOTICE_TEXT_H
#define FB_REWRITE_NOTICE_TEXT_H

#include "proto/envelope.h"
#include "services/rewrite/words.h"

struct notice_facts {
    const struct fb_policy *policy;
    const struct fb_plan *plan;
    const struct fb_branch *branch;
    const struct fb_parcel *parcel;
    const struct fb_envelope *envelope;
    const char *link;           /* the parcel's, or in a vault the recipient's own */
    const char *storage;        /* where the recipient reads: a name in the policy */
    bool is_vault;              /* in a vault */
    const char *recipient;      /* the only one of this mail; NULL for several together */
    const char *const *readers; /* addresses shown as those who may open it */
    size_t reader_count;
    bool has_logo; /* the mail carries it (logo.h); set by compose */
};

/* Appends the subject of the password mail. */
FB_MUST_USE enum fb_status notice_write_password_subject(const struct notice_facts *f,
                                                         struct fb_buf *out);
/* kind: "notice" or "password".  Appends the whole text in the plan's language ("both": Japanese,
 * then English). */
FB_MUST_USE enum fb_status notice_write(const struct notice_facts *f, const char *kind,
                                        enum notice_form form, struct fb_buf *out);
/* The block that stands above a body that was kept. */
FB_MUST_USE enum fb_status notice_write_block(const struct notice_facts *f, enum notice_form form,
                                              struct fb_buf *out);

#endif
