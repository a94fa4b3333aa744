/* SPDX-License-Identifier: Apache-2.0
 *
 * The header Range of a request (RFC 9110 14.2), for answers that are files.  Single ranges of bytes are served;
 * several at once are answered with the whole, as the RFC allows: no reader of ours asks for them, and they are how
 * small requests are made expensive. */
#ifndef FB_COMMON_HTTP_RANGE_H
#define FB_COMMON_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum fb_http_range {
    FB_HTTP_RANGE_WHOLE, /* no range, none that we serve, or none that can be read: the answer is 200 */
    FB_HTTP_RANGE_PART, /* 206 with first_r to last_r, both included, last_r below size */
    FB_HTTP_RANGE_NONE  /* 416: nothing of the file lies there */
};

/* value: the header, or NULL. */
enum fb_http_range fb_http_range_parse(const char *value, uint64_t size, uint64_t *first_r,
                                       uint64_t *last_r);
/* Whether If-Range (RFC 9110 13.1.5; NULL = not there) lets the range count: only the very strong validator that the
 * answer has.  etag NULL: the answer has none. */
bool fb_http_range_is_fresh(const char *if_range, const char *etag);

#endif
