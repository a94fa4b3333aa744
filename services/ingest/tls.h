/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificate of STARTTLS: loaded, checked, and loaded again when its file changes
 * (certificates are renewed under running services). */
#ifndef FB_INGEST_TLS_H
#define FB_INGEST_TLS_H

#include <openssl/ssl.h>

#include "common/config.h"

struct tls;

/* *tls_r is NULL when no certificate is configured.  FB_CONFIG with file and reason. TLS 1.2 at
 * least (RFC 8996). */
FB_MUST_USE enum fb_status tls_new(const struct fb_config *config, struct tls **tls_r,
                                   struct fb_error *err);
void tls_free(struct tls **tls);
/* Lent until tls_refresh; SSL objects made of it keep it alive. */
SSL_CTX *tls_context(const struct tls *tls);
/* Looks at the files; loads them when they changed, keeps what it has when they are broken (and
 * says so). */
void tls_refresh(struct tls *tls);

#endif
