/**
 * Colours as CSS variables, in a light and a dark set: charts name the variable, the page's theme decides. The series
 * colours follow Okabe and Ito, which stay apart for colour-blind readers, darkened or lightened until each has a
 * contrast of at least 3 to its background. The baseline is always the neutral grey.
 */
export const THEME: Record<string, { light: string; dark: string }> = {
  paper: { light: '#ffffff', dark: '#15181c' },
  panel: { light: '#f5f6f7', dark: '#1d2126' },
  rule: { light: '#dcdfe3', dark: '#343a42' },
  ink: { light: '#1b1f24', dark: '#e8eaed' },
  soft: { light: '#59626d', dark: '#a2abb6' },
  link: { light: '#00558c', dark: '#7cc4f0' },
  warn: { light: '#8a4b00', dark: '#f0b45c' },
  differ: { light: '#fdf0d5', dark: '#3d3019' },
  baseline: { light: '#7c858f', dark: '#8f99a5' },
  'series-1': { light: '#0072b2', dark: '#56a9e0' },
  'series-2': { light: '#d55e00', dark: '#f08a3c' },
  'series-3': { light: '#008763', dark: '#3fc79a' },
  'series-4': { light: '#b0578d', dark: '#dd96bf' },
  'series-5': { light: '#2b87bd', dark: '#8ccdf2' },
  'series-6': { light: '#a87400', dark: '#e6b33c' },
};

const SERIES = Object.keys(THEME).filter((name) => name.startsWith('series')).length;

export const color = (name: string): string => `var(--${name})`;

/** The colour of each label: grey for the baseline, then the series in order, over again if there are more. */
export function colorsOf(labels: readonly string[], isBaseline: (label: string) => boolean): Map<string, string> {
  let next = 0;
  return new Map(
    labels.map((label) => [label, color(isBaseline(label) ? 'baseline' : `series-${(next++ % SERIES) + 1}`)]),
  );
}

function variables(mode: 'light' | 'dark'): string {
  return Object.entries(THEME)
    .map(([name, value]) => `--${name}:${value[mode]}`)
    .join(';');
}

export function themeCss(): string {
  return `:root{color-scheme:light dark;${variables('light')}}
@media (prefers-color-scheme:dark){:root{${variables('dark')}}}
@media print{:root{color-scheme:light;${variables('light')}}}`;
}
