#!/usr/bin/env python3
"""A worker that stays: it is told its tasks on descriptor 3, one line each, and says there how each has ended."""
import os

fd = int(os.environ['QUELL_TASK_FD'])
tasks, outcomes = os.fdopen(os.dup(fd)), os.fdopen(fd, 'w', 1)
for line in tasks:
    id, attempt, trace, body = line.rstrip('\n').split(' ', 3)
    print(f'doing {body} (try {attempt})', flush=True)
    if 'bad' in body:
        outcomes.write(f'fail {id} this cannot be done\n')
    else:
        outcomes.write(f'ok {id} {body} is done\n')
