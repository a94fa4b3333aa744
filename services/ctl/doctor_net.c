/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis, the relay, the services' health ports. */
#include <curl/curl.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alarm.h"
#include "common/queue/queue.h"
#include "services/ctl/doctor.h"

#define WAIT_MS     10000
#define MAX_REPLY   65536
#define LEAST_REDIS 7

/* ---- Redis ---- */

/* "name:value" of INFO's lines; "" when it is not there. */
static void info_value(const char *info, const char *name, char out[64])
{
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *at = info; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, n) == 0 && at[n] == ':') {
            size_t len = strcspn(at + n + 1, "\r\n");
            (void)snprintf(out, 64, "%.*s", (int)(len < 63 ? len : 63), at + n + 1);
            return;
        }
    }
}

static void check_settings(struct doctor *d, const char *info)
{
    char version[64], policy[64], aof[64];
    info_value(info, "redis_version", version);
    info_value(info, "maxmemory_policy", policy);
    info_value(info, "aof_enabled", aof);
    if (strtol(version, NULL, 10) < LEAST_REDIS) {
        doctor_say(d, DOCTOR_FAIL, "redis version", "install Redis 7 or later", "%s is too old",
                   version);
    } else {
        doctor_say(d, DOCTOR_OK, "redis version", "", "%s", version);
    }
    if (strcmp(policy, "noeviction") == 0) {
        doctor_say(d, DOCTOR_OK, "redis memory", "", "maxmemory-policy noeviction");
    } else {
        doctor_say(d, DOCTOR_FAIL, "redis memory",
                   "set maxmemory-policy noeviction in redis.conf (and CONFIG SET it now)",
                   "maxmemory-policy is %s: Redis may drop jobs and records of mail",
                   policy[0] != '\0' ? policy : doctor_words(d, "unknown"));
    }
    if (strcmp(aof, "1") == 0) {
        doctor_say(d, DOCTOR_OK, "redis persistence", "", "appendonly yes");
    } else {
        doctor_say(d, DOCTOR_WARN, "redis persistence",
                   "set appendonly yes in redis.conf (and CONFIG SET it now)",
                   "appendonly is no: after a restart of Redis the ledger is lost; mail is "
                   "replayed from the spool");
    }
}

/* With Sentinel and in a cluster: what a fail-over needs, so that it loses no more than a second. */
static void check_failover(struct doctor *d, const char *info, int shard)
{
    char replicas[64], good[64];
    info_value(info, "connected_slaves", replicas);
    info_value(info, "min_slaves_good_slaves", good); /* only with min-replicas-to-write */
    if (strtol(replicas, NULL, 10) < 1) {
        doctor_say(d, DOCTOR_WARN, "redis fail-over",
                   "start a replica; until then there is nothing to fail over to",
                   "the primary of shard %d has no replica", shard);
    } else if (good[0] == '\0') {
        doctor_say(d, DOCTOR_WARN, "redis fail-over",
                   "set min-replicas-to-write 1 and min-replicas-max-lag 5 in redis.conf of all of "
                   "them (and CONFIG SET them now)",
                   "the primary of shard %d takes writes when it is cut off from its replicas: "
                   "they are lost at a fail-over, and the mail is delayed until it is found again",
                   shard);
    } else {
        doctor_say(d, DOCTOR_OK, "redis fail-over", "", "the primary of shard %d has %s replica%s",
                   shard, replicas, strcmp(replicas, "1") == 0 ? "" : "s");
    }
}

/* Each primary once, by the first shard that it has. */
static enum fb_status check_primaries(struct doctor *d, struct fb_error *err)
{
    struct fb_redis *r = d->c->redis;
    const char *url = d->c->config->redis.url;
    bool is_alone = strstr(url, "+sentinel://") == NULL && strstr(url, "+cluster://") == NULL;
    int shards = is_alone ? 1 : fb_redis_shard_count(r);
    char(*seen)[64] = fb_xcalloc((size_t)shards, sizeof *seen);
    int count = 0;
    enum fb_status s = FB_OK;
    for (int shard = 0; shard < shards && s == FB_OK; shard++) {
        struct redisReply *reply = NULL;
        s = fb_redis_call_at(r, shard, &reply, err, "INFO", NULL);
        if (s != FB_OK) {
            break;
        }
        bool is_new = reply->type == REDIS_REPLY_STRING;
        if (is_new) {
            info_value(reply->str, "run_id", seen[count]);
        }
        for (int i = 0; i < count && is_new; i++) {
            is_new = strcmp(seen[i], seen[count]) != 0;
        }
        if (is_new) {
            count++;
            check_settings(d, reply->str);
            if (!is_alone) {
                check_failover(d, reply->str, shard);
            }
        }
        freeReplyObject(reply);
    }
    free(seen);
    return s;
}

