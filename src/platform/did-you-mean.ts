/** " (did you mean NAME?)" when a known name is close to what was written, else nothing. */
export function didYouMean(written: string, known: Iterable<string>): string {
  // A third of the letters may be wrong: more than a typing error, less than another word.
  let nearest = Math.max(1, Math.floor(written.length / 3)) + 1;
  let suggestion: string | undefined;
  for (const name of known) {
    const distance = editDistance(written, name);
    if (distance < nearest) {
      nearest = distance;
      suggestion = name;
    }
  }
  return suggestion === undefined ? "" : ` (did you mean ${suggestion}?)`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substituted = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
