/* SPDX-License-Identifier: Apache-2.0
 *
 * From a path to a handler: link, vault, grant, ledger, session, action.  Who fails before his secret was found in the
 * parcel's state is a stranger: he gets the answer of a path that does not exist, byte by byte, and the same work is
 * done whatever is wrong (reader_vaults_level), so that the time does not tell either. */
#include "services/portal/reader.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/portal/door.h"

#define NO_PARCEL    "00000000000000000000000000-0" /* of 1970: there is none */
#define LINK_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* ---- actions ---- */

struct action {
    const char *verb;
    bool is_post;
    bool has_rest;      /* more may stand behind the verb */
    bool needs_session; /* proved */
    bool is_own_form;   /* reads the form, and asks for its token, itself */
    void (*handle)(struct reader *r);
};

static void show(struct reader *r)
{
    if (r->has_session) {
        read_page(r);
    } else {
        door_page(r, &(const struct door_said){.status = 200});
    }
}

static const struct action actions[] = {
    {"", false, false, false, false, show},
    {"open", true, false, false, false, door_open},
    {"code", true, false, false, false, door_code},
    {"enter", true, false, false, false, door_enter},
    {"totp", true, false, false, false, door_totp},
    {"enrol", true, false, false, false, door_enrol},
    {"recovery", true, false, false, false, door_recovery},
    {"password", true, false, false, false, door_password},
    {"leave", true, false, false, false, door_leave},
    {"body.pdf", false, false, true, false, read_body},
    {"page", false, true, true, false, read_image},
    {"file", false, true, true, false, read_file},
    {"download", true, false, true, false, read_ticket},
    {"reply", false, false, true, false, reply_page},
    {"reply", true, false, true, true, reply_send},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static bool is_get(const struct visit *v)
{
    return strcmp(v->request->method, "GET") == 0 || strcmp(v->request->method, "HEAD") == 0;
}

/* ---- for handlers ---- */

void reader_refuse(struct reader *r, enum fb_reading why)
{
    r->visit->back[0] = '\0'; /* there is nothing to go back to */
    if (why == FB_READING_USED_UP) {
        (void)snprintf(r->visit->back, sizeof r->visit->back, "/r/%s", r->text);
    }
    page_error(r->visit, why == FB_READING_RECALLED  ? PAGE_READ_RECALLED
                         : why == FB_READING_USED_UP ? PAGE_READ_USED_UP
                                                     : PAGE_READ_EXPIRED);
}

void reader_unavailable(struct reader *r, const struct fb_error *err)
{
    switch (err->status) {
    case FB_CORRUPT:
    case FB_INVALID:
    case FB_BUG:
    case FB_CONFIG:
        fb_log_context(r->msg_id, r->parcel_id, "portal", NULL, 0);
        fb_log(FB_ERROR, "a recipient cannot read: %s", err->text);
        fb_log_context_clear();
        page_error(r->visit, PAGE_READ_BROKEN);
        break;
    default:
        page_unavailable(r->visit, err);
        break;
    }
}

void reader_not_found(struct reader *r)
{
    r->visit->back[0] = '\0';
    page_error(r->visit, PAGE_NOT_FOUND);
}

void reader_see(struct reader *r, const char *verb)
{
    fb_http_answer_header(r->visit->answer, "Location", "/r/%s%s%s%s", r->text,
                          verb[0] != '\0' ? "/" : "", verb, page_query(r->visit));
    r->visit->answer->status = 303;
}

bool reader_is_allowed(struct reader *r)
{
    struct fb_error err = {0};
    enum fb_reading reading = FB_READING_ALLOWED;
    enum fb_status s =
        fb_ledger_reading_check(r->redis, r->msg_id, r->parcel_id, r->recipient, &reading, &err);
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
    } else if (reading != FB_READING_ALLOWED) {
        reader_refuse(r, reading);
    }
    return s == FB_OK && reading == FB_READING_ALLOWED;
}

/* ---- tokens, fields ---- */

static struct form_binding binding_of(const struct reader *r, const char *verb)
{
    return (struct form_binding){.key = r->visit->portal->form_key,
                                 .step = verb,
                                 .link = r->text,
                                 .cookie = r->session.id_hash[0] != '\0' ? r->session.form_secret
                                                                         : r->visit->cookie,
                                 .id = ""};
}

