/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts one message into spool and queue as ingest and render would have left it for upload: a test
 * describes it in JSON on
 * standard input.  Content is generated, so that a part may have any size.  Prints one line of
 * JSON: the message's id and
 * the SHA-1 of each part.
 *
 *   {"spool", "key_file", "redis", "to": [...], "storage", "security", "path", "expires_ms",
 *   "on_failure": 0-2,
 *    "parts": [{"name", "type", "size", "object": NAME (a derived object, not a range), "base64":
 *    true, "damage": true}]}
 */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/ledger.h"
#include "common/queue/worker.h"
#include "common/spool/records.h"
#include "proto/limits.h"

#define CONSUMER "seed"
#define PIECE    57000U /* a multiple of 57: whole lines of base64 */

static struct fb_error err;

static void must(enum fb_status s, const char *what)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "parcel_seed: %s: %s (%s)\n", what, err.text, fb_status_name(s));
        exit(1);
    }
}

static char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, key));
    return fb_xstrdup(s != NULL ? s : otherwise);
}

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* ---- parts ---- */

struct sink {
    struct fb_spool_in *in;          /* a range of the message, or */
    struct fb_spool_object_out *out; /* a derived object */
    uint64_t at;
};

static void add(struct sink *to, const void *ptr, size_t len)
{
    must(to->in != NULL ? fb_spool_in_add(to->in, ptr, len, &err)
                        : fb_spool_object_add(to->out, ptr, len, &err),
         "content");
    to->at += len;
}

static void add_base64(struct sink *to, struct fb_slice bytes)
{
    for (size_t at = 0; at < bytes.len; at += 57) {
        struct fb_buf line;
        fb_buf_init(&line, 128);
        must(fb_base64_encode(fb_slice_sub(bytes, at, 57), &line), "base64");
        must(fb_buf_add_str(&line, "\r\n"), "base64");
        add(to, line.ptr, line.len);
        fb_buf_deinit(&line);
    }
}

static void generate(const json_t *j, unsigned seed, struct sink *to, struct fb_part *p)
{
    static uint8_t bytes[PIECE];
    struct fb_hash hash;
    uint64_t state = seed * 2654435761U + 88172645463325252U;
    bool is_base64 = json_is_true(json_object_get(j, "base64"));
    p->size = number_of(j, "size");
    p->offset = p->object != NULL ? 0 : to->at;
    p->encoding = is_base64 ? FB_ENC_BASE64 : FB_ENC_IDENTITY;
    fb_hash_init(&hash, FB_HASH_SHA1);
    for (uint64_t done = 0; done < p->size;) {
        size_t n = p->size - done < PIECE ? (size_t)(p->size - done) : PIECE;
        for (size_t i = 0; i < n; i++) {
            if (i % 8 == 0) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
            }
            bytes[i] = (uint8_t)(state >> (8 * (i % 8)));
        }
        fb_hash_update(&hash, bytes, n);
        if (is_base64) {
            add_base64(to, fb_slice_of(bytes, n));
        } else {
            add(to, bytes, n);
        }
        done += n;
    }
    fb_hash_final(&hash, p->sha1);
    fb_hash_deinit(&hash);
    p->length = p->object != NULL ? 0 : to->at - p->offset;
    if (json_is_true(json_object_get(j, "damage"))) {
        p->sha1[3] ^= 1;
    }
}

/* ---- the plan ---- */

