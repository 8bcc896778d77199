/** A chart as a figure: drawn wide and narrow, the page shows the one that fits, and the numbers stand in a table below. */
import type { Chart } from './charts/base.ts';
import { html, Markup, more } from './markup.ts';
import { toSvg } from './svg.ts';

/** @param data the numbers of the chart, for readers who do not see it */
export async function figure(chart: Chart, caption: string, data: Markup): Promise<Markup> {
  const wide = await toSvg(chart.wide, chart.alt);
  const narrow = await toSvg(chart.narrow, chart.alt);
  return drawn(new Markup(wide), new Markup(narrow), caption, data);
}

export function drawn(wide: Markup, narrow: Markup, caption: string, data: Markup): Markup {
  return html`<figure><figcaption>${caption}</figcaption>
<div class="wide">${wide}</div><div class="narrow">${narrow}</div>
${more('The numbers of this chart', data)}</figure>`;
}
