/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proto/proto_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/job.h"
#include "proto/limits.h"
#include "proto/plan.h"

#define SAFE_INTEGER (UINT64_C(1) << 53)

static const char *const ops[] = {"", "recall", "restore", "expire", "purge"};
static const char *const letters[] = {"", "receipt", "held", "recall", "unopened", "code"};

/* ---- to JSON ---- */

static void put(json_t *object, const char *key, json_t *value)
{
    FB_ASSERT(value != NULL && json_object_set_new(object, key, value) == 0);
}

static void put_str(json_t *object, const char *key, const char *text)
{
    put(object, key, json_string(text != NULL ? text : ""));
}

static json_t *uint_json(uint64_t value)
{
    char text[24];
    if (value < SAFE_INTEGER) {
        return json_integer((json_int_t)value);
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return json_pack("{s:s}", "$uint", text);
}

static void put_uint(json_t *object, const char *key, uint64_t value)
{
    put(object, key, uint_json(value));
}

/* Keys that are written when they say something. */
static void put_opt_str(json_t *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        put_str(object, key, text);
    }
}

static void put_opt_uint(json_t *object, const char *key, int64_t value)
{
    if (value != 0) {
        put_uint(object, key, (uint64_t)value);
    }
}

static void put_bool(json_t *object, const char *key, bool value)
{
    put(object, key, json_boolean(value));
}

static void put_bin(json_t *object, const char *key, const uint8_t *bytes, size_t len)
{
    char hex[65];
    FB_ASSERT(len * 2 < sizeof hex);
    fb_hex(bytes, len, hex);
    put(object, key, json_pack("{s:s}", "$bin", hex));
}

static void put_uints(json_t *object, const char *key, const uint32_t *values, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        FB_ASSERT(json_array_append_new(list, json_integer(values[i])) == 0);
    }
    put(object, key, list);
}

static json_t *job_json(const struct fb_job *job)
{
    json_t *o = json_object();
    put_uint(o, "v", job->version);
    put_str(o, "stage", fb_stage_name(job->stage));
    put_str(o, "msg", job->msg_id);
    put_str(o, "spool", job->spool_ref);
    put_uint(o, "branch", job->branch);
    put_uint(o, "attempt", job->attempt);
    put_uint(o, "first", (uint64_t)job->first_ms);
    put_str(o, "trace", job->trace);
    if (job->stage == FB_STAGE_REVOKE) {
        put_str(o, "op", ops[job->op]);
        put_bool(o, "content", job->takes_content);
        put_uints(o, "rcpts", job->recipients, job->recipient_count);
    }
    put_opt_str(o, "letter", letters[job->letter]);
    put_opt_str(o, "recall", job->recall_id);
    if (job->letter == FB_LETTER_CODE) {
        put_uint(o, "rcpt", job->reader);
    }
    return o;
}

static json_t *envelope_json(const struct fb_envelope *e)
{
    json_t *o = json_object();
    json_t *list = json_array();
    put_uint(o, "v", 1);
    put_str(o, "from", e->reverse_path);
    for (size_t i = 0; i < e->recipient_count; i++) {
        json_t *to = json_object();
        put_str(to, "to", e->recipients[i].address);
        put_str(to, "notify", e->recipients[i].notify);
        put_str(to, "orcpt", e->recipients[i].orcpt);
        FB_ASSERT(json_array_append_new(list, to) == 0);
    }
    put(o, "rcpts", list);
    put_bool(o, "8bit", e->is_8bit);
    put_bool(o, "utf8", e->is_smtputf8);
    put_str(o, "ret", e->dsn_ret);
    put_str(o, "envid", e->dsn_envid);
    put_str(o, "client", e->client_address);
    put_str(o, "name", e->client_name);
    put_str(o, "helo", e->helo);
    put_str(o, "proto", e->protocol);
    put_str(o, "queue", e->queue_id);
    put_uint(o, "at", (uint64_t)e->received_ms);
    put_str(o, "trace", e->trace);
    return o;
}

