/* SPDX-License-Identifier: Apache-2.0
 *
 * Proofs read the decoded bytes to their end where the form allows text behind them: a sender must
 * not be able to hide plain text in what passes as encrypted.
 */
#include "services/render/mime_proof.h"

#include <string.h>

enum mime_cms mime_proof_cms(struct fb_slice der)
{
    static const uint8_t enveloped[] = {0x06, 0x09, 0x2A, 0x86, 0x48, 0x86,
                                        0xF7, 0x0D, 0x01, 0x07, 0x03};
    static const uint8_t signed_data[] = {0x06, 0x09, 0x2A, 0x86, 0x48, 0x86,
                                          0xF7, 0x0D, 0x01, 0x07, 0x02};
    static const uint8_t auth_enveloped[] = {0x06, 0x0B, 0x2A, 0x86, 0x48, 0x86, 0xF7,
                                             0x0D, 0x01, 0x09, 0x10, 0x01, 0x17};
    if (der.len < 4 || der.ptr[0] != 0x30) {
        return MIME_CMS_NONE;
    }
    /* Length: one byte, indefinite (0x80), or up to eight more bytes. */
    size_t more = der.ptr[1] > 0x80 ? der.ptr[1] & 0x7FU : 0;
    if (more > 8 || der.len < 2 + more) {
        return MIME_CMS_NONE;
    }
    struct fb_slice oid = fb_slice_sub(der, 2 + more, der.len);
    if ((oid.len >= sizeof enveloped && memcmp(oid.ptr, enveloped, sizeof enveloped) == 0) ||
        (oid.len >= sizeof auth_enveloped &&
         memcmp(oid.ptr, auth_enveloped, sizeof auth_enveloped) == 0)) {
        return MIME_CMS_ENVELOPED;
    }
    return oid.len >= sizeof signed_data && memcmp(oid.ptr, signed_data, sizeof signed_data) == 0
               ? MIME_CMS_SIGNED
               : MIME_CMS_NONE;
}

#define ARMOR_HEADERS_MAX 5
#define PREAMBLE_MAX      160 /* one line for readers that know no MIME */
#define REPORT_PARTS_MAX  3   /* RFC 6522 3 */

/* Follows armor (RFC 9580 6) line by line, or binary packets by their first byte. */
enum armor_state {
    ARMOR_START,
    ARMOR_HEADERS,
    ARMOR_DATA,
    ARMOR_SUM,
    ARMOR_DONE,
    ARMOR_BINARY,
    ARMOR_NO
};

struct armor {
    enum armor_state state;
    bool allows_binary;
    char line[128];
    size_t len;
    bool is_long;
    size_t data_lines;
    unsigned header_lines;
};

/* The first packet of an encrypted message: session key by public key (1) or passphrase (3), or the
 * data (18, 20, 9). */
static bool is_encrypted_packet(uint8_t c)
{
    unsigned tag = (c & 0x40) != 0 ? c & 0x3FU : (c & 0x3CU) >> 2;
    return (c & 0x80) != 0 && (tag == 1 || tag == 3 || tag == 9 || tag == 18 || tag == 20);
}

static int sextet(char c)
{
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    return at != NULL ? (int)(at - alphabet) : -1;
}

static bool is_base64_line(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && sextet(line[i]) >= 0) {
        i++;
    }
    size_t padding = len - i;
    return i > 0 && padding <= 2 && len % 4 == 0 && memcmp(line + i, "==", padding) == 0;
}

static enum armor_state armor_data_line(struct armor *a)
{
    if (strcmp(a->line, "-----END PGP MESSAGE-----") == 0) {
        return a->data_lines > 0 ? ARMOR_DONE : ARMOR_NO;
    }
    if (a->state == ARMOR_SUM) {
        return ARMOR_NO;
    }
    if (a->line[0] == '=' && a->len == 5) {
        return ARMOR_SUM;
    }
    if (!is_base64_line(a->line, a->len)) {
        return ARMOR_NO;
    }
    if (a->data_lines++ == 0) {
        uint8_t first = (uint8_t)(sextet(a->line[0]) << 2 | sextet(a->line[1]) >> 4);
        return is_encrypted_packet(first) ? ARMOR_DATA : ARMOR_NO;
    }
    return ARMOR_DATA;
}

/* The fields that programs write (RFC 9580 6.2.2), a few of them: more would be a letter. */
static bool is_armor_header(struct armor *a)
{
    static const char *const names[] = {
        "Version: ", "Comment: ", "Charset: ", "Hash: ", "MessageID: "};
    bool is_one = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        is_one = is_one || strncmp(a->line, names[i], strlen(names[i])) == 0;
    }
    return is_one && ++a->header_lines <= ARMOR_HEADERS_MAX;
}

