import { runSeed } from "./run-seed.ts";

// A rejection that nobody handles is what a browser would only log.
process.on("unhandledRejection", () => {});

/** Runs the seeds that the parent process names, one at a time, and tells how each ended. */
process.on("message", (seed: number) => {
  void runSeed(seed).then(({ violations }) => process.send?.({ seed, violations }));
});
process.send?.("ready");
