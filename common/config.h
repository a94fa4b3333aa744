/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: one YAML file, each scalar overridden by FUMIBAKO_<SECTION>_<KEY>, each secret
 * also as <key>_file.  config_table.c is the single list of keys with type, default, bounds and
 * help; the README's table is compared with it by a test.
 */
#ifndef FB_COMMON_CONFIG_H
#define FB_COMMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define FB_MAX_PATHS 16 /* of vault.roots, of portal.reads */

struct fb_string_list {
    char **items;
    size_t count;
};

struct fb_config {
    struct {
        char *url; /* one server, sentinels or a cluster: common/redis_url.h */
        int64_t shards;
        char *password;
        char *sentinel_user, *sentinel_password; /* NULL: as for Redis */
    } redis;
    struct {
        char *url; /* file:///path */
        char *key_file;
    } spool;
    struct {
        char *smtp, *lmtp, *http; /* host:port, NULL = off */
        char *token;              /* bearer token of HTTP; NULL = http off */
        int64_t max_message, max_recipients;
        char *tls_cert_file, *tls_key_file;
        struct fb_string_list allow; /* CIDR networks that may connect */
        struct fb_string_list
            xforward; /* CIDR networks that may use XFORWARD; default = 127.0.0.0/8, ::1/128 */
        int64_t high_water; /* percent of the spool's file system */
        int64_t spool_max;  /* bytes of spool at most; 0 = only high_water */
        int64_t max_connections, max_connections_per_client;
        int64_t command_timeout_ms; /* RFC 5321 4.5.3.2.7: at least 5 minutes */
        int64_t sweep_after_ms; /* open messages without progress for so long are looked after */
        int64_t
            queue_age_max_ms; /* a job may wait so long in the normal lane; 0 = does not count */
        int64_t redis_memory_max; /* percent of Redis' maxmemory */
        char *name; /* segment writer's name (stable per pod); default: the host's name */
    } ingest;
    struct {
        int64_t sender_burst; /* mails that one sender may hand in at once */
        int64_t sender_rate;  /* a minute, in the long run; 0 = all mail is equal */
    } queue;
    struct {
        int64_t concurrency, timeout_ms, memory;
        char *paper, *engine;
        char *tagged, *pdfa; /* "true", "false" */
        char *chromium;      /* program, NULL = looked up */
        char *chromium_user; /* whom it runs as when render is root */
        int64_t recycle;
        char *remote_images; /* http(s)://host[:port] of fetch; NULL = none are fetched */
    } render;
    struct {
        char *listen;                      /* host:port */
        char *token;                       /* bearer token, known to render as well */
        struct fb_string_list allow, deny; /* CIDR networks besides, and without, the public ones */
        int64_t concurrency, keep_ms;
    } fetch;
    struct {
        int64_t concurrency;
    } upload;
    struct {
        char *relay; /* smtp://host:port */
        int64_t concurrency, lifetime_ms;
        char *postmaster;
        char *alarm_mail;         /* "on", "off" */
        int64_t delay_warning_ms; /* 0 = senders are not told of a delay */
        char *key;                /* signs our id and receipt links */
        char *helo;
    } rewrite;
    struct {
        int64_t concurrency;
        int64_t settle_ms; /* what a storage may take to tell of an access */
    } revoke;
    struct {
        int64_t interval_ms;
        char *listen;                                      /* host:port of webhooks; NULL = off */
        char *webhook_primary_key, *webhook_secondary_key; /* verify their signatures */
    } watch;
    struct {
        char *listen, *public_url, *users_file;
        struct fb_string_list proxies; /* CIDR networks whose X-Forwarded-For is believed */
        int64_t session_idle_ms, session_max_ms;                 /* of an administrator's session */
        int64_t password_memory, password_passes;                /* what argon2id costs */
        char *oidc_issuer, *oidc_client_id, *oidc_client_secret; /* NULL = no OIDC */
        char *oidc_role_claim, *oidc_role_default;
    } console;
    struct {
        char *listen;
        char *public_url;              /* http(s)://host[:port]; NULL = letters carry no link */
        struct fb_string_list proxies; /* CIDR networks whose X-Forwarded-For is believed */
        int64_t session_idle_ms, session_max_ms; /* of a recipient's session */
        char *ingest_url;  /* http://host:port that takes replies; NULL = by ingest.http */
        int64_t reply_max; /* bytes of a reply's text and files; 0 = no replies */
        struct fb_string_list reads; /* what the policy names and the portal may open */
    } portal;
    struct {
        struct fb_string_list
            roots; /* at most FB_MAX_PATHS; folders in or beneath which file:// vaults lie */
    } vault;
    struct {
        char *listen; /* host, or host:port for one service */
    } metrics;
    struct {
        char *source; /* "redis" or "file:PATH" */
        char *cache;
    } policy;
    struct {
        char *level, *format;
    } log;
    struct {
        char *otlp_url; /* http(s)://host[:port] of a collector; NULL = no spans */
        char *token;    /* bearer token for it */
        int64_t sample; /* percent of the messages */
    } tracing;
    struct {
        int64_t ledger_ms, dead_ms;
    } retention;
    struct {
        char *confine; /* "auto", "required", "off": common/confine.h */
    } security;
};

/* Loads path (NULL: $FUMIBAKO_CONFIG, then /etc/fumibako/fumibako.yaml), applies the environment,
 * checks. FB_CONFIG with "file:line: section.key: what is wrong and what would be right" otherwise.
 */
FB_MUST_USE enum fb_status fb_config_load(const char *path, struct fb_config **config_r,
                                          struct fb_error *err);
void fb_config_free(struct fb_config **c);
/* Overwrites the secrets that a process has no use for; they are empty afterwards.  kept: those that
 * stay, as "rewrite.key", and NULL behind the last.  Without "redis.password" redis.url goes as well. */
void fb_config_forget(const struct fb_config *c, const char *const *kept);
/* The effective configuration as YAML, secrets as ***. */
FB_MUST_USE enum fb_status fb_config_dump(const struct fb_config *c, struct fb_buf *out);
/* The table of keys in Markdown, for the README and its test. */
FB_MUST_USE enum fb_status fb_config_table(struct fb_buf *out);

/* Splits "host:port", "[::1]:port"; false when it is neither. */
bool fb_host_port(const char *text, char *host, size_t host_size, uint16_t *port_r);

#endif
