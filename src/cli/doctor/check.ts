/** One thing that was looked at. */
export interface Check {
  readonly state: "fine" | "warning" | "failure";
  readonly what: string;
  /** What to do about it. */
  readonly advice?: string;
}

export function fine(what: string): Check {
  return { state: "fine", what };
}

export function doubtful(what: string, advice: string): Check {
  return { state: "warning", what, advice };
}

export function failed(what: string, advice: string): Check {
  return { state: "failure", what, advice };
}
