/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail of a letter.  Its header asks every kind of responder to keep quiet: Auto-Submitted (RFC
 * 3834) for those of today, X-Auto-Response-Suppress for Exchange, and the null sender leaves no
 * address to answer to.  There is no Precedence field: RFC 2076 discourages it, nobody needs it
 * beside these, and "bulk" would let filters sort out a letter that matters.  No References: the
 * mail that the letter is about may not be linked to by anybody else's. */
#include <stdio.h>
#include <string.h>

#include "common/mime_write.h"
#include "proto/limits.h"
#include "proto/trace_header.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/parts.h"

/* The same for every copy of the letter. */
static void name_letter(const struct letter_facts *f, const struct fb_job *job, char *out,
                        size_t size)
{
    char parcel_id[FB_PARCEL_ID_SIZE];
    fb_parcel_id_make(job->msg_id, job->branch, parcel_id);
    switch (job->letter) {
    case FB_LETTER_RECALL:
        (void)snprintf(out, size, "recall-%s-%s", job->recall_id,
                       f->is_final ? "final" : "interim");
        break;
    case FB_LETTER_HELD:
        (void)snprintf(out, size, "held-%s-%u", job->msg_id, job->branch);
        break;
    default:
        (void)snprintf(out, size, "%s-%s", fb_letter_name(job->letter), parcel_id);
        break;
    }
}

static enum fb_status write_words(const void *ctx, enum notice_form form, bool has_logo,
                                  struct fb_buf *out)
{
    struct letter_facts f = *(const struct letter_facts *)ctx;
    f.has_logo = has_logo;
    return letter_write(&f, form, out);
}

enum fb_status compose_letter_head(const struct fb_policy_notices *notices, const char *postmaster,
                                   const char *to, const char *name, struct fb_buf *out)
{
    char date[48];
    const char *organisation = notices->organisation;
    const char *at = strrchr(postmaster, '@');
    bool has_name = organisation != NULL && organisation[0] != '\0';
    fb_mime_date(fb_now_ms(), date);
    enum fb_status s =
        fb_mime_write_mailbox(out, "From", has_name ? organisation : "Fumibako", postmaster);
    if (s == FB_OK) {
        s = fb_buf_printf(out,
                          "To: <%s>\r\nDate: %s\r\nMessage-ID: <%s%s>\r\n"
                          "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"
                          "MIME-Version: 1.0\r\n",
                          to, date, name, at != NULL ? at : "@localhost");
    }
    return s;
}

static enum fb_status add_head(const struct letter_facts *f, const struct fb_job *job,
                               struct fb_buf *to)
{
    char name[80];
    name_letter(f, job, name, sizeof name);
    return compose_letter_head(&f->policy->notices, f->postmaster, f->sender, name, to);
}

static enum fb_status add_subject(const struct letter_facts *f, struct fb_buf *to)
{
    struct fb_buf subject;
    fb_buf_init(&subject, FB_MAX_SUBJECT + 256);
    enum fb_status s = letter_write_subject(f, &subject);
    if (s == FB_OK) {
        s = fb_mime_write_field(to, "Subject", fb_buf_str(&subject));
    }
    fb_buf_deinit(&subject);
    return s;
}

enum fb_status compose_letter(const struct letter_facts *f, const struct fb_job *job,
                              const char *key, struct content *out, struct fb_error *err)
{
    struct fb_buf *to = content_tail(out);
    enum fb_status s = add_head(f, job, to);
    if (s == FB_OK) {
        s = add_subject(f, to);
    }
    if (s == FB_OK) {
        s = parts_alternative(out, f->policy->notices.logo, write_words, f);
    }
    if (s != FB_OK) {
        return fb_error_set(err, s, "the letter is larger than its limits");
    }
    return compose_sign(out, key, job->msg_id, FB_TRACE_LETTER, err);
}
