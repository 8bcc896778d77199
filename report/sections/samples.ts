/** Single prompts, both answers side by side; what they share at the beginning is set back. */
import { storyWords } from '../answers.ts';
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note } from '../markup.ts';
import type { Answer, ReportModel, Story } from '../model.ts';
import { milliseconds, whole } from '../words.ts';

const WHY = { longest: 'much longer', shortest: 'much shorter', slowest: 'slower request' } as const;

export function samplesSection(model: ReportModel, colors: Colors): Markup {
  const stories = model.generations.flatMap((setting) => setting.stories);
  return html`<section aria-labelledby="prompts"><h2 id="prompts">Single prompts</h2>
${
  stories.length === 0
    ? note('No prompt was answered differently.')
    : html`<p>The prompts whose length changed most (two per compressor at most), then those that got slowest. Grey text is what both answers begin with; from the first difference on the text is marked.</p>${stories.map((story) => storyPart(story, colors))}`
}</section>`;
}

/** Length of the common beginning, in whole words (or all of the shorter text). */
export function commonPrefix(a: string, b: string): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  if (i === a.length || i === b.length) return i;
  return a.slice(0, i).search(/\S*$/);
}

function storyPart(story: Story, colors: Colors): Markup {
  const shared = commonPrefix(story.base.text, story.comp.text);
  const first = story.firstDiff === null ? '' : ` · first difference at token ${whole(story.firstDiff)}`;
  const noise =
    story.beyondNoise === null ? '' : story.beyondNoise ? ' · beyond the noise floor' : ' · within the noise floor';
  return html`<article class="story" data-label="${story.label}">
<h3>${swatch(story.label, colors)} · ${WHY[story.why]}: ${storyWords(story)}</h3>
<p class="key"><span class="mono">${story.promptKey}</span> · batch ${story.batch}${first}${noise}</p>
<blockquote tabindex="0" aria-label="Prompt of ${story.promptKey}">${story.prompt}</blockquote>
<div class="both">${answerPart('Uncompressed', story.base, shared)}${answerPart(story.label, story.comp, shared)}</div>
</article>
`;
}

function answerPart(title: string, answer: Answer, shared: number): Markup {
  const time = answer.serviceMs === null ? '' : ` · ${milliseconds(answer.serviceMs)}`;
  const cut = answer.finish === 'stop' ? '' : ' · cut';
  const own = answer.text.slice(shared);
  return html`<div class="answer"><h4>${title}<span>${whole(answer.tokens)} tokens${time}${cut}</span></h4>
<div class="text" tabindex="0" role="group" aria-label="Answer, ${title}">${shared > 0 && html`<span class="common">${answer.text.slice(0, shared)}</span>`}${own !== '' && html`<mark>${own}</mark>`}</div></div>`;
}
