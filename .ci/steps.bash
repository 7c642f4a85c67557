# Sourced by .ci/run and .ci/slow: run a step, time it, keep its output, count what came of it.
# A step passes when its command exits 0; 77 = it cannot run here and its last line says why. A command
# whose last line is 'N passed, N failed, N skipped' adds those numbers instead of counting as one.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/build-ci
passed=0 failed=0 skipped=0
skips=()
mkdir -p "$logs"
cd "$root" || exit 1

# step NAME COMMAND...
step()
{
    local name=$1 log=$logs/${1// /-}.log start=$SECONDS rc=0 word=ok last
    shift
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        ((passed += BASH_REMATCH[1], failed += BASH_REMATCH[2], skipped += BASH_REMATCH[3]))
        ((rc != 0 && BASH_REMATCH[2] == 0)) && ((failed += 1))
        mapfile -t -O "${#skips[@]}" skips < <(sed -n '/^skipped, and why:/,/^[^ ]/{/^  /p}' "$log")
        word=$last
    elif ((rc == 0)); then
        ((passed += 1))
    elif ((rc == 77)); then
        ((skipped += 1))
        word=skipped
        skips+=("  $name: $last")
    else
        ((failed += 1))
    fi
    ((rc == 0 || rc == 77)) || word="FAILED ($word, exit $rc)"
    [[ $word == "FAILED (ok,"* ]] && word="FAILED (exit $rc)"
    printf '%4d s  %-24s %s\n' $((SECONDS - start)) "$name" "$word"
    if ((rc != 0 && rc != 77)); then
        echo "---- last lines of $log"
        tail -n 60 "$log"
        echo "----"
    fi
}

# tidy STATES: clang-tidy over the programs' files among those on standard input, with build-fuzz's commands. One
# file per process: two in one make version 14 see uninitialised va_lists.
tidy()
{
    local extra=(-Xclang -analyzer-config -Xclang "max-nodes=$1")
    grep -E '^(common|daemon|client)/.*\.c$' |
        xargs -n 1 -P 2 clang-tidy-14 --quiet -p build-fuzz "${extra[@]/#/--extra-arg=}"
}

# The line a machine reads, last and alone; the exit code goes with it.
finish()
{
    if ((${#skips[@]} > 0)); then
        echo "skipped, and why:"
        printf '%s\n' "${skips[@]}"
    fi
    echo "whole time: $SECONDS s"
    echo "$passed passed, $failed failed, $skipped skipped"
    exit $((failed > 0))
}
