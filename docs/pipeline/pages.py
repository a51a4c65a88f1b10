import os

fd = int(os.environ['QUELL_TASK_FD'])
tasks, outcomes = os.fdopen(os.dup(fd)), os.fdopen(fd, 'w', 1)

def make(kind, name):
    text = open(f'in/{name}.md').read()
    if kind == 'html':
        page = f'<p>{text}</p>'
    elif kind == 'words':
        page = f'{len(text.split())} words'
    else:
        page = open('titles').read()
    with open(f'out/{name}.{kind}', 'w') as out:
        print(page, file=out)

for line in tasks:
    id, attempt, trace, body = line.rstrip('\n').split(' ', 3)
    try:
        make(*body.split())
        print('made', body, flush=True)
        outcomes.write(f'ok {id}\n')
    except OSError as error:
        outcomes.write(f'fail {id} {error}\n')
