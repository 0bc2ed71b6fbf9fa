import { UploadsProvider, useAddFiles, useUploads } from "backhaul/solid";
import { For } from "solid-js";
import { render } from "solid-js/web";

function List() {
  const view = useUploads();
  const addFiles = useAddFiles();
  return (
    <>
      <input
        type="file"
        aria-label="Files"
        multiple
        onChange={(event) => addFiles(event.currentTarget.files)}
      />
      <ul>
        <For each={view().list}>{(upload) => <li data-state={upload.state}>{upload.name}</li>}</For>
      </ul>
    </>
  );
}

render(
  () => (
    <UploadsProvider source={{ worker: "/sw.js" }}>
      <List />
    </UploadsProvider>
  ),
  document.getElementById("app"),
);
