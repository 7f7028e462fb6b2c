/** A shard of an exploration. */
import { workerData } from 'node:worker_threads'
import { runUnit, type ShardData } from '../src/explore/shards/shardMain.js'
import type { WorkUnit, UnitResult } from '../src/explore/shards/work.js'

export default (unit: WorkUnit): Promise<UnitResult> => runUnit(workerData as ShardData, unit)
