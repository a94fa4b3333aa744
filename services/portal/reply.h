/* SPDX-License-Identifier: Apache-2.0
 *
 * The secure reply: a recipient writes back on the page, over its TLS, and the sender gets a mail.
 *
 *   GET  /r/<text>/reply                the form; behind a reply (?done=<id>) that it was sent     reply_page.c
 *   POST /r/<text>/reply?t=<token>&id=<id>   multipart/form-data: text and files                  reply_send.c
 *
 * 1. The mail is handed to ingest as any other is, so that the policy's rules decide whether it goes on as a mail or as
 *    a parcel of its own.  X-Fumibako-Reply is for those rules; it names the message, and proves nothing by itself.
 * 2. From: is rewrite.postmaster (whose domain the relay may sign), with the reader's address as its name; Reply-To: is
 *    the reader.  Nothing of the original's Message-ID, grant or link is in it.
 * 3. What a reader typed is text: it reaches header fields as encoded words and parameters only (reply_compose.c).
 * 4. The form's id names the reply: sent twice, it goes out once.  The token stands in the URL, because it is looked at
 *    before the body is read: nobody else's large body is taken.
 * 5. Token, text and file names are never logged.
 */
#ifndef FB_PORTAL_REPLY_H
#define FB_PORTAL_REPLY_H

#include "services/portal/multipart.h"
#include "services/portal/reader.h"

#define REPLY_MAX_FILES   10
#define REPLY_MAX_TEXT    100000 /* bytes of UTF-8 */
#define REPLY_MAX_PER_H   10     /* of one grant */
#define REPLY_FORM_EXTRA  262144 /* of the body beside text and files: headers of the parts */
#define REPLY_AT_ONCE     8      /* held in memory at the same time */
#define REPLY_MAX_SUBJECT 2048
#define REPLY_STEP        "reply" /* of its token */

/* Whether replies to this parcel can be written here: shown as a link on the reading page. */
bool reply_is_on(const struct reader *r);

/* For the server's options: how large the body of this request may be. */
size_t reply_body_limit(void *portal, const struct fb_http_request *head);

/* ---- the form (reply_page.c) ---- */

/* Why the form is shown again. */
enum reply_alert {
    REPLY_FINE,
    REPLY_EMPTY,      /* neither text nor file */
    REPLY_LONG,       /* the text is too long */
    REPLY_MANY_FILES, /* more than REPLY_MAX_FILES */
    REPLY_UNREADABLE, /* the text is no UTF-8 */
    REPLY_HOURLY,     /* more than REPLY_MAX_PER_H */
    REPLY_CROWDED,    /* as many are being sent as may be */
    REPLY_FAILED,     /* ingest could not be reached, or did not take it */
    REPLY_ALERT_COUNT
};
/* The form with an alert, and with what had been typed.  (Files have to be chosen again: browsers want it so.) */
void reply_form(struct reader *r, enum reply_alert alert, const char *text);
/* "Re: <subject>" */
void reply_subject(const char *subject, char out_r[REPLY_MAX_SUBJECT]);

/* ---- the mail (reply_compose.c) ---- */

struct reply_facts {
    const char *id;     /* of the reply */
    const char *msg_id; /* it answers */
    const char *postmaster, *to;
    const char *reader; /* the address that was proved */
    enum reader_proof proof;
    const char *subject; /* of the parcel */
    bool is_ja;          /* what the sender reads */
    int64_t at_ms;
    const char *text; /* UTF-8 */
    const struct multipart_part *const *files;
    size_t file_count;
};
/* FB_TOO_BIG, FB_NO_SPACE. */
FB_MUST_USE enum fb_status reply_compose(const struct reply_facts *f, struct fb_buf *out);

#endif
