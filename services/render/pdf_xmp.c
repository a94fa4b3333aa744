/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "services/render/pdf_archive.h"

#define LAST_MS   253402300799000LL /* the year 9999 ends */
#define TITLE_MAX 4000              /* a string of PDF/A has 32767 bytes at most, UTF-16 here */

void render_pdf_dates(int64_t date_ms, char pdf_r[RENDER_PDF_DATE], char xmp_r[RENDER_PDF_DATE])
{
    time_t seconds = date_ms > 0 && date_ms <= LAST_MS ? (time_t)(date_ms / 1000) : 0;
    struct tm tm = {.tm_year = 70, .tm_mday = 1};
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(pdf_r, RENDER_PDF_DATE, "D:%Y%m%d%H%M%SZ", &tm);
    (void)strftime(xmp_r, RENDER_PDF_DATE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

char *render_pdf_title(const char *text)
{
    GString *out = g_string_new(NULL);
    char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);
    for (char *c = valid; *c != '\0' && out->len < TITLE_MAX; c = g_utf8_find_next_char(c, NULL)) {
        gunichar u = g_utf8_get_char(c);
        bool is_bad = u < 0x20 || (u >= 0x7F && u < 0xA0) || (u & 0xFFFE) == 0xFFFE;
        g_string_append_unichar(out, is_bad ? ' ' : u);
    }
    g_free(valid);
    return g_string_free(out, FALSE);
}

enum fb_status render_pdf_xmp(struct fb_buf *out, const char *title, const char *language,
                              const char *date, const char *producer, bool claims)
{
    char *words = g_markup_escape_text(title, -1);
    enum fb_status s = fb_buf_printf(
        out,
        "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
        "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
        "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"\n"
        "  xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\"\n"
        "  xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\">\n"
        "<dc:format>application/pdf</dc:format>\n"
        "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">%s</rdf:li></rdf:Alt></dc:title>\n"
        "<dc:language><rdf:Bag><rdf:li>%s</rdf:li></rdf:Bag></dc:language>\n"
        "<xmp:CreatorTool>%s</xmp:CreatorTool>\n"
        "<xmp:CreateDate>%s</xmp:CreateDate>\n"
        "<xmp:ModifyDate>%s</xmp:ModifyDate>\n"
        "<pdf:Producer>%s</pdf:Producer>\n"
        "%s"
        "</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"r\"?>\n",
        words, language, producer, date, date, producer,
        claims ? "<pdfaid:part>3</pdfaid:part>\n<pdfaid:conformance>B</pdfaid:conformance>\n" : "");
    g_free(words);
    return s;
}
