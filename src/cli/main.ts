#!/usr/bin/env node
/** The racewalk command as a process. */
import { main } from './command.js'
import { processIo } from './processIo.js'

process.exitCode = await main(process.argv, processIo())
