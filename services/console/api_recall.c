/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking a mail back and giving it back, each with a preview of what it will do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/accounts/audit_what.h"
#include "common/crypto.h"
#include "common/ledger/restore.h"
#include "common/recall_preview.h"
#include "services/console/api.h"

#define MAX_IDEMPOTENCY_KEY 128
#define ID_LETTERS          "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

struct wish {
    struct call *c;
    struct fb_ledger_message m;
    struct fb_evidence *evidence;
    bool *asked;          /* for each recipient */
    uint32_t *recipients; /* the asked ones where they are not all */
    size_t count;         /* 0 = all */
    bool is_preview, takes_content;
    const char *reason;
};

static void wish_deinit(struct wish *w)
{
    free(w->evidence);
    free(w->asked);
    free(w->recipients);
    fb_ledger_message_deinit(&w->m);
}

/* ---- what is asked for ---- */

static bool take_flag(struct call *c, const char *key, bool *value_r)
{
    const json_t *value = json_object_get(c->body, key);
    if (value != NULL && !json_is_boolean(value)) {
        answer_invalid(c, key, "true または false を指定してください。", "This is true or false.");
        return false;
    }
    *value_r = json_is_true(value);
    return true;
}

static bool find_one(struct wish *w, const char *address)
{
    bool is_found = false;
    for (size_t i = 0; i < w->m.recipient_count; i++) {
        if (address[0] != '\0' && strcasecmp(w->m.recipients[i].address, address) == 0) {
            w->asked[i] = true;
            is_found = true;
        }
    }
    return is_found;
}

/* False: answered. */
static bool take_recipients(struct wish *w)
{
    size_t k;
    json_t *item;
    struct call *c = w->c;
    const json_t *list = json_object_get(c->body, "recipients");
    if (list != NULL && !json_is_array(list)) {
        answer_invalid(c, "recipients", "宛先のアドレスを配列で指定してください。",
                       "recipients is an array of addresses.");
        return false;
    }
    w->asked = fb_xcalloc(w->m.recipient_count + 1, sizeof *w->asked);
    w->recipients = fb_xcalloc(w->m.recipient_count + 1, sizeof *w->recipients);
    json_array_foreach(list, k, item)
    {
        if (!json_is_string(item) || !find_one(w, json_string_value(item))) {
            answer_invalid(c, "recipients", "このメールの宛先ではないアドレスが含まれています。",
                           "One of these is no recipient of this message.");
            return false;
        }
    }
    for (size_t i = 0; i < w->m.recipient_count; i++) {
        if (json_array_size(list) == 0) {
            w->asked[i] = true;
        } else if (w->asked[i]) {
            w->recipients[w->count++] = (uint32_t)i;
        }
    }
    return true;
}

/* Reads the body, the message and what is known of it.  False: answered. */
static bool take_wish(struct call *c, struct wish *w)
{
    struct fb_error err = {0};
    const json_t *reason = json_object_get(c->body, "reason");
    *w = (struct wish){.c = c};
    if (reason != NULL &&
        (!json_is_string(reason) || json_string_length(reason) > FB_MAX_RECALL_REASON)) {
        answer_invalid(c, "reason", "理由は 500 バイトまでの文字列です。",
                       "reason is a text of at most 500 bytes.");
        return false;
    }
    w->reason = json_string_value(reason);
    if (!take_flag(c, "preview", &w->is_preview) || !take_flag(c, "content", &w->takes_content)) {
        return false;
    }
    enum fb_status s = fb_ledger_get(c->redis, c->params[0], &w->m, &err);
    if (s == FB_OK) {
        s = fb_ledger_evidence(c->redis, &w->m, c->console->config->revoke.settle_ms, &w->evidence,
                               &err);
    }
    if (s != FB_OK) {
        answer_error(c, &err);
        return false;
    }
    return take_recipients(w);
}

static const char *why_not(const struct wish *w)
{
    return fb_recall_why_not(&w->m, w->recipients, w->count, w->c->is_ja);
}

static void preview_recall(const struct wish *w)
{
    answer_json(
        w->c, 200,
        fb_recall_preview(&w->m, w->evidence, w->asked, why_not(w), w->takes_content, w->c->is_ja));
}

/* ---- recall ---- */

/* The same key of the same user for the same message gives the same id: fb_ledger_recall does nothing again. */
static bool take_key(struct call *c, char id_r[FB_ID_SIZE])
{
    const char *key = fb_http_header(c->request, "Idempotency-Key");
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_hash hash;
    if (key == NULL) {
        return true; /* each call is another one */
    }
    if (key[0] == '\0' || strlen(key) > MAX_IDEMPOTENCY_KEY) {
        answer_invalid(c, "Idempotency-Key", "Idempotency-Key は 128 文字までです。",
                       "Idempotency-Key has 1 to 128 characters.");
        return false;
    }
    fb_hash_init(&hash, FB_HASH_SHA256);
    fb_hash_update(&hash, c->who.user, strlen(c->who.user) + 1);
    fb_hash_update(&hash, c->params[0], strlen(c->params[0]) + 1);
    fb_hash_update(&hash, key, strlen(key));
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    for (size_t i = 0; i < FB_ID_SIZE - 1; i++) {
        id_r[i] = ID_LETTERS[digest[i] % 32];
    }
    id_r[0] = ID_LETTERS[digest[0] % 8]; /* 48 bits of time in 10 letters */
    id_r[FB_ID_SIZE - 1] = '\0';
    return true;
}

