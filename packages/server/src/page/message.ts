/** A page that only says something: what happened, what did not, and where to go from here. */
import { html } from "hono/html";
import { type Html, renderPage } from "./layout.ts";

const messages = {
  link_expired: {
    title: "This link works no more",
    text: "An invitation works once, and only for a while. Ask your operator for a new one. If somebody else used it, tell them now.",
  },
  not_found: { title: "Nothing here", text: "There is no such page, or it is not for you to see." },
  form_expired: {
    title: "Please try again",
    text: "This form was open for too long, or came from somewhere else. Nothing was changed.",
  },
  agent_paused: {
    title: "The agent is paused",
    text: "Everything it asks for is refused until an operator resumes it.",
  },
  no_browser_flow: {
    title: "Agents ask here, people answer",
    text: "There is nothing to log in to for an application. An agent asks over the back channel (CIBA), and a person decides.",
  },
  signed_out: { title: "You are signed out", text: "This browser can no longer decide in your name." },
  fault: {
    title: "Something went wrong here",
    text: "It is our fault, not yours, and it has been written down. Look at the inbox to see where things stand.",
  },
} as const;

export type MessageName = keyof typeof messages;

export type MessageView = {
  readonly message: MessageName;
  readonly approverName?: string | undefined;
  /** Where to go from here, a path on this server. */
  readonly nextLink?: { readonly href: string; readonly label: string } | undefined;
};

export function renderMessagePage({ message, approverName, nextLink }: MessageView): Html {
  const { title, text } = messages[message];
  return renderPage({
    title,
    approverName,
    main: html`<section class="sheet message">
<h1>${title}</h1>
<p class="lead">${text}</p>
${nextLink ? html`<p class="onward"><a href="${nextLink.href}">${nextLink.label}</a></p>` : ""}
</section>`,
  });
}
