/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/plan.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/pack.h"

#define MAX_NAME  (FB_MAX_FILE_NAME * 4)
#define MAX_WORDS 1024
#define MAX_PATH  4096

static void free_list(char **list, uint32_t count)
{
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        free(list[i]);
    }
    free(list);
}

void fb_plan_deinit(struct fb_plan *p)
{
    free(p->subject);
    free(p->language);
    free_list(p->visible, p->visible_count);
    for (uint32_t i = 0; i < p->part_count; i++) {
        free(p->parts[i].name);
        free(p->parts[i].type);
        free(p->parts[i].cid);
        free(p->parts[i].object);
    }
    free(p->parts);
    for (uint32_t i = 0; i < p->branch_count; i++) {
        struct fb_branch *b = &p->branches[i];
        free(b->recipients);
        free(b->rule);
        free(b->reason);
        free(b->storage);
        free(b->security);
        free(b->path);
        free(b->parts);
        free(b->subject);
    }
    free(p->branches);
    free(p->head_object);
    free(p->kept_text_object);
    free(p->kept_html_object);
    free(p->painter);
    free(p->painter_reason);
    free(p->shadows);
    *p = (struct fb_plan){0};
}

static void pack_part(struct fb_pack *p, const struct fb_part *part)
{
    fb_pack_map(p, 10);
    fb_pack_str(p, "name", part->name);
    fb_pack_str(p, "type", part->type);
    fb_pack_str(p, "cid", part->cid);
    fb_pack_str(p, "object", part->object);
    fb_pack_uint(p, "offset", part->offset);
    fb_pack_uint(p, "length", part->length);
    fb_pack_uint(p, "encoding", (uint64_t)part->encoding);
    fb_pack_uint(p, "size", part->size);
    fb_pack_bin(p, "sha1", part->sha1, sizeof part->sha1);
    fb_pack_bool(p, "inline", part->is_inline);
}

static void pack_branch(struct fb_pack *p, const struct fb_branch *b)
{
    fb_pack_map(p, 14 + (b->remind_ms > 0 ? 1 : 0) + (b->purge_ms > 0 ? 1 : 0));
    fb_pack_uint(p, "kind", (uint64_t)b->kind);
    fb_pack_uints(p, "rcpts", b->recipients, b->recipient_count);
    fb_pack_str(p, "rule", b->rule);
    fb_pack_str(p, "reason", b->reason);
    fb_pack_str(p, "storage", b->storage);
    fb_pack_str(p, "security", b->security);
    fb_pack_bool(p, "body", b->secures_body);
    fb_pack_bool(p, "files", b->secures_attachments);
    fb_pack_str(p, "path", b->path);
    fb_pack_uints(p, "parts", b->parts, b->part_count);
    fb_pack_uint(p, "expires", b->expires_ms > 0 ? (uint64_t)b->expires_ms : 0);
    fb_pack_bool(p, "receipt", b->sends_receipt);
    fb_pack_str(p, "subject", b->subject);
    fb_pack_uint(p, "failure", b->on_failure);
    fb_pack_opt_uint(p, "remind", b->remind_ms > 0 ? (uint64_t)b->remind_ms : 0);
    fb_pack_opt_uint(p, "purge", b->purge_ms > 0 ? (uint64_t)b->purge_ms : 0);
}

enum fb_status fb_plan_encode(const struct fb_plan *plan, struct fb_buf *out)
{
    struct fb_pack p;
    fb_pack_init(&p, out);
    fb_pack_map(&p, 15 + (plan->shadows != NULL && plan->shadows[0] != '\0' ? 1 : 0));
    fb_pack_uint(&p, "v", plan->version != 0 ? plan->version : FB_PLAN_VERSION);
    fb_pack_str(&p, "msg", plan->msg_id);
    fb_pack_str(&p, "policy", plan->policy_version);
    fb_pack_uint(&p, "size", plan->content_size);
    fb_pack_str(&p, "subject", plan->subject);
    fb_pack_str(&p, "language", plan->language);
    fb_pack_strs(&p, "visible", plan->visible, plan->visible_count);
    fb_pack_key(&p, "parts");
    fb_pack_array(&p, plan->part_count);
    for (uint32_t i = 0; i < plan->part_count; i++) {
        pack_part(&p, &plan->parts[i]);
    }
    fb_pack_key(&p, "branches");
    fb_pack_array(&p, plan->branch_count);
    for (uint32_t i = 0; i < plan->branch_count; i++) {
        pack_branch(&p, &plan->branches[i]);
    }
    fb_pack_str(&p, "head", plan->head_object);
    fb_pack_str(&p, "text", plan->kept_text_object);
    fb_pack_str(&p, "html", plan->kept_html_object);
    fb_pack_uint(&p, "date", plan->date_ms > 0 ? (uint64_t)plan->date_ms : 0);
    fb_pack_str(&p, "painter", plan->painter);
    fb_pack_str(&p, "why", plan->painter_reason);
    fb_pack_opt_str(&p, "shadow", plan->shadows);
    return p.status;
}