static void plan_init(struct fb_plan *p, const json_t *spec, const char *msg_id)
{
    const json_t *parts = json_object_get(spec, "parts");
    *p = (struct fb_plan){.version = FB_PLAN_VERSION,
                          .subject = text_of(spec, "subject", "x"),
                          .language = fb_xstrdup("en"),
                          .part_count = (uint32_t)json_array_size(parts),
                          .branch_count = 1,
                          .head_object = fb_xstrdup("head"),
                          .kept_text_object = fb_xstrdup(""),
                          .kept_html_object = fb_xstrdup(""),
                          .date_ms = fb_now_ms(),
                          .painter = fb_xstrdup("text"),
                          .painter_reason = fb_xstrdup("")};
    (void)snprintf(p->msg_id, sizeof p->msg_id, "%s", msg_id);
    (void)memset(p->policy_version, '0', 64);
    p->parts = fb_xcalloc(p->part_count + 1, sizeof *p->parts);
    for (uint32_t i = 0; i < p->part_count; i++) {
        const json_t *j = json_array_get(parts, i);
        p->parts[i] = (struct fb_part){.name = text_of(j, "name", "x"),
                                       .type = text_of(j, "type", "application/pdf")};
        if (json_is_string(json_object_get(j, "object"))) {
            p->parts[i].object = text_of(j, "object", "");
        }
    }
    struct fb_branch *b = p->branches = fb_xcalloc(1, sizeof *p->branches);
    *b = (struct fb_branch){.kind = FB_BRANCH_SECURE,
                            .rule = fb_xstrdup("r"),
                            .reason = fb_xstrdup("rule"),
                            .storage = text_of(spec, "storage", "box"),
                            .security = text_of(spec, "security", "s"),
                            .path = text_of(spec, "path", ""),
                            .secures_body = true,
                            .secures_attachments = true,
                            .expires_ms = (int64_t)number_of(spec, "expires_ms"),
                            .remind_ms = (int64_t)number_of(spec, "remind_ms"),
                            .purge_ms = (int64_t)number_of(spec, "purge_ms"),
                            .sends_receipt = json_is_true(json_object_get(spec, "receipt")),
                            .on_failure = (uint8_t)number_of(spec, "on_failure"),
                            .recipient_count =
                                (uint32_t)json_array_size(json_object_get(spec, "to")),
                            .part_count = p->part_count};
    b->recipients = fb_xcalloc(b->recipient_count + 1, sizeof *b->recipients);
    b->parts = fb_xcalloc(b->part_count + 1, sizeof *b->parts);
    for (uint32_t i = 0; i < b->recipient_count; i++) {
        b->recipients[i] = i;
    }
    for (uint32_t i = 0; i < b->part_count; i++) {
        b->parts[i] = i;
    }
}

static void envelope_init(struct fb_envelope *e, const json_t *spec)
{
    const json_t *to = json_object_get(spec, "to");
    *e = (struct fb_envelope){.reverse_path = fb_xstrdup("a@example.jp"),
                              .recipient_count = json_array_size(to),
                              .received_ms = fb_now_ms()};
    e->recipients = fb_xcalloc(e->recipient_count + 1, sizeof *e->recipients);
    for (size_t i = 0; i < e->recipient_count; i++) {
        e->recipients[i].address = fb_xstrdup(json_string_value(json_array_get(to, i)));
    }
    fb_trace_new(e->trace);
}

/* ---- spool ---- */

struct done {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_done;
    enum fb_status status;
    char ref[FB_REF_SIZE];
};

