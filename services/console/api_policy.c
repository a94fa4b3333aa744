/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy: in force, earlier ones, checked, changed, compared.  common/policy/store.c has the rules by which it
 * changes, for the command line as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/audit_what.h"
#include "common/policy/diff.h"
#include "common/policy/store.h"
#include "common/yaml.h"
#include "services/console/api.h"

#define CONTEXT  3     /* lines around what changed */
#define MAX_DIFF 20000 /* lines of an answer */

/* ---- what is answered ---- */

static json_t *head_json(const struct fb_policy_version *v)
{
    return json_pack("{s:s,s:I,s:o,s:o,s:o}", "version", v->version, "number",
                     (json_int_t)v->number, "at", call_json_time(v->at_ms), "author",
                     fb_json_text(v->author), "comment", fb_json_text(v->comment));
}

static json_t *full_json(const struct fb_policy_version *v)
{
    json_t *o = head_json(v);
    json_t *text = json_stringn(fb_buf_str(&v->document), v->document.len);
    (void)json_object_set_new(o, "document", text != NULL ? text : json_string(""));
    return o;
}

void api_policy_findings(struct call *c, const struct fb_policy_findings *f)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].is_error) {
            char where[32];
            (void)snprintf(where, sizeof where, "line %d", f->items[i].line);
            (void)json_array_append_new(errors, json_pack("{s:s,s:o,s:i}", "where", where, "what",
                                                          fb_json_text(f->items[i].text), "line",
                                                          f->items[i].line));
        }
    }
    answer_problem_list(c, 422, "bad-policy",
                        "ポリシーに誤りがあります。現在有効なポリシーは変更されていません。",
                        "The policy has errors; the one in force stays.", errors);
}

static void add_etag(struct call *c, const char *version)
{
    fb_http_answer_replace(c->answer, "ETag", "\"%s\"", version);
}

/* ---- reading ---- */

void api_policy_get(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy_version v;
    const struct fb_config *config = c->console->config;
    enum fb_status s = fb_policy_current(config, c->redis, &v, &err);
    if (s == FB_NOT_FOUND) {
        answer_problem(c, 404, "no-policy",
                       "有効なポリシーがありません。適用するまでメールは保留されます。",
                       "No policy is in force: mail is held until one is applied.");
        return;
    }
    if (s != FB_OK) {
        answer_error(c, &err);
        return;
    }
    json_t *o = full_json(&v);
    bool is_redis = strcmp(config->policy.source, "redis") == 0;
    (void)json_object_set_new(o, "source", fb_json_text(config->policy.source));
    (void)json_object_set_new(o, "is_writable", json_boolean(is_redis));
    add_etag(c, v.version);
    answer_json(c, 200, o);
    fb_policy_version_deinit(&v);
}

struct listing {
    json_t *items;
    int64_t last;
};

static bool list_one(void *ctx, const struct fb_policy_version *v)
{
    struct listing *l = ctx;
    (void)json_array_append_new(l->items, head_json(v));
    l->last = v->number;
    return true;
}

void api_policy_history(struct call *c)
{
    struct fb_error err = {0};
    int64_t below = 0;
    size_t limit = 0;
    char next[24] = "";
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &limit)) {
        return;
    }
    if (cursor != NULL && cursor[0] != '\0' && (!fb_parse_int(cursor, &below) || below <= 0)) {
        answer_invalid(c, "cursor",
                       "cursor が正しくありません。最初のページからやり直してください。",
                       "This is no cursor of ours: begin with the first page.");
        return;
    }
    struct listing l = {.items = json_array()};
    if (fb_policy_versions(c->redis, below, limit, list_one, &l, &err) != FB_OK) {
        json_decref(l.items);
        answer_error(c, &err);
        return;
    }
    if (json_array_size(l.items) == limit && l.last > 1) {
        (void)snprintf(next, sizeof next, "%lld", (long long)l.last);
    }
    answer_json(c, 200,
                json_pack("{s:o,s:s?}", "items", l.items, "next", next[0] != '\0' ? next : NULL));
}

