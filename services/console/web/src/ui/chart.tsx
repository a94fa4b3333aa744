// SPDX-License-Identifier: Apache-2.0
//
// Lines over time by uPlot, in the page's colours; the same numbers stand in a table for those who do not see them.
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useWords } from '../language';

export interface Line { label: string; colour: 1 | 2 | 3 | 4 | 5; values: (number | null)[] }

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A value between two gaps is no line: it is shown as a point. */
function lonely(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  return [...values.keys()].filter((i) => (values[i] ?? null) !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
}

/** What light-dark() and var() come to. */
function painted(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || colour(name);
}

export function Chart({ label, times, lines, format, least, height = 200 }: { label: string; times: number[]; lines: Line[];
  format: (value: number) => string; least: number; height?: number }) {
  const { t, language, time } = useWords();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [scheme, setScheme] = useState(0);
  const names = lines.map((l) => l.label).join('\n');
  const isLong = (times.at(-1) ?? 0) - (times[0] ?? 0) > 2 * 86400;
  const form = useRef(format);
  form.current = format;
  useEffect(() => {
    const changed = () => setScheme((n) => n + 1);
    const media = matchMedia('(prefers-color-scheme: dark)');
    media.addEventListener('change', changed);
    const observer = new MutationObserver(changed);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    return () => { media.removeEventListener('change', changed); observer.disconnect(); };
  }, []);
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const soft = painted('--soft');
    const grid = { stroke: painted('--line'), width: 1 };
    const axis = { stroke: soft, grid, ticks: grid, font: '12px system-ui, sans-serif' };
    const locale = language === 'ja' ? 'ja-JP' : 'en-GB';
    const clock = new Intl.DateTimeFormat(locale, isLong ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit' });
    const whole = new Intl.DateTimeFormat(locale, { ...(isLong ? { month: 'short', day: 'numeric' } : {}), hour: '2-digit', minute: '2-digit' });
    const made = new uPlot({
      width: element.clientWidth || 400,
      height,
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      legend: { live: true },
      scales: { y: { range: (_u, _min, max) => [0, Math.max(max * 1.1, least) || least] } },
      axes: [
        { ...axis, space: 64, values: (_u, ticks) => ticks.map((s) => clock.format(s * 1000)) },
        { ...axis, size: 64, values: (_u, ticks) => ticks.map((v) => form.current(v)) },
      ],
      series: [
        { label: t('time'), value: (_u, v) => (v === null ? '–' : whole.format(v * 1000)) },
        ...lines.map((line) => ({ label: line.label, stroke: painted(`--chart-${line.colour}`), width: 2, points: { show: true, size: 6, filter: (u: uPlot, i: number) => lonely(u, i) },
          value: (_u: uPlot, v: number | null) => (v === null ? '–' : form.current(v)) })),
      ],
    }, [times, ...lines.map((l) => l.values)] as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => { observer.disconnect(); made.destroy(); plot.current = null; };
    // The data follow below, without a new picture.
    // eslint-disable-next-line
  }, [names, language, height, scheme, least, isLong]);
  useEffect(() => { plot.current?.setData([times, ...lines.map((l) => l.values)] as uPlot.AlignedData); }, [times, lines]);
  const last = times.length - 1;
  return (
    <figure className="chart">
      <figcaption>{label}</figcaption>
      <div ref={place} aria-hidden className="plot" />
      <details>
        <summary>{t('chart.table')}</summary>
        <div className="table" role="region" aria-label={label} tabIndex={0}>
          <table>
            <thead><tr><th scope="col">{t('time')}</th>{lines.map((l) => <th scope="col" key={l.label}>{l.label}</th>)}</tr></thead>
            <tbody>
              {times.map((_, i) => last - i).slice(0, 30).map((i) => (
                <tr key={times[i]}><th scope="row">{time(times[i]! * 1000)}</th>
                  {lines.map((l) => { const v = l.values[i]; return <td key={l.label}>{v === null || v === undefined ? '–' : format(v)}</td>; })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
