/* SPDX-License-Identifier: Apache-2.0
 *
 * Handles of libcurl whose connections, TLS sessions and looked-up names outlive them.  A handle
 * that is used for a second transfer is not safe before libcurl 8.1.1 (Debian 12 has 7.88.1): when
 * the second answer's first header line begins with a blank, the library writes into memory of the
 * first answer, which is free by then (https://github.com/curl/curl/issues/11101).  So every
 * transfer gets a handle of its own.
 *
 * A handle and what it leaves to the next one belong to one thread at a time.
 */
#ifndef FB_COMMON_CURL_HANDLE_H
#define FB_COMMON_CURL_HANDLE_H

#include <curl/curl.h>

/* NULL when libcurl cannot be used.  CURLOPT_PRIVATE is taken, and curl_easy_reset not to be called. */
CURL *fb_curl_new(void);
/* Ends the handle and gives a fresh one, without any option, that goes on with its connections. */
CURL *fb_curl_renew(CURL *curl);
/* Closes the connections, too; NULL is none. */
void fb_curl_free(CURL *curl);

#endif
