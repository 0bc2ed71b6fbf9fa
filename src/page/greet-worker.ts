import { explained } from "../core/error-messages.ts";
import { PROTOCOL_VERSION } from "../protocol/protocol.ts";
import type { Connection } from "./connection.ts";
import type { PagePlatform } from "./platform.ts";
import { mismatch } from "./protocol-mismatch.ts";

/** The greeting is repeated this often: the worker may have died over it, or have been replaced. */
const REPEAT_MS = 1_000;
/** A worker that serves uploads answers a greeting as soon as it has started, which takes seconds on a busy machine. */
const MOST_SILENT = 15;
/** A worker of another version has answered; what the browser finds of a newer one shows within so many repeats. */
const MOST_MISMATCHED = 3;
/** The new version loads what its app caches. */
const MOST_INSTALLING = 60;

/**
 * Settles once the active worker has shown that it carries uploads, in this version of the protocol. A new version that is
 * being installed is waited for.
 *
 * @throws {UploadError} `WORKER_NOT_SERVING`, `WORKER_WAITING`, `WORKER_SCRIPT_INVALID`, `PROTOCOL_MISMATCH`
 */
export function greetWorker(
  { clock, worker }: Pick<PagePlatform, "clock" | "worker">,
  connection: Connection,
): Promise<void> {
  return new Promise((resolve, reject) => {
    /** Repeats without a successor that might change anything. */
    let stuck = 0;
    let installing = 0;
    let olderVersion: number | undefined;
    let isUpdateAsked = false;
    let updateFailure: unknown;

    const end = (error?: Error) => {
      for (const undo of undos) undo();
      if (error) reject(error);
      else resolve();
    };

    function askForUpdate(): void {
      if (isUpdateAsked) return;
      isUpdateAsked = true;
      worker.update().catch((error: unknown) => {
        updateFailure = error;
      });
    }

    function judge(): void {
      const { successor } = worker;
      if (successor === "installing" && ++installing <= MOST_INSTALLING) return;
      stuck += 1;
      if (stuck < (olderVersion === undefined ? MOST_SILENT : MOST_MISMATCHED)) return;
      if (successor === "installing")
        end(explained({ code: "WORKER_WAITING", detail: "its installation takes more than a minute" }));
      else if (successor === "waiting") end(explained({ code: "WORKER_WAITING", detail: "" }));
      else if (updateFailure !== undefined)
        end(
          explained(
            { code: "WORKER_SCRIPT_INVALID", detail: `a newer version: ${String(updateFailure)}` },
            { cause: updateFailure },
          ),
        );
      else if (olderVersion === undefined) end(explained({ code: "WORKER_NOT_SERVING", detail: "" }));
      else end(mismatch(olderVersion));
    }

    const undos = [
      connection.on("welcome", () => end()),
      connection.on("mismatch", (version) => {
        // A newer worker stays; only a newer page can talk to it.
        if (version > PROTOCOL_VERSION) return end(mismatch(version));
        if (olderVersion === undefined) stuck = 0;
        olderVersion = version;
        askForUpdate();
      }),
      clock.every(REPEAT_MS, () => {
        askForUpdate();
        connection.hello();
        judge();
      }),
    ];
    connection.hello();
  });
}
