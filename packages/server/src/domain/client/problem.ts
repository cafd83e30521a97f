/** Something wrong with what an agent would be registered with: which member of its metadata, what, and what to do. */
export type MetadataProblem = { readonly member: string; readonly message: string; readonly remedy: string };
export type AddProblem = (member: string, message: string, remedy: string) => void;
