/* SPDX-License-Identifier: Apache-2.0 */
#include "common/web.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "common/crypto.h"

#define MAX_FORWARDED 32768 /* more than any head holds */

bool fb_web_origin(const char *url, char *origin_r, size_t size)
{
    bool is_https = strncmp(url, "https://", 8) == 0;
    (void)snprintf(origin_r, size, "%s", url);
    const char *usual = is_https ? ":443" : ":80";
    size_t len = strlen(origin_r);
    size_t tail = strlen(usual);
    if (len > tail && strcmp(origin_r + len - tail, usual) == 0) {
        origin_r[len - tail] = '\0';
    }
    return is_https;
}

void fb_web_client(const struct fb_http_request *request, const struct fb_netlist *proxies,
                   struct fb_net_address *client_r)
{
    struct fb_buf forwarded;
    memset(client_r, 0, sizeof *client_r);
    if (request->peer == NULL || !fb_net_address_of(request->peer, client_r)) {
        return;
    }
    fb_buf_init(&forwarded, MAX_FORWARDED);
    if (fb_http_header_list(request, "X-Forwarded-For", &forwarded) == FB_OK) {
        fb_netlist_client(proxies, fb_slice_buf(&forwarded), client_r);
    }
    fb_buf_deinit(&forwarded);
}

bool fb_web_is_bearer(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";
    uint8_t a[FB_SHA256_SIZE], b[FB_SHA256_SIZE];
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *given = authorization + sizeof scheme - 1;
    fb_sha256(given, strlen(given), a);
    fb_sha256(token, strlen(token), b);
    bool is_right = fb_equal_secret(a, b, sizeof a);
    fb_wipe(b, sizeof b);
    return is_right;
}

void fb_web_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}
