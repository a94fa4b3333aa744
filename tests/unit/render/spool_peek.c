/* SPDX-License-Identifier: Apache-2.0
 *
 * render-spool-peek URL KEY_FILE MSG_ID plan | get NAME: shows a test what render left in the spool
 * for one message: the plan as JSON, or a derived object's bytes.  Exit 3 when there is none.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/spool/spool.h"
#include "proto/limits.h"
#include "proto/plan.h"

struct wanted {
    const char *msg_id;
    char ref[FB_REF_SIZE];
};

static bool compare(void *ctx, const struct fb_spool_entry *e)
{
    struct wanted *w = ctx;
    if (strcmp(e->msg_id, w->msg_id) == 0) {
        (void)snprintf(w->ref, sizeof w->ref, "%s", e->ref);
        return false;
    }
    return true;
}

static void set_text(json_t *o, const char *key, const char *text)
{
    (void)json_object_set_new(o, key, text != NULL ? json_string(text) : json_null());
}

static void set_number(json_t *o, const char *key, uint64_t n)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)n));
}

static json_t *part_json(const struct fb_part *p)
{
    static const char *const encodings[] = {"identity", "base64", "qp", "uuencode"};
    char sha1[41];
    for (size_t i = 0; i < sizeof p->sha1; i++) {
        (void)snprintf(sha1 + 2 * i, 3, "%02x", p->sha1[i]);
    }
    json_t *o = json_object();
    set_text(o, "name", p->name);
    set_text(o, "type", p->type);
    set_text(o, "cid", p->cid);
    set_text(o, "object", p->object);
    set_text(o, "encoding", encodings[p->encoding]);
    set_text(o, "sha1", sha1);
    set_number(o, "offset", p->offset);
    set_number(o, "length", p->length);
    set_number(o, "size", p->size);
    (void)json_object_set_new(o, "inline", json_boolean(p->is_inline));
    return o;
}

static json_t *branch_json(const struct fb_branch *b)
{
    static const char *const kinds[] = {"pass", "secure", "reject"};
    json_t *o = json_object();
    json_t *recipients = json_array();
    json_t *parts = json_array();
    for (uint32_t i = 0; i < b->recipient_count; i++) {
        (void)json_array_append_new(recipients, json_integer(b->recipients[i]));
    }
    for (uint32_t i = 0; i < b->part_count; i++) {
        (void)json_array_append_new(parts, json_integer(b->parts[i]));
    }
    set_text(o, "kind", kinds[b->kind]);
    set_text(o, "rule", b->rule);
    set_text(o, "reason", b->reason);
    set_text(o, "subject", b->subject);
    set_text(o, "path", b->path);
    set_number(o, "expires_ms", (uint64_t)b->expires_ms);
    set_number(o, "remind_ms", (uint64_t)b->remind_ms);
    set_number(o, "purge_ms", (uint64_t)b->purge_ms);
    (void)json_object_set_new(o, "recipients", recipients);
    (void)json_object_set_new(o, "parts", parts);
    return o;
}

static int print_plan(const struct fb_plan *p)
{
    json_t *o = json_object();
    json_t *parts = json_array();
    json_t *branches = json_array();
    json_t *visible = json_array();
    for (uint32_t i = 0; i < p->part_count; i++) {
        (void)json_array_append_new(parts, part_json(&p->parts[i]));
    }
    for (uint32_t i = 0; i < p->branch_count; i++) {
        (void)json_array_append_new(branches, branch_json(&p->branches[i]));
    }
    for (uint32_t i = 0; i < p->visible_count; i++) {
        (void)json_array_append_new(visible, json_string(p->visible[i]));
    }
    set_text(o, "subject", p->subject);
    set_text(o, "language", p->language);
    set_text(o, "painter", p->painter);
    set_text(o, "painter_reason", p->painter_reason);
    set_number(o, "date_ms", (uint64_t)p->date_ms);
    (void)json_object_set_new(o, "visible", visible);
    (void)json_object_set_new(o, "parts", parts);
    (void)json_object_set_new(o, "branches", branches);
    int rc = json_dumpf(o, stdout, JSON_COMPACT) == 0 ? 0 : 1;
    json_decref(o);
    return rc;
}

static int show(struct fb_spool_msg *msg, const char *what, const char *name, struct fb_error *err)
{
    struct fb_buf bytes;
    struct fb_plan plan = {0};
    bool is_plan = strcmp(what, "plan") == 0;
    enum fb_status s =
        fb_spool_object_get(msg, is_plan ? "plan" : name, FB_MAX_OBJECT, &bytes, err);
    int rc = 0;
    if (s == FB_NOT_FOUND) {
        return 3;
    }
    if (s == FB_OK && is_plan) {
        s = fb_plan_decode(fb_slice_buf(&bytes), &plan, err);
        rc = s == FB_OK ? print_plan(&plan) : 1;
        fb_plan_deinit(&plan);
    } else if (s == FB_OK) {
        rc = fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len ? 0 : 1;
    }
    fb_buf_deinit(&bytes);
    return s == FB_OK ? rc : 1;
}

int main(int argc, char **argv)
{
    struct fb_error err = {0};
    struct fb_spool *spool = NULL;
    struct fb_spool_msg *msg = NULL;
    uint64_t damaged = 0;
    int rc = 1;
    if (argc < 5 || (strcmp(argv[4], "plan") != 0 && argc < 6)) {
        (void)fprintf(stderr, "usage: render-spool-peek URL KEY_FILE MSG_ID plan | get NAME\n");
        return 2;
    }
    struct wanted wanted = {.msg_id = argv[3]};
    enum fb_status s = fb_spool_open(argv[1], argv[2], &spool, &err);
    if (s == FB_OK) {
        s = fb_spool_scan(spool, compare, &wanted, &damaged, &err);
    }
    if (s == FB_OK && wanted.ref[0] == '\0') {
        s = fb_error_set(&err, FB_NOT_FOUND, "no such message in the spool");
        rc = 3;
    }
    if (s == FB_OK) {
        s = fb_spool_msg_open(spool, wanted.ref, &msg, &err);
    }
    if (s == FB_OK) {
        rc = show(msg, argv[4], argc > 5 ? argv[5] : NULL, &err);
        fb_spool_msg_close(&msg);
    }
    if (err.text[0] != '\0') {
        (void)fprintf(stderr, "render-spool-peek: %s\n", err.text);
    }
    fb_spool_close(&spool);
    return rc;
}
