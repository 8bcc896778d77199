/** A Vega-Lite spec to SVG text: no browser, no canvas, no network. */
import { loader, None, parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { escapeHtml } from './markup.ts';

/** @param label read out instead of the picture */
export async function toSvg(spec: TopLevelSpec, label: string): Promise<string> {
  // Vega logs a failed request and draws an empty chart: the refusal is kept and thrown here
  const asked: string[] = [];
  const refuse = async (uri: string): Promise<never> => {
    asked.push(uri);
    throw new Error('refused');
  };
  const offline = { ...loader(), load: refuse, http: refuse, file: refuse };
  const view = new View(parse(compile(spec).spec), { renderer: 'none', loader: offline, logLevel: None });
  try {
    const svg = await view.toSVG();
    if (asked.length > 0) throw new Error(`a chart of the report asked for ${asked[0]}; charts carry their data`);
    return lean(svg).replace(/^<svg /, `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}

/** Vega writes coordinates of 15 digits and ids that repeat from chart to chart; neither is seen. */
function lean(svg: string): string {
  return svg.replace(/-?\d+\.\d{3,}/g, (n) => String(Math.round(Number(n) * 100) / 100));
}
