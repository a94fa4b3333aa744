/* SPDX-License-Identifier: Apache-2.0
 *
 * Splits the URL of Redis.  redis: and rediss: are schemes of the IANA registry; what is written
 * behind "+" is ours.  Never shows the password in an error.
 */
#include "common/redis_url.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define DEFAULT_PORT  6379
#define SENTINEL_PORT 26379
#define MAX_URL       4096
#define MAX_DB        65535
#define MAX_NAME      128

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A decoded copy, or NULL for a broken escape or a NUL. */
static char *percent_decode(const char *text, size_t len)
{
    char *out = fb_xcalloc(len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = -1;
            int low = -1;
            if (len - i > 2) {
                high = hex_digit(text[i + 1]);
                low = hex_digit(text[i + 2]);
            }
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                explicit_bzero(out, len + 1);
                free(out);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    return out;
}

static bool parse_number(const char *text, size_t len, uint32_t max, uint32_t *number_r)
{
    if (len == 0 || len > 6) {
        return false;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    *number_r = n;
    return n <= max;
}

static enum fb_status parse_user_info(const char *text, size_t len, struct fb_redis_url *u,
                                      struct fb_error *err)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon != NULL ? (size_t)(colon - text) : len;
    if (user_len > 0) {
        u->user = percent_decode(text, user_len);
        if (u->user == NULL) {
            return fb_error_set(err, FB_CONFIG, "redis.url: broken %%-escape in the user name");
        }
    }
    if (colon != NULL) {
        u->password = percent_decode(colon + 1, len - user_len - 1);
        if (u->password == NULL) {
            return fb_error_set(err, FB_CONFIG, "redis.url: broken %%-escape in the password");
        }
    }
    return FB_OK;
}

static enum fb_status parse_host(const char *text, size_t len, struct fb_redis_url *u,
                                 struct fb_error *err)
{
    const char *port = NULL;
    size_t host_len = len;
    if (u->host_count == FB_REDIS_MAX_HOSTS) {
        return fb_error_set(err, FB_CONFIG, "redis.url: more than %d hosts", FB_REDIS_MAX_HOSTS);
    }
    if (len > 0 && text[0] == '[') { /* RFC 3986 3.2.2: an IPv6 address */
        const char *end = memchr(text, ']', len);
        if (end == NULL) {
            return fb_error_set(err, FB_CONFIG, "redis.url: \"[\" without \"]\"");
        }
        const char *rest = end + 1;
        if (rest < text + len) {
            if (*rest != ':') {
                return fb_error_set(err, FB_CONFIG, "redis.url: only :port may follow \"]\"");
            }
            port = rest + 1;
        }
        len--;
        text++;
        host_len = (size_t)(end - text);
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon != NULL) {
            host_len = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    struct fb_redis_host *host = &u->hosts[u->host_count];
    if (memchr(text, ',', host_len) != NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "redis.url: several hosts need redis+sentinel:// or redis+cluster://");
    }
    if (host_len == 0 || host_len >= sizeof host->name) {
        return fb_error_set(err, FB_CONFIG,
                            "redis.url: a host is missing, as in redis://127.0.0.1:6379/0");
    }
    memcpy(host->name, text, host_len);
    host->name[host_len] = '\0';
    host->port = u->mode == FB_REDIS_SENTINEL ? SENTINEL_PORT : DEFAULT_PORT;
    if (port != NULL) {
        uint32_t number = 0;
        if (!parse_number(port, len - (size_t)(port - text), UINT16_MAX, &number) || number == 0) {
            return fb_error_set(err, FB_CONFIG,
                                "redis.url: the port is not a number from 1 to 65535");
        }
        host->port = (uint16_t)number;
    }
    u->host_count++;
    return FB_OK;
}

static enum fb_status parse_hosts(const char *text, size_t len, struct fb_redis_url *u,
                                  struct fb_error *err)
{
    const char *end = text + len;
    for (;;) {
        const char *comma =
            u->mode == FB_REDIS_SINGLE ? NULL : memchr(text, ',', (size_t)(end - text));
        enum fb_status s = parse_host(text, (size_t)((comma != NULL ? comma : end) - text), u, err);
        if (s != FB_OK || comma == NULL) {
            return s;
        }
        text = comma + 1;
    }
}

/* What follows the hosts: "/db", with Sentinel "/name/db". */
static enum fb_status parse_tail(const char *tail, struct fb_redis_url *u, struct fb_error *err)
{
    if (*tail == '/' && u->mode == FB_REDIS_SENTINEL) {
        size_t len = strcspn(tail + 1, "/?#");
        if (len > 0 && len <= MAX_NAME) {
            u->primary = percent_decode(tail + 1, len);
        }
        tail += 1 + len;
    }
    if (u->mode == FB_REDIS_SENTINEL && u->primary == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "redis.url: the name of the primary is missing, as in "
                            "redis+sentinel://h1,h2,h3/mymaster/0");
    }
    if (*tail == '/' && tail[1] != '\0' &&
        !parse_number(tail + 1, strlen(tail + 1), MAX_DB, &u->db)) {
        return fb_error_set(err, FB_CONFIG,
                            "redis.url: what follows \"/\" is not a database number");
    }
    if (*tail == '?' || *tail == '#') {
        return fb_error_set(
            err, FB_CONFIG,
            "redis.url: \"?\" and \"#\" are not supported (in a password: %%3F, %%23)");
    }
    if (u->mode == FB_REDIS_CLUSTER && u->db != 0) {
        return fb_error_set(err, FB_CONFIG, "redis.url: a cluster has database 0 only");
    }
    return FB_OK;
}

