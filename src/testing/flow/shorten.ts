import type { Run } from "./steps.ts";

/** Leaves steps out, as many as possible and as long as the time allows, and tells what still goes wrong. */
export async function shorten(
  run: Run,
  troubleWith: (run: Run) => Promise<string | undefined>,
  forMs: number,
): Promise<string> {
  const giveUpAt = performance.now() + forMs;
  let { steps } = run;
  let trouble = await troubleWith(run);
  if (trouble === undefined) return "It went wrong once, and then it did not.";
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < steps.length; ) {
      if (performance.now() > giveUpAt) return trouble;
      const fewer = [...steps.slice(0, from), ...steps.slice(from + size)];
      const found = await troubleWith({ ...run, steps: fewer });
      if (found === undefined) from += size;
      else {
        steps = fewer;
        trouble = found;
      }
    }
  }
  return trouble;
}
