/* SPDX-License-Identifier: Apache-2.0 */
#include "common/confine.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/redis_url.h"

#define LANDLOCK_FILES 1
#define LANDLOCK_TCP   4
#define DNS_PORT       53
#define HTTP_PORT      80
#define HTTPS_PORT     443

#ifndef FB_COVERAGE
#define FB_COVERAGE 0 /* a build that counts writes its counters beside its objects */
#endif

enum access { READ, WRITE, LIST };

static void add(struct fb_confine_rules *r, const char *path, enum access access)
{
    if (path == NULL || path[0] != '/') {
        return; /* off, or a relative path of a test, which then is as the system permits */
    }
    FB_ASSERT(r->path_count < FB_CONFINE_PATHS);
    r->paths[r->path_count].path = fb_xstrdup(path);
    r->paths[r->path_count].is_written = access == WRITE;
    r->paths[r->path_count].is_list_only = access == LIST;
    r->path_count++;
}

static void add_parent(struct fb_confine_rules *r, const char *path, enum access access)
{
    char *copy = fb_xstrdup(path);
    add(r, dirname(copy), access);
    free(copy);
}

/* A file that may be replaced while we run: the folder of the name, and of what a link leads to. */
static void add_replaced(struct fb_confine_rules *r, const char *path)
{
    if (path == NULL || path[0] != '/') {
        return;
    }
    add_parent(r, path, READ);
    char *real = realpath(path, NULL);
    if (real != NULL) {
        add_parent(r, real, READ);
    }
    free(real);
}

/* A file, and where a link leads to. */
static void add_file(struct fb_confine_rules *r, const char *path)
{
    char *real = realpath(path, NULL);
    add(r, path, READ);
    if (real != NULL && strcmp(real, path) != 0) {
        add(r, real, READ);
    }
    free(real);
}

static void add_folder(struct fb_confine_rules *r, const char *path, enum access access)
{
    if (path == NULL || path[0] != '/') {
        return;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return; /* whoever needs it says what is wrong */
    }
    add(r, path, access);
}

/* What libraries read, and when: at their start, for a name's address, for a certificate. */
static void add_system(struct fb_confine_rules *r)
{
    static const char *const paths[] = {
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc/ssl",
        "/etc/pki",
        "/etc/hosts",
        "/etc/host.conf",
        "/etc/gai.conf",
        "/etc/nsswitch.conf",
        "/etc/services",
        "/etc/protocols",
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/etc/passwd",
        "/etc/group",
        "/proc/self",
        "/proc/sys",
        "/proc/meminfo",
        "/proc/cpuinfo",
        "/proc/stat",
        "/sys/devices/system",
        "/sys/fs/cgroup",
        "/dev/urandom",
        "/dev/random",
        "/dev/null",
        "/dev/zero",
        "/etc/resolv.conf",
        "/etc/locale.alias",
        "/etc/ca-certificates",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        add(r, paths[i], READ);
    }
    /* Often a link into a folder of the program that writes it anew with each network. */
    char *real = realpath("/etc/resolv.conf", NULL);
    if (real != NULL && strncmp(real, "/run/", 5) == 0) {
        add_parent(r, real, READ);
    }
    free(real);
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        add(r, self, READ); /* for the report of a sanitizer */
    }
    /* Where OpenSSL and libcurl were told to look. */
    static const char *const variables[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF",
                                            "CURL_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        add(r, getenv(variables[i]), READ);
    }
}

/* A service that reads vaults and nothing else of storages connects to a bucket only when it was told
 * how to find one. */