static void check_held(struct doctor *d)
{
    struct fb_error err = {0};
    int64_t held = 0;
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        struct fb_queue_stats stats = {0};
        if (fb_queue_stats(d->c->redis, (enum fb_stage)stage, &stats, &err) != FB_OK) {
            doctor_say(d, DOCTOR_FAIL, "queue", "see what Redis says", "%s", err.text);
            return;
        }
        held += stats.dead;
    }
    if (held > 0) {
        doctor_say(d, DOCTOR_WARN, "held mail",
                   "`fumibako dead list` says why; then dead retry, release or reject",
                   "%lld dead letter%s wait%s for a decision", (long long)held,
                   held == 1 ? "" : "s", held == 1 ? "s" : "");
    } else {
        doctor_say(d, DOCTOR_OK, "held mail", "", "none");
    }
}

/* What the services complain of themselves: a storage that is down is known to them alone. */
static void check_alarms(struct doctor *d)
{
    struct fb_error err = {0};
    struct fb_alarm_entry *list = NULL;
    size_t count = 0;
    if (fb_alarm_list(d->c->redis, &list, &count, &err) != FB_OK) {
        doctor_say(d, DOCTOR_FAIL, "alarms", "see what Redis says", "%s", err.text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct fb_alarm_entry *e = &list[i];
        char check[40];
        char next[160];
        (void)snprintf(check, sizeof check, "alarm %s", fb_alarm_name(e->kind));
        (void)snprintf(next, sizeof next, doctor_words(d, "the log of %s has more"), e->who);
        doctor_say(d, DOCTOR_WARN, check, next, "%s", e->text);
    }
    if (count == 0) {
        doctor_say(d, DOCTOR_OK, "alarms", "", "none");
    }
    free(list);
}

void doctor_redis(struct doctor *d)
{
    struct fb_error err = {0};
    enum fb_status s =
        d->c->redis != NULL ? FB_OK : fb_redis_new(d->c->config, WAIT_MS, &d->c->redis, &err);
    if (s == FB_OK) {
        s = check_primaries(d, &err);
    }
    if (s != FB_OK) {
        d->is_redis_away = true;
        doctor_say(d, DOCTOR_FAIL, "redis",
                   s == FB_CONFIG ? "correct redis.url or redis.password"
                                  : "start Redis, or correct redis.url; mail is "
                                    "accepted meanwhile and waits in the spool",
                   "%s", err.text);
        return;
    }
    check_held(d);
    check_alarms(d);
}

/* ---- small clients ---- */

static size_t take(char *data, size_t size, size_t count, void *ctx)
{
    return fb_buf_add(ctx, data, size * count) == FB_OK ? size * count : 0;
}

/* Connects and reads what the peer says first, one line at most. */
static bool read_greeting(const struct doctor *d, const char *address, char line[256],
                          char why[CURL_ERROR_SIZE])
{
    char url[300];
    curl_socket_t fd = CURL_SOCKET_BAD;
    size_t n = 0;
    CURL *curl = curl_easy_init();
    FB_ASSERT(curl != NULL);
    (void)snprintf(url, sizeof url, "http://%s/", address);
    (void)snprintf(why, CURL_ERROR_SIZE, doctor_words(d, "no answer within %d seconds"),
                   WAIT_MS / 1000);
    line[0] = '\0';
    bool ok = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)WAIT_MS) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    if (rc != CURLE_OK) {
        (void)snprintf(why, CURL_ERROR_SIZE, "%s", curl_easy_strerror(rc));
    } else if (curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK) {
        fd = CURL_SOCKET_BAD;
    }
    int64_t deadline = fb_mono_ms() + WAIT_MS;
    while (fd != CURL_SOCKET_BAD && n < 255 && strchr(line, '\n') == NULL &&
           fb_mono_ms() < deadline) {
        size_t got = 0;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - fb_mono_ms();
        if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0) {
            break;
        }
        rc = curl_easy_recv(curl, line + n, 255 - n, &got);
        if (rc != CURLE_AGAIN && (rc != CURLE_OK || got == 0)) {
            (void)snprintf(why, CURL_ERROR_SIZE, "%s", doctor_words(d, "it closed the connection"));
            break;
        }
        n += got;
        line[n] = '\0';
    }
    if (fd != CURL_SOCKET_BAD) {
        size_t sent = 0;
        (void)curl_easy_send(curl, "QUIT\r\n", 6, &sent); /* politeness; nothing hangs on it */
    }
    curl_easy_cleanup(curl);
    line[strcspn(line, "\r\n")] = '\0';
    return n > 0;
}

