/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords of parcels, as every storage makes them. */
#ifndef FB_UPLOAD_PASSWORD_H
#define FB_UPLOAD_PASSWORD_H

#include <stdbool.h>

#include "proto/plan.h"

/* parcel->password becomes a fresh one when it is wanted and none is there, and "" when it is not
 * wanted: what an earlier try made stays, for somebody may have been told. */
void storage_password(bool is_wanted, struct fb_parcel *parcel);

#endif
