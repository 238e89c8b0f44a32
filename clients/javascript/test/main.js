/** Plays the conversations against a daemon: node test/main.js SERVER FILE */

import { readFile } from 'node:fs/promises';

import { play } from './conversations.js';

const [server, file] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: node test/main.js SERVER FILE');
  process.exit(2);
}
try {
  const failed = await play(server, JSON.parse(await readFile(file, 'utf8')), console.log);
  process.exitCode = failed > 0 ? 1 : 0;
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
