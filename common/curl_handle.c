/* SPDX-License-Identifier: Apache-2.0 */
#include "common/curl_handle.h"

#include <stdbool.h>

#include "common/status.h"

/* What the handles of one line share is kept in the private pointer of the one that is in use. */
static CURL *make(CURLSH *shared)
{
    CURL *curl = curl_easy_init();
    if (curl != NULL && (curl_easy_setopt(curl, CURLOPT_SHARE, shared) != CURLE_OK ||
                         curl_easy_setopt(curl, CURLOPT_PRIVATE, shared) != CURLE_OK)) {
        curl_easy_cleanup(curl);
        curl = NULL;
    }
    return curl;
}

static CURLSH *end(CURL *curl)
{
    CURLSH *shared = NULL;
    FB_ASSERT(curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&shared) == CURLE_OK &&
              shared != NULL);
    curl_easy_cleanup(curl);
    return shared;
}

CURL *fb_curl_new(void)
{
    CURLSH *shared = curl_share_init();
    if (shared == NULL) {
        return NULL;
    }
    bool is_set =
        curl_share_setopt(shared, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) == CURLSHE_OK &&
        curl_share_setopt(shared, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK &&
        curl_share_setopt(shared, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK;
    CURL *curl = is_set ? make(shared) : NULL;
    if (curl == NULL) {
        (void)curl_share_cleanup(shared);
    }
    return curl;
}

CURL *fb_curl_renew(CURL *curl)
{
    CURL *fresh = make(end(curl));
    FB_ASSERT(fresh != NULL); /* out of memory, as in fb_xcalloc */
    return fresh;
}

void fb_curl_free(CURL *curl)
{
    if (curl != NULL) {
        (void)curl_share_cleanup(end(curl));
    }
}
