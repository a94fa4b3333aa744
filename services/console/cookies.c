/* SPDX-License-Identifier: Apache-2.0
 *
 * Cookies, the origin of pages, and browsers that are known. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/id.h"
#include "services/console/accounts.h"

#define KNOWN_S  15552000 /* 180 days */
#define HMAC_MAX 4096
#define NONCE    16

static const struct {
    const char *plain,
        *secure; /* "__Host-": this host alone, https, the whole of it (RFC 6265bis) */
    const char *same_site;
} cookies[] = {
    [COOKIE_SESSION] = {"fumibako", "__Host-fumibako", "Strict"},
    /* Lax: the provider sends the browser back to us. */
    [COOKIE_BEGIN] = {"fumibako-begin", "__Host-fumibako-begin", "Lax"},
    [COOKIE_KNOWN] = {"fumibako-known", "__Host-fumibako-known", "Strict"},
};

static const char *name_of(const struct call *c, enum cookie which)
{
    return c->console->is_https ? cookies[which].secure : cookies[which].plain;
}

const char *cookie_get(const struct call *c, enum cookie which)
{
    return fb_http_cookie(c->request, name_of(c, which));
}

void cookie_set(struct call *c, enum cookie which, const char *value, int64_t max_age_s)
{
    char age[40] = "";
    if (max_age_s >= 0) {
        (void)snprintf(age, sizeof age, "; Max-Age=%lld", (long long)max_age_s);
    }
    fb_http_answer_header(c->answer, "Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=%s%s%s",
                          name_of(c, which), value, cookies[which].same_site,
                          c->console->is_https ? "; Secure" : "", age);
}

void account_hmac(const struct call *c, const char *purpose, const char *a, const char *b,
                  char out_r[FB_ACCOUNT_HASH])
{
    const char *const parts[] = {purpose, a, b};
    uint8_t mac[FB_SHA256_SIZE];
    struct fb_buf text;
    fb_buf_init(&text, HMAC_MAX);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        FB_ASSERT(fb_buf_add(&text, parts[i], strlen(parts[i]) + 1) == FB_OK);
    }
    fb_hmac_sha256(fb_slice_of(c->console->accounts->key, FB_KEY_SIZE), fb_slice_buf(&text), mac);
    fb_wipe(text.ptr, text.len);
    fb_buf_deinit(&text);
    fb_hex(mac, sizeof mac, out_r);
}

/* ---- where pages come from ---- */

/* Names of this machine alone: a name of somebody else could be made to point here (DNS rebinding). */
static bool is_own_host(const char *host)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        size_t len = strlen(own[i]);
        if (strncasecmp(host, own[i], len) == 0 && (host[len] == '\0' || host[len] == ':')) {
            return strspn(host + len, ":0123456789") == strlen(host + len);
        }
    }
    return false;
}

bool account_origin(const struct call *c, char *out, size_t size)
{
    const char *host = fb_http_header(c->request, "Host");
    int n = 0;
    if (c->console->origin[0] != '\0') {
        n = snprintf(out, size, "%s", c->console->origin);
    } else if (host != NULL && is_own_host(host)) {
        n = snprintf(out, size, "http://%s", host);
    }
    return n > 0 && (size_t)n < size;
}

bool account_is_foreign(const struct call *c)
{
    char own[320];
    const char *origin = fb_http_header(c->request, "Origin");
    const char *site = fb_http_header(c->request, "Sec-Fetch-Site");
    if (!account_origin(c, own, sizeof own)) {
        return true;
    }
    if (origin != NULL) {
        return strcmp(origin, own) != 0;
    }
    return site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

/* ---- browsers that are known: <handle>.<end in s>.<random>.<HMAC> ---- */

static void sign_known(const struct call *c, const char *handle, const char *rest,
                       char out_r[FB_ACCOUNT_HASH])
{
    account_hmac(c, "known", handle, rest, out_r);
}

static bool is_known(const struct call *c, const struct fb_account *a)
{
    char rest[ACCOUNT_KNOWN], mac[FB_ACCOUNT_HASH];
    const char *cookie = cookie_get(c, COOKIE_KNOWN);
    size_t handle = FB_ACCOUNT_HANDLE - 1;
    if (cookie == NULL || strlen(cookie) >= ACCOUNT_KNOWN ||
        strlen(cookie) < handle + FB_ACCOUNT_HASH + 2 || strncmp(cookie, a->handle, handle) != 0 ||
        cookie[handle] != '.') {
        return false;
    }
    (void)snprintf(rest, sizeof rest, "%s", cookie + handle + 1);
    char *dot = strrchr(rest, '.');
    if (dot == NULL || strlen(dot + 1) != FB_ACCOUNT_HASH - 1) {
        return false;
    }
    *dot = '\0';
    sign_known(c, a->handle, rest, mac);
    return fb_equal_secret(mac, dot + 1, FB_ACCOUNT_HASH - 1) &&
           strtoll(rest, NULL, 10) > fb_now_ms() / 1000;
}

void account_throttle_name(const struct call *c, const char *user, const struct fb_account *a,
                           char *out, size_t size)
{
    if (a != NULL && is_known(c, a)) {
        (void)snprintf(out, size, "%s %s", user, cookie_get(c, COOKIE_KNOWN));
    } else {
        (void)snprintf(out, size, "%s", user);
    }
}

void account_know_browser(struct call *c, const struct fb_account *a)
{
    char rest[80], mac[FB_ACCOUNT_HASH], value[ACCOUNT_KNOWN], nonce[2 * NONCE + 1];
    uint8_t raw[NONCE];
    if (is_known(c, a)) {
        return;
    }
    fb_random(raw, sizeof raw);
    fb_hex(raw, sizeof raw, nonce);
    (void)snprintf(rest, sizeof rest, "%" PRId64 ".%s", fb_now_ms() / 1000 + KNOWN_S, nonce);
    sign_known(c, a->handle, rest, mac);
    (void)snprintf(value, sizeof value, "%s.%s.%s", a->handle, rest, mac);
    cookie_set(c, COOKIE_KNOWN, value, KNOWN_S);
}
