/* SPDX-License-Identifier: Apache-2.0
 *
 * Images by URL, for minutes, in bounded memory: a thousand mails with one logo fetch it once.  Who asks for what is
 * on its way waits for it.  What could not be fetched is remembered for a shorter time, so that a dead server costs its
 * time limit once. */
#ifndef FB_FETCH_SHELF_H
#define FB_FETCH_SHELF_H

#include "services/fetch/download.h"

#define FETCH_SHELF_BYTES   (64U << 20)
#define FETCH_SHELF_ENTRIES 2048
#define FETCH_FAILED_MS     60000

struct fetch_shelf;

/* get makes an image for a URL; called in the thread that asks first. */
struct fetch_shelf *
fetch_shelf_new(int64_t keep_ms,
                void (*get)(void *ctx, const char *url, struct fetch_image *image_r), void *ctx);
void fetch_shelf_free(struct fetch_shelf **shelf);

/* One image, counted: give it back with fetch_shelf_release. */
struct fetch_shelved;
/* Waits until it is there, for as long as get takes.  *is_kept_r: it was there already. */
struct fetch_shelved *fetch_shelf_ask(struct fetch_shelf *s, const char *url, bool *is_kept_r);
const struct fetch_image *fetch_shelved_get(const struct fetch_shelved *image); /* lent */
void fetch_shelf_release(struct fetch_shelf *s, struct fetch_shelved **image);
/* Bytes of images that are kept. */
size_t fetch_shelf_bytes(struct fetch_shelf *s);

#endif
