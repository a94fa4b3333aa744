/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/password.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"

#define PASSWORD_LEN 16

/* Without letters that are mistaken for others when somebody types it. */
static const char capitals[] = "ABCDEFGHJKLMNPQRSTUVWXYZ";
static const char smalls[] = "abcdefghijkmnpqrstuvwxyz";
static const char digits[] = "23456789";

static char pick(const char *from)
{
    return from[fb_random_below(strlen(from))];
}

/* Box asks for 8 characters and a digit, a capital or a sign; this has 16 and all of capital, small
 * letter and digit: 91 bits. */
static void make_password(char out[PASSWORD_LEN + 1])
{
    static const char *const kinds[] = {capitals, smalls, digits};
    for (size_t i = 0; i < PASSWORD_LEN; i++) {
        out[i] = pick(kinds[i < 3 ? i : fb_random_below(3)]);
    }
    for (size_t i = PASSWORD_LEN - 1; i > 0; i--) {
        size_t j = (size_t)fb_random_below(i + 1);
        char c = out[i];
        out[i] = out[j];
        out[j] = c;
    }
    out[PASSWORD_LEN] = '\0';
}

void storage_password(bool is_wanted, struct fb_parcel *parcel)
{
    char fresh[PASSWORD_LEN + 1] = "";
    bool is_there = parcel->password != NULL && strlen(parcel->password) >= 8;
    if (is_wanted && is_there) {
        return; /* an earlier try may have told somebody */
    }
    if (is_wanted) {
        make_password(fresh);
    }
    if (parcel->password != NULL) {
        fb_wipe(parcel->password, strlen(parcel->password));
        free(parcel->password);
    }
    parcel->password = fb_xstrdup(fresh);
    fb_wipe(fresh, sizeof fresh);
}
