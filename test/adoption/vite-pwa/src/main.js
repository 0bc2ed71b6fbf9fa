import { connectUploads } from "backhaul";

const connecting = connectUploads({ worker: "/sw.js" });

const input = document.querySelector("input");
input.addEventListener("change", async () => {
  const uploads = await connecting;
  for (const file of input.files) await uploads.add(file, { key: `${crypto.randomUUID()}/${file.name}` });
});

(await connecting).subscribe((list) => {
  const rows = list.map(({ name, state }) => {
    const row = document.createElement("li");
    row.textContent = name;
    row.dataset.state = state;
    return row;
  });
  document.querySelector("ul").replaceChildren(...rows);
});
