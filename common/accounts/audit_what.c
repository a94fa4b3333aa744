/* SPDX-License-Identifier: Apache-2.0 */
#include "common/accounts/audit_what.h"

#include <stdio.h>

#include "common/json_words.h"

void fb_audit_what_deinit(struct fb_audit_what *w)
{
    json_decref(w->before);
    json_decref(w->after);
    w->before = w->after = NULL;
}

void fb_audit_of_policy(const char *version, struct fb_slice document, const char *comment,
                        struct fb_audit_what *w_r)
{
    char now[65];
    fb_policy_version_name(document, now);
    *w_r = (struct fb_audit_what){.object = "policy"};
    w_r->before = json_pack("{s:s}", "version", version);
    w_r->after = json_pack("{s:s,s:o}", "version", now, "comment",
                           fb_json_text(comment != NULL ? comment : ""));
}

void fb_audit_of_recall(const struct fb_ledger_message *m, const char *recall_id,
                        const uint32_t *recipients, size_t count, bool takes_content,
                        const char *reason, struct fb_audit_what *w_r)
{
    json_t *addresses = count > 0 ? json_array() : json_null();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(addresses, fb_json_text(m->recipients[recipients[i]].address));
    }
    *w_r = (struct fb_audit_what){.before = NULL};
    (void)snprintf(w_r->object, sizeof w_r->object, "message %s", m->msg_id);
    w_r->after =
        json_pack("{s:s,s:o,s:b,s:o}", "recall", recall_id, "recipients", addresses, "content",
                  takes_content, "reason", fb_json_text(reason != NULL ? reason : ""));
}

void fb_audit_of_restore(const struct fb_ledger_message *m, const bool *wanted,
                         struct fb_audit_what *w_r)
{
    json_t *addresses = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (wanted[i]) {
            (void)json_array_append_new(addresses, fb_json_text(m->recipients[i].address));
        }
    }
    *w_r = (struct fb_audit_what){.before = NULL};
    (void)snprintf(w_r->object, sizeof w_r->object, "message %s", m->msg_id);
    w_r->after = json_pack("{s:o}", "recipients", addresses);
}

void fb_audit_of_held(const struct fb_dead *d, const char *action, const char *reason,
                      const char *untold, struct fb_audit_what *w_r)
{
    *w_r = (struct fb_audit_what){.before = NULL};
    (void)snprintf(w_r->object, sizeof w_r->object, "held %s", d->id);
    w_r->before = json_pack("{s:s,s:s,s:I,s:s,s:o}", "message", d->job.msg_id, "stage",
                            fb_stage_name(d->job.stage), "branch", (json_int_t)d->job.branch,
                            "status", d->status, "reason", fb_json_text(d->reason));
    w_r->after = json_pack("{s:s,s:o}", "action", action, "reason",
                           reason != NULL ? fb_json_text(reason) : json_null());
    if (untold != NULL) {
        (void)json_object_set_new(w_r->after, "untold", fb_json_text(untold));
    }
}

json_t *fb_account_json(const struct fb_account *a, json_t *(*time)(int64_t ms))
{
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:I,s:I,s:I,s:o,s:o}", "name", a->name, "role",
                     fb_role_name(a->role), "state", a->is_off ? "off" : "active", "kind",
                     a->oidc[0] != '\0' ? "oidc" : "local", "totp", a->totp[0] != '\0',
                     "must_change", a->must_change, "passkeys", (json_int_t)a->passkey_count,
                     "tokens", (json_int_t)a->token_count, "recovery_left",
                     (json_int_t)a->recovery_count, "since", time(a->since_ms), "changed",
                     time(a->changed_ms));
}
