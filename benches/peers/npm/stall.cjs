// Blocks the event loop of whatever program it is required in front of: STALL_MS of each second.
'use strict';
const STALL_MS = 200;
const EVERY_MS = 1000;
const cell = new Int32Array(new SharedArrayBuffer(4));
setInterval(() => Atomics.wait(cell, 0, 0, STALL_MS), EVERY_MS);
