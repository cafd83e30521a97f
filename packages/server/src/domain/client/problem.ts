/** A fault in client metadata: the member, what is wrong with it, and how to correct it. */
export type MetadataProblem = { readonly member: string; readonly message: string; readonly remedy: string };
export type AddProblem = (member: string, message: string, remedy: string) => void;
