/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /policy/dry-run: of the last mails, what would another policy have done with them. */
#include <stdlib.h>
#include <string.h>

#include "common/ledger/search.h"
#include "common/title.h"
#include "services/console/api.h"
#include "services/console/dry_run.h"

#define MOST_MAILS 1000
#define SHOWN      200 /* changed recipients that are named */
#define MAX_KINDS  200 /* of changes */

struct run {
    struct call *c;
    const struct fb_policy *policy;
    struct fb_policy *old; /* in force; may be NULL */
    json_t *items, *changes;
    json_int_t mails, recipients, same, changed, unknown;
};

static json_t *outcome_json(const struct dry_outcome *o)
{
    return json_pack("{s:s,s:o}", "action", dry_action_name(o->action), "rule",
                     o->rule[0] != '\0' ? fb_json_text(o->rule) : json_null());
}

/* Counts the same change once more. */
static void count_change(struct run *x, const json_t *before, const json_t *after)
{
    size_t i;
    json_t *one;
    json_array_foreach(x->changes, i, one)
    {
        if (json_equal(json_object_get(one, "before"), before) &&
            json_equal(json_object_get(one, "after"), after)) {
            json_int_t n = json_integer_value(json_object_get(one, "count"));
            (void)json_object_set_new(one, "count", json_integer(n + 1));
            return;
        }
    }
    if (json_array_size(x->changes) < MAX_KINDS) {
        (void)json_array_append_new(
            x->changes, json_pack("{s:O,s:O,s:i}", "before", before, "after", after, "count", 1));
    }
}

static void compare(struct run *x, const struct fb_ledger_message *m, size_t i, const char *subject)
{
    struct dry_outcome before = dry_run_before(m, i);
    struct dry_outcome after = dry_run_after(x->policy, x->old, m, subject, i);
    x->recipients++;
    if (after.action == DRY_UNKNOWN) {
        x->unknown++;
        return;
    }
    if (after.action == before.action && strcmp(after.rule, before.rule) == 0) {
        x->same++;
        return;
    }
    json_t *was = outcome_json(&before);
    json_t *is = outcome_json(&after);
    x->changed++;
    count_change(x, was, is);
    if (json_array_size(x->items) < SHOWN) {
        (void)json_array_append_new(
            x->items,
            json_pack("{s:s,s:o,s:o,s:o,s:o,s:O,s:O}", "message", m->msg_id, "accepted",
                      call_json_time(m->accepted_ms), "from", fb_json_text(m->from), "subject",
                      api_subject(x->c, m), "address", fb_json_text(m->recipients[i].address),
                      "before", was, "after", is));
    }
    json_decref(was);
    json_decref(is);
}

static void take_mail(void *ctx, const struct fb_ledger_message *m)
{
    struct run *x = ctx;
    struct fb_title title;
    const char *key = x->c->console->config->rewrite.key;
    bool has_title =
        m->title != NULL && key != NULL && fb_title_open(key, m->msg_id, m->title, &title) == FB_OK;
    if (m->branch_count == 0) {
        return; /* nothing is decided yet */
    }
    x->mails++;
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].address[0] != '\0') {
            compare(x, m, i, has_title ? title.subject : NULL);
        }
    }
    if (has_title) {
        fb_wipe(&title, sizeof title);
    }
}

static enum fb_status look_through(struct run *x, size_t most, struct fb_error *err)
{
    struct fb_search q = {.until_ms = INT64_MAX / 4};
    struct fb_search_end end = {.next = ""};
    enum fb_status s = FB_OK;
    size_t left = most;
    do {
        q.limit = left < FB_SEARCH_PAGE ? left : FB_SEARCH_PAGE;
        s = fb_ledger_search(x->c->redis, &q, take_mail, x, &end, err);
        left -= q.limit;
    } while (s == FB_OK && left > 0 && end.next[0] != '\0' && fb_search_cursor(end.next, &q));
    return s;
}

/* False: answered. */
static bool take_limit(struct call *c, size_t *limit_r)
{
    const json_t *value = json_object_get(c->body, "limit");
    json_int_t n = value != NULL ? json_integer_value(value) : MOST_MAILS;
    if (n < 1 || n > MOST_MAILS) {
        answer_invalid(c, "limit", "limit は 1 から 1000 までの数です。",
                       "limit is a number from 1 to 1000.");
        return false;
    }
    *limit_r = (size_t)n;
    return true;
}

void api_policy_dry_run(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    size_t most = 0;
    const char *document = api_policy_document(c);
    if (document == NULL || !take_limit(c, &most)) {
        return;
    }
    if (fb_policy_parse(fb_slice_str(document), &policy, &findings) != FB_OK) {
        api_policy_findings(c, &findings);
        fb_policy_findings_deinit(&findings);
        return;
    }
    struct run x = {.c = c,
                    .policy = policy,
                    .old = fb_policy_follow_get(c->console->follow),
                    .items = json_array(),
                    .changes = json_array()};
    if (look_through(&x, most, &err) == FB_OK) {
        answer_json(c, 200,
                    json_pack("{s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "messages", x.mails, "recipients",
                              x.recipients, "same", x.same, "changed", x.changed, "unknown",
                              x.unknown, "changes", x.changes, "items", x.items));
    } else {
        answer_error(c, &err);
    }
    json_decref(x.items);
    json_decref(x.changes);
    fb_policy_unref(&x.old);
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&findings);
}