/* What follows the scheme; NULL when it is none of ours. */
static const char *parse_scheme(const char *url, struct fb_redis_url *u)
{
    static const struct {
        const char *text;
        enum fb_redis_mode mode;
    } kinds[] = {{"://", FB_REDIS_SINGLE},
                 {"+sentinel://", FB_REDIS_SENTINEL},
                 {"+cluster://", FB_REDIS_CLUSTER}};
    if (strncmp(url, "redis", 5) != 0) {
        return NULL;
    }
    url += 5;
    u->is_tls = *url == 's';
    url += u->is_tls;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(url, kinds[i].text, strlen(kinds[i].text)) == 0) {
            u->mode = kinds[i].mode;
            return url + strlen(kinds[i].text);
        }
    }
    return NULL;
}

enum fb_status fb_redis_url_parse(const char *url, struct fb_redis_url *url_r, struct fb_error *err)
{
    struct fb_redis_url u = {.mode = FB_REDIS_SINGLE};
    if (url == NULL || strnlen(url, MAX_URL + 1) > MAX_URL) {
        return fb_error_set(err, FB_CONFIG, "redis.url: missing or longer than %d bytes", MAX_URL);
    }
    const char *rest = parse_scheme(url, &u);
    if (rest == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "redis.url: begins with none of redis://, redis+sentinel://, "
                            "redis+cluster:// (rediss... for TLS)");
    }
    size_t len = strcspn(rest, "/?#");
    enum fb_status s = parse_tail(rest + len, &u, err);
    /* The last @ ends the user information: clumsy passwords hold one. */
    const char *at = memrchr(rest, '@', len);
    if (at != NULL) {
        if (s == FB_OK) {
            s = parse_user_info(rest, (size_t)(at - rest), &u, err);
        }
        len -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    if (s == FB_OK) {
        s = parse_hosts(rest, len, &u, err);
    }
    if (s != FB_OK) {
        fb_redis_url_deinit(&u);
        return s;
    }
    *url_r = u;
    return FB_OK;
}

void fb_redis_url_deinit(struct fb_redis_url *url)
{
    if (url->password != NULL) {
        explicit_bzero(url->password, strlen(url->password));
    }
    free(url->password);
    free(url->user);
    free(url->primary);
    *url = (struct fb_redis_url){.is_tls = false};
}
