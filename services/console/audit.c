/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the audit (common/accounts/audit.h): who asks, and from where. */
#include "common/accounts/audit.h"
#include "common/log.h"
#include "services/console/call.h"

static const char *by_name(enum console_by by)
{
    return by == CONSOLE_BY_TOKEN ? "token" : by == CONSOLE_BY_SESSION ? "session" : "";
}

enum fb_status console_audit(struct call *call, const char *action, const char *object,
                             json_t *before, json_t *after, struct fb_error *err)
{
    char address[46];
    json_t *shown = fb_json_text(object);
    fb_net_address_text(&call->client, address, sizeof address);
    const struct fb_audit_line line = {.user = call->who.user,
                                       .role = fb_role_name(call->who.role),
                                       .by = by_name(call->who.by),
                                       .address = address,
                                       .action = action,
                                       .object = json_string_value(shown),
                                       .before = before,
                                       .after = after};
    enum fb_status s =
        fb_audit_write(call->redis, &line, call->console->config->retention.ledger_ms, err);
    json_decref(shown);
    if (s == FB_OK) { /* a second place, out of reach for whoever reaches Redis */
        fb_log_fields(FB_INFO, "console: audit", "action", action, "role", line.role, NULL);
    }
    return s;
}
