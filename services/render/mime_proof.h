/* SPDX-License-Identifier: Apache-2.0
 *
 * What a mail is, proved by its structure.  Rules are bypassed on these answers (policy: pass), so
 * a header alone, or a first line that any text may have, proves nothing.
 */
#ifndef FB_RENDER_MIME_PROOF_H
#define FB_RENDER_MIME_PROOF_H

#include "services/render/mime_leaf.h"

enum mime_cms { MIME_CMS_NONE, MIME_CMS_ENVELOPED, MIME_CMS_SIGNED };

/* The content type that the outer ASN.1 of decoded bytes names (RFC 5652 3: ContentInfo). */
enum mime_cms mime_proof_cms(struct fb_slice der);

/* Encrypted: RFC 3156 multipart/encrypted with its two parts, the second one OpenPGP from end to
 * end; application/ pkcs7-mime whose ASN.1 is EnvelopedData or AuthEnvelopedData; or a body that is
 * one OpenPGP message in armor and nothing else. */
FB_MUST_USE enum fb_status mime_proof_encrypted(GMimeObject *root, const struct mime_view *view,
                                                bool *is_r, struct fb_error *err);
/* multipart/report with a message/delivery-status part (RFC 6522, RFC 3464). */
bool mime_proof_report(GMimeObject *root);

#endif
