import { InfrastructureError } from "../errors.ts";

export interface Letter<Command, Reply> {
  readonly command: Command;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

interface MailboxOptions<Command, Reply> {
  /** Answers every letter that it is given; the next delivery starts when it has resolved. */
  deliver: (letters: Letter<Command, Reply>[]) => Promise<void>;
  workOf: (command: Command) => number;
  maxWork: number;
  maxWaiting: number;
}

/** Collects what arrives while a delivery is under way. */
export class Mailbox<Command, Reply> {
  private readonly options: MailboxOptions<Command, Reply>;
  private letters: Letter<Command, Reply>[] = [];
  private taken = 0; // letters before this index are delivered already
  private delivering: Promise<void> | undefined;
  private closed = false;

  constructor(options: MailboxOptions<Command, Reply>) {
    this.options = options;
  }

  get waiting(): number {
    return this.letters.length - this.taken;
  }

  put(command: Command): Promise<Reply> {
    if (this.closed) return Promise.reject(stopping());
    if (this.waiting >= this.options.maxWaiting) return Promise.reject(overloaded());
    return new Promise((resolve, reject) => {
      this.letters.push({ command, resolve, reject });
      // Delivered in a microtask, so that commands submitted together travel together.
      this.delivering ??= Promise.resolve().then(() => this.deliverAll());
    });
  }

  close(): Promise<void> {
    this.closed = true;
    return this.delivering ?? Promise.resolve();
  }

  private async deliverAll(): Promise<void> {
    while (this.waiting > 0) await this.options.deliver(this.take());
    this.delivering = undefined;
  }

  private take(): Letter<Command, Reply>[] {
    const { workOf, maxWork } = this.options;
    let end = this.taken;
    for (let work = 0; end < this.letters.length; end++) {
      work += workOf(this.letters[end]!.command);
      if (work > maxWork && end > this.taken) break;
    }
    const batch = this.letters.slice(this.taken, end);
    this.taken = end;
    // Moving the rest forward at every delivery would cost more than the batch when thousands wait.
    if (this.taken * 2 > this.letters.length) {
      this.letters = this.letters.slice(this.taken);
      this.taken = 0;
    }
    return batch;
  }
}

function overloaded(): InfrastructureError {
  return new InfrastructureError(
    "platform.overloaded",
    "more is waiting than can be worked off in time; try again",
    {
      retryable: true,
      retryAfterSeconds: 1,
    },
  );
}

function stopping(): InfrastructureError {
  return new InfrastructureError("platform.stopping", "the server is stopping; try again in a moment", {
    retryable: true,
    retryAfterSeconds: 2,
  });
}
