/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako reader forget */
#include <stdio.h>

#include "common/ledger/door.h"
#include "proto/limits.h"
#include "services/ctl/ctl.h"

int ctl_reader_forget(struct ctl *c)
{
    int code = 0;
    char owner[FB_DOOR_HASH];
    char object[FB_MAX_ADDRESS + 16];
    struct fb_error err = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    fb_door_owner(c->words[0], owner);
    enum fb_status s = fb_door_totp_forget(c->redis, owner, &err);
    if (s == FB_OK) {
        (void)snprintf(object, sizeof object, "reader %s", c->words[0]);
        s = ctl_audit(c, "reader.forget", object, NULL, NULL, &err);
    }
    if (s == FB_NOT_FOUND) {
        (void)fb_error_set(
            &err, FB_NOT_FOUND,
            "no authenticator app is enrolled for this address; is it spelt as in the mail?");
    }
    if (s != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:b}", "forgotten", 1));
    } else {
        (void)puts(
            "forgotten: the next visit proves the mailbox with a code, and enrols an app anew");
    }
    return 0;
}
