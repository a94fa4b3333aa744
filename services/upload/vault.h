/* SPDX-License-Identifier: Apache-2.0
 *
 * The vault as a storage (common/vault/vault.h): what readers see of it is the portal's.
 *
 * Everybody has a link of his own, whatever `access` says: one that a secret of 32 random bytes
 * opens, of which the vault knows the hash.
 *
 *   recipients  each proves the mailbox that the link was sent to
 *   company     and people of the same domain may prove theirs instead, as with members: true
 *   anyone      as recipients: only proof: link lets in whoever has a link
 *
 * The rule's `path` has no meaning here.  parcel.folder_id is "<id of the vault>/<parcel id>", so
 * that a vault that is not mounted is not taken for one whose parcels were purged.
 */
#ifndef FB_UPLOAD_VAULT_H
#define FB_UPLOAD_VAULT_H

#include "services/upload/storage.h"

extern const struct storage vault_storage;

#endif
