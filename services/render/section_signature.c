/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed and encrypted mail.  A signature is said to be there, with the name that it bears; nothing
 * here verifies it, and the words say so: whoever must rely on it opens the attached original. */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/transfer.h"
#include "services/render/mime_proof.h"
#include "services/render/section_steps.h"

#define SIGNATURE_MAX (1U << 20)
#define SIGNERS_MAX   5

static const char not_verified_ja[] =
    "このメールには電子署名が付いています。署名はここでは検証していません。検証するには、添付の署名"
    "ファイル"
    "（または元のメール）を、対応するメールソフトで開いてください。";
static const char not_verified_en[] =
    "This mail bears a digital signature. It was not verified here. To verify it, open the "
    "attached "
    "signature (or the original mail) with a mail program that knows such signatures.";

static struct render_section *add_signed(struct section_list *l, const char *kind)
{
    struct render_section *s = section_add(
        l, RENDER_SECTION_NOTE,
        section_say(l, "電子署名（ここでは検証していません）", "Signed, not verified here"));
    section_row_str(s, section_say(l, "方式", "Kind"), kind);
    return s;
}

static void finish_signed(struct section_list *l, struct render_section *s, const char *name)
{
    section_row_str(s, section_say(l, "ファイル", "File"), name);
    if (s != NULL) {
        section_text(s, fb_slice_str(section_say(l, not_verified_ja, not_verified_en)));
    }
}

/* ---- S/MIME ---- */

/* The mail address and name that a certificate bears, as UTF-8. */
static void put_name(const X509_NAME *name, int nid, struct fb_buf *out)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
    unsigned char *text = NULL;
    int n = entry != NULL ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : 0;
    if (n > 0 && out->len + (size_t)n + 4 < out->max) {
        enum fb_status s = out->len > 0 ? fb_buf_add_str(out, ", ") : FB_OK;
        if (s == FB_OK && fb_buf_add(out, text, (size_t)n) != FB_OK) {
            out->len = 0;
        }
    }
    OPENSSL_free(text);
}

static void put_certificate(struct section_list *l, struct render_section *s, X509 *certificate)
{
    struct fb_buf who;
    struct fb_buf by;
    fb_buf_init(&who, 1024);
    fb_buf_init(&by, 1024);
    X509_NAME *subject = X509_get_subject_name(certificate);
    put_name(subject, NID_commonName, &who);
    put_name(subject, NID_pkcs9_emailAddress, &who);
    STACK_OF(OPENSSL_STRING) *mails = X509_get1_email(certificate);
    const char *mail = mails != NULL && sk_OPENSSL_STRING_num(mails) > 0
                           ? sk_OPENSSL_STRING_value(mails, 0)
                           : NULL;
    if (mail != NULL && fb_slice_find(fb_slice_buf(&who), fb_slice_str(mail)) == SIZE_MAX &&
        fb_buf_printf(&who, "%s%.300s", who.len > 0 ? ", " : "", mail) != FB_OK) {
        who.len = 0;
    }
    X509_email_free(mails);
    put_name(X509_get_issuer_name(certificate), NID_organizationName, &by);
    put_name(X509_get_issuer_name(certificate), NID_commonName, &by);
    section_row(s, section_say(l, "署名者（自称）", "Signer (as it says)"), fb_slice_buf(&who));
    section_row(s, section_say(l, "証明書の発行者", "Certificate by"), fb_slice_buf(&by));
    fb_buf_deinit(&who);
    fb_buf_deinit(&by);
}

static void put_signers(struct section_list *l, struct render_section *s, struct fb_slice der)
{
    BIO *in = BIO_new_mem_buf(der.ptr, (int)der.len);
    CMS_ContentInfo *cms = in != NULL ? d2i_CMS_bio(in, NULL) : NULL;
    STACK_OF(CMS_SignerInfo) *signers = cms != NULL ? CMS_get0_SignerInfos(cms) : NULL;
    STACK_OF(X509) *certificates = cms != NULL ? CMS_get1_certs(cms) : NULL;
    int count = signers != NULL ? sk_CMS_SignerInfo_num(signers) : 0;
    int certificate_count = certificates != NULL ? sk_X509_num(certificates) : 0;
    for (int i = 0; i < count && i < SIGNERS_MAX; i++) {
        for (int k = 0; k < certificate_count && k < 50; k++) {
            X509 *x = sk_X509_value(certificates, k);
            if (CMS_SignerInfo_cert_cmp(sk_CMS_SignerInfo_value(signers, i), x) == 0) {
                put_certificate(l, s, x);
            }
        }
    }
    sk_X509_pop_free(certificates, X509_free);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    ERR_clear_error();
}

