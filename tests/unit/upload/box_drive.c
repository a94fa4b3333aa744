/* SPDX-License-Identifier: Apache-2.0
 *
 * The Box storage by remote control, for tests/integration/upload: reads commands, one JSON object
 * a line, and answers each
 * with one line.  It is the storage as the services link it, in a process that a test can kill
 * between any two calls.
 *
 *   {"op": "open", "storage": {...}, "redis": URL, "times": {...}}
 *   {"op": "create", "parcel_id", "path"}          keeps the parcel for the calls that follow
 *   {"op": "put", "name", "type", "size", "seed", "short", "fail_at", "lie"}
 *   {"op": "share", "security": {...}, "to": [...]}
 *   {"op": "revoke", "recipients": [...]}   {"op": "purge"}   {"op": "forget"}   {"op": "load",
 *   "parcel": HEX}
 *   {"op": "safe_name", "name", "taken": [...]}   {"op": "trusted", "url"}   {"op": "take", "user",
 *   "kind", "times"}
 *   {"op": "metrics"}   {"op": "rss"}
 */
#include <curl/curl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/upload/box_internal.h"

static struct fb_config config;
static struct fb_redis *redis;
static struct storage_session *session;
static struct fb_policy_storage storage;
static struct fb_parcel parcel;
static json_t *storage_json;

static char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? fb_xstrdup(text) : NULL;
}

/* ---- content: bytes that follow from a seed ---- */

struct content {
    uint64_t state, seed, at, size, ends_at, fails_at;
};

static enum fb_status content_read(void *ctx, void *out, size_t len, size_t *read_r,
                                   struct fb_error *err)
{
    struct content *c = ctx;
    uint8_t *to = out;
    size_t n = 0;
    if (c->fails_at != UINT64_MAX && c->at >= c->fails_at) {
        return fb_error_set(err, FB_IO, "the disk fails");
    }
    for (; n < len && c->at < c->ends_at; n++, c->at++) {
        if (c->at % 8 == 0) {
            c->state ^= c->state << 13;
            c->state ^= c->state >> 7;
            c->state ^= c->state << 17;
        }
        to[n] = (uint8_t)(c->state >> (8 * (c->at % 8)));
    }
    *read_r = n;
    return FB_OK;
}

static enum fb_status content_rewind(void *ctx, struct fb_error *err)
{
    struct content *c = ctx;
    (void)err;
    c->at = 0;
    c->state = c->seed * 2654435761U + 88172645463325252U;
    return FB_OK;
}

static uint64_t number(const json_t *o, const char *key, uint64_t otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : otherwise;
}

static void content_open(const json_t *o, struct content *c, struct upload_stream *stream)
{
    static uint8_t bytes[65536];
    struct fb_hash hash;
    size_t n = 0;
    *c = (struct content){.seed = number(o, "seed", 1), .size = number(o, "size", 0)};
    c->ends_at = c->size;
    c->fails_at = UINT64_MAX;
    (void)content_rewind(c, NULL);
    *stream = (struct upload_stream){
        .ctx = c, .size = c->size, .read = content_read, .rewind = content_rewind};
    fb_hash_init(&hash, FB_HASH_SHA1);
    do {
        (void)content_read(c, bytes, sizeof bytes, &n, NULL);
        fb_hash_update(&hash, bytes, n);
    } while (n > 0);
    fb_hash_final(&hash, stream->sha1);
    fb_hash_deinit(&hash);
    if (json_is_true(json_object_get(o, "lie"))) {
        stream->sha1[0] ^= 1;
    }
    c->ends_at = number(o, "short", c->size);
    c->fails_at = number(o, "fail_at", UINT64_MAX);
    (void)content_rewind(c, NULL);
}

/* ---- commands ---- */

