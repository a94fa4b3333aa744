/* SPDX-License-Identifier: Apache-2.0 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "services/console/accounts.h"
#include "services/console/jwt.h"
#include "services/console/oidc.h"

#define MAX_DOCUMENT (256U << 10)
#define LEAST_TLS    ((long)CURL_SSLVERSION_TLSv1_2) /* an int to curl 8.14 */
#define MAX_FORM     16384
#define TIMEOUT_MS   10000L
#define CONNECT_MS   5000L
#define KEEP_MS      600000
#define AGAIN_MS     30000 /* keys are not fetched more often for a token whose key is unknown */

struct oidc {
    char *issuer, *client_id;
    const char *client_secret; /* of the configuration; NULL = a public client */
    pthread_mutex_t lock;      /* one fetch at a time; guards what follows */
    json_t *document, *keys;
    int64_t document_ms, keys_ms;
};

/* ---- settings ---- */

/* http is for a provider on this machine, which nobody can get between. */
static bool is_safe_url(const char *url, bool is_local)
{
    static const char *const local[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    if (strncmp(url, "https://", 8) == 0 && url[8] != '\0' && url[8] != '/') {
        return true;
    }
    for (size_t i = 0; is_local && i < sizeof local / sizeof local[0]; i++) {
        size_t len = strlen(local[i]);
        if (strncmp(url, local[i], len) == 0 &&
            (url[len] == '\0' || url[len] == ':' || url[len] == '/')) {
            return true;
        }
    }
    return false;
}

enum fb_status oidc_check(const struct fb_config *config, struct fb_error *err)
{
    const char *issuer = config->console.oidc_issuer;
    if (issuer == NULL) {
        return FB_OK;
    }
    if (!is_safe_url(issuer, true) || strlen(issuer) > OIDC_URL / 2 ||
        strpbrk(issuer, "?# \"<>@") != NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "console.oidc_issuer: \"%s\" is no https URL without query", issuer);
    }
    if (config->console.oidc_client_id == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "console.oidc_client_id: is needed with console.oidc_issuer");
    }
    if (config->console.public_url == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "console.public_url: is needed with console.oidc_issuer: the provider "
                            "sends browsers back to it");
    }
    return FB_OK;
}

struct oidc *oidc_new(const struct fb_config *config)
{
    if (config->console.oidc_issuer == NULL) {
        return NULL;
    }
    struct oidc *o = fb_xcalloc(1, sizeof *o);
    o->issuer = fb_xstrdup(config->console.oidc_issuer);
    o->client_id = fb_xstrdup(config->console.oidc_client_id);
    o->client_secret = config->console.oidc_client_secret;
    FB_ASSERT(pthread_mutex_init(&o->lock, NULL) == 0);
    return o;
}

void oidc_free(struct oidc **oidc)
{
    struct oidc *o = *oidc;
    if (o != NULL) {
        json_decref(o->document);
        json_decref(o->keys);
        (void)pthread_mutex_destroy(&o->lock);
        free(o->issuer);
        free(o->client_id);
        free(o);
        *oidc = NULL;
    }
}

const char *oidc_client_id(const struct oidc *o)
{
    return o->client_id;
}

const char *oidc_issuer(const struct oidc *o)
{
    return o->issuer;
}

/* ---- fetching ---- */

static size_t take(char *ptr, size_t size, size_t count, void *ctx)
{
    return fb_buf_add(ctx, ptr, size * count) == FB_OK ? size * count : 0;
}

struct order {
    const char *url;
    const char *form;          /* NULL: GET */
    const char *authorization; /* a header, or NULL */
};

static bool set_options(CURL *curl, const struct order *order, struct curl_slist *headers,
                        struct fb_buf *out)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_URL, order->url) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http") == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)MAX_DOCUMENT) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_SSLVERSION, LEAST_TLS) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEDATA, out) == CURLE_OK;
    return is_set && (order->form == NULL ||
                      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, order->form) == CURLE_OK);
}

