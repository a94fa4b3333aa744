/* SPDX-License-Identifier: Apache-2.0
 *
 * What a form sends (application/x-www-form-urlencoded, WHATWG URL 5.1), and the token that proves that it is ours.
 *
 * A token is bound to the link, to the browser by its cookie, to the step, and to the recall that it begins; it ends by
 * itself.  It needs no memory: any portal with the same rewrite.key checks it.
 *
 *   base64url( end in ms, 8 bytes | HMAC-SHA256 of step, link, cookie, recall id, end )
 */
#ifndef FB_PORTAL_FORM_H
#define FB_PORTAL_FORM_H

#include "common/buf.h"
#include "common/crypto.h"
#include "common/id.h"
#include "common/ledger/recall.h"

#define FORM_MAX_RECIPIENTS 200 /* what one page shows */
#define FORM_MAX_BODY       16384
#define FORM_TOKEN_SIZE     55 /* 40 bytes in base64url, and a NUL */
#define FORM_COOKIE_SIZE    23 /* 16 bytes in base64url, and a NUL */
#define FORM_TOKEN_MS       3600000

struct form {
    char token[FORM_TOKEN_SIZE];
    char id[FB_ID_SIZE]; /* of the recall; "" in the first step */
    bool is_all;
    uint32_t recipients[FORM_MAX_RECIPIENTS]; /* each once */
    size_t count;
    char reason[FB_MAX_RECALL_REASON + 1]; /* UTF-8, one line */
};

/* FB_INVALID: not such a form.  FB_TOO_BIG: the reason is too long (the only thing that a reader can mend). */
FB_MUST_USE enum fb_status form_parse(struct fb_slice body, struct form *form_r);

/* One field of any form, decoded.  FB_NOT_FOUND; FB_INVALID: given twice, or what no browser sends; FB_TOO_BIG: it
 * does not fit.  out_r is "" then. */
FB_MUST_USE enum fb_status form_field(struct fb_slice body, const char *name, char *out_r,
                                      size_t size);

bool form_is_utf8(const char *text);

/* A fresh cookie. */
void form_cookie_new(char cookie_r[FORM_COOKIE_SIZE]);
bool form_cookie_is_valid(const char *cookie);

/* step: "confirm" or "recall"; id: "" or the recall's. */
struct form_binding {
    const uint8_t *key; /* FB_KEY_SIZE bytes */
    const char *step, *link, *cookie, *id;
};
void form_token_make(const struct form_binding *b, int64_t ends_ms, char token_r[FORM_TOKEN_SIZE]);
/* The comparison takes the same time for every token. */
bool form_token_is_good(const struct form_binding *b, const char *token, int64_t now_ms);

#endif