static bool has_aws_environment(void)
{
    static const char *const variables[] = {"AWS_REGION",
                                            "AWS_DEFAULT_REGION",
                                            "AWS_ENDPOINT_URL",
                                            "AWS_ENDPOINT_URL_S3",
                                            "AWS_PROFILE",
                                            "AWS_ACCESS_KEY_ID",
                                            "AWS_WEB_IDENTITY_TOKEN_FILE",
                                            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                            "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        if (getenv(variables[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* What AWS' own variables name, and the files where its tools look. */
static void add_aws(struct fb_confine_rules *r)
{
    static const char *const variables[] = {
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        add_replaced(r, getenv(variables[i]));
    }
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/') {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/.aws", home);
        add(r, n > 0 && (size_t)n < sizeof path ? path : NULL, READ);
    }
}

static void add_remote_spool(struct fb_confine_rules *r)
{
    const char *temporary = getenv("TMPDIR");
    add_aws(r);
    add(r, temporary != NULL && temporary[0] == '/' ? temporary : "/tmp", WRITE);
}

static bool is_remote(const struct fb_config *c)
{
    return strncmp(c->spool.url, "file://", 7) != 0;
}

#define VAULTS ((unsigned)FB_USES_VAULT | (unsigned)FB_USES_VAULT_READ)

static void add_files(const struct fb_config *c, unsigned uses, struct fb_confine_rules *r)
{
    add_system(r);
    if ((uses & FB_USES_PORTAL) != 0) {
        /* Everybody talks to it: it gets what is named, and no more. */
        for (size_t i = 0; i < c->portal.reads.count; i++) {
            add_file(r, c->portal.reads.items[i]);
        }
    } else if ((uses & FB_USES_NAMED_FILES) != 0) {
        add(r, "/", READ);
    }
    bool has_bucket = (uses & VAULTS) != 0 && has_aws_environment();
    if (has_bucket) {
        add_aws(r);
    }
    if ((uses & FB_USES_SPOOL) != 0) {
        add(r, c->spool.key_file, READ);
        if (is_remote(c)) {
            add_remote_spool(r);
        } else {
            add_folder(r, c->spool.url + 7, WRITE);
            add_parent(r, c->spool.url + 7, LIST); /* is synced when the spool is made */
        }
    }
    for (size_t i = 0; (uses & VAULTS) != 0 && i < c->vault.roots.count; i++) {
        add_folder(r, c->vault.roots.items[i], (uses & FB_USES_VAULT) != 0 ? WRITE : READ);
        add_parent(r, c->vault.roots.items[i], LIST); /* is synced when a vault is made */
    }
    if ((uses & FB_USES_POLICY) != 0) {
        add_folder(r, c->policy.cache, WRITE);
        if (strncmp(c->policy.source, "file:", 5) == 0) {
            add_replaced(r, c->policy.source + 5);
        }
    }
    if ((uses & FB_USES_CONSOLE) != 0 && c->console.users_file != NULL) {
        char *copy = fb_xstrdup(c->console.users_file);
        add_folder(r, dirname(copy), WRITE); /* the file is replaced as a whole */
        free(copy);
    }
    if ((uses & FB_USES_SMTP_SERVER) != 0) {
        add_replaced(r, c->ingest.tls_cert_file);
        add_replaced(r, c->ingest.tls_key_file);
    }
}

static void add_listener(struct fb_confine_rules *r, const char *address)
{
    char host[256];
    uint16_t port = 0;
    if (address != NULL && fb_host_port(address, host, sizeof host, &port)) {
        FB_ASSERT(r->listen_count < FB_CONFINE_PORTS);
        r->listens[r->listen_count++] = port;
    }
}

static void add_listeners(const struct fb_config *c, unsigned uses, uint16_t metrics_port,
                          struct fb_confine_rules *r)
{
    char host[64];
    uint16_t port = metrics_port;
    if (!fb_host_port(c->metrics.listen, host, sizeof host, &port)) {
        port = metrics_port;
    }
    r->listens[r->listen_count++] = port;
    if ((uses & FB_USES_SMTP_SERVER) != 0) {
        add_listener(r, c->ingest.smtp);
        add_listener(r, c->ingest.lmtp);
        add_listener(r, c->ingest.http);
    }
    if ((uses & FB_USES_PORTAL) != 0) {
        add_listener(r, c->portal.listen);
    }
    if ((uses & FB_USES_WEBHOOK) != 0) {
        add_listener(r, c->watch.listen);
    }
    if ((uses & FB_USES_CONSOLE) != 0) {
        add_listener(r, c->console.listen);
    }
    if ((uses & FB_USES_WEB) != 0) {
        add_listener(r, c->fetch.listen);
    }
}

/* The port of an origin, as fb_config_load let it through. */
static void add_origin(const char *url, struct fb_confine_rules *r)
{
    char host[256];
    uint16_t port = 0;
    const char *address = strstr(url, "://");
    if (address != NULL && fb_host_port(address + 3, host, sizeof host, &port)) {
        r->connects[r->connect_count++] = port;
    } else {
        r->connects[r->connect_count++] = strncmp(url, "https:", 6) == 0 ? HTTPS_PORT : HTTP_PORT;
    }
}

/* Where replies are handed in. */
static void add_ingest(const struct fb_config *c, struct fb_confine_rules *r)
{
    char host[256];
    uint16_t port = 0;
    if (c->ingest.token == NULL || c->portal.reply_max == 0) {
        return;
    }
    if (c->portal.ingest_url != NULL) {
        add_origin(c->portal.ingest_url, r);
    } else if (c->ingest.http != NULL && fb_host_port(c->ingest.http, host, sizeof host, &port)) {
        r->connects[r->connect_count++] = port;
    }
}

/* The web, and nothing else; a network of fetch.allow may have its pictures on any port. */
static void add_web(const struct fb_config *c, struct fb_confine_rules *r)
{
    static const uint16_t ports[] = {HTTP_PORT, HTTPS_PORT, DNS_PORT};
    r->has_connect_rules = c->fetch.allow.count == 0;
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        r->connects[r->connect_count++] = ports[i];
    }
    if (c->tracing.otlp_url != NULL) {
        add_origin(c->tracing.otlp_url, r);
    }
}

