/**
 * `classification`: the labels found in an answer, less those that are part of the right one. The walk skips the label
 * behind each that it deletes, because published scores come from a loop that deletes from the list it walks.
 */
export function classification(prediction: string, classes: readonly string[]): (reference: string) => number {
  const found = classes.filter((label) => prediction.includes(label));
  return (gold) => {
    const left = [...found];
    for (let i = 0; i < left.length; i++) {
      if (gold.includes(left[i]!) && left[i] !== gold) left.splice(i, 1);
    }
    return left.includes(gold) ? 1 / left.length : 0;
  };
}
