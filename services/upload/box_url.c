/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses may get our token: Box names some in its answers, and an answer is not to be
 * believed in everything. */
#include <string.h>
#include <strings.h>

#include "services/upload/box_internal.h"

static bool url_part(CURLU *u, CURLUPart part, unsigned flags, char **out)
{
    return curl_url_get(u, part, out, flags) == CURLUE_OK && *out != NULL;
}

struct origin {
    char *scheme, *host, *port;
    bool has_user;
};

static bool origin_open(const char *url, struct origin *o)
{
    char *user = NULL;
    *o = (struct origin){0};
    CURLU *u = curl_url();
    bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              url_part(u, CURLUPART_SCHEME, 0, &o->scheme) &&
              url_part(u, CURLUPART_HOST, 0, &o->host) &&
              url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &o->port);
    o->has_user = u != NULL && url_part(u, CURLUPART_USER, 0, &user);
    curl_free(user);
    curl_url_cleanup(u);
    return ok;
}

static void origin_close(struct origin *o)
{
    curl_free(o->scheme);
    curl_free(o->host);
    curl_free(o->port);
}

static bool is_same_origin(const struct origin *a, const char *url)
{
    struct origin b;
    bool same = origin_open(url, &b) && strcasecmp(a->scheme, b.scheme) == 0 &&
                strcasecmp(a->host, b.host) == 0 && strcmp(a->port, b.port) == 0;
    origin_close(&b);
    return same;
}

static bool is_below(const char *host, const char *domain)
{
    size_t h = strlen(host);
    size_t d = strlen(domain);
    return h > d + 1 && host[h - d - 1] == '.' && strcasecmp(host + h - d, domain) == 0;
}

bool box_url_is_trusted(const struct storage_session *s, const char *url)
{
    struct origin o;
    bool ok = origin_open(url, &o) && !o.has_user;
    if (ok) {
        bool is_box = strcasecmp(o.scheme, "https") == 0 && strcmp(o.port, "443") == 0 &&
                      (is_below(o.host, "box.com") || is_below(o.host, "boxcloud.com"));
        ok = is_box || is_same_origin(&o, s->api_url) || is_same_origin(&o, s->upload_url);
    }
    origin_close(&o);
    return ok;
}
