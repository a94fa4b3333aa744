/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to Redis.  hiredis has it since 1.0, in a library of its own (hiredis_ssl): Debian 13 ships
 * it, Debian 12 does not.  The build defines FB_HAVE_HIREDIS_SSL where it was found; without it
 * rediss:// is refused with a text that says what to do.
 */
#include "common/redis_url.h"

#ifdef FB_HAVE_HIREDIS_SSL

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <pthread.h>

static pthread_once_t tls_once = PTHREAD_ONCE_INIT;
static SSL_CTX *tls_ctx; /* lives as long as the process */

static void make_tls_ctx(void)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    if (made == NULL) {
        return;
    }
    if (SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(made) != 1) {
        SSL_CTX_free(made);
        return;
    }
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER, NULL);
    tls_ctx = made;
}

enum fb_status fb_redis_tls_check(struct fb_error *err)
{
    (void)pthread_once(&tls_once, make_tls_ctx);
    return tls_ctx != NULL ? FB_OK
                           : fb_error_set(err, FB_CONFIG, "redis.url: OpenSSL cannot prepare TLS");
}

static bool set_peer(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum fb_status fb_redis_tls_start(struct redisContext *ctx, const char *host, struct fb_error *err)
{
    enum fb_status s = fb_redis_tls_check(err);
    if (s != FB_OK) {
        return s;
    }
    SSL *ssl = SSL_new(tls_ctx);
    if (ssl == NULL || !set_peer(ssl, host)) {
        SSL_free(ssl);
        return fb_error_set(err, FB_CONFIG, "redis: TLS cannot be set up for this host name");
    }
    if (redisInitiateSSL(ctx, ssl) != REDIS_OK) { /* takes ssl on success only */
        SSL_free(ssl);
        return fb_error_set(err, FB_NETWORK, "redis: TLS handshake: %s", ctx->errstr);
    }
    return FB_OK;
}

#else

enum fb_status fb_redis_tls_check(struct fb_error *err)
{
    return fb_error_set(
        err, FB_CONFIG,
        "redis.url: rediss:// needs hiredis 1.0 with TLS (hiredis_ssl), this build has none; use "
        "redis:// through a TLS tunnel (stunnel) or build on Debian 13");
}

enum fb_status fb_redis_tls_start(struct redisContext *ctx, const char *host, struct fb_error *err)
{
    (void)ctx;
    (void)host;
    return fb_redis_tls_check(err);
}

#endif