static void armor_line(struct armor *a)
{
    while (a->len > 0 && strchr(" \t\r", a->line[a->len - 1]) != NULL) {
        a->len--;
    }
    a->line[a->len] = '\0';
    bool is_empty = a->len == 0;
    if (a->is_long) {
        a->state = ARMOR_NO;
    } else if (a->state == ARMOR_START) {
        bool is_begin = strcmp(a->line, "-----BEGIN PGP MESSAGE-----") == 0;
        a->state = is_empty ? ARMOR_START : is_begin ? ARMOR_HEADERS : ARMOR_NO;
    } else if (a->state == ARMOR_HEADERS) {
        a->state = is_empty ? ARMOR_DATA : is_armor_header(a) ? ARMOR_HEADERS : ARMOR_NO;
    } else if (a->state == ARMOR_DATA || a->state == ARMOR_SUM) {
        a->state = armor_data_line(a);
    } else if (a->state == ARMOR_DONE && !is_empty) {
        a->state = ARMOR_NO;
    }
    a->len = 0;
    a->is_long = false;
}

static enum fb_status armor_take(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct armor *a = ctx;
    (void)err;
    if (a->state == ARMOR_START && a->allows_binary && a->len == 0 &&
        is_encrypted_packet(bytes[0])) {
        a->state = ARMOR_BINARY;
    }
    for (size_t i = 0; i < len && a->state != ARMOR_BINARY && a->state != ARMOR_NO; i++) {
        if (bytes[i] == '\n') {
            armor_line(a);
        } else if (a->len + 1 < sizeof a->line && bytes[i] != '\0') {
            a->line[a->len++] = (char)bytes[i];
        } else {
            a->is_long = true;
        }
    }
    return FB_OK;
}

static enum fb_status is_openpgp(const struct mime_leaf *leaf, bool allows_binary, bool *is_r,
                                 struct fb_error *err)
{
    struct armor a = {.allows_binary = allows_binary};
    enum fb_status status = mime_leaf_stream(leaf, armor_take, &a, err);
    if (a.len > 0) {
        armor_line(&a);
    }
    *is_r = status == FB_OK && (a.state == ARMOR_DONE || a.state == ARMOR_BINARY);
    return status;
}

static bool is_version_one(const struct mime_leaf *leaf, enum fb_status *status,
                           struct fb_error *err)
{
    struct fb_buf text = {0};
    fb_buf_init(&text, 64);
    if (strcmp(leaf->type, "application/pgp-encrypted") == 0 && leaf->length < 256) {
        *status = mime_leaf_decode_prefix(leaf, &text, err);
    }
    struct fb_slice s = fb_slice_trim(fb_slice_buf(&text));
    bool is_one = fb_slice_ieq_str(s, "Version: 1") || fb_slice_ieq_str(s, "Version:1");
    fb_buf_deinit(&text);
    return is_one;
}

/* Text around the parts is shown by programs that know no MIME, and by "view source". */
static bool has_text_around(GMimeMultipart *m)
{
    struct fb_slice preamble = fb_slice_trim(fb_slice_str(g_mime_multipart_get_prologue(m)));
    struct fb_slice epilogue = fb_slice_trim(fb_slice_str(g_mime_multipart_get_epilogue(m)));
    return epilogue.len > 0 || preamble.len > PREAMBLE_MAX ||
           (preamble.len > 0 && memchr(preamble.ptr, '\n', preamble.len) != NULL);
}

static enum fb_status proof_pgp_mime(GMimeMultipart *root, const struct mime_view *view, bool *is_r,
                                     struct fb_error *err)
{
    struct mime_leaf control = {0};
    struct mime_leaf data = {0};
    bool has_two = g_mime_multipart_get_count(root) == 2 && !has_text_around(root) &&
                   GMIME_IS_PART(g_mime_multipart_get_part(root, 0)) &&
                   GMIME_IS_PART(g_mime_multipart_get_part(root, 1));
    if (!has_two) {
        return FB_OK;
    }
    enum fb_status status = mime_leaf_read(g_mime_multipart_get_part(root, 0), view, &control, err);
    if (status == FB_OK) {
        status = mime_leaf_read(g_mime_multipart_get_part(root, 1), view, &data, err);
    }
    if (status == FB_OK && is_version_one(&control, &status, err) &&
        strcmp(data.type, "application/octet-stream") == 0) {
        status = is_openpgp(&data, true, is_r, err);
    }
    mime_leaf_deinit(&control);
    mime_leaf_deinit(&data);
    return status;
}

