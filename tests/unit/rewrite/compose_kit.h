/* SPDX-License-Identifier: Apache-2.0
 *
 * A spooled message with plan, parcel and policy, as the composing functions want them. */
#ifndef FB_TESTS_UNIT_REWRITE_COMPOSE_KIT_H
#define FB_TESTS_UNIT_REWRITE_COMPOSE_KIT_H

#include "services/rewrite/compose.h"
#include "tests/unit/spool/fixture.h"

#define KIT_KEY  "0123456789abcdef0123456789abcdef"
#define KIT_LINK "https://box.example/s/abc?x=1&y=2"

struct kit {
    struct fx *fx;
    struct fb_spool_writer *writer;
    struct fb_spool_msg *msg;
    struct fb_policy *policy;
    struct fb_envelope envelope; /* strings are literals: never deinit */
    struct fb_recipient recipients[4];
    struct fb_plan plan;
    struct fb_part parts[4];
    uint32_t branch_parts[4];
    struct fb_branch branch;
    struct fb_parcel parcel;
    struct fb_parcel_file files[60];
    const char *readers[4];
    struct notice_facts facts;
};

/* cmocka set-up and tear-down; *state is a struct kit.  The facts: an English mail to b@y and c@y,
 * body secured, one file. */
int kit_setup(void **state);
int kit_teardown(void **state);
/* Plan and parcel own their strings; here they lend literals, and nobody frees or writes them. */
char *kit_lend(const char *literal);
/* notices: the YAML of `notices:` in flow style, "{language: auto}". */
void kit_policy(struct kit *k, const char *notices);
/* Spools a message with this content. */
void kit_message(struct kit *k, const char *content);
void kit_object(struct kit *k, const char *name, struct fb_slice bytes);
/* All bytes of a content, a NUL behind them; the caller frees. */
struct fb_buf kit_read(struct content *c);
/* The body of the first part of that type, decoded; fails the test when there is none. */
struct fb_buf kit_part(const struct fb_buf *mail, const char *type);
/* Every line of the mail ends with CRLF and has at most 998 characters, the header's at most 78
 * unless without a blank. */
void kit_check_lines(const struct fb_buf *mail);

#endif
