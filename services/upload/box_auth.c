/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens.  Every assertion has a jti of its own, also on a retry; `exp` follows the server's clock
 * when ours is refused once.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/curl_handle.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/upload/box_internal.h"

#define AUDIENCE      "https://api.box.com/oauth2/token" /* constant, whatever the URL is */
#define ASSERTION_S   45                                 /* Box allows 60 */
#define RENEW_EARLY_S 120
#define MAX_LIFE_S    86400 /* Box gives an hour */
#define MAX_TOKENS    512
#define AWAIT_S       180 /* longer than a fetch with its own limits takes */
#define MAX_FILE      65536

struct box_auth {
    char *client_id, *client_secret, *enterprise, *user;
    char *key_id;
    EVP_PKEY *key; /* NULL: client credentials */
    char *token_url;
    char labels[160]; /* of our metric, but for the status */
    char *storage;    /* its name */
};

/* One process, one cache: all threads of all sessions share it. */
static struct token {
    char *owner; /* client id, enterprise or user */
    char *value;
    int64_t good_until_ms; /* monotonic */
    /* While one thread fetches it the others that want the same one wait, and share what comes of it; nobody else does:
     * the login of one storage may take its time. */
    bool is_fetched;
    uint64_t rounds; /* fetches that ended */
    enum fb_status status;
    char why[200];
} tokens[MAX_TOKENS];
static size_t token_count;
static pthread_mutex_t token_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t token_news = PTHREAD_COND_INITIALIZER;

/* ---- the credentials file ---- */

static char *dup_member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? fb_xstrdup(text) : NULL;
}

static EVP_PKEY *open_key(const char *pem, const char *passphrase)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = NULL;
    char none[1] = "";
    if (bio != NULL) {
        char *secret = passphrase != NULL ? fb_xstrdup(passphrase) : none;
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, secret);
        if (secret != none) {
            explicit_bzero(secret, strlen(secret));
            free(secret);
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static enum fb_status read_key(const char *path, const json_t *app, struct box_auth *a,
                               struct fb_error *err)
{
    const json_t *auth = json_object_get(app, "appAuth");
    const char *pem = json_string_value(json_object_get(auth, "privateKey"));
    if (pem == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "%s: boxAppSettings.appAuth.privateKey is missing; download the file again from "
            "the developer console (Configuration, Add and Manage Public Keys)",
            path);
    }
    a->key_id = dup_member(auth, "publicKeyID");
    a->key = open_key(pem, json_string_value(json_object_get(auth, "passphrase")));
    if (a->key == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "%s: the private key cannot be opened: wrong passphrase, or a format of old (PBES1); "
            "generate a new key pair in the developer console",
            path);
    }
    if (EVP_PKEY_get_base_id(a->key) != EVP_PKEY_RSA) {
        return fb_error_set(err, FB_CONFIG, "%s: the private key is no RSA key", path);
    }
    return FB_OK;
}

static enum fb_status read_file(const struct fb_policy_storage *storage, struct box_auth *a,
                                struct fb_error *err)
{
    struct fb_buf bytes;
    json_error_t where;
    const char *path = storage->auth_file;
    enum fb_status s = fb_read_secret(path, MAX_FILE, &bytes, err);
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "Box credentials of storage \"%s\"", storage->name);
        err->status = FB_CONFIG;
        return FB_CONFIG;
    }
    json_t *root = json_loadb(fb_buf_str(&bytes), bytes.len, JSON_REJECT_DUPLICATES, &where);
    explicit_bzero(bytes.ptr, bytes.len);
    fb_buf_deinit(&bytes);
    if (root == NULL) {
        return fb_error_set(err, FB_CONFIG, "%s:%d: no JSON: %s", path, where.line, where.text);
    }
    const json_t *app = json_object_get(root, "boxAppSettings");
    a->client_id = dup_member(app, "clientID");
    a->client_secret = dup_member(app, "clientSecret");
    a->enterprise = dup_member(root, "enterpriseID");
    a->user = dup_member(root, "userID");
    bool is_ccg = storage->box_auth != NULL ? strcmp(storage->box_auth, "ccg") == 0
                                            : json_object_get(app, "appAuth") == NULL;
    if (a->client_id == NULL || a->client_secret == NULL) {
        s = fb_error_set(err, FB_CONFIG, "%s: boxAppSettings.clientID or clientSecret is missing",
                         path);
    } else if (a->enterprise == NULL && a->user == NULL) {
        s = fb_error_set(err, FB_CONFIG, "%s: enterpriseID is missing", path);
    } else if (!is_ccg) {
        s = read_key(path, app, a, err);
    }
    json_decref(root);
    return s;
}

