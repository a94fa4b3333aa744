// SPDX-License-Identifier: Apache-2.0
// Mails whose pages are worth a look: header blocks, writing systems, fonts that senders name.  Prints none: it writes
// NAME.eml files into the folder given.

import fs from 'node:fs';
import path from 'node:path';

const base64 = (text) => Buffer.from(text).toString('base64').replace(/(.{76})/g, '$1\r\n');
const word = (text) => (/^[\x20-\x7e]*$/.test(text) ? text : `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`);
const person = (name, address) => `${word(name)} <${address}>`;

const TARO = person('山田 太郎', 'taro.yamada@example.jp');
const HANAKO = person('佐藤 花子', 'hanako.sato@partner.example.com');

function mail({ from = TARO, to = HANAKO, cc, subject, date = 'Fri, 27 Nov 2026 10:15:00 +0900', text, html, files = [] }) {
  const body = html === undefined ? ['Content-Type: text/plain; charset=utf-8', text] : ['Content-Type: text/html; charset=utf-8', html];
  const part = [body[0], 'Content-Transfer-Encoding: base64', '', base64(body[1])].join('\r\n');
  const head = [`From: ${from}`, `To: ${to}`];
  if (cc) head.push(`Cc: ${cc}`);
  if (subject !== undefined) head.push(`Subject: ${word(subject)}`);
  if (date) head.push(`Date: ${date}`);
  head.push('MIME-Version: 1.0');
  if (files.length === 0) return [...head, part, ''].join('\r\n');
  const parts = files.map(([name, size]) => [`Content-Type: application/octet-stream`, 'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename*=UTF-8''${encodeURIComponent(name)}`, '', base64(Buffer.alloc(size, 'x'))].join('\r\n'));
  return [...head, 'Content-Type: multipart/mixed; boundary="b"', '', ...[part, ...parts].map((p) => `--b\r\n${p}`), '--b--', ''].join('\r\n');
}

const people = (n, name = (i) => `担当者 ${i}`) => Array.from({ length: n }, (_, i) => person(name(i + 1), `person${i + 1}@department${i % 7}.example.com`)).join(',\r\n ');

const LETTER = `株式会社サンプル
営業部 佐藤 花子 様

いつもお世話になっております。
株式会社例示の山田でございます。

先日はお忙しいところお打ち合わせのお時間をいただき、誠にありがとうございました。
ご依頼のありました見積書を添付のとおりお送りいたします。ご査収のほどよろしくお願い申し上げます。

  1. 見積番号　　EX-2026-1127
  2. 有効期限　　2026年12月25日（金）
  3. 合計金額　　¥1,234,560（税込）

ご不明な点がございましたら、https://www.example.jp/support/ をご覧いただくか、下記までご連絡ください。

▁▂▃▄▅▆▇█▇▆▅▄▃▂▁▁▂▃▄▅▆▇█▇▆▅▄▃▂▁
┌──────────────────────────┐
│　株式会社例示　営業本部　第一営業部　　　　　　　　│
│　山田 太郎（Yamada Taro）　　　　　　　　　　　　　│
│　TEL 03-1234-5678 / FAX 03-1234-5679　　　　　　　 │
└──────────────────────────┘
`;

const ENGLISH = `Dear Ms Sato,

thank you very much for the time that you took on Tuesday. As agreed, please find attached the quotation for the coming year, together with our general terms. The offer stands until 25 December.

Two things are still open on our side: the date of the first delivery, and whether the "extended" service (24/7, answered within four hours) is to be part of the contract.

> Could you send us the figures by Friday?
> We would like to decide at the beginning of December.

Kind regards
Taro Yamada

-- 
Example Ltd. · 1-2-3 Marunouchi, Chiyoda-ku, Tokyo · https://www.example.jp/
`;

const EMOJI = `Faces 😀😂🥹🫠 hearts ❤️🩷 hands 👍👍🏽👩🏿‍💻 family 👨‍👩‍👧‍👦 flags 🇯🇵🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿🏳️‍🌈 keycaps 1️⃣#️⃣ text ☎︎ emoji ☎️ ✔ ✔️ ㊗️ 🈁 🉐
日本語の文中の絵文字🙇‍♂️です。よろしくお願いします🙏🏻`;

const RARE = `髙橋・﨑山・𠮷野家・葛󠄀城市（奈良）と葛󠄁飾区（東京）・辻󠄀と辻󠄁・𣘺本・𡈽屋・𩸽・𥔎・塚󠄁
JIS X 0213: 俱剝𠮟吞噓姸屢幷彅攢瀆繫萊蔣蟬蠟軀醬醱鷗鹼麴 ㋿ ㍻ ㍼ ㍽ ㍾ ① ⑳ ㉑ ㊤ № ㏍ ℡ ㈱ ㈲
結合: か゚き゚く゚け゚こ゚ セ゚ツ゚ト゚ あ゙ い゙ え゙ ん゙ ヷ ヸ ヹ ヺ ㇰㇱㇲ ㇷ゚ ﾊﾝｶｸ ｶﾞ ﾊﾟ
戸籍の字: 𠀋𡚴𡸴𣆶𣑊𦥯𧃴𨉷 㐂 㔟 䨩
縦書き用: ︐︑︒︓︔︕︖︗︘︙ ︰︱︲︳︴︵︶︷︸︹︺︻︼︽︾︿﹀﹁﹂﹃﹄﹇﹈
罫線: ─│┌┐└┘├┤┬┴┼━┃ ╭╮╰╯ ▁▂▃▄▅▆▇█ ▏▎▍▌▋▊▉ ░▒▓ ■□▲△▼▽◆◇○◎●★☆♪♬ ※ 〒 〓 →←↑↓ ⇒⇔ ∀∃∠⊥⌒ ∂∇≡≒≪≫√∽∝∵∫∬ ÅΩ‰♯♭†‡¶◯ⅰⅱⅲⅹⅠⅡⅢⅩ`;

const CHINESE = `尊敬的佐藤女士：

您好！感谢您对我们公司的关注。现随信附上贵公司所需要的报价单，请查收。如有任何问题，请随时与我们联系。
关于交货时间，我们预计在十二月二十日之前完成发货，届时将通过电子邮件通知您。

此致
敬礼
王小明
上海示例贸易有限公司`;

const TRADITIONAL = `佐藤小姐您好：

感謝您撥冗與我們會面。隨信附上報價單，敬請查收；若有任何疑問，歡迎隨時與我們聯絡。
出貨時間預計為十二月二十日之前，屆時將另以電子郵件通知。

敬祝 商祺
王小明 臺灣範例股份有限公司`;

const KOREAN = `사토 하나코 님께,

안녕하세요. 요청하신 견적서를 첨부하여 보내 드립니다. 확인 부탁드립니다.
문의 사항이 있으시면 언제든지 연락 주시기 바랍니다. 漢字 혼용도 확인합니다.

김철수 드림`;

const ARABIC = `السيدة ساتو المحترمة،

شكراً جزيلاً على وقتكم يوم الثلاثاء. تجدون مرفقاً عرض الأسعار رقم EX-2026-1127 (صالح حتى 25 ديسمبر).

مع أطيب التحيات
محمد العلي`;

const face = (family, sample = '') => `<p style="font-family:'${family}';margin:3px 0">${family}: The quick brown fox 0123 <b>bold</b> <i>italic</i> 株式会社サンプル 御中 ｶﾅ ${sample}<b>太字</b><i>斜体</i></p>`;

const MAILS = {
  'letter-ja': mail({ subject: '【見積書】2026年度 保守契約の件', text: LETTER, cc: person('鈴木 一郎', 'suzuki@example.jp'),
    files: [['見積書_2026年度_EX-2026-1127.pdf', 234567], ['保守契約約款.docx', 1572864], ['内訳.xlsx', 900]] }),
  'letter-en': mail({ from: person('Taro Yamada', 'taro.yamada@example.jp'), to: person('Hanako Sato', 'hanako.sato@partner.example.com'),
    subject: 'Quotation EX-2026-1127', text: ENGLISH, files: [['Quotation EX-2026-1127.pdf', 234567]] }),
  'nothing-ja': mail({ from: 'taro@example.jp', to: 'hanako@example.com', date: null, text: '件名も日時もありません。' }),
  'nothing-en': mail({ from: 'taro@example.jp', to: 'hanako@example.com', date: null, text: 'No subject, and no date that a reader could learn from.' }),
  'people-12': mail({ subject: '関係者各位: 12月の定例会議', to: people(12), cc: people(5, (i) => `CC ${i}`), text: '関係者各位\n\n次回の定例会議は12月4日です。' }),
  'people-1000': mail({ subject: 'お知らせ: 年末年始の休業について', to: people(1000), cc: people(40, (i) => `Long Name Of A Person ${i}`), text: '皆様\n\n休業日は12月29日から1月3日までです。' }),
  'people-1000-html': mail({ subject: 'Office closed over the holidays', from: person('Taro Yamada', 'taro@example.jp'), to: people(1000, (i) => `Person ${i}`),
    html: '<div style="display:flex"><p>Dear all,</p></div><p>our office is closed from 29 December to 3 January.</p>' }),
  'long-names': mail({ subject: `とても長い件名です。${'本件につきましては関係部署と調整のうえ改めてご連絡いたします。'.repeat(6)}`,
    from: person('寿限無 寿限無五劫の擦り切れ海砂利水魚の水行末雲来末風来末食う寝る処に住む処', 'a.very.long.local.part.of.an.address.that.does.not.end@a-very-long-subdomain.of.a-very-long-domain.example.co.jp'),
    text: '長い名前の確認です。', files: [[`${'非常に長いファイル名の'.repeat(12)}見積書.pdf`, 4 << 20], [`${'averylongnamewithoutanyblank'.repeat(7)}.zip`, 123456], ['短い.txt', 12]] }),
  'long-names-html': mail({ subject: `A very long subject that ${'goes on and on and on, '.repeat(26)}and ends`, from: person('X', `${'x'.repeat(60)}@${'y'.repeat(60)}.example.com`),
    html: '<div style="float:right">right</div><p>Long names.</p>', files: [[`${'averylongnamewithoutanyblank'.repeat(7)}.zip`, 123456], ['見積書.pdf', 4 << 20]] }),
  'rtl-text': mail({ subject: 'عرض الأسعار EX-2026-1127 لعام 2026', from: person('محمد العلي', 'mohammed@example.jp'), to: `${person('שרה כהן', 'sara@example.com')}, ${HANAKO}`, text: ARABIC,
    files: [['عرض الأسعار.pdf', 40000]] }),
  'rtl-html': mail({ subject: 'עברית: הצעת מחיר EX-2026-1127', from: person('שרה כהן', 'sara@example.com'), to: `${person('محمد العلي', 'mohammed@example.com')}, ${HANAKO}`,
    html: `<div dir="rtl"><p>${ARABIC.replaceAll('\n', '<br>')}</p></div>`, files: [['עברית.pdf', 40000]] }),
  'emoji-text': mail({ subject: '絵文字 🎉 のテスト 👨‍👩‍👧', text: EMOJI }),
  'emoji-html': mail({ subject: 'Emoji 🎉 test 👨‍👩‍👧', html: `<p>${EMOJI.replace('\n', '</p><p>')}</p><p style="font-size:28px">😀 👩🏿‍💻 🇯🇵 ❤️</p>` }),
  'rare-text': mail({ subject: '髙﨑 𠮷 様（葛󠄀城市）', text: RARE }),
  'rare-html': mail({ subject: '髙﨑 𠮷 様（葛󠄀城市）', html: RARE.split('\n').map((l) => `<p>${l}</p><p style="font-family:'ＭＳ 明朝'">${l}</p>`).join('') }),
  'chinese-text': mail({ subject: '报价单 EX-2026-1127', from: person('王小明', 'wang@example.cn'), text: CHINESE }),
  'chinese-html': mail({ subject: '报价单 EX-2026-1127', from: person('王小明', 'wang@example.cn'), html: `<div style="font-family:'微软雅黑'">${CHINESE.replaceAll('\n', '<br>')}<br><b>粗体</b></div>` }),
  'traditional-html': mail({ subject: '報價單', from: person('王小明', 'wang@example.tw'), html: `<div style="font-family:'新細明體'">${TRADITIONAL.replaceAll('\n', '<br>')}<br><b>粗體字</b></div>` }),
  'korean-text': mail({ subject: '견적서 EX-2026-1127', from: person('김철수', 'kim@example.kr'), text: KOREAN }),
  'korean-html': mail({ subject: '견적서', from: person('김철수', 'kim@example.kr'), html: `<div style="font-family:'맑은 고딕'">${KOREAN.replaceAll('\n', '<br>')}<br><b>굵게</b></div>` }),
  'fonts-ja': mail({ subject: '送信者が指定する書体', html: ['ＭＳ ゴシック', 'ＭＳ Ｐゴシック', 'MS 明朝', 'ＭＳ Ｐ明朝', 'メイリオ', '游ゴシック', 'Yu Mincho', 'ヒラギノ角ゴ ProN W3',
    'ヒラギノ明朝 ProN W3', 'HG丸ｺﾞｼｯｸM-PRO', 'BIZ UDゴシック', '知らない書体'].map((f) => face(f)).join('') }),
  'fonts-en': mail({ subject: 'Fonts that senders name', from: 'taro@example.jp', to: 'hanako@example.com', html: ['Arial', 'Calibri', 'Cambria', 'Times New Roman', 'Georgia', 'Courier New', 'Consolas', 'Verdana', 'Segoe UI', 'Aptos', 'Comic Sans MS', 'Unknown Face']
    .map((f) => face(f)).join('') }),
  symbols: mail({ subject: 'Outlook symbols', from: 'taro@example.jp', to: 'hanako@example.com',
    html: `<p>Thank you <span style="font-family:Wingdings">J</span> and sorry <font face="Wingdings">L</font>. So <span style='font-family:Wingdings'>à</span> go on.</p>
      ${['·', '§', 'Ø', 'ü', 'q', 'v'].map((c, i) => `<p style="margin-left:36pt;text-indent:-18pt"><span style="font-family:${i === 0 ? 'Symbol' : 'Wingdings'}">${c}<span style="font:7pt 'Times New Roman'">&nbsp;&nbsp;&nbsp;&nbsp; </span></span>Item ${i + 1}</p>`).join('')}
      <p style="margin-left:36pt;text-indent:-18pt"><span style="font-family:'Courier New'">o<span style="font:7pt 'Times New Roman'">&nbsp;&nbsp; </span></span>Second level</p>` }),
  vertical: mail({ subject: '縦書きのご案内', html: `<div style="writing-mode:vertical-rl;height:420px;font-family:'游明朝';line-height:1.9"><p>拝啓　時下ますますご清栄のこととお慶び申し上げます。平素は格別のご高配を賜り、厚く御礼申し上げます。「縦書き」（たてがき）ー長音、句読点。ABC 123 2026年</p><p>敬具</p></div>` }),
  private: mail({ subject: 'Private characters \ue63e', text: `docomo: \ue63e\ue63f\ue640 au: \ue488 none of them: \ue801 other: \uf8ff\u{f0000} unassigned: \u0378 \u{2fe0}` }),
};

const out = process.argv[2];
for (const [name, bytes] of Object.entries(MAILS)) fs.writeFileSync(path.join(out, `${name}.eml`), bytes);
