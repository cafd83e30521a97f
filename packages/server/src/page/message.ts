/** Renders a page with one message and an optional link. */
import { html } from "hono/html";
import { type Html, renderPage } from "./layout.ts";

const messages = {
  link_expired: {
    title: "This link is no longer valid",
    text: "An invitation works once and expires. Ask your operator for a new one. If you did not use this link yourself, tell your operator now.",
  },
  not_found: {
    title: "Page not found",
    text: "This page does not exist, or you do not have access to it.",
  },
  form_expired: {
    title: "Please try again",
    text: "This form was open for too long, or it was sent from another site. Nothing was changed.",
  },
  agent_paused: {
    title: "The agent is paused",
    text: "Its requests are refused until an operator resumes it.",
  },
  no_browser_flow: {
    title: "Applications cannot sign in here",
    text: "An agent sends its request over the back channel (CIBA), and a person decides it on this server.",
  },
  signed_out: { title: "You are signed out", text: "This browser can no longer decide in your name." },
  fault: {
    title: "Something went wrong",
    text: "This is an error on our side, and it was logged. Check your inbox before you try again.",
  },
} as const;

export type MessageName = keyof typeof messages;

export type MessageView = {
  readonly message: MessageName;
  readonly approverName?: string | undefined;
  /** A link to a path on this server. */
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
