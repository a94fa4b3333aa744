/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail with a reader's code; its head is a letter's (compose_letter.c). */
#include <inttypes.h>
#include <stdio.h>

#include "common/mime_write.h"
#include "proto/limits.h"
#include "proto/trace_header.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/parts.h"

static enum fb_status write_words(const void *ctx, enum notice_form form, bool has_logo,
                                  struct fb_buf *out)
{
    struct code_facts f = *(const struct code_facts *)ctx;
    f.has_logo = has_logo;
    return code_write(&f, form, out);
}

enum fb_status compose_code(const struct code_facts *f, const struct fb_job *job, const char *key,
                            struct content *out, struct fb_error *err)
{
    char name[96];
    char parcel_id[FB_PARCEL_ID_SIZE];
    struct fb_buf subject;
    struct fb_buf *to = content_tail(out);
    fb_parcel_id_make(job->msg_id, job->branch, parcel_id);
    /* The same for every copy of this code, another one for each code. */
    (void)snprintf(name, sizeof name, "code-%s-%" PRIu32 "-%" PRId64, parcel_id, job->reader,
                   job->first_ms);
    fb_buf_init(&subject, FB_MAX_SUBJECT);
    enum fb_status s = compose_letter_head(&f->policy->notices, f->postmaster, f->to, name, to);
    if (s == FB_OK) {
        s = code_write_subject(f, &subject);
    }
    if (s == FB_OK) {
        s = fb_mime_write_field(to, "Subject", fb_buf_str(&subject));
    }
    if (s == FB_OK) {
        s = parts_alternative(out, f->policy->notices.logo, write_words, f);
    }
    fb_buf_deinit(&subject);
    if (s != FB_OK) {
        return fb_error_set(err, s, "the mail with the code is larger than its limits");
    }
    return compose_sign(out, key, job->msg_id, FB_TRACE_LETTER, err);
}
