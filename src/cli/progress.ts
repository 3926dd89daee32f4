const everyMs = 200;

export interface Progress {
  readonly show: (message: string) => void;
  clear(): void;
}

/** One line on stderr that is written over; nothing where nobody watches. */
export function showProgress(output: NodeJS.WriteStream = process.stderr): Progress {
  if (!output.isTTY) return { show() {}, clear() {} };
  let shownAt = 0;
  const clear = () => output.write("\r\u001b[K");
  return {
    show(message) {
      if (performance.now() - shownAt < everyMs) return;
      shownAt = performance.now();
      clear();
      output.write(message);
    },
    clear,
  };
}