/* Known at the start: one Redis and the relay.  Sentinels and clusters name others later, storages
 * stand in the policy, buckets in AWS' own variables. */
static void add_peers(const struct fb_config *c, unsigned uses, struct fb_confine_rules *r)
{
    struct fb_redis_url redis;
    struct fb_error err = {0};
    char host[256];
    uint16_t port = 0;
    bool has_bucket = (uses & FB_USES_VAULT_READ) != 0 && has_aws_environment();
    if ((uses & FB_USES_WEB) != 0) {
        add_web(c, r);
        return;
    }
    if ((uses & FB_USES_STORAGES) != 0 || has_bucket ||
        ((uses & FB_USES_SPOOL) != 0 && is_remote(c)) ||
        fb_redis_url_parse(c->redis.url, &redis, &err) != FB_OK) {
        return;
    }
    r->has_connect_rules = redis.mode == FB_REDIS_SINGLE && redis.host_count == 1;
    r->connects[r->connect_count++] = redis.hosts[0].port;
    r->connects[r->connect_count++] = DNS_PORT; /* answers too long for UDP */
    fb_redis_url_deinit(&redis);
    if (c->tracing.otlp_url != NULL) {
        add_origin(c->tracing.otlp_url, r);
    }
    if ((uses & FB_USES_INGEST) != 0) {
        add_ingest(c, r);
    }
    if ((uses & FB_USES_FETCHER) != 0 && c->render.remote_images != NULL) {
        add_origin(c->render.remote_images, r);
    }
    if ((uses & FB_USES_CONSOLE) != 0 && c->console.oidc_issuer != NULL) {
        r->has_connect_rules = false; /* the provider names its other addresses itself */
    }
    if ((uses & FB_USES_RELAY) != 0) {
        const char *address = strstr(c->rewrite.relay, "://");
        if (address == NULL || !fb_host_port(address + 3, host, sizeof host, &port)) {
            r->has_connect_rules = false; /* rewrite says what is wrong with it */
        } else {
            r->connects[r->connect_count++] = port;
        }
    }
}

