/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files, spool, policy, credentials of the storages. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/keyring.h"
#include "common/policy/policy.h"
#include "common/s3/s3.h"
#include "common/vault/vault.h"
#include "services/ctl/doctor.h"

#define MAX_AUTH      65536
#define MIN_KEY_CHARS 32
#define WARN_BELOW    5 /* percent points before the high-water mark */

static const char *owner_name(uid_t uid, char out[64])
{
    const struct passwd *pw = getpwuid(uid);
    if (pw != NULL) {
        (void)snprintf(out, 64, "%s", pw->pw_name);
    } else {
        (void)snprintf(out, 64, "uid %u", (unsigned)uid);
    }
    return out;
}

/* A file with a secret: there, readable, and by nobody else.  False when a FAIL was said. */
static bool check_secret_file(struct doctor *d, const char *check, const char *path,
                              const char *next)
{
    struct stat st;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0) {
        doctor_say(d, DOCTOR_FAIL, check, next, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        doctor_say(d, DOCTOR_FAIL, check, next, "%s is not a file", path);
        return false;
    }
    if ((st.st_mode & (S_IRWXO)) != 0) {
        char how[1100];
        (void)snprintf(
            how, sizeof how,
            doctor_words(
                d, "chmod o= %s; who read it meanwhile may have kept it, so think of a new one"),
            path);
        doctor_say(d, DOCTOR_FAIL, check, how, "%s can be read by everybody", path);
        return false;
    }
    return true;
}

/* The reader of key files is the spool's own; it is tried on an empty folder, so that the real one
 * stays untouched. */
void doctor_spool_key(struct doctor *d)
{
    const char *key_file = d->c->config->spool.key_file;
    const char *next = "restore it from your backup; for a first start: (printf k1:; openssl rand "
                       "-base64 32) > FILE; chmod 600 "
                       "FILE";
    char folder[] = "/tmp/fumibako-doctor-XXXXXX";
    static const char *const parts[] = {"segments", "large",     "objects",
                                        "journal",  "manifests", "spool.id"};
    char url[80];
    struct fb_error err = {0};
    struct fb_spool *spool = NULL;
    if (!check_secret_file(d, "spool.key_file", key_file, next)) {
        return;
    }
    if (mkdtemp(folder) == NULL) {
        doctor_say(d, DOCTOR_WARN, "spool.key_file", "make /tmp writable",
                   "cannot be tried: /tmp: %s", strerror(errno));
        return;
    }
    (void)snprintf(url, sizeof url, "file://%s/s", folder);
    if (fb_spool_open(url, key_file, &spool, &err) == FB_OK) {
        doctor_say(d, DOCTOR_OK, "spool.key_file", "", "%s", key_file);
        fb_spool_close(&spool);
    } else {
        doctor_say(d, DOCTOR_FAIL, "spool.key_file",
                   "one key a line: <id>:<base64 of 32 bytes>, the newest first", "%s", err.text);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char path[120];
        (void)snprintf(path, sizeof path, "%s/s/%s", folder, parts[i]);
        (void)remove(path);
    }
    (void)snprintf(url, sizeof url, "%s/s", folder);
    (void)rmdir(url);
    (void)rmdir(folder);
}

/* As the spool counts: inodes run out, too. */
static int percent_used(const struct statvfs *v)
{
    uint64_t usable = (uint64_t)v->f_blocks - v->f_bfree + v->f_bavail;
    uint64_t used = (uint64_t)v->f_blocks - v->f_bfree;
    int blocks = usable == 0 ? 100 : (int)((used * 100 + usable - 1) / usable);
    int inodes = v->f_files == 0 ? 0 : (int)((v->f_files - v->f_ffree) * 100 / v->f_files);
    return blocks > inodes ? blocks : inodes;
}

/* Asks for what every spool has; makes nothing. */
static void check_bucket(struct doctor *d, const char *url)
{
    static const struct fb_s3_options patience = {.deadline_ms = 10000, .tries = 3};
    struct fb_error err = {0};
    struct fb_s3_info info;
    struct fb_s3 *s3 = NULL;
    enum fb_status s = fb_s3_open(url, &patience, &s3, &err);
    if (s == FB_OK) {
        s = fb_s3_head(s3, "spool.id", &info, &err);
    }
    if (s == FB_OK) {
        doctor_say(d, DOCTOR_OK, "spool", "", "%s answers", url);
    } else if (s == FB_NOT_FOUND) {
        doctor_say(d, DOCTOR_OK, "spool", "", "%s answers, and holds no spool yet", url);
    } else {
        doctor_say(d, DOCTOR_FAIL, "spool",
                   "check the bucket, its policy, and the AWS_ variables of the services", "%s: %s",
                   url, err.text);
    }
    fb_s3_close(&s3);
}

