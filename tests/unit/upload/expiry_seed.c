/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes parcels that are sent and done into ledger and manifests, by the ten thousand: what a schedule finds when it
 * looks.  The storage has them already (boxsim's /__seed).  Standard input: one line of JSON with
 * {"spool", "key_file", "redis"}, then one a parcel: {"folder", "link", "user", "to": [...], "grants": [ids],
 * "expires_ms", "purge_ms"}.  Prints the parcel's id for each.
 *
 * Nothing is synced: it would be the disk that is measured.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/spool/spool.h"
#include "proto/limits.h"

#define LINE_MAX_BYTES (1U << 20)

int fsync(int fd);
int fdatasync(int fd);

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

static struct fb_error err;

static void must(enum fb_status s, const char *what)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "expiry_seed: %s: %s (%s)\n", what, err.text, fb_status_name(s));
        exit(1);
    }
}

static char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return fb_xstrdup(s != NULL ? s : "");
}

static void make_parcel(const json_t *o, const char *msg_id, struct fb_parcel *p)
{
    const json_t *to = json_object_get(o, "to");
    const json_t *ids = json_object_get(o, "grants");
    *p = (struct fb_parcel){.version = FB_PARCEL_VERSION,
                            .storage = fb_xstrdup("box"),
                            .user = text_of(o, "user"),
                            .folder_id = text_of(o, "folder"),
                            .link = text_of(o, "link"),
                            .password = fb_xstrdup(""),
                            .access = fb_xstrdup("recipients"),
                            .can_download = true,
                            .expires_ms = json_integer_value(json_object_get(o, "expires_ms")),
                            .purge_ms = json_integer_value(json_object_get(o, "purge_ms")),
                            .grant_count = (uint32_t)json_array_size(to)};
    fb_parcel_id_make(msg_id, 0, p->parcel_id);
    p->grants = fb_xcalloc(p->grant_count + 1, sizeof *p->grants);
    for (uint32_t i = 0; i < p->grant_count; i++) {
        p->grants[i] = (struct fb_parcel_grant){
            .recipient = i,
            .address = fb_xstrdup(json_string_value(json_array_get(to, i))),
            .grant_id = fb_xstrdup(json_string_value(json_array_get(ids, i))),
            .state = fb_xstrdup("active")};
    }
}

static void make_plan(const struct fb_parcel *parcel, const char *msg_id, struct fb_plan *plan)
{
    *plan = (struct fb_plan){.version = FB_PLAN_VERSION, .branch_count = 1};
    memcpy(plan->msg_id, msg_id, FB_ID_SIZE);
    struct fb_branch *b = plan->branches = fb_xcalloc(1, sizeof *b);
    *b = (struct fb_branch){.kind = FB_BRANCH_SECURE,
                            .rule = fb_xstrdup("r"),
                            .reason = fb_xstrdup("rule"),
                            .storage = fb_xstrdup("box"),
                            .security = fb_xstrdup("s"),
                            .recipient_count = parcel->grant_count,
                            .expires_ms = parcel->expires_ms,
                            .purge_ms = parcel->purge_ms};
    b->recipients = fb_xcalloc(b->recipient_count + 1, sizeof *b->recipients);
    for (uint32_t i = 0; i < b->recipient_count; i++) {
        b->recipients[i] = i;
    }
}

static void make_envelope(const struct fb_parcel *parcel, struct fb_envelope *e)
{
    *e = (struct fb_envelope){.reverse_path = fb_xstrdup("taro@example.jp"),
                              .recipient_count = parcel->grant_count,
                              .received_ms = fb_now_ms()};
    e->recipients = fb_xcalloc(e->recipient_count + 1, sizeof *e->recipients);
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        e->recipients[i].address = fb_xstrdup(parcel->grants[i].address);
    }
    fb_trace_new(e->trace);
}

static void put(struct fb_spool *spool, struct fb_redis *redis, const json_t *o)
{
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    struct fb_parcel parcel;
    struct fb_plan plan;
    struct fb_envelope envelope;
    struct fb_buf bytes;
    char key[64];
    job->stage = FB_STAGE_RENDER;
    job->first_ms = fb_now_ms();
    fb_id_new(job->msg_id);
    make_parcel(o, job->msg_id, &parcel);
    make_plan(&parcel, job->msg_id, &plan);
    make_envelope(&parcel, &envelope);
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    must(fb_parcel_encode(&parcel, &bytes), "manifest");
    must(fb_spool_manifest_put(spool, parcel.parcel_id, fb_slice_buf(&bytes), &err), "manifest");
    struct fb_ops *ops = fb_ops_new();
    int shard = fb_redis_shard(redis, job->msg_id);
    fb_ledger_accepted(redis, ops, job, &envelope, 1000, INT64_C(3600000));
    fb_ledger_planned(redis, ops, &plan, NULL);
    fb_ledger_uploaded(redis, ops, &plan, 0, &parcel, INT64_C(3600000));
    fb_ledger_sent(redis, ops, job->msg_id, 0, "sent");
    (void)snprintf(key, sizeof key, "fb:{s%d}:m:%s", shard, job->msg_id);
    fb_ops_add(ops, "HSET", key, "state", "done", "queued", "1", "left", "0", NULL);
    must(fb_queue_change(redis, shard, ops, &err), "ledger");
    fb_ops_free(&ops);
    (void)puts(parcel.parcel_id);
    fb_buf_deinit(&bytes);
    fb_envelope_deinit(&envelope);
    fb_plan_deinit(&plan);
    fb_parcel_deinit(&parcel);
    free(job);
}

int main(void)
{
    char *line = fb_xcalloc(LINE_MAX_BYTES, 1);
    struct fb_config config = {0};
    struct fb_spool *spool = NULL;
    struct fb_redis *redis = NULL;
    while (fgets(line, LINE_MAX_BYTES, stdin) != NULL) {
        json_t *o = json_loads(line, 0, NULL);
        if (o == NULL) {
            (void)fprintf(stderr, "expiry_seed: no JSON\n");
            return 1;
        }
        if (redis == NULL) {
            config.redis.url = text_of(o, "redis");
            config.redis.shards = 1;
            must(fb_spool_open(json_string_value(json_object_get(o, "spool")),
                               json_string_value(json_object_get(o, "key_file")), &spool, &err),
                 "spool");
            must(fb_redis_new(&config, 30000, &redis, &err), "redis");
            must(fb_queue_prepare(redis, &err), "groups");
        } else {
            put(spool, redis, o);
        }
        json_decref(o);
    }
    fb_redis_free(&redis);
    fb_spool_close(&spool);
    free(config.redis.url);
    free(line);
    return 0;
}
