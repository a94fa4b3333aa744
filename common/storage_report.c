/* SPDX-License-Identifier: Apache-2.0 */
#include "common/storage_report.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/json_words.h"
#include "common/yaml.h"

#define KEY       "fb:{s0}:storages"
#define KEY_ASKED "fb:{s0}:storages:asked"
#define KEY_TURN  "fb:{s0}:storages:turn"
#define KEPT_S    "1209600" /* without an upload service that looks */
#define POLL_MS   150
#define TAKEN_MS  5000 /* an upload service that runs takes a question in a second */
#define MAX_TEXT  (64U << 10)

static const char *const names[FB_STORAGE_STEP_COUNT] = {"open", "login", "folder", "write",
                                                         "space"};

#define NOW                                                                                        \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))\n"

/* KEYS asked  ARGV storage ttl: the time */
static const char ask_lua[] = NOW "redis.call('HSET', KEYS[1], ARGV[1], now)\n"
                                  "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                  "return now\n";

/* KEYS asked turn  ARGV storage ask_ms look_ms may_look: {1 asked, 2 the turn, 0 neither; the time} */
static const char take_lua[] =
    NOW "local asked = redis.call('HGET', KEYS[1], ARGV[1])\n"
        "if asked then\n"
        "  redis.call('HDEL', KEYS[1], ARGV[1])\n"
        "  if now - asked <= tonumber(ARGV[2]) then return {'1', now} end\n"
        "end\n"
        "if ARGV[4] ~= '1' then return {'0', now} end\n"
        "local turn = redis.call('HGET', KEYS[2], ARGV[1])\n"
        "if turn and now - turn < tonumber(ARGV[3]) then return {'0', now} end\n"
        "redis.call('HSET', KEYS[2], ARGV[1], now)\n"
        "return {'2', now}\n";

static struct fb_script ask_script = {"storage_ask", ask_lua, ""};
static struct fb_script take_script = {"storage_take", take_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&ask_script);
    fb_redis_script_prepare(&take_script);
}

/* ---- making one ---- */

void fb_storage_report_init(struct fb_storage_report *report_r)
{
    *report_r = (struct fb_storage_report){.is_ok = true, .space = {-1, -1, -1}};
}

struct fb_storage_step_result *fb_storage_report_add(struct fb_storage_report *report,
                                                     enum fb_storage_step step, const char *user,
                                                     int64_t since_ms, enum fb_status s,
                                                     const struct fb_error *err)
{
    report->is_ok = report->is_ok && s == FB_OK;
    if (report->step_count == FB_STORAGE_STEPS) {
        return NULL;
    }
    struct fb_storage_step_result *one = &report->steps[report->step_count++];
    *one = (struct fb_storage_step_result){.step = step,
                                           .is_ok = s == FB_OK,
                                           .took_ms = fb_mono_ms() - since_ms,
                                           .space = {-1, -1, -1}};
    (void)snprintf(one->user, sizeof one->user, "%s", user);
    if (s != FB_OK) {
        (void)snprintf(one->text, sizeof one->text, "%.300s", err->text);
    }
    return one;
}

static json_t *encode(const struct fb_storage_report *report)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < report->step_count; i++) {
        const struct fb_storage_step_result *s = &report->steps[i];
        (void)json_array_append_new(
            steps, json_pack("{s:s,s:o,s:b,s:I,s:I,s:I,s:o}", "step", names[s->step], "user",
                             fb_json_text(s->user), "ok", s->is_ok, "ms", (json_int_t)s->took_ms,
                             "used", (json_int_t)s->space.used, "quota", (json_int_t)s->space.quota,
                             "text", fb_json_text(s->text)));
    }
    return json_pack("{s:I,s:I,s:b,s:b,s:I,s:I,s:I,s:o}", "began", (json_int_t)report->began_ms,
                     "at", (json_int_t)report->at_ms, "ok", report->is_ok, "asked",
                     report->is_asked, "used", (json_int_t)report->space.used, "quota",
                     (json_int_t)report->space.quota, "free", (json_int_t)report->space.free,
                     "steps", steps);
}

enum fb_status fb_storage_report_put(struct fb_redis *r, const char *storage,
                                     const struct fb_storage_report *report, struct fb_error *err)
{
    redisReply *reply = NULL;
    json_t *o = encode(report);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text == NULL) {
        return fb_error_set(err, FB_BUG, "a report of a storage cannot be written");
    }
    enum fb_status s = fb_redis_call(r, &reply, err, "HSET", KEY, storage, text, NULL);
    freeReplyObject(reply);
    free(text);
    if (s == FB_OK) {
        reply = NULL;
        s = fb_redis_call(r, &reply, err, "EXPIRE", KEY, KEPT_S, NULL);
        freeReplyObject(reply);
    }
    return s;
}

/* ---- reading one ---- */

