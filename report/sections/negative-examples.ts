/** Some of the prompts that lost most: prompt, reference, both answers side by side. */
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note } from '../markup.ts';
import type { NegativeExample, NegativesSetting, ScoredAnswer } from '../model-scores.ts';
import { percent } from '../words.ts';
import { commonPrefix } from './samples.ts';

/** Characters of a prompt that are shown from each end; long contexts would fill the page. */
const ENDS = 600;

export function examplesPart(setting: NegativesSetting, colors: Colors): Markup {
  const { examples } = setting;
  if (examples.length === 0) return html``;
  const robust = examples.every((e) => e.robust === true);
  const lead = robust
    ? 'Robust negatives: they lose whichever runs are compared. Those that lost most come first.'
    : 'Prompts that lost most in a single run, those that are robust first. Where it does not say robust, another run may answer otherwise.';
  return html`<h3>Examples${setting.imported ? ', by score' : ''}</h3>${note(lead)}${examples.map((e) => examplePart(e, colors))}`;
}

export function shorten(text: string): string {
  if (text.length <= 2 * ENDS + 40) return text;
  return `${text.slice(0, ENDS)}\n… ${text.length - 2 * ENDS} characters left out …\n${text.slice(-ENDS)}`;
}

function examplePart(e: NegativeExample, colors: Colors): Markup {
  const shared = commonPrefix(e.base.text ?? '', e.comp.text ?? '');
  const kind =
    e.robust === null ? 'single-run negative' : e.robust ? 'robust negative' : 'single-run negative, not robust';
  const batch = e.batch === null ? '' : ` · batch ${e.batch}`;
  return html`<article class="story" data-label="${e.label}">
<h4>${swatch(e.label, colors)} · ${kind}: ${percent(e.base.score)} → ${percent(e.comp.score)} by ${e.metric}</h4>
<p class="key"><span class="mono">${e.promptKey}</span>${e.taskType && ` · ${e.taskType}`}${batch}</p>
${e.prompt !== null && html`<blockquote tabindex="0" aria-label="Prompt of ${e.promptKey}">${shorten(e.prompt)}</blockquote>`}
${e.references.length > 0 && html`<p class="reference"><b>Reference</b> ${e.references.slice(0, 3).map((r, i) => html`${i > 0 && ' · '}${shorten(r)}`)}</p>`}
${e.base.text !== null && e.comp.text !== null && html`<div class="both">${answerPart('Uncompressed', e.base, shared)}${answerPart(e.label, e.comp, shared)}</div>`}
</article>
`;
}

function answerPart(title: string, answer: ScoredAnswer, shared: number): Markup {
  const text = answer.text ?? '';
  const own = text.slice(shared);
  return html`<div class="answer"><h5>${title}<span>score ${percent(answer.score)}</span></h5>
<div class="text" tabindex="0" role="group" aria-label="Answer, ${title}">${shared > 0 && html`<span class="common">${text.slice(0, shared)}</span>`}${own !== '' && html`<mark>${own}</mark>`}${text === '' && html`<span class="common">(empty)</span>`}</div></div>`;
}
