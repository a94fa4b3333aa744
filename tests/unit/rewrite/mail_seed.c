/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts one message into spool and queue as ingest, render and upload would have left it: a test
 * describes it in JSON on standard input, the rewrite service finds its jobs.  Prints the message's
 * id.
 *
 *   {"spool", "key_file", "redis", "shards": 1, "age_ms": 0,
 *    "envelope": {"from", "to": [{"address", "notify", "orcpt"}], "8bit", "utf8", "ret", "envid"},
 *    "content": BASE64, "objects": {NAME: BASE64},
 *    "plan": null | {"subject", "language", "visible": [...], "head", "kept_text", "kept_html",
 *      "parts": [{"name", "type", "cid", "object", "find": TEXT (range of the content), "encoding":
 * 0-3, "inline"}], "branches": [{"kind": 0-2, "to": [...], "rule", "body", "attachments", "parts":
 * [...], "subject", "receipt", "security"}]}, "parcels": {BRANCH: {"storage", "link", "password", "pass", "access",
 * "download", "expires", "files": [{"name", "size"}], "fallback",
 *    "grants": [{"to", "state", "secret": HEX (of a vault), "storage"}]}}, "key": of titles,
 *    "recalled": [index]}
 *
 * A parcel with grants is in the ledger, too, and has its manifest.  recalled: the sent journal knows it,
 * Redis does not.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/ledger.h"
#include "common/queue/worker.h"
#include "common/spool/journal.h"
#include "common/spool/records.h"
#include "proto/limits.h"

#define CONSUMER   "seed"
#define MAX_OBJECT (64U << 20)

static struct fb_error err;

static void must(enum fb_status s, const char *what)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "mail_seed: %s: %s (%s)\n", what, err.text, fb_status_name(s));
        exit(1);
    }
}

static char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, key));
    s = s != NULL ? s : otherwise;
    return s != NULL ? fb_xstrdup(s) : NULL;
}

static bool flag_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void decode(const json_t *value, struct fb_buf *out)
{
    fb_buf_init(out, MAX_OBJECT);
    must(fb_base64_decode(fb_slice_str(json_string_value(value)), out), "base64");
}

static struct fb_envelope envelope_of(const json_t *spec)
{
    const json_t *j = json_object_get(spec, "envelope");
    const json_t *to = json_object_get(j, "to");
    struct fb_envelope e = {
        .reverse_path = text_of(j, "from", ""),
        .recipient_count = json_array_size(to),
        .is_8bit = flag_of(j, "8bit"),
        .is_smtputf8 = flag_of(j, "utf8"),
        .dsn_ret = text_of(j, "ret", NULL),
        .dsn_envid = text_of(j, "envid", NULL),
        .received_ms = fb_now_ms(),
    };
    e.recipients = fb_xcalloc(e.recipient_count + 1, sizeof *e.recipients);
    for (size_t i = 0; i < e.recipient_count; i++) {
        const json_t *r = json_array_get(to, i);
        e.recipients[i] = (struct fb_recipient){.address = text_of(r, "address", ""),
                                                .notify = text_of(r, "notify", NULL),
                                                .orcpt = text_of(r, "orcpt", NULL)};
    }
    fb_trace_new(e.trace);
    return e;
}

static void part_of(const json_t *j, struct fb_slice content, struct fb_part *p)
{
    *p = (struct fb_part){.name = text_of(j, "name", "x"),
                          .type = text_of(j, "type", "application/octet-stream"),
                          .cid = text_of(j, "cid", NULL),
                          .object = text_of(j, "object", NULL),
                          .encoding = (enum fb_encoding)number_of(j, "encoding"),
                          .size = 1,
                          .is_inline = flag_of(j, "inline")};
    const char *find = json_string_value(json_object_get(j, "find"));
    if (find != NULL) {
        size_t at = fb_slice_find(content, fb_slice_str(find));
        if (at == SIZE_MAX) {
            (void)fprintf(stderr, "mail_seed: part \"%s\" is not in the content\n", p->name);
            exit(1);
        }
        p->offset = at;
        p->length = strlen(find);
    }
}