static int64_t number(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

/* A step of a later version is left out. */
static void decode_step(const json_t *o, struct fb_storage_report *report)
{
    for (int step = 0; step < FB_STORAGE_STEP_COUNT; step++) {
        if (strcmp(names[step], fb_json_text_of(o, "step")) != 0 ||
            report->step_count == FB_STORAGE_STEPS) {
            continue;
        }
        struct fb_storage_step_result *s = &report->steps[report->step_count++];
        *s = (struct fb_storage_step_result){.step = (enum fb_storage_step)step,
                                             .is_ok = json_is_true(json_object_get(o, "ok")),
                                             .took_ms = number(o, "ms"),
                                             .space = {number(o, "used"), number(o, "quota"), -1}};
        (void)snprintf(s->user, sizeof s->user, "%s", fb_json_text_of(o, "user"));
        (void)snprintf(s->text, sizeof s->text, "%s", fb_json_text_of(o, "text"));
        return;
    }
}

static enum fb_status decode(const char *text, size_t len, struct fb_storage_report *report_r,
                             struct fb_error *err)
{
    size_t i;
    json_t *step;
    json_t *o = len <= MAX_TEXT ? json_loadb(text, len, 0, NULL) : NULL;
    if (!json_is_object(o)) {
        json_decref(o);
        return fb_error_set(err, FB_CORRUPT, "what Redis has of a storage cannot be read");
    }
    fb_storage_report_init(report_r);
    report_r->began_ms = number(o, "began");
    report_r->at_ms = number(o, "at");
    report_r->is_ok = json_is_true(json_object_get(o, "ok"));
    report_r->is_asked = json_is_true(json_object_get(o, "asked"));
    report_r->space =
        (struct fb_storage_space){number(o, "used"), number(o, "quota"), number(o, "free")};
    json_array_foreach(json_object_get(o, "steps"), i, step)
    {
        decode_step(step, report_r);
    }
    json_decref(o);
    return FB_OK;
}

enum fb_status fb_storage_report_get(struct fb_redis *r, const char *storage,
                                     struct fb_storage_report *report_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HGET", KEY, storage, NULL);
    if (s != FB_OK) {
        return s;
    }
    s = reply->type == REDIS_REPLY_STRING
            ? decode(reply->str, reply->len, report_r, err)
            : fb_error_set(err, FB_NOT_FOUND, "no upload service has looked at it yet");
    freeReplyObject(reply);
    return s;
}

const char *fb_storage_step_name(enum fb_storage_step step)
{
    return step < FB_STORAGE_STEP_COUNT ? names[step] : "unknown";
}

enum fb_status fb_storage_step_words(const struct fb_storage_step_result *step,
                                     const char *language, struct fb_buf *out)
{
    static const char *const words[FB_STORAGE_STEP_COUNT][2][2] = {
        [FB_STORAGE_OPEN] = {{"認証情報または鍵を読み取り、保管先を開けました",
                              "Credentials or key are read, and it is open"},
                             {"保管先を開けません", "It cannot be opened"}},
        [FB_STORAGE_LOGIN] = {{"ログインできました", "Logged in"},
                              {"ログインできません", "The login fails"}},
        [FB_STORAGE_FOLDER] = {{"保存先のフォルダーがあり、書き込めます",
                                "The root folder is there and can be written to"},
                               {"保存先のフォルダーを使えません",
                                "The root folder cannot be used"}},
        [FB_STORAGE_WRITE] = {{"書き込み、読み出し、消去ができました",
                               "Written, read back and erased"},
                              {"書き込み、読み出し、消去のいずれかができません",
                               "Writing, reading back or erasing fails"}},
        [FB_STORAGE_SPACE] = {{"使用量を調べました", "The space in use is known"},
                              {"使用量を調べられません", "The space in use cannot be found out"}},
    };
    bool is_ja = strcmp(language, "ja") == 0;
    const char *text = words[step->step][step->is_ok ? 0 : 1][is_ja ? 0 : 1];
    enum fb_status s = fb_buf_add_str(out, text);
    if (s == FB_OK && step->user[0] != '\0') {
        s = fb_buf_printf(out, is_ja ? " (ユーザー %s)" : " (user %s)", step->user);
    }
    if (s == FB_OK && step->is_ok) {
        return fb_buf_printf(out, is_ja ? "。%lld ミリ秒" : ", %lld ms", (long long)step->took_ms);
    }
    return s == FB_OK ? fb_buf_printf(out, ": %s", step->text) : s;
}

static json_t *known(int64_t value)
{
    return value >= 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *check_json(const struct fb_storage_step_result *step, const char *language)
{
    struct fb_buf words;
    fb_buf_init(&words, 2048);
    enum fb_status s = fb_storage_step_words(step, language, &words);
    json_t *o = json_pack("{s:s,s:s,s:o,s:n}", "name", fb_storage_step_name(step->step), "state",
                          step->is_ok ? "ok" : "error", "text",
                          fb_json_text(s == FB_OK ? fb_buf_str(&words) : step->text), "hint");
    fb_buf_deinit(&words);
    return o;
}

json_t *fb_storage_report_json(const struct fb_storage_report *report, const char *language,
                               json_t *(*time)(int64_t ms))
{
    json_t *users = json_array();
    json_t *checks = json_array();
    for (size_t i = 0; i < report->step_count; i++) {
        const struct fb_storage_step_result *step = &report->steps[i];
        (void)json_array_append_new(checks, check_json(step, language));
        if (step->step == FB_STORAGE_LOGIN && step->is_ok) {
            (void)json_array_append_new(
                users, json_pack("{s:o,s:o,s:o}", "user", fb_json_text(step->user), "used",
                                 known(step->space.used), "quota", known(step->space.quota)));
        }
    }
    return json_pack("{s:o,s:b,s:o,s:o,s:o,s:o,s:o}", "at", time(report->at_ms), "is_ok",
                     report->is_ok, "used", known(report->space.used), "quota",
                     known(report->space.quota), "free", known(report->space.free), "users", users,
                     "checks", checks);
}

/* ---- asking for one ---- */

enum fb_status fb_storage_ask(struct fb_redis *r, const char *storage, int64_t *asked_ms_r,
                              struct fb_error *err)
{
    redisReply *reply = NULL;
    char ttl[24];
    (void)pthread_once(&once, prepare);
    (void)snprintf(ttl, sizeof ttl, "%d", FB_STORAGE_ASK_MS);
    const struct fb_slice keys[] = {FB_SLICE_LITERAL(KEY_ASKED)};
    const struct fb_slice args[] = {fb_slice_str(storage), fb_slice_str(ttl)};
    enum fb_status s = fb_redis_script(r, &ask_script, 1, keys, 2, args, &reply, err);
    if (s == FB_OK && (reply->str == NULL || !fb_parse_int(reply->str, asked_ms_r))) {
        s = fb_error_set(err, FB_BUG, "Redis answers a question about a storage with nonsense");
    }
    freeReplyObject(reply);
    return s;
}

/* Whether the question still waits for somebody. */
static bool is_untaken(struct fb_redis *r, const char *storage)
{
    redisReply *reply = NULL;
    struct fb_error ignored = {0};
    if (fb_redis_call(r, &reply, &ignored, "HEXISTS", KEY_ASKED, storage, NULL) != FB_OK) {
        return false;
    }
    bool is = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    freeReplyObject(reply);
    return is;
}

enum fb_status fb_storage_wait(struct fb_redis *r, const char *storage, int64_t asked_ms,
                               int64_t wait_ms, struct fb_storage_report *report_r,
                               struct fb_error *err)
{
    int64_t began = fb_mono_ms();
    int64_t until = began + wait_ms;
    for (;;) {
        enum fb_status s = fb_storage_report_get(r, storage, report_r, err);
        if (s != FB_OK && s != FB_NOT_FOUND) {
            return s;
        }
        if (s == FB_OK && report_r->is_asked && report_r->began_ms >= asked_ms) {
            return FB_OK;
        }
        int64_t now = fb_mono_ms();
        if (now >= until || (now - began >= TAKEN_MS && is_untaken(r, storage))) {
            return fb_error_set(err, FB_AGAIN,
                                "no answer from an upload service: it does not run, or the storage "
                                "keeps it waiting");
        }
        (void)nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
    }
}

enum fb_status fb_storage_is_asked(struct fb_redis *r, bool *is_asked_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "EXISTS", KEY_ASKED, NULL);
    if (s == FB_OK) {
        *is_asked_r = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_storage_take(struct fb_redis *r, const char *storage, bool may_look,
                               bool *is_taken_r, bool *is_asked_r, int64_t *now_ms_r,
                               struct fb_error *err)
{
    redisReply *reply = NULL;
    char ask[24], look[24];
    (void)pthread_once(&once, prepare);
    (void)snprintf(ask, sizeof ask, "%d", FB_STORAGE_ASK_MS);
    (void)snprintf(look, sizeof look, "%d", FB_STORAGE_LOOK_MS);
    const struct fb_slice keys[] = {FB_SLICE_LITERAL(KEY_ASKED), FB_SLICE_LITERAL(KEY_TURN)};
    const struct fb_slice args[] = {fb_slice_str(storage), fb_slice_str(ask), fb_slice_str(look),
                                    fb_slice_str(may_look ? "1" : "0")};
    enum fb_status s = fb_redis_script(r, &take_script, 2, keys, 4, args, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_good = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                   reply->element[0]->str != NULL && reply->element[1]->str != NULL &&
                   fb_parse_int(reply->element[1]->str, now_ms_r);
    if (is_good) {
        *is_asked_r = reply->element[0]->str[0] == '1';
        *is_taken_r = reply->element[0]->str[0] != '0';
    } else {
        s = fb_error_set(err, FB_BUG, "Redis answers a question about a storage with nonsense");
    }
    freeReplyObject(reply);
    return s;
}
