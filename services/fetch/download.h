/* SPDX-License-Identifier: Apache-2.0
 *
 * One image from the web: one transfer with nothing of ours in it (no cookie, no name, no referrer, no proxy), which
 * connects to public addresses only and ends early.  The URL and every byte of the answer are somebody else's. */
#ifndef FB_FETCH_DOWNLOAD_H
#define FB_FETCH_DOWNLOAD_H

#include "common/buf.h"
#include "common/netlist.h"

#define FETCH_MAX_URL   2048
#define FETCH_MAX_BYTES (5U << 20)
#define FETCH_TIME_MS   5000 /* looking up, connecting and redirects included */

enum fetch_outcome {
    FETCH_OK,
    FETCH_REFUSED, /* URL, port or address is none that is fetched from */
    FETCH_MISSING, /* an answer that is not 200, or too many redirects */
    FETCH_TYPE,    /* no PNG, JPEG, GIF or WebP */
    FETCH_TOO_BIG,
    FETCH_TIMEOUT,
    FETCH_FAILED, /* the network, TLS, or not HTTP */
    FETCH_OUTCOMES
};
/* "ok", "refused", ...: the metric's label. */
const char *fetch_outcome_name(enum fetch_outcome outcome);

/* Networks besides the public ones, and public ones that are not fetched from. */
struct fetch_rules {
    struct fb_netlist *allow, *deny;
};

struct fetch_image {
    enum fetch_outcome outcome;
    const char *type;    /* static; NULL unless FETCH_OK */
    struct fb_buf bytes; /* empty unless FETCH_OK */
};

/* Whether it is http or https with a host, and without a user; writes the host for the log. */
bool fetch_url_is_sane(const char *url, char *host_r, size_t host_size);
/* Blocks for FETCH_TIME_MS at most.  The caller frees image_r->bytes. */
void fetch_download(const struct fetch_rules *rules, const char *url, struct fetch_image *image_r);

#endif
