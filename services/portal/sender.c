/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/sender.h"

#include <stdlib.h>
#include <string.h>

enum fb_status sender_load(struct visit *v, struct fb_redis *r, struct sender_view *view,
                           struct fb_error *err)
{
    const struct fb_config *config = v->portal->config;
    memset(view, 0, sizeof *view);
    enum fb_status s = fb_ledger_get(r, v->msg_id, &view->m, err);
    if (s == FB_OK) {
        s = fb_ledger_evidence(r, &view->m, config->revoke.settle_ms, &view->evidence, err);
    }
    if (s == FB_OK) {
        s = fb_ledger_recalls(r, v->msg_id, &view->recalls, &view->recall_count, err);
    }
    if (s == FB_OK && view->m.title != NULL &&
        fb_title_open(config->rewrite.key, v->msg_id, view->m.title, &view->title) != FB_OK) {
        memset(&view->title, 0, sizeof view->title); /* sealed with an earlier key: shown without */
    }
    return s;
}

void sender_deinit(struct sender_view *view)
{
    fb_recalls_free(view->recalls, view->recall_count);
    free(view->evidence);
    fb_ledger_message_deinit(&view->m);
    memset(view, 0, sizeof *view);
}

const char *sender_title(const struct sender_view *view, bool is_ja)
{
    return view->title.subject[0] != '\0' ? view->title.subject
           : is_ja                        ? "(件名なし)"
                                          : "(no subject)";
}

bool sender_is_known(const struct sender_view *view, size_t recipient)
{
    return recipient < view->m.recipient_count && view->m.recipients[recipient].address[0] != '\0';
}

bool sender_can_recall(const struct sender_view *view, size_t recipient)
{
    switch (view->evidence[recipient].kind) {
    case FB_EV_WAITING:
    case FB_EV_OPEN:
    case FB_EV_FAILED: /* asked for once more */
        return sender_is_known(view, recipient);
    case FB_EV_MAYBE_OUT: /* a further try to send it can be stopped */
        return sender_is_known(view, recipient) && !view->m.recipients[recipient].is_recalled;
    default:
        return false;
    }
}

size_t sender_count(const struct sender_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->m.recipient_count; i++) {
        count += sender_is_known(view, i) ? 1 : 0;
    }
    return count;
}

bool sender_can_choose(const struct sender_view *view, size_t recipient)
{
    return view->m.recipient_count > 1 && sender_can_recall(view, recipient) &&
           !sender_is_shared(view, recipient);
}

bool sender_is_shared(const struct sender_view *view, size_t recipient)
{
    uint32_t b = view->m.recipients[recipient].branch;
    return b < view->m.branch_count && fb_ledger_is_by_link(&view->m.branches[b]);
}
