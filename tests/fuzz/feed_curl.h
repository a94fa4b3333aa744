/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl with the fuzzer at the other end: every connection goes to a socket that holds the next
 * reply, wherever the request is meant to go; nothing reaches a network.  A target that links
 * feed_curl.c is linked with --wrap=curl_easy_perform.
 *
 * Replies are separated by one octet 0x1e.  A reply that begins with three digits is taken as
 * status, header lines up to an empty line when the fourth octet is '+', and body, so that a
 * mutation of the body keeps a Content-Length that is right; any other one is sent as it is.
 */
#ifndef FB_TESTS_FUZZ_FEED_CURL_H
#define FB_TESTS_FUZZ_FEED_CURL_H

#include <curl/curl.h>

#include "common/buf.h"

/* What is answered from now on; lent.  When the replies are used up, connections end unanswered. */
void feed_curl_set(struct fb_slice replies);
/* How many requests were made since. */
unsigned feed_curl_requests(void);
/* Sees each request as it went out.  NULL: nobody. */
void feed_curl_watch(void (*look)(struct fb_slice bytes));
/* Checks a request's head: one request line, and no header but those of the list (NULL at its end,
 * lower case, with the colon).  Aborts else: what a peer said has become a header. */
void feed_curl_check_head(struct fb_slice bytes, const char *const *allowed);

CURLcode __wrap_curl_easy_perform(CURL *curl);

#endif