enum fb_status box_auth_open(const struct fb_policy_storage *storage, struct box_auth **auth_r,
                             struct fb_error *err)
{
    struct box_auth *a = fb_xcalloc(1, sizeof *a);
    char name[100];
    a->token_url = fb_xstrdup(storage->token_url != NULL ? storage->token_url : AUDIENCE);
    box_label(storage->name, name, sizeof name);
    (void)snprintf(a->labels, sizeof a->labels, "storage=\"%s\",call=\"token\"", name);
    a->storage = fb_xstrdup(storage->name);
    enum fb_status s = read_file(storage, a, err);
    if (s != FB_OK) {
        box_auth_close(&a);
        return s;
    }
    *auth_r = a;
    return FB_OK;
}

static void free_secret(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void box_auth_close(struct box_auth **auth)
{
    struct box_auth *a = *auth;
    if (a == NULL) {
        return;
    }
    EVP_PKEY_free(a->key);
    free(a->client_id);
    free_secret(a->client_secret);
    free(a->enterprise);
    free(a->user);
    free(a->key_id);
    free(a->storage);
    free(a->token_url);
    free(a);
    *auth = NULL;
}

const char *box_auth_client_id(const struct box_auth *auth)
{
    return auth->client_id;
}

/* ---- the assertion (RFC 7519, RFC 7523) ---- */

static enum fb_status add_json(struct fb_buf *out, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (text == NULL) {
        return FB_BUG;
    }
    enum fb_status s = fb_base64url_encode(fb_slice_str(text), out);
    free(text);
    return s;
}

static enum fb_status sign(const struct box_auth *a, struct fb_buf *jwt)
{
    uint8_t signature[1024];
    size_t len = sizeof signature;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, a->key) == 1 &&
              EVP_DigestSign(md, signature, &len, jwt->ptr, jwt->len) == 1;
    EVP_MD_CTX_free(md);
    if (!ok || fb_buf_add_char(jwt, '.') != FB_OK) {
        return FB_BUG;
    }
    return fb_base64url_encode(fb_slice_of(signature, len), jwt);
}

static enum fb_status make_assertion(const struct box_auth *a, const char *subject, bool is_user,
                                     int64_t now_s, struct fb_buf *jwt)
{
    char jti[65];
    uint8_t random[32];
    fb_random(random, sizeof random);
    fb_hex(random, sizeof random, jti);
    json_t *head = a->key_id != NULL
                       ? json_pack("{s:s,s:s,s:s}", "alg", "RS256", "typ", "JWT", "kid", a->key_id)
                       : json_pack("{s:s,s:s}", "alg", "RS256", "typ", "JWT");
    enum fb_status s = add_json(jwt, head);
    if (s == FB_OK) {
        s = fb_buf_add_char(jwt, '.');
    }
    if (s == FB_OK) {
        s = add_json(jwt, json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "iss", a->client_id, "sub",
                                    subject, "box_sub_type", is_user ? "user" : "enterprise", "aud",
                                    AUDIENCE, "jti", jti, "exp", (json_int_t)now_s + ASSERTION_S));
    }
    return s == FB_OK ? sign(a, jwt) : s;
}

/* ---- the token request ---- */

struct token_reply {
    struct fb_buf body;
    char date[64];
};

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct token_reply *r = ctx;
    return fb_buf_add(&r->body, data, size * count) == FB_OK ? size * count : 0;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    struct token_reply *r = ctx;
    struct fb_slice line = fb_slice_of(data, size * count);
    if (fb_slice_istarts(line, "date:")) {
        line = fb_slice_trim(fb_slice_sub(line, 5, SIZE_MAX));
        (void)snprintf(r->date, sizeof r->date, "%.*s", (int)(line.len < 63 ? line.len : 63),
                       (const char *)line.ptr);
    }
    return size * count;
}

static enum fb_status add_field(CURL *curl, struct fb_buf *form, const char *name,
                                const char *value)
{
    char *escaped = curl_easy_escape(curl, value, 0);
    if (escaped == NULL) {
        return FB_NO_SPACE;
    }
    enum fb_status s = fb_buf_printf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, escaped);
    curl_free(escaped);
    return s;
}

