// SPDX-License-Identifier: Apache-2.0
//
// Two letters as people write them all day, a page each; the n-th is like no other in what it says.
//
//   businessLetter(n)   plain text, Japanese: what was asked for, an estimate, a signature of five lines
//   personalLetter(n)   HTML as Outlook writes it: an answer of some lines above the letter that it answers

const b64 = (text) => Buffer.from(text).toString('base64').replace(/.{76}/g, '$&\r\n');
const NAMES = ['佐藤', '鈴木', '高橋', '田中', '伊藤', '渡辺', '山本', '中村', '小林', '加藤'];
const GOODS = ['精密歯車', '駆動用電動機', '制御基板', '樹脂成形品', '検査治具', '収納棚', '空調部材', '配線一式', '塗装材料', '梱包資材'];
const PLACES = ['東京都千代田区', '大阪市北区', '名古屋市中区', '札幌市中央区', '福岡市博多区'];
const yen = (v) => v.toLocaleString('en-US').padStart(10);

const mail = (n, subject, type, text) => Buffer.from([`From: =?UTF-8?B?${Buffer.from('山田 太郎').toString('base64')}?= <taro@example.jp>`,
  `To: =?UTF-8?B?${Buffer.from(`${NAMES[n % 10]} 花子`).toString('base64')}?= <hanako-${n}@partner.example.com>`,
  `Subject: =?UTF-8?B?${Buffer.from(subject).toString('base64')}?=`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900',
  `Message-ID: <letter-${n}@mail.example.jp>`, 'MIME-Version: 1.0', `Content-Type: text/${type}; charset=UTF-8`,
  'Content-Transfer-Encoding: base64', '', b64(text), ''].join('\r\n'));

export function businessLetter(n) {
  const rows = [0, 1, 2, 3].map((i) => ({ name: GOODS[(n + 3 * i) % 10], count: (n * 7 + i * 13) % 90 + 1, price: 1200 + i * 850 + n * 10 }));
  const sum = rows.reduce((s, r) => s + r.count * r.price, 0);
  return mail(n, `お見積りの件（${GOODS[n % 10]}）`, 'plain', `株式会社パートナー
購買部 ${NAMES[n % 10]}様

いつも大変お世話になっております。
株式会社サンプルの山田でございます。

先日はお忙しい中、お打ち合わせのお時間を頂戴し、誠にありがとうございました。
ご依頼いただきました${GOODS[n % 10]}ほか四点につきまして、下記のとおりお見積り申し上げます。
納期は、工場の稼働状況を踏まえ、ご発注から${n % 20 + 14}日ほどを予定しております。ご希望の期日がございましたら、
可能な限り調整いたしますので、ご遠慮なくお申し付けください。

------------------------------------------------------------
${rows.map((r) => `  ${r.name.padEnd(10, '　')} ${String(r.count).padStart(4)}個  ${yen(r.price)}円  ${yen(r.count * r.price)}円`).join('\n')}
  合計（消費税別）                         ${yen(sum)}円
------------------------------------------------------------

※ 有効期限は本日より三十日間です。
※ 詳細は添付の見積書と、下記のページをご確認ください。
  https://www.example.jp/quote/${2026000 + n}

ご不明な点やご要望がございましたら、お手数ですが担当の山田までご連絡ください。
今後とも変わらぬお引き立てのほど、何卒よろしくお願い申し上げます。

-- 
株式会社サンプル 営業第${n % 3 + 1}部
山田 太郎（やまだ たろう）
〒100-000${n % 10} ${PLACES[n % 5]}丸の内1-2-${n + 1} サンプルビル${n % 9 + 2}階
TEL 03-1234-${5600 + n}  FAX 03-1234-5679
Mail taro@example.jp
`);
}

export function personalLetter(n) {
  const p = (text) => `<p class=MsoNormal><span style='font-size:10.5pt;font-family:"游ゴシック"'>${text}<o:p></o:p></span></p>`;
  return mail(n, `Re: 打ち合わせの日程（第${n + 1}回）`, 'html', `<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>
<meta http-equiv=Content-Type content="text/html; charset=utf-8"><style><!--
p.MsoNormal, li.MsoNormal, div.MsoNormal {margin:0mm;font-size:10.5pt;font-family:"游ゴシック";}
a:link {color:#0563C1;text-decoration:underline;} --></style></head>
<body lang=JA link="#0563C1" vlink="#954F72"><div class=WordSection1>
${[`${NAMES[n % 10]}様`, '&nbsp;', 'お世話になっております。山田です。', `日程のご連絡をありがとうございます。${n % 12 + 1}月${n % 28 + 1}日の午後二時からでお願いいたします。`,
    '会議室は三階の<b>第二会議室</b>を予約しました。資料は前日までに<a href="https://www.example.jp/share/' + n + '">共有フォルダー</a>に置いておきます。', '&nbsp;',
    `なお、当日は${GOODS[n % 10]}の見本もお持ちします。Please let me know if you need a parking lot (No. ${n + 1}).`].map(p).join('\n')}
<ul style='margin-top:0mm' type=disc><li class=MsoNormal>議題１：前回の宿題の確認</li><li class=MsoNormal>議題２：${GOODS[(n + 4) % 10]}の仕様</li>
<li class=MsoNormal>議題３：今後の進め方</li></ul>
${['&nbsp;', 'どうぞよろしくお願いいたします。', '山田'].map(p).join('\n')}
<div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0mm 0mm 0mm'>
<p class=MsoNormal><b><span lang=EN-US>From:</span></b><span lang=EN-US> ${NAMES[n % 10]} 花子 &lt;hanako-${n}@partner.example.com&gt;<br><b>Sent:</b> Thursday, November 26, 2026 4:02 PM<br>
<b>To:</b> 山田 太郎 &lt;taro@example.jp&gt;<br><b>Subject:</b> 打ち合わせの日程（第${n + 1}回）</span></p></div>
${['&nbsp;', '山田様', '&nbsp;', 'いつもお世話になっております。次回の打ち合わせですが、下記のいずれかでいかがでしょうか。'].map(p).join('\n')}
<table border=1 cellspacing=0 cellpadding=4 style='border-collapse:collapse;border:none'>${[0, 1, 2].map((i) => `<tr><td style='border:solid windowtext 1.0pt'>
${p(`候補${i + 1}`)}</td><td style='border:solid windowtext 1.0pt'>${p(`${n % 12 + 1}月${(n + i * 3) % 28 + 1}日 ${10 + 2 * i}時から`)}</td></tr>`).join('')}</table>
${['&nbsp;', `${NAMES[n % 10]}`].map(p).join('\n')}
</div></body></html>`);
}

/** A plain letter (one part, base64) with the same words as HTML: what a painter of HTML is given in its place. */
export function asHtml(content) {
  const [head, body] = content.toString('latin1').split(/\r\n\r\n(.*)/s);
  const text = Buffer.from(body, 'base64').toString().replace(/&/g, '&amp;').replace(/</g, '&lt;');
  const html = `<html><body><div style="white-space:pre-wrap;font-family:monospace;font-size:10.5pt">${text}</div></body></html>`;
  return Buffer.from(`${head.replace('text/plain', 'text/html')}\r\n\r\n${b64(html)}\r\n`, 'latin1');
}
