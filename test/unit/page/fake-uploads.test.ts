import type { Uploads } from "backhaul";
import { FakeUploads } from "backhaul/testing";
import { expect, test } from "vitest";

const file = (name: string, size = 10) => new File([new Uint8Array(size)], name, { type: "text/plain" });

test("a fake is accepted wherever the real uploads are", () => {
  const uploads: Uploads = new FakeUploads();
  expect(uploads.list()).toEqual([]);
});

test("an upload moves by the steps of its script alone, and its listeners hear each", async () => {
  const fake = new FakeUploads();
  const heard: string[] = [];
  fake.subscribe(([upload]) => heard.push(upload ? `${upload.state} ${upload.estimatedBytes}` : "none"));
  const id = await fake.add(file("a.txt"), { key: "k/a.txt" });
  expect(fake.get(id)).toMatchObject({ name: "a.txt", type: "text/plain", size: 10, key: "k/a.txt" });
  const end = fake.finished(id);
  expect(fake.step()).toBe(true);
  fake.stepToEnd();
  expect(fake.step()).toBe(false);
  expect(heard).toEqual(["none", "queued 0", "uploading 5", "done 10"]);
  expect(await end).toMatchObject({ key: "k/a.txt", size: 10 });
});

test("scripted failures reject finished(), and retry takes the rest of the script", async () => {
  const fake = new FakeUploads({ script: () => [{ wait: "offline" }, { fail: "NETWORK" }, "done"] });
  const id = await fake.add(file("a"), { key: "a" });
  const end = fake.finished(id).catch((error: unknown) => error);
  fake.step();
  expect(fake.get(id)).toMatchObject({ state: "waiting", reason: "offline" });
  fake.stepToEnd();
  expect(await end).toMatchObject({ name: "UploadError", code: "NETWORK" });
  await fake.retryAll();
  fake.stepToEnd();
  expect(fake.get(id)?.state).toBe("done");
});

test("a paused upload takes no step until it is resumed", async () => {
  const { add, pause, resume, step, get } = new FakeUploads();
  const id = await add(file("a"), { key: "a" });
  await pause();
  expect(step()).toBe(false);
  await resume(id);
  expect(step()).toBe(true);
  expect(get(id)?.state).toBe("uploading");
});

test("calls that the state does not allow are refused as the real ones are", async () => {
  const fake = new FakeUploads();
  const id = await fake.add(file("a"), { key: "a" });
  await expect(fake.pause("x")).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
  await expect(fake.remove(id)).rejects.toMatchObject({ code: "STATE_INVALID" });
  await fake.retry(id);
  await expect(fake.attach(id, file("a"))).rejects.toMatchObject({ code: "STATE_INVALID" });
  fake.apply(id, { wait: "file" });
  await expect(fake.attach(id, file("b", 11))).rejects.toMatchObject({ code: "FILE_MISMATCH" });
  await fake.attach(id, file("a"));
  fake.stepToEnd();
  await expect(fake.cancel(id)).rejects.toMatchObject({ code: "STATE_INVALID" });
  await expect(fake.retry(id)).rejects.toMatchObject({ code: "STATE_INVALID" });
  await fake.remove();
  expect(fake.list()).toEqual([]);
});

test("a call is refused once with the code that the test has asked for", async () => {
  const fake = new FakeUploads();
  fake.refuseNext("add", "QUOTA_EXCEEDED");
  await expect(fake.add(file("a"), { key: "a" })).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
  expect(fake.list()).toEqual([]);
  await fake.add(file("a"), { key: "a" });
  expect(fake.list().length).toBe(1);
});

test("closing tells whoever waits for an end", async () => {
  const fake = new FakeUploads();
  const end = fake.finished(await fake.add(file("a"), { key: "a" }));
  fake.close();
  await expect(end).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
});
