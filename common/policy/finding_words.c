/* SPDX-License-Identifier: Apache-2.0
 *
 * What the check of a policy says, in Japanese: by its English words, which stand where they are said.  A row has
 * the same conversions in the same order in both languages; what stands before the first ": " is the place in the
 * document and the same, too.  tests/integration/ctl/policy_words.test.mjs finds what has no row.  The words of
 * YAML's own errors are in yaml_words.c. */
#include "common/language.h"
#include "common/policy/read.h"

static const struct fb_language_row rows[] = {
    /* findings.c */
    {"more than %d findings: the rest is not listed",
     "指摘が %d 件を超えたため、残りは表示していません"},
    /* read.c */
    {"a list", "リスト"},
    {"a map", "マップ"},
    {"a single value", "単一の値"},
    {"none", "なし"},
    {"%s: must be a map (key: value), is %s",
     "%s: マップ (キー: 値) を指定してください (現在は%s)"},
    {"%s: unknown key; known: %s", "%s: このキーは使えません。使えるキー: %s"},
    {"%s: must be a list, is %s; write [ ] around it",
     "%s: リストを指定してください (現在は%s)。値を [ ] で囲みます"},
    {"%s: has %zu items, at most %zu are allowed",
     "%s: 項目が %zu 個あります。%zu 個までにしてください"},
    {"%s: must be a text, is %s", "%s: 文字列を指定してください (現在は%s)"},
    {"%s: must not be empty", "%s: 空にはできません。値を指定してください"},
    {"%s: is longer than %zu bytes", "%s: %zu バイトを超えています。短くしてください"},
    {"%s: must be one line without control characters",
     "%s: 制御文字を含まない 1 行の文字列を指定してください"},
    {"%s: \"%s\" is missing", "%s: 「%s」を指定してください"},
    {"%s: must be a single value, is %s", "%s: 単一の値を指定してください (現在は%s)"},
    {"%s: must be true or false (without quotes), is \"%.40s\"",
     "%s: true または false を引用符なしで指定してください (現在は「%.40s」)"},
    {"%s: must be one of %s, is \"%.40s\"",
     "%s: %s のいずれかを指定してください (現在は「%.40s」)"},
    {"%s: must be a whole number (without quotes), is \"%.40s\"",
     "%s: 整数を引用符なしで指定してください (現在は「%.40s」)"},
    {"%s: must be between %lld and %lld, is %lld",
     "%s: %lld から %lld までの数を指定してください (現在は %lld)"},
    {"%s: must be a size such as 10MiB, 500kB or 4096, is \"%.40s\"",
     "%s: 10MiB、500kB、4096 のようにサイズを指定してください (現在は「%.40s」)"},
    {"%s: must be a duration such as 30d, 12h or 0, is \"%.40s\"",
     "%s: 30d、12h、0 のように期間を指定してください (現在は「%.40s」)"},
    {"%s: must be whole seconds and at most %lldd, is \"%.40s\"",
     "%s: 期間は 1 秒単位で、%lldd 以内で指定してください (現在は「%.40s」)"},
    /* parse.c: groups, security definitions */
    {"%s.name: \"%s\" is there twice", "%s.name: 「%s」が重複しています。別の名前にしてください"},
    {"%s.name: \"%.60s\": a group's name holds none of @ * ? / < > and begins with neither "
     "\"!\" nor \"group:\"",
     "%s.name: 「%.60s」: グループ名に @ * ? / < > は使えません。また、\"!\" や \"group:\" "
     "で始めることはできません"},
    {"%s: a group needs at least one member", "%s: グループには 1 つ以上のメンバーが必要です"},
    {"%s.purge_after: counts from the end of access and needs expires_after; set "
     "expires_after, or remove purge_after to keep the content",
     "%s.purge_after: アクセスの終了から数えるため、expires_after が必要です。expires_after "
     "を指定するか、内容を残す場合は purge_after を削除してください"},
    {"%s: max_downloads has no effect with download: false",
     "%s: download: false のため、max_downloads は効果がありません"},
    {"%s: password_to has no effect without password: generated",
     "%s: password: generated ではないため、password_to は効果がありません"},
    {"%s: trusted_days has no effect with proof: link, which asks for nothing",
     "%s: proof: link では本人確認を行わないため、trusted_days は効果がありません"},
    {"document: is empty; a policy without rules is written \"rules: []\"",
     "document: 内容が空です。ルールのないポリシーは \"rules: []\" と書きます"},
    {"document: is larger than %zu bytes",
     "document: %zu バイトを超えています。小さくしてください"},
    /* parse_storage.c */
    {"%s.%s: must be a Box id (digits), is \"%.40s\"",
     "%s.%s: Box の ID (数字) を指定してください (現在は「%.40s」)"},
    {"%s: must be a Box user id (digits), is \"%.40s\"",
     "%s: Box のユーザー ID (数字) を指定してください (現在は「%.40s」)"},
    {"%s: \"id\" is missing", "%s: 「id」を指定してください"},
    {"%s: user %s is there twice", "%s: ユーザー %s が重複しています。一方を削除してください"},
    {"%s.%s: http sends access tokens unencrypted; use https",
     "%s.%s: http ではアクセストークンが暗号化されずに送られます。https を使ってください"},
    {"%s.%s: must be a URL https://host/path, is \"%.100s\"",
     "%s.%s: https://ホスト/パス の形式の URL を指定してください (現在は「%.100s」)"},
    {"%s.url: must be file:///directory or s3://bucket/prefix, is \"%.100s\"",
     "%s.url: file:///フォルダー または s3://バケット/接頭辞 を指定してください "
     "(現在は「%.100s」)"},
    {"%s.name: \"invite\" has a meaning in without_account; take another",
     "%s.name: 「invite」は without_account で特別な意味を持ちます。別の名前にしてください"},
    {"%s: \"type\" is missing (box or vault)", "%s: 「type」を指定してください (box または vault)"},
    /* parse_storage.c: notices */
    {"notices.logo: must be the absolute path of an image file or a "
     "data:image/png|jpeg|gif;base64, URL",
     "notices.logo: 画像ファイルの絶対パス、または data:image/png|jpeg|gif;base64, で始まる URL "
     "を指定してください"},
    {"%s: unknown placeholder {{%.*s}}; known: %s, %s",
     "%s: 差し込み項目 {{%.*s}} は使えません。使える項目: %s, %s"},
    {"%s: must hold {{%s}}", "%s: {{%s}} を必ず含めてください"},
    {"%s: unknown template; written <notice|password|receipt|code|reminder|held|recalled>."
     "<ja|en>.<text|html>",
     "%s: このテンプレートはありません。<notice|password|receipt|code|reminder|held|recalled>."
     "<ja|en>.<text|html> の形式で指定してください"},
    {"%s: must be a text", "%s: 文字列を指定してください"},
    /* parse_rule.c: conditions, and what the rule does */
    {"%s: is no name of a header field",
     "%s: ヘッダーの名前として使えません。空白とコロンを含まない、100 "
     "文字までの半角文字で指定してください"},
    {"%s: the header is there twice (case does not matter)",
     "%s: ヘッダーが重複しています (大文字と小文字は区別しません)。1 つにまとめてください"},
    {"%s: must say what the header holds; [\"/./\"] means anything",
     "%s: ヘッダーに含まれる語を指定してください。値を問わない場合は [\"/./\"] と書きます"},
    {"%s: body and attachments are both false, so nothing would be secured; use action: pass",
     "%s: body と attachments がどちらも false のため、保護するものがありません。action: pass "
     "を使ってください"},
    {"%s: %s is for the body, which this rule does not secure",
     "%s: %s は本文のための設定ですが、このルールは本文を保護しません。body: true "
     "にするか、この設定を削除してください"},
    {"%s.storage: unknown storage \"%.60s\"; known: %s",
     "%s.storage: 保管先「%.60s」はありません。使える保管先: %s"},
    {"%s: \"storage\" is missing; action: secure needs one",
     "%s: 「storage」を指定してください。action: secure に必要です"},
    {"%s.security: unknown security definition \"%.60s\"; known: %s",
     "%s.security: セキュリティ定義「%.60s」はありません。使える定義: %s"},
    {"%s: \"security\" is missing; action: secure needs one",
     "%s: 「security」を指定してください。action: secure に必要です"},
    {"%s.without_account: \"%.60s\" is no vault storage",
     "%s.without_account: 「%.60s」は vault の保管先ではありません。vault "
     "の保管先の名前を指定してください"},
    {"%s.without_account: must be invite, vault or the name of a vault storage, is \"%.60s\"",
     "%s.without_account: invite、vault、または vault の保管先の名前を指定してください "
     "(現在は「%.60s」)"},
    {"%s.without_account: no storage of type vault is defined",
     "%s.without_account: vault の保管先が定義されていません。storages に追加してください"},
    {"%s.without_account: several vaults are defined; give the name of one",
     "%s.without_account: vault の保管先が複数あります。名前で指定してください"},
    {"%s.without_account: has no effect, a vault needs no account",
     "%s.without_account: vault ではアカウントは不要のため、効果がありません"},
    {"%s.remind_after: must be days such as 3 or 3d (0 = never, at most %d)",
     "%s.remind_after: 3 または 3d のように日数を指定してください (0 は連絡なし、最大 %d)"},
    /* parse_rule.c: what the storage allows */
    {"%s.security: \"%.60s\" has access: anyone, but in a vault each recipient has a link and "
     "proves that mailbox; proof: link lets in whoever has a link",
     "%s.security: 「%.60s」は access: anyone ですが、vault "
     "では宛先ごとにリンクがあり、メールボックスの確認が必要です。リンクを持つ人なら誰でも読めるよ"
     "うにするには proof: link を指定してください"},
    {"%s.security: \"%.60s\" has max_downloads, which only a vault can keep",
     "%s.security: 「%.60s」の max_downloads は、vault "
     "でしか使えません。保管先を変えるか、この設定を削除してください"},
    {"%s.security: \"%.60s\" has password_to: sender, which only a vault can keep",
     "%s.security: 「%.60s」の password_to: sender は、vault "
     "でしか使えません。保管先を変えるか、この設定を削除してください"},
    {"%s.security: trusted_days and members of \"%.60s\" are ignored, Box decides who logs in and "
     "how",
     "%s.security: 「%.60s」の trusted_days と members は無視されます。ログインできる人と方法は "
     "Box "
     "が決めます"},
    {"%s.security: \"%.60s\" has password: generated, which Box has only for links with access: "
     "anyone",
     "%s.security: 「%.60s」は password: generated ですが、Box では access: anyone "
     "のリンクでしか使えません。どちらかを変更してください"},
    {"%s.security: proof of \"%.60s\" is ignored, Box decides how people log in",
     "%s.security: 「%.60s」の proof は無視されます。ログインの方法は Box が決めます"},
    {"%s.security: \"%.60s\" has download: false; Box needs the role previewer for it, which not "
     "every plan has",
     "%s.security: 「%.60s」は download: false ですが、Box では previewer (プレビューアー) "
     "の権限が必要です。プランによっては使えません"},
    {"%s.remind_after: has no effect, access ends before (expires_after of \"%.60s\"); take fewer "
     "days",
     "%s.remind_after: それより前にアクセスが終了するため、効果がありません (「%.60s」の "
     "expires_after)。日数を減らしてください"},
    {"%s.security: \"%.60s\" tells the password to the sender, in the receipt: set receipt: true, "
     "or password_to: recipient",
     "%s.security: 「%.60s」ではパスワードを送信控えで差出人に知らせます。receipt: true または "
     "password_to: recipient を指定してください"},
    {"%s.%s: has no effect with this action", "%s.%s: この action では効果がありません"},
    {"%s.strip_tag: no subject condition is a [tag], so there is nothing to remove",
     "%s.strip_tag: 件名の条件に [タグ] がないため、取り除くものがありません"},
    {"document: \"rules\" is missing; a policy without rules is written \"rules: []\"",
     "document: 「rules」を指定してください。ルールのないポリシーは \"rules: []\" と書きます"},
    {"rules: there is no rule, so all mail passes untouched",
     "rules: ルールがないため、すべてのメールがそのまま送信されます"},
    /* subsume.c */
    {"groups[%zu]: \"%.60s\" is used by no rule",
     "groups[%zu]: 「%.60s」はどのルールでも使われていません"},
    {"rules[%zu]: \"%.60s\" is never reached: rules[%zu] \"%.60s\" (line %d) takes everything it "
     "would",
     "rules[%zu]: 「%.60s」が適用されることはありません。対象はすべて、先にある "
     "rules[%zu]「%.60s」(%d 行目) で処理されます"},
    {"rules: too many conditions to look for rules that are never reached",
     "rules: 条件が多すぎるため、適用されることのないルールがないか調べられません"},
    /* terms.c: addresses, groups, terms */
    {"is no address; a whole domain is written \"@example.jp\"",
     "アドレスではありません。ドメイン全体は \"@example.jp\" と書きます"},
    {"has no valid domain behind its \"@\"", "\"@\" の後ろのドメインが正しくありません"},
    {"a member is an address, \"@domain\" or \"@.domain\"; no \"!\", globs or expressions",
     "メンバーにはアドレス、\"@ドメイン\"、\"@.ドメイン\" を指定してください。\"!\"、* や "
     "?、正規表現は使えません"},
    {"%s: \"%.80s\": %s", "%s: 「%.80s」: %s"},
    {"%s: \"%.80s\" %s", "%s: 「%.80s」: %s"},
    {"%s: \"%.80s\" is there twice", "%s: 「%.80s」が重複しています"},
    {"%s: unknown group \"%.60s\"; known: %s",
     "%s: グループ「%.60s」はありません。使えるグループ: %s"},
    {"%s: \"<>\" is the null sender; a recipient is never empty",
     "%s: \"<>\" は空の差出人を表します。宛先が空になることはありません"},
    {"%s: \"%.60s\" is neither an address, \"@domain\", a glob, nor the name of a group; known "
     "groups: %s",
     "%s: 「%.60s」はアドレス、\"@ドメイン\"、* や ? を含む語、グループ名のいずれでもありません。"
     "使えるグループ: %s"},
    {"%s: \"%s\" is an empty regular expression", "%s: 「%s」は空の正規表現です"},
    {"%s: more than %d regular expressions in the policy",
     "%s: ポリシー全体の正規表現が %d 個を超えています。減らしてください"},
    {"%s: bad regular expression %.80s: %s", "%s: 正規表現 %.80s が正しくありません: %s"},
    {"%s: \"!\" alone negates nothing",
     "%s: \"!\" だけでは何も除外できません。後ろに値を書いてください"},
    {"%s: \"%.80s\" begins with \"/\" but does not end with one, so it is no regular expression",
     "%s: 「%.80s」は \"/\" で始まりますが \"/\" で終わらないため、正規表現として扱われません"},
    {"%s: \"%.60s\" is no media type such as image/* or application/pdf",
     "%s: 「%.60s」は image/* や application/pdf のようなメディアタイプではありません"},
    /* path.c */
    {"has an empty folder name; write it without \"/\" at the ends and without \"//\"",
     "空のフォルダー名があります。両端の \"/\" と、連続する \"//\" を取り除いてください"},
    {"has a folder name of dots or spaces alone; a path cannot leave its root folder",
     "ピリオドや空白だけのフォルダー名があります。ルートフォルダーの外は指定できません"},
    {"has more than 10 folders", "フォルダーは 10 階層までです"},
    {"has a date format of more than 64 bytes", "日付の書式は 64 バイトまでです"},
    {"has a date conversion that is none of %Y %m %d %H %j %G %V %y",
     "日付の書式に使えるのは %Y %m %d %H %j %G %V %y だけです"},
    {"has a \"{\" or \"}\" without its counterpart", "\"{\" と \"}\" が対応していません"},
    {"unknown placeholder {%.*s}; known: {sender} {sender_domain} {recipient_domain} {rule} "
     "{date:%%Y-%%m} {msg_id}",
     "差し込み項目 {%.*s} は使えません。使える項目: {sender} {sender_domain} {recipient_domain} "
     "{rule} {date:%%Y-%%m} {msg_id}"},
    {"\\ < > : \" | ? * in folder names become \"_\"",
     "フォルダー名の \\ < > : \" | ? * は \"_\" に置き換わります"},
    /* regex.c */
    {"\"{\" begins {n}, {n,} or {n,m}; write [{] for the character",
     "\"{\" は {n}、{n,}、{n,m} の始まりです。文字としては [{] と書いてください"},
    {"back-references are not supported (they can take forever)",
     "後方参照は使えません (処理が終わらなくなることがあります)"},
    {"\\d is not POSIX; write [0-9]", "\\d は POSIX にありません。[0-9] と書いてください"},
    {"escapes such as \\t, \\n or \\x are not POSIX; write the character, or [[:space:]]",
     "\\t、\\n、\\x などは POSIX にありません。その文字自体か [[:space:]] を書いてください"},
    {"ends with a lone backslash", "末尾のバックスラッシュの後ろに文字がありません"},
    {"has more than 31 nested groups", "\"(\" の入れ子は 31 段までです"},
    {"repeats too much: its {n,m} add up to more than 5000",
     "繰り返しが多すぎます。{n,m} の合計を 5000 以下にしてください"},
    {"\"(\" and \")\" do not match", "\"(\" と \")\" が対応していません"},
    {"a \"[\" is not closed", "\"[\" が閉じられていません"},
    {"a \"{\" is not closed", "\"{\" が閉じられていません"},
    {"the numbers between \"{\" and \"}\" are no range from 0 to 255",
     "\"{\" と \"}\" の間には 0 から 255 までの範囲を指定してください"},
    {"a range such as [z-a] ends before it begins", "[z-a] のような範囲は、始まりと終わりが逆です"},
    {"there is no such class [[:name:]]", "そのような文字クラス [[:name:]] はありません"},
    {"there is no such collating element", "そのような照合要素はありません"},
    {"\"*\", \"+\", \"?\" or \"{\" has nothing to repeat",
     "\"*\"、\"+\"、\"?\"、\"{\" の前に、繰り返す対象がありません"},
    {"it needs too much memory", "必要なメモリーが多すぎます"},
    {"it is not an extended regular expression (POSIX)", "POSIX の拡張正規表現ではありません"},
    {"there is no memory for it", "メモリーが足りません"},
};

const char *fb_pol_words(const struct fb_pol_reader *r, const char *en)
{
    return r->is_ja ? fb_language_ja(rows, sizeof rows / sizeof rows[0], en) : en;
}
