/* SPDX-License-Identifier: Apache-2.0
 *
 * The only place where a sender's page changes anything: the form of the confirmation asks for a recall, with the id
 * that it carries, so that a double click, a reload or a lost answer asks once. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/portal/sender.h"

static void see_page(struct visit *v, const struct fb_recall_request *q)
{
    const char *query = page_query(v);
    fb_http_answer_header(v->answer, "Location", "/s/%s%s%sdone=%s%s", v->link, query,
                          query[0] != '\0' ? "&" : "?", q->id, q->is_unsure ? "&unsure=1" : "");
    v->answer->status = 303;
}

/* What the confirmation refused is refused here as well: a form can be changed by hand. */
static bool is_allowed(struct visit *v, const struct sender_view *view, const struct form *form)
{
    if (!fb_id_is_valid(form->id)) {
        page_error(v, PAGE_BAD_FORM);
        return false;
    }
    if (!form->is_all && form->count == 0) {
        page_error(v, PAGE_NOBODY);
        return false;
    }
    for (size_t i = 0; i < form->count && !form->is_all; i++) {
        if (!sender_is_known(view, form->recipients[i])) {
            page_error(v, PAGE_BAD_FORM);
            return false;
        }
        if (sender_is_shared(view, form->recipients[i])) {
            page_error(v, PAGE_ONLY_WHOLE);
            return false;
        }
    }
    return true;
}

static void count(const char *outcome)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    fb_metric_add("fumibako_portal_recalls_total", labels, 1);
}

static void answer(struct visit *v, const struct form *form, const struct fb_recall_request *q,
                   enum fb_status s, const struct fb_error *err)
{
    fb_log_context(v->msg_id, NULL, "portal", NULL, 0);
    if ((s == FB_OK || s == FB_EXISTS) && q->is_unsure) {
        fb_log(
            FB_WARN,
            "no replica of Redis has confirmed recall %s: a fail-over now may forget it, and its "
            "sender is told to look again",
            form->id);
    }
    if (s == FB_OK) {
        count("asked");
        if (form->is_all) {
            fb_log(FB_INFO, "the sender's page asked for recall %s of all recipients", form->id);
        } else {
            fb_log(FB_INFO, "the sender's page asked for recall %s of %zu recipient(s)", form->id,
                   form->count);
        }
        see_page(v, q);
    } else if (s == FB_EXISTS) {
        count("repeated");
        see_page(v, q);
    } else {
        count("failed");
        fb_log(FB_WARN,
               s == FB_NETWORK ? "recall %s may have been taken: %s"
                               : "recall %s was not taken: %s",
               form->id, err->text);
        switch (s) {
        case FB_NETWORK: /* perhaps only the answer was lost: nobody may rely on either */
            page_error(v, PAGE_UNSURE);
            break;
        case FB_NOT_FOUND:
            page_error(v, PAGE_NO_RECORD);
            break;
        case FB_TOO_BIG:
            page_error(v, PAGE_MANY_RECALLS);
            break;
        case FB_INVALID:
            page_error(v, PAGE_BAD_FORM);
            break;
        default:
            page_unavailable(v, err);
            break;
        }
    }
    fb_log_context_clear();
}

/* Who has the link acts for the sender: it was sent to no one else. */
static const char *actor_of(const struct sender_view *view)
{
    const char *from = view->m.from != NULL ? view->m.from : "";
    bool fits = from[0] != '\0' && strlen(from) < sizeof view->recalls->actor && form_is_utf8(from);
    return fits ? from : "sender";
}

void recall_act(struct visit *v, const struct form *form)
{
    struct fb_error err = {0};
    struct sender_view view;
    struct fb_recall_request q = {.source = "portal"};
    struct fb_redis *r = fb_redis_pool_take(v->portal->pool);
    enum fb_status s = sender_load(v, r, &view, &err);
    if (s == FB_NOT_FOUND) {
        count("failed");
        page_error(v, PAGE_NO_RECORD);
    } else if (s != FB_OK) {
        count("failed");
        page_unavailable(v, &err);
    } else if (is_allowed(v, &view, form)) {
        q.recipients = form->recipients;
        q.count = form->is_all ? 0 : form->count;
        q.actor = actor_of(&view);
        q.reason = form->reason;
        memcpy(q.id, form->id, sizeof q.id);
        s = fb_ledger_recall(r, v->msg_id, &q, NULL, &err);
        answer(v, form, &q, s, &err);
    }
    fb_redis_pool_give(v->portal->pool, r);
    sender_deinit(&view);
}
