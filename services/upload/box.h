/* SPDX-License-Identifier: Apache-2.0
 *
 * Box as a storage (https://developer.box.com/reference/).  One service account, or a pool of users
 * of the same
 * enterprise to go past one user's limits.
 *
 *   box_auth.c     credentials file, JWT (RFC 7523) and client credentials, tokens shared by all
 *   threads
 *   box_limit.c    calls and uploads per user and minute, shared by all workers through Redis
 *   box_http.c     one call: token, limit, Retry-After, error words, metrics; box_url.c, box_json.c
 *   what it needs
 *   box_folder.c   parents and the parcel's folder
 *   box_upload.c   files up to 50 MB; box_chunked.c larger ones, in sessions
 *   box_share.c    collaborations, links, watermark; taking them away
 *   box_events.c   what Box tells afterwards: event streams, grants, links that others made
 *   box_names.c    names as Box takes them
 */
#ifndef FB_UPLOAD_BOX_H
#define FB_UPLOAD_BOX_H

#include "services/upload/storage.h"

extern const struct storage box_storage;

#endif
