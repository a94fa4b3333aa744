/* SPDX-License-Identifier: Apache-2.0
 *
 * What the texts of notices and letters have in common: a template of the policy, or else ours, for
 * each language, with placeholders filled in; our own HTML in one frame under the organisation's
 * letterhead.  Values come from mail: they are escaped in HTML, and no character of theirs can
 * change lines or direction. */
#ifndef FB_REWRITE_WORDS_H
#define FB_REWRITE_WORDS_H

#include "common/policy/policy.h"
#include "proto/plan.h"

enum notice_form { NOTICE_TEXT, NOTICE_HTML };

struct words {
    const struct fb_policy_notices *notices;
    bool has_logo; /* the mail carries it (logo.h) */
    enum notice_form form;
    bool is_ja; /* language of what is being written */
    struct fb_buf *out;
    const char *(*standard)(const char *key); /* our own text; NULL for an unknown key */
    /* Adds the value of a placeholder that is none of those of all texts (organisation, logo). */
    enum fb_status (*placeholder)(struct words *w, const char *name, size_t len);
    const void *facts; /* of placeholder */
};

/* Texts of ours; NULL for a key that is none of them. */
struct words_text {
    const char *key, *text;
};
const char *words_standard(const struct words_text *list, size_t count, const char *key);
/* By the policy's notices.language, else by the mail's ("ja", "en", "both"): Japanese, English. */
void words_pick(const struct fb_policy_notices *notices, const char *language, bool has_r[2]);
/* The whole text of a kind ("notice", ...) in those languages, Japanese first. */
FB_MUST_USE enum fb_status words_write(struct words *w, const char *kind, const bool has[2]);
/* The text of a kind in w's language and form, without a frame. */
FB_MUST_USE enum fb_status words_write_block(struct words *w, const char *kind);

/* ---- values ---- */

FB_MUST_USE enum fb_status words_escape(struct words *w, const char *text);
/* One of two texts of ours, as it stands. */
FB_MUST_USE enum fb_status words_say(struct words *w, const char *ja, const char *en);
FB_MUST_USE enum fb_status words_number(struct words *w, uint64_t n);
/* none: for a time of 0. */
FB_MUST_USE enum fb_status words_time(struct words *w, int64_t ms, const char *none);
/* Names and sizes, one a line; their sum. */
FB_MUST_USE enum fb_status words_files(struct words *w, const struct fb_parcel_file *files,
                                       uint32_t count);
FB_MUST_USE enum fb_status words_size(struct words *w, const struct fb_parcel_file *files,
                                      uint32_t count);
/* Whether a placeholder's name is this one. */
bool words_is(const char *name, size_t len, const char *what);

#endif
