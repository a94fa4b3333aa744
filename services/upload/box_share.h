/* SPDX-License-Identifier: Apache-2.0
 *
 * What opening (box_share.c, box_collab.c) and closing (box_revoke.c) a parcel have in common. */
#ifndef FB_UPLOAD_BOX_SHARE_H
#define FB_UPLOAD_BOX_SHARE_H

#include "services/upload/box_internal.h"

/* Lets exactly these people in with that role, everybody else who was let in by the folder itself
 * out; fills the grants. */
enum fb_status box_collaborate(struct storage_session *s,
                               const struct storage_grant_request *requests, size_t count,
                               const char *role, struct fb_parcel *parcel, struct fb_error *err);
/* The folder's collaborations (new reference, empty when the folder is gone).  Those that come from
 * a folder above are in
 * *inherited_r, which may be NULL; what is theirs is never touched. */
enum fb_status box_collaborations(struct storage_session *s, const struct fb_parcel *parcel,
                                  json_t **direct_r, json_t **inherited_r, struct fb_error *err);
/* Gone, or gone already. */
enum fb_status box_remove_collaboration(struct storage_session *s, const struct fb_parcel *parcel,
                                        const char *id, struct fb_error *err);
/* Whether a collaboration is of this address: by login, or by the address of an invitation. */
bool box_is_of(const json_t *collaboration, const char *address);
/* Lets these people in again, with that role; adds their grants to the parcel's. */
enum fb_status box_let_back_in(struct storage_session *s,
                               const struct storage_grant_request *requests, size_t count,
                               const char *role, struct fb_parcel *parcel, struct fb_error *err);
/* Ends what the link opens.  For now: the same link stays, for collaborators only.
 * is_shared_r (may be NULL): the folder has, or may have, collaborations still. */
enum fb_status box_end_link(struct storage_session *s, const struct fb_parcel *parcel,
                            enum storage_end end, bool *is_shared_r, struct fb_error *err);
void box_clear_grants(struct fb_parcel *parcel);
void box_set_grant(struct fb_parcel_grant *g, const struct storage_grant_request *request,
                   const char *id, const char *state);

#endif
