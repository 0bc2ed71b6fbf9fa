import { findElement, setText } from "./find-element.ts";
import { formatBytes, formatCount, formatDuration, formatSpeed, wholePercent } from "./format.ts";
import type { Totals } from "./totals.ts";

export interface SummaryActions {
  readonly pauseAll: () => void;
  readonly resumeAll: () => void;
  readonly clearFinished: () => void;
}

/** All uploads together: how far, how fast, how long; and what can be done with all of them. */
export class SummaryPanel {
  readonly #panel = findElement("#summary", HTMLElement);
  readonly #percent = findElement("#total-percent", HTMLElement);
  readonly #headline = findElement("#total-headline", HTMLElement);
  readonly #figures = findElement("#total-figures", HTMLElement);
  readonly #track = findElement("#total-track", HTMLElement);
  readonly #confirmed = findElement("#total-confirmed", HTMLElement);
  readonly #estimated = findElement("#total-estimated", HTMLElement);
  readonly #pauseAll = findElement("#pause-all", HTMLButtonElement);
  readonly #resumeAll = findElement("#resume-all", HTMLButtonElement);
  readonly #clear = findElement("#clear-finished", HTMLButtonElement);

  constructor({ pauseAll, resumeAll, clearFinished }: SummaryActions) {
    onClick(this.#pauseAll, pauseAll);
    onClick(this.#resumeAll, resumeAll);
    onClick(this.#clear, clearFinished);
  }

  show(totals: Totals): void {
    this.#panel.hidden = totals.all === 0;
    const percent = totalPercent(totals);
    setText(this.#percent, `${percent}%`);
    setText(this.#headline, headline(totals));
    setText(this.#figures, figures(totals));
    this.#track.ariaValueNow = String(percent);
    this.#track.ariaValueText = `${percent}%, ${formatBytes(totals.batchEstimatedBytes)} of ${formatBytes(totals.batchBytes)}`;
    const whole = totals.batchBytes || 1;
    const isComplete = percent === 100;
    this.#confirmed.style.transform = `scaleX(${isComplete ? 1 : totals.batchUploadedBytes / whole})`;
    this.#estimated.style.transform = `scaleX(${isComplete ? 1 : totals.batchEstimatedBytes / whole})`;
    enable(this.#pauseAll, totals.pausable > 0);
    enable(this.#resumeAll, totals.paused > 0);
    enable(this.#clear, totals.finished > 0);
    document.title = totals.moving > 0 ? `${percent}% · Backhaul` : "Backhaul";
  }
}

/** 100 only when nothing is left to be done. */
function totalPercent({ batchBytes, batchEstimatedBytes, moving, held, done }: Totals): number {
  if (moving === 0 && held === 0) return done > 0 ? 100 : 0;
  return Math.min(99, wholePercent(batchEstimatedBytes, batchBytes));
}

function headline({ moving, held, paused, done }: Totals): string {
  if (moving > 0) return `Uploading ${formatCount(moving, "file")}`;
  if (held > 0 && paused === held) return "Paused";
  if (held > 0) return `${formatCount(held, "upload")} held up`;
  if (done > 0) return done === 1 ? "1 file has arrived" : `All ${formatCount(done, "file")} have arrived`;
  return "Nothing on the way";
}

function figures({ moving, batchBytes, batchEstimatedBytes, bytesPerSecond, etaSeconds }: Totals): string {
  const words = [`${formatBytes(batchEstimatedBytes)} of ${formatBytes(batchBytes)}`];
  if (moving > 0 && bytesPerSecond > 0) words.push(formatSpeed(bytesPerSecond));
  if (moving > 0 && etaSeconds !== null) words.push(`${formatDuration(etaSeconds)}\u00a0left`);
  return words.join(" · ");
}

/** `disabled` would take the focus away from whoever has just pressed it. */
function enable(button: HTMLButtonElement, isEnabled: boolean): void {
  button.ariaDisabled = String(!isEnabled);
}

function onClick(button: HTMLButtonElement, action: () => void): void {
  button.addEventListener("click", () => {
    if (button.ariaDisabled !== "true") action();
  });
}
