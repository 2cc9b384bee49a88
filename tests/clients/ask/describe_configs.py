"""Turns DescribeConfigs answers into tables. Arguments: the file with one JSON answer per line, the directory to write to."""
import json, sys
lines=[json.loads(l) for l in open(sys.argv[1]) if l.startswith('{')]; out=sys.argv[2]
TYPES=['UNKNOWN','BOOLEAN','STRING','INT','SHORT','LONG','DOUBLE','LIST','CLASS','PASSWORD']
SRC=['UNKNOWN','TOPIC_CONFIG','DYNAMIC_BROKER_CONFIG','DYNAMIC_DEFAULT_BROKER_CONFIG','STATIC_BROKER_CONFIG','DEFAULT_CONFIG','DYNAMIC_BROKER_LOGGER_CONFIG','CLIENT_METRICS_CONFIG','GROUP_CONFIG']
def src(i): return SRC[i] if 0<=i<len(SRC) else str(i)
for name,doc in zip(['broker','topic','group','client-metrics','logger'],lines[1:6]):
    r=doc['results'][0]
    with open(f'{out}/describe-{name}-configs.txt','w') as f, open(f'{out}/describe-{name}-configs-documentation.txt','w') as d:
        f.write(f"# {len(r['configs'])} keys, sorted by name; the order of the answer is in the last section. name = value | type | source | flags | synonyms (name=value:source)\n")
        f.write(f"# answer: errorCode={r['errorCode']} errorMessage={r['errorMessage']!r}\n")
        for c in sorted(r['configs'],key=lambda c:c['name']):
            flags=','.join(x for x,k in (('read-only','readOnly'),('sensitive','isSensitive')) if c[k]) or '-'
            syn='; '.join(f"{s['name']}={s['value']!r}:{src(s['source'])}" for s in c['synonyms'])
            f.write(f"{c['name']} = {c['value']!r} | {TYPES[c['configType']]} | {src(c['configSource'])} | {flags} | {syn}\n")
            d.write(f"{c['name']}: {c['documentation']}\n")
        f.write('# order in the answer: '+' '.join(c['name'] for c in r['configs'])+'\n')