static enum fb_status make_form(CURL *curl, const struct box_auth *a, const char *subject,
                                bool is_user, int64_t now_s, struct fb_buf *form)
{
    enum fb_status s = add_field(curl, form, "client_id", a->client_id);
    if (s == FB_OK) {
        s = add_field(curl, form, "client_secret", a->client_secret);
    }
    if (s != FB_OK) {
        return s;
    }
    if (a->key == NULL) {
        s = add_field(curl, form, "grant_type", "client_credentials");
        if (s == FB_OK) {
            s = add_field(curl, form, "box_subject_type", is_user ? "user" : "enterprise");
        }
        return s == FB_OK ? add_field(curl, form, "box_subject_id", subject) : s;
    }
    struct fb_buf jwt;
    fb_buf_init(&jwt, 16384);
    s = make_assertion(a, subject, is_user, now_s, &jwt);
    if (s == FB_OK) {
        s = add_field(curl, form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    }
    if (s == FB_OK) {
        s = add_field(curl, form, "assertion", fb_buf_str(&jwt));
    }
    fb_buf_deinit(&jwt);
    return s;
}

static enum fb_status post(CURL *curl, const struct box_auth *a, const struct fb_buf *form,
                           struct token_reply *reply, long *status_r, struct fb_error *err)
{
    struct box_watching watching;
    bool ok =
        curl_easy_setopt(curl, CURLOPT_URL, a->token_url) == CURLE_OK &&
        box_watch(curl, a->storage, &watching) &&
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form->len) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form->ptr) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30000L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    rc = ok && watching.has_yielded ? CURLE_OPERATION_TIMEDOUT : rc;
    if (rc != CURLE_OK) {
        bool is_tls = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE;
        return fb_error_set(err, is_tls ? FB_CONFIG : FB_NETWORK, "Box token (%s): %s",
                            a->token_url, curl_easy_strerror(rc));
    }
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_r) == CURLE_OK ? FB_OK : FB_BUG;
}

/* What Box says when it refuses, in words that tell an administrator what to do. */
static enum fb_status refused(long status, const char *code, const char *text, struct fb_error *err)
{
    if (status == 429 || status >= 500) {
        return fb_error_set(err, FB_AGAIN, "Box token: HTTP %ld, trying again later", status);
    }
    const char *advice = strcmp(code, "unauthorized_client") == 0
                             ? "; authorise the app in the Admin Console (Apps, Custom Apps), "
                               "again after each change of it"
                         : strstr(text, "'sub'") != NULL
                             ? "; check enterpriseID and the app's access level"
                             : "; check clientID, clientSecret and the key";
    return fb_error_set(err, FB_CONFIG, "Box refuses the login: %s: %.200s%s", code, text, advice);
}

static enum fb_status fetch(struct box_auth *a, const char *user, struct token *t,
                            struct fb_error *err)
{
    bool is_user = user[0] != '\0' || a->enterprise == NULL;
    const char *subject = user[0] != '\0' ? user : a->enterprise != NULL ? a->enterprise : a->user;
    int64_t now_s = fb_now_ms() / 1000;
    CURL *curl = fb_curl_new();
    enum fb_status s = curl != NULL ? FB_OK : fb_error_set(err, FB_BUG, "libcurl");
    for (int attempt = 0; attempt < 2 && s == FB_OK; attempt++) {
        struct fb_buf form;
        struct token_reply reply = {0};
        long status = 0;
        fb_buf_init(&form, 65536);
        fb_buf_init(&reply.body, BOX_MAX_REPLY);
        s = make_form(curl, a, subject, is_user, now_s, &form);
        s = s == FB_OK ? post(curl, a, &form, &reply, &status, err)
                       : fb_error_set(err, s, "Box assertion");
        json_t *json =
            s == FB_OK ? json_loadb(fb_buf_str(&reply.body), reply.body.len, 0, NULL) : NULL;
        const char *token = json_string_value(json_object_get(json, "access_token"));
        const char *code = json_string_value(json_object_get(json, "error"));
        const char *text = json_string_value(json_object_get(json, "error_description"));
        bool is_skew = code != NULL && text != NULL && strcmp(code, "invalid_grant") == 0 &&
                       strstr(text, "'exp'") != NULL;
        bool is_jti = code != NULL && text != NULL && strstr(text, "'jti'") != NULL;
        if (s == FB_OK && status == 200 && token != NULL) {
            t->value = fb_xstrdup(token);
            json_int_t life = json_integer_value(json_object_get(json, "expires_in"));
            life = life < 0 ? 0 : life > MAX_LIFE_S ? MAX_LIFE_S : life;
            t->good_until_ms =
                fb_mono_ms() + (life > 2 * RENEW_EARLY_S ? life - RENEW_EARLY_S : life / 2) * 1000;
            attempt = 2;
        } else if (s == FB_OK && attempt == 0 && is_skew && curl_getdate(reply.date, NULL) > 0) {
            now_s = curl_getdate(reply.date,
                                 NULL); /* our clock is off: the server's, once, with a new jti */
            fb_log(FB_WARN,
                   "Box refuses our clock; its own says %s: check the time of this machine",
                   reply.date);
        } else if (s == FB_OK && !(attempt == 0 && is_jti)) {
            s = refused(status, code != NULL ? code : "no reason", text != NULL ? text : "", err);
        }
        curl = fb_curl_renew(curl); /* for another attempt */
        json_decref(json);
        if (reply.body.ptr != NULL) {
            explicit_bzero(reply.body.ptr, reply.body.len);
        }
        explicit_bzero(form.ptr, form.len);
        fb_buf_deinit(&reply.body);
        fb_buf_deinit(&form);
    }
    if (s == FB_OK && t->value == NULL) {
        s = fb_error_set(err, FB_CONFIG,
                         "Box refuses the login twice because of our clock or the assertion's id");
    }
    fb_curl_free(curl);
    char labels[200];
    (void)snprintf(labels, sizeof labels, "%s,status=\"%s\"", a->labels,
                   s == FB_OK ? "ok" : "error");
    fb_metric_add("fumibako_storage_requests_total", labels, 1);
    return s;
}

