# Runs "$@" and stops it when standard input says so or ends. The other end of standard input is held by the process
# that started us alone, so it ends when that process does, however that comes about. $REMOVE, if set, is a folder to
# remove in that case.

exec 3<&0 </dev/null
orphan=
trap 'orphan=yes' USR1

"$@" 3<&- &
child=$!

(
  read -r word <&3 || kill -USR1 $$
  # To postgres a fast shutdown. Repeated, because a child that has not got to its signal handlers yet ignores it, as
  # the shell has its children in the background do.
  for second in 1 2 3 4 5 6 7 8 9 10; do
    kill -INT $child
    sleep 1
    kill -0 $child || exit
  done
  kill -QUIT $child # an immediate one
  sleep 6
  kill -KILL $child
) >/dev/null 2>&1 &
watcher=$!

# A trapped signal ends wait early.
while :; do
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || break
done
kill $watcher 2>/dev/null
if [ -n "$orphan" ] && [ -n "$REMOVE" ]; then
  rm -rf -- "$REMOVE"
fi
exit $code
