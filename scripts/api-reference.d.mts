/** The page of `docs/api.md`, from the declarations in `dist`. */
export function apiReference(): string;