/* The token of a form that goes to /r/<text>/<verb>: bound to link, verb, session (or browser), for an hour. */
static void make_token(const struct reader *r, const char *verb, char token_r[FORM_TOKEN_SIZE])
{
    const struct form_binding binding = binding_of(r, verb);
    form_token_make(&binding, fb_now_ms() + FORM_TOKEN_MS, token_r);
}

static bool token_is_good(const struct reader *r, const char *verb, const char *token)
{
    const struct form_binding binding = binding_of(r, verb);
    return binding.cookie[0] != '\0' && form_token_is_good(&binding, token, fb_now_ms());
}

void reader_form_begin(struct reader *r, struct html *h, const char *verb, const char *attributes)
{
    char token[FORM_TOKEN_SIZE];
    make_token(r, verb, token);
    html_printf(
        h,
        "<form method=\"post\" action=\"/r/%s/%s%s\"%s><input type=\"hidden\" name=\"token\" "
        "value=\"%s\">",
        r->text, verb, page_query(r->visit), attributes, token);
}

bool reader_field(const struct reader *r, const char *name, char *out_r, size_t size)
{
    return form_field(r->visit->request->body, name, out_r, size) == FB_OK;
}

/* ---- a POST ---- */

static bool is_good_form(struct reader *r, const struct action *a)
{
    struct visit *v = r->visit;
    char token[FORM_TOKEN_SIZE];
    enum page_error wrong = PAGE_ERROR_COUNT;
    if (!portal_is_from_here(v)) {
        wrong = PAGE_OTHER_SITE;
    } else if (a->is_own_form) {
        return true;
    } else if (v->request->is_too_big) {
        wrong = PAGE_TOO_BIG;
    } else if (!portal_is_form(v)) {
        wrong = PAGE_BAD_TYPE;
    } else if (!reader_field(r, "token", token, sizeof token)) {
        wrong = PAGE_BAD_FORM;
    } else if (!token_is_good(r, a->verb, token)) {
        wrong = PAGE_STALE_FORM;
    }
    if (wrong != PAGE_ERROR_COUNT) {
        page_error(v, wrong);
    }
    return wrong == PAGE_ERROR_COUNT;
}

static void act(struct reader *r)
{
    struct visit *v = r->visit;
    bool gets = is_get(v);
    bool is_known = false;
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct action *a = &actions[i];
        if (strcmp(a->verb, r->verb) != 0 || a->has_rest != (r->rest[0] != '\0')) {
            continue;
        }
        is_known = true;
        if (a->is_post == gets || (a->is_post && strcmp(v->request->method, "POST") != 0)) {
            continue;
        }
        if (a->is_post && !is_good_form(r, a)) {
            return;
        }
        if (a->needs_session && !r->has_session) {
            reader_see(r, ""); /* the door */
            return;
        }
        a->handle(r);
        return;
    }
    if (!is_known) {
        reader_not_found(r);
    } else if (gets) {
        reader_see(r, ""); /* an address that was kept, or a reload by hand */
    } else {
        fb_http_answer_header(v->answer, "Allow", "GET, HEAD, POST");
        page_error(v, PAGE_BAD_METHOD);
    }
}

/* ---- who asks ---- */

/* Every grant is looked at, and the secret compared in the same time, whether or not the recipient is among them. */
static const struct fb_vault_grant *find_grant(const struct reader *r)
{
    const struct fb_vault_grant *grant = NULL;
    uint8_t nobody[FB_VAULT_HASH] = {0};
    const uint8_t *hash = nobody;
    for (uint32_t i = 0; i < r->parcel.grant_count; i++) {
        if (r->parcel.grants[i].recipient == r->recipient) {
            grant = &r->parcel.grants[i];
            hash = grant->secret_hash;
        }
    }
    bool is_right = fb_equal_secret(hash, r->secret_hash, FB_VAULT_HASH);
    return is_right ? grant : NULL;
}

/* Reads "<text>[/<verb>[/<rest>]]"; false for what is no link, and then a parcel that there is not is looked for. */
static bool take_path(struct reader *r, const char *path)
{
    uint8_t secret[FB_READER_SECRET] = {0};
    size_t len = strspn(path, LINK_LETTERS);
    bool is_link = len < sizeof r->text && (path[len] == '\0' || path[len] == '/');
    if (is_link) {
        memcpy(r->text, path, len);
        is_link = fb_reader_link_parse(r->text, r->parcel_id, &r->recipient, secret) == FB_OK;
    }
    if (!is_link) {
        memcpy(r->parcel_id, NO_PARCEL, sizeof NO_PARCEL);
    }
    fb_sha256(secret, sizeof secret, r->secret_hash);
    fb_wipe(secret, sizeof secret);
    const char *behind = path + len + (is_link && path[len] == '/' ? 1 : 0);
    const char *slash = is_link ? strchr(behind, '/') : NULL;
    size_t verb_len = slash != NULL ? (size_t)(slash - behind) : is_link ? strlen(behind) : 0;
    if (verb_len >= sizeof r->verb_text) {
        verb_len = sizeof r->verb_text - 1; /* longer than any that there is */
    }
    memcpy(r->verb_text, behind, verb_len);
    r->verb = r->verb_text;
    r->rest = slash != NULL ? slash + 1 : "";
    return is_link;
}