static bool is_object_name(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
           name[0] != '.';
}

/* "" or a name that the spool takes. */
static char *read_object_name(struct fb_read *r, const char *key)
{
    char *name = fb_read_str(r, key, 64);
    if (name != NULL && name[0] != '\0' && !is_object_name(name)) {
        (void)fb_read_fail(r, key, "no object name");
    }
    return name;
}

/* "type/subtype" as a field body can hold it: tokens of RFC 2045, nothing that could end the line or the value. */
static bool is_media_type(const char *type)
{
    size_t n = strlen(type);
    const char *slash = strchr(type, '/');
    return slash != NULL && slash != type && slash[1] != '\0' &&
           strspn(type,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-/") == n;
}

static void read_part(struct fb_read *r, struct fb_part *part, uint64_t content_size)
{
    part->name = fb_read_str(r, "name", MAX_NAME);
    part->type = fb_read_str(r, "type", 255);
    part->cid = fb_read_opt_str(r, "cid", MAX_WORDS);
    part->object = fb_read_opt_str(r, "object", 64);
    part->offset = fb_read_uint(r, "offset", UINT64_MAX);
    part->length = fb_read_uint(r, "length", UINT64_MAX);
    part->encoding = (enum fb_encoding)fb_read_uint(r, "encoding", FB_ENC_UUENCODE);
    part->size = fb_read_uint(r, "size", UINT64_MAX);
    fb_read_bin(r, "sha1", part->sha1, sizeof part->sha1);
    part->is_inline = fb_read_bool(r, "inline");
    if (r->status != FB_OK) {
        return;
    }
    if (part->name[0] == '\0') {
        (void)fb_read_fail(r, "name", "empty");
    } else if (!is_media_type(part->type)) {
        (void)fb_read_fail(r, "type", "no media type");
    } else if (part->cid != NULL && strpbrk(part->cid, "<> \t") != NULL) {
        (void)fb_read_fail(r, "cid", "no Content-ID");
    } else if (part->object != NULL && !is_object_name(part->object)) {
        (void)fb_read_fail(r, "object", "no object name");
    } else if (part->offset > content_size || part->length > content_size - part->offset) {
        (void)fb_read_fail(r, "offset", "the range lies outside of the message");
    }
}

static void read_branch(struct fb_read *r, struct fb_branch *b, uint32_t part_count)
{
    b->kind = (enum fb_branch_kind)fb_read_uint(r, "kind", FB_BRANCH_REJECT);
    b->recipients =
        fb_read_uints(r, "rcpts", FB_MAX_RECIPIENTS, FB_MAX_RECIPIENTS - 1, &b->recipient_count);
    b->rule = fb_read_str(r, "rule", MAX_WORDS);
    b->reason = fb_read_str(r, "reason", MAX_WORDS);
    b->storage = fb_read_str(r, "storage", MAX_WORDS);
    b->security = fb_read_str(r, "security", MAX_WORDS);
    b->secures_body = fb_read_bool(r, "body");
    b->secures_attachments = fb_read_bool(r, "files");
    b->path = fb_read_str(r, "path", MAX_PATH);
    b->parts = fb_read_uints(r, "parts", FB_MAX_PARTS + 1, part_count > 0 ? part_count - 1 : 0,
                             &b->part_count);
    b->expires_ms = (int64_t)fb_read_uint(r, "expires", INT64_MAX);
    b->sends_receipt = fb_read_bool(r, "receipt");
    b->subject = fb_read_opt_str(r, "subject", FB_MAX_HEADER_BYTES);
    b->on_failure = (uint8_t)fb_read_uint(r, "failure", 2);
    b->remind_ms = (int64_t)fb_read_opt_uint(r, "remind", INT64_MAX);
    b->purge_ms = (int64_t)fb_read_opt_uint(r, "purge", INT64_MAX);
    if (r->status == FB_OK && b->recipient_count == 0) {
        (void)fb_read_fail(r, "rcpts", "empty");
    }
    if (r->status == FB_OK && part_count == 0 && b->part_count > 0) {
        (void)fb_read_fail(r, "parts", "the plan has none");
    }
}

static void read_parts(struct fb_read *r, struct fb_plan *plan)
{
    const msgpack_object_array *list = fb_read_array(r, "parts", FB_MAX_PARTS + 1);
    if (list == NULL) {
        return;
    }
    plan->parts = fb_read_alloc(r, "parts", list->size, sizeof *plan->parts);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        plan->part_count++;
        fb_read_item(r, list, i, "plan.parts", &item);
        read_part(&item, &plan->parts[i], plan->content_size);
        fb_read_item_end(r, &item);
    }
}

