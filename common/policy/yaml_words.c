/* SPDX-License-Identifier: Apache-2.0
 *
 * What common/yaml.c and libyaml say of a document that is no YAML, in Japanese: for the findings of a policy.  A
 * row has the same conversions in the same order in both languages.  "line %d: " stays: parse.c makes it the line
 * of the finding.  A complaint of libyaml and what it was at ("... while parsing a node") are looked up one by one. */
#include "common/policy/read.h"

#include <string.h>

static const struct row {
    const char *en, *ja;
} rows[] = {
    /* common/yaml.c */
    {"a text that begins with \"!\" must be in quotes",
     "\"!\" で始まる文字列は引用符で囲んでください"},
    {"a text that begins with \"*\" must be in quotes",
     "\"*\" で始まる文字列は引用符で囲んでください"},
    {"a text that begins with \"&\" must be in quotes",
     "\"&\" で始まる文字列は引用符で囲んでください"},
    {"a text that begins with \"@\", \"%\" or \"`\" must be in quotes",
     "\"@\"、\"%\"、\"`\" で始まる文字列は引用符で囲んでください"},
    {"line %d: a text that begins with \"!\" must be in quotes",
     "line %d: \"!\" で始まる文字列は引用符で囲んでください"},
    {"line %d: a NUL character is not allowed", "line %d: NUL 文字は使えません"},
    {"line %d: aliases are not supported; a text that begins with \"*\" must be in quotes",
     "line %d: エイリアスは使えません。\"*\" で始まる文字列は引用符で囲んでください"},
    {"line %d: a key must be plain text", "line %d: キーには文字列を指定してください"},
    {"line %d: the key \"%.64s\" is there twice (first on line %d)",
     "line %d: キー「%.64s」が重複しています (最初は %d 行目)。一方を削除してください"},
    {"line %d: more than %d keys in one map",
     "line %d: 1 つのマップのキーが %d 個を超えています。減らしてください"},
    {"line %d: nested deeper than %d levels", "line %d: 入れ子が %d 段を超えています"},
    {"line %d: more than %d values", "line %d: 値が %d 個を超えています。減らしてください"},
    {"line %d: not YAML", "line %d: YAML ではありません"},
    {"line %d: more than one document",
     "line %d: 文書が 2 つ以上あります。\"---\" で区切らず、1 つにまとめてください"},
    {"line 1: the document is larger than %zu bytes",
     "line 1: 文書が %zu バイトを超えています。小さくしてください"},
    {"not YAML", "YAML ではありません"},
    /* libyaml: the structure */
    {"block sequence entries are not allowed in this context",
     "ここにリストの項目 (\"- \") は書けません。字下げを確認してください"},
    {"mapping keys are not allowed in this context",
     "ここにキーは書けません。字下げを確認してください"},
    {"mapping values are not allowed in this context",
     "ここに \":\" の付いた値は書けません。字下げを確認するか、文字列なら引用符で囲んでください"},
    {"could not find expected ':'",
     "キーの後ろに \":\" がありません。\"キー: 値\" の形で書いてください"},
    {"did not find expected ',' or ']'", "\",\" または \"]\" がありません"},
    {"did not find expected ',' or '}'", "\",\" または \"}\" がありません"},
    {"did not find expected '-' indicator",
     "リストの項目 (\"- \") がありません。字下げを確認してください"},
    {"did not find expected key", "キーがありません。字下げと引用符を確認してください"},
    {"did not find expected node content", "値がありません。括弧と \",\" を確認してください"},
    {"did not find expected <document start>", "文書の始まり (\"---\") がありません"},
    {"did not find expected <stream-start>", "文書の始まりがありません"},
    {"found unexpected ':'",
     "ここに \":\" は書けません。\":\" を含む文字列は引用符で囲んでください"},
    {"found unexpected document indicator",
     "文字列の途中に \"---\" または \"...\" があります。引用符が閉じているか確認してください"},
    {"found unexpected end of stream",
     "文書が途中で終わっています。引用符が閉じているか確認してください"},
    {"found a tab character that violates indentation",
     "字下げにタブがあります。空白に置き換えてください"},
    {"found a tab character where an indentation space is expected",
     "字下げにタブがあります。空白に置き換えてください"},
    {"found an indentation indicator equal to 0", "字下げの指定は 1 から 9 までです"},
    {"found character that cannot start any token",
     "この文字で値を始めることはできません。引用符で囲んでください"},
    {"found unknown escape character",
     "\"\\\" の後ろの文字が正しくありません。\"\\\" を文字として書くには \"\\\\\" "
     "とするか、単一引用符で囲んでください"},
    {"found invalid Unicode character escape code", "\"\\u\" の文字コードが正しくありません"},
    {"did not find expected hexdecimal number", "\"\\x\"、\"\\u\" の後ろに 16 進数がありません"},
    {"did not find expected comment or line break",
     "\"|\" や \">\" の後ろには、改行かコメントだけを書いてください"},
    /* libyaml: directives and tags, which no policy needs */
    {"could not find expected directive name", "\"%\" で始まる行の指示が正しくありません"},
    {"found unknown directive name", "\"%\" で始まる行の指示が正しくありません"},
    {"found duplicate %YAML directive", "%YAML が重複しています"},
    {"found duplicate %TAG directive", "%TAG が重複しています"},
    {"found incompatible YAML document", "この YAML の版には対応していません"},
    {"found extremely long version number", "%YAML の版が正しくありません"},
    {"did not find expected digit or '.' character", "%YAML の版が正しくありません"},
    {"did not find expected version number", "%YAML の版が正しくありません"},
    {"found unexpected non-alphabetical character", "英字以外の文字があります"},
    {"did not find expected whitespace", "空白がありません"},
    {"did not find expected whitespace or line break", "空白または改行がありません"},
    /* libyaml: characters */
    {"control characters are not allowed", "制御文字は使えません"},
    {"invalid leading UTF-8 octet", "UTF-8 ではない文字があります。UTF-8 で保存してください"},
    {"invalid trailing UTF-8 octet", "UTF-8 ではない文字があります。UTF-8 で保存してください"},
    {"incomplete UTF-8 octet sequence", "UTF-8 の文字が途中で切れています"},
    {"invalid length of a UTF-8 sequence",
     "UTF-8 ではない文字があります。UTF-8 で保存してください"},
    {"invalid Unicode character", "Unicode にない文字があります"},
    {"input is too long", "文書が大きすぎます"},
    /* libyaml: what it was at */
    {"while parsing a block collection", "(リストの途中)"},
    {"while parsing a block mapping", "(マップの途中)"},
    {"while parsing a block node", "(値の途中)"},
    {"while parsing a node", "(値の途中)"},
    {"while parsing a flow node", "([ ] または { } の途中)"},
    {"while parsing a flow mapping", "({ } の途中)"},
    {"while parsing a flow sequence", "([ ] の途中)"},
    {"while parsing a quoted scalar", "(引用符で囲んだ文字列の途中)"},
    {"while scanning a quoted scalar", "(引用符で囲んだ文字列の途中)"},
    {"while scanning a plain scalar", "(文字列の途中)"},
    {"while scanning a block scalar", "(複数行の文字列の途中)"},
    {"while scanning a simple key", "(キーの途中)"},
    {"while scanning a directive", "(\"%\" で始まる行の途中)"},
    {"while scanning a %YAML directive", "(%YAML の途中)"},
    {"while scanning a %TAG directive", "(%TAG の途中)"},
    {"while scanning for the next token", "(値の始まり)"},
};

const char *fb_pol_yaml_words_ja(const char *en)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].en, en) == 0) {
            return rows[i].ja;
        }
    }
    return en;
}