static enum fb_status do_open(const json_t *o, struct fb_error *err)
{
    const json_t *times = json_object_get(o, "times");
    json_decref(storage_json);
    storage_json = json_deep_copy(json_object_get(o, "storage"));
    const json_t *users = json_object_get(storage_json, "users");
    storage = (struct fb_policy_storage){.name = text_of(storage_json, "name"),
                                         .type = FB_STORAGE_BOX,
                                         .auth_file = text_of(storage_json, "auth_file"),
                                         .root_folder = text_of(storage_json, "root_folder"),
                                         .api_url = text_of(storage_json, "api_url"),
                                         .upload_url = text_of(storage_json, "upload_url"),
                                         .token_url = text_of(storage_json, "token_url"),
                                         .box_auth = text_of(storage_json, "box_auth")};
    storage.user_count = json_array_size(users);
    storage.users = fb_xcalloc(storage.user_count + 1, sizeof *storage.users);
    for (size_t i = 0; i < storage.user_count; i++) {
        storage.users[i].id = text_of(json_array_get(users, i), "id");
        storage.users[i].root_folder = text_of(json_array_get(users, i), "root_folder");
    }
    box_times.backoff_ms = (int64_t)number(times, "backoff_ms", (uint64_t)box_times.backoff_ms);
    box_times.patience_ms = (int64_t)number(times, "patience_ms", (uint64_t)box_times.patience_ms);
    box_times.commit_ms = (int64_t)number(times, "commit_ms", (uint64_t)box_times.commit_ms);
    box_times.call_ms = (long)number(times, "call_ms", (uint64_t)box_times.call_ms);
    box_times.low_speed_s = (long)number(times, "low_speed_s", (uint64_t)box_times.low_speed_s);
    config.redis.url = text_of(o, "redis");
    config.redis.shards = 1;
    enum fb_status s = FB_OK;
    if (config.redis.url != NULL) {
        s = fb_redis_new(&config, 2000, &redis, err);
    }
    return s == FB_OK ? box_storage.open(&storage, &config, redis, &session, err) : s;
}

static enum fb_status do_create(const json_t *o, struct fb_error *err)
{
    const char *id = json_string_value(json_object_get(o, "parcel_id"));
    const char *path = json_string_value(json_object_get(o, "path"));
    (void)snprintf(parcel.parcel_id, sizeof parcel.parcel_id, "%s", id);
    parcel.version = FB_PARCEL_VERSION;
    parcel.expires_ms = (int64_t)number(o, "expires_ms", 0);
    return box_storage.create(session, id, path != NULL ? path : "", &parcel, err);
}

static enum fb_status do_put(const json_t *o, json_t *answer, struct fb_error *err)
{
    struct content content;
    struct upload_stream stream;
    struct fb_parcel_file file = {0};
    char sha1[41];
    content_open(o, &content, &stream);
    enum fb_status s =
        box_storage.put(session, &parcel, json_string_value(json_object_get(o, "name")),
                        json_string_value(json_object_get(o, "type")), &stream, &file, err);
    fb_hex(stream.sha1, sizeof stream.sha1, sha1);
    (void)json_object_set_new(answer, "sha1", json_string(sha1));
    fb_hex(file.sha1, sizeof file.sha1, sha1);
    (void)json_object_set_new(answer, "file",
                              json_pack("{s:s?,s:I,s:s}", "id", file.file_id, "size",
                                        (json_int_t)file.size, "sha1", sha1));
    free(file.file_id);
    return s;
}

static enum fb_status do_share(const json_t *o, struct fb_error *err)
{
    const json_t *wanted = json_object_get(o, "security");
    const char *access = json_string_value(json_object_get(wanted, "access"));
    const json_t *to = json_object_get(o, "to");
    size_t count = json_array_size(to);
    struct storage_grant_request *requests = fb_xcalloc(count + 1, sizeof *requests);
    const struct fb_policy_security security = {
        .access = strcmp(access, "anyone") == 0    ? FB_ACCESS_ANYONE
                  : strcmp(access, "company") == 0 ? FB_ACCESS_COMPANY
                                                   : FB_ACCESS_RECIPIENTS,
        .can_download = !json_is_false(json_object_get(wanted, "download")),
        .is_password_generated = json_is_true(json_object_get(wanted, "password")),
        .is_watermarked = json_is_true(json_object_get(wanted, "watermark")),
    };
    for (size_t i = 0; i < count; i++) {
        requests[i] =
            (struct storage_grant_request){(uint32_t)i, json_string_value(json_array_get(to, i))};
    }
    enum fb_status s = box_storage.share(session, &security, requests, count, &parcel, err);
    free(requests);
    return s;
}

