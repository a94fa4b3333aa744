/* SPDX-License-Identifier: Apache-2.0
 *
 * A vault is tried. */
#ifndef FB_UPLOAD_VAULT_CHECK_H
#define FB_UPLOAD_VAULT_CHECK_H

#include "common/vault/vault.h"
#include "services/upload/storage.h"

/* As check of storage.h.  What is written is a parcel of a few bytes with an id of its own, which is purged again. */
void vault_check(const struct fb_policy_storage *storage, struct fb_vault *vault, bool writes,
                 struct fb_storage_report *report);

#endif