/* value_r is the caller's; status_r of HTTP. */
static enum fb_status fetch(const struct order *order, long *status_r, json_t **value_r,
                            struct fb_error *err)
{
    struct fb_buf text;
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    CURL *curl = curl_easy_init();
    enum fb_status s = FB_OK;
    fb_buf_init(&text, MAX_DOCUMENT);
    if (order->authorization != NULL && headers != NULL) {
        headers = curl_slist_append(headers, order->authorization);
    }
    if (curl == NULL || headers == NULL || !set_options(curl, order, headers, &text)) {
        s = fb_error_set(err, FB_NO_SPACE, "no memory to ask the provider");
    } else {
        CURLcode rc = curl_easy_perform(curl);
        s = rc == CURLE_OK ? FB_OK
                           : fb_error_set(err, FB_NETWORK, "the OpenID Connect provider: %s",
                                          curl_easy_strerror(rc));
    }
    if (s == FB_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_r);
        *value_r = text.len > 0
                       ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
        if (!json_is_object(*value_r)) {
            json_decref(*value_r);
            *value_r = NULL;
            s = fb_error_set(err, FB_NETWORK,
                             "the OpenID Connect provider answered %ld without JSON", *status_r);
        }
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (text.ptr != NULL) {
        fb_wipe(text.ptr, text.len); /* tokens */
    }
    fb_buf_deinit(&text);
    return s;
}

/* An address of the document; NULL: it has none that is safe. */
static const char *address(const struct oidc *o, const char *key)
{
    const char *url = json_string_value(json_object_get(o->document, key));
    bool is_local = strncmp(o->issuer, "http://", 7) == 0;
    return url != NULL && strlen(url) < OIDC_URL / 2 && is_safe_url(url, is_local) ? url : NULL;
}

/* Under the lock. */
static enum fb_status need_document(struct oidc *o, struct fb_error *err)
{
    char url[OIDC_URL];
    long status = 0;
    json_t *value = NULL;
    size_t len = strlen(o->issuer);
    if (o->document != NULL && fb_mono_ms() - o->document_ms < KEEP_MS) {
        return FB_OK;
    }
    (void)snprintf(url, sizeof url, "%s%s.well-known/openid-configuration", o->issuer,
                   o->issuer[len - 1] == '/' ? "" : "/");
    enum fb_status s = fetch(&(const struct order){.url = url}, &status, &value, err);
    if (s == FB_OK && status != 200) {
        s = fb_error_set(err, FB_NETWORK, "%s answered %ld", url, status);
    }
    const char *issuer = json_string_value(json_object_get(value, "issuer"));
    if (s == FB_OK && (issuer == NULL || strcmp(issuer, o->issuer) != 0)) {
        s = fb_error_set(err, FB_CONFIG, "console.oidc_issuer: the provider calls itself \"%s\"",
                         issuer != NULL ? issuer : "");
    }
    if (s != FB_OK) {
        json_decref(value);
        return s;
    }
    json_decref(o->document);
    o->document = value;
    o->document_ms = fb_mono_ms();
    return FB_OK;
}

/* Under the lock.  is_again: the keys that are there do not do. */
static enum fb_status need_keys(struct oidc *o, bool is_again, struct fb_error *err)
{
    long status = 0;
    json_t *value = NULL;
    int64_t age_ms = fb_mono_ms() - o->keys_ms;
    if (o->keys != NULL && age_ms < (is_again ? AGAIN_MS : KEEP_MS)) {
        return FB_OK;
    }
    const char *url = address(o, "jwks_uri");
    if (url == NULL) {
        return fb_error_set(err, FB_CONFIG, "the provider's document has no safe jwks_uri");
    }
    enum fb_status s = fetch(&(const struct order){.url = url}, &status, &value, err);
    if (s == FB_OK && (status != 200 || !json_is_array(json_object_get(value, "keys")))) {
        s = fb_error_set(err, FB_NETWORK, "the provider's keys: it answered %ld", status);
    }
    if (s != FB_OK) {
        json_decref(value);
        return s;
    }
    json_decref(o->keys);
    o->keys = value;
    o->keys_ms = fb_mono_ms();
    return FB_OK;
}

enum fb_status oidc_authorization_url(struct oidc *o, char url_r[OIDC_URL], struct fb_error *err)
{
    (void)pthread_mutex_lock(&o->lock);
    enum fb_status s = need_document(o, err);
    const char *url = s == FB_OK ? address(o, "authorization_endpoint") : NULL;
    if (s == FB_OK && url == NULL) {
        s = fb_error_set(err, FB_CONFIG,
                         "the provider's document has no safe authorization_endpoint");
    }
    if (s == FB_OK) {
        (void)snprintf(url_r, OIDC_URL, "%s", url);
    }
    (void)pthread_mutex_unlock(&o->lock);
    return s;
}

/* ---- a code for a token ---- */

enum fb_status oidc_add_escaped(struct fb_buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    enum fb_status s = FB_OK;
    for (; *text != '\0' && s == FB_OK; text++) {
        s = strchr(plain, *text) != NULL ? fb_buf_add_char(out, *text)
                                         : fb_buf_printf(out, "%%%02X", (unsigned char)*text);
    }
    return s;
}

