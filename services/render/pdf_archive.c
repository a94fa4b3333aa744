/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers in brackets are clauses of ISO 19005-3. */
#include "services/render/pdf_archive.h"

#include <glib.h>
#include <openssl/evp.h>
#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#define PRODUCER    "Fumibako"
#define MAX_OBJECTS 2000000
#define FLAG_PRINT  4
#define MAX_XMP     (64U << 10)

struct file {
    qpdf_data q;
    const struct render_pdf_archive *archive;
    const char *hindrance; /* the first that was met */
    char pdf_date[RENDER_PDF_DATE], xmp_date[RENDER_PDF_DATE];
    char *title;
};

static void hinder(struct file *f, const char *what)
{
    f->hindrance = f->hindrance != NULL ? f->hindrance : what;
}

static qpdf_oh get(const struct file *f, qpdf_oh dict, const char *key)
{
    return qpdf_oh_get_key(f->q, dict, key);
}

static bool has(const struct file *f, qpdf_oh dict, const char *key)
{
    return qpdf_oh_has_key(f->q, dict, key) != QPDF_FALSE;
}

static void set(const struct file *f, qpdf_oh dict, const char *key, qpdf_oh value)
{
    qpdf_oh_replace_key(f->q, dict, key, value);
}

static bool is_name(const struct file *f, qpdf_oh o, const char *name)
{
    return qpdf_oh_is_name_and_equals(f->q, o, name) != QPDF_FALSE;
}

static bool names(const struct file *f, qpdf_oh dict, const char *key, const char *name)
{
    return is_name(f, get(f, dict, key), name);
}

static qpdf_oh new_name(const struct file *f, const char *name)
{
    return qpdf_oh_new_name(f->q, name);
}

/* ---- what the painters left ---- */

/* A link goes to an address or to a place of the document; nothing starts by itself (6.5.1, 6.5.2). */
static void keep_harmless_action(struct file *f, qpdf_oh dict)
{
    qpdf_oh action = get(f, dict, "/A");
    bool is_harmless = names(f, action, "/S", "/URI") || names(f, action, "/S", "/GoTo");
    qpdf_oh_remove_key(f->q, dict, "/AA");
    if (has(f, dict, "/A") && !is_harmless) {
        qpdf_oh_remove_key(f->q, dict, "/A");
    } else if (has(f, action, "/Next")) {
        qpdf_oh_remove_key(f->q, action, "/Next");
    }
}

/* Printed with the page, hidden by nobody (6.3.2). */
static void fix_annotation(struct file *f, qpdf_oh annotation)
{
    keep_harmless_action(f, annotation);
    set(f, annotation, "/F", qpdf_oh_new_integer(f->q, FLAG_PRINT));
    if (!names(f, annotation, "/Subtype", "/Link")) {
        hinder(f, "not PDF/A: annotation");
    }
}

static void fix_annotations(struct file *f, qpdf_oh list)
{
    int count = qpdf_oh_is_array(f->q, list) ? qpdf_oh_get_array_n_items(f->q, list) : 0;
    for (int i = 0; i < count; i++) {
        fix_annotation(f, qpdf_oh_get_array_item(f->q, list, i));
    }
}

static bool is_cmyk(const struct file *f, qpdf_oh space)
{
    if (qpdf_oh_is_array(f->q, space) && qpdf_oh_get_array_n_items(f->q, space) >= 2) {
        qpdf_oh first = qpdf_oh_get_array_item(f->q, space, 0);
        return is_name(f, first, "/Indexed") &&
               is_name(f, qpdf_oh_get_array_item(f->q, space, 1), "/DeviceCMYK");
    }
    return is_name(f, space, "/DeviceCMYK");
}

/* No smoothing that the file asks for (6.2.8.1), no device's colours but those of the output intent
 * (6.2.4.3). */
static void fix_image(struct file *f, qpdf_oh dict)
{
    qpdf_oh_remove_key(f->q, dict, "/Interpolate");
    qpdf_oh_remove_key(f->q, dict, "/Alternates");
    qpdf_oh_remove_key(f->q, dict, "/OPI");
    if (is_cmyk(f, get(f, dict, "/ColorSpace"))) {
        hinder(f, "not PDF/A: CMYK picture");
    }
}

/* All fonts are in the file (6.2.11.4), and glyphs are found without help (6.2.11.3.2). */
static void fix_font(struct file *f, qpdf_oh dict)
{
    if (names(f, dict, "/Subtype", "/Type3") || names(f, dict, "/Subtype", "/Type0")) {
        return;
    }
    qpdf_oh descriptor = get(f, dict, "/FontDescriptor");
    if (!has(f, descriptor, "/FontFile") && !has(f, descriptor, "/FontFile2") &&
        !has(f, descriptor, "/FontFile3")) {
        hinder(f, "not PDF/A: font that is not embedded");
    }
    qpdf_oh_remove_key(f->q, descriptor, "/CIDSet"); /* must be complete, or absent (6.2.11.4.2) */
    qpdf_oh_remove_key(f->q, descriptor, "/CharSet");
    if (names(f, dict, "/Subtype", "/CIDFontType2") && !has(f, dict, "/CIDToGIDMap")) {
        set(f, dict, "/CIDToGIDMap", new_name(f, "/Identity"));
    }
}