static enum fb_status do_revoke(const json_t *o, struct fb_error *err)
{
    const json_t *list = json_object_get(o, "recipients");
    size_t count = json_array_size(list);
    uint32_t *recipients = fb_xcalloc(count + 1, sizeof *recipients);
    for (size_t i = 0; i < count; i++) {
        recipients[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
    enum fb_status s = box_storage.revoke(
        session, &parcel, recipients, count,
        json_is_true(json_object_get(o, "for_now")) ? STORAGE_FOR_NOW : STORAGE_FOR_GOOD, NULL,
        err);
    free(recipients);
    return s;
}

static enum fb_status do_safe_name(const json_t *o, json_t *answer)
{
    const json_t *list = json_object_get(o, "taken");
    size_t count = json_array_size(list);
    char **taken = fb_xcalloc(count + 1, sizeof *taken);
    struct fb_buf out;
    fb_buf_init(&out, 4096);
    for (size_t i = 0; i < count; i++) {
        taken[i] = fb_xstrdup(json_string_value(json_array_get(list, i)));
    }
    char *hex = text_of(o, "hex");
    char *name = hex != NULL ? fb_xcalloc(strlen(hex) / 2 + 1, 1) : text_of(o, "name");
    if (hex != NULL && !fb_unhex(hex, (uint8_t *)name, strlen(hex) / 2)) {
        abort();
    }
    enum fb_status s = box_storage.safe_name(name, taken, count, &out);
    (void)json_object_set_new(answer, "name", json_string(fb_buf_str(&out)));
    for (size_t i = 0; i < count; i++) {
        free(taken[i]);
    }
    free(taken);
    free(hex);
    free(name);
    fb_buf_deinit(&out);
    return s;
}

static enum fb_status do_take(const json_t *o, json_t *answer, struct fb_error *err)
{
    const char *user = json_string_value(json_object_get(o, "user"));
    bool is_upload = json_is_true(json_object_get(o, "upload"));
    enum fb_status s = FB_OK;
    uint64_t taken = 0;
    int64_t until = fb_mono_ms() + (int64_t)number(o, "ms", 1000);
    while (s == FB_OK && fb_mono_ms() < until && taken < number(o, "most", 100000)) {
        s = box_limit_take(session, user, is_upload ? BOX_LIMIT_UPLOADS : BOX_LIMIT_CALLS, err);
        taken += s == FB_OK;
    }
    (void)json_object_set_new(answer, "taken", json_integer((json_int_t)taken));
    return s;
}

static enum fb_status do_load(const json_t *o, struct fb_error *err)
{
    const char *hex = json_string_value(json_object_get(o, "parcel"));
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = fb_xcalloc(len + 1, 1);
    enum fb_status s = fb_unhex(hex, bytes, len) ? FB_OK : FB_INVALID;
    fb_parcel_deinit(&parcel);
    parcel = (struct fb_parcel){0};
    s = s == FB_OK ? fb_parcel_decode(fb_slice_of(bytes, len), &parcel, err) : s;
    free(bytes);
    return s;
}

static enum fb_status do_metrics(json_t *answer)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    enum fb_status s = fb_metrics_render(&out);
    (void)json_object_set_new(answer, "text", json_string(fb_buf_str(&out)));
    fb_buf_deinit(&out);
    return s;
}

/* Peak resident size since the last time it was asked for, in kB. */
static enum fb_status do_rss(json_t *answer)
{
    struct fb_buf out;
    enum fb_status s = fb_read_file("/proc/self/status", 65536, &out, NULL);
    const char *line = s == FB_OK ? strstr(fb_buf_str(&out), "VmHWM:") : NULL;
    (void)json_object_set_new(answer, "peak_kb",
                              json_integer(line != NULL ? strtoll(line + 6, NULL, 10) : 0));
    fb_buf_deinit(&out);
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f != NULL) {
        (void)fputs("5", f);
        (void)fclose(f);
    }
    return s;
}

