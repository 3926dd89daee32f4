/** What the simulated gateway does with a token, as card networks' test cards do. Any other token is ok. */
export interface Behaviour {
  /** `tok_declined` */
  readonly declines: boolean;
  /** `tok_late_N`: says yes N seconds after it was first asked, and cannot be cancelled meanwhile. */
  readonly late_seconds: number;
  /** `tok_lost`: charges, but the first answer is lost. */
  readonly loses_answer: boolean;
  /** `tok_twice`: sends its webhook twice. */
  readonly sends_twice: boolean;
  /** `tok_down`: no call about it ever arrives. */
  readonly is_down: boolean;
}

export function behaviourOf(token: string): Behaviour {
  const late = /^tok_late_(\d{1,5})$/.exec(token)?.[1];
  return {
    declines: token === "tok_declined",
    late_seconds: late === undefined ? 0 : Number(late),
    loses_answer: token === "tok_lost",
    sends_twice: token === "tok_twice",
    is_down: token === "tok_down",
  };
}
