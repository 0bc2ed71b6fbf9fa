/** A fake `Uploads` for the tests of apps: no browser, no worker, no clock. Uploads move when a test says so. */

export { FakeUploads, type FakeUploadsOptions, type UploadStep } from "./fake-uploads.ts";