/* ---- OpenPGP (RFC 9580): the key's number out of the first signature packet ---- */

/* Decodes the armor's lines; what is not armored comes as it is. */
static void dearmor(struct fb_slice text, struct fb_buf *out)
{
    size_t begin = fb_slice_find(text, FB_SLICE_LITERAL("-----BEGIN PGP SIGNATURE-----"));
    if (begin == SIZE_MAX) {
        if (fb_buf_add_slice(out, fb_slice_sub(text, 0, 4096)) != FB_OK) {
            out->len = 0;
        }
        return;
    }
    struct fb_slice rest = fb_slice_sub(text, begin, 65536);
    size_t blank = fb_slice_find(rest, FB_SLICE_LITERAL("\n\n"));
    size_t crlf = fb_slice_find(rest, FB_SLICE_LITERAL("\n\r\n"));
    size_t from = blank < crlf ? blank : crlf;
    size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("-----END"));
    if (from == SIZE_MAX || end == SIZE_MAX || end < from ||
        fb_buf_reserve(out, end - from + FB_TRANSFER_SLACK) != FB_OK) {
        return;
    }
    struct fb_transfer t;
    fb_transfer_init(&t, FB_ENC_BASE64);
    size_t n = fb_transfer_step(&t, rest.ptr + from, end - from, out->ptr);
    out->len = n + fb_transfer_end(&t, out->ptr + n);
}

/* The body of the first packet, when it is a signature. */
static struct fb_slice signature_packet(struct fb_slice b)
{
    struct fb_slice none = {0};
    if (b.len < 3 || (b.ptr[0] & 0x80) == 0) {
        return none;
    }
    bool is_new = (b.ptr[0] & 0x40) != 0;
    unsigned tag = is_new ? b.ptr[0] & 0x3FU : (b.ptr[0] >> 2) & 0x0FU;
    size_t head = 2;
    size_t length = b.ptr[1];
    if (is_new && b.ptr[1] >= 192 && b.ptr[1] < 224) {
        length = ((size_t)(b.ptr[1] - 192) << 8) + b.ptr[2] + 192;
        head = 3;
    } else if (!is_new && (b.ptr[0] & 3) == 1) {
        length = (size_t)b.ptr[1] << 8 | b.ptr[2];
        head = 3;
    } else if ((is_new && b.ptr[1] >= 224) || (!is_new && (b.ptr[0] & 3) > 1)) {
        return none;
    }
    return tag == 2 ? fb_slice_sub(b, head, length) : none;
}

/* Issuer fingerprint (33), issuer key (16), signer's user id (28) of one area of subpackets. */
static void read_subpackets(struct fb_slice area, char *key, size_t key_size, struct fb_buf *user)
{
    while (area.len > 2) {
        size_t length = area.ptr[0];
        size_t head = 1;
        if (length >= 192 && length < 255) {
            length = ((length - 192) << 8) + area.ptr[1] + 192;
            head = 2;
        } else if (length == 255 || length == 0) {
            return;
        }
        struct fb_slice packet = fb_slice_sub(area, head, length);
        if (packet.len < 2 || packet.len != length) {
            return;
        }
        unsigned type = packet.ptr[0] & 0x7FU;
        struct fb_slice body = fb_slice_sub(packet, type == 33 ? 2 : 1, SIZE_MAX);
        if ((type == 33 || (type == 16 && key[0] == '\0')) && body.len > 0 &&
            body.len * 2 < key_size) {
            fb_hex(body.ptr, body.len, key);
        } else if (type == 28 && user->len == 0) {
            section_clean(body, 400, user);
        }
        area = fb_slice_sub(area, head + length, SIZE_MAX);
    }
}

