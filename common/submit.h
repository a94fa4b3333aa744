/* SPDX-License-Identifier: Apache-2.0
 *
 * Hands a mail to ingest over HTTP (POST /v1/messages), as an application does: `fumibako submit`, and replies that are
 * written on the portal.  Knows nothing of what the mail says. */
#ifndef FB_COMMON_SUBMIT_H
#define FB_COMMON_SUBMIT_H

#include <stdio.h>

#include "common/buf.h"
#include "common/id.h"

#define FB_SUBMIT_URL_SIZE 512

struct fb_submit {
    const char *url;   /* of the listener, as http://127.0.0.1:10080 */
    const char *token; /* ingest.token */
    const char *from;  /* reverse-path; "" = the null sender */
    const char *const *to;
    size_t to_count;
    FILE *file;           /* the mail from here, `size` bytes; or NULL: */
    struct fb_slice mail; /* the mail */
    uint64_t size;        /* of file */
    int64_t connect_ms;
    int64_t total_ms; /* 0 = as long as something moves in a minute */
};

/* The URL of ingest.http ("host:port"; an empty host is this machine). */
void fb_submit_url(const char *listener, char url_r[FB_SUBMIT_URL_SIZE]);
/* Whether the text can stand in a header of the request: holds no control character. */
bool fb_submit_is_one_line(const char *text);
/* FB_OK with the message's id: it is in the spool.  FB_INVALID: an address or the token is not one line.  FB_DENIED:
 * ingest does not take it; err has its reason.  FB_AGAIN: ingest asks to come again (503).  FB_NETWORK: it could not be
 * reached, or (is_unsure_r) did not answer after it had the mail, which may be in the spool then.  Thread-safe. */
FB_MUST_USE enum fb_status fb_submit_mail(const struct fb_submit *submit, char id_r[FB_ID_SIZE],
                                          bool *is_unsure_r, struct fb_error *err);

#endif