/* ---- the cache ---- */

static struct token *find_token(const struct box_auth *a, const char *user)
{
    char owner[256];
    (void)snprintf(owner, sizeof owner, "%s\n%s\n%s", a->client_id, user, a->token_url);
    for (size_t i = 0; i < token_count; i++) {
        if (strcmp(tokens[i].owner, owner) == 0) {
            return &tokens[i];
        }
    }
    if (token_count == MAX_TOKENS) {
        return NULL;
    }
    tokens[token_count] = (struct token){.owner = fb_xstrdup(owner)};
    return &tokens[token_count++];
}

static bool is_good(const struct token *t)
{
    return t->value != NULL && fb_mono_ms() < t->good_until_ms;
}

/* What the fetch that is under way brings.  It ends in bounded time; who waits does so as well,
 * whatever became of the thread that fetches. */
static enum fb_status await_locked(struct token *t, struct fb_error *err)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += AWAIT_S;
    for (uint64_t round = t->rounds; t->rounds == round;) {
        if (pthread_cond_clockwait(&token_news, &token_lock, CLOCK_MONOTONIC, &until) ==
            ETIMEDOUT) {
            return fb_error_set(err, FB_AGAIN, "no token within %d s; tried again later", AWAIT_S);
        }
    }
    return t->status == FB_OK ? FB_OK : fb_error_set(err, t->status, "%s", t->why);
}

static enum fb_status renew_locked(struct box_auth *a, const char *user, struct token *t,
                                   struct fb_error *err)
{
    struct token fresh = {0};
    struct fb_error own = {0};
    t->is_fetched = true;
    (void)pthread_mutex_unlock(&token_lock);
    enum fb_status s = fetch(a, user, &fresh, &own);
    (void)pthread_mutex_lock(&token_lock);
    if (s == FB_OK) {
        free_secret(t->value);
        t->value = fresh.value;
        t->good_until_ms = fresh.good_until_ms;
    } else if (err != NULL) {
        *err = own;
    }
    t->status = s;
    (void)snprintf(t->why, sizeof t->why, "%.*s", (int)sizeof t->why - 1, own.text);
    t->is_fetched = false;
    t->rounds++;
    (void)pthread_cond_broadcast(&token_news);
    return s;
}

enum fb_status box_auth_token(struct box_auth *a, const char *user, char **token_r,
                              struct fb_error *err)
{
    enum fb_status s = FB_OK;
    (void)pthread_mutex_lock(&token_lock);
    struct token *t = find_token(a, user);
    if (t == NULL) {
        s = fb_error_set(err, FB_CONFIG, "more than %d Box users", MAX_TOKENS);
    } else if (!is_good(t) && t->is_fetched) {
        s = await_locked(t, err);
    } else if (!is_good(t)) {
        s = renew_locked(a, user, t, err);
    }
    if (s == FB_OK) {
        *token_r = fb_xstrdup(t->value);
    }
    (void)pthread_mutex_unlock(&token_lock);
    return s;
}

void box_auth_drop(struct box_auth *a, const char *user, const char *token)
{
    (void)pthread_mutex_lock(&token_lock);
    struct token *t = find_token(a, user);
    if (t != NULL && t->value != NULL && strcmp(t->value, token) == 0) {
        t->good_until_ms = 0;
    }
    (void)pthread_mutex_unlock(&token_lock);
}
