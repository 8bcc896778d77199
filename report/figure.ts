/** A chart as a figure: drawn wide and narrow, and the page shows the one that fits. */
import type { Chart } from './charts/base.ts';
import { html, Markup } from './markup.ts';
import { toSvg } from './svg.ts';

export async function figure(chart: Chart, caption: string): Promise<Markup> {
  const wide = await toSvg(chart.wide, chart.alt);
  const narrow = await toSvg(chart.narrow, chart.alt);
  return html`<figure><figcaption>${caption}</figcaption>
<div class="wide">${new Markup(wide)}</div><div class="narrow">${new Markup(narrow)}</div></figure>`;
}
