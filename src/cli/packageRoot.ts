/** The folder of the package: of an installed one as well as of a clone. */
import { fileURLToPath } from 'node:url'

export const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url))
