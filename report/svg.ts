/** A Vega-Lite spec to SVG text: no browser, no canvas, no network. */
import { loader, None, parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

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
    return svg.replace(/^<svg /, `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (c) => names[c]!);
}