static void fix_object(struct file *f, qpdf_oh o)
{
    bool is_stream = qpdf_oh_is_stream(f->q, o) != QPDF_FALSE;
    qpdf_oh dict = is_stream ? qpdf_oh_get_dict(f->q, o) : o;
    if (!qpdf_oh_is_dictionary(f->q, dict)) {
        return;
    }
    if (is_stream && names(f, dict, "/Subtype", "/Image")) {
        fix_image(f, dict);
    } else if (names(f, dict, "/Type", "/Page")) {
        qpdf_oh_remove_key(f->q, dict, "/AA");
        fix_annotations(f, get(f, dict, "/Annots"));
    } else if (names(f, dict, "/Type", "/Font")) {
        fix_font(f, dict);
    } else if (names(f, dict, "/Type", "/ExtGState")) {
        qpdf_oh_remove_key(f->q, dict, "/TR"); /* 6.2.5 */
        qpdf_oh_remove_key(f->q, dict, "/HTP");
    } else if (names(f, dict, "/Type", "/Action") || has(f, dict, "/SE")) { /* or an outline's */
        keep_harmless_action(f, dict);
    }
}

static enum fb_status fix_objects(struct file *f, struct fb_error *err)
{
    int size = qpdf_oh_get_int_value_as_int(f->q, get(f, qpdf_get_trailer(f->q), "/Size"));
    if (size <= 0 || size > MAX_OBJECTS) {
        return fb_error_set(err, FB_INVALID, "the painter's PDF has %d objects", size);
    }
    for (int i = 1; i < size; i++) {
        fix_object(f, qpdf_get_object_by_id(f->q, i, 0));
        qpdf_oh_release_all(f->q);
    }
    return FB_OK;
}

/* ---- what the standard wants ---- */

static qpdf_oh new_stream(const struct file *f, struct fb_slice bytes)
{
    qpdf_oh stream = qpdf_oh_new_stream(f->q);
    qpdf_oh_replace_stream_data(f->q, stream, bytes.ptr, bytes.len, qpdf_oh_new_null(f->q),
                                qpdf_oh_new_null(f->q));
    return stream;
}

static void set_information(const struct file *f)
{
    qpdf_oh info = qpdf_oh_new_dictionary(f->q);
    if (f->title[0] != '\0') {
        set(f, info, "/Title", qpdf_oh_new_unicode_string(f->q, f->title));
    }
    set(f, info, "/Creator", qpdf_oh_new_string(f->q, PRODUCER));
    set(f, info, "/Producer", qpdf_oh_new_string(f->q, PRODUCER));
    set(f, info, "/CreationDate", qpdf_oh_new_string(f->q, f->pdf_date));
    set(f, info, "/ModDate", qpdf_oh_new_string(f->q, f->pdf_date));
    set(f, qpdf_get_trailer(f->q), "/Info", qpdf_make_indirect_object(f->q, info));
}

/* Not compressed, so that archives find it without a library (6.6.2). */
static enum fb_status set_metadata(const struct file *f, qpdf_oh root)
{
    struct fb_buf xmp;
    fb_buf_init(&xmp, MAX_XMP);
    enum fb_status s = render_pdf_xmp(&xmp, f->title, f->archive->is_japanese ? "ja" : "en",
                                      f->xmp_date, PRODUCER, f->hindrance == NULL);
    if (s == FB_OK) {
        qpdf_oh stream = new_stream(f, fb_slice_buf(&xmp));
        qpdf_oh dict = qpdf_oh_get_dict(f->q, stream);
        set(f, dict, "/Type", new_name(f, "/Metadata"));
        set(f, dict, "/Subtype", new_name(f, "/XML"));
        set(f, root, "/Metadata", stream);
    }
    fb_buf_deinit(&xmp);
    return s;
}