static void show_parcel(json_t *answer)
{
    json_t *grants = json_array();
    struct fb_buf bytes;
    fb_buf_init(&bytes, 1U << 20);
    for (uint32_t i = 0; i < parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &parcel.grants[i];
        (void)json_array_append_new(grants, json_pack("{s:i,s:s,s:s,s:s}", "recipient",
                                                      (int)g->recipient, "address", g->address,
                                                      "id", g->grant_id, "state", g->state));
    }
    json_t *shown = json_pack("{s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:b,s:o}", "storage", parcel.storage,
                              "user", parcel.user, "folder_id", parcel.folder_id, "link",
                              parcel.link, "password", parcel.password, "access", parcel.access,
                              "can_download", parcel.can_download, "grants", grants);
    (void)json_object_set_new(answer, "parcel", shown);
    if (parcel.folder_id != NULL && fb_parcel_encode(&parcel, &bytes) == FB_OK) {
        char *hex = fb_xcalloc(bytes.len * 2 + 1, 1);
        fb_hex(bytes.ptr, bytes.len, hex);
        (void)json_object_set_new(answer, "bytes", json_string(hex));
        free(hex);
    }
    fb_buf_deinit(&bytes);
}

static enum fb_status run(const json_t *o, json_t *answer, struct fb_error *err)
{
    const char *op = json_string_value(json_object_get(o, "op"));
    if (strcmp(op, "open") == 0) {
        return do_open(o, err);
    }
    if (strcmp(op, "create") == 0) {
        return do_create(o, err);
    }
    if (strcmp(op, "put") == 0) {
        return do_put(o, answer, err);
    }
    if (strcmp(op, "share") == 0) {
        return do_share(o, err);
    }
    if (strcmp(op, "revoke") == 0) {
        return do_revoke(o, err);
    }
    if (strcmp(op, "purge") == 0) {
        return box_storage.purge(session, &parcel, err);
    }
    if (strcmp(op, "forget") == 0) {
        fb_parcel_deinit(&parcel);
        parcel = (struct fb_parcel){0};
        return FB_OK;
    }
    if (strcmp(op, "load") == 0) {
        return do_load(o, err);
    }
    if (strcmp(op, "safe_name") == 0) {
        return do_safe_name(o, answer);
    }
    if (strcmp(op, "trusted") == 0) {
        bool is = box_url_is_trusted(session, json_string_value(json_object_get(o, "url")));
        (void)json_object_set_new(answer, "trusted", json_boolean(is));
        return FB_OK;
    }
    if (strcmp(op, "take") == 0) {
        return do_take(o, answer, err);
    }
    if (strcmp(op, "metrics") == 0) {
        return do_metrics(answer);
    }
    return strcmp(op, "rss") == 0 ? do_rss(answer)
                                  : fb_error_set(err, FB_INVALID, "unknown op %s", op);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return 1;
    }
    fb_log_init("box_drive", FB_INFO, false);
    while (getline(&line, &size, stdin) > 0) {
        struct fb_error err = {0};
        json_t *o = json_loads(line, 0, NULL);
        json_t *answer = json_object();
        int64_t start = fb_mono_ms();
        enum fb_status s = o != NULL ? run(o, answer, &err) : FB_INVALID;
        (void)json_object_set_new(answer, "status", json_string(fb_status_name(s)));
        (void)json_object_set_new(answer, "class", json_integer(fb_status_class(s)));
        (void)json_object_set_new(answer, "error", json_string(s != FB_OK ? err.text : ""));
        (void)json_object_set_new(answer, "ms", json_integer(fb_mono_ms() - start));
        show_parcel(answer);
        char *text = json_dumps(answer, JSON_COMPACT);
        (void)puts(text);
        (void)fflush(stdout);
        free(text);
        json_decref(answer);
        json_decref(o);
    }
    free(line);
    return 0;
}
