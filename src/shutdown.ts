import type { Logger } from "./platform/telemetry/logger.ts";

const patienceMs = 25_000;
// Ctrl-C under npm comes twice at once: from the terminal, and passed on by npm.
const echoMs = 500;

/** Resolves with the exit code when the process is told to stop, or something broke that nobody has caught. */
export function untilToldToStop(logger: Logger): Promise<number> {
  return new Promise((resolve) => {
    let toldAt: number | undefined;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (toldAt !== undefined && performance.now() - toldAt < echoMs) return;
        if (toldAt !== undefined) process.exit(1);
        toldAt = performance.now();
        logger.info({ signal }, "stopping: what is under way is finished; a second signal ends at once");
        resolve(0);
      });
    }
    // Rejections that nobody handles come here as well.
    process.on("uncaughtException", (error) => {
      logger.fatal({ err: error }, "stopping after a defect");
      resolve(1);
    });
  });
}

/** Stops, and ends the process even if that hangs. */
export async function exitAfter(stop: () => Promise<void>, code: number, logger: Logger): Promise<never> {
  const deadline = setTimeout(() => {
    logger.fatal(
      `stopping took longer than ${patienceMs / 1_000} s; ending as if killed, which loses nothing`,
    );
    process.exit(1);
  }, patienceMs);
  try {
    await stop();
  } catch (error) {
    logger.error({ err: error }, "stopping went wrong");
    process.exit(1);
  }
  clearTimeout(deadline);
  logger.info("stopped");
  process.exit(code);
}
