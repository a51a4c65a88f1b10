#!/usr/bin/env node
// A worker that stays: it is told its tasks on descriptor 3, one line each, and says there how each has ended.
const net = require('node:net')
const readline = require('node:readline')

const socket = new net.Socket({ fd: Number(process.env.QUELL_TASK_FD) })
readline.createInterface({ input: socket }).on('line', (line) => {
  const [id, attempt, trace, ...words] = line.split(' ')
  const body = words.join(' ')
  console.log(`doing ${body} (try ${attempt})`)
  if (body.includes('bad')) socket.write(`fail ${id} this cannot be done\n`)
  else socket.write(`ok ${id} ${body} is done\n`)
}).on('close', () => socket.end())