static void put_pgp(struct section_list *l, struct render_section *s, struct fb_slice file)
{
    struct fb_buf bytes;
    struct fb_buf user;
    char key[80] = "";
    fb_buf_init(&bytes, 1U << 17);
    fb_buf_init(&user, 1024);
    dearmor(file, &bytes);
    struct fb_slice p = signature_packet(fb_slice_buf(&bytes));
    if (p.len > 6 && p.ptr[0] == 4) {
        size_t hashed = (size_t)p.ptr[4] << 8 | p.ptr[5];
        read_subpackets(fb_slice_sub(p, 6, hashed), key, sizeof key, &user);
        struct fb_slice rest = fb_slice_sub(p, 6 + hashed, SIZE_MAX);
        if (rest.len > 2) {
            read_subpackets(fb_slice_sub(rest, 2, (size_t)rest.ptr[0] << 8 | rest.ptr[1]), key,
                            sizeof key, &user);
        }
    }
    section_row(s, section_say(l, "署名者（自称）", "Signer (as it says)"), fb_slice_buf(&user));
    section_row_str(s, section_say(l, "鍵", "Key"), key);
    fb_buf_deinit(&user);
    fb_buf_deinit(&bytes);
}

void section_signature_bytes(struct section_list *l, struct fb_slice bytes, const char *type,
                             const char *name)
{
    bool is_opaque = strstr(type, "pkcs7-mime") != NULL;
    bool is_pgp = strcmp(type, "application/pgp-signature") == 0;
    enum mime_cms kind = is_pgp ? MIME_CMS_NONE : mime_proof_cms(bytes);
    if (is_pgp) {
        struct render_section *section = add_signed(l, "OpenPGP (PGP/MIME)");
        put_pgp(l, section, bytes);
        finish_signed(l, section, name);
    } else if (kind == MIME_CMS_SIGNED || !is_opaque) {
        struct render_section *section = add_signed(l, "S/MIME");
        put_signers(l, section, bytes);
        finish_signed(l, section, name);
    } else if (kind == MIME_CMS_ENVELOPED) {
        section_encrypted_add(l);
    }
}

enum fb_status section_signature_read(struct section_list *l, const struct render_extra *extra)
{
    struct fb_buf bytes;
    bool is_opaque = strstr(extra->type, "pkcs7-mime") != NULL;
    fb_buf_init(&bytes, is_opaque ? RENDER_SECTION_MESSAGE_MAX : SIGNATURE_MAX);
    enum fb_status s = section_bytes(l, extra, &bytes);
    if (s == FB_TOO_BIG) { /* that there is one is said all the same */
        s = FB_OK;
        bytes.len = 0;
    }
    if (s == FB_OK) {
        section_signature_bytes(l, fb_slice_buf(&bytes), extra->type, extra->name);
    }
    fb_buf_deinit(&bytes);
    return s;
}

/* ---- encrypted ---- */

/* The file that holds the mail: the last one of its parts. */
static const char *encrypted_file(const struct section_list *l)
{
    const struct render_letter *letter = &l->mail->letter;
    return letter->attachment_count > 0 ? letter->attachments[letter->attachment_count - 1].name
                                        : NULL;
}

void section_encrypted_add(struct section_list *l)
{
    const char *file = encrypted_file(l);
    bool is_smime = file != NULL && section_has_suffix(file, ".p7m");
    struct render_section *s =
        section_add(l, RENDER_SECTION_NOTE, section_say(l, "暗号化されたメール", "Encrypted mail"));
    if (s == NULL) {
        return;
    }
    section_row_str(s, section_say(l, "方式", "Kind"), is_smime ? "S/MIME" : "OpenPGP (PGP/MIME)");
    section_row_str(s, section_say(l, "ファイル", "File"), file);
    const char *words =
        file == NULL
            ? section_say(
                  l,
                  "このメールの本文は差出人によって暗号化されています。上の暗号文全体を、"
                  "お使いの OpenPGP 対応ソフトに貼り付け、ご自身の秘密鍵で復号してください。",
                  "The sender has encrypted the text of this mail. Paste all of the "
                  "cipher text above into your OpenPGP program and decrypt it with "
                  "your private key.")
            : section_say(l,
                          "このメールは差出人によって暗号化されているため、内容をこの PDF に"
                          "表示できません。上のファイルをダウンロードし、この方式に対応するメール"
                          "ソフトで、ご自身の秘密鍵を使って開いてください。復号できるのは、差出人が"
                          "宛先として選んだ方だけです。",
                          "The sender has encrypted this mail, so that this PDF cannot show "
                          "what it says. Download the file named above and open it, with "
                          "your private key, in a mail program that knows this kind of "
                          "encryption. Only those whom the sender chose can decrypt it.");
    section_text(s, fb_slice_str(words));
}