static json_t *part_json(const struct fb_part *part)
{
    json_t *o = json_object();
    put_str(o, "name", part->name);
    put_str(o, "type", part->type);
    put_str(o, "cid", part->cid);
    put_str(o, "object", part->object);
    put_uint(o, "offset", part->offset);
    put_uint(o, "length", part->length);
    put_uint(o, "encoding", (uint64_t)part->encoding);
    put_uint(o, "size", part->size);
    put_bin(o, "sha1", part->sha1, sizeof part->sha1);
    put_bool(o, "inline", part->is_inline);
    return o;
}

static json_t *branch_json(const struct fb_branch *b)
{
    json_t *o = json_object();
    put_uint(o, "kind", (uint64_t)b->kind);
    put_uints(o, "rcpts", b->recipients, b->recipient_count);
    put_str(o, "rule", b->rule);
    put_str(o, "reason", b->reason);
    put_str(o, "storage", b->storage);
    put_str(o, "security", b->security);
    put_bool(o, "body", b->secures_body);
    put_bool(o, "files", b->secures_attachments);
    put_str(o, "path", b->path);
    put_uints(o, "parts", b->parts, b->part_count);
    put_uint(o, "expires", (uint64_t)b->expires_ms);
    put_bool(o, "receipt", b->sends_receipt);
    put_str(o, "subject", b->subject);
    put_uint(o, "failure", b->on_failure);
    put_opt_uint(o, "remind", b->remind_ms);
    put_opt_uint(o, "purge", b->purge_ms);
    return o;
}

static json_t *plan_json(const struct fb_plan *p)
{
    json_t *o = json_object();
    json_t *visible = json_array(), *parts = json_array(), *branches = json_array();
    put_uint(o, "v", p->version);
    put_str(o, "msg", p->msg_id);
    put_str(o, "policy", p->policy_version);
    put_uint(o, "size", p->content_size);
    put_str(o, "subject", p->subject);
    put_str(o, "language", p->language);
    for (uint32_t i = 0; i < p->visible_count; i++) {
        FB_ASSERT(json_array_append_new(visible, json_string(p->visible[i])) == 0);
    }
    for (uint32_t i = 0; i < p->part_count; i++) {
        FB_ASSERT(json_array_append_new(parts, part_json(&p->parts[i])) == 0);
    }
    for (uint32_t i = 0; i < p->branch_count; i++) {
        FB_ASSERT(json_array_append_new(branches, branch_json(&p->branches[i])) == 0);
    }
    put(o, "visible", visible);
    put(o, "parts", parts);
    put(o, "branches", branches);
    put_str(o, "head", p->head_object);
    put_str(o, "text", p->kept_text_object);
    put_str(o, "html", p->kept_html_object);
    put_uint(o, "date", (uint64_t)p->date_ms);
    put_str(o, "painter", p->painter);
    put_str(o, "why", p->painter_reason);
    put_opt_str(o, "shadow", p->shadows);
    return o;
}

static json_t *parcel_json(const struct fb_parcel *p)
{
    json_t *o = json_object();
    json_t *grants = json_array(), *files = json_array();
    put_uint(o, "v", p->version);
    put_str(o, "parcel", p->parcel_id);
    put_str(o, "storage", p->storage);
    put_str(o, "user", p->user);
    put_str(o, "folder", p->folder_id);
    put_str(o, "link", p->link);
    put_str(o, "password", p->password);
    put_str(o, "access", p->access);
    put_bool(o, "download", p->can_download);
    put_uint(o, "expires", (uint64_t)p->expires_ms);
    for (uint32_t i = 0; i < p->grant_count; i++) {
        json_t *g = json_object();
        put_uint(g, "rcpt", p->grants[i].recipient);
        put_str(g, "to", p->grants[i].address);
        put_str(g, "id", p->grants[i].grant_id);
        put_str(g, "state", p->grants[i].state);
        if (p->grants[i].has_secret) {
            put_bin(g, "secret", p->grants[i].secret, sizeof p->grants[i].secret);
        }
        put_opt_str(g, "storage", p->grants[i].storage);
        FB_ASSERT(json_array_append_new(grants, g) == 0);
    }
    for (uint32_t i = 0; i < p->file_count; i++) {
        json_t *f = json_object();
        put_str(f, "name", p->files[i].name);
        put_str(f, "id", p->files[i].file_id);
        put_uint(f, "size", p->files[i].size);
        put_bin(f, "sha1", p->files[i].sha1, sizeof p->files[i].sha1);
        FB_ASSERT(json_array_append_new(files, f) == 0);
    }
    put(o, "grants", grants);
    put(o, "files", files);
    put_opt_str(o, "from", p->from);
    put_opt_str(o, "subject", p->subject);
    put_opt_str(o, "language", p->language);
    put_opt_str(o, "rule", p->rule);
    put_opt_uint(o, "at", p->accepted_ms);
    put_opt_uint(o, "remind", p->remind_ms);
    put_opt_uint(o, "purge", p->purge_ms);
    if (p->sends_receipt) {
        put_bool(o, "receipt", true);
    }
    put_opt_str(o, "fallback", p->fallback);
    put_opt_str(o, "pass",
                p->password_to_sender    ? "sender"
                : p->password_to_readers ? "readers"
                                         : "");
    return o;
}

