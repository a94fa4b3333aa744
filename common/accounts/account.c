/* SPDX-License-Identifier: Apache-2.0 */
#include "common/accounts/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"

#define NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-"

static const char *const roles[FB_ROLE_COUNT] = {[FB_ROLE_NONE] = "none",
                                                 [FB_ROLE_HELPDESK] = "helpdesk",
                                                 [FB_ROLE_AUDITOR] = "auditor",
                                                 [FB_ROLE_OPERATOR] = "operator",
                                                 [FB_ROLE_ADMIN] = "admin"};

const char *fb_role_name(enum fb_role role)
{
    return role > FB_ROLE_NONE && role < FB_ROLE_COUNT ? roles[role] : roles[FB_ROLE_NONE];
}

enum fb_role fb_role_of(const char *name)
{
    for (int i = FB_ROLE_HELPDESK; name != NULL && i < FB_ROLE_COUNT; i++) {
        if (strcmp(name, roles[i]) == 0) {
            return (enum fb_role)i;
        }
    }
    return FB_ROLE_NONE;
}

struct fb_account *fb_account_new(const char *name, enum fb_role role)
{
    struct fb_account *a = fb_xcalloc(1, sizeof *a);
    uint8_t raw[(FB_ACCOUNT_HANDLE - 1) / 2];
    fb_random(raw, sizeof raw);
    fb_hex(raw, sizeof raw, a->handle);
    (void)snprintf(a->name, sizeof a->name, "%s", name);
    a->role = role;
    a->since_ms = fb_now_ms();
    return a;
}

void fb_account_free(struct fb_account **account)
{
    if (*account != NULL) {
        fb_wipe(*account, sizeof **account);
        free(*account);
        *account = NULL;
    }
}

bool fb_account_name(const char *typed, char out_r[FB_ACCOUNT_NAME])
{
    size_t len = strlen(typed);
    out_r[0] = '\0';
    if (len == 0 || len >= FB_ACCOUNT_NAME || strspn(typed, NAME) != len ||
        strchr("._@+-", typed[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i <= len; i++) {
        out_r[i] = (char)(typed[i] >= 'A' && typed[i] <= 'Z' ? typed[i] - 'A' + 'a' : typed[i]);
    }
    return true;
}

void fb_account_label(const char *typed, char out_r[FB_ACCOUNT_LABEL])
{
    size_t len = 0;
    for (; typed[len] != '\0' && len < FB_ACCOUNT_LABEL - 1; len++) {
        unsigned char c = (unsigned char)typed[len];
        out_r[len] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
    }
    while (typed[len] != '\0' && len > 0 && ((unsigned char)typed[len] & 0xc0) == 0x80) {
        len--; /* the first byte that is left out must begin a character */
    }
    out_r[len] = '\0';
}

bool fb_account_has_second(const struct fb_account *a)
{
    return a->totp[0] != '\0' || a->passkey_count > 0;
}