/* False: answered. */
static bool get_version(struct call *c, const char *name, struct fb_policy_version *v)
{
    struct fb_error err = {0};
    enum fb_status s = name != NULL ? fb_policy_version_get(c->redis, name, v, &err)
                                    : fb_policy_current(c->console->config, c->redis, v, &err);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

void api_policy_version(struct call *c)
{
    struct fb_policy_version v;
    if (get_version(c, c->params[0], &v)) {
        answer_json(c, 200, full_json(&v));
        fb_policy_version_deinit(&v);
    }
}

/* ---- check ---- */

const char *api_policy_document(struct call *c)
{
    const char *document = call_text(c, "document");
    if (document == NULL) {
        answer_invalid(c, "document", "ポリシーの本文 (YAML) を指定してください。",
                       "document is the policy's text (YAML).");
        return NULL;
    }
    if (strlen(document) > FB_POLICY_MAX) {
        answer_invalid(c, "document", "ポリシーが大きすぎます (最大 4 MiB)。",
                       "The policy is larger than 4 MiB.");
        return NULL;
    }
    return document;
}

static json_t *names_json(const struct fb_policy *p, int what)
{
    json_t *list = json_array();
    size_t count = p == NULL   ? 0
                   : what == 0 ? p->rule_count
                   : what == 1 ? p->storage_count
                   : what == 2 ? p->security_count
                               : p->group_count;
    for (size_t i = 0; i < count; i++) {
        const char *name = what == 0   ? p->rules[i].name
                           : what == 1 ? p->storages[i].name
                           : what == 2 ? p->securities[i].name
                                       : p->groups[i].name;
        (void)json_array_append_new(list, fb_json_text(name));
    }
    return list;
}

void api_policy_check(struct call *c)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    const char *document = api_policy_document(c);
    if (document == NULL) {
        return;
    }
    enum fb_status s = fb_policy_parse_in(fb_slice_str(document), c->is_ja, &policy, &f);
    answer_json(c, 200,
                json_pack("{s:b,s:s,s:o,s:o,s:o,s:o,s:o}", "is_valid", s == FB_OK, "version",
                          policy != NULL ? policy->version : "", "findings", fb_json_findings(&f),
                          "rules", names_json(policy, 0), "storages", names_json(policy, 1),
                          "security_definitions", names_json(policy, 2), "groups",
                          names_json(policy, 3)));
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
}

/* ---- change ---- */

/* The version of If-Match: "<hash>", or * where there is no policy yet.  False: answered. */
static bool take_expected(struct call *c, char expected_r[65])
{
    const char *given = fb_http_header(c->request, "If-Match");
    size_t len = given != NULL ? strlen(given) : 0;
    if (given == NULL) {
        answer_problem(c, 428, "if-match",
                       "編集したバージョンの ETag を If-Match で送信してください。",
                       "Send the ETag of the version that was edited as If-Match.");
        return false;
    }
    if (strcmp(given, "*") == 0) {
        expected_r[0] = '\0';
        return true;
    }
    if (len != 66 || given[0] != '"' || given[65] != '"') {
        answer_invalid(c, "If-Match", "If-Match は引用符で囲んだバージョンです。",
                       "If-Match is a version in quotes.");
        return false;
    }
    memcpy(expected_r, given + 1, 64);
    expected_r[64] = '\0';
    return true;
}

static void answer_conflict(struct call *c, const struct fb_policy_version *now)
{
    json_t *current = head_json(now);
    char ja[400], en[400];
    (void)snprintf(ja, sizeof ja,
                   "編集中に、%s さんが別のバージョン (番号 %lld) を適用しました。差分を確認して、"
                   "もう一度編集してください。変更は保存されていません。",
                   now->author[0] != '\0' ? now->author : "ほかの管理者", (long long)now->number);
    (void)snprintf(en, sizeof en,
                   "While you edited, %s put another version (number %lld) in force. Look at what "
                   "changed, and edit again. Nothing was saved.",
                   now->author[0] != '\0' ? now->author : "somebody", (long long)now->number);
    if (now->version[0] != '\0') {
        add_etag(c, now->version);
    }
    answer_problem_more(c, 412, "conflict", ja, en, "current", current);
}

