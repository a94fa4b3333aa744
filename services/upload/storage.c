/* SPDX-License-Identifier: Apache-2.0
 *
 * The storages there are: one line each. */
#include "services/upload/storage.h"

#include <stdlib.h>

#include "services/upload/box.h"
#include "services/upload/vault.h"

const struct storage *storage_find(enum fb_storage_type type)
{
    switch (type) {
    case FB_STORAGE_BOX:
        return &box_storage;
    case FB_STORAGE_VAULT:
        return &vault_storage;
    default:
        return NULL;
    }
}

void storage_events_deinit(struct storage_events *page)
{
    free(page->items);
    page->items = NULL;
    page->count = 0;
}