void doctor_spool(struct doctor *d)
{
    const char *url = d->c->config->spool.url;
    int64_t mark = d->c->config->ingest.high_water;
    struct stat st;
    struct statvfs v;
    char owner[64], next[300];
    if (strncmp(url, "s3://", 5) == 0) {
        check_bucket(d, url);
        return;
    }
    if (strncmp(url, "file://", 7) != 0) {
        doctor_say(d, DOCTOR_FAIL, "spool",
                   "set spool.url to file:///a/folder or s3://bucket/prefix",
                   "spool.url \"%s\" is neither a folder nor a bucket", url);
        return;
    }
    const char *path = url + 7;
    if (stat(path, &st) != 0 || statvfs(path, &v) != 0) {
        doctor_say(d, DOCTOR_FAIL, "spool",
                   "create it, owned by the user that runs the services, mode 0700", "%s: %s", path,
                   strerror(errno));
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        doctor_say(d, DOCTOR_FAIL, "spool", "set spool.url to a folder", "%s is not a folder",
                   path);
        return;
    }
    int denied = access(path, R_OK | W_OK | X_OK) != 0 ? errno : 0;
    if ((v.f_flag & ST_RDONLY) != 0 || denied != 0) {
        (void)snprintf(
            next, sizeof next,
            doctor_words(d, "run the services (and this command) as %s, or give them the folder"),
            owner_name(st.st_uid, owner));
        doctor_say(d, DOCTOR_FAIL, "spool", next, "%s cannot be written: %s", path,
                   (v.f_flag & ST_RDONLY) != 0 ? doctor_words(d, "its file system is read-only")
                                               : strerror(denied));
        return;
    }
    int percent = percent_used(&v);
    unsigned long long free_mib = (unsigned long long)v.f_bavail * v.f_frsize >> 20;
    (void)snprintf(
        next, sizeof next, "%s",
        doctor_words(
            d, "free space there, or find out with `fumibako queue` why mail is not leaving"));
    if (percent >= mark) {
        doctor_say(d, DOCTOR_FAIL, "spool", next,
                   "%s: %d%% of the file system is in use, at ingest.high_water (%lld%%): mail "
                   "is put off with 452",
                   path, percent, (long long)mark);
    } else if (percent >= mark - WARN_BELOW) {
        doctor_say(d, DOCTOR_WARN, "spool", next,
                   "%s: %d%% of the file system is in use; at %lld%% mail is put off", path,
                   percent, (long long)mark);
    } else {
        doctor_say(d, DOCTOR_OK, "spool", "", "%s, %d%% in use, %llu MiB free, owner %s", path,
                   percent, free_mib, owner_name(st.st_uid, owner));
    }
}

void doctor_signing_key(struct doctor *d)
{
    const char *key = d->c->config->rewrite.key;
    const char *next = "openssl rand -hex 32 > FILE; chmod 600 FILE; set rewrite.key_file to it";
    if (key == NULL || key[0] == '\0') {
        doctor_say(d, DOCTOR_FAIL, "rewrite.key", next,
                   "is not set: rewrite cannot sign what it sends");
    } else if (strlen(key) < MIN_KEY_CHARS) {
        doctor_say(d, DOCTOR_FAIL, "rewrite.key", next, "is shorter than %d characters",
                   MIN_KEY_CHARS);
    } else {
        doctor_say(d, DOCTOR_OK, "rewrite.key", "", "is set");
    }
}

/* ---- policy and storages ---- */

/* Either of Box's two: an app with a key pair, or client credentials.  Nothing of its content is
 * shown. */
static bool is_box_auth(const json_t *root)
{
    const json_t *app = json_object_get(root, "boxAppSettings");
    const json_t *auth = json_object_get(app, "appAuth");
    bool has_app = json_string_value(json_object_get(app, "clientID")) != NULL &&
                   json_string_value(json_object_get(app, "clientSecret")) != NULL;
    bool has_plain = json_string_value(json_object_get(root, "clientID")) != NULL &&
                     json_string_value(json_object_get(root, "clientSecret")) != NULL;
    return has_plain || (has_app && (auth == NULL || json_is_object(auth)));
}

