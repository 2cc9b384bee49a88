#!/bin/sh
# Ask a broker in the words of Kafka's schema files: ask.sh HOST:PORT FILE|-   (the language: ask/Ask.java)
set -e
here=$(cd "$(dirname "$0")" && pwd)
classpath=$(cd "$here" && python3 -B -c 'import installs; print(installs.java_classes("ask"))')
exec java -Dlog4j2.level=ERROR -cp "$classpath" Ask "$@"
