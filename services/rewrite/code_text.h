/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of the mail with a reader's code. */
#ifndef FB_REWRITE_CODE_TEXT_H
#define FB_REWRITE_CODE_TEXT_H

#include "services/rewrite/words.h"

struct code_facts {
    const struct fb_policy *policy;
    const char *language; /* "ja", "en", "both" */
    const char *code;
    const char *to; /* the reader's address */
    const char
        *sender; /* of the mail that the code opens; "" = not known.  Its subject is not told */
    const char *postmaster;
    const char *msg_id;
    int64_t sent_ms; /* when that mail was sent; 0 = not known */
    int64_t minutes; /* so long it is valid */
    bool has_logo;   /* the mail carries it; set by compose */
};

/* Appends the subject; the code is not in it, for it shows where nobody is logged in. */
FB_MUST_USE enum fb_status code_write_subject(const struct code_facts *f, struct fb_buf *out);
/* Appends the whole text. */
FB_MUST_USE enum fb_status code_write(const struct code_facts *f, enum notice_form form,
                                      struct fb_buf *out);

#endif
