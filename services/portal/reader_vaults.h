/* SPDX-License-Identifier: Apache-2.0
 *
 * The vaults that the policy names, opened as they are needed.  A parcel's id does not say in which one it is: they are
 * asked in the policy's order.  Thread-safe. */
#ifndef FB_PORTAL_READER_VAULTS_H
#define FB_PORTAL_READER_VAULTS_H

#include "common/config.h"
#include "common/policy/service_source.h"
#include "common/vault/vault.h"

/* One vault, counted: a stream may outlive the policy that named it. */
struct reader_vault;
struct fb_vault *reader_vault_get(const struct reader_vault *vault);
const char *reader_vault_name(const struct reader_vault *vault); /* in the policy */
struct reader_vault *reader_vault_ref(struct reader_vault *vault);
void reader_vault_unref(struct reader_vault **vault);

struct reader_vaults;
/* Both are lent for its life. */
struct reader_vaults *reader_vaults_new(const struct fb_config *config,
                                        struct fb_policy_follow *policy);
void reader_vaults_free(struct reader_vaults **vaults);
/* Opens what a new policy names, and what could not be opened before; call it every second, in one thread. */
void reader_vaults_tick(struct reader_vaults *vaults);

/* Finds and loads a parcel.  FB_OK: both outputs are the caller's (reader_vault_unref, fb_vault_parcel_deinit).
 * FB_NOT_FOUND: in none of them, or there is none; another status when one that might have it cannot be asked. */
FB_MUST_USE enum fb_status reader_vaults_find(struct reader_vaults *vaults, const char *parcel_id,
                                              struct reader_vault **vault_r,
                                              struct fb_vault_parcel *parcel_r,
                                              struct fb_error *err);
/* The work of a find that is left when `found` (NULL: it was in none) was its answer, so that who is refused cannot
 * tell by the time whether there is such a parcel.  False: one of the vaults cannot be asked, so that a parcel that is
 * in none would have been answered with 503. */
bool reader_vaults_level(struct reader_vaults *vaults, const struct reader_vault *found);

#endif