static json_t *result_json(const struct wish *w, const bool *was_out)
{
    json_t *list = json_array();
    size_t count = w->count > 0 ? w->count : w->m.recipient_count;
    for (size_t i = 0; i < count; i++) {
        const struct fb_ledger_recipient *r = &w->m.recipients[w->count > 0 ? w->recipients[i] : i];
        bool is_plain =
            r->branch < w->m.branch_count && strcmp(w->m.branches[r->branch].kind, "pass") == 0;
        if (r->address[0] != '\0') {
            (void)json_array_append_new(list, json_pack("{s:o,s:b,s:b}", "address",
                                                        fb_json_text(r->address), "was_out",
                                                        was_out[i], "was_secured", !is_plain));
        }
    }
    return list;
}

static enum fb_status audit_recall(const struct wish *w, const char *id, struct fb_error *err)
{
    struct fb_audit_what what;
    fb_audit_of_recall(&w->m, id, w->recipients, w->count, w->takes_content, w->reason, &what);
    enum fb_status s =
        console_audit(w->c, "message.recall", what.object, what.before, what.after, err);
    fb_audit_what_deinit(&what);
    return s;
}

static void do_recall(struct wish *w)
{
    struct call *c = w->c;
    struct fb_error err = {0};
    struct fb_recall_request q = {.recipients = w->recipients,
                                  .count = w->count,
                                  .takes_content = w->takes_content,
                                  .actor = c->who.user,
                                  .source = "console",
                                  .reason = w->reason};
    const char *why = why_not(w);
    if (!take_key(c, q.id)) {
        return;
    }
    if (why != NULL) {
        answer_problem(c, 409, "only-whole", why, why);
        return;
    }
    if (q.id[0] == '\0') {
        fb_id_new(q.id);
    }
    bool *was_out = fb_xcalloc(w->m.recipient_count + 1, sizeof *was_out);
    enum fb_status s = audit_recall(w, q.id, &err);
    if (s == FB_OK) {
        s = fb_ledger_recall(c->redis, w->m.msg_id, &q, was_out, &err);
    }
    if (s == FB_OK || s == FB_EXISTS) {
        answer_json(c, 202,
                    json_pack("{s:s,s:s,s:b,s:b,s:o}", "id", w->m.msg_id, "recall", q.id,
                              "is_repeated", s == FB_EXISTS, "is_unsure", q.is_unsure, "recipients",
                              result_json(w, was_out)));
    } else {
        answer_error(c, &err);
    }
    free(was_out);
}

void api_recall(struct call *c)
{
    struct wish w;
    if (take_wish(c, &w)) {
        if (w.is_preview) {
            preview_recall(&w);
        } else {
            do_recall(&w);
        }
    }
    wish_deinit(&w);
}

/* ---- restore ---- */

static void answer_restore(const struct wish *w, const bool *wanted, size_t count)
{
    answer_json(
        w->c, 200,
        fb_restore_answer(&w->m, w->evidence, w->asked, wanted, w->is_preview, count, w->c->is_ja));
}

static enum fb_status audit_restore(const struct wish *w, const bool *wanted, struct fb_error *err)
{
    struct fb_audit_what what;
    fb_audit_of_restore(&w->m, wanted, &what);
    enum fb_status s =
        console_audit(w->c, "message.restore", what.object, what.before, what.after, err);
    fb_audit_what_deinit(&what);
    return s;
}

static void do_restore(struct wish *w)
{
    struct fb_error err = {0};
    size_t count = 0;
    bool *wanted = fb_xcalloc(w->m.recipient_count + 1, sizeof *wanted);
    enum fb_status s = fb_restore_choose(&w->m, w->evidence, w->asked, wanted, &err);
    for (size_t i = 0; i < w->m.recipient_count && s == FB_OK && w->is_preview; i++) {
        count += wanted[i];
    }
    if (s == FB_OK && !w->is_preview) {
        s = audit_restore(w, wanted, &err);
        s = s == FB_OK ? fb_restore(w->c->redis, &w->m, wanted, &count, &err) : s;
    }
    if (s == FB_OK) {
        answer_restore(w, wanted, count);
    } else if (s == FB_DENIED) {
        answer_problem(w->c, 409, "only-whole",
                       "1 つのリンクを全員で共有しているため、全員にのみ戻せます。",
                       "One link opens this parcel for everybody: it can be given back to all of "
                       "its recipients only.");
    } else {
        answer_error(w->c, &err);
    }
    free(wanted);
}

void api_restore(struct call *c)
{
    struct wish w;
    if (take_wish(c, &w)) {
        do_restore(&w);
    }
    wish_deinit(&w);
}
