import { describe, expect, it } from "vitest";
import { type Letter, Mailbox } from "./mailbox.ts";

/** A mailbox whose deliveries wait at a gate until the test lets the next one through. */
function gatedMailbox({ maxWork = 100, maxWaiting = 100 } = {}) {
  const deliveries: number[][] = [];
  const gates: (() => void)[] = [];
  const mailbox = new Mailbox<number, string>({
    async deliver(letters: Letter<number, string>[]) {
      deliveries.push(letters.map(({ command }) => command));
      await new Promise<void>((resolve) => gates.push(resolve));
      for (const { command, resolve } of letters) resolve(`answer ${command}`);
    },
    workOf: (command) => command,
    maxWork,
    maxWaiting,
  });
  const put = (...commands: number[]) => commands.map((command) => mailbox.put(command));
  async function letThrough(): Promise<void> {
    await expect.poll(() => gates.length).toBeGreaterThan(0);
    gates.shift()!();
  }
  return { mailbox, deliveries, put, letThrough };
}

describe("a mailbox", () => {
  it("delivers together what was put in together", async () => {
    const { deliveries, put, letThrough } = gatedMailbox();
    const answers = put(1, 2, 3);
    await letThrough();
    expect(await Promise.all(answers)).toEqual(["answer 1", "answer 2", "answer 3"]);
    expect(deliveries).toEqual([[1, 2, 3]]);
  });

  it("collects what arrives while a delivery is under way, and keeps its order", async () => {
    const { deliveries, put, letThrough } = gatedMailbox();
    const first = put(1);
    await expect.poll(() => deliveries).toEqual([[1]]);
    const others = [...put(2), ...put(3, 4)];
    await letThrough();
    await letThrough();
    await Promise.all([...first, ...others]);
    expect(deliveries).toEqual([[1], [2, 3, 4]]);
  });

  it("delivers again after it was empty", async () => {
    const { deliveries, put, letThrough } = gatedMailbox();
    for (const command of [1, 2]) {
      const answer = put(command);
      await letThrough();
      await Promise.all(answer);
    }
    expect(deliveries).toEqual([[1], [2]]);
  });

  it("takes no more work at once than it may, but a single large command still", async () => {
    const { deliveries, put, letThrough } = gatedMailbox({ maxWork: 5 });
    const answers = put(2, 3, 1, 9, 4, 1);
    for (let i = 0; i < 4; i++) await letThrough();
    await Promise.all(answers);
    expect(deliveries).toEqual([[2, 3], [1], [9], [4, 1]]);
  });

  it("keeps order and counts what waits, however long the queue has been", async () => {
    const { mailbox, deliveries, put, letThrough } = gatedMailbox({ maxWork: 7, maxWaiting: 1_000 });
    const commands = Array.from({ length: 200 }, (_, i) => (i % 5) + 1);
    const answers = put(...commands);
    let left = commands.length;
    while (left > 0) {
      await letThrough();
      left -= deliveries.at(-1)!.length;
      expect(mailbox.waiting).toBe(left);
    }
    await Promise.all(answers);
    expect(deliveries.flat()).toEqual(commands);
  });

  it("turns away what is more than may wait, and takes more once there is room", async () => {
    const { mailbox, deliveries, put, letThrough } = gatedMailbox({ maxWaiting: 2 });
    const underWay = put(1);
    await expect.poll(() => deliveries).toHaveLength(1);
    const waiting = put(2, 3);
    await expect(mailbox.put(4)).rejects.toMatchObject({
      code: "platform.overloaded",
      retryable: true,
      retryAfterSeconds: 1,
    });
    await letThrough();
    await expect.poll(() => deliveries).toHaveLength(2);
    const later = put(5);
    await letThrough();
    await letThrough();
    expect(await Promise.all([...underWay, ...waiting, ...later])).toHaveLength(4);
  });

  it("answers all that it has taken before it is closed, and takes nothing more", async () => {
    const { mailbox, deliveries, put, letThrough } = gatedMailbox();
    const first = put(1);
    await expect.poll(() => deliveries).toHaveLength(1);
    const second = put(2);
    const closed = mailbox.close();
    await expect(mailbox.put(3)).rejects.toMatchObject({ code: "platform.stopping", retryable: true });
    await letThrough();
    await letThrough();
    await closed;
    expect(await Promise.all([...first, ...second])).toEqual(["answer 1", "answer 2"]);
    expect(mailbox.waiting).toBe(0);
  });

  it("that is idle closes at once", async () => {
    await expect(gatedMailbox().mailbox.close()).resolves.toBeUndefined();
  });
});
