/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/console.h"

#define BIT(permission) (1U << (permission))

static const unsigned permissions[FB_ROLE_COUNT] = {
    [FB_ROLE_HELPDESK] = BIT(CONSOLE_SEE_STATES),
    [FB_ROLE_AUDITOR] = BIT(CONSOLE_SEE_STATES) | BIT(CONSOLE_SEE_MESSAGES) |
                        BIT(CONSOLE_SEE_POLICY) | BIT(CONSOLE_SEE_AUDIT),
    [FB_ROLE_OPERATOR] = BIT(CONSOLE_SEE_STATES) | BIT(CONSOLE_SEE_MESSAGES) | BIT(CONSOLE_RECALL) |
                         BIT(CONSOLE_OPERATE) | BIT(CONSOLE_SEE_POLICY),
    [FB_ROLE_ADMIN] = BIT(CONSOLE_PERMISSION_COUNT) - 1};

bool console_may(enum fb_role role, enum console_permission permission)
{
    return role > FB_ROLE_NONE && role < FB_ROLE_COUNT && permission < CONSOLE_PERMISSION_COUNT &&
           (permissions[role] & BIT(permission)) != 0;
}
