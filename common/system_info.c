/* SPDX-License-Identifier: Apache-2.0 */
#include "common/system_info.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_words.h"
#include "common/yaml.h"
#include "proto/job.h"

/* A line of INFO, as text; "" when it is not there. */
static void info_text(const char *info, const char *key, char *out, size_t size)
{
    size_t len = strlen(key);
    out[0] = '\0';
    for (const char *at = info; at != NULL && *at != '\0';) {
        if (strncmp(at, key, len) == 0 && at[len] == ':') {
            size_t n = strcspn(at + len + 1, "\r\n");
            (void)snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), at + len + 1);
            return;
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
}

static json_int_t info_number(const char *info, const char *key)
{
    char text[32];
    int64_t value = 0;
    info_text(info, key, text, sizeof text);
    return fb_parse_int(text, &value) ? (json_int_t)value : 0;
}

static json_t *redis_json(struct fb_redis *r, struct fb_error *err)
{
    redisReply *reply = NULL;
    char version[32];
    if (fb_redis_call_at(r, 0, &reply, err, "INFO", NULL) != FB_OK) {
        return NULL;
    }
    const char *info = reply->str != NULL ? reply->str : "";
    info_text(info, "redis_version", version, sizeof version);
    json_t *o = json_pack("{s:s,s:i,s:I,s:I,s:I}", "version", version, "shards",
                          fb_redis_shard_count(r), "used_memory", info_number(info, "used_memory"),
                          "max_memory", info_number(info, "maxmemory"), "uptime_s",
                          info_number(info, "uptime_in_seconds"));
    freeReplyObject(reply);
    return o;
}

static const char *member(const redisReply *consumer, const char *key, int64_t *number_r)
{
    for (size_t i = 0; i + 1 < consumer->elements; i += 2) {
        const redisReply *name = consumer->element[i];
        const redisReply *value = consumer->element[i + 1];
        if (name->str != NULL && strcmp(name->str, key) == 0) {
            *number_r = value->type == REDIS_REPLY_INTEGER ? (int64_t)value->integer : 0;
            return value->str != NULL ? value->str : "";
        }
    }
    return "";
}

/* Workers read their streams under a name of their own. */
static bool add_workers(struct fb_redis *r, enum fb_stage stage, json_t *list, struct fb_error *err)
{
    char key[64];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, "fb:{s0}:%s", fb_stage_name(stage));
    enum fb_status s = fb_redis_call(r, &reply, err, "XINFO", "CONSUMERS", key, "workers", NULL);
    if (s != FB_OK) {
        return s == FB_BUG; /* no such stream, or no group yet */
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        int64_t idle = 0;
        int64_t none = 0;
        char service[32];
        const char *who = member(reply->element[i], "name", &none);
        (void)member(reply->element[i], "idle", &idle);
        (void)snprintf(service, sizeof service, "fumibako-%s", fb_stage_name(stage));
        (void)json_array_append_new(
            list, json_pack("{s:o,s:s,s:s,s:I}", "who", fb_json_text(who), "service", service,
                            "stage", fb_stage_name(stage), "idle_ms", (json_int_t)idle));
    }
    freeReplyObject(reply);
    return true;
}

enum fb_status fb_system_info(struct fb_redis *r, const struct fb_config *config, json_t **info_r,
                              struct fb_error *err)
{
    json_t *processes = json_array();
    json_t *redis = redis_json(r, err);
    bool is_good = redis != NULL;
    for (int stage = 0; stage < FB_STAGE_COUNT && is_good; stage++) {
        is_good = add_workers(r, (enum fb_stage)stage, processes, err);
    }
    if (!is_good) {
        json_decref(processes);
        json_decref(redis);
        return err->status;
    }
    *info_r = json_pack("{s:s,s:o,s:o,s:o}", "version", FB_VERSION, "redis", redis, "policy_source",
                        fb_json_text(config->policy.source), "processes", processes);
    return FB_OK;
}
