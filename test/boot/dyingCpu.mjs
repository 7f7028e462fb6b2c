// A CPU's thread that dies as soon as it has its task.
export default () => process.exit(7)