static enum fb_status add_field(struct fb_buf *out, const char *name, const char *value)
{
    enum fb_status s = fb_buf_printf(out, "%s%s=", out->len > 0 ? "&" : "", name);
    return s == FB_OK ? oidc_add_escaped(out, value) : s;
}

static enum fb_status make_form(const struct oidc *o, const struct oidc_answer *a,
                                struct fb_buf *out)
{
    const char *const fields[][2] = {{"grant_type", "authorization_code"},
                                     {"code", a->code},
                                     {"redirect_uri", a->redirect_uri},
                                     {"code_verifier", a->verifier},
                                     {"client_id", o->client_id}};
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && s == FB_OK; i++) {
        /* With a secret the header says who we are, once. */
        bool is_left_out = i == 4 && o->client_secret != NULL;
        s = is_left_out ? FB_OK : add_field(out, fields[i][0], fields[i][1]);
    }
    return s;
}

/* client_secret_basic (RFC 6749 2.3.1): both are encoded as in a form, then base64. */
static enum fb_status make_authorization(const struct oidc *o, struct fb_buf *out)
{
    struct fb_buf pair;
    fb_buf_init(&pair, MAX_FORM);
    enum fb_status s = oidc_add_escaped(&pair, o->client_id);
    if (s == FB_OK) {
        s = fb_buf_add_char(&pair, ':');
    }
    if (s == FB_OK) {
        s = oidc_add_escaped(&pair, o->client_secret);
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(out, "Authorization: Basic ");
    }
    if (s == FB_OK) {
        s = fb_base64_encode(fb_slice_buf(&pair), out);
    }
    if (pair.ptr != NULL) {
        fb_wipe(pair.ptr, pair.len);
    }
    fb_buf_deinit(&pair);
    return s;
}

static enum fb_status ask_token(const struct oidc *o, const struct oidc_answer *a, json_t **value_r,
                                struct fb_error *err)
{
    struct fb_buf form, authorization;
    long status = 0;
    const char *url = address(o, "token_endpoint");
    if (url == NULL) {
        return fb_error_set(err, FB_CONFIG, "the provider's document has no safe token_endpoint");
    }
    fb_buf_init(&form, MAX_FORM);
    fb_buf_init(&authorization, MAX_FORM);
    enum fb_status s = make_form(o, a, &form);
    if (s == FB_OK && o->client_secret != NULL) {
        s = make_authorization(o, &authorization);
    }
    if (s != FB_OK) {
        s = fb_error_set(err, FB_DENIED, "the provider's code is too long");
    } else {
        s = fetch(&(const struct order){.url = url,
                                        .form = fb_buf_str(&form),
                                        .authorization = o->client_secret != NULL
                                                             ? fb_buf_str(&authorization)
                                                             : NULL},
                  &status, value_r, err);
    }
    if (s == FB_OK && status != 200) {
        const char *why = json_string_value(json_object_get(*value_r, "error"));
        s = fb_error_set(err, FB_DENIED, "the provider refused the code (%ld, %.80s)", status,
                         why != NULL ? why : "no reason");
        json_decref(*value_r);
        *value_r = NULL;
    }
    if (authorization.ptr != NULL) {
        fb_wipe(authorization.ptr, authorization.len);
    }
    fb_buf_deinit(&form);
    fb_buf_deinit(&authorization);
    return s;
}

enum fb_status oidc_exchange(struct oidc *o, const struct oidc_answer *answer, json_t **claims_r,
                             struct fb_error *err)
{
    json_t *tokens = NULL;
    (void)pthread_mutex_lock(&o->lock);
    enum fb_status s = need_document(o, err);
    if (s == FB_OK) {
        s = ask_token(o, answer, &tokens, err);
    }
    const char *token = json_string_value(json_object_get(tokens, "id_token"));
    if (s == FB_OK && token == NULL) {
        s = fb_error_set(err, FB_DENIED, "the provider gave no ID token");
    }
    if (s == FB_OK) {
        s = need_keys(o, false, err);
    }
    if (s == FB_OK) {
        const struct jwt_expected x = {.issuer = o->issuer,
                                       .audience = o->client_id,
                                       .nonce = answer->nonce,
                                       .now_ms = fb_now_ms()};
        s = jwt_verify(token, o->keys, &x, claims_r, err);
        if (s == FB_NOT_FOUND) { /* the provider has new keys, perhaps */
            s = need_keys(o, true, err);
            if (s == FB_OK) {
                s = jwt_verify(token, o->keys, &x, claims_r, err);
            }
        }
        s = s == FB_NOT_FOUND ? FB_DENIED : s;
    }
    json_decref(tokens);
    (void)pthread_mutex_unlock(&o->lock);
    return s;
}