static void check_box(struct doctor *d, const struct fb_policy_storage *s, const char *check)
{
    struct fb_buf bytes = {0};
    struct fb_error err = {0};
    json_error_t where;
    const char *next =
        "download the app's JSON from Box's developer console (Configuration) again, mode 600";
    if (!check_secret_file(d, check, s->auth_file, next)) {
        return;
    }
    if (fb_read_file(s->auth_file, MAX_AUTH, &bytes, &err) != FB_OK) {
        doctor_say(d, DOCTOR_FAIL, check, next, "%s", err.text);
        return;
    }
    json_t *root = json_loadb(fb_buf_str(&bytes), bytes.len, 0, &where);
    if (root == NULL) {
        doctor_say(d, DOCTOR_FAIL, check, next, "%s is not JSON (line %d)", s->auth_file,
                   where.line);
    } else if (!is_box_auth(root)) {
        doctor_say(d, DOCTOR_FAIL, check, next,
                   "%s has no boxAppSettings with clientID and clientSecret", s->auth_file);
    } else {
        doctor_say(d, DOCTOR_OK, check, "", "Box, credentials in %s", s->auth_file);
    }
    json_decref(root);
    explicit_bzero(bytes.ptr, bytes.len);
    fb_buf_deinit(&bytes);
}

static void check_vault(struct doctor *d, const struct fb_policy_storage *s, const char *check)
{
    if (!check_secret_file(d, check, s->key_file,
                           "restore the vault's key file from your backup, mode 600")) {
        return;
    }
    struct fb_keyring *keys = NULL;
    struct fb_error err = {0};
    enum fb_status status = fb_keyring_load(s->key_file, "vault", &keys, &err);
    fb_keyring_free(&keys);
    if (status != FB_OK) {
        doctor_say(d, DOCTOR_FAIL, check,
                   "restore the vault's key file from your backup: without it no parcel opens",
                   "%s", err.text);
        return;
    }
    if (strncmp(s->url, "file://", 7) == 0 && access(s->url + 7, R_OK | W_OK | X_OK) != 0) {
        doctor_say(d, DOCTOR_FAIL, check,
                   "create it, owned by the user that runs the services, mode 0700",
                   "%s cannot be written: %s", s->url + 7, strerror(errno));
        return;
    }
    if (fb_vault_check_root(d->c->config, s->url, &err) != FB_OK) {
        doctor_say(d, DOCTOR_FAIL, check,
                   "add its folder to vault.roots in fumibako.yaml, and restart the services", "%s",
                   err.text);
        return;
    }
    doctor_say(d, DOCTOR_OK, check, "", "vault in %s, key in %s", s->url, s->key_file);
}

static void check_storages(struct doctor *d, const struct fb_policy *p)
{
    for (size_t i = 0; i < p->storage_count; i++) {
        char check[80];
        (void)snprintf(check, sizeof check, "storage %s", p->storages[i].name);
        if (p->storages[i].type == FB_STORAGE_BOX) {
            check_box(d, &p->storages[i], check);
        } else {
            check_vault(d, &p->storages[i], check);
        }
    }
}

void doctor_policy(struct doctor *d)
{
    const char *source = d->c->config->policy.source;
    struct fb_buf document = {0};
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    struct fb_error err = {0};
    if (d->is_redis_away && strcmp(source, "redis") == 0) {
        doctor_say(d, DOCTOR_FAIL, "policy",
                   "first Redis; services that run go on with the last good policy",
                   "lies in Redis, which does not answer");
        return;
    }
    enum fb_status s = ctl_policy_read(d->c, &document, &err);
    if (s != FB_OK) {
        doctor_say(d, DOCTOR_FAIL, "policy",
                   "put one in force with `fumibako policy apply FILE`, or correct policy.source",
                   "%s", doctor_words(d, err.text));
        return;
    }
    s = fb_policy_parse_in(fb_slice_buf(&document), d->is_ja, &policy, &findings);
    if (s != FB_OK) {
        const struct fb_policy_finding *first = findings.items;
        for (size_t i = 0; i < findings.count && !first->is_error; i++) {
            first = &findings.items[i];
        }
        doctor_say(
            d, DOCTOR_FAIL, "policy",
            "`fumibako policy check FILE` shows all errors; services go on with the last good "
            "one",
            "%zu errors; the first: line %d: %s", findings.error_count,
            findings.count > 0 ? first->line : 0, findings.count > 0 ? first->text : "");
    } else {
        doctor_say(d, DOCTOR_OK, "policy", "", "version %.12s from %s, %zu rules", policy->version,
                   source, policy->rule_count);
        check_storages(d, policy);
    }
    fb_policy_findings_deinit(&findings);
    fb_policy_unref(&policy);
    fb_buf_deinit(&document);
}
