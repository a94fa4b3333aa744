/* SPDX-License-Identifier: Apache-2.0
 *
 * Invariants
 *  1. No socket is opened but by open_socket, which has seen the address it will connect to: what a name stood for a
 *     moment before does not count, so that a name that changes (DNS rebinding) gains nothing.
 *  2. A handle serves one transfer, so no connection is found that another rule let through.
 *  3. What an answer says of itself (type, length, encoding) is not believed: bytes are counted, and looked at.
 */
#include "services/fetch/download.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/image_type.h"
#include "services/fetch/address.h"

#define MAX_REDIRECTS 3L
#define MAX_HEAD      (64U << 10) /* of all answers of a transfer together */
#define CONNECT_MS    3000L
#define HTTP_PORT     80
#define HTTPS_PORT    443
#define AGENT         "Mozilla/5.0 (compatible; mail image)"
#define ACCEPT        "Accept: image/png,image/jpeg,image/gif;q=0.9,image/webp;q=0.8"

struct transfer {
    const struct fetch_rules *rules;
    struct fetch_image *image;
    size_t head;
    bool is_refused, is_type, is_too_big;
};

const char *fetch_outcome_name(enum fetch_outcome outcome)
{
    static const char *const names[FETCH_OUTCOMES] = {
        [FETCH_OK] = "ok",         [FETCH_REFUSED] = "refused", [FETCH_MISSING] = "missing",
        [FETCH_TYPE] = "type",     [FETCH_TOO_BIG] = "too_big", [FETCH_TIMEOUT] = "timeout",
        [FETCH_FAILED] = "failed",
    };
    return names[outcome];
}

/* ---- where to ---- */

static uint16_t port_of(const struct sockaddr *sa)
{
    return sa->sa_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port)
               : ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
}

static bool may_connect(const struct fetch_rules *rules, const struct sockaddr *sa)
{
    struct fb_net_address address;
    if (!fb_net_address_of(sa, &address)) {
        return false;
    }
    if (fb_netlist_has(rules->allow, &address)) {
        return true;
    }
    uint16_t port = port_of(sa);
    return (port == HTTP_PORT || port == HTTPS_PORT) && fetch_address_is_public(&address) &&
           !fb_netlist_has(rules->deny, &address);
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN || !may_connect(t->rules, &a->addr)) {
        t->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- what comes ---- */

static size_t take_head(char *data, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    (void)data;
    t->head += size * count;
    return t->head <= MAX_HEAD ? size * count : 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    struct fb_buf *bytes = &t->image->bytes;
    if (fb_buf_add(bytes, data, size * count) != FB_OK) {
        t->is_too_big = true;
        return 0;
    }
    if (bytes->len >= FB_IMAGE_TYPE_BYTES && fb_image_type(fb_slice_buf(bytes)) == NULL) {
        t->is_type = true; /* a page, or a film: the rest need not come */
        return 0;
    }
    return size * count;
}

/* ---- one transfer ---- */

static bool set_route(CURL *curl, struct transfer *t, const char *url)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK && /* nor one of the environment */
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK;
}

static bool set_limits(CURL *curl, struct transfer *t)
{
    return curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)FETCH_TIME_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)FETCH_MAX_BYTES) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, t) == CURLE_OK;
}

/* HTTP/1.1 alone, and no content coding: less of the library for a stranger to talk to, and no bomb to unpack. */
static bool set_manners(CURL *curl, const struct curl_slist *headers)
{
    return curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, AGENT) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
}

static enum fetch_outcome outcome_of(const struct transfer *t, CURL *curl, CURLcode code)
{
    long status = 0;
    bool is_answered =
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
    switch (code) {
    case CURLE_OK:
        if (!is_answered) {
            return FETCH_MISSING;
        }
        return fb_image_type(fb_slice_buf(&t->image->bytes)) != NULL ? FETCH_OK : FETCH_TYPE;
    case CURLE_OPERATION_TIMEDOUT:
        return FETCH_TIMEOUT;
    case CURLE_FILESIZE_EXCEEDED:
        return FETCH_TOO_BIG;
    case CURLE_HTTP_RETURNED_ERROR:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_REMOTE_FILE_NOT_FOUND:
        return FETCH_MISSING;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED:
        return FETCH_REFUSED;
    default:
        return t->is_refused               ? FETCH_REFUSED
               : t->is_type && is_answered ? FETCH_TYPE
               : t->is_too_big             ? FETCH_TOO_BIG
                                           : FETCH_FAILED;
    }
}

bool fetch_url_is_sane(const char *url, char *host_r, size_t host_size)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    char *host = NULL;
    char *user = NULL;
    bool is_sane = parts != NULL && strlen(url) <= FETCH_MAX_URL &&
                   curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                   curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                   (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                   curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    (void)snprintf(host_r, host_size, "%s", host != NULL ? host : "");
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(parts);
    return is_sane;
}

void fetch_download(const struct fetch_rules *rules, const char *url, struct fetch_image *image_r)
{
    struct transfer t = {.rules = rules, .image = image_r};
    *image_r = (struct fetch_image){.outcome = FETCH_FAILED};
    fb_buf_init(&image_r->bytes, FETCH_MAX_BYTES);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, ACCEPT);
    if (curl != NULL && headers != NULL && set_route(curl, &t, url) && set_limits(curl, &t) &&
        set_manners(curl, headers)) {
        CURLcode code = curl_easy_perform(curl);
        image_r->outcome = outcome_of(&t, curl, code);
    }
    if (image_r->outcome == FETCH_OK) {
        image_r->type = fb_image_type(fb_slice_buf(&image_r->bytes));
    } else {
        fb_buf_deinit(&image_r->bytes);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
}
