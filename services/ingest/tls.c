/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"

#define DAY_S     86400
#define WARN_DAYS 14

struct tls {
    const char *cert_file, *key_file;
    SSL_CTX *context;
    struct timespec cert_time, key_time;
    time_t warn_next;
};

static enum fb_status tls_error(struct fb_error *err, const char *key, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return fb_error_set(err, FB_CONFIG, "%s: %s: %s", key, file,
                        reason != NULL ? reason : "cannot be used");
}

static enum fb_status file_time(const char *file, const char *key, struct timespec *time_r,
                                struct fb_error *err)
{
    struct stat st;
    if (stat(file, &st) != 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "%s: %s", key, file);
    }
    *time_r = st.st_mtim;
    return FB_OK;
}

static void time_text(const ASN1_TIME *at, char *out, size_t size)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(at, &tm) != 1 || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        (void)snprintf(out, size, "an unknown time");
    }
}

/* No peer that verifies would talk to us: better not to start than to have mail queue up there. */
static enum fb_status check_time(const struct tls *t, SSL_CTX *c, struct fb_error *err)
{
    const X509 *cert = SSL_CTX_get0_certificate(c);
    char text[64];
    if (cert == NULL) {
        return tls_error(err, "ingest.tls_cert_file", t->cert_file);
    }
    const ASN1_TIME *from = X509_get0_notBefore(cert), *until = X509_get0_notAfter(cert);
    if (X509_cmp_current_time(until) <= 0) {
        time_text(until, text, sizeof text);
        return fb_error_set(err, FB_CONFIG,
                            "ingest.tls_cert_file: %s: the certificate expired at %s; renew it",
                            t->cert_file, text);
    }
    if (X509_cmp_current_time(from) > 0) {
        time_text(from, text, sizeof text);
        return fb_error_set(
            err, FB_CONFIG,
            "ingest.tls_cert_file: %s: the certificate is not valid before %s; is the clock right?",
            t->cert_file, text);
    }
    return FB_OK;
}

/* A line a day in the certificate's last days. */
static void warn_of_end(struct tls *t)
{
    time_t now = time(NULL), soon = now + WARN_DAYS * DAY_S;
    const X509 *cert = SSL_CTX_get0_certificate(t->context);
    if (cert == NULL || now < t->warn_next || X509_cmp_time(X509_get0_notAfter(cert), &soon) > 0) {
        return;
    }
    char text[64];
    time_text(X509_get0_notAfter(cert), text, sizeof text);
    fb_log(FB_WARN, "ingest.tls_cert_file: %s: the certificate expires at %s; renew it",
           t->cert_file, text);
    t->warn_next = now + DAY_S;
}

static enum fb_status load(struct tls *t, struct fb_error *err)
{
    enum fb_status s = file_time(t->cert_file, "ingest.tls_cert_file", &t->cert_time, err);
    if (s == FB_OK) {
        s = file_time(t->key_file, "ingest.tls_key_file", &t->key_time, err);
    }
    if (s != FB_OK) {
        return s;
    }
    s = fb_check_secret(t->key_file, err);
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "ingest.tls_key_file");
        err->status = FB_CONFIG;
        return FB_CONFIG;
    }
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    if (c == NULL || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1) {
        s = tls_error(err, "ingest", "TLS");
    } else if (SSL_CTX_use_certificate_chain_file(c, t->cert_file) != 1) {
        s = tls_error(err, "ingest.tls_cert_file", t->cert_file);
    } else if (SSL_CTX_use_PrivateKey_file(c, t->key_file, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(c) != 1) {
        s = tls_error(err, "ingest.tls_key_file", t->key_file);
    } else {
        s = check_time(t, c, err);
    }
    if (s != FB_OK) {
        SSL_CTX_free(c);
        return s;
    }
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_free(t->context);
    t->context = c;
    return FB_OK;
}

enum fb_status tls_new(const struct fb_config *config, struct tls **tls_r, struct fb_error *err)
{
    const char *cert = config->ingest.tls_cert_file, *key = config->ingest.tls_key_file;
    bool has_cert = cert != NULL && cert[0] != '\0', has_key = key != NULL && key[0] != '\0';
    *tls_r = NULL;
    if (!has_cert && !has_key) {
        return FB_OK;
    }
    if (!has_cert || !has_key) {
        return fb_error_set(err, FB_CONFIG,
                            "ingest.tls_cert_file and ingest.tls_key_file belong together");
    }
    struct tls *t = fb_xcalloc(1, sizeof *t);
    t->cert_file = cert;
    t->key_file = key;
    enum fb_status s = load(t, err);
    if (s != FB_OK) {
        tls_free(&t);
        return s;
    }
    *tls_r = t;
    return FB_OK;
}

void tls_free(struct tls **tls)
{
    if (*tls != NULL) {
        SSL_CTX_free((*tls)->context);
        free(*tls);
        *tls = NULL;
    }
}

SSL_CTX *tls_context(const struct tls *tls)
{
    return tls->context;
}

static bool is_same(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void tls_refresh(struct tls *t)
{
    struct timespec cert = {0}, key = {0};
    struct fb_error err = {0};
    enum fb_status s = file_time(t->cert_file, "ingest.tls_cert_file", &cert, &err);
    if (s == FB_OK) {
        s = file_time(t->key_file, "ingest.tls_key_file", &key, &err);
    }
    if (s == FB_OK && is_same(cert, t->cert_time) && is_same(key, t->key_time)) {
        warn_of_end(t);
        return;
    }
    s = s == FB_OK ? load(t, &err) : s;
    if (s == FB_OK) {
        fb_log(FB_INFO, "the TLS certificate was loaded again");
    } else {
        fb_log(FB_WARN, "the TLS certificate changed and cannot be used, the old one stays: %s",
               err.text);
    }
}