/* 6.2.3 */
static void set_output_intent(const struct file *f, qpdf_oh root)
{
    qpdf_oh profile = new_stream(f, render_pdf_srgb());
    qpdf_oh intent = qpdf_oh_new_dictionary(f->q);
    qpdf_oh list = qpdf_oh_new_array(f->q);
    set(f, qpdf_oh_get_dict(f->q, profile), "/N", qpdf_oh_new_integer(f->q, 3));
    set(f, intent, "/Type", new_name(f, "/OutputIntent"));
    set(f, intent, "/S", new_name(f, "/GTS_PDFA1"));
    set(f, intent, "/OutputConditionIdentifier", qpdf_oh_new_string(f->q, "sRGB"));
    set(f, intent, "/Info", qpdf_oh_new_string(f->q, "sRGB IEC61966-2.1"));
    set(f, intent, "/DestOutputProfile", profile);
    qpdf_oh_append_item(f->q, list, intent);
    set(f, root, "/OutputIntents", list);
}

static qpdf_oh new_attachment(const struct file *f)
{
    uint8_t md5[EVP_MAX_MD_SIZE] = {0};
    unsigned len = 0;
    struct fb_slice mail = f->archive->mail;
    qpdf_oh stream = new_stream(f, mail);
    qpdf_oh dict = qpdf_oh_get_dict(f->q, stream);
    qpdf_oh params = qpdf_oh_new_dictionary(f->q);
    set(f, params, "/Size", qpdf_oh_new_integer(f->q, (long long)mail.len));
    set(f, params, "/ModDate", qpdf_oh_new_string(f->q, f->pdf_date));
    /* MD5 is what the format has (ISO 32000-1, table 46): against accidents, not against forgers. */
    if (EVP_Digest(mail.ptr, mail.len, md5, &len, EVP_md5(), NULL) == 1) {
        set(f, params, "/CheckSum", qpdf_oh_new_binary_string(f->q, (const char *)md5, len));
    }
    set(f, dict, "/Type", new_name(f, "/EmbeddedFile"));
    set(f, dict, "/Subtype", new_name(f, "/message/rfc822"));
    set(f, dict, "/Params", params);
    return stream;
}

/* 6.8: the mail from which these pages were made. */
static void attach_mail(const struct file *f, qpdf_oh root)
{
    static const char name[] = "message.eml";
    qpdf_oh stream = new_attachment(f);
    qpdf_oh files = qpdf_oh_new_dictionary(f->q);
    qpdf_oh spec = qpdf_oh_new_dictionary(f->q);
    set(f, files, "/F", stream);
    set(f, files, "/UF", stream);
    set(f, spec, "/Type", new_name(f, "/Filespec"));
    set(f, spec, "/F", qpdf_oh_new_string(f->q, name));
    set(f, spec, "/UF", qpdf_oh_new_unicode_string(f->q, name));
    set(f, spec, "/Desc",
        qpdf_oh_new_unicode_string(f->q,
                                   f->archive->is_japanese ? "元のメール" : "The mail itself"));
    set(f, spec, "/AFRelationship", new_name(f, "/Source"));
    set(f, spec, "/EF", files);
    spec = qpdf_make_indirect_object(f->q, spec);
    qpdf_oh list = qpdf_oh_new_array(f->q);
    qpdf_oh_append_item(f->q, list, spec);
    set(f, root, "/AF", list);
    qpdf_oh tree = qpdf_oh_new_dictionary(f->q);
    qpdf_oh leaf = qpdf_oh_new_array(f->q);
    qpdf_oh_append_item(f->q, leaf, qpdf_oh_new_unicode_string(f->q, name));
    qpdf_oh_append_item(f->q, leaf, spec);
    set(f, tree, "/Names", leaf);
    qpdf_oh all = get(f, root, "/Names");
    if (!qpdf_oh_is_dictionary(f->q, all)) {
        all = qpdf_oh_new_dictionary(f->q);
        set(f, root, "/Names", all);
    }
    set(f, all, "/EmbeddedFiles", tree);
}

static enum fb_status set_catalog(const struct file *f)
{
    static const char *const forbidden[] = {"/AA",           "/OpenAction", "/AcroForm",
                                            "/Requirements", "/Perms",      "/NeedsRendering",
                                            "/OCProperties", "/Extensions"};
    qpdf_oh root = qpdf_get_root(f->q);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        qpdf_oh_remove_key(f->q, root, forbidden[i]);
    }
    qpdf_oh all = get(f, root, "/Names");
    if (qpdf_oh_is_dictionary(f->q, all)) {
        qpdf_oh_remove_key(f->q, all, "/JavaScript");
        qpdf_oh_remove_key(f->q, all, "/EmbeddedFiles");
        qpdf_oh_remove_key(f->q, all, "/AlternatePresentations");
    }
    qpdf_oh preferences = qpdf_oh_new_dictionary(f->q);
    set(f, preferences, "/DisplayDocTitle", qpdf_oh_new_bool(f->q, QPDF_TRUE));
    set(f, root, "/ViewerPreferences", preferences);
    set(f, root, "/Lang", qpdf_oh_new_string(f->q, f->archive->is_japanese ? "ja" : "en"));
    if (!f->archive->is_tagged) {
        qpdf_oh_remove_key(f->q, root, "/StructTreeRoot");
        qpdf_oh_remove_key(f->q, root, "/MarkInfo");
    }
    set_output_intent(f, root);
    if (f->archive->mail.len > 0) {
        attach_mail(f, root);
    }
    return set_metadata(f, root);
}

