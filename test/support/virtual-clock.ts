import type { VirtualTime } from "./virtual-time.ts";

/** The `Clock` of worker and page under virtual time. */
export function virtualClock(time: VirtualTime, epoch = 1_800_000_000_000) {
  const now = () => epoch + time.elapsed;
  return {
    now,
    elapsed: () => time.elapsed,
    msOfDay: () => now() % 86_400_000,
    after: (ms: number, callback: () => void) => time.after(ms, callback),
    every(ms: number, callback: () => void): () => void {
      let undo = () => {};
      const set = () => {
        undo = time.after(ms, () => {
          set();
          callback();
        });
      };
      set();
      return () => undo();
    },
  };
}
