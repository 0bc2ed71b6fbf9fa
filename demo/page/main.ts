import { connectUploads, type UploadSnapshot, type Uploads } from "backhaul";
import { FileAdder } from "./add-files.ts";
import { Announcer } from "./announcer.ts";
import { ConnectionPanel } from "./connection-panel.ts";
import { openDropZone } from "./drop-zone.ts";
import { findElement, setText } from "./find-element.ts";
import { FrameLoop } from "./frame-loop.ts";
import { guarantee } from "./guarantee.ts";
import { ListFilter } from "./list-filter.ts";
import { Notices } from "./notices.ts";
import { listenToRows } from "./row-actions.ts";
import { SummaryPanel } from "./summary-panel.ts";
import { sumUp } from "./totals.ts";
import { UploadListView } from "./upload-list.ts";

declare global {
  /** For the console, and for tests. */
  var uploads: Uploads | undefined;
}

const list = findElement("#upload-list", HTMLElement);
const emptyState = findElement("#empty", HTMLElement);
const notices = new Notices(findElement("#notices", HTMLElement));
const announcer = new Announcer(findElement("#announcer", HTMLElement));
const connectionPanel = new ConnectionPanel(() => void connect());

const adder = new FileAdder({
  onWaiting: (count) => connectionPanel.showWaiting(count),
  onRefused: (what, error) => notices.report(what, error),
});
openDropZone({
  input: findElement("#file-input", HTMLInputElement),
  curtain: findElement("#curtain", HTMLElement),
  onPick: (files) => adder.add(files),
  onError: (error) => notices.report("What was dropped can't be read", error),
});

void connect();

async function connect(): Promise<void> {
  connectionPanel.connecting();
  try {
    const uploads = await connectUploads({ worker: "/sw.js" });
    globalThis.uploads = uploads;
    connectionPanel.connected();
    setText(findElement("#guarantee", HTMLElement), guarantee(uploads.guarantees()));
    show(uploads);
    adder.connect(uploads);
  } catch (error) {
    connectionPanel.failed(error);
  }
}

function show(uploads: Uploads): void {
  const report = (what: string) => (error: unknown) => notices.report(what, error);
  const summary = new SummaryPanel({
    pauseAll: () => uploads.pause().catch(report("Not paused")),
    resumeAll: () => uploads.resume().catch(report("Not resumed")),
    clearFinished: () => uploads.remove().catch(report("Not all cleared")),
  });
  const filter = new ListFilter(list);
  const rows = new UploadListView(list, findElement("#upload-row", HTMLTemplateElement), () => frames.ask());
  let latest: readonly UploadSnapshot[] = [];
  let drawn: readonly UploadSnapshot[] | undefined;

  const frames = new FrameLoop(() => {
    if (drawn !== latest) {
      drawn = latest;
      const totals = sumUp(latest);
      summary.show(totals);
      filter.show(totals);
      announcer.take(latest);
      rows.take(latest);
      emptyState.hidden = totals.all > 0;
      document.body.dataset.uploads = totals.all > 0 ? "some" : "none";
    }
    return rows.draw(Date.now());
  });
  uploads.subscribe((next) => {
    latest = next;
    frames.ask();
  });
  setInterval(() => rows.tick() && frames.ask(), 1_000);
  listenToRows(list, uploads, (what, error) => notices.report(what, error));
}
