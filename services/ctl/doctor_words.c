/* SPDX-License-Identifier: Apache-2.0
 *
 * What doctor says, in Japanese: by its English words, which stand where they are said.  A row has the same
 * conversions in the same order in both languages; tests/integration/ctl/doctor.test.mjs finds what has no row. */
#include "common/language.h"
#include "services/ctl/doctor.h"

static const struct fb_language_row rows[] = {
    /* doctor.c */
    {"correct that line; nothing else can be looked at before",
     "その行を修正してください。修正するまで、ほかの項目は調べられません"},
    {"defaults and environment", "既定値と環境変数"},
    {"everything is right", "すべて正常です"},
    {"%d failed, %d warned", "失敗 %d 件、警告 %d 件"},
    /* keys and files */
    {"%s is not a file", "%s はファイルではありません"},
    {"chmod o= %s; who read it meanwhile may have kept it, so think of a new one",
     "chmod o= %s "
     "を実行してください。すでに読まれた可能性があるため、新しい鍵への変更も検討してくだ"
     "さい"},
    {"%s can be read by everybody", "%s を誰でも読み取れます"},
    {"restore it from your backup; for a first start: (printf k1:; openssl rand -base64 32) > "
     "FILE; "
     "chmod 600 FILE",
     "バックアップから復元してください。初めて使う場合: (printf k1:; openssl rand -base64 32) > "
     "FILE; "
     "chmod 600 FILE"},
    {"make /tmp writable", "/tmp に書き込めるようにしてください"},
    {"cannot be tried: /tmp: %s", "試せません: /tmp: %s"},
    {"one key a line: <id>:<base64 of 32 bytes>, the newest first",
     "1 行に 1 つの鍵を <ID>:<32 バイトの Base64> の形式で、新しいものから順に書いてください"},
    {"is not set: rewrite cannot sign what it sends",
     "設定されていません。rewrite は送信するメールに署名できません"},
    {"openssl rand -hex 32 > FILE; chmod 600 FILE; set rewrite.key_file to it",
     "openssl rand -hex 32 > FILE; chmod 600 FILE を実行し、rewrite.key_file に指定してください"},
    {"is shorter than %d characters", "%d 文字より短い鍵です"},
    {"is set", "設定されています"},
    /* the spool */
    {"%s answers", "%s が応答しました"},
    {"%s answers, and holds no spool yet", "%s が応答しました。スプールはまだありません"},
    {"check the bucket, its policy, and the AWS_ variables of the services",
     "バケットとそのポリシー、サービスの環境変数 AWS_ を確認してください"},
    {"set spool.url to file:///a/folder or s3://bucket/prefix",
     "spool.url に file:///フォルダー または s3://バケット/接頭辞 を指定してください"},
    {"spool.url \"%s\" is neither a folder nor a bucket",
     "spool.url「%s」はフォルダーでもバケットでもありません"},
    {"create it, owned by the user that runs the services, mode 0700",
     "サービスを実行するユーザーの所有で、モード 0700 のフォルダーを作成してください"},
    {"set spool.url to a folder", "spool.url にフォルダーを指定してください"},
    {"%s is not a folder", "%s はフォルダーではありません"},
    {"run the services (and this command) as %s, or give them the folder",
     "サービス (とこのコマンド) を %s として実行するか、フォルダーの所有者を変更してください"},
    {"%s cannot be written: %s", "%s に書き込めません: %s"},
    {"its file system is read-only", "ファイルシステムが読み取り専用です"},
    {"free space there, or find out with `fumibako queue` why mail is not leaving",
     "空き容量を増やすか、メールが出ていかない原因を `fumibako queue` で調べてください"},
    {"%s: %d%% of the file system is in use, at ingest.high_water (%lld%%): mail is put off with "
     "452",
     "%s: ファイルシステムの %d%% を使用中で、ingest.high_water (%lld%%) に達しています。メールは "
     "452 "
     "で後回しにされます"},
    {"%s: %d%% of the file system is in use; at %lld%% mail is put off",
     "%s: ファイルシステムの %d%% を使用中です。%lld%% に達するとメールは後回しにされます"},
    {"%s, %d%% in use, %llu MiB free, owner %s", "%s、使用率 %d%%、空き %llu MiB、所有者 %s"},
    /* policy and storages */
    {"no policy is in force: mail is held until one is applied with `fumibako policy apply FILE`, "
     "or in the console",
     "有効なポリシーがありません。`fumibako policy apply FILE` "
     "またはコンソールで有効にするまで、メールは"
     "保留されます"},
    {"first Redis; services that run go on with the last good policy",
     "まず Redis を復旧してください。動作中のサービスは、最後の正しいポリシーで処理を続けます"},
    {"lies in Redis, which does not answer", "Redis にありますが、Redis が応答しません"},
    {"put one in force with `fumibako policy apply FILE`, or correct policy.source",
     "`fumibako policy apply FILE` で有効にするか、policy.source を修正してください"},
    {"`fumibako policy check FILE` shows all errors; services go on with the last good one",
     "すべての誤りは `fumibako policy check FILE` "
     "で確認できます。サービスは最後の正しいポリシーで処理を"
     "続けます"},
    {"%zu errors; the first: line %d: %s", "誤りが %zu 件あります。最初の誤り: %d 行目: %s"},
    {"version %.12s from %s, %zu rules", "版 %.12s (取得元 %s)、ルール %zu 件"},
    {"download the app's JSON from Box's developer console (Configuration) again, mode 600",
     "Box の開発者コンソール (構成) からアプリの JSON を再度ダウンロードし、モード 600 "
     "で置いてください"},
    {"%s is not JSON (line %d)", "%s は JSON ではありません (%d 行目)"},
    {"%s has no boxAppSettings with clientID and clientSecret",
     "%s に clientID と clientSecret を含む boxAppSettings がありません"},
    {"Box, credentials in %s", "Box、認証情報 %s"},
    {"restore the vault's key file from your backup, mode 600",
     "保管庫の鍵ファイルをバックアップから復元し、モード 600 で置いてください"},
    {"restore the vault's key file from your backup: without it no parcel opens",
     "保管庫の鍵ファイルをバックアップから復元してください。鍵がないと、保管した内容を開けません"},
    {"add its folder to vault.roots in fumibako.yaml, and restart the services",
     "fumibako.yaml の vault.roots にフォルダーを追加し、サービスを再起動してください"},
    {"vault in %s, key in %s", "保管庫 %s、鍵 %s"},
    /* Redis */
    {"install Redis 7 or later", "Redis 7 以降をインストールしてください"},
    {"%s is too old", "%s は古すぎます"},
    {"set maxmemory-policy noeviction in redis.conf (and CONFIG SET it now)",
     "redis.conf に maxmemory-policy noeviction を設定してください (CONFIG SET "
     "で今すぐ反映できます)"},
    {"maxmemory-policy is %s: Redis may drop jobs and records of mail",
     "maxmemory-policy が %s です。Redis がメールのジョブや記録を破棄する可能性があります"},
    {"set appendonly yes in redis.conf (and CONFIG SET it now)",
     "redis.conf に appendonly yes を設定してください (CONFIG SET で今すぐ反映できます)"},
    {"appendonly is no: after a restart of Redis the ledger is lost; mail is replayed from the "
     "spool",
     "appendonly が no です。Redis の再起動で記録が失われます "
     "(メールはスプールから処理し直されます)"},
    {"start a replica; until then there is nothing to fail over to",
     "レプリカを起動してください。それまではフェイルオーバー先がありません"},
    {"the primary of shard %d has no replica", "シャード %d のプライマリにレプリカがありません"},
    {"set min-replicas-to-write 1 and min-replicas-max-lag 5 in redis.conf of all of them (and "
     "CONFIG SET them now)",
     "すべての redis.conf に min-replicas-to-write 1 と min-replicas-max-lag 5 を設定してください "
     "(CONFIG SET で今すぐ反映できます)"},
    {"the primary of shard %d takes writes when it is cut off from its replicas: they are lost at "
     "a fail-over, and the mail is delayed until it is found again",
     "シャード %d のプライマリは、レプリカから切り離されても書き込みを受け付けます。その書き込みは"
     "フェイルオーバーで失われ、メールは再発見されるまで遅れます"},
    {"the primary of shard %d has %s replica%s", "シャード %d のプライマリのレプリカ数: %s%.0s"},
    {"see what Redis says", "Redis の状態を確認してください"},
    {"`fumibako dead list` says why; then dead retry, release or reject",
     "理由は `fumibako dead list` で確認できます。その後 dead retry、release、reject "
     "のいずれかで処置して"
     "ください"},
    {"%lld dead letter%s wait%s for a decision", "%lld 件が処置を待っています%.0s%.0s"},
    {"none", "なし"},
    {"unknown", "不明"},
    {"the log of %s has more", "詳細は %s のログを確認してください"},
    {"correct redis.url or redis.password", "redis.url または redis.password を修正してください"},
    {"start Redis, or correct redis.url; mail is accepted meanwhile and waits in the spool",
     "Redis を起動するか、redis.url "
     "を修正してください。その間もメールは受け付けられ、スプールで待ちます"},
    /* the relay and the services */
    {"no answer within %d seconds", "%d 秒以内に応答がありません"},
    {"it closed the connection", "接続が閉じられました"},
    {"start the MTA's re-injection port or correct rewrite.relay; mail waits meanwhile",
     "MTA の再投入ポートを起動するか、rewrite.relay "
     "を修正してください。その間、メールは待機します"},
    {"set rewrite.relay to smtp://host:port",
     "rewrite.relay に smtp://ホスト:ポート を指定してください"},
    {"rewrite.relay \"%s\" is no address", "rewrite.relay「%s」はアドレスではありません"},
    {"%s greets with \"%.100s\" instead of 220", "%s の最初の応答が 220 ではなく「%.100s」です"},
    {"%s answers 220", "%s が 220 と応答しました"},
    {"ready at %s", "%s で稼働中です"},
    {"start fumibako-%s, or look into its log why it ended",
     "fumibako-%s を起動するか、終了した理由をログで確認してください"},
    {"nobody answers at %s: %s", "%s から応答がありません: %s"},
    {"its log says more", "詳細はそのサービスのログを確認してください"},
    {"not ready (%ld): %.200s", "準備ができていません (%ld): %.200s"},
};

const char *doctor_words(const struct doctor *d, const char *en)
{
    return d->is_ja ? fb_language_ja(rows, sizeof rows / sizeof rows[0], en) : en;
}