/* ---- the whole ---- */

static enum fb_status fail(const struct file *f, struct fb_error *err)
{
    qpdf_error e = qpdf_has_error(f->q) ? qpdf_get_error(f->q) : NULL;
    const char *text = e != NULL ? qpdf_get_error_message_detail(f->q, e) : "unknown";
    return fb_error_set(err, FB_INVALID, "the painter's PDF cannot be read: %.200s",
                        text != NULL ? text : "unknown");
}

static enum fb_status read_file(const struct file *f, struct fb_slice pdf, struct fb_error *err)
{
    qpdf_silence_errors(f->q);
    qpdf_set_suppress_warnings(f->q, QPDF_TRUE);
    int code = qpdf_read_memory(f->q, "body.pdf", (const char *)pdf.ptr, pdf.len, NULL);
    return (code & QPDF_ERRORS) != 0 ? fail(f, err) : FB_OK;
}

static enum fb_status write_file(const struct file *f, const char *version, struct fb_buf *out,
                                 struct fb_error *err)
{
    if ((qpdf_init_write_memory(f->q) & QPDF_ERRORS) != 0) {
        return fail(f, err);
    }
    qpdf_set_minimum_pdf_version(f->q, version);
    qpdf_set_deterministic_ID(f->q, QPDF_TRUE);
    qpdf_set_object_stream_mode(f->q, qpdf_o_generate);
    qpdf_set_compress_streams(f->q, QPDF_TRUE); /* what is not yet; the rest stays as it is */
    qpdf_set_decode_level(f->q, qpdf_dl_none);
    qpdf_set_newline_before_endstream(f->q, QPDF_TRUE); /* 6.1.7.1 */
    if ((qpdf_write(f->q) & QPDF_ERRORS) != 0) {
        return fail(f, err);
    }
    enum fb_status s = fb_buf_add(out, qpdf_get_buffer(f->q), qpdf_get_buffer_length(f->q));
    return s == FB_OK ? s : fb_error_set(err, s, "the body PDF is larger than its limit");
}

enum fb_status render_pdf_archive(struct fb_slice pdf, const struct render_pdf_archive *archive,
                                  struct fb_buf *out, const char **hindrance_r,
                                  struct fb_error *err)
{
    struct file f = {.q = qpdf_init(), .archive = archive};
    render_pdf_dates(archive->date_ms, f.pdf_date, f.xmp_date);
    f.title = render_pdf_title(archive->title);
    enum fb_status s = read_file(&f, pdf, err);
    if (s == FB_OK) {
        s = fix_objects(&f, err);
    }
    if (s == FB_OK) {
        set_information(&f);
        s = set_catalog(&f);
    }
    if (s == FB_OK) {
        s = write_file(&f, "1.7", out, err);
    }
    *hindrance_r = f.hindrance;
    g_free(f.title);
    qpdf_cleanup(&f.q);
    return s;
}

enum fb_status render_pdf_pack(struct fb_slice pdf, struct fb_buf *out, struct fb_error *err)
{
    struct file f = {.q = qpdf_init()};
    enum fb_status s = read_file(&f, pdf, err);
    if (s == FB_OK) {
        s = write_file(&f, "1.5", out, err);
    }
    qpdf_cleanup(&f.q);
    return s;
}

/* ---- the mail ---- */

static bool is_hidden(struct fb_slice line)
{
    return fb_slice_istarts(line, "bcc:") || fb_slice_istarts(line, "resent-bcc:") ||
           fb_slice_istarts(line, "bcc ") || fb_slice_istarts(line, "resent-bcc ") ||
           fb_slice_istarts(line, "bcc\t") || fb_slice_istarts(line, "resent-bcc\t");
}

enum fb_status render_pdf_mail(struct fb_slice message, struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    bool is_left_out = false;
    while (message.len > 0 && s == FB_OK) {
        size_t n = fb_slice_find(message, fb_slice_str("\n"));
        struct fb_slice line = fb_slice_sub(message, 0, n == SIZE_MAX ? n : n + 1);
        if (fb_slice_trim(line).len == 0) {
            break; /* the body */
        }
        bool goes_on = line.ptr[0] == ' ' || line.ptr[0] == '\t';
        is_left_out = goes_on ? is_left_out : is_hidden(line);
        if (!is_left_out) {
            s = fb_buf_add_slice(out, line);
        }
        message = fb_slice_sub(message, line.len, SIZE_MAX);
    }
    return s == FB_OK ? fb_buf_add_slice(out, message) : s;
}
