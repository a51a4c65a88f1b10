#!/bin/sh
# A worker that stays: it is told its tasks on descriptor 3, one line each, and says there how each has ended.
while read -r id try trace body <&3; do
  echo "doing $body (try $try)"
  case $body in
    *bad*) echo "fail $id this cannot be done" >&3 ;;
    *) echo "ok $id $body is done" >&3 ;;
  esac
done