static bool is_good_path(const char *path)
{
    size_t len = strspn(path, LINK_LETTERS);
    return !(path[len] == '/' &&
             path[len + 1] == '\0'); /* "<text>/" is another path than "<text>" */
}

/* Why the vault alone does not let somebody read any more. */
static enum fb_reading state_of(const struct reader *r)
{
    bool is_over = r->parcel.expires_ms > 0 && fb_now_ms() >= r->parcel.expires_ms;
    return r->grant->is_recalled ? FB_READING_RECALLED
           : is_over             ? FB_READING_ENDED
           : r->parcel.is_closed ? FB_READING_RECALLED
                                 : FB_READING_ALLOWED;
}

static void take_cookie(struct reader *r)
{
    struct visit *v = r->visit;
    const char *cookie =
        fb_http_cookie(v->request, v->portal->is_https ? "__Secure-fumibako" : "fumibako");
    if (cookie != NULL && form_cookie_is_valid(cookie)) {
        memcpy(v->cookie, cookie, sizeof v->cookie);
        v->has_cookie = true;
    }
}

/* The secret was right. */
static void enter(struct reader *r)
{
    struct visit *v = r->visit;
    uint32_t branch = 0;
    struct fb_error err = {0};
    FB_ASSERT(fb_parcel_id_split(r->parcel_id, r->msg_id, &branch));
    memcpy(v->msg_id, r->msg_id, sizeof v->msg_id);
    (void)snprintf(v->back, sizeof v->back, "/r/%s", r->text);
    fb_hex(r->secret_hash, (READER_TAG - 1) / 2, r->grant_tag);
    v->page = r->verb[0] == '\0' ? "read" : "door";
    for (size_t i = 0; i < ACTION_COUNT; i++) { /* a label of metrics: one of a few */
        if (strcmp(actions[i].verb, r->verb) == 0 && r->verb[0] != '\0') {
            v->page = actions[i].verb;
        }
    }
    take_cookie(r);
    enum fb_reading state = state_of(r);
    if (state != FB_READING_ALLOWED) {
        reader_refuse(r, state);
        return;
    }
    r->redis = fb_redis_pool_take(v->portal->pool);
    r->shard = fb_redis_shard(r->redis, r->msg_id);
    if (reader_is_allowed(r)) {
        enum fb_status s = door_session_load(r, &err);
        if (s == FB_OK) {
            act(r);
        } else {
            page_unavailable(v, &err);
        }
    }
    fb_redis_pool_give(v->portal->pool, r->redis);
    r->redis = NULL;
}

static void refuse_stranger(struct reader *r)
{
    struct visit *v = r->visit;
    struct fb_error err = {0};
    if (reader_vaults_level(v->portal->vaults, r->home)) {
        portal_bad_link(v);
    } else {
        (void)fb_error_set(&err, FB_AGAIN, "a vault of the policy cannot be asked");
        page_unavailable(v, &err);
    }
}

void reader_handle(struct visit *v, const char *path)
{
    struct reader r = {.visit = v};
    struct fb_error err = {0};
    bool is_link = take_path(&r, path);
    enum fb_status s = reader_vaults_find(v->portal->vaults, r.parcel_id, &r.home, &r.parcel, &err);
    r.grant = s == FB_OK ? find_grant(&r) : NULL;
    if (s != FB_OK && s != FB_NOT_FOUND) {
        page_unavailable(v, &err);
    } else if (r.grant == NULL || !is_link || !is_good_path(path)) {
        refuse_stranger(&r);
    } else {
        r.vault = reader_vault_get(r.home);
        r.storage = reader_vault_name(r.home);
        enter(&r);
    }
    fb_wipe(&r.session, sizeof r.session);
    fb_wipe(r.secret_hash, sizeof r.secret_hash);
    fb_vault_parcel_deinit(&r.parcel);
    reader_vault_unref(&r.home);
}