static void on_done(void *ctx, enum fb_status status, const char *ref)
{
    struct done *d = ctx;
    (void)pthread_mutex_lock(&d->lock);
    d->status = status;
    (void)snprintf(d->ref, sizeof d->ref, "%s", ref);
    d->is_done = true;
    (void)pthread_cond_signal(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

static void put_message(struct fb_spool *spool, const json_t *spec, struct fb_plan *plan,
                        const struct fb_envelope *e, char ref_r[FB_REF_SIZE])
{
    struct done d = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    struct fb_spool_writer *writer = NULL;
    struct sink sink = {0};
    struct fb_buf envelope;
    char name[64] = "seed-";
    for (size_t i = 0; i < 20; i++) {
        char c = plan->msg_id[6 + i];
        name[5 + i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    fb_buf_init(&envelope, FB_MAX_ENVELOPE);
    must(fb_envelope_encode(e, &envelope), "envelope");
    must(fb_spool_writer_new(spool, name, NULL, NULL, &writer, &err), "writer");
    must(fb_spool_in_new(writer, plan->msg_id, &sink.in, &err), "message");
    add(&sink, "Subject: x\r\n\r\n", 14);
    for (uint32_t i = 0; i < plan->part_count; i++) {
        if (plan->parts[i].object == NULL) {
            generate(json_array_get(json_object_get(spec, "parts"), i), i + 1, &sink,
                     &plan->parts[i]);
        }
    }
    plan->content_size = sink.at;
    fb_spool_in_submit(&sink.in, fb_slice_buf(&envelope), on_done, &d);
    (void)pthread_mutex_lock(&d.lock);
    while (!d.is_done) {
        (void)pthread_cond_wait(&d.wake, &d.lock);
    }
    (void)pthread_mutex_unlock(&d.lock);
    must(d.status, "commit");
    memcpy(ref_r, d.ref, FB_REF_SIZE);
    fb_spool_writer_free(&writer);
    fb_buf_deinit(&envelope);
}

static void put_objects(struct fb_spool *spool, const json_t *spec, struct fb_plan *plan,
                        const char *ref)
{
    struct fb_spool_msg *msg = NULL;
    struct fb_buf bytes;
    must(fb_spool_msg_open(spool, ref, &msg, &err), "open");
    for (uint32_t i = 0; i < plan->part_count; i++) {
        struct sink sink = {0};
        if (plan->parts[i].object != NULL) {
            must(fb_spool_object_create(msg, plan->parts[i].object, &sink.out, &err), "object");
            generate(json_array_get(json_object_get(spec, "parts"), i), i + 1, &sink,
                     &plan->parts[i]);
            must(fb_spool_object_commit(&sink.out, false, &err), "object");
        }
    }
    fb_buf_init(&bytes, FB_MAX_PLAN);
    must(fb_plan_encode(plan, &bytes), "plan");
    must(fb_spool_object_put(msg, "plan", fb_slice_buf(&bytes), false, &err), "plan");
    must(fb_spool_object_put(msg, "head", FB_SLICE_LITERAL("Subject: x\r\n"), false, &err), "head");
    fb_buf_deinit(&bytes);
    fb_spool_msg_close(&msg);
}

/* ---- queue: accepted, taken as render would, advanced to upload ---- */

static void enqueue(struct fb_redis *redis, const struct fb_job *job, const struct fb_envelope *e,
                    const struct fb_plan *plan)
{
    struct fb_claim *claim = fb_xcalloc(1, sizeof *claim);
    struct fb_job *next = fb_xcalloc(1, sizeof *next);
    enum fb_status status = FB_OK;
    size_t count = 0;
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_accepted(redis, ops, job, e, plan->content_size, 3600000);
    must(fb_queue_prepare(redis, &err), "groups");
    must(fb_queue_enqueue(redis, job, (const struct fb_ops *const *)&ops, 1, &status, &err),
         "enqueue");
    must(status, "enqueue");
    fb_ops_free(&ops);
    must(fb_queue_read(redis, FB_STAGE_RENDER, fb_redis_shard(redis, job->msg_id), CONSUMER, 1, 0,
                       claim, &count, &err),
         "read");
    if (count != 1) {
        (void)fprintf(stderr, "parcel_seed: no job to take\n");
        exit(1);
    }
    fb_job_follow(claim, FB_STAGE_UPLOAD, 0, next);
    ops = fb_ops_new();
    fb_ledger_planned(redis, ops, plan, NULL);
    must(fb_queue_advance(redis, CONSUMER, claim, next, 1, ops, &err), "advance");
    fb_ops_free(&ops);
    free(next);
    free(claim);
}

int main(void)
{
    json_t *spec = json_loadf(stdin, 0, NULL);
    struct fb_config config = {0};
    struct fb_spool *spool = NULL;
    struct fb_redis *redis = NULL;
    struct fb_envelope envelope;
    struct fb_plan plan;
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    if (spec == NULL) {
        return 1;
    }
    config.redis.url = text_of(spec, "redis", "");
    config.redis.shards = 1;
    job->stage = FB_STAGE_RENDER;
    job->first_ms = fb_now_ms();
    fb_id_new(job->msg_id);
    fb_trace_new(job->trace);
    plan_init(&plan, spec, job->msg_id);
    envelope_init(&envelope, spec);
    must(fb_spool_open(json_string_value(json_object_get(spec, "spool")),
                       json_string_value(json_object_get(spec, "key_file")), &spool, &err),
         "spool");
    put_message(spool, spec, &plan, &envelope, job->spool_ref);
    put_objects(spool, spec, &plan, job->spool_ref);
    must(fb_redis_new(&config, 5000, &redis, &err), "redis");
    enqueue(redis, job, &envelope, &plan);

    json_t *sums = json_array();
    for (uint32_t i = 0; i < plan.part_count; i++) {
        char hex[41];
        fb_hex(plan.parts[i].sha1, 20, hex);
        (void)json_array_append_new(sums, json_string(hex));
    }
    json_t *answer = json_pack("{s:s,s:o}", "id", job->msg_id, "sha1", sums);
    char *text = json_dumps(answer, JSON_COMPACT);
    (void)puts(text);
    free(text);
    json_decref(answer);
    json_decref(spec);
    fb_redis_free(&redis);
    fb_spool_close(&spool);
    fb_plan_deinit(&plan);
    fb_envelope_deinit(&envelope);
    free(config.redis.url);
    free(job);
    return 0;
}