void doctor_relay(struct doctor *d)
{
    const char *relay = d->c->config->rewrite.relay;
    char line[256], why[CURL_ERROR_SIZE];
    const char *next =
        "start the MTA's re-injection port or correct rewrite.relay; mail waits meanwhile";
    if (relay == NULL || strncmp(relay, "smtp://", 7) != 0) {
        doctor_say(d, DOCTOR_FAIL, "relay", "set rewrite.relay to smtp://host:port",
                   "rewrite.relay \"%s\" is no address", relay != NULL ? relay : "");
    } else if (!read_greeting(d, relay + 7, line, why)) {
        doctor_say(d, DOCTOR_FAIL, "relay", next, "%s: %s", relay, why);
    } else if (strncmp(line, "220", 3) != 0) {
        doctor_say(d, DOCTOR_FAIL, "relay", next, "%s greets with \"%.100s\" instead of 220", relay,
                   line);
    } else {
        doctor_say(d, DOCTOR_OK, "relay", "", "%s answers 220", relay);
    }
}

/* 0 when nobody answers (why says how); else the HTTP status. */
static long get(const char *url, struct fb_buf *body, char why[CURL_ERROR_SIZE])
{
    long status = 0;
    CURL *curl = curl_easy_init();
    FB_ASSERT(curl != NULL);
    bool ok = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    if (rc == CURLE_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    (void)snprintf(why, CURL_ERROR_SIZE, "%s", curl_easy_strerror(rc));
    curl_easy_cleanup(curl);
    return status;
}

static void check_service(struct doctor *d, const char *name, const char *address)
{
    char url[300], why[CURL_ERROR_SIZE], check[32], next[200];
    struct fb_buf body;
    fb_buf_init(&body, MAX_REPLY);
    (void)snprintf(check, sizeof check, "%s", name);
    (void)snprintf(url, sizeof url, "http://%s/readyz", address);
    long status = get(url, &body, why);
    if (status == 200) {
        doctor_say(d, DOCTOR_OK, check, "", "ready at %s", address);
    } else if (status == 0) {
        (void)snprintf(next, sizeof next,
                       doctor_words(d, "start fumibako-%s, or look into its log why it ended"),
                       name);
        doctor_say(d, DOCTOR_FAIL, check, next, "nobody answers at %s: %s", address, why);
    } else {
        doctor_say(d, DOCTOR_FAIL, check, "its log says more", "not ready (%ld): %.200s", status,
                   fb_buf_str(&body));
    }
    fb_buf_deinit(&body);
}

/* Installed are those whose program lies beside this one. */
static bool is_installed(const char *name)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash == NULL) {
        return true;
    }
    (void)snprintf(slash + 1, 60, "fumibako-%s", name);
    return access(path, X_OK) == 0;
}

void doctor_services(struct doctor *d)
{
    static const struct {
        const char *name;
        uint16_t port;
    } services[] = {{"ingest", 9101}, {"render", 9102}, {"upload", 9103},  {"rewrite", 9104},
                    {"revoke", 9105}, {"watch", 9106},  {"console", 9107}, {"portal", 9108}};
    const char *listen = d->c->config->metrics.listen;
    char host[64], address[128];
    uint16_t port = 0;
    if (fb_host_port(listen, host, sizeof host, &port)) { /* one service's own configuration */
        check_service(d, "service", listen);
        return;
    }
    bool is_any = strcmp(listen, "0.0.0.0") == 0 || strcmp(listen, "::") == 0 || listen[0] == '\0';
    const char *at = is_any ? "127.0.0.1" : listen;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (is_installed(services[i].name)) {
            (void)snprintf(address, sizeof address, strchr(at, ':') != NULL ? "[%s]:%u" : "%s:%u",
                           at, services[i].port);
            check_service(d, services[i].name, address);
        }
    }
}
