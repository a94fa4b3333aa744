/* SPDX-License-Identifier: Apache-2.0
 *
 * Fonts as Cairo needs them.  For each glyph that is new in a PDF Cairo looks up the character in the
 * font: it copies the table of characters (55 kB in a Japanese font) and searches it from its start,
 * which took up to half of a letter's processor time; then it takes the text that Pango gave it
 * with the glyph.  So it gets large fonts without that table: their files, mapped, with 0 tables
 * in it.  Pango's own look-ups are HarfBuzz's, which reads the files themselves.
 *
 * Cairo takes a face that a Fontconfig pattern holds instead of opening its file (cairo-ft.h).  The
 * faces live as long as the process. */
#include <fcntl.h>
#include <fontconfig/fontconfig.h>
#include <fontconfig/fcfreetype.h> /* needs the one above */
#include <ft2build.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include FT_FREETYPE_H

#include "services/render/page.h"

#define LARGE      (512L << 10) /* smaller files have short tables */
#define LARGEST    (64L << 20)
#define LONG       16384 /* bytes of a table of characters */
#define HEADER     12    /* of a font: its kind, the number of its tables */
#define ENTRY      16    /* of a table: name, checksum, offset, length */
#define MAX_TABLES 64

struct mapped {
    uint8_t *at;
    size_t size;
};

static uint32_t number(const struct mapped *m, size_t at)
{
    const uint8_t *p = m->at + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Our own copy of what we change, the system's pages for the rest. */
static bool map_file(const char *path, struct mapped *m)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_large = fstat(fd, &st) == 0 && st.st_size >= LARGE && st.st_size <= LARGEST;
    void *at =
        is_large ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    (void)close(fd);
    *m = (struct mapped){at != MAP_FAILED ? at : NULL, (size_t)st.st_size};
    return at != MAP_FAILED;
}

static uint32_t half(const struct mapped *m, size_t at)
{
    return (uint32_t)m->at[at] << 8 | m->at[at + 1];
}

/* Where the table of characters is; 0: nowhere. */
static size_t find_characters(const struct mapped *m)
{
    if (m->size < HEADER || number(m, 0) != 0x00010000) {
        return 0;
    }
    size_t count = half(m, 4);
    for (size_t i = 0; i < count && i < MAX_TABLES && m->size >= HEADER + (i + 1) * ENTRY; i++) {
        size_t entry = HEADER + i * ENTRY;
        size_t at = number(m, entry + 8);
        if (memcmp(m->at + entry, "cmap", 4) == 0 && at < m->size) {
            return at;
        }
    }
    return 0;
}

/* Whether the subtable that Cairo would search (platform 3, encoding 1: format, then length) is long. */
static bool is_long(const struct mapped *m, size_t table)
{
    size_t room = m->size - table;
    size_t count = room >= 4 ? half(m, table + 2) : 0;
    for (size_t i = 0; i < count && i < MAX_TABLES && room >= 4 + (i + 1) * 8; i++) {
        size_t entry = table + 4 + i * 8;
        size_t at = number(m, entry + 4);
        if (half(m, entry) == 3 && half(m, entry + 2) == 1 && at < room && room - at >= 4) {
            return half(m, table + at + 2) >= LONG;
        }
    }
    return false;
}

/* The table: version, then the number of its subtables.  Only its page is made writable, and stays so:
 * of a mapping in one piece each fork would copy the whole list of pages. */
static bool hide_characters(const struct mapped *m)
{
    size_t table = find_characters(m);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (table == 0 || !is_long(m, table)) {
        return false;
    }
    uintptr_t first = (uintptr_t)(m->at + table + 2) & ~(page - 1);
    uintptr_t end = (uintptr_t)(m->at + table + 4);
    if (mprotect((void *)first, end - first, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    m->at[table + 2] = m->at[table + 3] = 0;
    return true;
}

static FT_Face face_of(FT_Library library, const char *path)
{
    struct mapped m = {0};
    FT_Face face = NULL;
    if (!map_file(path, &m)) {
        return NULL;
    }
    bool is_made =
        hide_characters(&m) && FT_New_Memory_Face(library, m.at, (FT_Long)m.size, 0, &face) == 0;
    if (is_made && (face->family_name == NULL || face->style_name == NULL)) {
        (void)FT_Done_Face(face); /* Fontconfig takes them for granted */
        face = NULL;
    }
    if (face == NULL) {
        (void)munmap(m.at, m.size);
    }
    return face;
}

/* The file of a plain TrueType font, else NULL. */
static const char *file_of(FcPattern *font)
{
    FcChar8 *file = NULL;
    FcChar8 *format = NULL;
    FcBool is_variable = FcFalse;
    FcBool is_colour = FcFalse;
    int index = 0;
    bool is_plain =
        FcPatternGetString(font, FC_FILE, 0, &file) == FcResultMatch &&
        FcPatternGetString(font, FC_FONTFORMAT, 0, &format) == FcResultMatch &&
        strcmp((const char *)format, "TrueType") == 0 &&
        FcPatternGetInteger(font, FC_INDEX, 0, &index) == FcResultMatch && index == 0 &&
        (FcPatternGetBool(font, FC_VARIABLE, 0, &is_variable) != FcResultMatch || !is_variable) &&
        (FcPatternGetBool(font, FC_COLOR, 0, &is_colour) != FcResultMatch || !is_colour);
    return is_plain ? (const char *)file : NULL;
}

void render_page_faces(FcConfig *config)
{
    FT_Library library = NULL;
    FcFontSet *fonts = FcConfigGetFonts(config, FcSetSystem);
    if (fonts == NULL || FT_Init_FreeType(&library) != 0) {
        return; /* Cairo opens all files itself */
    }
    for (int i = 0; i < fonts->nfont; i++) {
        const char *file = file_of(fonts->fonts[i]);
        FT_Face face = file != NULL ? face_of(library, file) : NULL;
        FcPattern *ours = face != NULL ? FcPatternDuplicate(fonts->fonts[i]) : NULL;
        if (ours != NULL && FcPatternAddFTFace(ours, FC_FT_FACE, face)) {
            FcPatternDestroy(fonts->fonts[i]); /* the cache's, which nobody may change */
            fonts->fonts[i] = ours;
        }
    }
}
