/** The word lists of the generators and what is drawn from them. Order matters: prompts are compared by their hash. */
import type { SplitMix64 } from '../../analysis/random.ts';

const list = (text: string) => text.split(' ');

const ADJECTIVES = list(
  'amber brisk calm dusty early faint gentle hollow icy jolly keen little mellow narrow olive plain quiet rusty silent tidy upper velvet warm young brave clever distant eager fresh grand humble polite',
);
const NOUNS = list(
  'baker carpenter clerk doctor drummer farmer fisher gardener heron hunter judge keeper lawyer mason miller nurse otter painter pilot porter potter raven sailor scholar shepherd singer smith tailor teacher trader weaver writer',
);
const VERBS = list(
  'carried painted lifted counted cleaned folded guarded mended measured moved noticed opened packed polished posted praised pulled pushed raised repaired sketched sold sorted stacked stored studied tested traded washed watched weighed wrapped',
);
const OBJECTS = list(
  'anchor basket bell blanket bottle bowl box brush bucket candle carpet chair clock coat compass drum fence flag hammer kettle ladder lamp lantern mirror paddle parcel pillow pitcher rope shovel stool table',
);
const PLACES = list(
  'barn bridge canal castle cellar chapel cottage courtyard dock farm forest garden gate harbour hill inn island lake library market meadow mill museum orchard palace park pier river school station tower valley',
);

/** `The amber farmer pushed the calm bucket beside the gate.` */
export function sentence(random: SplitMix64): string {
  const from = (words: readonly string[]) => words[random.below(32)]!;
  const [a, n, v] = [from(ADJECTIVES), from(NOUNS), from(VERBS)];
  const [a2, o, p] = [from(ADJECTIVES), from(OBJECTS), from(PLACES)];
  return `The ${a} ${n} ${v} the ${a2} ${o} beside the ${p}.`;
}

/** Three syllables, drawn again while the word is in `used`; the result is added to it. */
export function word(random: SplitMix64, used: Set<string>): string {
  for (;;) {
    let out = '';
    for (let i = 0; i < 3; i++) {
      const draw = random.below(70);
      out += 'bdfgklmnprstvz'[Math.floor(draw / 5)]! + 'aeiou'[draw % 5]!;
    }
    if (used.has(out)) continue;
    used.add(out);
    return out;
  }
}

/** Seven digits. */
export function number(random: SplitMix64): string {
  return String(1_000_000 + random.below(9_000_000));
}

/** Two draws as hexadecimal digits, grouped 8-4-4-4-12. */
export function uuid(random: SplitMix64): string {
  const hex = (
    random.next().toString(16).padStart(16, '0') + random.next().toString(16).padStart(16, '0')
  ).toLowerCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Five capital letters. */
export function variableName(random: SplitMix64, used: Set<string>): string {
  for (;;) {
    const out = Array.from({ length: 5 }, () => String.fromCharCode(65 + random.below(26))).join('');
    if (used.has(out)) continue;
    used.add(out);
    return out;
  }
}
