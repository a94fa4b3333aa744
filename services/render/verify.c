/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/verify.h"

#include <strings.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "proto/trace_header.h"

static bool is_in_branch(const struct fb_ledger_message *m, uint32_t branch, const char *address)
{
    if (branch == FB_TRACE_LETTER) {
        return m->from[0] != '\0' && strcasecmp(m->from, address) == 0;
    }
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].branch == branch &&
            strcasecmp(m->recipients[i].address, address) == 0) {
            return true;
        }
    }
    return false;
}

bool render_verify(const char *key, const struct render_request *request, struct fb_slice value,
                   const uint8_t body_hash[32])
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_trace_header_verify(key, value, body_hash, msg_id, &branch)) {
        return false;
    }
    struct fb_ledger_message m = {0};
    struct fb_error err = {0};
    if (fb_ledger_get(request->redis, msg_id, &m, &err) != FB_OK) {
        fb_log(FB_INFO,
               "a message bears our signature, but the ledger does not know it: rules apply again");
        return false;
    }
    bool is_ours = request->envelope->recipient_count > 0;
    for (size_t i = 0; i < request->envelope->recipient_count && is_ours; i++) {
        is_ours = is_in_branch(&m, branch, request->envelope->recipients[i].address);
    }
    fb_ledger_message_deinit(&m);
    return is_ours;
}