static void read_branches(struct fb_read *r, struct fb_plan *plan)
{
    const msgpack_object_array *list = fb_read_array(r, "branches", FB_MAX_BRANCHES - 1);
    if (list == NULL) {
        return;
    }
    plan->branches = fb_read_alloc(r, "branches", list->size, sizeof *plan->branches);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        plan->branch_count++;
        fb_read_item(r, list, i, "plan.branches", &item);
        read_branch(&item, &plan->branches[i], plan->part_count);
        fb_read_item_end(r, &item);
    }
}

enum fb_status fb_plan_decode(struct fb_slice bytes, struct fb_plan *plan_r, struct fb_error *err)
{
    struct fb_read r;
    struct fb_plan plan = {0};
    fb_read_init(&r, "plan", bytes, FB_MAX_PLAN, err);
    plan.version = fb_read_version(&r, 1, FB_PLAN_VERSION);
    fb_read_str_into(&r, "msg", plan.msg_id, sizeof plan.msg_id);
    fb_read_str_into(&r, "policy", plan.policy_version, sizeof plan.policy_version);
    plan.content_size = fb_read_uint(&r, "size", UINT64_MAX);
    plan.subject = fb_read_str(&r, "subject", FB_MAX_HEADER_BYTES);
    plan.language = fb_read_str(&r, "language", 8);
    plan.visible =
        fb_read_strs(&r, "visible", FB_MAX_RECIPIENTS, FB_MAX_ADDRESS, &plan.visible_count);
    read_parts(&r, &plan);
    read_branches(&r, &plan);
    plan.head_object = read_object_name(&r, "head");
    plan.kept_text_object = read_object_name(&r, "text");
    plan.kept_html_object = read_object_name(&r, "html");
    plan.date_ms = (int64_t)fb_read_uint(&r, "date", INT64_MAX);
    plan.painter = fb_read_str(&r, "painter", 32);
    plan.painter_reason = fb_read_str(&r, "why", MAX_WORDS);
    plan.shadows = fb_read_opt_str(&r, "shadow", FB_MAX_SHADOWS);
    if (r.status == FB_OK && !fb_id_is_valid(plan.msg_id)) {
        (void)fb_read_fail(&r, "msg", "no message id");
    }
    if (r.status == FB_OK && strcmp(plan.language, "ja") != 0 && strcmp(plan.language, "en") != 0 &&
        strcmp(plan.language, "both") != 0) {
        (void)fb_read_fail(&r, "language", "none of ja, en, both");
    }
    enum fb_status s = r.status;
    fb_read_deinit(&r);
    if (s == FB_OK) {
        *plan_r = plan;
    } else {
        fb_plan_deinit(&plan);
    }
    return s;
}

enum fb_status fb_plan_check(const struct fb_plan *p, size_t recipient_count, struct fb_error *err)
{
    bool *seen = fb_xcalloc(recipient_count, sizeof *seen);
    size_t total = 0;
    enum fb_status s = FB_OK;
    for (uint32_t b = 0; b < p->branch_count && s == FB_OK; b++) {
        for (uint32_t i = 0; i < p->branches[b].recipient_count && s == FB_OK; i++) {
            uint32_t r = p->branches[b].recipients[i];
            if (r >= recipient_count || seen[r]) {
                s = fb_error_set(err, FB_INVALID, "plan: recipient %u is %s", r,
                                 r >= recipient_count ? "not in the envelope" : "in two branches");
            } else {
                seen[r] = true;
                total++;
            }
        }
    }
    if (s == FB_OK && total != recipient_count) {
        s = fb_error_set(err, FB_INVALID, "plan: %zu of %zu recipients are in no branch",
                         recipient_count - total, recipient_count);
    }
    free(seen);
    return s;
}