/* ---- from JSON ---- */

struct from {
    struct fb_error *err;
    enum fb_status status;
};

static const json_t *get(struct from *f, const json_t *o, const char *key, json_type type)
{
    const json_t *value = json_object_get(o, key);
    bool is_bool = type == JSON_TRUE && json_is_boolean(value);
    if (f->status == FB_OK && !is_bool && (value == NULL || json_typeof(value) != type)) {
        f->status = fb_error_set(f->err, FB_INVALID, "%s: missing or of another type", key);
    }
    return f->status == FB_OK ? value : NULL;
}

static char *get_str(struct from *f, const json_t *o, const char *key)
{
    const json_t *value = get(f, o, key, JSON_STRING);
    return fb_xstrdup(value != NULL ? json_string_value(value) : "");
}

static void get_text(struct from *f, const json_t *o, const char *key, char *out, size_t size)
{
    const json_t *value = get(f, o, key, JSON_STRING);
    (void)snprintf(out, size, "%s", value != NULL ? json_string_value(value) : "");
}

static uint64_t get_uint(struct from *f, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(o, key), "$uint"));
    if (text != NULL) {
        return strtoull(text, NULL, 10);
    }
    const json_t *value = get(f, o, key, JSON_INTEGER);
    return value != NULL ? (uint64_t)json_integer_value(value) : 0;
}

/* Keys that may be absent. */
static char *get_opt_str(struct from *f, const json_t *o, const char *key)
{
    return json_object_get(o, key) != NULL ? get_str(f, o, key) : NULL;
}

static int64_t get_opt_ms(struct from *f, const json_t *o, const char *key)
{
    return json_object_get(o, key) != NULL ? (int64_t)get_uint(f, o, key) : 0;
}

static bool get_bool(struct from *f, const json_t *o, const char *key)
{
    return json_is_true(get(f, o, key, JSON_TRUE));
}

static void get_bin(struct from *f, const json_t *o, const char *key, uint8_t *out, size_t len)
{
    const char *hex = json_string_value(json_object_get(json_object_get(o, key), "$bin"));
    if (f->status == FB_OK && (hex == NULL || strlen(hex) != len * 2 || !fb_unhex(hex, out, len))) {
        f->status = fb_error_set(f->err, FB_INVALID, "%s: missing or of another type", key);
    }
}

