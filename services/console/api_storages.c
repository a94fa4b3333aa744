/* SPDX-License-Identifier: Apache-2.0
 *
 * Storages.  The console has none of their keys, and connects to none of them: what it shows was found by upload, and
 * to try one now it asks upload by the storage's name (common/storage_report.h). */
#include <stdatomic.h>
#include <string.h>

#include "common/policy/policy.h"
#include "common/json_words.h"
#include "common/storage_report.h"
#include "services/console/api.h"

#define TEST_MS   25000
#define MOST_ASKS 3 /* handlers that wait for an answer; the others serve */

static atomic_int asking;

static const char *language(const struct call *c)
{
    return c->is_ja ? "ja" : "en";
}

/* ---- the list ---- */

static json_t *rules_json(const struct fb_policy *p, const struct fb_policy_storage *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].storage == s || p->rules[i].without_account == s) {
            (void)json_array_append_new(list, fb_json_text(p->rules[i].name));
        }
    }
    return list;
}

/* null where nobody has looked yet; NULL with an error. */
static json_t *state_json(struct call *c, const char *storage, struct fb_error *err)
{
    struct fb_storage_report report;
    enum fb_status s = fb_storage_report_get(c->redis, storage, &report, err);
    if (s == FB_NOT_FOUND || s == FB_CORRUPT) {
        return json_null();
    }
    return s == FB_OK ? fb_storage_report_json(&report, language(c), call_json_time) : NULL;
}

static json_t *storage_json(struct call *c, const struct fb_policy *p,
                            const struct fb_policy_storage *s, struct fb_error *err)
{
    bool is_box = s->type == FB_STORAGE_BOX;
    const char *place = is_box ? s->root_folder : s->url;
    json_t *state = state_json(c, s->name, err);
    json_t *alarms = state != NULL ? api_alarms(c, s->name, err) : NULL;
    if (alarms == NULL) {
        json_decref(state);
        return NULL;
    }
    bool is_ok = json_array_size(alarms) == 0 && !json_is_false(json_object_get(state, "is_ok"));
    return json_pack("{s:o,s:s,s:o,s:I,s:o,s:o,s:o,s:o,s:b}", "name", fb_json_text(s->name), "type",
                     is_box ? "box" : "vault", "place", fb_json_text(place != NULL ? place : ""),
                     "users", (json_int_t)s->user_count, "quota",
                     s->quota > 0 ? json_integer((json_int_t)s->quota) : json_null(), "rules",
                     rules_json(p, s), "alarms", alarms, "state", state, "is_ok", is_ok);
}

void api_storages(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy *p = fb_policy_follow_get(c->console->follow);
    json_t *items = json_array();
    bool is_good = true;
    for (size_t i = 0; p != NULL && i < p->storage_count && is_good; i++) {
        json_t *one = storage_json(c, p, &p->storages[i], &err);
        is_good = one != NULL && json_array_append_new(items, one) == 0;
    }
    fb_policy_unref(&p);
    if (is_good) {
        answer_json(c, 200, json_pack("{s:o}", "items", items));
    } else {
        json_decref(items);
        answer_error(c, &err);
    }
}

/* ---- a test ---- */

/* What upload found; NULL with an error. */
static json_t *ask_upload(struct call *c, const char *name, struct fb_error *err)
{
    struct fb_storage_report report;
    int64_t asked_ms = 0;
    enum fb_status s = fb_storage_ask(c->redis, name, &asked_ms, err);
    s = s == FB_OK ? fb_storage_wait(c->redis, name, asked_ms, TEST_MS, &report, err) : s;
    if (s == FB_AGAIN) {
        return json_pack(
            "[o]",
            api_check("upload", "error",
                      c->is_ja ? "fumibako-upload から応答がありませんでした。"
                               : "No answer from fumibako-upload.",
                      c->is_ja
                          ? "fumibako-upload が動いているか確認してください。動いている場合は、"
                            "保管先の応答を待っている可能性があります。"
                          : "See whether fumibako-upload runs. If it does, the storage may be "
                            "keeping it waiting."));
    }
    if (s != FB_OK) {
        return NULL;
    }
    json_t *found = fb_storage_report_json(&report, language(c), call_json_time);
    json_t *list = json_incref(json_object_get(found, "checks"));
    json_decref(found);
    return list;
}

static void add_alarms(struct call *c, const json_t *alarms, json_t *list)
{
    size_t i;
    json_t *alarm;
    json_array_foreach(alarms, i, alarm)
    {
        (void)json_array_append_new(list, api_check(fb_json_text_of(alarm, "who"), "error",
                                                    fb_json_text_of(alarm, "text"), ""));
    }
    if (json_array_size(alarms) == 0) {
        (void)json_array_append_new(list,
                                    api_check("services", "ok",
                                              c->is_ja ? "サービスからの障害の報告はありません。"
                                                       : "No service reports trouble with it.",
                                              ""));
    }
}

static void test(struct call *c)
{
    struct fb_error err = {0};
    json_t *list = ask_upload(c, c->params[0], &err);
    json_t *alarms = list != NULL ? api_alarms(c, c->params[0], &err) : NULL;
    if (alarms == NULL) {
        json_decref(list);
        answer_error(c, &err);
        return;
    }
    add_alarms(c, alarms, list);
    json_decref(alarms);
    api_answer_checks(c, list);
}

void api_storage_test(struct call *c)
{
    struct fb_policy *p = fb_policy_follow_get(c->console->follow);
    bool is_known = p != NULL && fb_policy_find_storage(p, c->params[0]) != NULL;
    fb_policy_unref(&p);
    if (!is_known) {
        answer_problem(c, 404, "not-found",
                       "有効なポリシーにその名前の保管先はありません。下書きの保管先は、"
                       "保存して有効にしてからテストできます。",
                       "The policy in force has no storage of that name. One of a draft can be "
                       "tested once it is saved.");
        return;
    }
    if (atomic_fetch_add(&asking, 1) < MOST_ASKS) {
        test(c);
    } else {
        fb_http_answer_replace(c->answer, "Retry-After", "10");
        answer_problem(c, 503, "busy",
                       "ほかの接続テストを実行しています。しばらくしてからやり直してください。",
                       "Other tests are running. Try again in a moment.");
    }
    (void)atomic_fetch_sub(&asking, 1);
}
