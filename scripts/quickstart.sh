#!/usr/bin/env bash
# Shows the engine at work on more than a gigabyte of real files, and on a database: from a shell
# through a pipe, then from Python with the binary, then from Python without it. Ends with 0 only when
# all of it held.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
need_rust
need python3 python3

say "building (release)"
cargo build --quiet --release --manifest-path "$root/Cargo.toml" \
  --package migration-engine --package migration-fixtures
engine="$CARGO_TARGET_DIR/release/migration-engine"
fixtures="$CARGO_TARGET_DIR/release/migration-fixtures"

scratch=$(mktemp -d)
trap 'chmod -R u+rwx "$scratch" && rm -rf "$scratch"' EXIT
cd "$scratch"
export MIGRATION_ENGINE_STATE_DIR="$scratch/state"

say "a tree of real files: the crates this was built from, two large files, every odd name"
mkdir source
cp -a "${CARGO_HOME:-$HOME/.cargo}/registry/src" source/crates
"$fixtures" large source/large-1.bin --bytes $((640 << 20)) --seed 1
"$fixtures" large source/large-2.bin --bytes $((384 << 20)) --seed 2
"$fixtures" tree source/odd --seed 1
du -sh --apparent-size source
find source -type f -printf . | wc -c | sed 's/$/ files/'

say "JSON lines through a pipe: copy, verify, and a second copy that has nothing to do"
cat >commands.jsonl <<'JSON'
{"op":"hello","id":"hello","progress_ms":250}
{"op":"copy","id":"copy","src":"source","dst":"copy","checksum":"sha256","manifest":"copy.jsonl"}
{"op":"checksum","id":"checksum","src":"copy","manifest":"copy.sha256","after":["copy"]}
{"op":"verify","id":"verify","src":"source","dst":"copy","after":["copy"]}
{"op":"copy","id":"copy again","src":"source","dst":"copy","on_exists":"update","after":["verify"]}
JSON
sed 's/^/  > /' commands.jsonl
# cat makes it the pipe that a host would hold.
# shellcheck disable=SC2002
cat commands.jsonl | "$engine" | python3 "$root/scripts/show.py"

say "the manifests: of the copy, in the same pass, and of what stands there, read by coreutils"
wc -l <copy.jsonl | sed 's/$/ lines/'
head -n 1 copy.jsonl
wc -l <copy.sha256 | sed 's/$/ lines/'
(cd copy && sha256sum --quiet --check ../copy.sha256) && echo "sha256sum agrees with every line"
say "the copy, compared by a program that shares no code with the engine"
"$fixtures" compare source/odd copy/odd && echo "no difference in content, mode, time or link"

cat >program.py <<'PYTHON'
from migration_engine import Engine

def show(progress):
    print(f"  {progress.phase}: {progress.bytes_done / 1e6:.0f} MB")

with Engine() as engine:
    print(f"backend: {engine.info.backend}")
    copied = engine.copy("source", "copy-2", checksum="sha256", on_progress=show).result()
    checked = engine.verify("source", "copy-2").result()
    rate = copied.metrics.bytes_per_s_avg / 1e6
    print(f"  {copied.metrics.items_ok} items, {copied.metrics.bytes} bytes, {rate:.0f} MB/s;",
          f"verified: {checked.data.matched} match, {checked.data.mismatched} differ")
PYTHON
export PYTHONPATH="$root/protocol/python"

say "the same from ten lines of Python, with the binary"
sed 's/^/  | /' program.py
MIGRATION_ENGINE_BIN="$engine" python3 program.py
rm -rf copy-2

say "the same program without the binary"
MIGRATION_ENGINE_BACKEND=python python3 program.py
"$fixtures" compare source/odd copy-2/odd && echo "no difference in content, mode, time or link"

say "a SQLite database: tables with keys of every kind, a view, odd values, 60,000 rows"
python3 "$root/scripts/shop.py" make shop.db
cat >tables.jsonl <<'JSON'
{"op":"hello","id":"hello","progress_ms":250}
{"op":"plan","id":"plan","command":{"op":"tables","src":"sqlite://shop.db","dst":"sqlite://copy.db"}}
{"op":"tables","id":"tables","src":"sqlite://shop.db","dst":"sqlite://copy.db","verify":"readback","span_rows":10000,"after":["plan"]}
{"op":"verify","id":"verify tables","src":"sqlite://shop.db","dst":"sqlite://copy.db","after":["tables"]}
JSON
sed 's/^/  > /' tables.jsonl
# shellcheck disable=SC2002
cat tables.jsonl | "$engine" | tee tables-answers.jsonl | python3 "$root/scripts/show.py"
python3 "$root/scripts/shop.py" certificate tables-answers.jsonl
say "the copy, compared by a program that shares no code with the engine"
python3 "$root/scripts/shop.py" compare shop.db copy.db

cat >tables.py <<'PYTHON'
from migration_engine import Engine

with Engine() as engine:
    print(f"backend: {engine.info.backend}")
    copied = engine.tables("sqlite://shop.db", "sqlite://copy.db", mode="replace",
                           verify="readback").result()
    for table in copied.data.tables:
        print(f"  {table['table']}: {table['rows']} rows, {table['digest']}, {table['proof']}")
PYTHON
say "the same from Python, with the binary and without it: the digests are the same"
sed 's/^/  | /' tables.py
MIGRATION_ENGINE_BIN="$engine" python3 tables.py | tee native.txt
python3 "$root/scripts/shop.py" compare shop.db copy.db
rm copy.db
MIGRATION_ENGINE_BACKEND=python python3 tables.py | tee pure.txt
python3 "$root/scripts/shop.py" compare shop.db copy.db
diff <(grep rows native.txt) <(grep rows pure.txt)

say "all of it held"
