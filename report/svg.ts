/** A Vega-Lite spec to SVG text: no browser, no canvas, no network. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { escapeHtml } from './markup.ts';
import { textWidth } from './text-width.ts';

/** Exported by Vega, absent from its types. */
interface VegaText {
  textMetrics: { width: (item: { fontSize?: number }, text: unknown) => number };
}

// without a canvas Vega allows 0.8 em for every letter, and plots give way to labels that are not there
(vega as unknown as VegaText).textMetrics.width = ({ fontSize = 11 }, text) => textWidth(String(text ?? ''), fontSize);

/** @param label read out instead of the picture */
export async function toSvg(spec: TopLevelSpec, label: string): Promise<string> {
  // Vega logs a failed request and draws an empty chart: the refusal is kept and thrown here
  const asked: string[] = [];
  const refuse = async (uri: string): Promise<never> => {
    asked.push(uri);
    throw new Error('refused');
  };
  const offline = { ...vega.loader(), load: refuse, http: refuse, file: refuse };
  const view = new vega.View(vega.parse(compile(spec).spec), {
    renderer: 'none',
    loader: offline,
    logLevel: vega.None,
  });
  try {
    const svg = await view.toSVG();
    if (asked.length > 0) throw new Error(`a chart of the report asked for ${asked[0]}; charts carry their data`);
    return lean(svg).replace(/^<svg /, `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}

/**
 * Vega writes coordinates of 15 digits, classes that nothing styles, and roles that would ask for a name of every group
 * inside one picture.
 */
function lean(svg: string): string {
  return svg
    .replace(/-?\d+\.\d{3,}/g, (n) => String(Math.round(Number(n) * 100) / 100))
    .replace(/ (?:role|class|aria-[a-z]+)="[^"]*"/g, '');
}
