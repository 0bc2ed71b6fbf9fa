import type { UploadSnapshot } from "backhaul";
import type { ReactNode } from "react";
import { actionsOf, LABELS, type Labels, run, shareOf, stateText } from "../core/index.ts";
import { useUploads } from "./uploads-provider.tsx";

/** What a list shows, and in which words. */
export interface UploadListProps {
  /** Which uploads to show. @default all */
  readonly filter?: (upload: UploadSnapshot) => boolean;
  /** Words in place of the English ones. */
  readonly labels?: Partial<Labels>;
  /** The class for styles. @default "backhaul-list" */
  readonly className?: string;
}

/** The uploads with their progress, and buttons for what can be done with each. Each has its state as `data-state`. */
export function UploadList({
  filter = Boolean,
  labels,
  className = "backhaul-list",
}: UploadListProps): ReactNode {
  const { uploads, list } = useUploads();
  const words = { ...LABELS, ...labels };
  return (
    <ul className={className} aria-label={words.list}>
      {list.filter(filter).map((upload) => (
        <li key={upload.id} data-state={upload.state}>
          <span>{upload.name}</span>
          <progress aria-label={upload.name} value={shareOf(upload)} />
          <span role="status">{stateText(upload, words)}</span>
          {actionsOf(upload).map((action, index) => (
            <button
              // A button stays while its meaning changes, from pause to resume, and keeps the focus.
              key={index ? 1 : 0}
              type="button"
              aria-label={`${words[action]}: ${upload.name}`}
              onClick={() => uploads && run(uploads, action, upload.id)}
            >
              {words[action]}
            </button>
          ))}
        </li>
      ))}
    </ul>
  );
}
