/**
 * A step of the build: lowers what tsc emitted. `node dist/src/boot/lower/lowerDist.js [DIST]`; 2 when a module cannot
 * be.
 */
import { fileURLToPath } from 'node:url'
import { lowerTree } from './lowerTree.js'

const complaints = lowerTree(process.argv[2] ?? fileURLToPath(new URL('../../..', import.meta.url)))
for (const complaint of complaints) console.error(complaint)
if (complaints.length > 0) process.exitCode = 2
