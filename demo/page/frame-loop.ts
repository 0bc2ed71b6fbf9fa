/** Hidden tabs get no animation frames, but their title still tells how far things are. */
const HIDDEN_PAUSE_MS = 500;

/**
 * Runs `draw` once a frame at most, when it has been asked for. `draw` answers after how many milliseconds it wants to
 * run again: 0 for the next frame, null if nothing is left to do.
 */
export class FrameLoop {
  readonly #draw: () => number | null;
  #later: ReturnType<typeof setTimeout> | undefined;
  #isAsked = false;
  #undo = () => {};

  constructor(draw: () => number | null) {
    this.#draw = draw;
    // A hidden page gets no frames, so a redraw that is due waits for a timer there, and for a frame in a
    // visible page.
    document.addEventListener("visibilitychange", () => {
      if (!this.#isAsked) return;
      this.#undo();
      this.#plan();
    });
  }

  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#plan();
  }

  #plan(): void {
    const run = () => {
      this.#isAsked = false;
      const delayMs = this.#draw();
      clearTimeout(this.#later);
      if (delayMs === 0) this.ask();
      else if (delayMs !== null) this.#later = setTimeout(() => this.ask(), delayMs);
    };
    if (document.visibilityState === "hidden") {
      const timer = setTimeout(run, HIDDEN_PAUSE_MS);
      this.#undo = () => clearTimeout(timer);
    } else {
      const frame = requestAnimationFrame(run);
      this.#undo = () => cancelAnimationFrame(frame);
    }
  }
}
