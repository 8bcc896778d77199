/** A Vega-Lite spec to SVG text: no browser, no canvas, no network. */
import { loader, parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

/** Specs carry their data; a loader that refuses everything keeps it that way. */
function offlineLoader() {
  const refuse = async (uri: string): Promise<never> => {
    throw new Error(`a chart of the report asked for ${uri}; charts carry their data`);
  };
  return { ...loader(), load: refuse, http: refuse, file: refuse };
}

/** @param label read out instead of the picture */
export async function toSvg(spec: TopLevelSpec, label: string): Promise<string> {
  const view = new View(parse(compile(spec).spec), { renderer: 'none', loader: offlineLoader() });
  try {
    const svg = await view.toSVG();
    // the picture scales down with a narrow page, never up; ids are not needed and could collide between charts
    return svg.replace(/^<svg /, `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (c) => names[c]!);
}