static uint32_t *get_uints(struct from *f, const json_t *o, const char *key, uint32_t *count_r)
{
    const json_t *list = get(f, o, key, JSON_ARRAY);
    uint32_t *values = fb_xcalloc(json_array_size(list), sizeof *values);
    *count_r = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < *count_r; i++) {
        values[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
    return values;
}

static void job_from(struct from *f, const json_t *o, struct fb_job *job)
{
    char text[32];
    job->version = (uint32_t)get_uint(f, o, "v");
    get_text(f, o, "stage", text, sizeof text);
    if (f->status == FB_OK && !fb_stage_parse(text, &job->stage)) {
        f->status = fb_error_set(f->err, FB_INVALID, "stage: unknown");
    }
    get_text(f, o, "msg", job->msg_id, sizeof job->msg_id);
    get_text(f, o, "spool", job->spool_ref, sizeof job->spool_ref);
    job->branch = (uint32_t)get_uint(f, o, "branch");
    job->attempt = (uint32_t)get_uint(f, o, "attempt");
    job->first_ms = (int64_t)get_uint(f, o, "first");
    get_text(f, o, "trace", job->trace, sizeof job->trace);
    if (json_object_get(o, "recall") != NULL) {
        get_text(f, o, "recall", job->recall_id, sizeof job->recall_id);
    }
    if (json_object_get(o, "letter") != NULL) {
        get_text(f, o, "letter", text, sizeof text);
        for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
            job->letter = strcmp(text, letters[i]) == 0 ? (enum fb_letter)i : job->letter;
        }
        job->reader = job->letter == FB_LETTER_CODE ? (uint32_t)get_uint(f, o, "rcpt") : 0;
    }
    if (f->status != FB_OK || job->stage != FB_STAGE_REVOKE) {
        return;
    }
    get_text(f, o, "op", text, sizeof text);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        job->op = strcmp(text, ops[i]) == 0 ? (enum fb_revoke_op)i : job->op;
    }
    job->takes_content = get_bool(f, o, "content");
    uint32_t count = 0;
    uint32_t *list = get_uints(f, o, "rcpts", &count);
    FB_ASSERT(count <= FB_MAX_JOB_RCPT);
    memcpy(job->recipients, list, count * sizeof *list);
    job->recipient_count = count;
    free(list);
}

static void envelope_from(struct from *f, const json_t *o, struct fb_envelope *e)
{
    const json_t *list = get(f, o, "rcpts", JSON_ARRAY);
    e->reverse_path = get_str(f, o, "from");
    e->recipients = fb_xcalloc(json_array_size(list), sizeof *e->recipients);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *to = json_array_get(list, i);
        struct fb_recipient *r = &e->recipients[e->recipient_count++];
        r->address = get_str(f, to, "to");
        r->notify = get_str(f, to, "notify");
        r->orcpt = get_str(f, to, "orcpt");
    }
    e->is_8bit = get_bool(f, o, "8bit");
    e->is_smtputf8 = get_bool(f, o, "utf8");
    e->dsn_ret = get_str(f, o, "ret");
    e->dsn_envid = get_str(f, o, "envid");
    e->client_address = get_str(f, o, "client");
    e->client_name = get_str(f, o, "name");
    e->helo = get_str(f, o, "helo");
    e->protocol = get_str(f, o, "proto");
    e->queue_id = get_str(f, o, "queue");
    e->received_ms = (int64_t)get_uint(f, o, "at");
    get_text(f, o, "trace", e->trace, sizeof e->trace);
}

static void part_from(struct from *f, const json_t *o, struct fb_part *part)
{
    part->name = get_str(f, o, "name");
    part->type = get_str(f, o, "type");
    part->cid = get_str(f, o, "cid");
    part->object = get_str(f, o, "object");
    part->offset = get_uint(f, o, "offset");
    part->length = get_uint(f, o, "length");
    part->encoding = (enum fb_encoding)get_uint(f, o, "encoding");
    part->size = get_uint(f, o, "size");
    get_bin(f, o, "sha1", part->sha1, sizeof part->sha1);
    part->is_inline = get_bool(f, o, "inline");
}

static void branch_from(struct from *f, const json_t *o, struct fb_branch *b)
{
    b->kind = (enum fb_branch_kind)get_uint(f, o, "kind");
    b->recipients = get_uints(f, o, "rcpts", &b->recipient_count);
    b->rule = get_str(f, o, "rule");
    b->reason = get_str(f, o, "reason");
    b->storage = get_str(f, o, "storage");
    b->security = get_str(f, o, "security");
    b->secures_body = get_bool(f, o, "body");
    b->secures_attachments = get_bool(f, o, "files");
    b->path = get_str(f, o, "path");
    b->parts = get_uints(f, o, "parts", &b->part_count);
    b->expires_ms = (int64_t)get_uint(f, o, "expires");
    b->sends_receipt = get_bool(f, o, "receipt");
    b->subject = get_str(f, o, "subject");
    b->on_failure = (uint8_t)get_uint(f, o, "failure");
    b->remind_ms = get_opt_ms(f, o, "remind");
    b->purge_ms = get_opt_ms(f, o, "purge");
}