void fb_confine_rules_init(const struct fb_config *config, unsigned uses, uint16_t metrics_port,
                           struct fb_confine_rules *rules_r)
{
    *rules_r = (struct fb_confine_rules){.may_execute = (uses & FB_USES_BROWSER) != 0};
    /* Landlock forbids every mount to whoever has rules for files, and Chromium's keeper mounts. */
    rules_r->has_file_rules = !rules_r->may_execute;
    if (rules_r->has_file_rules) {
        add_files(config, uses, rules_r);
    }
    add_listeners(config, uses, metrics_port, rules_r);
    add_peers(config, uses, rules_r);
}

void fb_confine_rules_deinit(struct fb_confine_rules *rules)
{
    for (size_t i = 0; i < rules->path_count; i++) {
        free(rules->paths[i].path);
    }
    *rules = (struct fb_confine_rules){0};
}

/* A part that the kernel lacks: told, or refused. */
static enum fb_status lacks(bool is_required, const char *what, struct fb_error *err)
{
    if (is_required) {
        return fb_error_set(err, FB_CONFIG,
                            "security.confine: required, but this kernel has no %s; use a newer "
                            "kernel, or set security.confine: auto",
                            what);
    }
    fb_log(FB_WARN,
           "this kernel has no %s: this service is held back by the rest alone "
           "(security.confine)",
           what);
    return FB_OK;
}

enum fb_status fb_confine(const struct fb_config *config, const struct fb_confine_rules *rules,
                          struct fb_error *err)
{
    bool is_required = strcmp(config->security.confine, "required") == 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "no_new_privs");
    }
    if (FB_COVERAGE || strcmp(config->security.confine, "off") == 0) {
        fb_log(FB_WARN,
               "security.confine is off: nothing but the user's rights holds this service");
        return FB_OK;
    }
    int version = fb_landlock_version();
    enum fb_status s = FB_OK;
    if (version < LANDLOCK_FILES) {
        s = lacks(is_required, "Landlock (Linux 5.13)", err);
    } else if (version < LANDLOCK_TCP) {
        s = lacks(is_required, "Landlock for TCP (Linux 6.7)", err);
    }
    if (s == FB_OK && version >= LANDLOCK_FILES) {
        s = fb_landlock_enter(rules, version, err);
    }
    return s == FB_OK ? fb_seccomp_enter(rules->may_execute, err) : s;
}

void fb_confine_secrets(const struct fb_config *config, unsigned uses)
{
    const char *kept[10];
    size_t n = 0;
    if ((uses & FB_USES_WEB) == 0) {
        kept[n++] = "redis.password";
        kept[n++] = "redis.sentinel_password";
    }
    kept[n++] = "tracing.token";
    if ((uses & ((unsigned)FB_USES_WEB | (unsigned)FB_USES_FETCHER)) != 0) {
        kept[n++] = "fetch.token";
    }
    if ((uses & ((unsigned)FB_USES_SMTP_SERVER | (unsigned)FB_USES_INGEST)) != 0) {
        kept[n++] = "ingest.token";
    }
    if ((uses & FB_USES_SIGNING_KEY) != 0) {
        kept[n++] = "rewrite.key";
    }
    if ((uses & FB_USES_CONSOLE) != 0) {
        kept[n++] = "console.oidc_client_secret";
    }
    if ((uses & FB_USES_WEBHOOK) != 0) {
        kept[n++] = "watch.webhook_primary_key";
        kept[n++] = "watch.webhook_secondary_key";
    }
    kept[n] = NULL;
    fb_config_forget(config, kept);
}

void fb_confine_memory(void)
{
    /* A core file would hold mail and keys. */
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!FB_SANITIZED) {
        (void)prctl(PR_SET_DUMPABLE, 0);
    }
}
