/* SPDX-License-Identifier: Apache-2.0
 *
 * What the API knows, and who may call it.  tests/integration/console compares it with the OpenAPI document. */
#include "services/console/api.h"

#define V1 "/api/v1"

/* Rows: method, path, who, permission, handler, whether the body is not JSON. */
const struct console_route api_routes[] = {
    {"GET", V1 "/openapi.json", ROUTE_OPEN, 0, api_document, false},

    {"GET", V1 "/overview", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_overview, false},
    {"GET", V1 "/overview/series", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_series, false},
    {"GET", V1 "/queues", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_queues, false},
    {"GET", V1 "/system", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_system, false},

    {"GET", V1 "/messages", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_messages, false},
    {"GET", V1 "/messages/{id}", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_message, false},
    {"POST", V1 "/messages/{id}/recall", ROUTE_ALLOWED, CONSOLE_RECALL, api_recall, false},
    {"POST", V1 "/messages/{id}/restore", ROUTE_ALLOWED, CONSOLE_RECALL, api_restore, false},

    {"GET", V1 "/policy", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_get, false},
    {"PUT", V1 "/policy", ROUTE_ALLOWED, CONSOLE_EDIT_POLICY, api_policy_put, false},
    {"POST", V1 "/policy/check", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_check, false},
    {"GET", V1 "/policy/history", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_history, false},
    {"GET", V1 "/policy/versions/{version}", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_version,
     false},
    {"GET", V1 "/policy/diff", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_diff, false},
    {"POST", V1 "/policy/diff", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_diff_document, false},
    {"POST", V1 "/policy/rollback", ROUTE_ALLOWED, CONSOLE_EDIT_POLICY, api_policy_rollback, false},
    {"POST", V1 "/policy/test", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_test, true},
    {"POST", V1 "/policy/notices/preview", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_notices_preview,
     false},
    {"POST", V1 "/policy/dry-run", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_dry_run, false},
    {"GET", V1 "/policy/hits", ROUTE_ALLOWED, CONSOLE_SEE_POLICY, api_policy_hits, false},

    {"GET", V1 "/dead", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_dead_list, false},
    {"GET", V1 "/dead/{id}", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_dead_get, false},
    {"POST", V1 "/dead/{id}/retry", ROUTE_ALLOWED, CONSOLE_OPERATE, api_dead_retry, false},
    {"POST", V1 "/dead/{id}/release", ROUTE_ALLOWED, CONSOLE_OPERATE, api_dead_release, false},
    {"POST", V1 "/dead/{id}/reject", ROUTE_ALLOWED, CONSOLE_OPERATE, api_dead_reject, false},

    {"GET", V1 "/storages", ROUTE_ALLOWED, CONSOLE_SEE_STATES, api_storages, false},
    {"POST", V1 "/storages/{name}/test", ROUTE_ALLOWED, CONSOLE_OPERATE, api_storage_test, false},
    {"GET", V1 "/audit", ROUTE_ALLOWED, CONSOLE_SEE_AUDIT, api_audit, false},
    {"GET", V1 "/audit/export", ROUTE_ALLOWED, CONSOLE_SEE_AUDIT, api_audit_export, false},
    {"POST", V1 "/system/doctor", ROUTE_ALLOWED, CONSOLE_OPERATE, api_doctor, false},
    {0},
};