static void plan_from(struct from *f, const json_t *o, struct fb_plan *p)
{
    p->version = (uint32_t)get_uint(f, o, "v");
    get_text(f, o, "msg", p->msg_id, sizeof p->msg_id);
    get_text(f, o, "policy", p->policy_version, sizeof p->policy_version);
    p->content_size = get_uint(f, o, "size");
    p->subject = get_str(f, o, "subject");
    p->language = get_str(f, o, "language");
    const json_t *list = get(f, o, "visible", JSON_ARRAY);
    p->visible = fb_xcalloc(json_array_size(list), sizeof *p->visible);
    for (; p->visible_count < json_array_size(list); p->visible_count++) {
        p->visible[p->visible_count] =
            fb_xstrdup(json_string_value(json_array_get(list, p->visible_count)));
    }
    list = get(f, o, "parts", JSON_ARRAY);
    p->parts = fb_xcalloc(json_array_size(list), sizeof *p->parts);
    for (; p->part_count < json_array_size(list); p->part_count++) {
        part_from(f, json_array_get(list, p->part_count), &p->parts[p->part_count]);
    }
    list = get(f, o, "branches", JSON_ARRAY);
    p->branches = fb_xcalloc(json_array_size(list), sizeof *p->branches);
    for (; p->branch_count < json_array_size(list); p->branch_count++) {
        branch_from(f, json_array_get(list, p->branch_count), &p->branches[p->branch_count]);
    }
    p->head_object = get_str(f, o, "head");
    p->kept_text_object = get_str(f, o, "text");
    p->kept_html_object = get_str(f, o, "html");
    p->date_ms = (int64_t)get_uint(f, o, "date");
    p->painter = get_str(f, o, "painter");
    p->painter_reason = get_str(f, o, "why");
    p->shadows = get_opt_str(f, o, "shadow");
}

static void parcel_from(struct from *f, const json_t *o, struct fb_parcel *p)
{
    p->version = (uint32_t)get_uint(f, o, "v");
    get_text(f, o, "parcel", p->parcel_id, sizeof p->parcel_id);
    p->storage = get_str(f, o, "storage");
    p->user = get_str(f, o, "user");
    p->folder_id = get_str(f, o, "folder");
    p->link = get_str(f, o, "link");
    p->password = get_str(f, o, "password");
    p->access = get_str(f, o, "access");
    p->can_download = get_bool(f, o, "download");
    p->expires_ms = (int64_t)get_uint(f, o, "expires");
    const json_t *list = get(f, o, "grants", JSON_ARRAY);
    p->grants = fb_xcalloc(json_array_size(list), sizeof *p->grants);
    for (; p->grant_count < json_array_size(list); p->grant_count++) {
        const json_t *from = json_array_get(list, p->grant_count);
        struct fb_parcel_grant *g = &p->grants[p->grant_count];
        g->recipient = (uint32_t)get_uint(f, from, "rcpt");
        g->address = get_str(f, from, "to");
        g->grant_id = get_str(f, from, "id");
        g->state = get_str(f, from, "state");
        g->storage = get_opt_str(f, from, "storage");
        g->has_secret = json_object_get(from, "secret") != NULL;
        if (g->has_secret) {
            get_bin(f, from, "secret", g->secret, sizeof g->secret);
        }
    }
    list = get(f, o, "files", JSON_ARRAY);
    p->files = fb_xcalloc(json_array_size(list), sizeof *p->files);
    for (; p->file_count < json_array_size(list); p->file_count++) {
        const json_t *from = json_array_get(list, p->file_count);
        struct fb_parcel_file *file = &p->files[p->file_count];
        file->name = get_str(f, from, "name");
        file->file_id = get_str(f, from, "id");
        file->size = get_uint(f, from, "size");
        get_bin(f, from, "sha1", file->sha1, sizeof file->sha1);
    }
    p->from = get_opt_str(f, o, "from");
    p->subject = get_opt_str(f, o, "subject");
    p->language = get_opt_str(f, o, "language");
    p->rule = get_opt_str(f, o, "rule");
    p->accepted_ms = get_opt_ms(f, o, "at");
    p->remind_ms = get_opt_ms(f, o, "remind");
    p->purge_ms = get_opt_ms(f, o, "purge");
    p->sends_receipt = json_object_get(o, "receipt") != NULL && get_bool(f, o, "receipt");
    p->fallback = get_opt_str(f, o, "fallback");
    const char *pass = json_string_value(json_object_get(o, "pass"));
    p->password_to_sender = pass != NULL && strcmp(pass, "sender") == 0;
    p->password_to_readers = pass != NULL && strcmp(pass, "readers") == 0;
}

