/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids.  A message id is a ULID (26 characters of Crockford base32: 48 bits of milliseconds, 80
 * random bits); a parcel id is "<message id>-<branch>", so that a retry finds the same names again.
 */
#ifndef FB_COMMON_ID_H
#define FB_COMMON_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

#define FB_ID_SIZE        27 /* a ULID and its NUL */
#define FB_PARCEL_ID_SIZE 33 /* ULID, '-', up to 4 digits, NUL */
#define FB_MAX_BRANCHES   1001

/* Increases within a process even within one millisecond; aborts when the random source fails. */
void fb_id_new(char id[FB_ID_SIZE]);
bool fb_id_is_valid(const char *id);
/* A valid id as the 128 bits that it stands for, which sort as the text does, and back. */
#define FB_ID_BYTES 16
void fb_id_pack(const char *id, uint8_t out_r[FB_ID_BYTES]);
void fb_id_unpack(const uint8_t in[FB_ID_BYTES], char id_r[FB_ID_SIZE]);
/* Milliseconds since 1970 that the id was made at; 0 for an invalid id. */
int64_t fb_id_time_ms(const char *id);

void fb_parcel_id_make(const char *msg_id, uint32_t branch, char parcel_id[FB_PARCEL_ID_SIZE]);
bool fb_parcel_id_split(const char *parcel_id, char msg_id[FB_ID_SIZE], uint32_t *branch_r);

/* W3C traceparent "00-<32 hex>-<16 hex>-01" with fresh random ids. */
#define FB_TRACE_SIZE 56
void fb_trace_new(char trace[FB_TRACE_SIZE]);
bool fb_trace_is_valid(const char *trace);

/* Cryptographic random bytes; aborts when the source fails. */
void fb_random(void *out, size_t len);
/* Letters of base64url that nobody can guess: 32 random bytes in FB_RANDOM_TEXT - 1 of them. */
#define FB_RANDOM_TEXT 44
void fb_random_text(char out_r[FB_RANDOM_TEXT]);
/* Whether it could be one. */
bool fb_random_text_is_valid(const char *text);
/* Uniform in [0, below). */
uint64_t fb_random_below(uint64_t below);

#endif