static void numbers_of(const json_t *list, uint32_t **out, uint32_t *count)
{
    *count = (uint32_t)json_array_size(list);
    *out = fb_xcalloc(*count + 1, sizeof **out);
    for (uint32_t i = 0; i < *count; i++) {
        (*out)[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
}

static void branch_of(const json_t *j, struct fb_branch *b)
{
    *b = (struct fb_branch){.kind = (enum fb_branch_kind)number_of(j, "kind"),
                            .rule = text_of(j, "rule", ""),
                            .reason = text_of(j, "reason", "rule"),
                            .secures_body = flag_of(j, "body"),
                            .secures_attachments = flag_of(j, "attachments"),
                            .sends_receipt = flag_of(j, "receipt"),
                            .on_failure = (uint8_t)number_of(j, "on_failure"),
                            .subject = text_of(j, "subject", NULL)};
    numbers_of(json_object_get(j, "to"), &b->recipients, &b->recipient_count);
    numbers_of(json_object_get(j, "parts"), &b->parts, &b->part_count);
    if (b->kind == FB_BRANCH_SECURE) {
        b->storage = text_of(j, "storage", "box");
        b->security = text_of(j, "security", "s");
        b->path = fb_xstrdup("");
    }
}

static struct fb_plan plan_of(const json_t *j, const char *msg_id, struct fb_slice content)
{
    const json_t *visible = json_object_get(j, "visible");
    const json_t *parts = json_object_get(j, "parts");
    const json_t *branches = json_object_get(j, "branches");
    struct fb_plan p = {.version = FB_PLAN_VERSION,
                        .content_size = content.len,
                        .subject = text_of(j, "subject", ""),
                        .language = text_of(j, "language", "en"),
                        .visible_count = (uint32_t)json_array_size(visible),
                        .part_count = (uint32_t)json_array_size(parts),
                        .branch_count = (uint32_t)json_array_size(branches),
                        .head_object = text_of(j, "head", "head"),
                        .kept_text_object = text_of(j, "kept_text", ""),
                        .kept_html_object = text_of(j, "kept_html", ""),
                        .date_ms = fb_now_ms(),
                        .painter = fb_xstrdup("text"),
                        .painter_reason = fb_xstrdup("")};
    (void)snprintf(p.msg_id, sizeof p.msg_id, "%s", msg_id);
    (void)memset(p.policy_version, '0', 64);
    p.visible = fb_xcalloc(p.visible_count + 1, sizeof *p.visible);
    for (uint32_t i = 0; i < p.visible_count; i++) {
        p.visible[i] = fb_xstrdup(json_string_value(json_array_get(visible, i)));
    }
    p.parts = fb_xcalloc(p.part_count + 1, sizeof *p.parts);
    for (uint32_t i = 0; i < p.part_count; i++) {
        part_of(json_array_get(parts, i), content, &p.parts[i]);
    }
    p.branches = fb_xcalloc(p.branch_count + 1, sizeof *p.branches);
    for (uint32_t i = 0; i < p.branch_count; i++) {
        branch_of(json_array_get(branches, i), &p.branches[i]);
    }
    return p;
}

static void grants_of(const json_t *list, const struct fb_envelope *e, struct fb_parcel *p)
{
    p->grant_count = (uint32_t)json_array_size(list);
    p->grants = fb_xcalloc(p->grant_count + 1, sizeof *p->grants);
    for (uint32_t i = 0; i < p->grant_count; i++) {
        const json_t *g = json_array_get(list, i);
        char id[2 * FB_SHA256_SIZE + 1];
        uint32_t to = (uint32_t)number_of(g, "to");
        (void)snprintf(id, sizeof id, "9%u", to);
        p->grants[i] = (struct fb_parcel_grant){.recipient = to,
                                                .address = fb_xstrdup(e->recipients[to].address),
                                                .state = text_of(g, "state", "active"),
                                                .storage = text_of(g, "storage", NULL)};
        const char *secret = json_string_value(json_object_get(g, "secret"));
        if (secret != NULL && fb_unhex(secret, p->grants[i].secret, FB_PARCEL_SECRET)) {
            uint8_t digest[FB_SHA256_SIZE];
            p->grants[i].has_secret = true;
            fb_sha256(p->grants[i].secret, FB_PARCEL_SECRET, digest);
            fb_hex(digest, sizeof digest, id);
        }
        p->grants[i].grant_id = fb_xstrdup(id);
    }
}

static void save_parcel(struct fb_spool *spool, struct fb_spool_msg *msg, uint32_t number,
                        const json_t *j, const struct fb_envelope *e, struct fb_parcel *parcel_r)
{
    const json_t *files = json_object_get(j, "files");
    struct fb_parcel p = {.storage = text_of(j, "storage", "box"),
                          .user = fb_xstrdup(""),
                          .folder_id = fb_xstrdup("1"),
                          .link = text_of(j, "link", "https://box.example/f/1"),
                          .password = text_of(j, "password", ""),
                          .access = text_of(j, "access", "recipients"),
                          .can_download = flag_of(j, "download"),
                          .expires_ms = number_of(j, "expires"),
                          .fallback = text_of(j, "fallback", NULL),
                          .from = text_of(j, "from", NULL),
                          .language = text_of(j, "language", NULL),
                          .file_count = (uint32_t)json_array_size(files)};
    const char *pass = json_string_value(json_object_get(j, "pass"));
    p.password_to_sender = pass != NULL && strcmp(pass, "sender") == 0;
    fb_parcel_id_make(fb_spool_msg_id(msg), number, p.parcel_id);
    p.files = fb_xcalloc(p.file_count + 1, sizeof *p.files);
    for (uint32_t i = 0; i < p.file_count; i++) {
        const json_t *f = json_array_get(files, i);
        p.files[i] = (struct fb_parcel_file){.name = text_of(f, "name", "x"),
                                             .file_id = fb_xstrdup("2"),
                                             .size = (uint64_t)number_of(f, "size")};
    }
    grants_of(json_object_get(j, "grants"), e, &p);
    must(fb_spool_parcel_save(spool, msg, number, &p, p.grant_count > 0, &err), "parcel");
    *parcel_r = p;
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

static void put_message(struct fb_spool *spool, const char *msg_id, const struct fb_envelope *e,
                        struct fb_slice content, char ref_r[FB_REF_SIZE])
{
    struct done d = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    struct fb_spool_writer *writer = NULL;
    struct fb_spool_in *in = NULL;
    struct fb_buf envelope;
    char name[64];
    (void)snprintf(name, sizeof name, "seed-%.20s", msg_id);
    for (char *p = name; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    fb_buf_init(&envelope, FB_MAX_ENVELOPE);
    must(fb_envelope_encode(e, &envelope), "envelope");
    must(fb_spool_writer_new(spool, name, NULL, NULL, &writer, &err), "writer");
    must(fb_spool_in_new(writer, msg_id, &in, &err), "message");
    must(fb_spool_in_add(in, content.ptr, content.len, &err), "content");
    fb_spool_in_submit(&in, fb_slice_buf(&envelope), on_done, &d);
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

/* As revoke does, before a fail-over takes from Redis that they were recalled. */
static void recall(struct fb_spool *spool, const char *msg_id, const json_t *list)
{
    struct fb_journal *journal = NULL;
    must(fb_journal_open(spool, "seed", &journal, &err), "journal");
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t index = (uint32_t)json_integer_value(json_array_get(list, i));
        must(fb_journal_commit(journal, msg_id, 0, FB_SENT_RECALLED, &index, 1, &err), "recalled");
    }
    fb_journal_close(&journal);
}

/* ---- queue: accepted, taken as render would, advanced to rewrite ---- */

static void enqueue(struct fb_redis *redis, const struct fb_job *job, const struct fb_envelope *e,
                    const struct fb_plan *plan, const struct fb_parcel *parcels, const char *key,
                    size_t size)
{
    struct fb_claim *claim = fb_xcalloc(1, sizeof *claim);
    enum fb_status status = FB_OK;
    size_t count = 0;
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_accepted(redis, ops, job, e, size, 3600000);
    must(fb_queue_prepare(redis, &err), "groups");
    must(fb_queue_enqueue(redis, job, (const struct fb_ops *const *)&ops, 1, &status, &err),
         "enqueue");
    must(status, "enqueue");
    fb_ops_free(&ops);
    must(fb_queue_read(redis, FB_STAGE_RENDER, fb_redis_shard(redis, job->msg_id), CONSUMER, 1, 0,
                       claim, &count, &err),
         "read");
    if (count != 1) {
        (void)fprintf(stderr, "mail_seed: no job to take\n");
        exit(1);
    }
    size_t branches = plan != NULL ? plan->branch_count : 1;
    struct fb_job *next = fb_xcalloc(branches, sizeof *next);
    for (size_t i = 0; i < branches; i++) {
        fb_job_follow(claim, FB_STAGE_REWRITE, (uint32_t)i, &next[i]);
    }
    ops = fb_ops_new();
    if (plan != NULL) {
        fb_ledger_planned(redis, ops, plan, key);
        for (uint32_t i = 0; i < plan->branch_count; i++) {
            if (parcels[i].grant_count > 0) {
                fb_ledger_uploaded(redis, ops, plan, i, &parcels[i], 3600000);
            }
        }
    } else {
        fb_ledger_force(redis, ops, job->msg_id, UINT32_MAX, "deliver");
    }
    must(fb_queue_advance(redis, CONSUMER, claim, next, branches, ops, &err), "advance");
    fb_ops_free(&ops);
    free(next);
    free(claim);
}

int main(void)
{
    json_error_t problem;
    json_t *spec = json_loadf(stdin, 0, &problem);
    if (spec == NULL) {
        (void)fprintf(stderr, "mail_seed: line %d: %s\n", problem.line, problem.text);
        return 1;
    }
    struct fb_config config = {0};
    struct fb_spool *spool = NULL;
    struct fb_spool_msg *msg = NULL;
    struct fb_redis *redis = NULL;
    struct fb_buf content;
    struct fb_job job = {.stage = FB_STAGE_RENDER,
                         .first_ms = fb_now_ms() - number_of(spec, "age_ms")};
    config.redis.url = text_of(spec, "redis", NULL);
    config.redis.shards = 1;
    decode(json_object_get(spec, "content"), &content);
    struct fb_envelope envelope = envelope_of(spec);
    fb_id_new(job.msg_id);
    fb_trace_new(job.trace);
    must(fb_spool_open(json_string_value(json_object_get(spec, "spool")),
                       json_string_value(json_object_get(spec, "key_file")), &spool, &err),
         "spool");
    put_message(spool, job.msg_id, &envelope, fb_slice_buf(&content), job.spool_ref);
    must(fb_spool_msg_open(spool, job.spool_ref, &msg, &err), "open");

    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(spec, "objects"), name, value)
    {
        struct fb_buf bytes;
        decode(value, &bytes);
        must(fb_spool_object_put(msg, name, fb_slice_buf(&bytes), false, &err), name);
        fb_buf_deinit(&bytes);
    }
    struct fb_plan plan = {0};
    json_t *j = json_object_get(spec, "plan");
    if (json_is_object(j)) {
        struct fb_buf bytes;
        plan = plan_of(j, job.msg_id, fb_slice_buf(&content));
        fb_buf_init(&bytes, FB_MAX_PLAN);
        must(fb_plan_encode(&plan, &bytes), "plan");
        must(fb_spool_object_put(msg, "plan", fb_slice_buf(&bytes), false, &err), "plan");
        fb_buf_deinit(&bytes);
    }
    struct fb_parcel *parcels = fb_xcalloc(FB_MAX_BRANCHES, sizeof *parcels);
    json_object_foreach(json_object_get(spec, "parcels"), name, value)
    {
        uint32_t number = (uint32_t)strtoul(name, NULL, 10) % FB_MAX_BRANCHES;
        save_parcel(spool, msg, number, value, &envelope, &parcels[number]);
    }
    if (json_object_get(spec, "recalled") != NULL) {
        recall(spool, job.msg_id, json_object_get(spec, "recalled"));
    }
    must(fb_redis_new(&config, 5000, &redis, &err), "redis");
    enqueue(redis, &job, &envelope, json_is_object(j) ? &plan : NULL, parcels,
            json_string_value(json_object_get(spec, "key")), content.len);
    (void)printf("%s\n", job.msg_id);

    fb_redis_free(&redis);
    fb_spool_msg_close(&msg);
    fb_spool_close(&spool);
    for (uint32_t i = 0; i < FB_MAX_BRANCHES; i++) {
        fb_parcel_deinit(&parcels[i]);
    }
    free(parcels);
    fb_plan_deinit(&plan);
    fb_envelope_deinit(&envelope);
    fb_buf_deinit(&content);
    free(config.redis.url);
    json_decref(spec);
    return 0;
}
