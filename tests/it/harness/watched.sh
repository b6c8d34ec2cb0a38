# Runs a program that ends when the process holding the other end of stdin ends, however that dies.
# Usage: sh -c SCRIPT watched GRACE_SECONDS FOLDER STDOUT STDERR PROGRAM [ARGUMENT..]
# Prints the program's pid. A line on stdin, or its end, stops the program: TERM, then KILL after
# the grace. On a mere end nobody is left to clean up, so the folder is removed too.
# Exits with the program's status (128 + n after signal n).
grace=$1 folder=$2 out=$3 err=$4
shift 4
exec 3<&0
"$@" </dev/null >"$out" 2>"$err" 3<&- &
pid=$!
echo "$pid"
exec >/dev/null 2>&1
{
    read -r line <&3 || : >"$folder/.orphaned"
    kill -TERM "$pid"
    trap 'kill "$nap"; exit' TERM
    sleep "$grace" 3<&- &
    nap=$!
    wait "$nap"
    kill -KILL "$pid"
} &
guard=$!
exec 3<&-
wait "$pid"
status=$?
kill "$guard"
if [ -e "$folder/.orphaned" ]; then
    rm -rf "$folder"
fi
exit "$status"