/* ---- by kind ---- */

union document {
    struct fb_job job;
    struct fb_envelope envelope;
    struct fb_plan plan;
    struct fb_parcel parcel;
};

enum kind { JOB, ENVELOPE, PLAN, PARCEL, KIND_COUNT };
static const char *const kinds[KIND_COUNT] = {"job", "envelope", "plan", "parcel"};

static enum kind kind_of(const char *name)
{
    int i = 0;
    while (i < KIND_COUNT && strcmp(kinds[i], name) != 0) {
        i++;
    }
    return (enum kind)i;
}

static enum fb_status decode(enum kind kind, struct fb_slice bytes, union document *d,
                             struct fb_error *err)
{
    switch (kind) {
    case JOB:
        return fb_job_decode(bytes, &d->job, err);
    case ENVELOPE:
        return fb_envelope_decode(bytes, &d->envelope, err);
    case PLAN:
        return fb_plan_decode(bytes, &d->plan, err);
    case PARCEL:
        return fb_parcel_decode(bytes, &d->parcel, err);
    default:
        return fb_error_set(err, FB_NOT_FOUND, "kind: none of job, envelope, plan, parcel");
    }
}

static enum fb_status encode(enum kind kind, const union document *d, struct fb_buf *out)
{
    switch (kind) {
    case JOB:
        return fb_job_encode(&d->job, out);
    case ENVELOPE:
        return fb_envelope_encode(&d->envelope, out);
    case PLAN:
        return fb_plan_encode(&d->plan, out);
    default:
        return fb_parcel_encode_secret(&d->parcel, out);
    }
}

static void release(enum kind kind, union document *d)
{
    switch (kind) {
    case ENVELOPE:
        fb_envelope_deinit(&d->envelope);
        break;
    case PLAN:
        fb_plan_deinit(&d->plan);
        break;
    case PARCEL:
        fb_parcel_deinit(&d->parcel);
        break;
    default:
        break;
    }
}

enum fb_status proto_json_decode(const char *kind, struct fb_slice bytes, json_t **json_r,
                                 struct fb_error *err)
{
    union document *d = fb_xcalloc(1, sizeof *d);
    enum kind k = kind_of(kind);
    enum fb_status s = decode(k, bytes, d, err);
    if (s == FB_OK) {
        *json_r = k == JOB        ? job_json(&d->job)
                  : k == ENVELOPE ? envelope_json(&d->envelope)
                  : k == PLAN     ? plan_json(&d->plan)
                                  : parcel_json(&d->parcel);
        release(k, d);
    }
    free(d);
    return s;
}

enum fb_status proto_json_encode(const char *kind, const json_t *json, struct fb_buf *out,
                                 struct fb_error *err)
{
    union document *d = fb_xcalloc(1, sizeof *d);
    enum kind k = kind_of(kind);
    struct from f = {.err = err, .status = FB_OK};
    switch (k) {
    case JOB:
        job_from(&f, json, &d->job);
        break;
    case ENVELOPE:
        envelope_from(&f, json, &d->envelope);
        break;
    case PLAN:
        plan_from(&f, json, &d->plan);
        break;
    case PARCEL:
        parcel_from(&f, json, &d->parcel);
        break;
    default:
        f.status = fb_error_set(err, FB_NOT_FOUND, "kind: none of job, envelope, plan, parcel");
        break;
    }
    enum fb_status s = f.status;
    if (s == FB_OK) {
        s = encode(k, d, out);
    }
    release(k, d);
    free(d);
    return s;
}

enum fb_status proto_json_again(const char *kind, struct fb_slice bytes, struct fb_buf *out,
                                struct fb_error *err)
{
    union document *d = fb_xcalloc(1, sizeof *d);
    enum kind k = kind_of(kind);
    enum fb_status s = decode(k, bytes, d, err);
    if (s == FB_OK) {
        s = encode(k, d, out);
        release(k, d);
    }
    free(d);
    return s;
}
