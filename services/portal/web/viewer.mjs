// SPDX-License-Identifier: Apache-2.0
//
// Shows the mail's PDF on the reading page: every page with its text above it, so that it can be selected, searched and
// read out, and its links.  Pages are drawn when they come near the window, and let go when they are far from it: a
// telephone has little memory.  Nothing is fetched but the PDF, from where the page came.

import { AnnotationType, GlobalWorkerOptions, TextLayer, getDocument } from './pdf.min.mjs';

GlobalWorkerOptions.workerSrc = new URL('./pdf.worker.min.mjs', import.meta.url).href;

const CSS_UNITS = 96 / 72;
const STEPS = [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3];
const MAX_PIXELS = 16_000_000; // of one canvas: what telephones bear
const MAX_TEXTS = 200; // pages whose text is laid out before they are near

const viewer = document.getElementById('viewer');
const label = (name, values = {}) => viewer.dataset[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** One page of the document. */
class Sheet {
  constructor(view, number, size) {
    this.view = view;
    this.number = number;
    this.size = size; // { width, height } at scale 1: of the first page, until this one is known
    this.box = make('div', { class: 'pdf', role: 'group', 'aria-label': label('page', { n: number, count: view.document.numPages }) });
    this.text = null;
    this.task = null;
  }

  /** Its place on the page, in the present scale. */
  layOut() {
    this.box.style.width = `${Math.floor(this.size.width * this.view.scale)}px`;
    this.box.style.height = `${Math.floor(this.size.height * this.view.scale)}px`;
    this.box.style.setProperty('--total-scale-factor', this.view.scale);
  }

  async load() {
    if (!this.page) {
      this.page = await this.view.document.getPage(this.number);
      const { width, height } = this.page.getViewport({ scale: 1 });
      this.size = { width, height };
      this.layOut();
    }
    return this.page;
  }

  async addText() {
    const page = await this.load();
    if (this.text) return;
    this.text = make('div', { class: 'text' });
    this.box.append(this.text);
    const viewport = page.getViewport({ scale: this.view.scale });
    await new TextLayer({ textContentSource: page.streamTextContent({ includeMarkedContent: true }), container: this.text, viewport }).render();
    this.text.dataset.ready = 'yes';
    await this.addLinks(page);
  }

  async addLinks(page) {
    const plain = page.getViewport({ scale: 1 });
    for (const note of await page.getAnnotations({ intent: 'display' })) {
      if (note.annotationType !== AnnotationType.LINK || !/^(https?|mailto):/i.test(note.url ?? '')) continue;
      const [left, bottom, right, top] = note.rect;
      const [x1, y1] = plain.convertToViewportPoint(left, bottom);
      const [x2, y2] = plain.convertToViewportPoint(right, top);
      const link = make('a', { href: note.url, target: '_blank', rel: 'noopener noreferrer', 'aria-label': note.url });
      const percent = (value, whole) => `${(100 * value) / whole}%`;
      Object.assign(link.style, { left: percent(Math.min(x1, x2), plain.width), top: percent(Math.min(y1, y2), plain.height),
        width: percent(Math.abs(x2 - x1), plain.width), height: percent(Math.abs(y2 - y1), plain.height) });
      this.box.append(link);
    }
  }

  /** Draws, unless it is drawn in this scale. */
  async draw() {
    const { scale } = this.view;
    if (this.drawn === scale) return;
    this.drawn = scale;
    const page = await this.load();
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const { width, height } = this.size;
    const fine = Math.min(scale * ratio, Math.sqrt(MAX_PIXELS / (width * height)));
    const viewport = page.getViewport({ scale: fine });
    const canvas = make('canvas', { 'aria-hidden': 'true' });
    canvas.width = Math.max(1, Math.floor(viewport.width));
    canvas.height = Math.max(1, Math.floor(viewport.height));
    this.task?.cancel();
    this.task = page.render({ canvas, canvasContext: null, viewport });
    try {
      await this.task.promise;
      this.forget();
      this.canvas = canvas;
      this.drawn = scale;
      this.box.prepend(canvas);
      this.box.dataset.drawn = 'yes';
    } catch (error) {
      if (error?.name !== 'RenderingCancelledException') throw error;
    }
    await this.addText();
  }

  /** Lets the picture go; the text stays. */
  forget() {
    if (this.canvas) {
      this.canvas.width = 0;
      this.canvas.height = 0;
      this.canvas.remove();
      this.canvas = null;
    }
    this.drawn = 0;
  }
}

class View {
  constructor(pdf) {
    this.document = pdf;
    this.zoom = 0; // 0: as wide as the page has room
    this.scale = CSS_UNITS;
  }

  async start() {
    const first = await this.document.getPage(1);
    const { width, height } = first.getViewport({ scale: 1 });
    this.first = { width, height };
    this.sheets = Array.from({ length: this.document.numPages }, (_, i) => new Sheet(this, i + 1, this.first));
    this.area = make('div', { class: 'sheets', role: 'region', tabindex: '0', 'aria-label': label('document') },
      ...this.sheets.map((s) => s.box));
    this.percent = make('output', { 'aria-label': label('zoom') });
    const button = (name, text, act) => {
      const b = make('button', { type: 'button', 'aria-label': label(name) }, text);
      b.addEventListener('click', act);
      return b;
    };
    const bar = make('div', { class: 'bar' }, button('smaller', '−', () => this.step(-1)), this.percent,
      button('larger', '+', () => this.step(1)), button('fit', label('fit'), () => this.setZoom(0)));
    viewer.replaceChildren(bar, this.area);
    this.setZoom(0);
    this.watch();
    let timer;
    addEventListener('resize', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.zoom === 0 && this.setZoom(0), 150);
    });
    for (const sheet of this.sheets.slice(0, MAX_TEXTS)) await sheet.addText();
    viewer.dataset.ready = 'yes';
  }

  room() {
    const style = getComputedStyle(this.area);
    return this.area.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 2;
  }

  setZoom(zoom) {
    const fit = Math.min(this.room() / this.first.width, 1.6 * CSS_UNITS);
    this.zoom = zoom;
    this.scale = zoom === 0 ? fit : zoom * CSS_UNITS;
    this.percent.textContent = `${Math.round((100 * this.scale) / CSS_UNITS)}%`;
    for (const sheet of this.sheets) sheet.layOut();
    for (const sheet of this.near ?? []) this.show(sheet);
  }

  step(direction) {
    const now = this.scale / CSS_UNITS;
    const next = direction > 0 ? STEPS.find((s) => s > now + 0.01) : STEPS.findLast((s) => s < now - 0.01);
    if (next) this.setZoom(next);
  }

  show(sheet) {
    sheet.draw().catch(fail);
  }

  /** Draws what is within a screen of the window; lets go of what is further away than three. */
  watch() {
    this.near = new Set();
    const observe = (margin, act) => {
      const observer = new IntersectionObserver((entries) => {
        for (const entry of entries) act(this.sheets.find((s) => s.box === entry.target), entry.isIntersecting);
      }, { rootMargin: margin });
      for (const sheet of this.sheets) observer.observe(sheet.box);
    };
    observe('100% 0px', (sheet, isIn) => {
      if (!isIn) return;
      this.near.add(sheet);
      this.show(sheet);
    });
    observe('300% 0px', (sheet, isIn) => {
      if (isIn) return;
      this.near.delete(sheet);
      sheet.forget();
    });
  }
}

function fail(error) {
  viewer.replaceChildren(make('p', { class: 'note bad', role: 'alert' }, label('failed')));
  viewer.dataset.ready = 'failed';
  console.error(error);
}

async function start() {
  viewer.replaceChildren(make('p', { role: 'status' }, label('loading')));
  // The body's fonts are part of it, and it has none of the images that need WebAssembly: the policy of this page forbids that.
  const pdf = await getDocument({ url: viewer.dataset.src, useWasm: false, enableXfa: false, disableWorkerRendering: true }).promise;
  await new View(pdf).start();
}

start().catch(fail);
