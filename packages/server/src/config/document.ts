/**
 * Parses the text of the configuration file: YAML 1.2 with unique string keys. Maps paths to source positions for problems.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";

export type Path = readonly (string | number)[];

/** Both count from 1. */
export type SourcePosition = { readonly line: number; readonly column: number };
export type TextProblem = SourcePosition & { readonly message: string; readonly remedy: string };

export type ConfigDocument = {
  readonly value: unknown;
  /** Returns the position of the key or item at the path, or of its nearest existing ancestor. */
  readonly locate: (path: Path) => SourcePosition;
};

export function parseConfigText(
  text: string,
): ConfigDocument | { readonly problems: readonly TextProblem[] } {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, stringKeys: true, prettyErrors: false });
  const positionAt = (offset: number): SourcePosition => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problems: TextProblem[] = [...document.errors, ...document.warnings].map((error) => ({
    ...positionAt(error.pos[0]),
    message: error.message,
    remedy:
      remedies[error.code] ??
      "look for indentation, a quotation mark or a bracket that is off, here or above",
  }));
  visit(document, {
    Alias: (_, alias) => {
      problems.push({
        ...positionAt(alias.range?.[0] ?? 0),
        message: `the alias *${alias.source} is not supported`,
        remedy: "write the value out, so that a reviewer sees the whole rule in one place",
      });
    },
    Pair: (_, { key }) => {
      if (isScalar(key) && key.value === "__proto__")
        problems.push({
          ...positionAt(key.range?.[0] ?? 0),
          message: "__proto__ cannot be a key",
          remedy: "rename it",
        });
    },
  });
  if (problems.length > 0) return { problems };

  const locate = (path: Path): SourcePosition => {
    let offset = 0;
    let node: unknown = document.contents;
    for (const step of path) {
      if (isMap<Node, Node>(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && item.key.value === String(step));
        if (!pair) break;
        offset = pair.key.range?.[0] ?? offset;
        node = pair.value;
      } else if (isSeq<Node>(node) && typeof step === "number") {
        const item = node.items[step];
        if (!item) break;
        offset = item.range?.[0] ?? offset;
        node = item;
      } else break;
    }
    return positionAt(offset);
  };
  return { value: document.toJS(), locate };
}

const remedies: { readonly [code: string]: string } = {
  DUPLICATE_KEY: "remove one of the two",
  TAB_AS_INDENT: "indent with spaces",
  NON_STRING_KEY: "write a plain word as the key",
  MULTIPLE_DOCS: "keep one document: remove the line that is only ---",
};