/* Written down before it is in force: who, and from which version to which. */
static bool audit_change(struct call *c, const char *action, const char *expected,
                         struct fb_slice document, const char *comment)
{
    struct fb_error err = {0};
    struct fb_audit_what w;
    fb_audit_of_policy(expected, document, comment, &w);
    enum fb_status s = console_audit(c, action, w.object, w.before, w.after, &err);
    fb_audit_what_deinit(&w);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

static void answer_applied(struct call *c, const struct fb_policy_version *v,
                           const struct fb_policy_findings *f)
{
    json_t *o = head_json(v);
    (void)json_object_set_new(o, "findings", fb_json_findings(f));
    add_etag(c, v->version);
    answer_json(c, 200, o);
}

static void change(struct call *c, const char *action, struct fb_slice document)
{
    char expected[65];
    struct fb_error err = {0};
    struct fb_policy_version v = {0};
    struct fb_policy_findings f = {0};
    struct fb_policy *policy = NULL;
    const json_t *comment = json_object_get(c->body, "comment");
    if (comment != NULL &&
        (!json_is_string(comment) || json_string_length(comment) > FB_POLICY_MAX_COMMENT)) {
        answer_invalid(c, "comment", "コメントは 500 バイトまでの文字列です。",
                       "comment is a text of at most 500 bytes.");
        return;
    }
    if (!take_expected(c, expected)) {
        return;
    }
    const struct fb_policy_change q = {.document = document,
                                       .author = c->who.user,
                                       .comment = json_string_value(comment),
                                       .expected = expected,
                                       .is_ja = c->is_ja};
    bool is_good = fb_policy_parse_in(document, c->is_ja, &policy, &f) == FB_OK;
    fb_policy_unref(&policy);
    if (!is_good) {
        api_policy_findings(c, &f);
        fb_policy_findings_deinit(&f);
        return;
    }
    fb_policy_findings_deinit(&f);
    if (!audit_change(c, action, expected, document, q.comment)) {
        return;
    }
    enum fb_status s = fb_policy_apply(c->console->config, c->redis, &q, &v, &f, &err);
    if (s == FB_OK) {
        answer_applied(c, &v, &f);
    } else if (s == FB_LOST) {
        answer_conflict(c, &v);
    } else if (s == FB_DENIED) {
        answer_problem(
            c, 409, "read-only",
            "ポリシーはファイルで管理されています (policy.source)。ファイルを変更してください。",
            "The services follow a file (policy.source): change it there.");
    } else if (s == FB_INVALID && f.error_count > 0) {
        api_policy_findings(c, &f);
    } else {
        answer_error(c, &err);
    }
    fb_policy_version_deinit(&v);
    fb_policy_findings_deinit(&f);
}

void api_policy_put(struct call *c)
{
    const char *document = api_policy_document(c);
    if (document != NULL) {
        change(c, "policy.put", fb_slice_str(document));
    }
}

void api_policy_rollback(struct call *c)
{
    struct fb_policy_version v;
    const char *name = call_text(c, "version");
    if (name == NULL) {
        answer_invalid(c, "version", "戻すバージョンを指定してください。",
                       "version is the number or hash of the one to go back to.");
    } else if (get_version(c, name, &v)) {
        change(c, "policy.rollback", fb_slice_buf(&v.document));
        fb_policy_version_deinit(&v);
    }
}

/* ---- differences ---- */

struct diff {
    json_t *hunks;
    json_t *hunk;        /* the one at hand, or NULL */
    json_t *before;      /* the last lines that did not change */
    size_t quiet, lines; /* unchanged ones behind the last change; all of the answer */
    json_int_t added, removed;
};

static void put_line(struct diff *d, json_t *line)
{
    if (d->lines++ < MAX_DIFF) {
        (void)json_array_append_new(d->hunk, line);
    } else {
        json_decref(line);
    }
}

static void open_hunk(struct diff *d)
{
    size_t i;
    json_t *line;
    if (d->hunk == NULL) {
        d->hunk = json_array();
        (void)json_array_append_new(d->hunks, d->hunk);
        json_array_foreach(d->before, i, line)
        {
            put_line(d, json_incref(line));
        }
        (void)json_array_clear(d->before);
    }
    d->quiet = 0;
}

static json_t *number_or_null(size_t n)
{
    return n > 0 ? json_integer((json_int_t)n) : json_null();
}

static void take_line(void *ctx, const struct fb_diff_line *l)
{
    struct diff *d = ctx;
    char kind[2] = {l->kind, '\0'};
    json_t *text = json_stringn((const char *)l->text.ptr, l->text.len);
    json_t *line =
        json_pack("{s:s,s:o,s:o,s:o}", "kind", kind, "old", number_or_null(l->old), "new",
                  number_or_null(l->new_), "text", text != NULL ? text : json_string("?"));
    if (l->kind != ' ') {
        d->added += l->kind == '+';
        d->removed += l->kind == '-';
        open_hunk(d);
        put_line(d, line);
    } else if (d->hunk != NULL && d->quiet < CONTEXT) {
        d->quiet++;
        put_line(d, line);
    } else {
        d->hunk = NULL;
        (void)json_array_append_new(d->before, line);
        if (json_array_size(d->before) > CONTEXT) {
            (void)json_array_remove(d->before, 0);
        }
    }
}

static void answer_diff(struct call *c, const struct fb_policy_version *from,
                        const struct fb_policy_version *to)
{
    struct diff d = {.hunks = json_array(), .before = json_array()};
    fb_diff(fb_slice_buf(&from->document), fb_slice_buf(&to->document), take_line, &d);
    json_decref(d.before);
    answer_json(c, 200,
                json_pack("{s:o,s:o,s:o,s:I,s:I}", "from", head_json(from), "to", head_json(to),
                          "hunks", d.hunks, "added", d.added, "removed", d.removed));
}

void api_policy_diff(struct call *c)
{
    struct fb_policy_version from, to;
    const char *from_name = fb_http_query(c->request, "from");
    const char *to_name = fb_http_query(c->request, "to");
    if (from_name == NULL || from_name[0] == '\0') {
        answer_invalid(c, "from", "比較元のバージョンを指定してください。",
                       "from is the number or hash of a version.");
        return;
    }
    if (!get_version(c, from_name, &from)) {
        return;
    }
    if (get_version(c, to_name != NULL && to_name[0] != '\0' ? to_name : NULL, &to)) {
        answer_diff(c, &from, &to);
        fb_policy_version_deinit(&to);
    }
    fb_policy_version_deinit(&from);
}

void api_policy_diff_document(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy_version from = {0}, to = {0};
    const char *document = api_policy_document(c);
    if (document == NULL) {
        return;
    }
    enum fb_status s = fb_policy_current(c->console->config, c->redis, &from, &err);
    fb_buf_init(&to.document, FB_POLICY_MAX);
    if ((s != FB_OK && s != FB_NOT_FOUND) || fb_buf_add_str(&to.document, document) != FB_OK) {
        answer_error(c, &err);
    } else {
        answer_diff(c, &from, &to);
    }
    fb_policy_version_deinit(&from);
    fb_policy_version_deinit(&to);
}
