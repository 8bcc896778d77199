/** The name that a user most likely meant; null if none is near. */
export function nearest(word: string, names: readonly string[]): string | null {
  const wanted = word.toLowerCase();
  const ranked = names
    .map((name) => ({ name, far: distance(wanted, name.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  const best = ranked[0];
  // A third of the letters may be wrong, one always.
  const bearable = best ? Math.max(1, Math.floor(Math.max(word.length, best.name.length) / 3)) : 0;
  return best && best.far <= bearable ? best.name : null;
}

/** Edits between two words: insertions, deletions, substitutions and swaps of neighbours. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

export function unknownCompressor(name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return `there is no compressor '${name}'${meant ? ` (did you mean ${meant}?)` : ''}; this engine has ${known.join(', ')}`;
}
