import { afterEach, beforeEach, expect, test } from "vitest";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed;
beforeEach(async () => {
  bed = await startBrowserBed({ handler: { object: { ifNoneMatch: true } } });
});
afterEach(() => bed.close());

test("files of any name and type arrive: what the server would refuse is mended when they are added", async () => {
  const page = await bed.openPage();
  const arrived = await page.evaluate(async () => {
    const files = [
      new File(["1"], `${"x".repeat(1_100)}.jpg`, { type: "foo" }),
      new File(["2"], "line\nbreak\u0000.txt", { type: "image/" }),
      new File(["3"], "half\ud800", { type: "*/*" }),
      new File(["4"], "long type", { type: `image/${"x".repeat(300)}` }),
    ];
    const ids = await uploads.addAll(files.map((file, index) => ({ file, key: `named/${index}` })));
    await Promise.all(ids.map((id) => uploads.finished(id)));
    return uploads
      .list()
      .map(({ name, type, state }) => ({ length: name.length, name: name.slice(-20), type, state }));
  });
  expect(arrived).toEqual([
    { length: 1_023, name: `${"x".repeat(16)}.jpg`, type: "", state: "done" },
    { length: 13, name: "linebreak.txt", type: "", state: "done" },
    { length: 5, name: "half\ufffd", type: "", state: "done" },
    { length: 9, name: "long type", type: "", state: "done" },
  ]);
});

test.each([
  ["without a slash", "foo"],
  ["without a subtype", "image/"],
  ["that is too long", `image/${"x".repeat(300)}`],
])("a type of the app's own %s is refused at once", async (_how, type) => {
  const page = await bed.openPage();
  const code = await page.evaluate(
    (wanted) => uploads.add(new File(["x"], "x"), { key: "x", type: wanted }).catch((error) => error.code),
    type,
  );
  expect(code).toBe("OPTION_INVALID");
  expect(await page.evaluate(() => uploads.list())).toEqual([]);
});

test.each([
  ["in one PUT", {}],
  ["in parts", { partSize: 5 * MIB }],
])(
  "a second file under the key of a first fails and says so, where objects may not be replaced: %s",
  async (_how, options) => {
    const page = await bed.openPage();
    const outcome = await page.evaluate(async (more) => {
      const first = await uploads.add(new File(["first"], "image.jpg"), { key: "photos/image.jpg", ...more });
      await uploads.finished(first);
      const second = await uploads.add(new File(["second"], "image.jpg"), {
        key: "photos/image.jpg",
        ...more,
      });
      return uploads.finished(second).then(
        () => "replaced",
        ({ code, message }: { code: string; message: string }) => ({ code, message }),
      );
    }, options);
    expect(outcome).toEqual({ code: "OBJECT_EXISTS", message: expect.stringMatching(/under another key/) });
    expect(await bed.sha256("photos/image.jpg")).toBe(
      "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
    );
  },
);