struct cms_probe {
    struct fb_buf prefix;
    uint64_t size;
};

static enum fb_status cms_take(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct cms_probe *p = ctx;
    (void)err;
    size_t room = p->prefix.max - p->prefix.len;
    p->size += len;
    return fb_buf_add(&p->prefix, bytes, len < room ? len : room);
}

/* Is the outer length all there is?  An indefinite one (streaming encoders) says nothing. */
static bool is_whole(struct fb_slice der, uint64_t size)
{
    uint64_t length = 0;
    size_t more = der.ptr[1] & 0x7FU;
    if (der.ptr[1] <= 0x80) {
        return der.ptr[1] == 0x80 || size <= der.ptr[1] + 4U;
    }
    for (size_t i = 0; i < more; i++) {
        length = length << 8 | der.ptr[2 + i];
    }
    uint64_t end = length + 2 + more;
    return length < (1ULL << 48) && size >= end &&
           size <= end + 2; /* a line end may follow binary data */
}

static enum fb_status proof_leaf(GMimeObject *root, const struct mime_view *view, bool *is_r,
                                 struct fb_error *err)
{
    struct mime_leaf leaf = {0};
    struct cms_probe probe = {0};
    fb_buf_init(&probe.prefix, 64);
    enum fb_status status = mime_leaf_read(root, view, &leaf, err);
    if (status == FB_OK && (strcmp(leaf.type, "application/pkcs7-mime") == 0 ||
                            strcmp(leaf.type, "application/x-pkcs7-mime") == 0)) {
        status = mime_leaf_stream(&leaf, cms_take, &probe, err);
        struct fb_slice der = fb_slice_buf(&probe.prefix);
        *is_r = status == FB_OK && mime_proof_cms(der) == MIME_CMS_ENVELOPED &&
                is_whole(der, probe.size);
    } else if (status == FB_OK && strcmp(leaf.type, "text/plain") == 0) {
        status = is_openpgp(&leaf, false, is_r, err);
    }
    fb_buf_deinit(&probe.prefix);
    mime_leaf_deinit(&leaf);
    return status;
}

enum fb_status mime_proof_encrypted(GMimeObject *root, const struct mime_view *view, bool *is_r,
                                    struct fb_error *err)
{
    *is_r = false;
    if (GMIME_IS_PART(root)) {
        return proof_leaf(root, view, is_r, err);
    }
    GMimeContentType *type = g_mime_object_get_content_type(root);
    if (!GMIME_IS_MULTIPART(root) || !g_mime_content_type_is_type(type, "multipart", "encrypted")) {
        return FB_OK;
    }
    const char *protocol = g_mime_content_type_get_parameter(type, "protocol");
    if (protocol == NULL || g_ascii_strcasecmp(protocol, "application/pgp-encrypted") != 0) {
        return FB_OK;
    }
    return proof_pgp_mime((GMimeMultipart *)root, view, is_r, err);
}

static bool is_report_status(GMimeContentType *t)
{
    return g_mime_content_type_is_type(t, "message", "delivery-status") ||
           g_mime_content_type_is_type(t, "message", "global-delivery-status");
}

/* The mail that the report is about, or its header. */
static bool is_report_original(GMimeContentType *t)
{
    return g_mime_content_type_is_type(t, "message", "rfc822") ||
           g_mime_content_type_is_type(t, "message", "global") ||
           g_mime_content_type_is_type(t, "message", "global-headers") ||
           g_mime_content_type_is_type(t, "text", "rfc822-headers");
}

bool mime_proof_report(GMimeObject *root)
{
    GMimeContentType *type = g_mime_object_get_content_type(root);
    if (!GMIME_IS_MULTIPART(root) || !g_mime_content_type_is_type(type, "multipart", "report")) {
        return false;
    }
    /* Words, status, and at most the original: nothing that a report would not carry. */
    int count = g_mime_multipart_get_count((GMimeMultipart *)root);
    bool is_one = count >= 2 && count <= REPORT_PARTS_MAX;
    for (int i = 0; i < count && is_one; i++) {
        GMimeObject *part = g_mime_multipart_get_part((GMimeMultipart *)root, i);
        GMimeContentType *t = g_mime_object_get_content_type(part);
        bool is_words = t == NULL || g_mime_content_type_is_type(t, "text", "*") ||
                        g_mime_content_type_is_type(t, "multipart", "*");
        is_one = i == 0   ? is_words
                 : i == 1 ? t != NULL && is_report_status(t)
                          : t != NULL && is_report_original(t);
    }
    return is_one;
}
